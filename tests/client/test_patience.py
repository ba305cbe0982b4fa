"""Commands finish, and do nothing twice, behind an endpoint that refuses, forgets and loses answers."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
from client.faulty import KINDS, Faulty
from client.localnet import SHAPE, Arena
from solders.keypair import Keypair

from awm_crank.client import patience, publish, session
from awm_crank.client.chain import Chain
from awm_crank.client.session import SessionAccounts
from awm_crank.engine.seeded import cartridge
from awm_crank.errors import AccountError, RpcError
from awm_crank.wire.accounts import ACTIVE, World

SESSION_TRANSACTIONS = 3
"""create_entity, CREATE, JOIN"""


def test_busy_codes() -> None:
    """The codes for busy, behind and rate-limited count as faults that may pass, as in the crank. A refusal
    does not.
    """
    assert all(patience.busy_code(code) for code in (-32005, -32007, -32016, -32429, 429))
    assert not any(patience.busy_code(code) for code in (None, -32002, -32601, -32602))


def test_no_answer_shows_no_secret() -> None:
    """The error names the HTTP status without the request's URL, which may hold the endpoint's key."""
    request = httpx2.Request("POST", "https://rpc.example/?api-key=abcdef")
    response = httpx2.Response(429, request=request, headers={"Retry-After": "3"})
    error: Any = patience.no_answer(
        "https://rpc.example", httpx2.HTTPStatusError("x", request=request, response=response)
    )
    assert (error.code, error.retry_after_s, error.acted) == (429, 3.0, False)
    assert "abcdef" not in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_publish(arena: Arena, kind: str) -> None:
    """A publish through an endpoint that fails one request in six puts the model on chain at the first try."""
    made = cartridge(SHAPE, 500 + KINDS.index(kind))
    authority = arena.net.funded()
    async with Faulty(arena.net.http, seed=7, share=1 / 6, kinds=(kind,)) as proxy, Chain(proxy.url) as chain:
        announced: list[object] = []
        done = await publish.publish(chain, authority, arena.world, made, announce=announced.append)
        assert (await publish.load(chain, done.model)).sha256 == made.sha256
    assert announced == [done.model]
    assert proxy.faults > 2


@pytest.mark.parametrize("kind", KINDS)
async def test_sessions(arena: Arena, kind: str) -> None:
    """Sessions are created and joined through the same faults, and nothing is made twice.

    There is one entity for each session, and both players pay one fee for each transaction.
    """
    share = 1 / 2 if kind == "blockhash" else 1 / 4
    async with Faulty(arena.net.http, seed=11, share=share, kinds=(kind,)) as proxy, Chain(proxy.url) as chain:
        for _ in range(3):
            player1, player2 = arena.net.funded(), arena.net.funded()
            async with arena.chain() as direct:
                before = await entities(direct, arena)
                start = [await direct.balance(key.pubkey()) for key in (player1, player2)]
            announced: list[SessionAccounts] = []
            made = await session.create(
                chain, player1, arena.world, arena.model, writer=Keypair().pubkey(), announce=announced.append
            )
            await session.join(chain, player2, arena.world, made.session)
            async with arena.chain() as direct:
                view = await session.show(direct, made.session)
                end = [await direct.balance(key.pubkey()) for key in (player1, player2)]
                assert await entities(direct, arena) == before + 1
                entity = await direct.need(made.entity, "entity")
            assert announced == [made]
            assert (view.session.status, view.session.player2) == (ACTIVE, player2.pubkey())
            assert start[1] - end[1] == 5000
            assert start[0] - end[0] == 2 * 5000 + sum(view.lamports) + entity.lamports
    assert proxy.faults > 2


async def entities(chain: Chain, arena: Arena) -> int:
    """How many entities the world has."""
    return World.decode((await chain.need(arena.world, "world")).data).entities


@pytest.mark.parametrize("lost", range(SESSION_TRANSACTIONS))
async def test_each_lost_answer(arena: Arena, lost: int) -> None:
    """Whichever transaction's answer is lost, the session is made and joined, and that transaction landed once."""

    class Once(Faulty):
        def fault(self, methods: list[str]) -> str:
            sends = methods.count("sendTransaction")
            self.faults += sends
            return "lost" if sends and self.faults == lost + 1 else ""

    async with Once(arena.net.http, seed=0, share=0, kinds=KINDS) as proxy, Chain(proxy.url) as chain:
        player1, player2 = arena.net.funded(), arena.net.funded()
        made = await session.create(chain, player1, arena.world, arena.model, writer=Keypair().pubkey())
        await session.join(chain, player2, arena.world, made.session)
        assert (await session.show(chain, made.session)).session.status == ACTIVE
    assert len(set(proxy.sent)) == SESSION_TRANSACTIONS


async def test_a_creation_that_is_cut_off(arena: Arena) -> None:
    """When the endpoint goes away between a session's accounts and CREATE, the error names the command that finishes
    it.

    With `resume` the session is finished, a second resume does nothing, and another player is refused.
    """

    class Gone(Faulty):
        def fault(self, methods: list[str]) -> str:
            self.faults += "sendTransaction" in methods
            return "closed" if self.faults > 1 else ""

    player, writer = arena.net.funded(), Keypair().pubkey()
    announced: list[SessionAccounts] = []
    async with Gone(arena.net.http, seed=0, share=0, kinds=KINDS) as proxy, Chain(proxy.url, patience_s=0.5) as chain:
        with pytest.raises(RpcError, match="cannot reach") as caught:
            await session.create(chain, player, arena.world, arena.model, writer=writer, announce=announced.append)
    (half,) = announced
    assert caught.value.hint == f"awm-crank session create --resume {half.session} with the same options"
    async with arena.chain() as chain:
        for address in (half.entity, half.session):
            made = await session.create(chain, player, arena.world, arena.model, writer=writer, resume=address)
            assert made == half
            view = await session.show(chain, half.session)
            assert view.hidden is not None
            assert (view.session.status, view.session.player1, view.hidden.writer) == (1, player.pubkey(), writer)
        with pytest.raises(AccountError, match="is another player's"):
            await session.create(
                chain, arena.net.funded(), arena.world, arena.model, writer=writer, resume=half.session
            )
        with pytest.raises(AccountError, match="session to resume"):
            await session.create(chain, player, arena.world, arena.model, writer=writer, resume=Keypair().pubkey())


async def test_steps_that_are_done(arena: Arena) -> None:
    """A second join or end by the same player does nothing, because the first answer may have been lost."""
    async with arena.chain() as chain:
        player1, player2 = arena.net.funded(), arena.net.funded()
        made = await session.create(chain, player1, arena.world, arena.model, writer=Keypair().pubkey())
        for _ in range(2):
            await session.join(chain, player2, arena.world, made.session)
        balance = await chain.balance(player2.pubkey())
        for _ in range(2):
            await session.end(chain, player2, arena.world, made.session)
        assert balance - await chain.balance(player2.pubkey()) == 5000


async def test_an_endpoint_that_is_not_there() -> None:
    """An endpoint that never answered gets seconds of retries, not a minute."""
    began = time.monotonic()
    async with Chain("http://127.0.0.1:9") as chain:
        with pytest.raises(RpcError, match="cannot reach"):
            await chain.balance(Keypair().pubkey())
    assert time.monotonic() - began < patience.STRANGER_S + 2
