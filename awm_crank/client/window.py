"""Whole frames for agents that read more than both PlayerStates, from the frame log's ring and the hidden state.

The ring gives every frame's inputs, players and extra feedback, so that an agent which starts in the middle of a match
knows the frames before. The other feedback (combo, invulnerable, …) is on chain for the newest frame alone; in older
frames it counts as zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from solders.pubkey import Pubkey

from ..errors import AccountError, MatchFileError, RpcError
from ..match.players import BlockAgent
from ..net.rpc import RpcClient
from ..wire import frame_records
from ..wire.accounts import FrameRecord, HiddenState
from .recorder import Recorder

if TYPE_CHECKING:
    from .player import PlayedSession, ScriptedPlayer

_NOTHING = bytes(16)
_PAUSE_S = 0.1


class Window:
    """Answers for the seats of one match whose agents read whole frames.

    Args:
        rpc: the rollup's endpoint.
        entity: the session's entity.
        play: the match.
        seats: all seats of the match; those of other agents are left alone.
        seed: of the agents' random numbers.
    """

    def __init__(
        self, rpc: RpcClient, entity: Pubkey, play: PlayedSession, seats: Sequence[ScriptedPlayer], seed: int
    ) -> None:
        self._rpc = rpc
        self._entity = entity
        self._recorder = Recorder(rpc, entity)
        self._play = play
        self._agents = {
            at: (seat.player, seat.agent)
            for at, seat in enumerate(seats)
            if isinstance(seat.agent, BlockAgent) and seat.agent.reads_blocks
        }
        self._count = len(seats)
        self._seed = seed
        self._known = 0
        self._changed = asyncio.Event()

    def answers(self, seat: int) -> bool:
        """Whether this player's agent reads whole frames, so that this class sends its inputs."""
        return seat in self._agents

    def changed(self) -> None:
        """There is a new frame to answer."""
        if self._agents:
            self._changed.set()

    async def run(self) -> None:
        """Answers each new frame as soon as its record and feedback are read, until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._answer(self._play.frame)
            except (RpcError, AccountError, MatchFileError) as error:
                # the ring was overwritten or the endpoint is silent: read it again from what it holds then
                self._play.fault(str(error))
                self._recorder = Recorder(self._rpc, self._entity)
                await asyncio.sleep(_PAUSE_S)
                self._changed.set()

    async def _answer(self, frame: int) -> None:
        if self._play.over or frame < 0:
            return
        (_, hidden), _ = await asyncio.gather(self._recorder.pair(), self._recorder.poll())
        if hidden.frame != frame or (frame and self._recorder.last < frame):
            # a frame landed in between, whose notification is on its way; ask again if it is not
            await asyncio.sleep(0)
            if self._play.frame == frame:
                await asyncio.sleep(0.002)
                self._changed.set()
            return
        if self._play.frame != frame or self._play.over:
            return
        given: list[bytes | None] = [None] * self._count
        for at, (player, agent) in self._agents.items():
            for number in range(max(self._recorder.first, self._known + 1, frame - agent.context_len), frame):
                agent.remember(player, number, self._block(number, agent.extra_size))
            given[at] = agent(self._seed, player, frame + 1, self._block(frame, agent.extra_size, hidden))
        self._known = frame
        self._play.give(given)

    def _block(self, frame: int, extra_size: int, hidden: HiddenState | None = None) -> bytes:
        feedback = _NOTHING if hidden is None else hidden.feedback
        if not frame:
            nothing = bytes(2 * extra_size)
            return frame_records.block(self._play.players, feedback, _NOTHING, self._play.stage, nothing)
        record = FrameRecord.decode(self._recorder.records[frame - self._recorder.first])
        return frame_records.block(record.players, feedback, record.inputs, record.stage, record.extra)
