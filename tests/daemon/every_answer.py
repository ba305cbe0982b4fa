"""Damages every answer once, and measures what one lost, late, refused or malformed answer costs a crank.

`awm-crank` runs behind a proxy. A clean start shows which requests it makes. Then each of them, by method and number,
gets each fault in turn, in a start of its own. A crank that runs gets each fault for the next request of each method,
after a lost notification where the method is used only then. Frames must be back within two seconds.

    PYTHONPATH=tests python -m daemon.every_answer              every case (half an hour on a quiet machine)
    PYTHONPATH=tests python -m daemon.every_answer --seed 3 20  twenty of them
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from daemon.message_proxy import MessageProxy, account_of, lost
from daemon.rig import CrankProcess, Place

from awm_crank import config
from awm_crank.client.session import SessionAccounts
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.net.pubsub import AccountChanged, Event, PubSub
from awm_crank.wire import bolt, ids, layouts
from awm_crank.wire.accounts import HiddenState

LIMIT_S = 2.0
"""How long frames may be away after one fault."""
RUNNING = (
    "sendTransaction",
    "getLatestBlockhash",
    "getMultipleAccounts",
    "getProgramAccounts",
    "getSlot",
    "getAccountInfo",
)
"""The methods that a crank uses while it serves."""
NOTIFICATION = "a notification"
SUBSCRIPTIONS = ("slotSubscribe", "programSubscribe", "accountSubscribe")
Answer = tuple[int, bytes] | None
Fault = Callable[["Passed"], Awaitable[Answer]]


class Passed(NamedTuple):
    """A request, and how to pass it on."""

    body: bytes
    ask: Callable[[], Awaitable[tuple[int, bytes]]]

    async def forward(self) -> bytes:
        """The body of the true answer."""
        return (await self.ask())[1]


async def _changed(passed: Passed, change: Callable[[Any], Any]) -> Answer:
    """The true answer with every result changed."""
    answer = json.loads(await passed.forward())
    for each in answer if isinstance(answer, list) else [answer]:
        if "result" in each:
            each["result"] = change(each["result"])
    return 200, json.dumps(answer).encode()


async def _rpc_error(passed: Passed, code: int) -> Answer:
    """The endpoint's own error for every request."""
    requests = json.loads(passed.body)
    error = {"code": code, "message": "no"}
    several = [{"jsonrpc": "2.0", "id": each["id"], "error": error} for each in _listed(requests)]
    return 200, json.dumps(several if isinstance(requests, list) else several[0]).encode()


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


async def _lost(_: Passed) -> Answer:
    await lost()
    return None


async def _answer_lost(passed: Passed) -> Answer:
    await passed.forward()
    await lost()
    return None


def _late(seconds: float) -> Fault:
    async def late(passed: Passed) -> Answer:
        answer = await passed.forward()
        await asyncio.sleep(seconds)
        return 200, answer

    return late


async def _other_id(passed: Passed) -> Answer:
    answer = json.loads(await passed.forward())
    for each in _listed(answer):
        each["id"] = 10**9
    return 200, json.dumps(answer).encode()


def _without_value(result: Any) -> Any:
    """The answer says that an existing account does not exist."""
    if isinstance(result, dict) and "value" in result:
        value = result["value"]
        return {**result, "value": [None] * len(value) if isinstance(value, list) else None}
    return None


def _flipped(result: Any) -> Any:
    """Flips one bit of an account's data. An answer without account data is replaced by a string."""
    if isinstance(result, dict) and "value" in result:
        for each in _listed(result["value"]):
            account = each.get("account", each) if isinstance(each, dict) else {}
            if isinstance(account.get("data"), list):
                data = bytearray(base64.b64decode(account["data"][0]))
                if data:
                    data[len(data) // 2] ^= 1
                    account["data"][0] = base64.b64encode(bytes(data)).decode()
        return result
    return "nonsense"


FAULTS: dict[str, Fault] = {
    "request lost": _lost,
    "answer lost": _answer_lost,
    "0.25 s late": _late(0.25),
    "1.5 s late": _late(1.5),
    "429": lambda _: _given(429, b"slow down"),
    "503": lambda _: _given(503, b"no"),
    "-32005": lambda passed: _rpc_error(passed, -32005),
    "-32603": lambda passed: _rpc_error(passed, -32603),
    "html": lambda _: _given(200, b"<html>"),
    "empty": lambda _: _given(200, b""),
    "another id": _other_id,
    "no value": lambda passed: _changed(passed, _without_value),
    "damaged": lambda passed: _changed(passed, _flipped),
    "cut short": lambda passed: _cut(passed),
}


async def _given(status: int, body: bytes) -> Answer:
    return status, body


async def _cut(passed: Passed) -> Answer:
    answer = await passed.forward()
    return 200, answer[: len(answer) // 2]


class Case(NamedTuple):
    """One fault: `moment` is "start" or "running"; the `number`-th request of this method has it."""

    moment: str
    method: str
    number: int
    fault: str


class Watch:
    """When each frame of a session landed, seen from the chain's side."""

    def __init__(self, ws: str, match: SessionAccounts) -> None:
        self.frame, self.at = -1, time.monotonic()
        self.longest = 0.0
        self._pubsub = PubSub(ws, self._notified)
        self._pubsub.account(str(bolt.component_pda(ids.HIDDEN_STATE, match.entity)))
        self._changed = asyncio.Event()

    def _notified(self, event: Event) -> None:
        if isinstance(event, AccountChanged):
            frame, now = HiddenState.decode(event.data).frame, time.monotonic()
            if frame > self.frame:
                self.longest = max(self.longest, now - self.at)
                self.frame, self.at = frame, now
                self._changed.set()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        await self._pubsub.run()

    def reset(self) -> None:
        """Starts a new measurement."""
        self.at, self.longest = time.monotonic(), 0.0

    async def beyond(self, frame: int, within_s: float) -> float | None:
        """Returns the seconds until a frame later than this one lands; None if none landed in time."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                while self.frame <= frame:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return time.monotonic() - began


class Bench:
    """A match that is being played, and cranks that serve it from behind the proxy."""

    def __init__(self, place: Place, proxy: MessageProxy, watch: Watch) -> None:
        self._place, self._proxy, self._watch = place, proxy, watch
        self._cranks = 0
        self.given_at = 0.0
        """When the fault was given; 0 before."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, place: Place) -> AsyncIterator[Bench]:
        """Starts a match."""
        async with MessageProxy(place.net.http, place.net.ws) as proxy:
            match = await place.create()
            await place.join(match)
            watch = Watch(place.net.ws, match)
            tasks = [asyncio.create_task(watch.run()), asyncio.create_task(place.play(match))]
            try:
                yield cls(place, proxy, watch)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def crank(self) -> AsyncIterator[CrankProcess]:
        """A crank that is killed in the end."""
        self._cranks += 1
        found = self._place.settings(
            rollup_http=self._proxy.http, rollup_ws=self._proxy.ws, late_policy="hold",
            checkpoints=config.CheckpointsConfig(min_interval_frames=60),
        )  # fmt: skip
        chain = msgspec.structs.replace(found.chain, base_http=self._proxy.http)
        process = self._place.crank(msgspec.structs.replace(found, chain=chain), f"crank{self._cranks}")
        try:
            yield process
        finally:
            process.kill()

    async def clean_start(self) -> tuple[Counter[str], float]:
        """Starts a crank without a fault. Returns how often it calls each method until frames land, and how long that
        takes.
        """
        self._proxy.answer = self._proxy.notified = self._proxy.asked = None
        self._proxy.requests.clear()
        self._proxy.subscribed.clear()
        frame, began = self._watch.frame, time.monotonic()
        async with self.crank():
            assert await self._watch.beyond(frame + 20, 60.0) is not None
            took = time.monotonic() - began
            methods = [_method(each) for each in self._proxy.requests] + self._proxy.subscribed
        return Counter(methods), took

    def arm(self, case: Case) -> None:
        """Sets the fault for one request."""
        self.given_at = 0.0
        seen = 0

        async def answer(methods: str, body: bytes) -> Answer:
            nonlocal seen
            if _method(methods) != case.method:
                return None
            seen += 1
            if seen != case.number:
                return None
            self.given_at = time.monotonic()
            return await FAULTS[case.fault](Passed(body, lambda: self._proxy.forward(body)))

        def asked(message: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal seen
            if message["method"] == case.method:
                seen += 1
                if seen == case.number:
                    self.given_at = time.monotonic()
                    return None
            return message

        def notified(message: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal seen
            if _is_change(message):
                seen += 1
                if seen == case.number:
                    self.given_at = time.monotonic()
                    return None
            return message

        self._proxy.answer = answer
        self._proxy.asked = asked if case.method in SUBSCRIPTIONS else None
        self._proxy.notified = notified if case.method == NOTIFICATION else None

    async def start(self, case: Case, clean_s: float) -> str:
        """Starts a crank with one fault; without a fault, a start takes `clean_s`. Returns what went wrong, or ""."""
        frame, began = self._watch.frame, time.monotonic()
        self.arm(case)
        async with self.crank() as process:
            took = await self._watch.beyond(frame, clean_s + LIMIT_S + 20.0)
            given, end = self.given_at, time.monotonic()
            self._watch.reset()
            await self._watch.beyond(self._watch.frame + 20, 20.0)
            return self._judged(process, took, given and end - max(given, began), clean_s + LIMIT_S)

    async def running(self, process: CrankProcess, case: Case) -> str:
        """Causes one fault while frames land. Returns what went wrong, or ""."""
        self._watch.reset()
        await self._watch.beyond(self._watch.frame + 60, 20.0)
        # on a busy machine, frames can pause without a fault
        usual = self._watch.longest
        self.arm(case)
        if case.method == "getMultipleAccounts":
            self._proxy.notified = _losing(1)
        self._watch.reset()
        end = time.monotonic() + 8.0
        while not self.given_at and time.monotonic() < end:
            await self._watch.beyond(self._watch.frame, 0.5)
        if not self.given_at:
            return "the method was not asked"
        while time.monotonic() < self.given_at + LIMIT_S + 0.5:
            await self._watch.beyond(self._watch.frame, 0.5)
        self._watch.longest = max(self._watch.longest, time.monotonic() - self._watch.at)
        self._proxy.notified = None
        return self._judged(process, 0.0, self._watch.longest, LIMIT_S + usual)

    def _judged(self, process: CrankProcess, took: float | None, away: float, limit: float) -> str:
        if not process.running:
            return f"the crank ended: {process.lines('cannot serve') or process.lines('internal error')}"
        if took is None:
            return f"no frame; {process.lines('trying again')[-1:]}"
        if process.lines("internal error"):
            return f"internal error: {process.lines('internal error')[-1]}"
        return f"frames were away for {away:.2f} s" if away > limit else ""


def _method(methods: str) -> str:
    return methods.partition(",")[0]


def _is_change(message: dict[str, Any]) -> bool:
    """Whether a message of the endpoint notifies a change of an account."""
    return bool(account_of(message))


def _losing(count: int) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """Drops this many notifications of hidden states."""
    left = count

    def lose(message: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal left
        if left and len(account_of(message)) == layouts.HIDDEN_STATE.size:
            left -= 1
            return None
        return message

    return lose


def cases(asked: Counter[str]) -> list[Case]:
    """Every case."""
    faults = {method: ["request lost"] if method in SUBSCRIPTIONS else list(FAULTS) for method in asked}
    at_start = [
        Case("start", method, number, fault)
        for method, count in sorted(asked.items())
        # a start makes the same few requests first; later ones are those of a running crank
        for number in range(1, min(count, 8 if method != "sendTransaction" else 4) + 1)
        for fault in faults[method]
    ]
    at_start += [Case("start", NOTIFICATION, number, "request lost") for number in range(1, 9)]
    later = [Case("running", method, 1, fault) for method in RUNNING for fault in FAULTS]
    later += [Case("running", NOTIFICATION, number, "request lost") for number in range(1, 9)]
    return at_start + later


async def measure(
    place: Place,
    seed: int,
    count: int | None,
    *,
    slack: float,
    only: str = "",
    say: Callable[[str], object] = lambda _: None,
) -> list[str]:
    """Runs the cases, or `count` of them that the seed chooses. Returns what went wrong.

    Args:
        only: a text that each case's description must have.
        slack: how much slower than the clean start a start may be before the crank, not the machine, is to blame.
        say: takes a line for each case.
    """
    wrong = []
    async with Bench.open(place) as bench:
        async with bench.crank():
            assert await bench._watch.beyond(20, 60.0) is not None
        asked, clean_s = await bench.clean_start()
        say(f"a clean start takes {clean_s:.2f} s and asks {dict(asked)}")
        chosen = [case for case in cases(asked) if only in str(case)]
        if count is not None:
            chosen = sorted(random.Random(seed).sample(chosen, min(count, len(chosen))))
        for case in (each for each in chosen if each.moment == "start"):
            if problem := await bench.start(case, slack * clean_s):
                wrong.append(f"{case}: {problem}")
            say(f"{case}: {problem or 'well'}")
        bench.arm(Case("", "", 0, ""))
        async with bench.crank() as process:
            await bench._watch.beyond(bench._watch.frame, 60.0)
            for case in (each for each in chosen if each.moment == "running"):
                if problem := await bench.running(process, case):
                    wrong.append(f"{case}: {problem}")
                say(f"{case}: {problem or 'well'} (longest gap {bench._watch.longest:.2f} s)")
    return wrong


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", help="how many cases; all of them if it is not given")
    parser.add_argument("--only", default="", help="only the cases whose description has this text")
    parser.add_argument("--seed", type=int, default=0, help="chooses the cases")
    options = parser.parse_args()
    with EmbeddedLocalnet() as net, tempfile.TemporaryDirectory() as folder:
        place = await Place.make(net, Path(folder))
        try:
            wrong = await measure(place, options.seed, options.count, slack=1.5, only=options.only, say=_say)
        finally:
            await place.close()
    _say("\n".join([f"{len(wrong)} wrong", *wrong]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
