"""JSON-RPC over HTTP: one pool of warm connections, raw bodies for the hot path, `call` and `batch` for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import msgspec
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from ..errors import RpcError
from ..wire import jsonrpc
from .http import Pool, endpoint


class RpcClient:
    """A client of one HTTP endpoint. An async context manager; `close` otherwise.

    Args:
        url: the endpoint.
        timeout_s: for one request, connecting included.
        retry_s: how long `call` and `batch` try again after faults that can pass (refused connections, time-outs,
            HTTP 429 and 5xx). Everything a crank sends is idempotent (compare and set on chain), so sends are too.
        connections: open at once; further requests queue.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0, retry_s: float = 8.0, connections: int = 16) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._connections = connections
        self._pool: Pool | None = None
        self._id = 0

    async def __aenter__(self) -> RpcClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; requests under way fail."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    async def post(self, body: bytes) -> bytes:
        """Sends one request body (an object or a batch, already JSON) and returns the answer's body, unread.

        Raises:
            RpcError: no answer, or not HTTP 200; `code` is the HTTP status if there was one. `recoverable` says
                whether the same request may pass later.
        """
        if self._pool is None:
            # at first use: a URL that is none is an error of the request that wants it
            self._pool = Pool(endpoint(self.url), self._connections)
        try:
            async with asyncio.timeout(self._timeout_s):
                status, answer = await self._pool.post(body)
        except TimeoutError:
            raise RpcError(f"no answer from {self.url} in {self._timeout_s} s", recoverable=True) from None
        except OSError as error:
            raise RpcError(
                f"cannot reach {self.url}: {error or type(error).__name__}",
                hint="check that the endpoint runs and the setting names it",
                recoverable=True,
            ) from None
        if status != 200:
            raise RpcError(
                f"{self.url} answered HTTP {status}",
                code=status,
                data=answer[:200].decode("utf-8", "replace"),
                recoverable=status == 429 or status >= 500,
            )
        return answer

    async def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """One call; returns `result` as plain JSON values.

        Raises:
            RpcError: as `post` after `retry_s`, the endpoint's own error (`code`, `data`), or no JSON-RPC answer.
        """
        self._id += 1
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        raw = await self._post_patiently(body)
        return _result(method, jsonrpc.decode_reply(raw))

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Several calls in one request; one entry a call, in order: its `result`, or the RpcError it met (not raised).

        Raises:
            RpcError: as `post` for the request as a whole, or when an answer is missing.
        """
        if not calls:
            return []
        first = self._id + 1
        self._id += len(calls)
        body = msgspec.json.encode(
            [
                {"jsonrpc": "2.0", "id": first + n, "method": method, "params": params}
                for n, (method, params) in enumerate(calls)
            ]
        )
        raw = await self._post_patiently(body)
        by_id = {answer.id: answer for answer in jsonrpc.decode_batch(raw)}
        results: list[Any] = []
        for n, (method, _) in enumerate(calls):
            answer = by_id.get(first + n)
            if answer is None:
                raise RpcError(f"{self.url} left {method} of a batch unanswered", recoverable=True)
            try:
                results.append(_result(method, answer))
            except RpcError as error:
                results.append(error)
        return results

    async def _post_patiently(self, body: bytes) -> bytes:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, RpcError) and error.recoverable),
            stop=stop_after_delay(self._retry_s),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            sleep=asyncio.sleep,
            reraise=True,
        ):
            with attempt:
                return await self.post(body)
        raise AssertionError("unreachable: tenacity raises the last error")


def _result(method: str, reply: jsonrpc.Reply) -> Any:
    if reply.error is not None:
        error = reply.error
        raise RpcError(f"{method}: {error.message}", code=error.code, data=error.data)
    return jsonrpc.result(reply, Any, method)
