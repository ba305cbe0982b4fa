"""Every account that the crank reads or writes, and the blocks inside them, as frozen classes.

Each class has `decode(data, *, owner=None, address=None)` and `encode()`. Its fields carry the contract's names, in the
contract's order. Nested blocks (PlayerStates, inputs, feedback) stay bytes, because the main loop passes them on
unchanged; `PlayerState.decode` and similar methods decode them. The `peek_*` functions read a few fields from data of a
known kind.

Layouts, units and ranges: docs/formats.md.
"""

from __future__ import annotations

from typing import Self

from solders.pubkey import Pubkey

from ..errors import LayoutError
from . import layouts, structs
from .codec import Account as Account
from .codec import Block as Block
from .codec import TailAccount as TailAccount
from .contract import MAX_EXTRA_SIZE, Source, Status
from .layouts import Buffer
from .structs import ControllerInput as ControllerInput
from .structs import Deposit as Deposit
from .structs import Feedback as Feedback
from .structs import LogPayments as LogPayments
from .structs import PlayerState as PlayerState
from .worlds import Entity as Entity
from .worlds import Registry as Registry
from .worlds import World as World

RECORD_SIZE = layouts.FRAME_RECORD.size
CREATED, WAITING_PLAYERS, ACTIVE, ENDED = (int(each) for each in Status)
"""SessionState.status."""
FRESH, HELD, NEUTRAL = (int(each) for each in Source)
"""Where a player's input of a frame came from."""
NEUTRAL_INPUT = bytes(layouts.CONTROLLER_INPUT.size)


class FrameRecord(structs.FrameRecord, frozen=True, gc=False):
    """One frame in the frame log's ring and in a match file: 96 bytes, and the extra feedback."""

    @property
    def inputs(self) -> bytes:
        """Both players' ControllerInputs, 16 bytes."""
        return self.input1 + self.input2

    @property
    def sources(self) -> bytes:
        """Where both inputs came from, 2 bytes."""
        return bytes((self.source1, self.source2))

    @property
    def players(self) -> bytes:
        """Both PlayerStates, 64 bytes."""
        return self.player1 + self.player2


class SessionState(structs.SessionState, frozen=True, gc=False):
    """A match. Decoding also checks the ranges of its two PlayerStates."""

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """Like `Account.decode`, and also checks the ranges of both PlayerStates."""
        cls.LAYOUT.check_account(data, owner, address)
        session = cls(*cls.LAYOUT.unpack(data, address))
        check_players(session.players, address)
        return session


class HiddenState(structs.HiddenState, frozen=True, gc=False):
    """A match's writer, chain hash and last checkpoint."""

    @property
    def extra_size(self) -> int:
        """Bytes a player of the match's extra feedback; 0 for most worlds, and before `pin_cartridge`."""
        return self.holds >> 4

    @property
    def held(self) -> int:
        """The accounts that have to be closed first: bit 0 checkpoint A, bit 1 checkpoint B, bit 2 the deposit."""
        return self.holds & 15


class InputBuffer(structs.InputBuffer, frozen=True, gc=False):
    """Both players' inputs for the coming frame, `frame`, and early inputs for the frame after it."""

    @property
    def inputs(self) -> bytes:
        """Both players' ControllerInputs for `frame`, 16 bytes, whether or not the players have sent them."""
        return self.player1 + self.player2


class FrameLog(structs.FrameLog, frozen=True, gc=False):
    """The ring of the last `capacity` frames. `capacity` is 0 until the ring has its full size."""

    @property
    def payments(self) -> structs.LogPayments:
        """The keys that paid for the account and its ring."""
        return structs.LogPayments.decode(self.trailer)

    @property
    def payer(self) -> Pubkey:
        """The key that paid the account's rent; the zero key after a stay in a rollup."""
        return self.payments.payer

    def _check_tail(self, address: object) -> None:
        if not self.capacity:
            return
        size, rest = divmod(len(self.ring), self.capacity)
        if rest or size % 2 or not RECORD_SIZE <= size <= RECORD_SIZE + 2 * MAX_EXTRA_SIZE:
            self._refuse_tail(address, f"{self.capacity * RECORD_SIZE} (capacity {self.capacity})", len(self.ring))
        if self.write_index >= self.capacity:
            raise LayoutError(
                f"{self.LAYOUT.where(address)}: write_index",
                expected=f"below capacity {self.capacity}",
                found=self.write_index,
            )

    @property
    def record_size(self) -> int:
        """Bytes of a record: 96, and the match's extra feedback. 96 without a ring."""
        return len(self.ring) // self.capacity if self.capacity else RECORD_SIZE

    def holds(self) -> range:
        """The frames whose records the ring holds."""
        return (
            range(max(1, self.total_frames - self.capacity + 1), self.total_frames + 1) if self.capacity else range(0)
        )

    def record(self, frame: int) -> bytes:
        """A frame's record. Raises LayoutError if the ring does not hold it."""
        held = self.holds()
        if frame not in held:
            span = f"frames {held.start}..{held.stop - 1}" if held else "no frames"
            raise LayoutError(f"record of frame {frame} in frame log", expected=span, found=frame)
        at = (frame - 1) % self.capacity * self.record_size
        data = self.ring[at : at + self.record_size]
        if int.from_bytes(data[:4], "little") != frame:
            raise LayoutError(
                f"record at index {(frame - 1) % self.capacity} of frame log",
                expected=f"frame {frame}",
                found=f"frame {int.from_bytes(data[:4], 'little')}",
            )
        return data


class ModelManifest(structs.ModelManifest, frozen=True, gc=False):
    """A model: its cartridge's name, shape and hash, and its shards' addresses. Sizes are in bytes."""

    @property
    def title(self) -> str:
        """`name` as text. Bytes that are not UTF-8 are replaced."""
        return self.name.rstrip(b"\0").decode("utf-8", "replace")


class WeightShard(structs.WeightShard, frozen=True, gc=False):
    """A piece of a cartridge. `data` is shorter than data_size while the account grows."""

    def _check_tail(self, address: object) -> None:
        if len(self.data) > self.data_size or (self.finalized and len(self.data) != self.data_size):
            self._refuse_tail(address, f"data_size {self.data_size}", len(self.data))


class EngineImage(structs.EngineImage, frozen=True, gc=False):
    """A part of a cartridge's image for the engine program. All fields except content, payer and part are copies of
    part 0's.
    """

    def _check_tail(self, address: object) -> None:
        if self.complete and len(self.data) != self.size:
            self._refuse_tail(address, f"size {self.size}", len(self.data))


class EngineRun(structs.EngineRun, frozen=True, gc=False):
    """A run of the engine program, which computes frames. `work` begins with the block of `frame`."""

    def _check_tail(self, address: object) -> None:
        """The length of the tail depends on the image, which is not known here."""


class Checkpoint(structs.Checkpoint, frozen=True, gc=False):
    """The recurrent state before the backbone reads frame `frame`, and that frame itself."""

    def _check_tail(self, address: object) -> None:
        behind = len(self.state) - self.data_size
        if behind > 2 * MAX_EXTRA_SIZE or (self.finalized and (behind < 0 or behind % 2)):
            self._refuse_tail(address, f"data_size {self.data_size}", len(self.state))

    @property
    def recurrent(self) -> bytes:
        """The recurrent state alone, `data_size` bytes."""
        return self.state[: self.data_size]

    @property
    def extra(self) -> bytes:
        """Both players' extra feedback of `frame`, which follows the state; empty for most worlds."""
        return self.state[self.data_size :]

    @property
    def hashed(self) -> bytes:
        """The bytes that data_hash covers: the account's data from `frame` on."""
        return self.encode()[self.LAYOUT.offset("frame") :]


def check_players(players: bytes, address: object = None) -> None:
    """Refuses a pair of PlayerStates (64 bytes) that is out of range.

    Raises:
        LayoutError: names the field.
    """
    if structs.player_states_in_range(players):
        return
    size = layouts.PLAYER_STATE.size
    for number in (0, 1):
        layouts.PLAYER_STATE.unpack(
            players[size * number : size * (number + 1)], f"{number + 1} of {address or 'session'}"
        )


_SESSION_HEAD = layouts.SESSION_STATE.part("status", "frame")
_INPUT_HEAD = layouts.INPUT_BUFFER.part("frame", ("player1", "player2"), "p1_ready", "p2_ready")


def peek_session(data: Buffer) -> tuple[int, int]:
    """Returns (status, frame) of SessionState data. Checks only the length; raises LayoutError if the data is too
    short.
    """
    status, frame = _SESSION_HEAD.unpack(data)
    return status, frame


def peek_inputs(data: Buffer) -> tuple[int, bytes, int, int]:
    """(frame, both inputs (16 bytes), p1_ready, p2_ready) of InputBuffer data. Raises LayoutError when it is short."""
    frame, inputs, p1_ready, p2_ready = _INPUT_HEAD.unpack(data)
    return frame, inputs, p1_ready, p2_ready
