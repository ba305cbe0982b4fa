"""The limit: how many of a match's transactions an endpoint takes when nobody computes, watches or checkpoints.

A frame is two submit-inputs, each signed by its player, and one run-inference. They are sent in JSON-RPC batches: the
inputs of a group of sessions, then their frames. Several groups run at once, so that the endpoint always has work.
Everything is signed before the clock starts, in slices since blockhashes expire. Only the time to send counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec
from solders.keypair import Keypair

from awm_crank.bench.place import BenchPlace, Pairing, patiently
from awm_crank.bench.processes import usage
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import bolt, ids, jsonrpc, programs
from awm_crank.wire.accounts import RECORD_SIZE, SessionState, peek_session
from awm_crank.wire.args import FrameArgs, Input
from awm_crank.wire.transaction import Signer, Template, args_range

GROUP = 8
"""Sessions in one batch: 16 inputs, then 8 frames."""
GROUPS = 3
RING = 768
"""The fewest records that a ring holds: the most frames that a session takes without a checkpoint."""
_SLICE_FRAMES = 24
"""Frames of each session that are signed at a time."""
_UNITS = 600_000
_GROWS_AT_ONCE = 8
_PAIR = (ids.SESSION_STATE, ids.INPUT_BUFFER)
_SETTLE_S = 5.0


class Limit(msgspec.Struct, frozen=True):
    """How many transactions the endpoint took."""

    sent: int
    landed: int
    seconds: float
    transactions_per_s: float
    refused: int
    validator_cpu: float
    """cores, while transactions were sent"""
    generator_cpu: float


class _Session:
    """Templates of one session's frames, with constant players."""

    def __init__(self, place: BenchPlace, match: Pairing, writer: Signer, state: SessionState) -> None:
        entity = match.accounts.entity
        self.match = match
        self.frame = 0
        self._writer, self._players = writer, [Signer(bytes(player)) for player in match.players]
        self._states = state.players
        self._inputs = [
            Template(
                [bolt.apply_entity(ids.SUBMIT_INPUT, each.pubkey, place.world, entity, _PAIR, self._input(each, 1))],
                each.pubkey, patch=args_range(0, Input.LAYOUT.size), compute_units=_UNITS,
            )
            for each in self._players
        ]  # fmt: skip
        args = self._frame(1)
        apply = bolt.apply_entity(ids.RUN_INFERENCE, writer.pubkey, place.world, entity, ids.SESSION_COMPONENTS, args)
        self._run = Template([apply], writer.pubkey, patch=args_range(0, len(args)), compute_units=_UNITS)

    def _input(self, player: Signer, frame: int) -> bytes:
        return Input(player.pubkey, bytes(8), frame).to_binary()

    def _frame(self, frame: int) -> bytes:
        return FrameArgs(frame, 0, bytes(16), bytes(2), self._states, bytes(16)).to_binary()

    def sign(self, blockhash: bytes) -> tuple[list[bytes], bytes]:
        """The next frame's inputs, and its run-inference, as request bodies."""
        self.frame += 1
        inputs = [
            # without preflight, as players send (client/player.py)
            jsonrpc.send_transaction(
                1, template.sign(blockhash, (player,), self._input(player, self.frame)), skip_preflight=True
            )
            for template, player in zip(self._inputs, self._players, strict=True)
        ]
        signed = self._run.sign(blockhash, (self._writer,), self._frame(self.frame))
        return inputs, jsonrpc.send_transaction(2, signed)


async def prepare(place: BenchPlace, count: int, writer: Keypair, ring: int = RING) -> list[Pairing]:
    """Sessions that have begun and whose ring is grown. Raises AwmError."""
    return [await _begin(place, seed, writer, ring) for seed in range(count)]


async def _begin(place: BenchPlace, seed: int, writer: Keypair, ring: int) -> Pairing:
    key = writer.pubkey()
    match = await place.pairing(seed, key, ring=ring, checkpoint_bytes=1024)
    pin = programs.pin_cartridge(key, match.accounts.entity, place.model)
    await patiently(lambda: place.chain.send([pin], writer))
    grow = programs.ring_grow(key, match.accounts.entity, ring)
    needed = -(-ring * RECORD_SIZE // programs.GROWTH)
    for at in range(0, needed, _GROWS_AT_ONCE):
        some = [grow] * min(_GROWS_AT_ONCE, needed - at)
        await patiently(lambda some=some: place.chain.send(some, writer))  # type: ignore[misc]
    await place.begin(match)
    return match


async def measure(place: BenchPlace, seconds: float, ring: int) -> Limit:
    """Sends for about `seconds`, or until RING frames are sent. Raises AwmError.

    Args:
        place: the validator.
        ring: records in each session's ring, at least RING. Its size matters, since every frame's transaction loads it.
    """
    writer = await asyncio.to_thread(place.net.funded)
    matches = await prepare(place, GROUP * GROUPS, writer, ring)
    signer = Signer(bytes(writer))
    accounts = await place.chain.accounts([match.accounts.session for match in matches])
    sessions = [
        _Session(place, match, signer, SessionState.decode(account.data))
        for match, account in zip(matches, accounts, strict=True)
        if account is not None
    ]
    groups = [sessions[at : at + GROUP] for at in range(0, len(sessions), GROUP)]
    spent, frames, refused = 0.0, 0, 0
    validator_s = generator_s = 0.0
    async with RpcClient(place.net.http) as rpc:
        while spent < seconds and frames + _SLICE_FRAMES <= RING:
            blockhash = (await rpc.ask(jsonrpc.get_latest_blockhash())).value.raw
            signed = [_batches(group, blockhash) for group in groups]
            busy, own = usage(place.validators).cpu_s, time.process_time()
            began = time.perf_counter()
            refused += sum(await asyncio.gather(*(_send(rpc, batches) for batches in signed)))
            spent += time.perf_counter() - began
            validator_s += usage(place.validators).cpu_s - busy
            generator_s += time.process_time() - own
            frames += _SLICE_FRAMES
        sending_s = spent
        began = time.perf_counter()
        landed = await _landed(place, matches, frames * len(sessions))
        # transactions that land after the last answer count for the rate, too
        spent += time.perf_counter() - began
    sent = 3 * frames * len(sessions)
    return Limit(sent, landed * 3, spent, landed * 3 / spent, refused, validator_s / sending_s, generator_s / sending_s)


def _batches(group: Sequence[_Session], blockhash: bytes) -> list[bytes]:
    out = []
    for _ in range(_SLICE_FRAMES):
        signed = [each.sign(blockhash) for each in group]
        out.append(jsonrpc.batch([body for inputs, _ in signed for body in inputs]))
        out.append(jsonrpc.batch([body for _, body in signed]))
    return out


async def _send(rpc: RpcClient, batches: list[bytes]) -> int:
    refused = 0
    for body in batches:
        refused += (await rpc.post(body)).count(b'"error"')
    return refused


async def _landed(place: BenchPlace, matches: Sequence[Pairing], wanted: int) -> int:
    """The number of frames on chain, once all have landed or the time is over."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        found = await place.chain.accounts([match.accounts.session for match in matches])
        frames = sum(peek_session(account.data)[1] for account in found if account is not None)
        if frames >= wanted or time.monotonic() > deadline:
            return frames
        await asyncio.sleep(0.005)
