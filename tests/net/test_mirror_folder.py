"""A mirror's folder: what is proven, what is served, and what is repaired from others."""

from __future__ import annotations

from pathlib import Path
from random import Random

import aiohttp
import pytest

from awm_crank.errors import CartridgeError, ConfigError
from awm_crank.net.mirror_folder import MirrorServer, look, repair, write_pieces
from awm_crank.net.mirrors import Mirrors
from awm_crank.wire.pieces import LEAF

DATA = Random(7).randbytes(2 * 2 * LEAF + 5)


def flip(path: Path, at: int) -> None:
    """Changes one byte of a file; a negative offset counts from its end."""
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def folder(at: Path, *indices: int) -> Path:
    """A folder with these pieces of the cartridge, of 2 + 2."""
    _, names = write_pieces(at, DATA, 2, 2)
    for index, name in enumerate(names):
        if index not in indices:
            (at / name).unlink()
    return at


def test_look(tmp_path: Path) -> None:
    """Whole pieces are good; cut, changed and renamed ones are bad with the reason; anything else is left alone."""
    sheet, names = write_pieces(tmp_path, DATA, 2, 2)
    assert look(tmp_path).good == frozenset(names)
    flip(tmp_path / names[0], -1)
    (tmp_path / names[1]).write_bytes((tmp_path / names[1]).read_bytes()[:-1])
    (tmp_path / names[2]).write_bytes((tmp_path / names[3]).read_bytes())
    (tmp_path / "key.json").write_text("[]")
    (tmp_path / sheet.name(5)).symlink_to("/etc/passwd")
    found = look(tmp_path)
    assert found.good == {names[3]}
    assert found.bad.keys() == set(names[:3])
    assert ("SHA-256" in found.bad[names[0]], "bytes" in found.bad[names[1]], "name" in found.bad[names[2]]) == (
        True,
    ) * 3
    assert found.sheets == {sheet.root: sheet}


async def test_serves_only_proven_pieces(tmp_path: Path) -> None:
    """A proven piece is served whole; every other name, a damaged piece and other methods are not."""
    _, names = write_pieces(tmp_path / "pieces", DATA, 2, 2)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "pieces" / "secret").write_text("x")
    flip(tmp_path / "pieces" / names[1], 200)
    good = (tmp_path / "pieces" / names[0]).read_bytes()
    async with MirrorServer(tmp_path / "pieces", "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        server.names = look(tmp_path / "pieces").good

        async def status(path: str, method: str = "GET") -> int:
            async with session.request(method, f"{server.url}/{path}") as answer:
                return answer.status

        async with session.get(f"{server.url}/{names[0]}") as answer:
            assert (answer.status, await answer.read()) == (200, good)
        for path in (names[1], "secret", "..%2fsecret", "", "%00", names[0].upper(), f"{names[0]}%2f"):
            assert await status(path) == 404, path
        assert await status(names[0], "POST") == 405
        (tmp_path / "pieces" / names[2]).unlink()
        assert await status(names[2]) == 404


@pytest.mark.parametrize("at", [-1, 0, 100], ids=["content", "magic", "head"])
async def test_repairs_from_others(tmp_path: Path, at: int) -> None:
    """Damaged pieces and those asked for are made again, byte for byte, from the folder's own and from a mirror's."""
    _, names = write_pieces(tmp_path / "all", DATA, 2, 2)
    mine, other = folder(tmp_path / "mine", 1, 2), folder(tmp_path / "other", 0)
    flip(mine / names[2], at)
    async with MirrorServer(other, "127.0.0.1", 0) as server:
        server.names = look(other).good
        assert await repair(mine, Mirrors([server.url]), indices=[3]) == sorted([names[2], names[3]])
    for name in names[1:]:
        assert (mine / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    assert not (mine / names[0]).exists()
    assert await repair(mine, Mirrors()) == []


async def test_repair_needs_others(tmp_path: Path) -> None:
    """With too few pieces of its own, a folder without mirrors, or with one that has nothing, says so."""
    mine = folder(tmp_path / "mine", 1)
    with pytest.raises(CartridgeError, match="mirrors to load it from"):
        await repair(mine, Mirrors(), indices=[0])
    # what can be repaired is, although the other cartridge's pieces cannot be
    other, names = write_pieces(mine, DATA[::-1], 1, 1)
    flip(mine / names[1], -1)
    with pytest.raises(CartridgeError, match="mirrors to load it from"):
        await repair(mine, Mirrors(), indices=[0])
    assert other.name(1) in look(mine).good
    async with MirrorServer(tmp_path, "127.0.0.1", 0) as server:
        with pytest.raises(CartridgeError, match="expected 2 good pieces, found 1"):
            await repair(mine, Mirrors([server.url]), indices=[0])


async def test_repair_of_an_empty_folder(tmp_path: Path) -> None:
    """The chain's sheet is enough to fill an empty folder; a piece whose head is lost needs that sheet."""
    sheet, names = write_pieces(tmp_path / "all", DATA, 2, 2)
    (tmp_path / "mine").mkdir()
    async with MirrorServer(tmp_path / "all", "127.0.0.1", 0) as server:
        server.names = look(tmp_path / "all").good
        mirrors = Mirrors([server.url])
        assert await repair(tmp_path / "mine", mirrors, known=sheet, indices=[1]) == [names[1]]
        flip(tmp_path / "mine" / names[1], 0)
        with pytest.raises(CartridgeError, match="--model"):
            await repair(tmp_path / "mine", mirrors)
        assert await repair(tmp_path / "mine", mirrors, known=sheet) == [names[1]]


async def test_no_folder_and_taken_port(tmp_path: Path) -> None:
    """A folder that is not there and a port that is taken are refused in words."""
    with pytest.raises(ConfigError, match="cannot be read"):
        look(tmp_path / "none")
    async with MirrorServer(tmp_path, "127.0.0.1", 0) as server:
        with pytest.raises(ConfigError, match="cannot be listened on"):
            await MirrorServer(tmp_path, "127.0.0.1", int(server.url.rpartition(":")[2])).__aenter__()
