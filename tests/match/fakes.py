"""An engine without a model, and matches played with it: everything that `verify` checks, in milliseconds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from awm_crank.match import file
from awm_crank.match.verify import Snapshot
from awm_crank.wire import bolt, frame_records, ids
from awm_crank.wire.accounts import (
    RECORD_SIZE,
    Checkpoint,
    FrameLog,
    HiddenState,
    InputBuffer,
    LogPayments,
    PlayerState,
    SessionState,
)
from awm_crank.wire.start import start_players

CARTRIDGE = hashlib.sha256(b"the fake engine's cartridge").digest()


class FakeEngine:
    """An engine whose state is a running hash, from which the next frame's few numbers are drawn."""

    state_size = 32
    extra_size = 0

    def __init__(self, ko_at: int = 0) -> None:
        self.ko_at = ko_at

    def start_state(self, block: bytes) -> Any:
        return bytearray(hashlib.sha256(b"warm" + block).digest())

    def backbone(self, state: Any, block: bytes) -> Any:
        state[:] = hashlib.sha256(bytes(state) + block).digest()
        return bytes(state)

    def heads(self, ctx: Any, block: bytes, inputs: bytes) -> bytes:
        drawn = hashlib.sha256(ctx + block + inputs).digest()
        players = b""
        for n in (0, 1):
            p = PlayerState.decode(block[32 * n : 32 * n + 32])
            age = p.state_age + 1
            stocks = 0 if n == 1 and self.ko_at and age == self.ko_at else p.stocks
            players += PlayerState(
                x=p.x + drawn[n] - 128, y=drawn[2 + n], percent=drawn[4 + n], shield_strength=p.shield_strength,
                speed_air_x=drawn[6 + n], state_age=age, stocks=stocks, facing=drawn[8 + n] & 1,
                on_ground=1, action_state=drawn[10 + n], jumps_left=2, character=p.character,
            ).encode()  # fmt: skip
        feedback = bytes((drawn[12], 0, 0, 0, 0, 0, 0, 0, drawn[13], 0, 0, 0, 0, 0, 0, 0))
        return frame_records.block(players, feedback, inputs, block[96])

    def dump(self, state: Any) -> bytes:
        return bytes(state)

    def load(self, data: bytes) -> Any:
        return bytearray(data)

    def copy(self, state: Any) -> Any:
        return bytearray(state)


@dataclass
class Match:
    """A played match: its file, and the accounts that the chain would hold."""

    file: file.MatchFile
    snapshot: Snapshot


def play(frames: int, *, capacity: int = 512, checkpoints: tuple[int, int] = (0, 0), max_frames: int = 0) -> Match:
    """Plays `frames` frames; `checkpoints` are the frames of A and B, 0 for none."""
    engine = FakeEngine()
    entity, model = Pubkey(bytes([7] * 32)), Pubkey(bytes([8] * 32))
    player1, player2, writer = (Pubkey(bytes([n] * 32)) for n in (1, 2, 3))
    session = bolt.component_pda(ids.SESSION_STATE, entity)
    start, stage, seed = start_players(2, 20), 32, 2**63 + 5
    block = frame_records.block(start, bytes(16), bytes(16), stage)
    state = engine.start_state(block)
    chain_hash = frame_records.genesis(session, model, stage, seed, max_frames, start, CARTRIDGE)
    records, saved, held = [], {}, [bytes(8), bytes(8)]
    for frame in range(1, frames + 1):
        sources = bytes((0 if frame % 3 else 1, (0, 2, 0, 1)[frame % 4]))
        inputs = b""
        for n in (0, 1):
            if sources[n] == 0:
                held[n] = hashlib.sha256(bytes((n, frame % 256))).digest()[:8]
            inputs += bytes(8) if sources[n] == 2 else held[n]
        ctx = engine.backbone(state, block)
        block = engine.heads(ctx, block, inputs)
        chain_hash = frame_records.advance(
            chain_hash, frame, inputs, sources, frame_records.block_players(block), frame_records.block_feedback(block)
        )
        records.append(
            frame_records.record(frame, inputs, sources, stage, frame_records.block_players(block), chain_hash)
        )
        if frame in checkpoints:
            saved[frame] = (engine.dump(state), block, chain_hash)
    accounts: list[Checkpoint | None] = []
    for side, frame in enumerate(checkpoints):
        if frame:
            data, at, hashed = saved[frame]
            parts: dict[str, Any] = {"frame": frame, "inputs": at[80:96], "players": at[:64], "feedback": at[64:80]}
            empty = Checkpoint(entity=entity, side=side, finalized=True, reserved=0, data_size=len(data), payer=writer,
                               data_hash=bytes(32), chain_hash=hashed, reserved2=0, state=data, **parts)  # fmt: skip
            accounts.append(seal(empty))
        else:
            accounts.append(None)
    last = max(checkpoints)
    newest = accounts[checkpoints.index(last)] if last else None
    ring = bytearray(RECORD_SIZE * capacity)
    for number, record in enumerate(records):
        ring[RECORD_SIZE * (number % capacity) : RECORD_SIZE * (number % capacity) + RECORD_SIZE] = record
    snapshot = Snapshot(
        session,
        SessionState(2, frames, max_frames, player1, player2, stage, block[:64], model, 0, 0, seed, entity, player1,
                     ids.ZERO_KEY, frames, 300, ids.WORLD),
        HiddenState(2, 256, 16, 32, frames, bool(last), entity, writer, 1, chain_hash, block[64:80], last,
                    newest.data_hash if newest else bytes(32), checkpoints.index(last) if last else 0, player1,
                    CARTRIDGE, 3, ids.WORLD),
        InputBuffer(frames + 1, bytes(8), bytes(8), False, False, entity, bytes(8), bytes(8), False, False, player1,
                    ids.WORLD),
        FrameLog(frames % capacity, frames, session, entity, capacity, ids.WORLD, bytes(ring),
                 LogPayments(player1, writer, 96 * 6960 * capacity).encode()),
        (accounts[0], accounts[1]),
        start,
    )  # fmt: skip
    built = file.build(
        session=session, entity=entity, player1=player1, player2=player2, model=model, cartridge_sha256=CARTRIDGE,
        seed=seed, stage=stage, max_frames=max_frames, start_players=start, records=records, chain_hash=chain_hash,
    )  # fmt: skip
    return Match(built, snapshot)


def seal(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the data_hash of its content."""
    return msgspec.structs.replace(checkpoint, data_hash=hashlib.sha256(checkpoint.hashed).digest())
