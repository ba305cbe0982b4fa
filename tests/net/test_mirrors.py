"""Loading from real HTTP servers that are good, dead, slow, or lie."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.errors import CartridgeError
from awm_crank.net.mirrors import Mirrors, Report
from awm_crank.wire.pieces import LEAF, split

DATA = Random(6).randbytes(3 * 3 * LEAF + 99)
SHEET, FILES = split(DATA, 3, 2)
NAMES = {SHEET.name(index): index for index in range(5)}

Serve = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


def good(*indices: int) -> Serve:
    """Has these pieces."""

    async def serve(_: web.Request, index: int) -> web.StreamResponse:
        return web.Response(body=FILES[index]) if index in indices else web.Response(status=404)

    return serve


def lying(change: Callable[[bytes], bytes], *indices: int) -> Serve:
    """Has these pieces, changed."""

    async def serve(_: web.Request, index: int) -> web.StreamResponse:
        return web.Response(body=change(FILES[index])) if index in indices else web.Response(status=404)

    return serve


def trickling(size: int) -> Serve:
    """Sends the beginning of each piece, then one byte every 20 ms."""

    async def serve(request: web.Request, index: int) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(SHEET.file_size)})
        await answer.prepare(request)
        await answer.write(FILES[index][:size])
        for at in range(size, SHEET.file_size):
            await answer.write(FILES[index][at : at + 1])
            await asyncio.sleep(0.02)
        return answer

    return serve


async def broken(_: web.Request, index: int) -> web.StreamResponse:
    """Answers 503."""
    return web.Response(status=503, text=f"no {index}")


async def redirecting(_: web.Request, index: int) -> web.StreamResponse:
    """Sends the reader elsewhere."""
    raise web.HTTPFound(f"http://169.254.169.254/{index}")


@asynccontextmanager
async def mirror(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server."""

    async def handle(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return await serve(request, NAMES[name]) if name in NAMES else web.Response(status=404)

    async with server(handle) as url:
        yield url


@asynccontextmanager
async def server(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The URL of a server that answers every name by `handle`."""
    app = web.Application()
    app.router.add_get("/pieces/{name}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/pieces"
    finally:
        await runner.cleanup()


async def dead() -> str:
    """A URL that nobody listens at."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"


async def load(*serves: Serve | None, cache: Path | None = None, stall_s: float = 20.0) -> tuple[bytes, list[str]]:
    """The bytes from these mirrors (None: a dead one), and `number fault` of each report."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(mirror(each)) if each else await dead() for each in serves]
        shown = [url.removesuffix("/pieces") for url in urls]
        told: list[Report] = []
        try:
            data = await Mirrors(urls, cache, slow_s=0.3, stall_s=stall_s).load(SHEET, told.append)
        finally:
            faults = [f"{shown.index(each.mirror.removesuffix('/...'))} {each.fault}" for each in told]
    return data, sorted(faults)


async def test_each_mirror_has_one_piece() -> None:
    """Three mirrors are enough, and nobody is blamed."""
    assert await load(good(0), good(1), good(2), good(3), good(4)) == (DATA, [])


async def test_one_mirror_has_all() -> None:
    """One mirror that has all pieces is enough."""
    assert await load(good(0, 1, 2, 3, 4)) == (DATA, [])


async def test_two_dead_one_lies() -> None:
    """Of five mirrors two are dead and one lies: the other two have what is missing, and the three are named."""
    forged = lying(lambda file: file[:-1] + bytes([file[-1] ^ 1]), 1)
    data, faults = await load(None, forged, None, good(2, 3), good(4))
    assert data == DATA
    assert faults == ["0 failed", "1 lies", "2 failed"]


async def test_largest_shape_from_five_mirrors() -> None:
    """19.9 M parameters as 2 + 3 pieces, one on each of five mirrors: two are dead, and one lies in its last byte."""
    whole = cartridge(SHAPES["19.9M"], 1).data
    sheet, files = split(whole, 2, 3)
    files[1] = files[1][:-1] + bytes([files[1][-1] ^ 1])
    async with AsyncExitStack() as stack:
        urls = []
        for number in range(5):
            if number in (0, 3):
                urls.append(await dead())
                continue
            held = {sheet.name(number): files[number]}

            async def serve(request: web.Request, held: dict[str, bytes] = held) -> web.Response:
                file = held.get(request.match_info["name"])
                return web.Response(status=404) if file is None else web.Response(body=file)

            urls.append(await stack.enter_async_context(server(serve)))
        told: list[Report] = []
        # a busy machine makes nobody slow here
        assert await Mirrors(urls, slow_s=60).load(sheet, told.append) == whole
    named = {
        urls.index(url): each.fault
        for each in told
        for url in urls
        if url.removesuffix("/pieces") == each.mirror.removesuffix("/...")
    }
    assert named == {0: "failed", 1: "lies", 3: "failed"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda file: file[:-1], "lies"),
        (lambda file: file[: len(file) // 2], "lies"),
        (lambda _: b"", "lies"),
        (lambda file: file + b"x", "lies"),
        (lambda _: FILES[1], "lies"),
        (lambda file: file[: SHEET.head_size] + bytes(SHEET.piece_size), "lies"),
        (lambda file: bytes(len(file)), "lies"),
        (lambda _: split(DATA[::-1], 3, 2)[1][0], "lies"),
    ],
    ids=["cut", "half", "empty", "longer", "swapped", "forged", "zeros", "other cartridge"],
)
async def test_liars(change: Callable[[bytes], bytes], fault: str) -> None:
    """A piece that is cut, longer, swapped or forged names its mirror, and another one replaces it."""
    assert await load(lying(change, 0), good(1), good(2), good(3)) == (DATA, [f"0 {fault}"])


async def test_slow() -> None:
    """A slow mirror is named, and the load does not wait for it."""
    began = time.monotonic()
    slow = trickling(SHEET.head_size + LEAF + 5)
    data, faults = await load(slow, slow, slow, good(0, 1, 2))
    assert (data, faults) == (DATA, ["0 slow", "1 slow", "2 slow"])
    # the trickle would take over an hour
    assert time.monotonic() - began < 60


async def test_too_few() -> None:
    """With too few pieces, the error says what each mirror did, and that it may pass."""
    with pytest.raises(CartridgeError) as caught:
        await load(good(0), broken, redirecting, None, good(), trickling(10), stall_s=1.0)
    text = str(caught.value)
    assert caught.value.recoverable
    assert "expected 3 good pieces, found 1" in text
    for said in ("HTTP 503", "HTTP 302", "404", "given up"):
        assert said in text


async def test_none_configured() -> None:
    """Without mirrors, the error says which setting is missing."""
    with pytest.raises(CartridgeError, match=r"models\.mirrors"):
        await Mirrors().load(SHEET)


async def test_goes_on_from_proven_pieces() -> None:
    """What a failed load has proven is not fetched again."""
    asked: list[int] = []
    late: set[int] = set()

    async def serve(_: web.Request, index: int) -> web.StreamResponse:
        if index in {0, 1} | late:
            asked.append(index)
            return web.Response(body=FILES[index])
        return web.Response(status=404)

    async with mirror(serve) as url:
        mirrors = Mirrors([url])
        with pytest.raises(CartridgeError, match="found 2"):
            await mirrors.load(SHEET)
        late.add(4)
        assert await mirrors.load(SHEET) == DATA
    assert asked == [0, 1, 4]


async def test_cache(tmp_path: Path) -> None:
    """A loaded cartridge comes from the cache, without any mirror; a damaged file there is loaded again."""
    await load(good(0, 1, 2), cache=tmp_path)
    file = tmp_path / f"{SHEET.sha256.hex()}.awm"
    assert file.read_bytes() == DATA
    assert await Mirrors([], tmp_path).load(SHEET) == DATA
    file.write_bytes(DATA[:-1] + b"?")
    told: list[Report] = []
    async with mirror(good(2, 3, 4)) as url:
        assert await Mirrors([url], tmp_path).load(SHEET, told.append) == DATA
    assert [each.fault for each in told] == ["cache"]
    assert file.read_bytes() == DATA


async def test_credentials_are_not_shown() -> None:
    """A mirror's user, password and key reach the mirror, and no report."""
    seen: list[tuple[str, str]] = []

    async def serve(request: web.Request, index: int) -> web.StreamResponse:
        seen.append((request.headers.get("Authorization", ""), request.query_string))
        return web.Response(status=500 + index)

    told: list[Report] = []
    async with mirror(serve) as url:
        named = url.replace("http://", "http://user:hunter22@") + "?key=abcdefgh"
        with pytest.raises(CartridgeError) as caught:
            await Mirrors([named]).load(SHEET, told.append)
    assert seen == [("Basic dXNlcjpodW50ZXIyMg==", "key=abcdefgh")]
    assert not any(secret in f"{told} {caught.value}" for secret in ("hunter22", "abcdefgh"))
