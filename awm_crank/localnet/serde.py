"""JSON values checked as Rust's serde checks them, with its words.

A validator declares its parameters as Rust types, and serde says what is wrong with a value: "invalid type: integer
`5`, expected a string". Clients and their tests match on that, so each check here raises MismatchError with the same
words. A check takes a decoded JSON value and returns it, or the default for a missing value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], Any]
_I64_MIN, U64_MAX = -(2**63), 2**64 - 1


class MismatchError(Exception):
    """The value does not have the expected form. The text is serde's."""


def shown(value: object) -> str:
    """Describes an unexpected value in serde's words."""
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int() if _I64_MIN <= value <= U64_MAX:
            return f"integer `{value}`"
        case int() | float():
            return f"floating point `{float(value)!r}`".replace("e+", "e")
        case str():
            return f"string {json.dumps(value, ensure_ascii=False)}"
        case list():
            return "sequence"
        case _:
            return "map"


def _wrong(value: object, expected: str) -> MismatchError:
    return MismatchError(f"invalid type: {shown(value)}, expected {expected}")


def string(value: Any) -> Any:
    """A string."""
    if not isinstance(value, str):
        raise _wrong(value, "a string")
    return value


def boolean(value: Any) -> Any:
    """true or false."""
    if not isinstance(value, bool):
        raise _wrong(value, "a boolean")
    return value


def unit(value: Any) -> Any:
    """null."""
    if value is not None:
        raise _wrong(value, "unit")
    return value


def integer(name: str, most: int = U64_MAX) -> Check:
    """A number from 0 to `most`; `name` is Rust's name of the type."""

    def check(value: Any) -> Any:
        if type(value) is int and _I64_MIN <= value <= U64_MAX:
            if 0 <= value <= most:
                return value
            raise MismatchError(f"invalid value: integer `{value}`, expected {name}")
        raise _wrong(value, name)

    return check


def option(inner: Check) -> Check:
    """A value, or null."""

    def check(value: Any) -> Any:
        return None if value is None else inner(value)

    return check


@dataclass(frozen=True)
class Default:
    """A member that may be missing, but not null."""

    check: Check
    value: Any

    def __call__(self, value: Any) -> Any:
        return self.check(value)


def sequence(inner: Check) -> Check:
    """An array whose elements all pass."""

    def check(value: Any) -> Any:
        if not isinstance(value, list):
            raise _wrong(value, "a sequence")
        return [inner(item) for item in value]

    return check


def enum(variants: Sequence[str] | Mapping[str, Check]) -> Check:
    """One of some names, or an object whose only member has such a name. Returns the name, or the object.

    Args:
        variants: the names; or name → the check of what it holds.
    """
    holds: Mapping[str, Check] = variants if isinstance(variants, Mapping) else dict.fromkeys(variants, unit)
    quoted = [f"`{name}`" for name in holds]
    expected = " or ".join(quoted) if len(quoted) < 3 else "one of " + ", ".join(quoted)

    def check(value: Any) -> Any:
        if isinstance(value, dict):
            if len(value) != 1:
                raise MismatchError("invalid value: map, expected map with a single key")
            (name,) = value
        elif isinstance(value, str):
            name = value
        else:
            raise _wrong(value, "string or map")
        inner = holds.get(name)
        if inner is None:
            raise MismatchError(f"unknown variant `{name}`, expected {expected}")
        if isinstance(value, str):
            if inner is not unit:
                raise MismatchError("invalid type: unit variant, expected newtype variant")
            return name
        held = inner(value[name])
        return name if inner is unit else {name: held}

    return check


def struct(name: str, members: Mapping[str, Check], *, flat: Mapping[str, Check] | None = None) -> Check:
    """An object. Members that may be missing are those whose check takes null, or has a default.

    Args:
        name: Rust's name of the type.
        members: member → its check.
        flat: optional members of a flattened struct: one that does not pass counts as missing, and the object may not
            be an array of its members' values.
    """

    def check(value: Any) -> Any:
        if isinstance(value, list) and flat is None:
            return _positional(name, members, value)
        if not isinstance(value, dict):
            raise _wrong(value, f"struct {name}")
        found = {member: inner(value[member]) for member, inner in members.items() if member in value}
        for member in members.keys() - found.keys():
            found[member] = _missing(members[member])
        lacking = next((member for member in members if found[member] is _LACKING), None)
        if lacking is not None:
            raise MismatchError(f"missing field `{lacking}`")
        for member, inner in (flat or {}).items():
            try:
                found[member] = inner(value.get(member))
            except MismatchError:
                found[member] = None
        return found

    return check


_LACKING = object()


def _missing(check: Check) -> Any:
    """The value that a missing member gets."""
    if isinstance(check, Default):
        return check.value
    try:
        return check(None)
    except MismatchError:
        return _LACKING


def _positional(name: str, members: Mapping[str, Check], values: list[Any]) -> Any:
    """An object that was given as an array of its members' values, in order."""
    found = {}
    for at, (member, inner) in enumerate(members.items()):
        if at < len(values):
            found[member] = inner(values[at])
        elif isinstance(inner, Default):
            found[member] = inner.value
        else:
            plural = "" if len(members) == 1 else "s"
            raise MismatchError(f"invalid length {at}, expected struct {name} with {len(members)} element{plural}")
    if len(values) > len(members):
        raise surplus(len(values))
    return found


def surplus(length: int) -> MismatchError:
    """The error of an array with more elements than wanted."""
    return MismatchError(f"invalid length {length}, expected fewer elements in array")


def untagged(name: str, *choices: Check) -> Check:
    """Returns the result of the first check that accepts the value."""

    def check(value: Any) -> Any:
        for choice in choices:
            try:
                return choice(value)
            except MismatchError:
                pass
        raise MismatchError(f"data did not match any variant of untagged enum {name}")

    return check


def debug(value: Any) -> str:
    """A JSON value as Rust's Debug shows it: `Number(1)`."""
    match value:
        case None:
            return "Null"
        case bool():
            return f"Bool({str(value).lower()})"
        case int() | float():
            return f"Number({value})"
        case str():
            return f"String({json.dumps(value, ensure_ascii=False)})"
        case list():
            return f"Array [{', '.join(map(debug, value))}]"
        case _:
            return f"Object {{{debug_members(value)}}}"


def debug_members(value: Mapping[str, Any]) -> str:
    """An object's members as Rust's Debug shows them."""
    return ", ".join(f"{json.dumps(name)}: {debug(each)}" for name, each in value.items())
