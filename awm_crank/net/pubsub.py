"""Solana PubSub over one WebSocket that reconnects by itself: typed notifications, resubscription, dead-connection
checks.

This order loses no change: the endpoint confirms a subscription first (`Subscribed`), then the reader fetches the
state, and every later change is notified. After a reconnect each subscription is made and confirmed again, so the
reader fetches again. A message that cannot be read may have been a change, so it ends the connection, too.

A quiet account proves nothing about the connection, but slots arrive all the time. So slots are always subscribed, and
silence longer than `silence_s` ends the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket as sockets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import aiohttp
import msgspec
from solders.pubkey import Pubkey

from ..endpoint import WEBSOCKET, Endpoint
from ..errors import AwmError
from ..wire import jsonrpc, notifications
from .http import retry_after
from .subscriptions import Subscription, Subscriptions

__all__ = [
    "AccountChanged", "Connected", "Disconnected", "Event", "OtherNotification", "PubSub", "SlotChanged", "Subscribed",
    "Subscription", "SubscriptionRefused",
]  # fmt: skip

_QUICK_ACK: int | None = getattr(sockets, "TCP_QUICKACK", None)
"""Linux. MagicBlock's validators leave Nagle's algorithm on: a notification waits for the acknowledgement of the one
before, and that is held back for 40 ms unless it is asked for at once."""

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 2.0
MAX_MESSAGE_BYTES = 16 << 20
"""The longest message that is read. The largest account (10 MiB) takes 14 MB in base64."""
_WATCH_S = 0.25
_IN_A_ROW = 64
"""Messages read without giving the rest of the loop a turn."""


class Connected(msgspec.Struct, frozen=True):
    """The WebSocket is open. A `Subscribed` follows for each subscription. `attempt` counts connections from 1."""

    attempt: int


class Disconnected(msgspec.Struct, frozen=True):
    """The WebSocket has closed, and a new one will be opened. `reason` shows no secret of the endpoint."""

    reason: str


class Subscribed(msgspec.Struct, frozen=True):
    """The endpoint has confirmed a subscription, so the reader should fetch the state now. Repeated after each
    reconnect.
    """

    subscription: Subscription


class SubscriptionRefused(msgspec.Struct, frozen=True):
    """The endpoint has refused a subscription. The request is repeated, after pauses that grow to half a minute."""

    subscription: Subscription
    error: AwmError


class AccountChanged(msgspec.Struct, frozen=True):
    """An account after a change. `key` is base58; it is None for an account subscription (the tag says which
    account).
    """

    tag: Any
    key: str | None
    slot: int
    owner: Pubkey
    lamports: int
    data: bytes


class SlotChanged(msgspec.Struct, frozen=True):
    """The endpoint processed a slot."""

    slot: int


class OtherNotification(msgspec.Struct, frozen=True):
    """A notification of another kind (logs, signature, root). The result is given as plain JSON values."""

    tag: Any
    kind: str
    slot: int
    value: Any


Event = Connected | Disconnected | Subscribed | SubscriptionRefused | AccountChanged | SlotChanged | OtherNotification

# text frames are passed on as bytes, because the JSON decoder takes bytes
_Socket: TypeAlias = "aiohttp.ClientWebSocketResponse[Literal[False]]"


class PubSub:
    """One WebSocket to one endpoint. It reconnects whenever the connection breaks.

    Args:
        url: ws:// or wss://.
        sink: called with each event, in order, inside the reading loop, so it must be quick. An AwmError that it raises
            counts as a malformed message. Pass a queue's `put_nowait` if the reader should await events.
        silence_s: the longest time without any message, in seconds. After it the connection counts as dead, because
            slots should always arrive.
        commitment: added to every subscription whose parameters name none.

    `run` does the work until it is cancelled or `close` is called; `start` runs it as a task.

    Raises:
        ConfigError: the URL is not valid for an endpoint.
    """

    def __init__(
        self,
        url: str | Endpoint,
        sink: Callable[[Event], object],
        *,
        silence_s: float = 5.0,
        commitment: str = "processed",
    ) -> None:
        self.endpoint = Endpoint.parse(url, WEBSOCKET)
        self.slot = 0
        self.slot_at = 0.0
        """When `slot` came (the clock of `time.monotonic`)."""
        self.reconnects = 0
        self.failures: Counter[str] = Counter()
        """How many connections ended, by kind: `malformed`, `silent`, `closed`, `unreachable`, `lagging`."""
        self._sink = sink
        self._silence_s = silence_s
        self._commitment = commitment
        self._socket: _Socket | None = None
        self._book = Subscriptions(self._send)
        self._id = 0
        self._task: asyncio.Task[None] | None = None
        # It never holds more entries than there are subscriptions.
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._heard = False
        self._unwanted: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._slots = self._book.add("slot", (), None, 0.0)

    @property
    def url(self) -> str:
        """The endpoint's address without its secrets, for logs."""
        return str(self.endpoint)

    @property
    def connected(self) -> bool:
        """Whether the WebSocket is open, as far as this side can tell."""
        return self._socket is not None

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def account(self, key: str, *, tag: Any = None, encoding: str = "base64") -> Subscription:
        """Subscribes to every change of one account (base58 key)."""
        options = {"encoding": encoding, "commitment": self._commitment}
        return self.subscribe("account", [key, options], tag=key if tag is None else tag)

    def program(self, program: str, *, filters: Sequence[Any] = (), tag: Any = None) -> Subscription:
        """Subscribes to every change of a program's accounts that pass the filters (`{"memcmp": …}`, `{"dataSize":
        n}`).
        """
        options = {"encoding": "base64", "commitment": self._commitment, "filters": list(filters)}
        return self.subscribe("program", [program, options], tag=program if tag is None else tag)

    def subscribe(self, kind: str, params: Sequence[Any], *, tag: Any = None) -> Subscription:
        """Subscribes with `<kind>Subscribe` and these parameters: now if connected, and again at each reconnect."""
        subscription = self._book.add(kind, params, tag, time.monotonic())
        if subscription.confirmed.is_set():
            # An equal subscription is confirmed already. Report that later: the caller does not have its subscription
            # object yet.
            asyncio.get_running_loop().call_soon(self._say_subscribed, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Ends this subscription and drops its pending notifications. Equal subscriptions of other readers continue."""
        self._book.remove(subscription)

    def renew(self, subscription: Subscription) -> None:
        """Makes the endpoint end and repeat one subscription. `Subscribed` follows.

        A subscription can stop while slots still arrive. Only its reader can notice that: what it fetched has changed,
        but `subscription.heard_at` is old.
        """
        self._book.renew(subscription, time.monotonic())

    def reconnect(self, reason: str, *, kind: str = "lagging") -> None:
        """Closes the connection, if there is one; a new one follows. `kind` is counted in `failures`."""
        if self._socket is not None:
            self._unwanted.put_nowait((kind, reason))

    # -- the loop -----------------------------------------------------------------------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Runs `run` as a task and returns it."""
        if self._task is None:
            self._task = asyncio.create_task(self.run(), name="pubsub")
        return self._task

    async def close(self) -> None:
        """Stops the task and closes the socket."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def run(self) -> None:
        """Connects, reads, and reconnects. The pauses between attempts grow until slots arrive again."""
        backoff = BACKOFF_FIRST_S
        attempt = 0
        async with aiohttp.ClientSession() as http:
            while True:
                attempt += 1
                slot_before, asked_for = self.slot, 0.0
                try:
                    async with asyncio.timeout(self._silence_s):
                        socket = await http.ws_connect(
                            self.endpoint.reveal(),
                            # A dead peer answers no closing handshake.
                            timeout=aiohttp.ClientWSTimeout(ws_close=0.2),
                            max_msg_size=MAX_MESSAGE_BYTES,
                            decode_text=False,
                        )
                    try:
                        kind, reason = await self._converse(socket, attempt)
                    finally:
                        self._socket = None
                        await socket.close()
                except TimeoutError:
                    kind, reason = "unreachable", f"no answer in {self._silence_s:g} s"
                except (aiohttp.ClientError, OSError, UnicodeError) as error:
                    kind, reason = "unreachable", f"{error or type(error).__name__}"
                    if isinstance(error, aiohttp.WSServerHandshakeError):
                        reason = f"answered HTTP {error.status}"
                        header = error.headers.get("Retry-After", "") if error.headers else ""
                        asked_for = retry_after(header.encode("utf-8", "replace")) or 0.0
                self._book.disconnected()
                self.failures[kind] += 1
                self._sink(Disconnected(self.endpoint.scrub(reason)))
                self.reconnects += 1
                good = self.slot != slot_before and kind not in ("malformed", "lagging")
                backoff = BACKOFF_FIRST_S if good else min(backoff * 2, BACKOFF_MAX_S)
                # A random pause, so that many clients of one endpoint do not reconnect at the same moment.
                await asyncio.sleep(max(backoff * random.uniform(0.5, 1.0), asked_for))

    async def _converse(self, socket: _Socket, attempt: int) -> tuple[str, str]:
        """Reads until the connection ends. Returns the kind of the end and its reason."""
        self._socket = socket
        self._outbox, self._unwanted = asyncio.Queue(), asyncio.Queue()
        jobs = (self._read(socket), self._write(socket), self._watch(), self._unwanted.get())
        tasks: list[asyncio.Task[tuple[str, str]]] = [asyncio.ensure_future(job) for job in jobs]
        try:
            self._sink(Connected(attempt))
            self._book.connected(time.monotonic())
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, socket: _Socket) -> tuple[str, str]:
        with _own_handle(socket) as raw:
            count = 0
            while True:
                message = await socket.receive()
                if raw is not None and _QUICK_ACK is not None:
                    # The option lasts for one acknowledgement. If the socket broke in the meantime, the next read
                    # reports it.
                    with contextlib.suppress(OSError):
                        raw.setsockopt(sockets.IPPROTO_TCP, _QUICK_ACK, 1)
                self._heard = True
                if message.type is aiohttp.WSMsgType.TEXT:
                    try:
                        await self._take(message.data)
                    except AwmError as error:
                        return "malformed", f"it sent a message that cannot be read: {error}"
                elif message.type is aiohttp.WSMsgType.BINARY:
                    return "malformed", "it sent a binary message"
                elif message.type is aiohttp.WSMsgType.ERROR:
                    return "malformed", f"it broke the WebSocket protocol: {message.data}"
                else:
                    return "closed", f"closed by the endpoint ({socket.close_code})"
                count += 1
                if count % _IN_A_ROW == 0:
                    # Messages in the buffer arrive without a pause: a flood of them must not stop everything else.
                    await asyncio.sleep(0)

    async def _write(self, socket: _Socket) -> tuple[str, str]:
        while True:
            await socket.send_str((await self._outbox.get()).decode())

    async def _watch(self) -> tuple[str, str]:
        # One timer for the connection instead of one for every message.
        self._heard = True
        heard_at = time.monotonic()
        while True:
            now = time.monotonic()
            if self._heard:
                self._heard, heard_at = False, now
            elif now - heard_at > self._silence_s:
                return "silent", f"nothing heard in {self._silence_s:g} s"
            if broken := self._book.ask_again(now):
                return "silent", broken
            await asyncio.sleep(min(_WATCH_S, self._silence_s / 4))

    # -- messages -----------------------------------------------------------------------------------------------------

    def feed(self, text: bytes) -> None:
        """Decodes one message of the endpoint and passes its event to the sink.

        Raises:
            RpcError: the message cannot be read.
        """
        self._said(notifications.decode_message(text))

    async def _take(self, text: bytes | str) -> None:
        """`feed`, with long messages decoded in a thread, so that the loop goes on."""
        if len(text) > jsonrpc.MAX_AT_ONCE_BYTES:
            self._said(await asyncio.to_thread(notifications.decode_message, text))
        else:
            self._said(notifications.decode_message(text))

    def _said(self, message: notifications.Notification | notifications.UnknownNotification | jsonrpc.Reply) -> None:
        if isinstance(message, jsonrpc.Reply):
            self._answered(message)
        elif isinstance(message, notifications.SlotNotification):
            self.slot, self.slot_at = message.params.result.slot, time.monotonic()
            self._sink(SlotChanged(self.slot))
        else:
            self._notified(message)

    def _notified(self, message: notifications.Notification | notifications.UnknownNotification) -> None:
        number, result = message.params.subscription, message.params.result
        now = time.monotonic()
        if isinstance(message, notifications.AccountNotification):
            found, slot = message.params.result.value, message.params.result.context.slot
            for reader in self._book.readers(number, "account", now):
                self._sink(AccountChanged(reader.tag, None, slot, found.owner_key, found.lamports, found.raw))
        elif isinstance(message, notifications.ProgramNotification):
            one, slot = message.params.result.value, message.params.result.context.slot
            found = one.account
            for reader in self._book.readers(number, "program", now):
                self._sink(AccountChanged(reader.tag, str(one.key), slot, found.owner_key, found.lamports, found.raw))
        elif isinstance(message, notifications.SignatureNotification):
            ended = message.params.result
            value: Any = ended.value if isinstance(ended.value, str) else {"err": ended.value.err}
            for reader in self._book.readers(number, "signature", now):
                self._sink(OtherNotification(reader.tag, "signature", ended.context.slot, value))
        elif isinstance(message, notifications.UnknownNotification):
            kind = message.method.removesuffix("Notification")
            slot = self.slot
            if isinstance(result, dict) and isinstance(context := result.get("context"), dict) and "value" in result:
                slot = context["slot"] if isinstance(context.get("slot"), int) else slot
                result = result["value"]
            for reader in self._book.readers(number, kind, now):
                self._sink(OtherNotification(reader.tag, kind, slot, result))

    def _answered(self, reply: jsonrpc.Reply) -> None:
        readers, error = self._book.answered(reply, time.monotonic())
        for reader in readers:
            if reader is self._slots:
                continue
            self._sink(Subscribed(reader) if error is None else SubscriptionRefused(reader, error))

    def _say_subscribed(self, subscription: Subscription) -> None:
        # Unless the subscription was ended or the connection broke since; then the next confirmation reports it.
        if subscription.confirmed.is_set():
            self._sink(Subscribed(subscription))

    def _send(self, method: str, params: Sequence[Any]) -> int:
        self._id += 1
        body = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._outbox.put_nowait(msgspec.json.encode(body))
        return self._id


@contextlib.contextmanager
def _own_handle(socket: _Socket) -> Iterator[sockets.socket | None]:
    """A duplicate handle of the connection's socket, for setting socket options; None if it has no socket.

    uvloop's own socket object creates a real socket for every call, which took a tenth of the crank's CPU time.
    """
    found = socket.get_extra_info("socket") if _QUICK_ACK is not None else None
    if found is None:
        yield None
        return
    with sockets.socket(fileno=os.dup(found.fileno())) as raw:
        yield raw
