"""Chooses the inputs of a frame when not every player has sent one."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..wire import frame_records
from ..wire.accounts import peek_inputs

LatePolicy = Literal["hold", "neutral", "wait"]


class Known(NamedTuple):
    """What the input buffer last showed: both inputs (16 bytes) for `frame`, and whose are that frame's own."""

    frame: int = 0
    inputs: bytes = bytes(16)
    ready1: int = 0
    ready2: int = 0

    @classmethod
    def decode(cls, data: bytes) -> Known:
        """From InputBuffer data. Raises LayoutError when short."""
        return cls(*peek_inputs(data))

    @property
    def complete(self) -> bool:
        """Whether both players' own inputs are there."""
        return bool(self.ready1 and self.ready2)

    def newer_than(self, other: Known) -> bool:
        """Whether this was written after `other`: frames only rise, and within one players only become ready."""
        return (self.frame, self.ready1 + self.ready2) > (other.frame, other.ready1 + other.ready2)


def choose(known: Known, policy: LatePolicy) -> tuple[bytes, bytes] | None:
    """Inputs (16 bytes) and sources (2) of `known.frame` by the policy for late ones; None: wait for them."""
    if policy == "wait" and not known.complete:
        return None
    return frame_records.chosen_inputs(known.inputs, (bool(known.ready1), bool(known.ready2)), hold=policy == "hold")
