"""Whether base chain and rollup are one chain or two, as their endpoints say."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from daemon.rig import until

from awm_crank.daemon import chains
from awm_crank.daemon.chains import Chains
from awm_crank.errors import RpcError
from awm_crank.net.rpc import RpcClient

ONE, OTHER, NONE = (
    "BeJKLjdipZKMK3KyZtfdSZCfQDm6tGLT6mGTcYPW7Z6g",
    "3nwqr1YSv5nSGJGrFS4brbsZVfzWLkHoBdxuP1chndmw",
    "1" * 32,
)


class Endpoint:
    """An endpoint that answers with its chain's names. The first answers come from `first`."""

    def __init__(self, url: str, genesis: str | None, identity: str | None = None, *first: object) -> None:
        self.url = self.endpoint = url
        self.names = {"getGenesisHash": genesis, "getIdentity": {"identity": identity} if identity else None}
        self.first = list(first)
        self.asked = 0

    async def ask(self, request: Any, **_: object) -> Any:
        """One answer."""
        self.asked += 1
        answer = self.first.pop(0) if self.first else self.names[request.method]
        if answer is None:
            raise RpcError(f"{request.method} is unknown", code=-32601)
        if isinstance(answer, Exception):
            raise answer
        return answer


def of(base: Endpoint, rollup: Endpoint) -> Chains:
    """What is asked."""
    return Chains(cast(RpcClient, base), cast(RpcClient, rollup))


@pytest.mark.parametrize(
    ("base", "rollup", "two"),
    [
        (Endpoint("a", ONE), Endpoint("b", ONE), False),
        (Endpoint("a", ONE), Endpoint("b", NONE), True),
        (Endpoint("a", ONE), Endpoint("b", OTHER), True),
        (Endpoint("a", ONE), Endpoint("b", None), True),
        (Endpoint("a", NONE, ONE), Endpoint("b", NONE, ONE), False),
        (Endpoint("a", NONE, ONE), Endpoint("b", None, OTHER), True),
    ],
)
async def test_names(base: Endpoint, rollup: Endpoint, two: bool) -> None:
    """The genesis hash decides; where neither endpoint has one, as in MagicBlock's validators, the identity does."""
    found = of(base, rollup)
    assert "getGenesisHash" in found.problem
    assert await found.two() is two
    assert not found.problem


async def test_one_url() -> None:
    """Equal URLs mean one chain, and no endpoint is asked."""
    base = Endpoint("a", None)
    assert not await of(base, base).two()
    assert not base.asked


@pytest.mark.parametrize("wrong", [RpcError("busy", code=429, recoverable=True), "nonsense", 5, {}, OTHER])
async def test_one_wrong_answer(wrong: object) -> None:
    """One answer that fails, is nonsense or is another chain's does not decide."""
    assert not await of(Endpoint("a", ONE), Endpoint("b", ONE, None, wrong)).two()


async def test_an_endpoint_that_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """When an endpoint begins to lead to another chain, the crank is not ready until it leads back."""
    monkeypatch.setattr(chains, "_LOOK_S", 0.01)
    rollup = Endpoint("b", NONE)
    found = of(Endpoint("a", ONE), rollup)
    assert await found.two()
    watching = asyncio.create_task(found.watch())
    try:
        rollup.names["getGenesisHash"] = ONE
        await until(lambda: bool(found.problem))
        assert "are one chain now, and were two chains when the crank started" in found.problem
        rollup.names["getGenesisHash"] = NONE
        await until(lambda: not found.problem)
    finally:
        watching.cancel()
