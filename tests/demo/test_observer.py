"""The observer judges only by what the chain shows."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey

from awm_crank.demo.observer import MatchWatch, final_state_sha256
from awm_crank.errors import CheckpointError
from awm_crank.wire.accounts import ACTIVE, ENDED, Checkpoint, HiddenState, InputBuffer, SessionState
from awm_crank.wire.start import start_players

ENTITY = Pubkey.from_bytes(bytes(range(32)))
PLAYERS = start_players(1, 2)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def session(frame: int, status: int = ACTIVE) -> SessionState:
    """A session at a frame."""
    zero = Pubkey.default()
    return SessionState(
        status=status, frame=frame, max_frames=0, player1=zero, player2=zero, stage=32, players=PLAYERS, model=zero,
        created_at=0, last_update=0, seed=0, entity=ENTITY, payer=zero, invited=zero,
        last_fresh=0, challenge_s=300, bolt_metadata=zero,
    )  # fmt: skip


def inputs(frame: int, ready: tuple[bool, bool], following: tuple[bool, bool] = (False, False)) -> bytes:
    """An input buffer for a frame, with the inputs that have arrived."""
    zero = Pubkey.default()
    return InputBuffer(
        frame=frame, player1=bytes(8), player2=bytes(8), p1_ready=ready[0], p2_ready=ready[1], entity=ENTITY,
        next_player1=bytes(8), next_player2=bytes(8), next_p1_ready=following[0], next_p2_ready=following[1],
        payer=zero, bolt_metadata=zero,
    ).encode()  # fmt: skip


def watched() -> tuple[MatchWatch, Clock]:
    """A watch with a schedule of one period a second from 0."""
    clock = Clock()
    watch = MatchWatch(ENTITY, clock=clock)
    watch.accounting.period_s = 1.0
    watch.accounting.set_schedule(0.0)
    return watch, clock


def test_latency_starts_with_the_last_input() -> None:
    """A frame waits for the second player's input, so latency starts with it."""
    watch, clock = watched()
    for clock.now, ready in ((1.1, (True, False)), (1.5, (True, True))):
        watch.inputs_changed(inputs(1, ready))
    clock.now = 1.75
    watch.session_changed(session(1).encode())
    assert watch.accounting.judged[0].latency_s == 0.25


def test_input_that_waited_for_the_next_frame_counts_from_when_it_came() -> None:
    """If an input arrives early, for the next frame, its latency is measured from the input's own notification."""
    watch, clock = watched()
    clock.now = 1.2
    watch.inputs_changed(inputs(1, (True, True), (True, True)))
    clock.now = 1.3
    watch.session_changed(session(1).encode())
    clock.now = 1.9
    watch.inputs_changed(inputs(2, (True, True)))
    clock.now = 2.4
    watch.session_changed(session(2).encode())
    assert watch.accounting.judged[1].latency_s == pytest.approx(0.4)


async def test_end_of_the_match_is_seen() -> None:
    """The watch is over when the session shows Ended, and its last frame counts."""
    watch, clock = watched()
    clock.now = 1.5
    watch.session_changed(session(1, ENDED).encode())
    assert watch.over.is_set()
    assert watch.accounting.last_frame == 1


def final(**changes: Any) -> tuple[SessionState, HiddenState, Checkpoint]:
    """The three accounts after a match's last frame, 9, with changes to the checkpoint."""
    zero = Pubkey.default()
    feedback = bytes(range(16))
    values: dict[str, Any] = {
        "entity": ENTITY, "side": 1, "finalized": True, "reserved": 0, "data_size": 5, "data_hash": bytes(32),
        "payer": zero, "frame": 9, "inputs": bytes(16), "players": PLAYERS, "feedback": feedback,
        "chain_hash": bytes(32), "reserved2": 0, "state": b"state",
    }  # fmt: skip
    good = Checkpoint(**values)
    hidden = HiddenState(
        num_layers=2, d_inner=256, d_state=16, data_size=5, frame=9, initialized=True, entity=ENTITY, writer=zero,
        epoch=1, chain_hash=bytes(32), feedback=feedback, checkpoint_frame=9,
        checkpoint_hash=hashlib.sha256(good.hashed).digest(), checkpoint_side=1, payer=zero,
        cartridge_hash=bytes(32), holds=2, bolt_metadata=zero,
    )  # fmt: skip
    return session(9, ENDED), hidden, msgspec.structs.replace(good, **changes)


def test_final_hash_is_the_documented_one() -> None:
    """The hash is SHA-256 over frame, players, recurrent state and feedback, in that order."""
    expected = hashlib.sha256((9).to_bytes(4, "little") + PLAYERS + b"state" + bytes(range(16))).hexdigest()
    assert final_state_sha256(*final()) == expected


@pytest.mark.parametrize("changes", [{"frame": 8}, {"finalized": False}, {"state": b"stats"}, {"inputs": b"1" * 16}])
def test_checkpoint_that_contradicts_the_header_is_refused(changes: dict[str, Any]) -> None:
    """There is no hash if the checkpoint is unfinished, belongs to another frame, or holds other bytes."""
    with pytest.raises(CheckpointError, match="checkpoint of"):
        final_state_sha256(*final(**changes))
