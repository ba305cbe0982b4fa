"""Typed, frozen views of every account the crank touches, and of the blocks inside them.

Each class has `decode(data, *, owner=None, address=None)` and `encode()`; fields carry the IDL's names, in its order.
Nested blocks (PlayerStates, inputs, feedback) stay bytes, which is what the frame path passes on; `PlayerState.decode`
and its like look inside. `peek_*` read a few fields from data that is known to be of that kind.

Layouts, units and ranges: docs/formats.md.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Self

import msgspec
from solders.pubkey import Pubkey

from ..errors import LayoutError
from . import layouts
from .layouts import Buffer, Layout
from .worlds import Entity as Entity
from .worlds import Registry as Registry
from .worlds import World as World

RECORD_SIZE = layouts.FRAME_RECORD.size
CREATED, WAITING_PLAYERS, ACTIVE, ENDED = range(4)
"""SessionState.status."""
FRESH, HELD, NEUTRAL = range(3)
"""Where a player's input of a frame came from."""
NEUTRAL_INPUT = bytes(8)


class Block(msgspec.Struct, frozen=True, gc=False):
    """A struct that is no account of its own."""

    LAYOUT: ClassVar[Layout]

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """From exactly the struct's bytes. Raises LayoutError on another length or a value out of range."""
        if len(data) != cls.LAYOUT.size:
            raise LayoutError(cls.LAYOUT.name, expected=f"{cls.LAYOUT.size} bytes", found=f"{len(data)} bytes")
        return cls(*cls.LAYOUT.unpack(data))

    def encode(self) -> bytes:
        """The struct's bytes. Raises LayoutError when a value does not fit or is out of range."""
        return self.LAYOUT.pack(msgspec.structs.astuple(self))


class PlayerState(Block, frozen=True, gc=False):
    """32 bytes. x, y: game units * 256; shield_strength * 256; speeds in units/frame * 256."""

    LAYOUT: ClassVar[Layout] = layouts.PLAYER_STATE
    x: int = 0
    y: int = 0
    percent: int = 0
    shield_strength: int = 0
    speed_air_x: int = 0
    speed_y: int = 0
    speed_ground_x: int = 0
    speed_attack_x: int = 0
    speed_attack_y: int = 0
    state_age: int = 0
    hitlag: int = 0
    stocks: int = 0
    facing: int = 0
    on_ground: int = 0
    action_state: int = 0
    jumps_left: int = 0
    character: int = 0


class ControllerInput(Block, frozen=True, gc=False):
    """8 bytes. Sticks -128..127 (a full tilt is ±80), triggers 0..255, buttons as bits."""

    LAYOUT: ClassVar[Layout] = layouts.CONTROLLER_INPUT
    stick_x: int = 0
    stick_y: int = 0
    c_stick_x: int = 0
    c_stick_y: int = 0
    trigger_l: int = 0
    trigger_r: int = 0
    buttons: int = 0
    buttons_ext: int = 0


class Feedback(Block, frozen=True, gc=False):
    """8 bytes: what the model feeds back and PlayerState has no room for."""

    LAYOUT: ClassVar[Layout] = layouts.FEEDBACK
    percent_frac: int = 0
    invulnerable: int = 0
    combo_count: int = 0
    l_cancel: int = 0
    hurtbox: int = 0
    ground: int = 0
    last_attack: int = 0
    reserved: int = 0


class FrameRecord(Block, frozen=True, gc=False):
    """96 bytes: all there is to know of a frame, and the first 8 bytes of the chain hash after it."""

    LAYOUT: ClassVar[Layout] = layouts.FRAME_RECORD
    frame: int
    input1: bytes
    input2: bytes
    source1: int
    source2: int
    stage: int
    reserved: int
    player1: bytes
    player2: bytes
    chain_hash: bytes

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


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account whose data is one struct of fixed size."""

    LAYOUT: ClassVar[Layout]

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """From an account's data.

        Args:
            data: all of it.
            owner: its owner, checked when given.
            address: its address, for the error's text.

        Raises:
            AccountError: wrong owner or discriminator.
            LayoutError: too short, too long, or a value out of range.
        """
        cls.LAYOUT.check_account(data, owner, address)
        return cls(*cls.LAYOUT.unpack(data, address))

    def encode(self) -> bytes:
        """The account's data. Raises LayoutError when a value does not fit or is out of range."""
        return self.LAYOUT.pack(msgspec.structs.astuple(self))

    def body(self) -> bytes:
        """The struct without its discriminator: what `update` takes and a system returns."""
        return self.encode()[8:]


class TailAccount(Account, frozen=True, gc=False):
    """An account with bytes behind its struct, held in the last field."""

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """From an account's data; as `Account.decode`, and the bytes behind the struct must fit what it says."""
        cls.LAYOUT.check_account(data, owner, address, tail=True)
        account = cls(*cls.LAYOUT.unpack(data, address), bytes(data[cls.LAYOUT.size :]))
        account._check_tail(address)
        return account

    @classmethod
    def decode_head(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """The struct alone, for data fetched with a dataSlice; the last field is empty whatever follows."""
        cls.LAYOUT.check_account(data, owner, address, tail=True)
        return cls(*cls.LAYOUT.unpack(data, address), b"")

    def encode(self) -> bytes:
        """The account's data, tail included."""
        *head, tail = msgspec.structs.astuple(self)
        return self.LAYOUT.pack(head) + bytes(tail)

    def _check_tail(self, address: object) -> None:
        raise NotImplementedError

    def _refuse_tail(self, address: object, expected: str, found: int) -> None:
        raise LayoutError(f"{self.LAYOUT._where(address)}: bytes behind the struct", expected=expected, found=found)


class SessionState(Account, frozen=True, gc=False):
    """A match. `players` is 2 * PlayerState, checked against its ranges."""

    LAYOUT: ClassVar[Layout] = layouts.SESSION_STATE
    status: int
    frame: int
    max_frames: int
    player1: Pubkey
    player2: Pubkey
    stage: int
    players: bytes
    model: Pubkey
    created_at: int
    last_update: int
    seed: int
    entity: Pubkey
    bolt_metadata: Pubkey

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """As `Account.decode`; both PlayerStates are in range too."""
        cls.LAYOUT.check_account(data, owner, address)
        session = cls(*cls.LAYOUT.unpack(data, address))
        check_players(session.players, address)
        return session


class HiddenState(Account, frozen=True, gc=False):
    """A match's writer, epoch, chain hash, feedback (2 * Feedback) and last checkpoint."""

    LAYOUT: ClassVar[Layout] = layouts.HIDDEN_STATE
    num_layers: int
    d_inner: int
    d_state: int
    data_size: int
    frame: int
    initialized: bool
    entity: Pubkey
    writer: Pubkey
    epoch: int
    chain_hash: bytes
    feedback: bytes
    checkpoint_frame: int
    checkpoint_hash: bytes
    checkpoint_slot: int
    bolt_metadata: Pubkey


class InputBuffer(Account, frozen=True, gc=False):
    """Both players' inputs for `frame`, the coming one, and those that wait for the one after."""

    LAYOUT: ClassVar[Layout] = layouts.INPUT_BUFFER
    frame: int
    player1: bytes
    player2: bytes
    p1_ready: bool
    p2_ready: bool
    entity: Pubkey
    next_player1: bytes
    next_player2: bytes
    next_p1_ready: bool
    next_p2_ready: bool
    bolt_metadata: Pubkey

    @property
    def inputs(self) -> bytes:
        """Both players' ControllerInputs for `frame`, 16 bytes, ready or not."""
        return self.player1 + self.player2


class FrameLog(TailAccount, frozen=True, gc=False):
    """The ring of the last `capacity` frames; 0 while it is not whole."""

    LAYOUT: ClassVar[Layout] = layouts.FRAME_LOG
    write_index: int
    total_frames: int
    session: Pubkey
    entity: Pubkey
    capacity: int
    bolt_metadata: Pubkey
    ring: bytes

    def _check_tail(self, address: object) -> None:
        if not self.capacity:
            return
        if len(self.ring) != self.capacity * RECORD_SIZE:
            self._refuse_tail(address, f"{self.capacity * RECORD_SIZE} (capacity {self.capacity})", len(self.ring))
        if self.write_index >= self.capacity:
            raise LayoutError(
                f"{self.LAYOUT._where(address)}: write_index",
                expected=f"below capacity {self.capacity}",
                found=self.write_index,
            )

    def holds(self) -> range:
        """The frames whose records stand in the ring."""
        return (
            range(max(1, self.total_frames - self.capacity + 1), self.total_frames + 1) if self.capacity else range(0)
        )

    def record(self, frame: int) -> bytes:
        """A frame's 96-byte record. Raises LayoutError when the ring no longer, or not yet, holds it."""
        held = self.holds()
        if frame not in held:
            span = f"frames {held.start}..{held.stop - 1}" if held else "no frames"
            raise LayoutError(f"record of frame {frame} in frame log", expected=span, found=frame)
        at = (frame - 1) % self.capacity * RECORD_SIZE
        data = self.ring[at : at + RECORD_SIZE]
        if int.from_bytes(data[:4], "little") != frame:
            raise LayoutError(
                f"record at index {(frame - 1) % self.capacity} of frame log",
                expected=f"frame {frame}",
                found=f"frame {int.from_bytes(data[:4], 'little')}",
            )
        return data


class ModelManifest(Account, frozen=True, gc=False):
    """What a cartridge is and where its shards are; sizes in bytes."""

    LAYOUT: ClassVar[Layout] = layouts.MODEL_MANIFEST
    name: bytes
    version: int
    d_model: int
    d_inner: int
    d_state: int
    num_layers: int
    num_heads: int
    num_shards: int
    shard_keys: tuple[Pubkey, ...]
    shard_sizes: tuple[int, ...]
    layer_input_scales: tuple[int, ...]
    layer_output_scales: tuple[int, ...]
    luts: bytes
    num_continuous: int
    num_action_states: int
    num_binary: int
    input_size: int
    authority: Pubkey
    ready: bool
    total_params: int
    total_weight_bytes: int
    entity: Pubkey
    cartridge_hash: bytes
    parent: Pubkey
    format_version: int
    bolt_metadata: Pubkey

    @property
    def title(self) -> str:
        """`name` as text, what is no UTF-8 replaced."""
        return self.name.rstrip(b"\0").decode("utf-8", "replace")


class WeightShard(TailAccount, frozen=True, gc=False):
    """A piece of a cartridge; `data` is shorter than data_size while the account grows."""

    LAYOUT: ClassVar[Layout] = layouts.WEIGHT_SHARD
    shard_index: int
    data_size: int
    authority: Pubkey
    finalized: bool
    data_hash: bytes
    entity: Pubkey
    merkle_root: bytes
    leaves_hashed: int
    frontier: bytes
    bolt_metadata: Pubkey
    data: bytes

    def _check_tail(self, address: object) -> None:
        if len(self.data) > self.data_size or (self.finalized and len(self.data) != self.data_size):
            self._refuse_tail(address, f"data_size {self.data_size}", len(self.data))


class Checkpoint(TailAccount, frozen=True, gc=False):
    """The recurrent state before the backbone reads frame `frame`, and that frame itself."""

    LAYOUT: ClassVar[Layout] = layouts.CHECKPOINT
    entity: Pubkey
    slot: int
    finalized: bool
    reserved: int
    data_size: int
    data_hash: bytes
    frame: int
    inputs: bytes
    players: bytes
    feedback: bytes
    chain_hash: bytes
    reserved2: int
    state: bytes

    def _check_tail(self, address: object) -> None:
        if len(self.state) > self.data_size or (self.finalized and len(self.state) != self.data_size):
            self._refuse_tail(address, f"data_size {self.data_size}", len(self.state))

    @property
    def hashed(self) -> bytes:
        """What data_hash covers: the account's bytes from `frame` on."""
        return self.encode()[self.LAYOUT.offset("frame") :]


_PLAYER_PAIR = struct.Struct("<" + layouts.PLAYER_STATE.body.format[1:] * 2)


def check_players(players: bytes, address: object = None) -> None:
    """Refuse a pair of PlayerStates (64 bytes) that is out of range.

    Raises:
        LayoutError: names the field.
    """
    v = _PLAYER_PAIR.unpack(players)
    if (
        v[2] <= 999 and v[3] <= 15360 and v[11] <= 4 and v[12] <= 1 and v[13] <= 1 and v[14] <= 399 and v[15] <= 7
        and v[16] <= 32
        and v[19] <= 999 and v[20] <= 15360 and v[28] <= 4 and v[29] <= 1 and v[30] <= 1 and v[31] <= 399
        and v[32] <= 7 and v[33] <= 32
    ):  # fmt: skip
        return
    for number in (0, 1):
        layouts.PLAYER_STATE.unpack(players[32 * number : 32 * number + 32], f"{number + 1} of {address or 'session'}")


_SESSION_HEAD = struct.Struct("<BI")
_INPUT_HEAD = struct.Struct("<I16sBB")


def peek_session(data: Buffer) -> tuple[int, int]:
    """(status, frame) of SessionState data; nothing is checked but the length. Raises LayoutError when short."""
    status, frame = _peek(_SESSION_HEAD, data, "SessionState")
    return status, frame


def peek_inputs(data: Buffer) -> tuple[int, bytes, int, int]:
    """(frame, both inputs (16 bytes), p1_ready, p2_ready) of InputBuffer data. Raises LayoutError when short."""
    frame, inputs, p1_ready, p2_ready = _peek(_INPUT_HEAD, data, "InputBuffer")
    return frame, inputs, p1_ready, p2_ready


def _peek(head: struct.Struct, data: Buffer, name: str) -> tuple[Any, ...]:
    try:
        return head.unpack_from(data, 8)
    except struct.error:
        raise LayoutError(name, expected=f"at least {8 + head.size} bytes", found=len(data)) from None
