"""The subscriptions of one PubSub connection, and what the endpoint answered. No I/O: time is an argument.

Real validators give equal subscriptions of one connection the same id, and a single unsubscribe ends all of them. So
each distinct subscription is requested once, however many readers it has, and ended with its last reader. A
subscription that the endpoint refuses, or does not answer, is requested again after a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..errors import AwmError
from ..wire import jsonrpc

ANSWER_S = 1.0
"""How long an endpoint may take to answer a subscribe request before it is asked again."""
UNANSWERED_MAX = 4
"""Requests without an answer, one after the other, after which the connection counts as broken."""
REFUSED_FIRST_S = 0.25
REFUSED_MAX_S = 30.0


class Subscription:
    """One reader's subscription. It lasts over all reconnects. `tag` is the reader's own label.

    `confirmed` is true while the endpoint has the subscription. `error` is the last refusal, or None. `heard_at` is the
    time of its last notification (on the clock of `time.monotonic`, 0.0 before the first).
    """

    __slots__ = ("confirmed", "error", "kind", "params", "shared", "tag")

    def __init__(self, kind: str, params: Sequence[Any], tag: Any, shared: Shared) -> None:
        self.kind = kind
        self.params = params
        self.tag = tag
        self.shared = shared
        self.confirmed = asyncio.Event()
        self.error: AwmError | None = None

    @property
    def server_id(self) -> int | None:
        """The endpoint's id for the subscription; None while it has none."""
        return self.shared.server_id

    @property
    def heard_at(self) -> float:
        """When the last notification arrived."""
        return self.shared.heard_at


class Shared:
    """One distinct subscription at the endpoint, and its readers."""

    __slots__ = ("again_at", "heard_at", "key", "kind", "params", "readers", "refusals", "server_id", "unanswered")

    def __init__(self, kind: str, params: Sequence[Any], key: bytes) -> None:
        self.kind = kind
        self.params = params
        self.key = key
        self.readers: list[Subscription] = []
        self.server_id: int | None = None
        self.again_at: float | None = None
        """When it is asked for again; None while it is confirmed or the connection is down."""
        self.unanswered = 0
        self.refusals = 0
        self.heard_at = 0.0


class Subscriptions:
    """All subscriptions of one connection.

    Args:
        send: sends a request (method, params) and returns its id.
    """

    def __init__(self, send: Callable[[str, Sequence[Any]], int]) -> None:
        self._send = send
        self._connected = False
        self._shared: dict[bytes, Shared] = {}
        self._asked: dict[int, Shared] = {}
        self._by_server_id: dict[int, list[Shared]] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return (reader for shared in self._shared.values() for reader in shared.readers)

    def add(self, kind: str, params: Sequence[Any], tag: Any, now: float) -> Subscription:
        """Adds `<kind>Subscribe` with these parameters. It is confirmed at once if an equal subscription is confirmed
        already.
        """
        key = msgspec.json.encode([kind, params])
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = Shared(kind, params, key)
            if self._connected:
                self._ask(shared, now)
        subscription = Subscription(kind, params, tag, shared)
        shared.readers.append(subscription)
        if shared.server_id is not None:
            subscription.confirmed.set()
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Removes a reader. The subscription at the endpoint ends with its last reader."""
        shared = subscription.shared
        if subscription not in shared.readers:
            return
        shared.readers.remove(subscription)
        subscription.confirmed.clear()
        if shared.readers:
            return
        if shared.server_id is not None or not self._connected:
            self._end(shared)
            del self._shared[shared.key]
        # A requested subscription stays until it is answered; another reader may use it in the meantime.

    def renew(self, subscription: Subscription, now: float) -> None:
        """Ends the endpoint's subscription and requests it again, because it is silent although its account changes."""
        shared = subscription.shared
        if not self._connected or shared.server_id is None:
            return
        self._end(shared)
        for reader in shared.readers:
            reader.confirmed.clear()
        self._ask(shared, now)

    def connected(self, now: float) -> None:
        """Handles a new connection: requests every subscription."""
        self._connected = True
        for shared in self._shared.values():
            self._ask(shared, now)

    def disconnected(self) -> None:
        """Handles the end of the connection: nothing is confirmed any more."""
        self._connected = False
        self._asked.clear()
        self._by_server_id.clear()
        self._shared = {key: shared for key, shared in self._shared.items() if shared.readers}
        for shared in self._shared.values():
            shared.server_id, shared.again_at, shared.unanswered, shared.refusals = None, None, 0, 0
            for reader in shared.readers:
                reader.confirmed.clear()

    def ask_again(self, now: float) -> str:
        """Repeats the due requests that were refused or not answered. Returns why the connection counts as broken, or
        "".
        """
        for shared in self._shared.values():
            if shared.again_at is None or now < shared.again_at or not shared.readers:
                continue
            if shared.unanswered >= UNANSWERED_MAX:
                return f"{shared.kind}Subscribe was not answered {shared.unanswered} times"
            self._ask(shared, now)
        return ""

    def answered(self, reply: jsonrpc.Reply, now: float) -> tuple[list[Subscription], AwmError | None]:
        """Handles an endpoint's answer. Returns the readers concerned, and the error if it refused. Unknown answers: no
        readers.
        """
        shared = self._asked.pop(reply.id, None) if isinstance(reply.id, int) else None
        if shared is None:
            return [], None
        shared.unanswered = 0
        try:
            server_id = jsonrpc.result(reply, int, f"{shared.kind}Subscribe")
        except AwmError as error:
            if shared.server_id is not None:
                return [], None
            pause = min(REFUSED_FIRST_S * 2**shared.refusals, REFUSED_MAX_S)
            shared.refusals, shared.again_at = min(shared.refusals + 1, 16), now + pause
            if not shared.readers:
                del self._shared[shared.key]
            for reader in shared.readers:
                reader.error = error
            return list(shared.readers), error
        if shared.server_id is not None:
            # The request was repeated because the first answer was late; some endpoints then give two ids.
            if server_id not in self._by_server_id:
                self._send(f"{shared.kind}Unsubscribe", [server_id])
            return [], None
        shared.server_id, shared.again_at, shared.refusals = server_id, None, 0
        self._by_server_id.setdefault(server_id, []).append(shared)
        if not shared.readers:
            self._end(shared)
            del self._shared[shared.key]
            return [], None
        for reader in shared.readers:
            reader.error = None
            reader.confirmed.set()
        return list(shared.readers), None

    def readers(self, server_id: int, kind: str, now: float) -> list[Subscription]:
        """The readers of the subscription with this id and kind; empty if the id is unknown."""
        found: list[Subscription] = []
        for shared in self._by_server_id.get(server_id, ()):
            if shared.kind == kind:
                shared.heard_at = now
                found += shared.readers
        return found

    def _ask(self, shared: Shared, now: float) -> None:
        shared.unanswered += 1
        shared.again_at = now + ANSWER_S * shared.unanswered
        self._asked[self._send(f"{shared.kind}Subscribe", shared.params)] = shared

    def _end(self, shared: Shared) -> None:
        server_id, shared.server_id = shared.server_id, None
        if server_id is None:
            return
        sharing = self._by_server_id.get(server_id, [])
        if shared in sharing:
            sharing.remove(shared)
        if not sharing:
            # Unless other parameters got the same id: then the subscription ends with the last of them.
            self._by_server_id.pop(server_id, None)
            self._send(f"{shared.kind}Unsubscribe", [server_id])
