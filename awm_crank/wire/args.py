"""Arguments of the three systems, in JSON (as existing clients send) and in the compact binary form.

Layouts and keys: docs/formats.md, "Systems". Arguments are JSON if their first byte that is not white space is `{`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import msgspec
from solders.pubkey import Pubkey

from ..errors import LayoutError
from . import layouts
from .codec import check_extra
from .contract import CHALLENGE_S, Action
from .ids import ZERO_KEY
from .layouts import Buffer, Layout

CREATE, JOIN, END = (int(each) for each in Action)
"""Lifecycle.action."""

_TAG = 1
_KEYS = ("player", "model", "writer", "invited")
_OPTIONAL = {"writer": ZERO_KEY, "invited": ZERO_KEY, "challenge_s": CHALLENGE_S}
_WHITE = b" \t\r\n"
_INPUT_KEYS = layouts.CONTROLLER_INPUT.names


def is_json(data: Buffer) -> bool:
    """Whether these arguments are JSON, by the same rule that the systems use."""
    return bytes(data).lstrip(_WHITE)[:1] == b"{"


class Lifecycle(msgspec.Struct, frozen=True):
    """Arguments of session-lifecycle. `writer` zero names no writer; `invited` zero lets anyone join."""

    LAYOUT: ClassVar[Layout] = layouts.LIFECYCLE_ARGS
    action: int
    player: Pubkey
    character: int = 0
    stage: int = 0
    model: Pubkey = ZERO_KEY
    max_frames: int = 0
    seed: int = 0
    d_inner: int = 0
    d_state: int = 0
    num_layers: int = 0
    writer: Pubkey = ZERO_KEY
    invited: Pubkey = ZERO_KEY
    challenge_s: int = CHALLENGE_S

    def to_binary(self) -> bytes:
        """151 bytes. Raises LayoutError when a number does not fit."""
        return self.LAYOUT.pack((_TAG, *msgspec.structs.astuple(self)))

    def to_json(self) -> bytes:
        """The ten keys that existing clients send, and every other field that differs from its default.

        Raises LayoutError as to_binary.
        """
        self.to_binary()
        document = {field: getattr(self, field) for field in self.__struct_fields__}
        for field, default in _OPTIONAL.items():
            if document[field] == default:
                del document[field]
        return _json(document)

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """Decodes either form. Raises LayoutError with the key's or field's name."""
        if not is_json(data):
            return cls(*_binary(cls.LAYOUT, data)[1:])
        document = _document(data, "session-lifecycle")
        values: dict[str, Any] = {}
        for field in cls.__struct_fields__:
            if field in _OPTIONAL and field not in document:
                values[field] = _OPTIONAL[field]
            elif field in _KEYS:
                values[field] = _key(document, field)
            else:
                values[field] = _number(document, field)
        args = cls(**values)
        args.to_binary()
        return args


class Input(msgspec.Struct, frozen=True):
    """Arguments of submit-input: a ControllerInput (8 bytes) for `frame`.

    `frame` 0 means the coming frame, or the one after it if the coming frame already has an input.
    """

    LAYOUT: ClassVar[Layout] = layouts.INPUT_ARGS
    player: Pubkey
    input: bytes
    frame: int = 0

    def to_binary(self) -> bytes:
        """45 bytes. Raises LayoutError when a value does not fit."""
        return self.LAYOUT.pack((_TAG, *msgspec.structs.astuple(self)))

    def to_json(self) -> bytes:
        """The nine keys that existing clients send, and `frame` where it is not 0. Raises LayoutError as to_binary."""
        self.to_binary()
        document: dict[str, Any] = {"player": self.player}
        document.update(zip(_INPUT_KEYS, layouts.CONTROLLER_INPUT.unpack(self.input), strict=True))
        if self.frame:
            document["frame"] = self.frame
        return _json(document)

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """Decodes either form. Raises LayoutError with the key's or field's name."""
        if not is_json(data):
            return cls(*_binary(cls.LAYOUT, data)[1:])
        document = _document(data, "submit-input")
        controller = layouts.CONTROLLER_INPUT.pack([_number(document, key) for key in _INPUT_KEYS])
        args = cls(_key(document, "player"), controller, _number(document, "frame") if "frame" in document else 0)
        args.to_binary()
        return args


class FrameArgs(msgspec.Struct, frozen=True, gc=False):
    """Arguments of run-inference: inputs 16, sources 2, players 64, feedback 16 bytes, extra feedback. Binary only."""

    LAYOUT: ClassVar[Layout] = layouts.FRAME_ARGS
    frame: int
    epoch: int
    inputs: bytes
    sources: bytes
    players: bytes
    feedback: bytes
    extra: bytes = b""

    def to_binary(self) -> bytes:
        """107 bytes and the extra feedback. Raises LayoutError when a value does not fit."""
        *values, extra = msgspec.structs.astuple(self)
        check_extra("extra feedback of FrameArgs", len(extra))
        return self.LAYOUT.pack((_TAG, *values)) + bytes(extra)

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """Decodes 107 bytes and the extra feedback. Raises LayoutError."""
        size = cls.LAYOUT.size
        check_extra("binary FrameArgs", len(data) - size, expected=f"{size} bytes beginning with 1, and {{}}")
        _, frame, epoch, inputs, sources, players, feedback = _binary(cls.LAYOUT, data[:size])
        return cls(frame, epoch, inputs, sources, players, feedback, bytes(data[size:]))


Frame = FrameArgs  # the older name, which scripts outside this repository import


def _binary(layout: Layout, data: Buffer) -> list[Any]:
    if len(data) != layout.size:
        raise LayoutError(
            f"binary {layout.name}", expected=f"{layout.size} bytes beginning with 1", found=f"{len(data)} bytes"
        )
    return layout.unpack(data)


def _json(document: dict[str, Any]) -> bytes:
    # JSON.stringify writes it like this: no spaces, and keys in the order given.
    return msgspec.json.encode({key: str(v) if isinstance(v, Pubkey) else v for key, v in document.items()})


def _document(data: Buffer, system: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(bytes(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise LayoutError(f"JSON args of {system}", expected="one JSON object", found=str(error)) from error
    if not isinstance(document, dict):
        raise LayoutError(f"JSON args of {system}", expected="one JSON object", found=type(document).__name__)
    return document


def _value(document: dict[str, Any], key: str) -> Any:
    if key not in document:
        raise LayoutError(f"JSON key {key}", expected="to be there", found="missing")
    return document[key]


def _number(document: dict[str, Any], key: str) -> int:
    """A whole number, or one in a decimal string."""
    value = _value(document, key)
    if isinstance(value, str):
        digits = value.removeprefix("-")
        # 20 digits hold every u64; the limit keeps a long string from being parsed at all.
        if digits.isascii() and digits.isdigit() and len(digits) <= 20:
            return int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise LayoutError(f"JSON key {key}", expected="a whole number", found=repr(value)[:40])


def _key(document: dict[str, Any], key: str) -> Pubkey:
    """A pubkey as a base58 string or an array of 32 numbers."""
    value = _value(document, key)
    try:
        if isinstance(value, str):
            return Pubkey.from_string(value)
        if isinstance(value, list) and len(value) == 32:
            return Pubkey.from_bytes(bytes(value))
    except (ValueError, TypeError):
        pass
    raise LayoutError(f"JSON key {key}", expected="a base58 key or 32 numbers", found=repr(value)[:60])
