"""Finds the sessions that this crank may write: hidden states that name its key as the writer.

The endpoint reports every change of these accounts; this is also how a served session learns that its frame landed.
After each subscription or resubscription, all of them are read once, so that no earlier change is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from solders.pubkey import Pubkey

from ..errors import AwmError
from ..net.pubsub import PubSub, Subscription
from ..net.rpc import RpcClient
from ..wire import filters, ids, jsonrpc
from .patience import hedged, persist

_EVERY_S, _OFTEN_S = 5.0, 1.0
_HURRY_S = 60.0
"""How long sessions are read more often after one was gone: it may come back with the node that has it."""


class Discovery:
    """Subscribes to the hidden states of some writers.

    Args:
        pubsub: the sessions' WebSocket endpoint. Its notifications of these subscriptions are passed to `changed`.
        rpc: the sessions' RPC endpoint.
        writers: the keys whose sessions are looked for.
        found: called with the address and the bytes of each hidden state that is read.
        spawn: runs a coroutine as a task.

    A notification can get lost, and one answer can be wrong. So the sessions are read again every few seconds.
    """

    def __init__(
        self,
        pubsub: PubSub,
        rpc: RpcClient,
        writers: Sequence[Pubkey],
        found: Callable[[Pubkey, bytes], object],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._pubsub, self._rpc, self._found, self._spawn = pubsub, rpc, found, spawn
        self._writers = writers
        self._subscriptions: list[Subscription] = []
        self.read = asyncio.Event()
        """Set once the sessions were read for the first time."""
        self.problem = ""
        """Why they could not be read, the last time."""
        self._hurry_until = 0.0

    def subscribe(self) -> None:
        """Subscribes. Call it once."""
        for writer in self._writers:
            wanted = filters.of_writer(writer)
            self._subscriptions.append(self._pubsub.program(str(ids.HIDDEN_STATE), filters=wanted, tag=writer))

    def renew(self) -> None:
        """Makes the subscriptions again, because notifications were lost."""
        for subscription in self._subscriptions:
            self._pubsub.renew(subscription)

    def hurry(self) -> None:
        """Reads more often for a while, because a session's accounts were missing."""
        self._hurry_until = time.monotonic() + _HURRY_S

    @property
    def confirmed(self) -> bool:
        """Whether the endpoint has confirmed every subscription on the current connection."""
        return all(subscription.confirmed.is_set() for subscription in self._subscriptions)

    def subscribed(self, subscription: Subscription) -> bool:
        """Takes a confirmation. Returns False if it belongs to another subscription."""
        if subscription not in self._subscriptions:
            return False
        self._spawn(self._read(subscription.tag))
        return True

    async def run(self) -> None:
        """Reads the sessions again every few seconds, without end."""
        await self.read.wait()
        while True:
            # short sleeps, so that `hurry` takes effect at once
            read_at = time.monotonic() + _EVERY_S
            while (now := time.monotonic()) < read_at:
                await asyncio.sleep(_OFTEN_S)
                if now < self._hurry_until:
                    break
            for writer in self._writers:
                with contextlib.suppress(AwmError):
                    await hedged(partial(self._read_once, writer), "the sessions", total_s=_EVERY_S)

    async def _read(self, writer: Pubkey) -> None:
        await persist(partial(self._read_once, writer), "the sessions that this key may write")
        self.read.set()

    async def _read_once(self, writer: Pubkey) -> None:
        request = jsonrpc.get_program_accounts(ids.HIDDEN_STATE, filters.of_writer(writer))
        try:
            accounts = (await self._rpc.ask(request, patience_s=0, deadline_s=10.0)).value
        except AwmError as error:
            self.problem = str(error)
            raise
        self.problem = ""
        for account in accounts:
            self._found(account.key, account.account.raw)
