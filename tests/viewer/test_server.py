"""The page's web server serves its own files, and nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib.resources import files

import aiohttp
import pytest

from awm_crank.errors import ConfigError
from awm_crank.viewer.server import PageServer


@pytest.fixture
async def page() -> AsyncIterator[PageServer]:
    """A server on a free port."""
    async with PageServer(rpc="http://127.0.0.1:1", ws="ws://127.0.0.1:2", session="abc", port=0) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends paths unchanged."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_every_file_of_the_page_is_served(page: PageServer, http: aiohttp.ClientSession) -> None:
    """Each file that the package holds is served with its own type, byte for byte."""
    kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    served = 0
    for file in (files("awm_crank") / "viewer" / "page").iterdir():
        async with http.get(page.url + file.name) as answer:
            assert answer.status == 200
            assert answer.content_type == kinds[file.name.rpartition(".")[2]]
            assert await answer.read() == file.read_bytes()
            served += 1
    assert served >= 12
    async with http.get(page.url) as answer:
        assert b"<canvas" in await answer.read()


async def test_page_may_load_nothing_from_elsewhere(page: PageServer, http: aiohttp.ClientSession) -> None:
    """The policy allows only the page's own scripts and styles, and connections to any endpoint that its user names."""
    async with http.get(page.url) as answer:
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"].startswith("*")


async def test_contract_names_the_endpoints(page: PageServer, http: aiohttp.ClientSession) -> None:
    """The page begins with the server's endpoints and session."""
    async with http.get(page.url + "contract.json") as answer:
        told = await answer.json()
    assert told["defaults"] == {"rpc": "http://127.0.0.1:1", "ws": "ws://127.0.0.1:2", "session": "abc"}
    assert [stage["stage"] for stage in told["stages"]] == [32, 31]


@pytest.mark.parametrize("path", ["server.py", "../server.py", "%2e%2e/server.py", "page", "nothing.js", "index.html/"])
async def test_other_paths_are_not_there(page: PageServer, http: aiohttp.ClientSession, path: str) -> None:
    """No file outside the page's folder, and no folder, can be requested."""
    from yarl import URL

    async with http.get(URL(page.url + path, encoded=True)) as answer:
        assert answer.status == 404


async def test_taken_port_is_told(page: PageServer) -> None:
    """A second server on the same port names the port and what to do."""
    port = int(page.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"port {port}.*another --port"):
        async with PageServer(rpc="http://127.0.0.1:1", ws="ws://127.0.0.1:2", port=port):
            pass


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "192.168.1.7:8766"}, 200),
        ({"Host": "arena.example"}, 200),
        ({"Host": "evil.example:8766"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "["}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "arena.example", "Origin": "https://arena.example"}, 200),
        ({"Host": "arena.example", "Origin": "https://arena.example:81"}, 403),
    ],
)
async def test_host_and_origin(http: aiohttp.ClientSession, headers: dict[str, str], status: int) -> None:
    """The server answers only to its own host names and its own page, and a refusal names no endpoint."""
    secret = "http://me:passw0rd@127.0.0.1:1/?api-key=s3cretkey"
    async with PageServer(rpc=secret, ws="ws://127.0.0.1:2", port=0, names=["arena.example"]) as page:
        for path in ("", "main.js", "contract.json"):
            async with http.get(page.url + path, headers=headers) as answer:
                body = await answer.text()
                assert answer.status == status, path
                assert not any(part in body for part in ("passw0rd", "s3cretkey"))


async def test_no_browser_sees_a_key(http: aiohttp.ClientSession) -> None:
    """An endpoint with more than scheme, host and port is reached through the page's own server."""
    for rpc, ws in (
        ("https://rpc.example/v2/s3cretkey", "wss://rpc.example"),
        ("https://rpc.example", "wss://rpc.example/?api-key=s3cretkey"),
        ("https://s3cretkey@rpc.example", "wss://rpc.example"),
    ):
        async with PageServer(rpc=rpc, ws=ws, port=0) as page, http.get(page.url + "contract.json") as answer:
            text = await answer.text()
            assert "s3cretkey" not in text
            assert json.loads(text)["defaults"] == {"rpc": "rpc", "ws": "ws", "session": ""}
