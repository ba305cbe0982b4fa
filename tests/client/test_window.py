"""Agents that read whole frames get them from the chain: from their first frame on, and when they come later."""

from __future__ import annotations

import asyncio
from pathlib import Path

from client.localnet import Arena
from client.test_player import FRAMES, serve
from match.policies import policy, weights

from awm_crank.client import session
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.client.world import read_encoding
from awm_crank.engine import ReferenceEngine
from awm_crank.engine.encoding import Encoding
from awm_crank.engine.seeded import lasting
from awm_crank.match.game import Game
from awm_crank.match.players import Agent, agent
from awm_crank.match.policy import Policy
from awm_crank.match.policy_agent import PolicyAgent
from awm_crank.rig.arena import open_arena
from awm_crank.wire.accounts import FrameRecord
from awm_crank.wire.start import start_players
from awm_crank.wire.transaction import Signer


async def records(arena: Arena, before: int) -> list[FrameRecord]:
    """The records of a match that a policy joins after so many frames, with `random` as its opponent throughout."""
    async with arena.chain() as chain, PlayerConnection(arena.net.http, arena.net.ws) as connection:
        made, crank, player1, player2 = await arena.played(chain, before, max_frames=FRAMES)
        seats = [
            ScriptedPlayer(Signer(bytes(player1)), 0, PolicyAgent(policy())),
            ScriptedPlayer(Signer(bytes(player2)), 1, agent("random")),
        ]
        playing = asyncio.create_task(connection.play(made.entity, arena.world, seats, 3))
        await asyncio.wait_for(serve(chain, crank, FRAMES), 60)
        outcome = await asyncio.wait_for(playing, 10)
        assert (outcome.frame, outcome.faults) == (FRAMES, ())
        view = await session.show(chain, made.session)
    assert view.log is not None
    return [FrameRecord.decode(view.log.record(frame)) for frame in range(1, FRAMES + 1)]


async def test_whole_frames_from_the_chain(arena: Arena) -> None:
    """Each input is what the policy returns for the frames that the engine computes: controllers and feedback too."""
    again = PolicyAgent(policy())
    game = Game.start(arena.engine, start_players(2, 20), 32, bytes(32))
    for record in await records(arena, 0):
        assert record.input1 == again(3, 0, record.frame, game.block)
        assert record.source1 == 0
        game.advance(record.inputs, record.sources)


async def test_late_start_reads_the_ring(arena: Arena) -> None:
    """A policy that comes after five frames knows the last K of them from the ring; only feedback is new to it."""
    found = await records(arena, 5)
    game = Game.start(arena.engine, start_players(2, 20), 32, bytes(32))
    late = PolicyAgent(policy())
    for record in found:
        block = game.block
        if record.frame > 5:
            assert record.input1 == late(3, 0, record.frame, block)
        else:
            # of older frames the ring holds no feedback, and the first frame is not in it
            late.remember(0, record.frame - 1, block[:64] + bytes(16) + block[80:])
        game.advance(record.inputs, record.sources)


async def test_extra_feedback_from_the_chain(tmp_path: Path) -> None:
    """In a world with flags, a policy that reads state flags and hitstun gets them from the ring of a real crank."""
    cartridge = lasting(encoding=Encoding(state_flags=True, hitstun=True))
    reader = Policy(weights(2, 3, more=41), {}, 3)
    async with open_arena(tmp_path, cartridge) as arena, PlayerConnection(arena.http, arena.ws) as connection:
        match = await arena.create(3, 60)
        encoding = await read_encoding(arena.chain, (await session.load_session(arena.chain, match.session)).model)
        assert encoding == cartridge.shape.encoding
        agents: list[Agent] = [PolicyAgent(reader, encoding), agent("random")]
        seats = [ScriptedPlayer(Signer(bytes(arena.players[n])), n, each) for n, each in enumerate(agents)]
        playing = asyncio.create_task(connection.play(match.entity, arena.world, seats, 3))
        await arena.join(match)
        outcome = await asyncio.wait_for(playing, 60)
        view = await session.show(arena.chain, match.session)
    assert (outcome.frame, outcome.faults) == (60, ())
    assert view.log is not None
    game = Game.start(ReferenceEngine(cartridge), start_players(1, 2), 32, bytes(32))
    again, fresh = PolicyAgent(reader, encoding), 0
    for frame in range(1, 61):
        record = FrameRecord.decode(view.log.record(frame))
        wanted = again(3, 0, frame, game.block)
        if record.source1 == 0:
            fresh += 1
            assert record.input1 == wanted
        game.advance(record.inputs, record.sources)
        assert game.block[97:] == record.extra
    assert fresh > 20
