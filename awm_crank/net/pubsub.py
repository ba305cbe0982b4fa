"""Solana PubSub over one WebSocket that stays up: typed notifications, resubscription, half-open detection.

The order that keeps nothing from falling between: a subscription is confirmed first (`Subscribed`), then its reader
fetches the state; what changes after the confirmation is notified. After a reconnect every subscription is made anew
and confirmed anew, so the reader fetches again.

A quiet account proves nothing about the connection, a slot stream does: slots are always subscribed, and silence
longer than `silence_s` drops the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket as sockets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import aiohttp
import msgspec

from ..errors import AwmError, RpcError
from ..wire import jsonrpc

_QUICK_ACK: int | None = getattr(sockets, "TCP_QUICKACK", None)
"""Linux. MagicBlock's validators leave Nagle's algorithm on: a notification waits for the acknowledgement of the one
before, and that is held back for 40 ms unless it is asked for at once."""

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 2.0


class Subscription:
    """What was asked for; stands for the same interest over all reconnects. `tag` is the asker's own."""

    __slots__ = ("confirmed", "error", "kind", "params", "server_id", "tag")

    def __init__(self, kind: str, params: Sequence[Any], tag: Any) -> None:
        self.kind = kind
        self.params = params
        self.tag = tag
        self.server_id: int | None = None
        self.confirmed = asyncio.Event()
        self.error: AwmError | None = None


class Connected(msgspec.Struct, frozen=True):
    """The WebSocket is up; `Subscribed` follows for each subscription. `attempt` counts connections from 1."""

    attempt: int


class Disconnected(msgspec.Struct, frozen=True):
    """The WebSocket is gone; it is being made again."""

    reason: str


class Subscribed(msgspec.Struct, frozen=True):
    """The endpoint confirmed a subscription: now is the time to fetch. Comes again after each reconnect."""

    subscription: Subscription


class SubscriptionRefused(msgspec.Struct, frozen=True):
    """The endpoint does not have this subscription."""

    subscription: Subscription
    error: AwmError


class AccountChanged(msgspec.Struct, frozen=True):
    """An account as it is after a change. `key` is base58; None for an account subscription (the tag says which)."""

    tag: Any
    key: str | None
    slot: int
    owner: str
    lamports: int
    data: bytes


class SlotChanged(msgspec.Struct, frozen=True):
    """The endpoint processed a slot."""

    slot: int


class OtherNotification(msgspec.Struct, frozen=True):
    """A notification of another kind (logs, signature, root): its result as plain JSON values."""

    tag: Any
    kind: str
    slot: int
    value: Any


Event = Connected | Disconnected | Subscribed | SubscriptionRefused | AccountChanged | SlotChanged | OtherNotification

# text frames arrive as bytes: the decoder wants nothing else
_Socket: TypeAlias = "aiohttp.ClientWebSocketResponse[Literal[False]]"


@contextlib.contextmanager
def _own_handle(socket: _Socket) -> Iterator[sockets.socket | None]:
    """A handle of ours on a WebSocket's connection, for socket options; None where there are none to set.

    uvloop's own stand-in for a socket makes a real one for every call, which cost a tenth of the crank's CPU.
    """
    found = socket.get_extra_info("socket") if _QUICK_ACK is not None else None
    if found is None:
        yield None
        return
    with sockets.socket(fileno=os.dup(found.fileno())) as raw:
        yield raw


class _AnyParams(msgspec.Struct):
    result: Any
    subscription: int


class _AnyNotification(msgspec.Struct):
    method: str
    params: _AnyParams


_any = msgspec.json.Decoder(_AnyNotification).decode


class PubSub:
    """One WebSocket to one endpoint, made again whenever it breaks.

    Args:
        url: ws:// or wss://.
        sink: called with each event, in order, inside the reading loop: it must be quick and must not raise. A queue's
            `put_nowait` serves where the reader wants to await.
        silence_s: longest time without any message (slots flow always); then the connection counts as half open.
        commitment: put into every subscription whose parameters name none.

    `run` does the work until cancelled or `close`d; `start` runs it as a task.
    """

    def __init__(
        self, url: str, sink: Callable[[Event], object], *, silence_s: float = 5.0, commitment: str = "processed"
    ) -> None:
        self.url = url
        self.slot = 0
        self.reconnects = 0
        self._sink = sink
        self._silence_s = silence_s
        self._commitment = commitment
        self._socket: _Socket | None = None
        self._subscriptions: dict[Subscription, None] = {}
        self._by_server_id: dict[int, Subscription] = {}
        self._asked: dict[int, Subscription] = {}
        self._id = 0
        self._task: asyncio.Task[None] | None = None
        # as long as there are subscriptions, which is what bounds it
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._heard = False
        self._slots = Subscription("slot", (), None)
        self._subscriptions[self._slots] = None

    @property
    def connected(self) -> bool:
        """The WebSocket is up, as far as one can know."""
        return self._socket is not None

    # -- what one wants to hear -----------------------------------------------------------------------------------

    def account(self, key: str, *, tag: Any = None, encoding: str = "base64") -> Subscription:
        """Wants every change of one account (base58 key)."""
        options = {"encoding": encoding, "commitment": self._commitment}
        return self.subscribe("account", [key, options], tag=key if tag is None else tag)

    def program(self, program: str, *, filters: Sequence[Any] = (), tag: Any = None) -> Subscription:
        """Wants every change of a program's accounts that pass the filters (`{"memcmp": …}`, `{"dataSize": n}`)."""
        options = {"encoding": "base64", "commitment": self._commitment, "filters": list(filters)}
        return self.subscribe("program", [program, options], tag=program if tag is None else tag)

    def subscribe(self, kind: str, params: Sequence[Any], *, tag: Any = None) -> Subscription:
        """Wants `<kind>Subscribe` with these parameters; sent now if connected, and again at each reconnect."""
        subscription = Subscription(kind, params, tag)
        self._subscriptions[subscription] = None
        if self._socket is not None:
            self._ask(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Wants no more of it; notifications under way are dropped."""
        self._subscriptions.pop(subscription, None)
        server_id, subscription.server_id = subscription.server_id, None
        if server_id is not None:
            self._by_server_id.pop(server_id, None)
            self._send(f"{subscription.kind}Unsubscribe", [server_id])

    # -- the loop -------------------------------------------------------------------------------------------------

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
        """Connects, reads, and connects again, with a backoff that starts over once slots have flowed."""
        backoff = BACKOFF_FIRST_S
        attempt = 0
        async with aiohttp.ClientSession() as http:
            while True:
                attempt += 1
                slot_before = self.slot
                try:
                    async with asyncio.timeout(self._silence_s):
                        socket = await http.ws_connect(
                            self.url,
                            # a half-open peer answers no closing handshake
                            timeout=aiohttp.ClientWSTimeout(ws_close=0.2),
                            max_msg_size=64 << 20,
                            decode_text=False,
                        )
                    try:
                        reason = await self._converse(socket, attempt)
                    finally:
                        self._socket = None
                        await socket.close()
                except TimeoutError:
                    reason = f"no answer in {self._silence_s} s"
                except (aiohttp.ClientError, OSError) as error:
                    reason = f"{error or type(error).__name__}"
                self._forget()
                self._sink(Disconnected(reason))
                self.reconnects += 1
                backoff = BACKOFF_FIRST_S if self.slot != slot_before else min(backoff * 2, BACKOFF_MAX_S)
                # spread, so that many clients of one endpoint do not return in step
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))

    async def _converse(self, socket: _Socket, attempt: int) -> str:
        self._socket = socket
        self._outbox = asyncio.Queue()
        tasks = [asyncio.create_task(job(socket)) for job in (self._read, self._write, self._watch)]
        try:
            self._sink(Connected(attempt))
            for subscription in list(self._subscriptions):
                self._ask(subscription)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, socket: _Socket) -> str:
        with _own_handle(socket) as raw:
            return await self._read_on(socket, raw)

    async def _read_on(self, socket: _Socket, raw: sockets.socket | None) -> str:
        while True:
            message = await socket.receive()
            if raw is not None and _QUICK_ACK is not None:
                # it lasts for one acknowledgement; a socket that broke meanwhile says so in the message
                with contextlib.suppress(OSError):
                    raw.setsockopt(sockets.IPPROTO_TCP, _QUICK_ACK, 1)
            self._heard = True
            if message.type is aiohttp.WSMsgType.TEXT:
                self.feed(message.data)
            elif message.type is not aiohttp.WSMsgType.BINARY:
                return f"closed by the endpoint ({socket.close_code})"

    async def _write(self, socket: _Socket) -> str:
        while True:
            await socket.send_str(await self._outbox.get())

    async def _watch(self, _: _Socket) -> str:
        # one timer for the connection instead of one for every message
        self._heard = True
        while self._heard:
            self._heard = False
            await asyncio.sleep(self._silence_s)
        return f"half open: nothing heard in {self._silence_s} s"

    # -- messages -------------------------------------------------------------------------------------------------

    def feed(self, text: bytes) -> None:
        """Reads one message of the endpoint and gives the sink what it says. What cannot be read is left alone."""
        try:
            message = jsonrpc.decode_message(text)
        except RpcError:
            self._notified_otherwise(text)
            return
        if isinstance(message, jsonrpc.Reply):
            self._answered(message)
        elif isinstance(message, jsonrpc.SlotNotification):
            self.slot = message.params.result.slot
            self._sink(SlotChanged(self.slot))
        else:
            self._notified(message)

    def _notified(self, message: jsonrpc.Notification) -> None:
        subscription = self._by_server_id.get(message.params.subscription)
        if subscription is None:
            return
        if isinstance(message, jsonrpc.SignatureNotification):
            result = message.params.result
            value = result.value if isinstance(result.value, str) else {"err": result.value.err}
            self._sink(OtherNotification(subscription.tag, "signature", result.context.slot, value))
            return
        key = None
        if isinstance(message, jsonrpc.ProgramNotification):
            key, found = message.params.result.value.pubkey, message.params.result.value.account
        elif isinstance(message, jsonrpc.AccountNotification):
            found = message.params.result.value
        else:
            return
        slot = message.params.result.context.slot
        try:
            data = found.raw
        except RpcError:
            return
        self._sink(AccountChanged(subscription.tag, key, slot, found.owner, found.lamports, data))

    def _notified_otherwise(self, text: bytes) -> None:
        """Kinds that the daemon has no use for: logs, root, and whatever an endpoint adds."""
        try:
            note = _any(text)
        except msgspec.DecodeError:
            return
        subscription = self._by_server_id.get(note.params.subscription)
        kind = note.method.removesuffix("Notification")
        if subscription is None or subscription.kind != kind or kind in ("account", "program"):
            return
        result, slot = note.params.result, self.slot
        if isinstance(result, dict) and isinstance(context := result.get("context"), dict) and "value" in result:
            result, slot = result["value"], context.get("slot", slot)
        self._sink(OtherNotification(subscription.tag, kind, slot, result))

    def _answered(self, reply: jsonrpc.Reply) -> None:
        subscription = self._asked.pop(reply.id, None) if isinstance(reply.id, int) else None
        if subscription is None:
            return
        try:
            server_id = jsonrpc.result(reply, int, f"{subscription.kind}Subscribe")
        except AwmError as error:
            subscription.error = error
            subscription.confirmed.set()
            self._sink(SubscriptionRefused(subscription, error))
            return
        if subscription not in self._subscriptions:
            # given up while it was asked for
            self._send(f"{subscription.kind}Unsubscribe", [server_id])
            return
        subscription.server_id = server_id
        subscription.error = None
        self._by_server_id[server_id] = subscription
        subscription.confirmed.set()
        if subscription is not self._slots:
            self._sink(Subscribed(subscription))

    def _ask(self, subscription: Subscription) -> None:
        self._asked[self._send(f"{subscription.kind}Subscribe", subscription.params)] = subscription

    def _send(self, method: str, params: Sequence[Any]) -> int:
        self._id += 1
        body = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._outbox.put_nowait(msgspec.json.encode(body).decode())
        return self._id

    def _forget(self) -> None:
        self._by_server_id.clear()
        self._asked.clear()
        for subscription in self._subscriptions:
            subscription.server_id = None
            subscription.confirmed.clear()
