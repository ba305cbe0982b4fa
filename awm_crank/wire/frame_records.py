"""Frame blocks, frame records and the chain hash (docs/formats.md, "Common blocks" and "The chain hash").

A *frame block* is the form of a frame that the engine reads and writes, 97 bytes. A *frame record* is the form that the
frame log and the match file store, 96 bytes. Where a world's model feeds more back to itself than the 16 bytes of
Feedback, both end with this *extra feedback*: `extra_size` bytes of player 1, then of player 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from solders.pubkey import Pubkey

from ..errors import LayoutError
from . import contract, layouts
from .accounts import FRESH, HELD, NEUTRAL, NEUTRAL_INPUT, FrameRecord, HiddenState, SessionState
from .codec import check_extra

BLOCK_SIZE = layouts.FRAME_BLOCK.size
RECORD_SIZE = layouts.FRAME_RECORD.size
GENESIS_TAG = contract.GENESIS_TAG
CARTRIDGE_TAG = contract.CARTRIDGE_TAG


def _sized(name: str, data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise LayoutError(name, expected=f"{size} bytes", found=f"{len(data)} bytes")
    return data


def genesis(
    session: Pubkey, model: Pubkey, stage: int, seed: int, max_frames: int, players: bytes, cartridge: bytes = b""
) -> bytes:
    """The chain hash at frame 0: set at JOIN, with the cartridge in it from `pin_cartridge` on.

    Args:
        session: key of the SessionState account.
        model: key of the manifest.
        stage, seed, max_frames: the session's values.
        players: both PlayerStates at the start, 64 bytes.
        cartridge: SHA-256 of the cartridge, 32 bytes; empty or zero where the match does not name one, which is so for
            a match off chain (its entity covers the cartridge) and for a session before `pin_cartridge`.

    Returns: 32 bytes. Raises LayoutError when a value does not fit.
    """
    named = any(cartridge)
    hashed = sha256(
        GENESIS_TAG
        + bytes(session)
        + bytes(model)
        + _number("stage", stage, 1)
        + _number("seed", seed, 8)
        + _number("max_frames", max_frames, 4)
        + _sized("players", players, 64)
    ).digest()
    return sha256(CARTRIDGE_TAG + hashed + _sized("cartridge", cartridge, 32)).digest() if named else hashed


def advance(
    previous: bytes, frame: int, inputs: bytes, sources: bytes, players: bytes, feedback: bytes, extra: bytes = b""
) -> bytes:
    """The chain hash after a frame.

    It is SHA-256(previous 32, frame u32, inputs 16, sources 2, players 64, feedback 16, extra feedback).

    Raises LayoutError when a part has another size.
    """
    data = previous + _number("frame", frame, 4) + inputs + sources + players + feedback + extra
    check_extra("extra feedback", len(extra))
    if len(previous) != 32 or len(inputs) != 16 or len(sources) != 2 or len(players) != 64 or len(feedback) != 16:
        raise LayoutError(
            "parts of the chain hash", expected="32, 16, 2, 64, 16 bytes",
            found=", ".join(str(len(part)) for part in (previous, inputs, sources, players, feedback)),
        )  # fmt: skip
    return sha256(data).digest()


def final_state_sha256(frame: int, players: bytes, state: bytes, feedback: bytes, extra: bytes = b"") -> str:
    """Hex SHA-256 over a frame: its number, players (64), recurrent state, feedback (16) and extra feedback.

    The recurrent state is that of a checkpoint at that frame.
    """
    return sha256(
        _number("frame", frame, 4) + _sized("players", players, 64) + state + _sized("feedback", feedback, 16) + extra
    ).hexdigest()


def record(
    frame: int, inputs: bytes, sources: bytes, stage: int, players: bytes, chain_hash: bytes, extra: bytes = b""
) -> bytes:
    """A frame's record: 96 bytes, and the extra feedback.

    Args:
        frame: its number.
        inputs: both ControllerInputs that led to it, 16 bytes.
        sources: where each came from, 2 bytes of 0..2.
        stage: the session's stage.
        players: both PlayerStates, 64 bytes.
        chain_hash: the chain hash after this frame; 32 bytes, or the first 8 of them.
        extra: both players' extra feedback.

    Raises:
        LayoutError: a part does not fit.
    """
    _sized("inputs", inputs, 16), _sized("sources", sources, 2), _sized("players", players, 64)
    own, one = layouts.CONTROLLER_INPUT.size, layouts.PLAYER_STATE.size
    return FrameRecord(
        frame=frame, input1=inputs[:own], input2=inputs[own:], source1=sources[0], source2=sources[1], stage=stage,
        reserved=0, player1=players[:one], player2=players[one:], chain_hash=chain_hash[:8], extra=extra,
    ).encode()  # fmt: skip


def block(players: bytes, feedback: bytes, inputs: bytes, stage: int, extra: bytes = b"") -> bytes:
    """A frame block: 97 bytes, and both players' extra feedback. Raises LayoutError when a part does not fit."""
    return layouts.FRAME_BLOCK.pack((players, feedback, inputs, stage)) + extra


_PLAYERS, _FEEDBACK, _INPUTS = (
    slice(span.offset, span.offset + span.size)
    for span in map(layouts.FRAME_BLOCK.span, ("players", "feedback", "inputs"))
)


def block_players(data: bytes) -> bytes:
    """Both PlayerStates of a frame block, 64 bytes."""
    return data[_PLAYERS]


def block_feedback(data: bytes) -> bytes:
    """Both Feedbacks of a frame block, 16 bytes."""
    return data[_FEEDBACK]


def block_inputs(data: bytes) -> bytes:
    """Both inputs that led to a frame block, 16 bytes."""
    return data[_INPUTS]


def block_extra(data: bytes) -> bytes:
    """Both players' extra feedback of a frame block, empty for most worlds."""
    return data[BLOCK_SIZE:]


def block_of_session(session: SessionState, hidden: HiddenState, inputs: bytes, extra: bytes = b"") -> bytes:
    """The frame block of the state on chain.

    `inputs` (16 bytes) and `extra` are those of the frame's record; at frame 0 they are neutral and zero.

    Raises:
        LayoutError: the two accounts are at different frames.
    """
    if session.frame != hidden.frame:
        raise LayoutError(
            "frame of HiddenState",
            expected=f"{session.frame}, as SessionState",
            found=hidden.frame,
            hint="fetch both accounts at one slot",
        )
    return block(session.players, hidden.feedback, inputs, session.stage, extra)


def chosen_inputs(buffer_inputs: bytes, ready: Iterable[bool], *, hold: bool) -> tuple[bytes, bytes]:
    """Inputs (16 bytes) and sources (2 bytes) of a frame, from what the input buffer holds.

    If a player has sent an input, it is used as fresh. Otherwise the last input is held (`hold`), or a neutral one is
    used.
    """
    inputs, sources = b"", b""
    for number, fresh in enumerate(ready):
        own = buffer_inputs[8 * number : 8 * number + 8]
        inputs += own if fresh or hold else NEUTRAL_INPUT
        sources += bytes((FRESH if fresh else HELD if hold else NEUTRAL,))
    return inputs, sources


def _number(name: str, value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "little")
    except OverflowError:
        raise LayoutError(name, expected=f"a u{8 * size}", found=value) from None
