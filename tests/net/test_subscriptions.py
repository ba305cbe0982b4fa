"""Subscriptions are shared, refused, unanswered and renewed; each reader ends either confirmed or removed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.net import subscriptions
from awm_crank.net.subscriptions import Subscription, Subscriptions
from awm_crank.wire import jsonrpc


class Endpoint:
    """A fake endpoint: equal subscriptions share an id, as on a real validator. `open` holds the active ids."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, str, Any]] = []
        self.open: dict[int, bytes] = {}
        self._ids: dict[bytes, int] = {}

    def send(self, method: str, params: Any) -> int:
        self.requests.append((len(self.requests) + 1, method, params))
        return len(self.requests)

    def serve(self, number: int) -> jsonrpc.Reply:
        """Carries out a request, and returns the answer."""
        _, method, params = self.requests[number - 1]
        if method.endswith("Unsubscribe"):
            self.open.pop(params[0], None)
            return jsonrpc.decode_reply(b'{"id": %d, "result": true}' % number)
        key = json.dumps([method, params]).encode()
        server_id = self._ids.setdefault(key, 100 + len(self._ids))
        self.open[server_id] = key
        return jsonrpc.decode_reply(b'{"id": %d, "result": %d}' % (number, server_id))


def refusal(number: int, code: int = -32005) -> jsonrpc.Reply:
    """An endpoint's error."""
    return jsonrpc.decode_reply(b'{"id": %d, "error": {"code": %d, "message": "busy"}}' % (number, code))


def test_refusals_are_asked_again_less_and_less_often() -> None:
    """Each refusal doubles the pause, up to half a minute, and readers get the refusal until the endpoint confirms."""
    there = Endpoint()
    book = Subscriptions(there.send)
    book.connected(0.0)
    wanted = book.add("account", ["k"], "tag", 0.0)
    now, pauses = 0.0, []
    for _ in range(10):
        readers, error = book.answered(refusal(len(there.requests)), now)
        assert (readers, error) == ([wanted], wanted.error)
        asked, began = len(there.requests), now
        while len(there.requests) == asked:
            now += 0.125
            assert book.ask_again(now) == ""
        pauses.append(now - began)
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert book.answered(there.serve(len(there.requests)), now) == ([wanted], None)
    assert (wanted.error, wanted.confirmed.is_set()) == (None, True)


def test_unanswered_is_asked_again_and_then_broken() -> None:
    """A lost subscribe request is sent again after a second; after four in a row the connection is broken."""
    there = Endpoint()
    book = Subscriptions(there.send)
    book.connected(0.0)
    book.add("account", ["k"], None, 0.0)
    said = [(now, book.ask_again(now)) for now in (0.9, 1.0, 2.9, 3.0, 6.0, 9.9, 10.0)]
    assert [words for _, words in said[:-1]] == [""] * 6
    assert "not answered 4 times" in said[-1][1]
    assert len(there.requests) == 4


@pytest.mark.parametrize("second", [7, 8])
def test_late_answer(second: int) -> None:
    """A late answer counts although the request was repeated, and the endpoint's second id is unsubscribed."""
    there = Endpoint()
    book = Subscriptions(there.send)
    book.connected(0.0)
    wanted = book.add("account", ["k"], None, 0.0)
    book.ask_again(1.0)
    first = jsonrpc.decode_reply(b'{"id": 1, "result": 7}')
    assert book.answered(first, 1.1) == ([wanted], None)
    assert book.answered(jsonrpc.decode_reply(b'{"id": 2, "result": %d}' % second), 1.2) == ([], None)
    assert wanted.server_id == 7
    ended = [params for _, method, params in there.requests if method == "accountUnsubscribe"]
    assert ended == ([] if second == 7 else [[8]])


def test_notification_of_another_kind() -> None:
    """A notification reaches only the readers of its own kind, even if numbers are equal."""
    there = Endpoint()
    book = Subscriptions(there.send)
    book.connected(0.0)
    wanted = book.add("account", ["k"], None, 0.0)
    book.answered(there.serve(1), 0.0)
    number = wanted.server_id or 0
    assert book.readers(number, "account", 5.0) == [wanted]
    assert (book.readers(number, "program", 6.0), book.readers(number + 1, "account", 6.0)) == ([], [])
    assert wanted.heard_at == 5.0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "serve", "refuse", "lose", "renew", "drop", "wait"]), st.integers(0, 5)
    ),
    max_size=40,
)


@given(STEPS)
def test_any_order(steps: list[tuple[str, int]]) -> None:
    """After any sequence of events, every reader is confirmed by an id that is live at the endpoint.

    Equal readers share an id, and no id is live that no reader wants.
    """
    there = Endpoint()
    book = Subscriptions(there.send)
    book.connected(0.0)
    held: list[Subscription] = []
    served, now = 0, 0.0

    def answer_all() -> None:
        nonlocal served
        while served < len(there.requests):
            served += 1
            book.answered(there.serve(served), now)

    for what, number in steps:
        if what == "add":
            held.append(book.add("account", [number % 3], number, now))
        elif what == "remove" and held:
            book.remove(held.pop(number % len(held)))
        elif what == "renew" and held:
            book.renew(held[number % len(held)], now)
        elif what == "drop":
            book.disconnected()
            there.open.clear()
            served = len(there.requests)
            book.connected(now)
        elif what == "wait":
            now += 0.6
            if book.ask_again(now):
                book.disconnected()
                there.open.clear()
                served = len(there.requests)
                book.connected(now)
        elif served < len(there.requests) and what in ("serve", "refuse", "lose"):
            served += 1
            unsubscribe = there.requests[served - 1][1].endswith("Unsubscribe")
            if what == "serve" or unsubscribe:
                book.answered(there.serve(served), now)
            elif what == "refuse":
                book.answered(refusal(served), now)
    for _ in range(3):
        answer_all()
        now += subscriptions.REFUSED_MAX_S
        assert book.ask_again(now) == ""
    answer_all()
    assert set(book) == set(held)
    assert all(each.confirmed.is_set() and each.server_id in there.open for each in held)
    assert len({each.server_id for each in held}) == len({each.params[0] for each in held}) == len(there.open)
