"""The recorder reads every record in order, across the ring's end, and reports lost ones."""

from __future__ import annotations

import asyncio

import pytest
from client.localnet import Arena

from awm_crank.client import session
from awm_crank.client.recorder import Recorder
from awm_crank.errors import AccountError, MatchFileError
from awm_crank.match.verify import verify_file
from awm_crank.net.rpc import RpcClient


async def test_records_become_a_match_file_that_verifies(arena: Arena) -> None:
    """Records that are polled in pieces make a file that the engine recomputes to the last byte."""
    async with arena.chain() as chain, RpcClient(arena.net.http) as rpc:
        made, crank, _, _ = await arena.played(chain, 4)
        recorder = Recorder(rpc, made.entity)
        assert await recorder.poll() == 4
        assert await recorder.poll() == 0
        await crank.frames(3)
        match = await recorder.match_file(arena.cartridge.sha256)
        view = await session.show(chain, made.session)
    assert view.hidden is not None
    assert (recorder.first, recorder.last, match.meta.frames) == (1, 7, 7)
    assert match.meta.chain_hash == view.hidden.chain_hash.hex()
    assert verify_file(match, arena.engine, arena.cartridge.sha256).difference is None


async def test_across_the_rings_end(arena: Arena) -> None:
    """A recorder that keeps up also reads correctly when the ring wraps around. Recorders that fall behind name the
    lost frames.
    """
    async with arena.chain() as chain, RpcClient(arena.net.http) as rpc:
        made, crank, _, _ = await arena.played(chain, 2)
        recorder, slow, late = (Recorder(rpc, made.entity) for _ in range(3))
        await slow.poll()
        await crank.burst(198)
        await crank.checkpoint()
        await recorder.poll()
        await crank.burst(80)
        match = await recorder.match_file(arena.cartridge.sha256)
        with pytest.raises(
            MatchFileError, match="overwrote frames before they were recorded; expected frame 3, found frames 25"
        ):
            await slow.poll()
        with pytest.raises(MatchFileError, match=r"lost frame 1; expected frame 1, found frames 25\.\.280\. Try"):
            await late.match_file(arena.cartridge.sha256)
    assert (match.meta.frames, len(recorder.records)) == (280, 280)
    assert verify_file(match, arena.engine, arena.cartridge.sha256).difference is None


async def test_follow_until_the_end(arena: Arena) -> None:
    """Following returns the ended session once every record is read."""
    async with arena.chain() as chain, RpcClient(arena.net.http) as rpc:
        made, crank, _, _ = await arena.played(chain, 0, max_frames=6)
        recorder = Recorder(rpc, made.entity)
        following = asyncio.create_task(recorder.follow(interval_s=0.02))
        await crank.frames(6)
        ended = await asyncio.wait_for(following, 5)
    assert (ended.frame, recorder.last) == (6, 6)


async def test_no_log(arena: Arena) -> None:
    """The error names the address of a session that does not exist."""
    async with RpcClient(arena.net.http) as rpc:
        recorder = Recorder(rpc, arena.model)
        with pytest.raises(AccountError, match="is gone"):
            await recorder.poll()


async def test_session_nobody_joined(arena: Arena) -> None:
    """Before player 2 has joined there is no match to write."""
    async with arena.chain() as chain, RpcClient(arena.net.http) as rpc:
        writer = arena.net.funded()
        made = await session.create(chain, arena.net.funded(), arena.world, arena.model, writer=writer.pubkey())
        with pytest.raises(MatchFileError, match=f"session {made.session} never began. Try: export it once player 2"):
            await Recorder(rpc, made.entity).match_file(arena.cartridge.sha256)
