"""Chooses the inputs of a frame when not every player has sent one."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..wire import frame_records
from ..wire.accounts import peek_inputs

LatePolicy = Literal["hold", "neutral", "wait"]


class Known(NamedTuple):
    """The last known input buffer: both players' inputs for `frame` (16 bytes), and which of them were sent for that
    frame.
    """

    frame: int = 0
    inputs: bytes = bytes(16)
    ready1: int = 0
    ready2: int = 0

    @classmethod
    def decode(cls, data: bytes) -> Known:
        """Decodes an InputBuffer account. Raises LayoutError if the data is too short."""
        return cls(*peek_inputs(data))

    @property
    def complete(self) -> bool:
        """Whether both players have sent their inputs for this frame."""
        return bool(self.ready1 and self.ready2)

    def newer_than(self, other: Known) -> bool:
        """Whether this buffer was written after `other`. Frame numbers only rise; within a frame, players only become
        ready.
        """
        return (self.frame, self.ready1 + self.ready2) > (other.frame, other.ready1 + other.ready2)


def choose(known: Known, policy: LatePolicy) -> tuple[bytes, bytes] | None:
    """Returns the inputs (16 bytes) of `known.frame` and their sources (2), by the policy for late inputs. None means
    wait.
    """
    if policy == "wait" and not known.complete:
        return None
    return frame_records.chosen_inputs(known.inputs, (bool(known.ready1), bool(known.ready2)), hold=policy == "hold")
