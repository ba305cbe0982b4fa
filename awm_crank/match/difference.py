"""Names the first byte in which two blocks differ: the field, the offset, and both values in readable form."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

import msgspec

from ..errors import VerifyError
from ..wire import layouts
from ..wire.layouts import Layout

_CODES = re.compile(r"\d*[A-Za-z?]")
_PLAYER = layouts.PLAYER_STATE
_INPUT = layouts.CONTROLLER_INPUT
_FEEDBACK = layouts.FEEDBACK


class Difference(msgspec.Struct, frozen=True):
    """The first difference that was found.

    `place` says what was compared (`record`, `checkpoint A`, `match file`…). `offset` is the byte within it, or None if
    the field is not a byte of a block. `expected` and `found` are the values of the whole field.
    """

    frame: int
    place: str
    field: str
    offset: int | None
    expected: str
    found: str

    def error(self) -> VerifyError:
        """Returns the difference as an error, whose text names every part of it."""
        at = "" if self.offset is None else f" at byte {self.offset}"
        return VerifyError(
            f"frame {self.frame}: {self.field}{at} of {self.place} differs", expected=self.expected, found=self.found
        )


class Fields:
    """The fields of a layout, with the fields of nested blocks in place of the blocks.

    Args:
        layout: the outer struct.
        nested: maps a field to the layout of the blocks that it consists of, one or several in a row.
        skip: bytes of the account that come before what is compared.
        after: what follows the layout's last field.
    """

    def __init__(
        self,
        layout: Layout,
        nested: Mapping[str, Layout] | None = None,
        *,
        skip: int = 0,
        after: str = "extra feedback",
    ) -> None:
        self._after = after
        self.leaves: list[tuple[str, int, int, str]] = []
        for name, span in layout.fields.items():
            if span.offset < skip:
                continue
            inner = (nested or {}).get(name)
            if inner is None:
                self.leaves.append((name, span.offset - skip, span.size, _code(layout, name)))
                continue
            count = span.size // inner.size
            for number in range(count):
                prefix = name if count == 1 else f"{name.rstrip('s')}{number + 1}"
                for leaf, at in inner.fields.items():
                    offset = span.offset - skip + number * inner.size + at.offset
                    self.leaves.append((f"{prefix}.{leaf}", offset, at.size, _code(inner, leaf)))

    def first(self, frame: int, place: str, expected: bytes, found: bytes) -> Difference | None:
        """Returns the first difference, or None if the bytes are equal.

        Args:
            frame, place: for the Difference.
            expected, found: of the same length; bytes after the layout's last field belong to a field `after`.
        """
        if expected == found:
            return None
        at = next((i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), None)
        if at is None or len(expected) != len(found):
            return Difference(frame, place, "length", None, f"{len(expected)} bytes", f"{len(found)} bytes")
        for name, offset, size, code in self.leaves:
            if offset <= at < offset + size:
                return Difference(
                    frame, place, name, at, _value(expected, offset, size, code), _value(found, offset, size, code)
                )
        return Difference(frame, place, self._after, at, f"{expected[at]:#04x}", f"{found[at]:#04x}")


def _code(layout: Layout, name: str) -> str:
    """The struct format of one field, such as `h` or `32s`."""
    codes: list[str] = _CODES.findall(layout.body.format)
    return codes[layout.names.index(name)]


def _value(data: bytes, offset: int, size: int, code: str) -> str:
    if code.endswith("s"):
        return data[offset : offset + size].hex()
    return str(struct.unpack_from("<" + code, data, offset)[0])


RECORD = Fields(
    layouts.FRAME_RECORD,
    {"input1": _INPUT, "input2": _INPUT, "player1": _PLAYER, "player2": _PLAYER},
)
"""A 96-byte frame record."""

BLOCK = Fields(layouts.FRAME_BLOCK, {"players": _PLAYER, "feedback": _FEEDBACK, "inputs": _INPUT})
"""A 97-byte frame block."""

CHECKPOINT = Fields(
    layouts.CHECKPOINT,
    {"inputs": _INPUT, "players": _PLAYER, "feedback": _FEEDBACK},
    skip=layouts.CHECKPOINT.offset("frame"),
    after="state",
)
"""What a checkpoint's data_hash covers: the fields from `frame` on, followed by the recurrent state."""
