"""Accounts that are wanted in one loop turn are read in as few requests as possible."""

from __future__ import annotations

import json
from typing import Any

from daemon.fakes import Hands, session

from awm_crank.daemon.reader import Reader
from awm_crank.errors import RpcError
from awm_crank.session import events
from awm_crank.session.effects import ALL, SMALL
from awm_crank.wire import jsonrpc


class Endpoint:
    """An endpoint that has every account but the named ones; each account's data is its own key."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.broken = False
        self.short = False
        self.missing: set[str] = set()

    async def ask(self, request: jsonrpc.Request[Any], **_: float) -> Any:
        """Answers getMultipleAccounts."""
        if self.broken:
            raise RpcError("gone", recoverable=True)
        keys = json.loads(request.body(1))["params"][0]
        self.asked.append(keys)
        value: list[Any] = [
            None if key in self.missing else {
                "data": ["AQID", "base64"], "owner": "11111111111111111111111111111111", "lamports": 1,
                "executable": False, "rentEpoch": 0, "space": 3,
            }
            for key in keys
        ]  # fmt: skip
        found = {"context": {"slot": 1}, "value": value[: 1 if self.short else None]}
        return request.read(json.dumps({"jsonrpc": "2.0", "id": 1, "result": found}).encode(), 1)


def make() -> tuple[Reader, Endpoint, Hands]:
    """A reader, its endpoint, and the fake that it reports to."""
    endpoint, hands = Endpoint(), Hands()
    return Reader(endpoint, hands.deliver, hands.spawn), endpoint, hands  # type: ignore[arg-type]


async def test_together() -> None:
    """Small accounts of several sessions share a request, and an account that is wanted twice is read once."""
    reader, endpoint, hands = make()
    one, two = session(), session()
    endpoint.missing = {str(two.keys["inputs"])}
    reader.want(one, SMALL)
    reader.want(one, ("hidden",))
    reader.want(two, SMALL)
    assert len(reader) == 2
    await hands.settle()
    (keys,) = endpoint.asked
    assert sorted(keys) == sorted(str(served.keys[role]) for served in (one, two) for role in SMALL)
    found = {served: event.accounts for served, event in hands.events if isinstance(event, events.Fetched)}
    assert found[one] == dict.fromkeys(SMALL, b"\1\2\3")
    assert found[two]["inputs"] is None


async def test_big_ones_apart() -> None:
    """A session's big accounts take a request of their own, and no request exceeds a hundred keys."""
    reader, endpoint, hands = make()
    for _ in range(40):
        reader.want(session(), SMALL)
    reader.want(session(), ALL)
    await hands.settle()
    assert sorted(len(keys) for keys in endpoint.asked) == [len(ALL), 21, 99]


async def test_failures() -> None:
    """Every session in a request that fails, or is answered short, gets the failure."""
    for fault in ("broken", "short"):
        reader, endpoint, hands = make()
        setattr(endpoint, fault, True)
        reader.want(session(), SMALL)
        reader.want(session(), SMALL)
        await hands.settle()
        assert [type(event) for _, event in hands.events] == [events.FetchFailed] * 2


async def test_dropped() -> None:
    """Nothing is read for a session that was released in the meantime."""
    reader, endpoint, hands = make()
    served = session()
    reader.want(served, SMALL)
    reader.drop(served)
    await hands.settle()
    assert not endpoint.asked
    assert not hands.events
