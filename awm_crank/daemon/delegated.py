"""What the base chain says of sessions in a rollup: those that were handed over are served, those that came back told.

The rollup knows an account only once somebody asked it for it. So the base chain is watched for hidden states that
belong to the delegation program and name our key as the writer, and the rollup is asked for each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from solders.pubkey import Pubkey

from ..errors import AwmError
from ..net.pubsub import AccountChanged, PubSub, Subscribed, SubscriptionRefused
from ..net.pubsub import Event as Notification
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import filters, ids, jsonrpc
from ..wire.accounts import HiddenState

_AGAIN_S = 0.25
_TRIES = 40
"""How often the rollup is asked for one that it does not show as its own."""


class Delegated:
    """Watches the base chain.

    Args:
        base: its RPC endpoint.
        base_ws: its WebSocket endpoint.
        rollup: the rollup's RPC endpoint.
        writers: keys whose sessions are looked for.
        admit: given hidden-state account and bytes of each session that the rollup has now; may come again.
    """

    def __init__(
        self, base: RpcClient, base_ws: str, rollup: RpcClient, writers: Sequence[Pubkey],
        admit: Callable[[Pubkey, bytes], object],
    ) -> None:  # fmt: skip
        self._base, self._rollup, self._admit = base, rollup, admit
        self._log = logs.get()
        self._pubsub = PubSub(base_ws, self._heard)
        self._asking: dict[Pubkey, asyncio.Task[None]] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._away: set[Pubkey] = set()
        """hidden states in the rollup, as far as known"""
        for writer in writers:
            for program in (ids.DELEGATION, ids.HIDDEN_STATE):
                self._pubsub.program(str(program), filters=filters.of_writer(writer), tag=(program, writer))

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._pubsub.run()
        finally:
            for task in (*self._asking.values(), *self._looking):
                task.cancel()

    def _heard(self, event: Notification) -> None:
        if isinstance(event, AccountChanged) and event.key is not None:
            key = Pubkey.from_string(event.key)
            if event.tag[0] == ids.DELEGATION:
                self._handed_over(key)
            else:
                self._came_back(key, event.data)
        elif isinstance(event, Subscribed):
            task = asyncio.get_running_loop().create_task(self._look(*event.subscription.tag))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)
        elif isinstance(event, SubscriptionRefused):
            self._log.error("subscription refused", problem=str(event.error), url=self._pubsub.url)

    async def _look(self, program: Pubkey, writer: Pubkey) -> None:
        """Finds what was there before the subscription."""
        while True:
            try:
                found = (await self._base.ask(jsonrpc.get_program_accounts(program, filters.of_writer(writer)))).value
                break
            except AwmError as error:
                self._log.warning("cannot look for sessions on the base chain", problem=str(error))
                await asyncio.sleep(1.0)
        for account in found:
            if program == ids.DELEGATION:
                self._handed_over(account.key)
            else:
                self._came_back(account.key, account.account.raw)

    def _handed_over(self, key: Pubkey) -> None:
        self._away.add(key)
        if key not in self._asking:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))

    async def _ask(self, key: Pubkey) -> None:
        """Asks the rollup until it shows the account as the component's own."""
        problem: Any = "it shows another owner"
        for _ in range(_TRIES):
            try:
                account = (await self._rollup.ask(jsonrpc.get_account_info(key))).value
                if account is not None and account.owner_key == ids.HIDDEN_STATE:
                    self._admit(key, account.raw)
                    return
            except AwmError as error:
                problem = error
            if key not in self._away:
                return
            await asyncio.sleep(_AGAIN_S)
        self._log.warning("a session handed over is not in this rollup", hidden_state=str(key), problem=str(problem))

    def _came_back(self, key: Pubkey, data: bytes) -> None:
        if key not in self._away:
            return
        self._away.discard(key)
        hidden = HiddenState.decode(data, address=key)
        self._log.info("settled", entity=str(hidden.entity), frame=hidden.frame, chain_hash=hidden.chain_hash.hex())
