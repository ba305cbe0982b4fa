"""Checks from time to time every session that this key writes: ends abandoned ones, and collects what the crank
paid.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from solders.pubkey import Pubkey

from ..errors import AwmError
from ..net.rpc import RpcClient
from ..net.sender import Sender
from ..session import collecting
from ..telemetry import logs
from ..wire import bolt, deposits, filters, ids, jsonrpc, programs
from ..wire.accounts import Checkpoint, Deposit, FrameLog, HiddenState, SessionState

_PAUSE_S = 0.05
"""Between two sessions, so that the frames of running matches come first."""


class Collector:
    """Ends abandoned sessions and collects money from settled ones, as a task next to the sessions that are served.

    Args:
        rpc: the sessions' endpoint.
        sender: signs with the writer's key.
        me: the writer's key.
        world: the World account whose `apply` is called; None while it is not known.
        interval_s: seconds between two rounds.
    """

    def __init__(
        self, rpc: RpcClient, sender: Sender, me: Pubkey, world: Callable[[], Pubkey | None], interval_s: float
    ) -> None:
        self._rpc, self._sender, self._me, self._world, self._interval_s = rpc, sender, me, world, interval_s
        self._log = logs.get()

    async def run(self) -> None:
        """Runs rounds without end."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.round()
            except AwmError as error:
                self._log.warning("cannot collect", problem=str(error))

    async def round(self) -> None:
        """Checks every session once. Raises RpcError if the sessions cannot be listed."""
        request = jsonrpc.get_program_accounts(ids.HIDDEN_STATE, filters.of_writer(self._me))
        for account in (await self._rpc.ask(request)).value:
            await asyncio.sleep(_PAUSE_S)
            try:
                await self._collect(HiddenState.decode(account.account.raw))
            except AwmError as error:
                self._log.warning("cannot collect", account=str(account.key), problem=str(error))

    async def _collect(self, hidden: HiddenState) -> None:
        entity, world = hidden.entity, self._world()
        session_key, log_key = (bolt.component_pda(each, entity) for each in (ids.SESSION_STATE, ids.FRAME_LOG))
        session, log, deposit = await self._read([session_key, log_key, deposits.deposit_pda(entity)])
        if session is None or world is None:
            return
        state, now_s = SessionState.decode(session), time.time()
        payers: list[Pubkey | None] = [None, None]
        if hidden.held and collecting.is_settled(state, now_s):
            # a checkpoint is as large as the model's state, so it is read only once, when the session can be closed
            checkpoints = await self._read([programs.checkpoint_pda(entity, side) for side in (0, 1)])
            payers = [None if each is None else Checkpoint.decode_head(each).payer for each in checkpoints]
        found = collecting.Found(
            state,
            hidden,
            None if log is None else FrameLog.decode(log),
            (payers[0], payers[1]),
            None if deposit is None else Deposit.decode(deposit),
        )
        for step in collecting.steps(found, self._me, world, now_s):
            error = await self._sender.send(self._sender.sign([step]))
            if error is not None:
                self._log.warning("cannot collect", session=str(session_key), problem=str(error))
                return
            if collecting.is_dead(state, now_s):
                self._log.info("ended a session that nobody plays", session=str(session_key), frame=state.frame)
            else:
                self._log.info("collected", session=str(session_key))

    async def _read(self, keys: list[Pubkey]) -> list[bytes | None]:
        answer = (await self._rpc.ask(jsonrpc.get_multiple_accounts(keys))).value
        return [None if each is None else each.raw for each in answer]
