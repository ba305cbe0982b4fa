"""The settings as text: TOML that `parse` reads back, and the table of docs/configuration.md."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from .schema import Config


def dump(config: Config) -> str:
    """The configuration as TOML text, which `parse` reads back to the same value."""
    lines = []
    tables = msgspec.to_builtins(config)
    top = {key: value for key, value in tables.items() if not isinstance(value, dict)}
    lines += [f"{key} = {toml(value)}" for key, value in top.items()]
    for table, fields in tables.items():
        if isinstance(fields, dict):
            lines += ["", f"[{table}]", *(f"{key} = {toml(value)}" for key, value in fields.items())]
    return "\n".join(lines) + "\n"


def toml(value: object) -> str:
    """One value as TOML text."""
    # JSON's strings, numbers and booleans are TOML's too
    return msgspec.json.encode(value).decode()


class Setting(NamedTuple):
    """One setting, for the documentation."""

    name: str
    default: object
    description: str


def settings() -> Iterator[Setting]:
    """Every setting in the file's order, with the description that the schema has under it."""
    tables = [("", Config)] + [(f"{field.name}.", field.type) for field in _fields(Config) if _is_table(field.type)]
    for prefix, table in tables:
        descriptions = _descriptions(table)
        for field in _fields(table):
            if not _is_table(field.type):
                yield Setting(prefix + field.name, field.default, descriptions.get(field.name, ""))


def page() -> str:
    """The settings as a Markdown table, for docs/configuration.md."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{each.name}` | `{toml(each.default)}` | {each.description} |" for each in settings()]
    return "\n".join(rows) + "\n"


def _fields(table: type) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(table)


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _descriptions(table: type) -> dict[str, str]:
    # a string literal right after a field is invisible at run time: read it from the source
    body = ast.parse(inspect.getsource(table)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[field.target.id] = str(after.value.value)
    return found
