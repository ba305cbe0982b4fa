"""Delegated sessions are found, and accounts that only look like delegated sessions are ignored."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from session.script import FakeChain
from solders.pubkey import Pubkey

from awm_crank.daemon.delegated import Delegated
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import bolt, ids

ME = Pubkey.from_bytes(bytes([7] * 32))


class Rollup(RpcClient):
    """A fake rollup without accounts, which counts the requests."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.questions = self.now = self.most = 0

    async def ask(self, *_: Any, **__: Any) -> Any:
        """Answers after a moment that the account does not exist."""
        self.questions += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return _Nothing()


class _Nothing:
    value = None


def hidden(entity: Pubkey) -> bytes:
    """A hidden state of that entity."""
    return msgspec.structs.replace(FakeChain().hidden, entity=entity).encode()


async def test_look_alikes_cost_no_question() -> None:
    """If a stranger's program delegates accounts that hold our key at the writer's offset, the rollup is not asked for
    them.
    """
    rollup = Rollup()
    delegated = Delegated(RpcClient("http://127.0.0.1:1"), "ws://127.0.0.1:1", rollup, [ME], lambda *_: None)
    entity = Pubkey.new_unique()
    for data in (hidden(entity), hidden(entity)[:-1], b""):
        for _ in range(20):
            delegated._handed_over(Pubkey.new_unique(), data)
    await asyncio.sleep(0.05)
    assert rollup.questions == 0
    delegated._handed_over(bolt.component_pda(ids.HIDDEN_STATE, entity), hidden(entity))
    await asyncio.sleep(0.05)
    assert rollup.questions > 0
    for task in delegated._asking.values():
        task.cancel()


async def test_many_sessions_that_are_elsewhere() -> None:
    """Real sessions that are in another rollup are asked for, a few at a time."""
    rollup = Rollup()
    delegated = Delegated(RpcClient("http://127.0.0.1:1"), "ws://127.0.0.1:1", rollup, [ME], lambda *_: None)
    for _ in range(200):
        entity = Pubkey.new_unique()
        delegated._handed_over(bolt.component_pda(ids.HIDDEN_STATE, entity), hidden(entity))
    await asyncio.sleep(0.3)
    assert rollup.questions > 8
    assert rollup.most <= 4
    for task in delegated._asking.values():
        task.cancel()
