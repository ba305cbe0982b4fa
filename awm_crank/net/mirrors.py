"""Loads a mirrored cartridge: any k of its pieces from any HTTP servers, each leaf proven as it arrives.

A mirror can only be late or caught: what it sends is checked against the root on chain, so nobody has to trust it.
Which mirror has which piece is not written down anywhere. A mirror is asked for one piece after the other, the n-th
mirror for piece n first, and answers 404 for those that it does not have.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import aiohttp
from msgspec import Struct
from yarl import URL

from ..endpoint import HTTP, Endpoint
from ..errors import CartridgeError
from ..wire.pieces import Reader, Sheet, join

SLOW_S = 2.0
"""A mirror that proves no leaf for so long is slow: another one is asked as well."""
STALL_S = 20.0
"""A mirror that proves no leaf for so long is given up for this load."""
_CONNECT_S = 5.0
_TICK_S = 0.1

Fault = Literal["lies", "slow", "stalled", "failed", "lacks", "cache"]


class Report(Struct, frozen=True):
    """What a mirror did wrong; `mirror` shows no credentials. `lacks`: it has none of the pieces."""

    mirror: str
    fault: Fault
    detail: str


Tell = Callable[[Report], object]


class Mirrors:
    """The mirrors that an operator trusts to be there, and a folder of cartridges that came from them.

    Args:
        urls: where pieces lie: `URL/ROOT.INDEX.piece`.
        cache: a folder for loaded cartridges, each under its SHA-256; None keeps none.
        slow_s, stall_s: as SLOW_S and STALL_S.

    Raises:
        ConfigError: a URL cannot exist.
    """

    def __init__(
        self, urls: Sequence[str] = (), cache: Path | None = None, *, slow_s: float = SLOW_S, stall_s: float = STALL_S
    ) -> None:
        self._endpoints = [Endpoint.parse(url, HTTP, setting="models.mirrors") for url in urls]
        self._cache = cache
        self._slow_s, self._stall_s = slow_s, stall_s
        self._kept: tuple[bytes, dict[int, bytes]] = (b"", {})
        """The root of the load that failed last, and the pieces that it had proven."""

    async def load(self, sheet: Sheet, tell: Tell = lambda _: None, have: Mapping[int, bytes] | None = None) -> bytes:
        """The cartridge's bytes, from the cache or from any k pieces.

        Args:
            tell: called with each fault of a mirror, once.
            have: proven contents of pieces that need not be fetched, by index.

        Raises:
            CartridgeError: too few pieces came; it names what each mirror did, and is recoverable. Also if no mirror
                is configured, or the publisher's pieces do not belong together.
        """
        cached = await asyncio.to_thread(self._cached, sheet, tell)
        if cached is not None:
            return cached
        root, kept = self._kept
        contents = (kept if root == sheet.root else {}) | dict(have or {})
        if len(contents) < sheet.data:
            if not self._endpoints:
                raise CartridgeError(
                    "the cartridge is mirrored: its bytes are not on chain", expected="mirrors to load it from",
                    hint="name them with models.mirrors, or with --mirror URL",
                )  # fmt: skip
            self._kept = sheet.root, contents
            # fills `contents`; after a failure the next try goes on from what came
            await _Load(self._endpoints, sheet, contents, tell, self._slow_s, self._stall_s).run()
            self._kept = b"", {}
        whole = await asyncio.to_thread(join, sheet, contents)
        await asyncio.to_thread(self._keep, sheet, whole, tell)
        return whole

    def _cached(self, sheet: Sheet, tell: Tell) -> bytes | None:
        path = self._path(sheet)
        if path is None or not path.exists():
            return None
        try:
            if path.stat().st_size == sheet.size and sha256(whole := path.read_bytes()).digest() == sheet.sha256:
                return whole
            tell(Report(str(path), "cache", "the file is damaged; the cartridge is loaded again"))
        except OSError as error:
            tell(Report(str(path), "cache", f"it cannot be read: {error.strerror}"))
        return None

    def _keep(self, sheet: Sheet, whole: bytes, tell: Tell) -> None:
        path = self._path(sheet)
        if path is None:
            return
        try:
            write_whole(path, whole)
        except OSError as error:
            tell(Report(str(path), "cache", f"it cannot be written: {error.strerror}"))

    def _path(self, sheet: Sheet) -> Path | None:
        return self._cache / f"{sheet.sha256.hex()}.awm" if self._cache is not None else None


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that nobody ever sees a part of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # each process its own, because several may share the folder
    beginning = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        beginning.write_bytes(data)
        beginning.replace(path)
    finally:
        beginning.unlink(missing_ok=True)


class _Lacking(Exception):  # noqa: N818
    """The mirror does not have this piece."""


class _Fetch:
    """One mirror's part in a load."""

    def __init__(self, endpoint: Endpoint, first: int) -> None:
        self.endpoint, self.first = endpoint, first
        self.tried: set[int] = set()
        self.gave = 0
        self.progress_at = 0.0
        self.slow = False


class _Load:
    """Asks k mirrors at once. Each one that fails or is slow brings in the next, until k pieces are proven."""

    def __init__(
        self, endpoints: Sequence[Endpoint], sheet: Sheet, found: dict[int, bytes], tell: Tell,
        slow_s: float, stall_s: float,
    ) -> None:  # fmt: skip
        self._sheet = sheet
        self._found = found
        self._active: list[int] = []
        self._slow_s, self._stall_s = slow_s, stall_s
        self._tell = tell
        self._told: list[Report] = []
        self._waiting = [_Fetch(endpoint, number % sheet.pieces) for number, endpoint in enumerate(endpoints)]
        self._running: dict[asyncio.Task[None], _Fetch] = {}

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        # no proxies or cookies of the environment, and the bytes as they are
        async with aiohttp.ClientSession(
            timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), headers={
                "Accept-Encoding": "identity", "User-Agent": "awm-crank",
            },
        ) as session:  # fmt: skip
            try:
                await self._gather(session)
            finally:
                for task in self._running:
                    task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)

    async def _gather(self, session: aiohttp.ClientSession) -> None:
        sheet = self._sheet
        for _ in range(sheet.data):
            self._start(session)
        while len(self._found) < sheet.data:
            if not self._running:
                raise CartridgeError(
                    f"the mirrored cartridge {sheet.sha256.hex()[:16]}", expected=f"{sheet.data} good pieces",
                    found=f"{len(self._found)}; " + "; ".join(f"{each.mirror}: {each.detail}" for each in self._told),
                    hint="name more mirrors, or repair these with awm-crank mirror", recoverable=True,
                )  # fmt: skip
            done, _ = await asyncio.wait(self._running, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                del self._running[task]
                task.result()
                self._start(session)
            self._watch(session)

    def _start(self, session: aiohttp.ClientSession) -> None:
        """Brings in the next mirror, if there is one."""
        if self._waiting:
            fetch = self._waiting.pop(0)
            fetch.progress_at = asyncio.get_running_loop().time()
            self._running[asyncio.create_task(self._mirror(session, fetch))] = fetch

    def _watch(self, session: aiohttp.ClientSession) -> None:
        now = asyncio.get_running_loop().time()
        for task, fetch in list(self._running.items()):
            silent = now - fetch.progress_at
            if silent >= self._slow_s and not fetch.slow:
                fetch.slow = True
                self._say(fetch, "slow", f"no leaf of 64 KiB in {self._slow_s:g} s")
                self._start(session)
            if silent >= self._stall_s and not task.done():
                task.cancel()
                del self._running[task]
                self._say(fetch, "stalled", f"no leaf of 64 KiB in {self._stall_s:g} s: given up")
                self._start(session)

    async def _mirror(self, session: aiohttp.ClientSession, fetch: _Fetch) -> None:
        """Takes one piece after the other from a mirror, until it has no further one or fails."""
        try:
            while (index := self._next(fetch)) is not None:
                fetch.tried.add(index)
                self._active.append(index)
                try:
                    content = await self._piece(session, fetch, index)
                except _Lacking:
                    continue
                finally:
                    self._active.remove(index)
                fetch.gave += 1
                self._found[index] = content
                if len(self._found) >= self._sheet.data:
                    return
            if not fetch.gave:
                self._say(fetch, "lacks", "has no piece of it that is missing (404)")
        except CartridgeError as error:
            self._say(fetch, "lies", str(error))
        except (OSError, aiohttp.ClientError, ValueError) as error:
            self._say(fetch, "failed", fetch.endpoint.scrub(str(error)) or type(error).__name__)

    def _next(self, fetch: _Fetch) -> int | None:
        """A piece that nobody has brought yet, best one that nobody is bringing."""
        total = self._sheet.pieces
        order = [(fetch.first + step) % total for step in range(total)]
        left = [index for index in order if index not in self._found and index not in fetch.tried]
        return min(left, key=self._active.count, default=None)

    async def _piece(self, session: aiohttp.ClientSession, fetch: _Fetch, index: int) -> bytes:
        sheet, loop = self._sheet, asyncio.get_running_loop()
        reader = Reader(sheet, index)
        async with session.get(**_request(fetch.endpoint, sheet.name(index)), allow_redirects=False) as answer:
            if answer.status in (404, 410):
                fetch.progress_at = loop.time()
                raise _Lacking
            if answer.status != 200:
                raise OSError(f"answers HTTP {answer.status} for piece {index}")
            if answer.content_length not in (None, sheet.file_size):
                raise CartridgeError(
                    f"piece {index}", expected=f"{sheet.file_size} bytes", found=f"{answer.content_length}"
                )
            async for part in answer.content.iter_any():
                before = len(reader.content)
                reader.feed(part)
                if len(reader.content) > before:
                    fetch.progress_at = loop.time()
        return reader.finish()

    def _say(self, fetch: _Fetch, fault: Fault, detail: str) -> None:
        report = Report(str(fetch.endpoint), fault, detail)
        self._told.append(report)
        self._tell(report)


def _request(endpoint: Endpoint, name: str) -> dict[str, Any]:
    """Where a mirror has a file: under its URL's path, with its query, if it has one."""
    url = URL(endpoint.reveal())
    headers = {}
    if endpoint.credentials is not None:
        headers["Authorization"] = f"Basic {b64encode(':'.join(endpoint.credentials).encode()).decode()}"
    return {"url": url.with_user(None).joinpath(name).with_query(url.query), "headers": headers}
