"""A running crank behind a proxy that loses, delays, refuses and damages messages either serves or says why not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from daemon.message_proxy import MessageProxy, account_of, lost
from daemon.rig import CrankProcess, Place, until
from solders.keypair import Keypair

from awm_crank import config
from awm_crank.client.keys import write_keypair
from awm_crank.client.session import SessionAccounts
from awm_crank.daemon import signals
from awm_crank.daemon.journal import decode
from awm_crank.localnet.kinds import prepare
from awm_crank.wire import layouts

SIZES = {"hidden": layouts.HIDDEN_STATE.size, "inputs": layouts.INPUT_BUFFER.size}


@contextlib.asynccontextmanager
async def behind_proxy(place: Place) -> AsyncIterator[MessageProxy]:
    """A proxy in front of the place's localnet."""
    async with MessageProxy(place.net.http, place.net.ws) as proxy:
        yield proxy


def settings(place: Place, proxy: MessageProxy, **changes: Any) -> config.Config:
    """A configuration that goes through the proxy, with telemetry."""
    found = place.settings(rollup_http=proxy.http, rollup_ws=proxy.ws, **changes)
    chain = msgspec.structs.replace(found.chain, base_http=proxy.http)
    return msgspec.structs.replace(found, chain=chain, telemetry=config.TelemetryConfig(listen="127.0.0.1:0"))


async def playing(place: Place, frames: int = 0) -> tuple[SessionAccounts, asyncio.Task[None]]:
    """A session that two players play."""
    match = await place.create(max_frames=frames)
    await place.join(match)
    return match, asyncio.create_task(place.play(match))


async def moves(place: Place, match: SessionAccounts, within_s: float, frames: int = 30) -> None:
    """Frames return within this time, and then continue."""
    start = (await place.show(match)).session.frame
    began = time.monotonic()
    await place.when(match, lambda view: view.session.frame > start, within_s)
    assert time.monotonic() - began <= within_s
    await place.when(match, lambda view: view.session.frame >= start + frames, 20.0)


async def ask(crank: CrankProcess, path: str) -> tuple[int, str]:
    """An answer of the crank's telemetry."""
    await until(lambda: bool(crank.lines("telemetry")))
    port = crank.lines("telemetry")[0]["port"]
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/{path}") as answer:
        return answer.status, await answer.text()


async def when_ready(crank: CrankProcess, status: int, within_s: float = 15.0) -> str:
    """The body of `/readyz` once it answers with that status."""
    end = time.monotonic() + within_s
    while (found := await ask(crank, "readyz"))[0] != status:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)
    return found[1]


@contextlib.asynccontextmanager
async def ended(task: asyncio.Task[None]) -> AsyncIterator[None]:
    """Ends the players when the test is over."""
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("policy", ["wait", "hold"])
async def test_lost_and_damaged_notifications(place: Place, policy: str) -> None:
    """After lost notifications of one account, three lost in a row, or flipped bits, frames return in about a
    second.
    """
    async with behind_proxy(place) as proxy:
        crank = place.crank(settings(place, proxy, late_policy=policy))
        await crank.ready()
        match, players = await playing(place)
        async with ended(players):
            await place.when(match, lambda view: view.session.frame >= 20)
            left = 0
            size: int | None = None

            def lose(message: dict[str, Any]) -> dict[str, Any] | None:
                nonlocal left
                data = account_of(message)
                if left and data and size in (None, len(data)):
                    left -= 1
                    return None
                return message

            proxy.notified = lose
            for size, left in ((SIZES["hidden"], 1), (SIZES["inputs"], 1), (None, 3), (None, 9)):  # noqa: B007
                await moves(place, match, 1.5)

            def flip(message: dict[str, Any]) -> dict[str, Any]:
                nonlocal left
                data = bytearray(account_of(message))
                if left and data:
                    left -= 1
                    data[left % len(data)] ^= 1 << left % 8
                    value = message["params"]["result"]["value"]
                    value.get("account", value)["data"][0] = base64.b64encode(bytes(data)).decode()
                return message

            proxy.notified = flip
            left = 120
            await moves(place, match, 2.0, frames=120)
        assert not crank.lines("not served")
        assert crank.process.poll() is None


async def test_any_answer_lost_at_start(place: Place) -> None:
    """Whichever answer is lost while a crank starts into a running match, frames come at most two seconds later."""
    async with behind_proxy(place) as proxy:
        first = place.crank(settings(place, proxy), "first")
        await first.ready()
        match, players = await playing(place)
        async with ended(players):
            await place.when(match, lambda view: view.session.frame >= 20)
            asked: dict[str, int] = {}
            for method in ("getLatestBlockhash", "getMultipleAccounts", "getProgramAccounts", "sendTransaction"):
                first.kill()
                asked.clear()

                async def answer(methods: str, _: bytes, method: str = method) -> tuple[int, bytes] | None:
                    asked[methods] = asked.get(methods, 0) + 1
                    if methods.startswith(method) and asked[methods] == 1:
                        await lost()
                    return None

                proxy.answer = answer
                first = place.crank(settings(place, proxy), method)
                start = (await place.show(match)).session.frame
                await until(lambda: bool(first.lines("starting")))  # noqa: B023
                began = time.monotonic()
                await place.when(match, lambda view: view.session.frame > start, 20.0)  # noqa: B023
                # the start itself takes a moment on a busy machine
                assert time.monotonic() - began < 4.0, method


async def test_outage_at_start_and_in_a_match(place: Place) -> None:
    """The endpoint answers 503, nonsense or nothing for ten seconds. A crank that starts then serves its session
    afterwards, and a match that runs then goes on.
    """
    mode = "pass"

    async def answer(_: str, __: bytes) -> tuple[int, bytes] | None:
        if mode == "silence":
            await lost()
        return {"503": (503, b"no"), "nonsense": (200, b"<html>")}.get(mode)

    async with behind_proxy(place) as proxy:
        proxy.answer = answer
        mode = "503"
        crank = place.crank(settings(place, proxy))
        match, players = await playing(place)
        async with ended(players):
            await until(lambda: bool(crank.lines("starting")))
            assert (await ask(crank, "readyz"))[0] == 503
            await asyncio.sleep(5)
            mode = "pass"
            await place.when(match, lambda view: view.session.frame >= 10, 10.0)
            for mode in ("503", "nonsense", "silence"):
                await when_ready(crank, 503)
                await asyncio.sleep(2)
                assert str(match.entity) in (await ask(crank, "readyz"))[1]
                mode = "pass"
                await moves(place, match, 2.5)
                await when_ready(crank, 200)


async def test_model_that_cannot_be_read(place: Place) -> None:
    """A 429 for the manifest delays a session until it passes, and metrics and log give the reason."""
    refusing = True

    async def answer(methods: str, body: bytes) -> tuple[int, bytes] | None:
        is_model = methods == "getAccountInfo" and str(place.model).encode() in body
        return (429, b"slow down") if refusing and is_model else None

    async with behind_proxy(place) as proxy:
        proxy.answer = answer
        crank = place.crank(settings(place, proxy))
        await crank.ready()
        match, players = await playing(place)
        async with ended(players):
            await until(lambda: bool(crank.lines("trying again")))
            assert 'awm_sessions{reason="endpoint",stage="waiting"} 1.0' in (await ask(crank, "metrics"))[1]
            refusing = False
            await place.when(match, lambda view: view.session.frame >= 10, 5.0)


async def test_key_without_funds(place: Place) -> None:
    """A crank whose key cannot pay is ready again, and its session served, once the key is funded."""
    poor = Keypair()
    write_keypair(place.folder / "poor.json", poor)
    changed = place.settings(keypair=str(place.folder / "poor.json"))
    crank = place.crank(msgspec.structs.replace(changed, telemetry=config.TelemetryConfig(listen="127.0.0.1:0")))
    await crank.ready()
    match = await place.create(writer=poor.pubkey())
    await place.join(match)
    players = asyncio.create_task(place.play(match))
    async with ended(players):
        body = await when_ready(crank, 503)
        assert str(match.entity) in body
        assert 'awm_sessions{reason="funds",stage="waiting"} 1.0' in (await ask(crank, "metrics"))[1]
        await asyncio.to_thread(prepare.fund, place.net.http, poor.pubkey(), 10**12)
        await place.when(match, lambda view: view.session.frame >= 10, 10.0)
        await when_ready(crank, 200)


async def test_frozen_blockhash(place: Place) -> None:
    """An endpoint whose blockhash never changes makes the crank not ready, even if it answers at once."""
    frozen: bytes | None = None

    async with behind_proxy(place) as proxy:

        async def answer(methods: str, body: bytes) -> tuple[int, bytes] | None:
            nonlocal frozen
            if methods != "getLatestBlockhash":
                return None
            if frozen is None:
                async with aiohttp.ClientSession() as http, http.post(place.net.http, json=json.loads(body)) as there:
                    frozen = await there.read()
            return 200, json.dumps({**json.loads(frozen), "id": json.loads(body)["id"]}).encode()

        crank = place.crank(settings(place, proxy))
        await crank.ready()
        proxy.answer = answer
        assert "does not change" in await when_ready(crank, 503)
        proxy.answer = None
        await when_ready(crank, 200)


async def rate(place: Place, match: SessionAccounts, seconds: float) -> float:
    """Frames a second."""
    start = (await place.show(match)).session.frame
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return ((await place.show(match)).session.frame - start) / (time.monotonic() - began)


async def test_slow_and_hanging_answers_cost_few_frames(place: Place) -> None:
    """Where answers come 0.25 s late, frames go on as before, because notifications confirm them. Where every tenth
    request to land a frame is lost before it reaches the endpoint, most frames still land.
    """
    late_s, lose_every, count = 0.0, 0, 0

    async with behind_proxy(place) as proxy:

        async def answer(methods: str, body: bytes) -> tuple[int, bytes] | None:
            nonlocal count
            if not methods.startswith("sendTransaction"):
                return None
            count += 1
            if lose_every and count % lose_every == 0:
                await lost()
            found = await proxy.forward(body)
            await asyncio.sleep(late_s)
            return found

        crank = place.crank(settings(place, proxy))
        await crank.ready()
        match, players = await playing(place)
        async with ended(players):
            await place.when(match, lambda view: view.session.frame >= 20)
            proxy.answer = answer
            usual = await rate(place, match, 4)
            late_s = 0.25
            assert await rate(place, match, 4) > 0.6 * usual
            late_s, lose_every = 0.0, 10
            # each lost frame costs a tenth of a second where frames are fast, and nothing else
            assert await rate(place, match, 4) > 0.35 * usual


@pytest.mark.parametrize("number", signals.ENDING)
async def test_signals_leave_a_checkpoint(place: Place, number: signal.Signals) -> None:
    """SIGHUP and SIGQUIT end the crank like SIGTERM, with a checkpoint of the last frame; other signals do nothing."""
    crank = place.crank()
    await crank.ready()
    match, players = await playing(place)
    async with ended(players):
        await place.when(match, lambda view: view.session.frame >= 20)
        for other in signals.IGNORED:
            crank.process.send_signal(other)
        names = {other.name for other in signals.IGNORED}
        await until(lambda: {each["signal"] for each in crank.lines("signal ignored")} == names)
        await moves(place, match, 2.0)
        assert await crank.stop(number) == 0
    view = await place.show(match)
    assert view.hidden is not None
    assert view.hidden.checkpoint_frame == view.session.frame


async def test_files_that_cannot_be_written(place: Place, tmp_path: Path) -> None:
    """A ready file in a folder that does not exist is an error in the log, and the crank keeps running."""
    (tmp_path / "crank.partial").mkdir()
    crank = CrankProcess(tmp_path, place.settings())
    try:
        await until(lambda: bool(crank.lines("cannot write a file")))
        match, players = await playing(place)
        async with ended(players):
            await place.when(match, lambda view: view.session.frame >= 10)
        assert json.dumps(crank.lines("cannot write a file")[0]).count("crank.ready")
    finally:
        crank.kill()


async def test_journal(place: Place, tmp_path: Path) -> None:
    """A crank with a journal keeps each session's last checkpoint in it, and removes it when the session is over."""
    checkpoints = config.CheckpointsConfig(min_interval_frames=30, journal=str(tmp_path / "journal"))
    crank = place.crank(place.settings(checkpoints=checkpoints))
    await crank.ready()
    match, players = await playing(place, frames=200)
    file = tmp_path / "journal" / f"{match.entity}.checkpoint"
    async with ended(players):
        await until(file.exists)
        saved = decode(file.read_bytes())
        assert saved is not None
        assert saved[0].frame >= 30
        await until(lambda: bool(crank.lines("released")), 60.0)
        await until(lambda: not file.exists())


async def test_an_endpoint_that_shows_no_accounts(place: Place) -> None:
    """An endpoint that shows no account for so long that a session counts as closed, as another chain would, gets its
    session back about a second after it shows them again.
    """
    empty = False

    async def answer(methods: str, body: bytes) -> tuple[int, bytes] | None:
        request = json.loads(body)
        if not empty or isinstance(request, list):
            return None
        value: Any
        if methods == "getMultipleAccounts":
            value = [None] * len(request["params"][0])
        elif methods == "getProgramAccounts":
            value = []
        else:
            return (503, b"no") if methods == "sendTransaction" else None
        result = {"context": {"slot": 5}, "value": value}
        return 200, json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()

    async with behind_proxy(place) as proxy:
        proxy.answer = answer
        proxy.notified = lambda message: None if empty and account_of(message) else message
        crank = place.crank(settings(place, proxy))
        await crank.ready()
        match, players = await playing(place)
        async with ended(players):
            await place.when(match, lambda view: view.session.frame >= 20)
            empty = True
            await until(lambda: bool(crank.lines("released")))
            assert crank.lines("released")[0]["reason"] == "its accounts are gone"
            empty = False
            await moves(place, match, 3.0)
