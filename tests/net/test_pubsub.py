"""PubSub: typed notifications, and a connection that recovers from every kind of break."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from aiohttp import WSMessage, WSMsgType
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from awm_crank.endpoint import WEBSOCKET
from awm_crank.endpoint import Endpoint as Url
from awm_crank.errors import LayoutError, RpcError
from awm_crank.net import pubsub
from awm_crank.net.pubsub import (
    AccountChanged,
    Connected,
    Disconnected,
    OtherNotification,
    PubSub,
    SlotChanged,
    Subscribed,
    SubscriptionRefused,
)

if TYPE_CHECKING:
    from .conftest import Endpoint

KEY = "FJwbNTbGHSpq4a72ro1aza53kvs7YMNT7J5U34kaosFj"
OWNER = Pubkey.from_string(KEY)
OTHER = "Ea3VKF8CW3svQwiT8pn13JVdbVhLHSBURtNuanagc4hs"
T = TypeVar("T")


async def expect(events: asyncio.Queue[Any], kind: type[T]) -> T:
    """The next event of that kind; other events are skipped."""
    async with asyncio.timeout(5):
        while True:
            event = await events.get()
            if isinstance(event, kind):
                return event


def account_value(data: bytes) -> dict[str, Any]:
    """An account as the endpoint writes it."""
    encoded = [base64.b64encode(data).decode(), "base64"]
    return {"data": encoded, "owner": KEY, "lamports": 9, "executable": False, "rentEpoch": 2**64 - 1, "space": 3}


async def test_account(endpoint: Endpoint) -> None:
    """An account subscription is confirmed first; then its changes arrive with tag, slot and decoded bytes."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY, tag="mine")
    client.start()
    assert (await expect(events, Subscribed)).subscription is subscription
    value = {"context": {"slot": 12}, "value": account_value(b"abc")}
    await endpoint.notify("account", subscription.server_id or 0, value)
    assert await expect(events, AccountChanged) == AccountChanged("mine", None, 12, OWNER, 9, b"abc")
    assert ("accountSubscribe", [KEY, {"encoding": "base64", "commitment": "processed"}]) in endpoint.asked
    await client.close()


async def test_program(endpoint: Endpoint) -> None:
    """A program notification names the account, and the filters are sent as given."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    filters = [{"memcmp": {"offset": 54, "bytes": KEY}}]
    subscription = client.program(KEY, filters=filters)
    client.start()
    await expect(events, Subscribed)
    value = {"context": {"slot": 3}, "value": {"pubkey": OTHER, "account": account_value(b"\0\1")}}
    await endpoint.notify("program", subscription.server_id or 0, value)
    assert await expect(events, AccountChanged) == AccountChanged(KEY, OTHER, 3, OWNER, 9, b"\0\1")
    assert endpoint.asked[1][1][1]["filters"] == filters
    await client.close()


async def test_slots_and_others(endpoint: Endpoint) -> None:
    """Slots arrive without being asked for, and other kinds arrive as plain values."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.subscribe("signature", ["5" * 88], tag="sig")
    client.start()
    await expect(events, Connected)
    assert await expect(events, SlotChanged) == SlotChanged(7)
    assert client.slot == 7
    await expect(events, Subscribed)
    await endpoint.notify("signature", subscription.server_id or 0, {"context": {"slot": 8}, "value": {"err": None}})
    assert await expect(events, OtherNotification) == OtherNotification("sig", "signature", 8, {"err": None})
    await client.close()


async def test_reconnect_subscribes_anew(endpoint: Endpoint) -> None:
    """After a broken connection every subscription is made and confirmed again, so that its reader fetches again."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    first, second = client.account(KEY), client.program(KEY)
    client.start()
    assert {(await expect(events, Subscribed)).subscription for _ in range(2)} == {first, second}
    await endpoint.drop()
    await expect(events, Disconnected)
    assert not first.confirmed.is_set()
    assert (await expect(events, Connected)).attempt == 2
    assert {(await expect(events, Subscribed)).subscription for _ in range(2)} == {first, second}
    await endpoint.notify("account", first.server_id or 0, {"context": {"slot": 1}, "value": account_value(b"x")})
    assert (await expect(events, AccountChanged)).data == b"x"
    assert client.reconnects == 1
    await client.close()


async def test_half_open(endpoint: Endpoint) -> None:
    """A socket that stays open but silent is dropped and reconnected."""
    endpoint.mute = True
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait, silence_s=0.2)
    client.start()
    assert "nothing heard" in (await expect(events, Disconnected)).reason
    endpoint.mute = False
    assert await expect(events, SlotChanged) == SlotChanged(7)
    await client.close()


async def test_clean_close_by_the_endpoint(endpoint: Endpoint) -> None:
    """After the endpoint's closing handshake the client reconnects."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    client.start()
    await expect(events, SlotChanged)
    await endpoint.sockets[-1].close()
    assert "closed by the endpoint" in (await expect(events, Disconnected)).reason
    await expect(events, SlotChanged)
    await client.close()


async def test_backoff_grows_and_resets(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause doubles while nothing works, and starts over once slots have arrived."""
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(pubsub.random, "uniform", lambda _low, high: high)
    good, nobody = endpoint.ws, "ws://127.0.0.1:9"
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(nobody, events.put_nowait, silence_s=3600)
    monkeypatch.setattr(pubsub.asyncio, "sleep", sleep)
    client.start()
    for _ in range(8):
        await expect(events, Disconnected)
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    monkeypatch.setattr(pubsub.asyncio, "sleep", real_sleep)
    client.endpoint = Url.parse(good, WEBSOCKET)
    await expect(events, SlotChanged)
    monkeypatch.setattr(pubsub.asyncio, "sleep", sleep)
    pauses.clear()
    client.endpoint = Url.parse(nobody, WEBSOCKET)
    await endpoint.drop()
    await expect(events, Disconnected)
    await expect(events, Disconnected)
    assert next(p for p in pauses if p not in (0, pubsub._WATCH_S)) == pubsub.BACKOFF_FIRST_S
    monkeypatch.setattr(pubsub.asyncio, "sleep", real_sleep)
    await client.close()


async def test_refused(endpoint: Endpoint) -> None:
    """A subscription that the endpoint does not support is reported with its error; the others stay."""
    endpoint.refuse.add("rootSubscribe")
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    root = client.subscribe("root", [])
    client.start()
    refused = await expect(events, SubscriptionRefused)
    error: Any = refused.error
    assert (refused.subscription, error.code) == (root, -32601)
    client.account(KEY)
    await expect(events, Subscribed)
    await client.close()


async def test_unsubscribe(endpoint: Endpoint) -> None:
    """A reader that leaves is unsubscribed, gets no more events, and is not subscribed again at a reconnect."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    number = subscription.server_id or 0
    client.unsubscribe(subscription)
    await endpoint.notify("account", number, {"context": {"slot": 1}, "value": account_value(b"x")})
    # messages are read in order, so once this one is confirmed the unsubscription has been read too
    client.account(OTHER)
    await expect(events, Subscribed)
    await endpoint.drop()
    async with asyncio.timeout(5):
        while not isinstance(event := await events.get(), Disconnected):
            assert not isinstance(event, AccountChanged)
    await expect(events, SlotChanged)
    assert ("accountUnsubscribe", [number]) in endpoint.asked
    assert [params[0] for method, params in endpoint.asked if method == "accountSubscribe"].count(KEY) == 1
    await client.close()


@given(st.binary(max_size=200))
def test_garbage(text: bytes) -> None:
    """Messages that cannot be read raise RpcError and become no event."""
    events: list[Any] = []
    with contextlib.suppress(RpcError):
        PubSub("ws://127.0.0.1:9", events.append).feed(text)
    assert events == []


DEEP = b'{"jsonrpc":"2.0","method":"x","params":{"subscription":1,"result":' + b"[" * 20_000 + b"]" * 20_000 + b"}}"
BAD = [
    b'{"method": "accountNotification", "params": {}}',
    b'{"method": "accountNotification", "params": {"subscription": 1, "result": null}}',
    b'{"method": "slotNotification", "params": {"subscription": 1, "result": {"slot": "x"}}}',
    b'{"method": "slotNotification", "params": {"subscription": 1, "result": {"slot": -1}}}',
    b'{"method": "slotNotification", "params": {"subscription": 1, "result": {"slot": 99999999999999999999}}}',
    b'{"method": "programNotification"}',
    b'{"method": "\xff\xfe", "params": {"subscription": 1, "result": 1}}',
    b'{"method": 1}',
    b"null",
    DEEP,
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
async def test_malformed_message_is_a_reconnect(endpoint: Endpoint, text: bytes) -> None:
    """An unreadable message may have been a change, so the client reconnects and its readers fetch again."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    # a text frame with these bytes, whether they are UTF-8 or not
    await endpoint.sockets[-1]._writer.send_frame(text, WSMsgType.TEXT)  # type: ignore[union-attr]
    assert "cannot be read" in (await expect(events, Disconnected)).reason
    assert (await expect(events, Subscribed)).subscription is subscription
    assert client.failures == {"malformed": 1}
    await client.close()


async def test_nonsense_without_end(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that sends nonsense at every connection is tried with growing pauses, even if slots arrive."""
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(pubsub.random, "uniform", lambda _low, high: high)
    monkeypatch.setattr(pubsub.asyncio, "sleep", sleep)
    endpoint.greeting = "nonsense"
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    client.start()
    for _ in range(4):
        await expect(events, Disconnected)
    assert [pause for pause in pauses if pause not in (0, pubsub._WATCH_S)][:3] == [0.1, 0.2, 0.4]
    await client.close()


@pytest.mark.parametrize("text", [b'{"id": 1, "result": "no number"}', b'{"id": 99, "result": 1}', b'{"id": "x"}'])
def test_strange_answers_do_no_harm(text: bytes) -> None:
    """An answer that belongs to no request, or has another shape, is neither an event nor an error."""
    events: list[Any] = []
    PubSub("ws://127.0.0.1:9", events.append).feed(text)
    assert events == []


async def test_reader_that_refuses(endpoint: Endpoint) -> None:
    """An AwmError that the sink raises counts as a malformed message: it ends the connection and nothing else."""
    events: asyncio.Queue[Any] = asyncio.Queue()

    def sink(event: Any) -> None:
        if isinstance(event, AccountChanged):
            raise LayoutError("not an account of ours")
        events.put_nowait(event)

    client = PubSub(endpoint.ws, sink)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    await endpoint.notify("account", subscription.server_id or 0, {"context": {"slot": 1}, "value": account_value(b"")})
    assert "not an account of ours" in (await expect(events, Disconnected)).reason
    await expect(events, Subscribed)
    await client.close()


async def test_refused_is_asked_again(endpoint: Endpoint) -> None:
    """A subscription that is refused for now is requested again on the same connection until it is confirmed."""
    endpoint.refuse.add("rootSubscribe")
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    root = client.subscribe("root", [])
    client.start()
    await expect(events, SubscriptionRefused)
    endpoint.refuse.clear()
    assert (await expect(events, Subscribed)).subscription is root
    assert (root.error, client.reconnects) == (None, 0)
    await client.close()


async def test_equal_subscriptions(endpoint: Endpoint) -> None:
    """Equal subscriptions are requested once, every reader is notified, and one
    that leaves does not affect the others.
    """
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    first, second = client.account(KEY, tag="a"), client.account(KEY, tag="b")
    client.start()
    assert {(await expect(events, Subscribed)).subscription for _ in range(2)} == {first, second}
    third = client.account(KEY, tag="c")
    assert (await expect(events, Subscribed)).subscription is third
    number = first.server_id or 0
    assert number == second.server_id == third.server_id
    value = {"context": {"slot": 1}, "value": account_value(b"x")}
    await endpoint.notify("account", number, value)
    assert [(await expect(events, AccountChanged)).tag for _ in range(3)] == ["a", "b", "c"]
    client.unsubscribe(first)
    client.unsubscribe(third)
    await endpoint.notify("account", number, value)
    assert (await expect(events, AccountChanged)).tag == "b"
    client.unsubscribe(second)
    client.account(OTHER)
    await expect(events, Subscribed)
    methods = [method for method, _ in endpoint.asked]
    assert (methods.count("accountSubscribe"), methods.count("accountUnsubscribe")) == (2, 1)
    await client.close()


async def test_renew(endpoint: Endpoint) -> None:
    """One subscription can be made again on the same connection; it is confirmed, so its reader fetches again."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    old = subscription.server_id or 0
    client.renew(subscription)
    assert not subscription.confirmed.is_set()
    assert (await expect(events, Subscribed)).subscription is subscription
    assert subscription.server_id != old
    await endpoint.notify("account", old, {"context": {"slot": 1}, "value": account_value(b"old")})
    await endpoint.notify(
        "account", subscription.server_id or 0, {"context": {"slot": 1}, "value": account_value(b"new")}
    )
    assert (await expect(events, AccountChanged)).data == b"new"
    assert (client.reconnects, subscription.heard_at > 0) == (0, True)
    await client.close()


async def test_flood_leaves_turns_to_others(endpoint: Endpoint) -> None:
    """While messages flood in, other tasks of the loop still run."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    value = {"context": {"slot": 1}, "value": account_value(b"x")}
    text = json.dumps({"jsonrpc": "2.0", "method": "accountNotification", "params": {
        "result": value, "subscription": subscription.server_id}})  # fmt: skip

    class Buffered:
        """A socket whose buffer never runs empty: `receive` always returns at once."""

        def __init__(self) -> None:
            self.left = 100_000

        async def receive(self) -> WSMessage:
            self.left -= 1
            kind = WSMsgType.TEXT if self.left > 0 else WSMsgType.CLOSED
            return WSMessage(kind, text.encode(), None)

        def get_extra_info(self, _: str) -> None:
            return None

        close_code = 1000

    turns = 0
    reading = asyncio.create_task(client._read(Buffered()))  # type: ignore[arg-type]
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1000
    await client.close()


async def test_handshake_refused(endpoint: Endpoint) -> None:
    """A refused handshake is reported by its status, without the URL's secrets."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    secret = endpoint.ws.replace("/ws", "/nowhere?api-key=s3cr3tvalue").replace("ws://", "ws://me:passw0rd@")
    client = PubSub(secret, events.put_nowait)
    client.start()
    reason = (await expect(events, Disconnected)).reason
    assert "HTTP 404" in reason
    assert "s3cr3t" not in reason + client.url
    assert "passw0rd" not in reason + client.url
    await client.close()


async def test_acknowledges_at_once(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux, every message is acknowledged at once.

    Otherwise an endpoint that leaves Nagle's algorithm on, as MagicBlock's validators do, would delay the next message
    by 40 ms.
    """
    asked: list[tuple[Any, ...]] = []
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    # a real socket is needed, because uvloop makes a stand-in at every call
    monkeypatch.setattr(socket.socket, "setsockopt", lambda _, *option: asked.append(option))
    value = {"context": {"slot": 12}, "value": account_value(b"abc")}
    for number in range(1, 4):
        before = len(asked)
        await endpoint.notify("account", subscription.server_id or 0, value)
        await expect(events, AccountChanged)
        quick = getattr(socket, "TCP_QUICKACK", None)
        assert asked[before:] == ([] if quick is None else [(socket.IPPROTO_TCP, quick, 1)]), number
    await client.close()


async def test_longest_message(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message beyond the limit ends the connection, and a new one follows; the longest one is read."""
    monkeypatch.setattr(pubsub, "MAX_MESSAGE_BYTES", 1 << 20)
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    client.start()
    await expect(events, SlotChanged)
    text = json.dumps(
        {"jsonrpc": "2.0", "method": "slotNotification", "params": {"subscription": 1, "result": {"slot": 8}}}
    )
    await endpoint.sockets[-1].send_str(text.ljust((1 << 20) - 1))
    assert (await expect(events, SlotChanged)).slot == 8
    await endpoint.sockets[-1].send_str(text.ljust((1 << 20) + 1))
    assert "broke the WebSocket protocol" in (await expect(events, Disconnected)).reason
    assert (await expect(events, SlotChanged)).slot == 7
    assert client.failures == {"malformed": 1}
    await client.close()


async def test_long_messages_are_decoded_in_a_thread(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long message is not decoded on the loop, a short one is, and both keep their order."""
    threads: list[bool] = []
    decode = pubsub.notifications.decode_message

    def watched(data: bytes | str) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return decode(data)

    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    client.account(KEY)
    client.start()
    number = (await expect(events, Subscribed)).subscription.server_id or 0
    monkeypatch.setattr(pubsub.notifications, "decode_message", watched)
    for data in (bytes(1 << 20), b"short"):
        await endpoint.notify("account", number, {"context": {"slot": 1}, "value": account_value(data)})
    assert [(await expect(events, AccountChanged)).data for _ in range(2)] == [bytes(1 << 20), b"short"]
    assert threads == [False, True]
    await client.close()
