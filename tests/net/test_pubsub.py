"""PubSub: typed notifications, and a connection that comes back from every way of breaking."""

from __future__ import annotations

import asyncio
import base64
import socket
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
OTHER = "Ea3VKF8CW3svQwiT8pn13JVdbVhLHSBURtNuanagc4hs"
T = TypeVar("T")


async def expect(events: asyncio.Queue[Any], kind: type[T]) -> T:
    """The next event of that kind; others are passed over."""
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
    """An account subscription is confirmed, then its changes arrive with tag, slot and decoded bytes."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY, tag="mine")
    client.start()
    assert (await expect(events, Subscribed)).subscription is subscription
    value = {"context": {"slot": 12}, "value": account_value(b"abc")}
    await endpoint.notify("account", subscription.server_id or 0, value)
    assert await expect(events, AccountChanged) == AccountChanged("mine", None, 12, KEY, 9, b"abc")
    assert ("accountSubscribe", [KEY, {"encoding": "base64", "commitment": "processed"}]) in endpoint.asked
    await client.close()


async def test_program(endpoint: Endpoint) -> None:
    """A program notification names the account; filters go out as given."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    filters = [{"memcmp": {"offset": 54, "bytes": KEY}}]
    subscription = client.program(KEY, filters=filters)
    client.start()
    await expect(events, Subscribed)
    value = {"context": {"slot": 3}, "value": {"pubkey": "acct", "account": account_value(b"\0\1")}}
    await endpoint.notify("program", subscription.server_id or 0, value)
    assert await expect(events, AccountChanged) == AccountChanged(KEY, "acct", 3, KEY, 9, b"\0\1")
    assert endpoint.asked[1][1][1]["filters"] == filters
    await client.close()


async def test_slots_and_others(endpoint: Endpoint) -> None:
    """Slots flow unasked; other kinds arrive as plain values."""
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
    """After a broken connection every subscription is made and confirmed anew, so that its reader fetches again."""
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
    """A socket that stays open but says nothing is dropped and made again."""
    endpoint.mute = True
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait, silence_s=0.1)
    client.start()
    assert "half open" in (await expect(events, Disconnected)).reason
    endpoint.mute = False
    assert await expect(events, SlotChanged) == SlotChanged(7)
    await client.close()


async def test_clean_close_by_the_endpoint(endpoint: Endpoint) -> None:
    """A closing handshake of the endpoint's is followed by a new connection."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    client.start()
    await expect(events, SlotChanged)
    await endpoint.sockets[-1].close()
    assert "closed by the endpoint" in (await expect(events, Disconnected)).reason
    await expect(events, SlotChanged)
    await client.close()


async def test_backoff_grows_and_resets(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause doubles while nothing works and starts over once slots have flowed."""
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
    assert [p for p in pauses if p < 3600][:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    monkeypatch.setattr(pubsub.asyncio, "sleep", real_sleep)
    client.url = good
    await expect(events, SlotChanged)
    monkeypatch.setattr(pubsub.asyncio, "sleep", sleep)
    pauses.clear()
    client.url = nobody
    await endpoint.drop()
    await expect(events, Disconnected)
    await expect(events, Disconnected)
    assert next(p for p in pauses if p < 3600) == pubsub.BACKOFF_FIRST_S
    monkeypatch.setattr(pubsub.asyncio, "sleep", real_sleep)
    await client.close()


async def test_refused(endpoint: Endpoint) -> None:
    """A subscription that the endpoint does not have is told with its error; the others live on."""
    endpoint.refuse.add("rootSubscribe")
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    root = client.subscribe("root", [])
    client.start()
    refused = await expect(events, SubscriptionRefused)
    assert (refused.subscription, refused.error.code) == (root, -32601)
    client.account(KEY)
    await expect(events, Subscribed)
    await client.close()


async def test_unsubscribe(endpoint: Endpoint) -> None:
    """What is wanted no more is unsubscribed and no longer delivered, and not asked for at a reconnect."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    number = subscription.server_id or 0
    client.unsubscribe(subscription)
    await endpoint.notify("account", number, {"context": {"slot": 1}, "value": account_value(b"x")})
    # messages are read in order: once this one is confirmed, the unsubscription has been read too
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
def test_garbage_is_left_alone(text: bytes) -> None:
    """Messages that cannot be read neither raise nor become events."""
    events: list[Any] = []
    loop = asyncio.new_event_loop()
    try:
        PubSub("ws://127.0.0.1:9", events.append).feed(text)
    finally:
        loop.close()
    assert events == []


@pytest.mark.parametrize(
    "text",
    [
        b'{"method": "accountNotification", "params": {}}',
        b'{"method": "accountNotification", "params": {"subscription": 1, "result": null}}',
        b'{"method": "slotNotification", "params": {"subscription": 1, "result": {"slot": "x"}}}',
        b'{"method": "programNotification"}',
        b'{"id": 1, "result": "no number"}',
        b'{"id": 99, "result": 1}',
    ],
)
def test_malformed_is_left_alone(text: bytes) -> None:
    """Well-formed JSON of the wrong shape does no harm either."""
    events: list[Any] = []
    PubSub("ws://127.0.0.1:9", events.append).feed(text)
    assert events == []


async def test_acknowledges_at_once(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system can (Linux), every message is acknowledged at once: an endpoint that leaves Nagle's algorithm on
    would hold the next one back for 40 ms otherwise (MagicBlock's validators do)."""
    asked: list[tuple[Any, ...]] = []
    events: asyncio.Queue[Any] = asyncio.Queue()
    client = PubSub(endpoint.ws, events.put_nowait)
    subscription = client.account(KEY)
    client.start()
    await expect(events, Subscribed)
    # a real socket's: uvloop's stand-in makes one for every call
    monkeypatch.setattr(socket.socket, "setsockopt", lambda _, *option: asked.append(option))
    value = {"context": {"slot": 12}, "value": account_value(b"abc")}
    for number in range(1, 4):
        before = len(asked)
        await endpoint.notify("account", subscription.server_id or 0, value)
        await expect(events, AccountChanged)
        quick = getattr(socket, "TCP_QUICKACK", None)
        assert asked[before:] == ([] if quick is None else [(socket.IPPROTO_TCP, quick, 1)]), number
    await client.close()
