"""A mirror: a folder of pieces that are proven when it opens, served over plain HTTP, and repaired from other mirrors.

The folder needs no account and no key. A piece's file name has the root, and the file has what proves it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from ..errors import CartridgeError, ConfigError
from ..wire.pieces import SHEET_SIZE, Reader, Sheet, of_piece, split
from .mirrors import Mirrors, Tell, write_whole

_NAME = re.compile(r"([0-9a-f]{64})\.(0|[1-9][0-9]?)\.piece")
_READ = 1 << 20
MAX_REQUESTS = 64
"""Requests that are answered at a time. Further ones get 503, and a reader then asks another mirror."""
_PATIENCE_S, _SLOWEST = 60.0, 16 << 10
"""A reader may take the first so long and then has to take the second, in bytes a second."""


class Found(Struct, frozen=True):
    """What is in a folder. `good` are the names of proven pieces, `bad` those of files that are not, with the reason.

    `sheets` are those that a piece's head proves, by root.
    """

    good: frozenset[str]
    bad: dict[str, str]
    sheets: dict[bytes, Sheet]


def write_pieces(folder: Path, cartridge: bytes, data: int, parity: int) -> tuple[Sheet, list[str]]:
    """Writes the k + n pieces of a cartridge into a folder; returns their sheet and file names.

    Raises:
        CartridgeError: impossible numbers of pieces.
        ConfigError: the folder cannot be written.
    """
    sheet, files = split(cartridge, data, parity)
    names = [sheet.name(index) for index in range(sheet.pieces)]
    try:
        for name, file in zip(names, files, strict=True):
            write_whole(folder / name, file)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}", hint="name another folder") from None
    return sheet, names


def look(folder: Path) -> Found:
    """Proves every piece in a folder; leaves other files and links alone. Raises ConfigError if there is no folder."""
    good, bad, sheets = set[str](), dict[str, str](), dict[bytes, Sheet]()
    try:
        paths = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}", hint="name a folder of pieces") from None
    for path in paths:
        if path.is_symlink() or not path.is_file():
            continue
        try:
            _prove(path, sheets)
            good.add(path.name)
        except CartridgeError as error:
            bad[path.name] = str(error)
        except OSError as error:
            bad[path.name] = f"it cannot be read: {error.strerror}"
    return Found(frozenset(good), bad, sheets)


def _prove(path: Path, sheets: dict[bytes, Sheet]) -> bytes:
    """A file's content. Notes its sheet once the head is proven. Raises CartridgeError, OSError."""
    root, number = path.name.split(".")[:2]
    with path.open("rb") as file:
        start = file.read(SHEET_SIZE)
        sheet, index = of_piece(start, path.name)
        if (sheet.root.hex(), index) != (root, int(number)):
            raise CartridgeError(path.name, expected="the root and index of its name", found=sheet.name(index))
        reader = Reader(sheet, index)
        reader.feed(start + file.read(sheet.head_size - SHEET_SIZE))
        sheets[sheet.root] = sheet
        while part := file.read(_READ):
            reader.feed(part)
    return reader.finish()


async def repair(
    folder: Path, mirrors: Mirrors, *, known: Sheet | None = None, indices: Collection[int] = (),
    tell: Tell = lambda _: None,
) -> list[str]:  # fmt: skip
    """Makes pieces again that are damaged, or missing though they are wanted; returns their names.

    Any k pieces do, those in the folder and those of other mirrors together.

    Args:
        known: a sheet from the chain, for a folder that holds no piece of it whose head is whole.
        indices: of the pieces of every sheet that the folder should have besides those that it has files of.

    Raises:
        CartridgeError: a damaged file belongs to no known sheet, or pieces are missing and no mirror is named or too
            few good ones came. Raised at the end, so that other cartridges' pieces are repaired.
        ConfigError: the folder cannot be read or written.
    """
    found = await asyncio.to_thread(look, folder)
    sheets = found.sheets | ({known.root: known} if known else {})
    strange = [name for name in found.bad if bytes.fromhex(name.split(".")[0]) not in sheets]
    made, failures = [], list[CartridgeError]()
    for sheet in sheets.values():
        own = {sheet.name(index): index for index in range(sheet.pieces)}
        wanted = {*found.bad, *(sheet.name(index) for index in indices)} & own.keys() - found.good
        if wanted:
            have = {own[name]: await asyncio.to_thread(_prove, folder / name, {}) for name in found.good & own.keys()}
            try:
                whole = await mirrors.load(sheet, tell, have)
            except CartridgeError as error:
                failures.append(error)
                continue
            made += await asyncio.to_thread(_write, folder, sheet, whole, wanted)
    if failures:
        raise failures[0]
    if strange:
        raise CartridgeError(
            f"{strange[0]} is damaged, and its first bytes too", hint="name its model with --model, or delete the file"
        )
    return sorted(made)


def _write(folder: Path, sheet: Sheet, whole: bytes, wanted: Collection[str]) -> list[str]:
    again, files = split(whole, sheet.data, sheet.parity)
    if again != sheet:
        raise CartridgeError(
            f"pieces {sheet.root.hex()[:16]}: root", expected=sheet.root.hex(), found=again.root.hex(),
            hint="the publisher's pieces are wrong; publish the model again",
        )  # fmt: skip
    try:
        for index, file in enumerate(files):
            if sheet.name(index) in wanted:
                write_whole(folder / sheet.name(index), file)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}", hint="check its owner and space") from None
    return list(wanted)


class MirrorServer:
    """Serves the proven pieces of a folder while it is open: `GET /NAME`, and nothing else.

    Args:
        folder: where the files are.
        host, port: to listen on; port 0 takes a free one.
    """

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self._folder, self._host, self._port = folder, host, port
        self._busy = 0
        self.names: frozenset[str] = frozenset()
        """The files that are served: `look(folder).good`."""
        app = web.Application(client_max_size=1)
        app.router.add_get("/{name}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=5.0)
        self.url = ""

    async def __aenter__(self) -> MirrorServer:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"{self._host}:{self._port} cannot be listened on: {error.strerror}") from None
        port = self._runner.addresses[0][1]
        self.url = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = self._folder / request.match_info["name"]
        # the set decides: no name from outside reaches the file system
        if path.name != request.match_info["name"] or path.name not in self.names:
            raise web.HTTPNotFound
        if self._busy >= MAX_REQUESTS:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        self._busy += 1
        try:
            answer = web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})
            # sends the whole file, so that the time it takes has a limit
            async with asyncio.timeout(_PATIENCE_S + path.stat().st_size / _SLOWEST):
                await answer.prepare(request)
            return answer
        except FileNotFoundError:
            raise web.HTTPNotFound from None
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the reader is too slow") from None
        finally:
            self._busy -= 1
