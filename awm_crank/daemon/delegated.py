"""Finds sessions that were delegated to a rollup, by watching the base chain.

A rollup clones an account only when somebody asks for it. So this module watches the base chain for hidden states that
belong to the delegation program and name our key as the writer, and asks the rollup for each of them. When one comes
back to the base chain, the session is logged as settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from solders.pubkey import Pubkey

from ..errors import AwmError
from ..net.pubsub import AccountChanged, PubSub, Subscribed, SubscriptionRefused
from ..net.pubsub import Event as Notification
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import bolt, filters, ids, jsonrpc, layouts
from ..wire.accounts import HiddenState
from .patience import hedged, persist

_FIRST_PAUSE_S, _QUICK_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0, 15.0
"""The pauses between two questions grow to the second while the session may be on its way, then to the third."""
_AT_ONCE = 4
"""Questions to the rollup at one time. Anybody can make sessions for this crank that are not in its rollup."""
_EVERY_S = 15.0
"""The base chain is read again this often, since a notification can get lost. Public endpoints dislike such reads."""
_TOLD_AFTER = 8
"""Questions to the rollup before a session that it does not show counts as waiting (some four seconds)."""


class Delegated:
    """Watches the base chain.

    Args:
        base: its RPC endpoint.
        base_ws: its WebSocket endpoint.
        rollup: the rollup's RPC endpoint.
        writers: the keys whose sessions are looked for.
        admit: called with the hidden-state account and its bytes, for each session that the rollup has now. The same
            session may come again.
    """

    def __init__(
        self, base: RpcClient, base_ws: str, rollup: RpcClient, writers: Sequence[Pubkey],
        admit: Callable[[Pubkey, bytes], object],
    ) -> None:  # fmt: skip
        self._base, self._rollup, self._admit = base, rollup, admit
        self._log = logs.get()
        self._pubsub = PubSub(base_ws, self._notified)
        self._asking: dict[Pubkey, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._looking: set[asyncio.Task[None]] = set()
        self._away: set[Pubkey] = set()
        """Hidden states in the rollup, as far as known."""
        self._waiting: dict[Pubkey, str] = {}
        self._wanted = [(program, writer) for writer in writers for program in (ids.DELEGATION, ids.HIDDEN_STATE)]
        for program, writer in self._wanted:
            self._pubsub.program(str(program), filters=filters.of_writer(writer), tag=(program, writer))

    @property
    def waiting(self) -> dict[Pubkey, str]:
        """Hidden states that were delegated but that the rollup does not show as delegated yet, each with the last
        problem.
        """
        return self._waiting

    @property
    def connected(self) -> bool:
        """Whether the base chain's WebSocket is up."""
        return self._pubsub.connected

    async def run(self) -> None:
        """Watches until it is cancelled."""
        again = asyncio.create_task(self._look_again())
        try:
            await self._pubsub.run()
        finally:
            for task in (again, *self._asking.values(), *self._looking):
                task.cancel()

    def _notified(self, event: Notification) -> None:
        if isinstance(event, AccountChanged) and event.key is not None:
            key = Pubkey.from_string(event.key)
            if event.tag[0] == ids.DELEGATION:
                self._handed_over(key, event.data)
            else:
                self._came_back(key, event.data)
        elif isinstance(event, Subscribed):
            program, writer = event.subscription.tag
            looking = persist(partial(self._look, program, writer), "the sessions that were delegated")
            task = asyncio.get_running_loop().create_task(looking)
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)
        elif isinstance(event, SubscriptionRefused):
            self._log.error("subscription refused", problem=str(event.error))

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            for program, writer in self._wanted:
                try:
                    await hedged(partial(self._look, program, writer), "delegated sessions", total_s=_EVERY_S)
                except AwmError as error:
                    self._log.debug("cannot read the base chain", problem=str(error))

    async def _look(self, program: Pubkey, writer: Pubkey) -> None:
        """Reads which hidden states are delegated now, and which are not."""
        request = jsonrpc.get_program_accounts(program, filters.of_writer(writer))
        for account in (await self._base.ask(request, patience_s=0, deadline_s=_EVERY_S)).value:
            if program == ids.DELEGATION:
                self._handed_over(account.key, account.account.raw)
            else:
                self._came_back(account.key, account.account.raw)

    def _handed_over(self, key: Pubkey, data: bytes) -> None:
        if not _is_hidden_state(key, data):
            return
        self._away.add(key)
        if key not in self._asking:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))

    async def _ask(self, key: Pubkey) -> None:
        """Asks the rollup until it shows the account as owned by the component's program."""
        pause, asked = _FIRST_PAUSE_S, 0
        try:
            while key in self._away:
                try:
                    async with self._turn:
                        account = await hedged(partial(self._account, key), "getAccountInfo", total_s=3.0)
                    if account is not None and account.owner_key == ids.HIDDEN_STATE:
                        self._admit(key, account.raw)
                        return
                    problem = "the rollup has no such account" if account is None else "the rollup shows another owner"
                except AwmError as error:
                    problem = str(error)
                asked += 1
                if asked >= _TOLD_AFTER and self._waiting.get(key) != problem:
                    self._waiting[key] = problem
                    self._log.warning(
                        "a delegated session is not in this rollup", hidden_state=str(key), problem=problem,
                        hint="the rollup is asked until it is; who delegated it can undelegate and delegate it again",
                    )  # fmt: skip
                await asyncio.sleep(pause)
                pause = min(2 * pause, _QUICK_PAUSE_S if asked < _TOLD_AFTER else _LONGEST_PAUSE_S)
        finally:
            self._waiting.pop(key, None)

    async def _account(self, key: Pubkey) -> jsonrpc.RpcAccount | None:
        return (await self._rollup.ask(jsonrpc.get_account_info(key), patience_s=0, deadline_s=3.0)).value

    def _came_back(self, key: Pubkey, data: bytes) -> None:
        if key not in self._away:
            return
        try:
            hidden = HiddenState.decode(data, address=key)
        except AwmError as error:
            self._log.warning("a hidden state on the base chain cannot be read", problem=str(error))
            return
        self._away.discard(key)
        self._log.info("settled", entity=str(hidden.entity), frame=hidden.frame, chain_hash=hidden.chain_hash.hex())


def _is_hidden_state(key: Pubkey, data: bytes) -> bool:
    """Whether only our program can have handed this account over. Any program can hand over one that looks like it."""
    layout = layouts.HIDDEN_STATE
    if len(data) != layout.size:
        return False
    return bolt.component_pda(ids.HIDDEN_STATE, Pubkey.from_bytes(layout.cut(data, "entity"))) == key
