"""The players' client on the localnet: frames in order, one input for each, and what can go wrong."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from client.localnet import Arena
from client.minicrank import MiniCrank
from solders.keypair import Keypair

import awm_crank.client
from awm_crank.client import Frame, Match, join, session
from awm_crank.client.chain import Chain
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.errors import AccountError, ConfigError
from awm_crank.match.players import agent, controller
from awm_crank.wire.accounts import FrameRecord
from awm_crank.wire.transaction import Signer

FRAMES = 10
RIGHT, LEFT = controller(80), controller(-80)


async def serve(chain: Chain, crank: MiniCrank, frames: int, *, own: int | None = None) -> None:
    """A crank that waits for both players' inputs, or for those of one player (0 or 1)."""
    while crank.frame < frames:
        view = await session.show(chain, crank.accounts.session)
        assert view.inputs is not None
        ready = (view.inputs.p1_ready, view.inputs.p2_ready)
        if view.inputs.frame == crank.frame + 1 and (all(ready) if own is None else ready[own]):
            await crank.frames(1)
        else:
            await asyncio.sleep(0.005)


async def records(chain: Chain, made: session.SessionAccounts) -> list[FrameRecord]:
    """All records of a session."""
    log = (await session.show(chain, made.session)).log
    assert log is not None
    return [FrameRecord.decode(log.record(frame)) for frame in log.holds()]


async def collect(match: Match, step: Any) -> list[Frame]:
    """All frames of a match; `step` is called for each."""
    seen = []
    async for frame in match:
        seen.append(frame)
        step(match, frame)
    return seen


async def test_each_frame_takes_what_was_pressed(arena: Arena) -> None:
    """Every record holds, as a fresh input, what the bot decided after seeing the frame before."""

    def step(match: Match, frame: Frame) -> None:
        match.press(stick_x=80 if frame.them.x > frame.me.x else -80, buttons=1 if frame.number % 3 else 0)

    async with arena.chain() as chain:
        made, crank, player1, player2 = await arena.played(chain, 0, max_frames=FRAMES)
        other = ScriptedPlayer(Signer(bytes(player1)), 0, agent("spacing"))
        async with (
            PlayerConnection(arena.net.http, arena.net.ws) as connection,
            join(str(made.session), player2, arena.net.http) as match,
        ):
            playing = asyncio.create_task(connection.play(made.entity, arena.world, [other], 3))
            crank_task = asyncio.create_task(serve(chain, crank, FRAMES))
            seen = await asyncio.wait_for(collect(match, step), 30)
            await asyncio.wait_for(asyncio.gather(playing, crank_task), 5)
        written = await records(chain, made)
    assert [frame.number for frame in seen] == list(range(FRAMES + 1))
    assert [frame.over for frame in seen] == [False] * FRAMES + [True]
    assert [frame.skipped for frame in seen] == [0] * (FRAMES + 1)
    assert (match.player, match.outcome.sent, match.outcome.faults) == (1, FRAMES, ())
    for frame, record in zip(seen, written, strict=False):
        x, other_x = (int.from_bytes(frame.players[at : at + 4], "little", signed=True) for at in (32, 0))
        assert record.sources == b"\0\0"
        assert record.input2 == controller(80 if other_x > x else -80, buttons=1 if frame.number % 3 else 0)
    for frame, record in zip(seen[1:], written, strict=True):
        assert frame.players == record.players
    me, them = seen[0].me, seen[0].them
    assert (me.x, me.facing, me.stocks, me.shield_strength, me.character) == (30.0, 0, 4, 60.0, 20)
    assert (them.x, them.facing, them.character) == (-30.0, 1, 2)


async def test_what_is_held_is_sent(arena: Arena) -> None:
    """A bot that presses once, even before the first frame, keeps a crank going that waits for every input."""
    async with arena.chain() as chain:
        made, crank, player1, _ = await arena.played(chain, 0, max_frames=5)
        async with join(made.session, player1, arena.net.http) as match:
            match.hold(RIGHT)
            seen, _ = await asyncio.wait_for(
                asyncio.gather(collect(match, lambda *_: None), serve(chain, crank, 5, own=0)), 30
            )
        written = await records(chain, made)
    assert len(seen) == 6
    assert [(record.input1, record.source1) for record in written] == [(RIGHT, 0)] * 5


async def test_second_press_counts_from_the_frame_after(arena: Arena) -> None:
    """If a bot presses twice for one frame, the first input is used for that frame, and the second for the next one."""

    def step(match: Match, frame: Frame) -> None:
        if frame.number == 0:
            match.hold(RIGHT)
            match.hold(LEFT)

    async with arena.chain() as chain:
        made, crank, player1, _ = await arena.played(chain, 0, max_frames=3)
        async with join(made.session, player1, arena.net.http) as match:
            await asyncio.wait_for(asyncio.gather(collect(match, step), serve(chain, crank, 3, own=0)), 30)
        written = await records(chain, made)
    assert [record.input1 for record in written] == [RIGHT, LEFT, LEFT]
    assert match.outcome.faults == ()


async def test_slow_bot_skips_frames(arena: Arena) -> None:
    """A crank that does not wait for inputs continues while a bot is slow, and the bot learns how many frames it
    missed.
    """
    async with arena.chain() as chain:
        made, crank, player1, _ = await arena.played(chain, 0)
        async with join(made.session, player1, arena.net.http) as match:
            first = await anext(match)
            await crank.frames(4)
            while match.outcome.frame < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            # this press is too late for frames 1 to 4, so it counts for the coming frame
            match.hold(RIGHT)
            second = await asyncio.wait_for(anext(match), 5)
            await serve(chain, crank, 5, own=0)
        written = await records(chain, made)
    assert (first.number, second.number, second.skipped) == (0, 4, 3)
    assert [record.input1 for record in written] == [bytes(8)] * 4 + [RIGHT]
    assert [record.source1 for record in written] == [1, 1, 1, 1, 0]


async def test_lost_inputs_are_sent_again(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """A match goes on with the bot's inputs even when every other request is lost."""
    async with arena.chain() as chain:
        made, crank, player1, _ = await arena.played(chain, 0, max_frames=4)
        async with join(made.session, player1, arena.net.http, resend_s=0.05) as match:
            rpc = match._play._connection.rpc
            post, count = rpc.post, 0

            async def lossy(body: bytes, **more: float) -> bytes:
                nonlocal count
                count += b"sendTransaction" in body
                return b"[]" if b"sendTransaction" in body and count % 2 else await post(body, **more)

            monkeypatch.setattr(rpc, "post", lossy)

            def step(match: Match, frame: Frame) -> None:
                match.press(stick_x=frame.number)

            await asyncio.wait_for(asyncio.gather(collect(match, step), serve(chain, crank, 4, own=0)), 30)
        written = await records(chain, made)
    assert match.outcome.resent >= 4
    assert [record.input1 for record in written] == [controller(n) for n in range(4)]


async def test_takes_the_free_seat(arena: Arena) -> None:
    """A stranger becomes player 2 of a waiting session.

    Its first frame is the start, and END is the last thing it sees.
    """
    async with arena.chain() as chain:
        player1, player2 = arena.net.funded(), arena.net.funded()
        made = await session.create(chain, player1, arena.world, arena.model, writer=Keypair().pubkey())
        async with join(made.session, player1, arena.net.http) as waiting:
            beginning = asyncio.create_task(anext(waiting))
            async with join(made.session, player2, arena.net.http, character=7) as match:
                first = await asyncio.wait_for(anext(match), 5)
                assert (await asyncio.wait_for(beginning, 5)).players == first.players
                await session.end(chain, player1, arena.world, made.session)
                last = [frame async for frame in match]
            assert [frame.over async for frame in waiting] == [True]
        state = (await session.show(chain, made.session)).session
    assert (match.player, first.me.character, state.player2) == (1, 7, player2.pubkey())
    assert [(frame.number, frame.over, frame.skipped) for frame in last] == [(0, True, 0)]
    match.press(80)
    assert [frame async for frame in match] == []


async def test_refusals(arena: Arena) -> None:
    """A taken seat, a session that does not exist, and a malformed address are refused by name."""
    async with arena.chain() as chain:
        made, *_ = await arena.played(chain, 0)
        stranger = arena.net.funded()
        with pytest.raises(AccountError, match=f"session {made.session} has no free seat"):
            async with join(made.session, stranger, arena.net.http):
                pass
        with pytest.raises(AccountError, match="is not on"):
            async with join(Keypair().pubkey(), stranger, arena.net.http):
                pass
        with pytest.raises(Exception, match="session 'x' is not an address"):
            async with join("x", stranger, arena.net.http):
                pass
        with pytest.raises(ConfigError, match="no WebSocket endpoint"):
            async with join(made.session, stranger, "http://localhost"):
                pass


async def test_session_that_vanishes(arena: Arena) -> None:
    """A session that closes while it waits for its second player ends the loop without a frame."""
    async with arena.chain() as chain:
        player1 = arena.net.funded()
        made = await session.create(chain, player1, arena.world, arena.model, writer=Keypair().pubkey())
        async with join(made.session, player1, arena.net.http) as match:
            frames = asyncio.create_task(collect(match, lambda *_: None))
            await asyncio.sleep(0.05)
            await session.close(chain, player1, made.session)
            try:
                assert await asyncio.wait_for(frames, 5) == []
            except AccountError as error:
                assert "is not there" in str(error)


def test_names_of_the_package(tmp_path: Path) -> None:
    """The package has every name that docs/agents.md imports, and refuses any other."""
    from awm_crank.client.keys import write_keypair

    key = Keypair()
    write_keypair(tmp_path / "key.json", key)
    assert awm_crank.client.load_keypair(tmp_path / "key.json") == key
    assert (awm_crank.client.A, awm_crank.client.Z) == (1, 16)
    with pytest.raises(AttributeError, match="no attribute 'leave'"):
        awm_crank.client.leave  # noqa: B018
    assert all(first < second for first, second in pairwise([awm_crank.client.A, awm_crank.client.B]))
