"""Players on the localnet: an input for each next frame, sent again when it was lost."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from client.localnet import Arena
from client.minicrank import MiniCrank
from match.policies import ENCODING, weights
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.client import session
from awm_crank.client.chain import Chain
from awm_crank.client.player import Outcome, PlayerConnection, ScriptedPlayer
from awm_crank.errors import AccountError
from awm_crank.match.players import Agent, agent, noop
from awm_crank.match.policy import SIMPLE, Policy
from awm_crank.match.policy_agent import PolicyAgent
from awm_crank.wire.accounts import FrameRecord
from awm_crank.wire.start import start_players
from awm_crank.wire.transaction import Signer

FRAMES = 12


async def serve(chain: Chain, crank: MiniCrank, frames: int) -> None:
    """A crank that waits for both inputs."""
    while crank.frame < frames:
        view = await session.show(chain, crank.accounts.session)
        assert view.inputs is not None
        if view.inputs.frame == crank.frame + 1 and view.inputs.p1_ready and view.inputs.p2_ready:
            await crank.frames(1)
        else:
            await asyncio.sleep(0.005)


async def played(
    arena: Arena, agents: tuple[str | Agent, str], connection: PlayerConnection, seed: int
) -> tuple[Outcome, list[FrameRecord]]:
    """A match with both players on one connection; returns its outcome and its records."""
    async with arena.chain() as chain:
        made, crank, player1, player2 = await arena.played(chain, 0, max_frames=FRAMES)
        seats = [
            ScriptedPlayer(Signer(bytes(keypair)), number, agent(name) if isinstance(name, str) else name)
            for number, (keypair, name) in enumerate(zip((player1, player2), agents, strict=True))
        ]
        playing = asyncio.create_task(connection.play(made.entity, arena.world, seats, seed))
        await asyncio.wait_for(serve(chain, crank, FRAMES), 30)
        outcome = await asyncio.wait_for(playing, 10)
        view = await session.show(chain, made.session)
    assert view.log is not None
    return outcome, [FrameRecord.decode(view.log.record(frame)) for frame in range(1, FRAMES + 1)]


async def test_every_frame_gets_its_input(arena: Arena) -> None:
    """Each record holds what the agents return for its frame and the players before it, fresh from both."""
    async with PlayerConnection(arena.net.http, arena.net.ws) as connection:
        outcome, records = await played(arena, ("random", "spacing"), connection, 77)
    assert (outcome.frame, outcome.faults) == (FRAMES, ())
    for before, record in pairwise(records):
        assert record.sources == b"\0\0"
        assert record.input1 == agent("random")(77, 0, record.frame, before.players)
        assert record.input2 == agent("spacing")(77, 1, record.frame, before.players)


async def test_policy_plays(arena: Arena) -> None:
    """A policy that needs both PlayerStates only answers with what it returns when it is asked again."""
    simple = Policy(weights(1, 3), ENCODING, 3, SIMPLE)
    async with PlayerConnection(arena.net.http, arena.net.ws) as connection:
        outcome, records = await played(arena, (PolicyAgent(simple, stage=32), "random"), connection, 3)
    assert (outcome.frame, outcome.faults) == (FRAMES, ())
    again, before = PolicyAgent(simple, stage=32), start_players(2, 20)
    for record in records:
        assert record.input1 == again(3, 0, record.frame, before)
        before = record.players


async def test_lost_inputs_are_sent_again(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """A match goes on with the very same inputs even when every third request is lost."""
    async with PlayerConnection(arena.net.http, arena.net.ws, resend_s=0.05) as connection:
        post, count = connection.rpc.post, 0

        async def lossy(body: bytes, **more: float) -> bytes:
            nonlocal count
            if b"sendTransaction" in body:
                count += 1
                if count % 3 == 0:
                    return b"[]"
            return await post(body, **more)

        monkeypatch.setattr(connection.rpc, "post", lossy)
        outcome, records = await played(arena, ("random", "random"), connection, 5)
    assert outcome.resent > 0
    assert [record.input1 for record in records] == [
        agent("random")(5, 0, frame, b"") for frame in range(1, FRAMES + 1)
    ]


async def test_waits_for_the_session_to_begin(arena: Arena) -> None:
    """A player may start before player 2 has joined, and stops when the session is ended."""
    async with arena.chain() as chain, PlayerConnection(arena.net.http, arena.net.ws) as connection:
        player1, player2 = arena.net.funded(), arena.net.funded()
        made = await session.create(chain, player1, arena.world, arena.model, writer=Keypair().pubkey())
        seat = ScriptedPlayer(Signer(bytes(player1)), 0, noop)
        playing = asyncio.create_task(connection.play(made.entity, arena.world, [seat], 0))
        await asyncio.sleep(0.1)
        await session.join(chain, player2, arena.world, made.session)
        ready: Any = None
        for _ in range(200):
            ready = (await session.show(chain, made.session)).inputs
            if ready.p1_ready:
                break
            await asyncio.sleep(0.01)
        assert (ready.p1_ready, ready.p2_ready, ready.frame) == (True, False, 1)
        await session.end(chain, player2, arena.world, made.session)
        outcome = await asyncio.wait_for(playing, 5)
        assert (outcome.frame, outcome.sent) == (0, 1)


async def test_no_session(arena: Arena) -> None:
    """A session that does not exist is refused."""
    async with PlayerConnection(arena.net.http, arena.net.ws, resend_s=0.05) as connection:
        seat = ScriptedPlayer(Signer(bytes(Keypair())), 0, noop)
        with pytest.raises(AccountError, match="is not there"):
            await asyncio.wait_for(connection.play(Pubkey.default(), arena.world, [seat], 0), 5)
