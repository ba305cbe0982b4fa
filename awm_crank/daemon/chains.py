"""Finds out whether base chain and rollup are two chains, by asking both endpoints.

Two URLs can lead to one chain, for example through a proxy. So the settings alone do not show how many chains there
are. A wrong guess would be costly: a crank that takes a rollup for its base chain pays for accounts that it cannot
create there.
"""

from __future__ import annotations

import asyncio
from typing import Any

from solders.pubkey import Pubkey

from ..errors import AwmError, RpcError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import jsonrpc
from .patience import hedged, persist

_LOOK_S = 5.0
_LOOKS = 2
"""Looks in a row that must show the same change. A load balancer may once ask the wrong node."""
_NO_SUCH_METHOD = -32601
_NO_GENESIS = ("", "1" * 32)
"""What an endpoint says that knows no genesis hash. MagicBlock's rollup gives 32 zero bytes."""


class Chains:
    """What the two endpoints say about the chains behind them.

    Args:
        base, rollup: the endpoints. If their URLs are equal, there is one chain, and neither endpoint is asked.
    """

    def __init__(self, base: RpcClient, rollup: RpcClient) -> None:
        self._base, self._rollup = base, rollup
        self._asked = base.endpoint != rollup.endpoint
        self._two = False
        self._known: tuple[str, str] | None = None
        """The names of base chain and rollup, once known."""
        self.problem = (
            f"whether {base.url} and {rollup.url} are one chain is not known: ask them for getGenesisHash"
            if self._asked
            else ""
        )
        """Why no session can be served; empty when nothing is wrong."""

    async def two(self) -> bool:
        """Whether there are two chains. Asks until both endpoints have answered."""
        if not self._asked:
            return False
        names = await persist(self._names, "whether base chain and rollup are one chain")
        while names[0] != names[1]:
            # a single answer can be wrong, and much depends on this one
            before, names = names, await persist(self._names, "whether base chain and rollup are one chain")
            if before == names:
                break
        self._known, self.problem = names, ""
        self._two = names[0] != names[1]
        logs.get().info("chains", base=names[0], rollup=names[1], rollup_is_base=not self._two)
        return self._two

    async def watch(self) -> None:
        """Asks both endpoints again every few seconds, without end. Reports a problem if one of them now leads to
        another chain.
        """
        changed = 0
        while self._asked:
            await asyncio.sleep(_LOOK_S)
            if self._known is None:
                continue
            try:
                names = await hedged(self._names, "getGenesisHash", total_s=_LOOK_S)
            except AwmError as error:
                logs.get().debug("cannot ask for the chains' names", problem=str(error))
                continue
            changed = changed + 1 if names != self._known else 0
            if changed >= _LOOKS:
                self._look(names)
                changed = 0

    def _look(self, names: tuple[str, str]) -> None:
        before, self._known = self._known, names
        logs.get().error("an endpoint leads to another chain", base=names[0], rollup=names[1], before=before)
        two = names[0] != names[1]
        if two == self._two:
            self.problem = ""
        else:
            now, then = ("two chains", "one chain") if two else ("one chain", "two chains")
            self.problem = (
                f"{self._base.url} and {self._rollup.url} are {now} now, and were {then} when the crank started"
            )

    async def _names(self) -> tuple[str, str]:
        base, rollup = await asyncio.gather(*(_ask(rpc, "getGenesisHash") for rpc in (self._base, self._rollup)))
        if base in _NO_GENESIS and rollup in _NO_GENESIS:
            base, rollup = await asyncio.gather(*(_ask(rpc, "getIdentity") for rpc in (self._base, self._rollup)))
            if not base or not rollup:
                raise RpcError(
                    f"{self._base.url} and {self._rollup.url} name neither their genesis hash nor their identity",
                    hint="use endpoints that answer getGenesisHash; for one chain, leave chain.rollup_http empty",
                )
        return base, rollup


async def _ask(rpc: RpcClient, method: str) -> str:
    """The chain's name, as the endpoint reports it. Empty if the endpoint does not know the method."""
    try:
        answer = await rpc.ask(jsonrpc.Request[Any](method, (), Any), patience_s=0, deadline_s=10.0)
    except RpcError as error:
        if error.code == _NO_SUCH_METHOD:
            return ""
        raise
    try:
        return str(Pubkey.from_string(answer["identity"] if isinstance(answer, dict) else answer))
    except (KeyError, TypeError, ValueError):
        raise RpcError(f"{rpc.url}: {method}", expected="32 bytes in base58", recoverable=True) from None
