"""JSON-RPC over HTTP: one pool of warm connections, raw bodies for the hot path, `call` and `batch` for the rest.

Each request has a deadline. A connection whose answer is overdue is closed, and `call` and `batch` repeat the request
over another connection. So a request that gets lost on the way delays the service by one deadline only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar, overload

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay, wait_random_exponential

from ..endpoint import HTTP, Endpoint
from ..errors import AwmError, RpcError
from ..wire import jsonrpc
from .http import Pool

T = TypeVar("T")
Problem = TypeVar("Problem", bound=AwmError)

FIRST_DEADLINE_S = 1.0
"""The deadline of the first try of `call` and `batch`; each further one has twice the time."""
# A random pause, so that many clients of one endpoint do not return at the same moment.
_SPREAD = wait_random_exponential(multiplier=0.05, max=1.0)


class RpcClient:
    """A client of one HTTP endpoint. An async context manager; `close` otherwise.

    Args:
        url: the endpoint.
        timeout_s: the longest time for one try, in seconds, including the time to connect.
        retry_s: for how many seconds `call` and `batch` try again after faults that can pass (refused connections,
            overdue answers, HTTP 429 and 5xx). Everything that a crank sends is idempotent (the programs compare and
            set), so sends are tried again too.
        connections: how many may be open at once; further requests wait. They are opened as needed. Each waiting
            request occupies one: 64 frames a second with answers that take a second occupy 64.

    Raises:
        ConfigError: the URL is not valid for an endpoint.
    """

    def __init__(
        self, url: str | Endpoint, *, timeout_s: float = 10.0, retry_s: float = 8.0, connections: int = 256
    ) -> None:
        self.endpoint = Endpoint.parse(url, HTTP)
        self.failures: Counter[str] = Counter()
        """How many tries failed, by kind: `overdue`, `unreachable`, `http`, `malformed`."""
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._pool = Pool(self.endpoint, connections)
        self._id = 0

    @property
    def url(self) -> str:
        """The endpoint's address without its secrets, for logs."""
        return str(self.endpoint)

    async def __aenter__(self) -> RpcClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. Pending requests fail."""
        self._pool.close()

    def drop_idle(self) -> None:
        """Closes idle connections, so that the next requests open new ones and a load balancer may choose
        another node.
        """
        self._pool.drop_idle()

    async def post(self, body: bytes, *, deadline_s: float | None = None) -> bytes:
        """Sends one request body (an object or a batch, already in JSON) once, and returns the body of the answer,
        undecoded.

        Args:
            deadline_s: the longest time to the whole answer; `timeout_s` if it is not given.

        Raises:
            RpcError: no answer in time, or not HTTP 200. `code` is the HTTP status if there was one, `retry_after_s`
                the pause that the endpoint asks for. `recoverable` says whether the same request may succeed later.
        """
        limit_s = self._timeout_s if deadline_s is None else deadline_s
        try:
            status, answer, retry_after_s = await self._pool.post(body, limit_s)
        except TimeoutError:
            self.failures["overdue"] += 1
            raise RpcError(f"no answer from {self.url} in {limit_s:g} s", recoverable=True) from None
        except (OSError, UnicodeError) as error:
            self.failures["unreachable"] += 1
            raise RpcError(
                f"cannot reach {self.url}: {self.endpoint.scrub(str(error)) or type(error).__name__}",
                hint="check that the endpoint runs and that the setting names it",
                recoverable=True,
            ) from None
        if status != 200:
            self.failures["http"] += 1
            raise RpcError(
                f"{self.url} answered HTTP {status}",
                code=status,
                data=self.endpoint.scrub(answer[:200].decode("utf-8", "replace")),
                retry_after_s=retry_after_s,
                recoverable=status == 429 or status >= 500,
            )
        return answer

    async def ask(
        self, request: jsonrpc.Request[T], *, patience_s: float | None = None, deadline_s: float = FIRST_DEADLINE_S
    ) -> T:
        """Returns the result of one request. Retries for a while after faults that can pass.

        Args:
            patience_s: for how many seconds to retry; `retry_s` if it is not given, 0 for a single try.
            deadline_s: the deadline of the first try. Each further try has twice the time, up to `timeout_s`. The
                connection of an overdue try is closed, so the next try uses another one.

        Raises:
            RpcError: as `post`; the endpoint's own error (`code`, `data`); or an answer that belongs to another request
                or has an unexpected shape.
        """

        async def once(limit_s: float) -> T:
            number = self.next_id()
            answer = await self.post(request.body(number), deadline_s=limit_s)
            return await self._read(answer, lambda: request.read(answer, number))

        return await self._patiently(once, patience_s, deadline_s)

    @overload
    async def call(self, method: str, params: Sequence[Any] = ()) -> Any: ...
    @overload
    async def call(self, method: str, params: Sequence[Any], kind: type[T]) -> T: ...

    async def call(self, method: str, params: Sequence[Any] = (), kind: Any = Any) -> Any:
        """`ask` for any method. `kind` is the type of the result; without it, the result is plain JSON values."""
        return await self.ask(jsonrpc.Request(method, params, kind))

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Sends several calls in one request. Returns one entry for each call, in order: its `result`, or its RpcError.

        Raises:
            RpcError: as `post` for the request as a whole, or if an answer is missing.
        """
        if not calls:
            return []
        methods = [method for method, _ in calls]

        async def once(limit_s: float) -> list[Any]:
            first = self.next_id(len(calls))
            requests = [jsonrpc.Request(method, params, object) for method, params in calls]
            body = jsonrpc.batch([request.body(first + n) for n, request in enumerate(requests)])
            answer = await self.post(body, deadline_s=limit_s)
            replies = await self._read(answer, lambda: jsonrpc.decode_batch(answer))
            by_id = {reply.id: reply for reply in replies}
            return [self._one_of(by_id.get(first + n), method) for n, method in enumerate(methods)]

        return await self._patiently(once, None, FIRST_DEADLINE_S)

    def _one_of(self, reply: jsonrpc.Reply | None, method: str) -> Any:
        if reply is None:
            raise RpcError(f"{self.url} left {method} of a batch unanswered", recoverable=True)
        try:
            if reply.error is None:
                return jsonrpc.result(reply, Any, method)
        except AwmError as error:
            return self.scrubbed(error)
        # unchanged, because the sender of a batch of transactions reads the error's data
        code, text = reply.error.code, self.endpoint.scrub(f"{method}: {reply.error.message[:300]}")
        return RpcError(text, code=code, data=reply.error.data, recoverable=code in jsonrpc.TRANSIENT)

    async def _read(self, answer: bytes, decode: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(decode) if len(answer) > jsonrpc.MAX_AT_ONCE_BYTES else decode()
        except AwmError as error:
            self.failures["malformed"] += isinstance(error, RpcError) and error.code is None
            raise self.scrubbed(error) from None

    def next_id(self, count: int = 1) -> int:
        """Returns a request id that was not used before, the first of `count` in a row."""
        first = self._id + 1
        self._id += count
        return first

    def scrubbed(self, error: Problem) -> Problem:
        """The same error, with the endpoint's secrets masked in the endpoint's own text."""
        error.what = self.endpoint.scrub(error.what)
        error.found = self.endpoint.scrub(error.found) if isinstance(error.found, str) else error.found
        return error

    async def _patiently(self, once: Callable[[float], Awaitable[T]], patience_s: float | None, deadline_s: float) -> T:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, RpcError) and error.recoverable),
            stop=stop_before_delay(self._retry_s if patience_s is None else patience_s),
            wait=_pause,
            sleep=asyncio.sleep,
            reraise=True,
        ):
            with attempt:
                tries = attempt.retry_state.attempt_number
                return await once(min(deadline_s * 2 ** (tries - 1), self._timeout_s))
        raise AssertionError("unreachable: tenacity raises the last error")


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked_for = error.retry_after_s if isinstance(error, RpcError) else None
    return max(_SPREAD(state), asked_for or 0.0)
