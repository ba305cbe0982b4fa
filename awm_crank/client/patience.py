"""When a command tries again, and how long it waits first.

A command runs while a person waits. So it does not try for ever, as the crank does, but for one minute (its patience).
An endpoint that has never answered, because the URL is wrong or nothing runs there, gets three seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from ..errors import ProgramError, RpcError
from ..net.http import retry_after
from ..wire.jsonrpc import TRANSIENT

PATIENCE_S = 60.0
STRANGER_S = 3.0
"""Patience with an endpoint that has never answered."""
_LONGEST_PAUSE_S = 4.0
_GROWING = wait_random_exponential(multiplier=0.1, max=_LONGEST_PAUSE_S)
_SIGNINGS = 3


class BusyError(RpcError):
    """The request got no usable answer, but may succeed if it is sent again.

    `acted`: the endpoint may have carried out the request, because only the answer was lost. `reached`: the answer
    certainly came from this endpoint. `retry_after_s`: how long the endpoint asks to wait, if it does.
    """

    def __init__(
        self, what: str, *, acted: bool, reached: bool = True, retry_after_s: float | None = None,
        code: int | None = None, data: object = None, hint: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(what, code=code, data=data, hint=hint, recoverable=True)
        self.acted = acted
        self.reached = reached
        self.retry_after_s = retry_after_s


def busy_code(code: int | None) -> bool:
    """Whether a JSON-RPC error code says that the endpoint is busy or behind, rather than that it refuses."""
    return code in TRANSIENT


def no_answer(url: str, cause: BaseException | None) -> RpcError:
    """Converts a failed HTTP request to an error: `BusyError` if another try may succeed.

    Args:
        url: the endpoint as it may be printed, without secrets.
        cause: the HTTP client's exception.
    """
    if isinstance(cause, httpx2.HTTPStatusError):
        # its own text has the whole URL, secrets included
        status = cause.response.status_code
        text = f"{url} answered HTTP {status}"
        if status not in (408, 429) and status < 500:
            return RpcError(text, code=status, hint="check the URL and its access key")
        wait = retry_after(cause.response.headers.get("retry-after", "").encode())
        return BusyError(text, code=status, acted=status >= 500, retry_after_s=wait, hint="run the command again")
    started = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol)
    reason = str(cause) or type(cause).__name__
    return BusyError(f"cannot reach {url}: {reason}", acted=not started, reached=not started, hint="check the URL")


def asking(patience_s: float, *, known: Callable[[], bool]) -> AsyncRetrying:
    """Repeats a request while it raises `BusyError`.

    Args:
        patience_s: seconds from the first try.
        known: whether the endpoint has ever answered.
    """

    def stop(state: RetryCallState) -> bool:
        error = _error(state)
        stranger = isinstance(error, BusyError) and not error.reached and not known()
        limit = min(STRANGER_S, patience_s) if stranger else patience_s
        return (state.seconds_since_start or 0.0) + state.upcoming_sleep > limit

    return AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, BusyError)),
        stop=stop, wait=_pause, sleep=asyncio.sleep, reraise=True,
    )  # fmt: skip


def signing(patience_s: float) -> AsyncRetrying:
    """Signs a transaction again, on a fresh blockhash, when the last one certainly did not land and may land now.

    Args:
        patience_s: seconds from the first try. A transaction whose blockhash expired takes longer than that, so there
            are three tries in any case.
    """

    def stop(state: RetryCallState) -> bool:
        return (state.seconds_since_start or 0.0) > patience_s and state.attempt_number >= _SIGNINGS

    def again(error: BaseException) -> bool:
        return isinstance(error, RpcError | ProgramError) and error.recoverable and not isinstance(error, BusyError)

    return AsyncRetrying(retry=retry_if_exception(again), stop=stop, wait=_pause, sleep=asyncio.sleep, reraise=True)


def _pause(state: RetryCallState) -> float:
    asked = getattr(_error(state), "retry_after_s", None)
    return _GROWING(state) if asked is None else max(asked, _GROWING(state))


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
