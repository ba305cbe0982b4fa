"""Text that strangers write on chain, or that an endpoint answers, is never printed raw."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from client.localnet import SHAPE, Arena
from solders.keypair import Keypair

from awm_crank.cli import main
from awm_crank.client.keys import write_keypair
from awm_crank.engine.seeded import cartridge

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"
NAME = "x\x1b[2J\n\x9bm\u202e"


def controls(text: str) -> set[str]:
    """The characters of a text that could control a terminal, apart from line breaks."""
    return {each for each in text if unicodedata.category(each) in {"Cc", "Cf"} and each != "\n"}


def test_a_models_name(arena: Arena, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """publish, model list, inspect (of account, file and fork) and doctor print a hostile name as text, on one line."""
    world = cartridge(SHAPE, 4321, NAME)
    (tmp_path / "m.awm").write_bytes(world.data)
    write_keypair(tmp_path / "key.json", arena.net.funded())
    rpc, key = ("--rpc", arena.net.http), ("--keypair", str(tmp_path / "key.json"))
    assert main(["publish", str(tmp_path / "m.awm"), *rpc, *key, "--json"]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    (tmp_path / "c.toml").write_text(f'[chain]\nbase_http = "{arena.net.http}"\n[crank]\nkeypair = "key.json"\n')
    for words in (
        ["model", "list", *rpc],
        ["inspect", model, *rpc],
        ["inspect", str(tmp_path / "m.awm")],
        ["doctor", "--config", str(tmp_path / "c.toml"), "--cartridge", model],
    ):
        main(words)
        out, err = capsys.readouterr()
        assert controls(out + err) == set(), words
        assert r"x\x1b[2J\n\x9bm\u202e" in out, words


@contextmanager
def endpoint(body: bytes) -> Iterator[str]:
    """An endpoint that gives this answer to every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("code", [-32000, -32601])
def test_an_endpoints_error(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint's error message reaches the terminal as text."""
    answer = json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": EVIL}}).encode()
    with endpoint(answer) as url:
        assert main(["inspect", str(Keypair().pubkey()), "--rpc", url]) == 1
    out, err = capsys.readouterr()
    assert (out, controls(err)) == ("", set())
    assert err.startswith("Error: ")
