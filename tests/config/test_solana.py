"""Endpoints by the Solana CLI's names, and from its own configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from awm_crank import config
from awm_crank.config import solana
from awm_crank.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "http", "ws"),
    [
        ("localhost", "http://localhost:8899", "ws://localhost:8900"),
        ("devnet", "https://api.devnet.solana.com", "wss://api.devnet.solana.com"),
        ("testnet", "https://api.testnet.solana.com", "wss://api.testnet.solana.com"),
        ("mainnet-beta", "https://api.mainnet-beta.solana.com", "wss://api.mainnet-beta.solana.com"),
    ],
)
def test_names(name: str, http: str, ws: str) -> None:
    """A name stands for the Solana CLI's endpoint of that name, with its WebSocket endpoint."""
    found = config.parse(f'[chain]\nbase_http = "{name}"')
    assert (found.chain.base_http, found.rollup_http(), found.rollup_ws()) == (http, http, ws)


def test_what_is_set_stays() -> None:
    """A rollup's own endpoints are not replaced by those of the base chain's name."""
    chain = '[chain]\nbase_http = "devnet"\nrollup_http = "http://er:7799"\n'
    assert config.parse(chain).rollup_ws() == "ws://er:7800"
    own = config.parse('[chain]\nbase_http = "devnet"\nrollup_ws = "wss://mine/ws"')
    assert own.rollup_ws() == "wss://mine/ws"


def test_by_the_environment() -> None:
    """The name can also come from an environment variable."""
    assert (
        config.parse("", environment={"AWM_CRANK__CHAIN__BASE_HTTP": "devnet"})
        .rollup_http()
        .endswith("devnet.solana.com")
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an empty folder for the Solana CLI's configuration."""
    (tmp_path / ".config" / "solana" / "cli").mkdir(parents=True)
    return tmp_path


def read(home: Path, text: str) -> solana.Endpoints:
    """The endpoints that a file of the CLI gives."""
    environment = {"HOME": str(home)}
    solana.file(environment).write_text(text)
    chain = config.parse('[chain]\nbase_http = "solana-cli"', environment=environment)
    return solana.Endpoints(chain.rollup_http(), chain.rollup_ws())


@pytest.mark.parametrize(
    ("text", "http", "ws"),
    [
        # as `solana config set` of 1.18 and 2.x writes it
        (
            "---\njson_rpc_url: https://rpc.example:8899/key\nwebsocket_url: ''\nkeypair_path: /k/id.json\n"
            'address_labels:\n  "11111111111111111111111111111111": System Program\ncommitment: confirmed\n',
            "https://rpc.example:8899/key", "wss://rpc.example:8900/key",
        ),
        ("json_rpc_url: 'http://h:1'\nwebsocket_url: \"ws://other:5/x\"\n", "http://h:1", "ws://other:5/x"),
        ("json_rpc_url: http://127.0.0.1:8899\n", "http://127.0.0.1:8899", "ws://127.0.0.1:8900"),
        ("json_rpc_url: devnet\n", "https://api.devnet.solana.com", "wss://api.devnet.solana.com"),
    ],
)  # fmt: skip
def test_the_clis_file(text: str, http: str, ws: str, home: Path) -> None:
    """`solana-cli` is the endpoint in the CLI's file, with the file's WebSocket endpoint or the derived one."""
    assert read(home, text) == (http, ws)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected an http:// or https:// URL"),
        ("json_rpc_url: ''", "expected an http:// or https:// URL"),
        ('json_rpc_url: "broken', "expected an http:// or https:// URL"),
        ("keypair_path: /secret/id.json", "expected an http:// or https:// URL"),
    ],
)
def test_a_file_without_an_endpoint(text: str, says: str, home: Path) -> None:
    """Such a file is refused by name, with the command that repairs it, and its content is not shown."""
    with pytest.raises(ConfigError) as caught:
        read(home, text)
    message = str(caught.value)
    assert says in message
    assert "config.yml" in message
    assert "solana config set --url URL" in message
    assert "secret" not in message


def test_no_file(home: Path) -> None:
    """Where the CLI was never configured, the error names its file."""
    with pytest.raises(ConfigError, match=r"config\.yml cannot be read: No such file or directory"):
        config.parse('[chain]\nbase_http = "solana-cli"', environment={"HOME": str(home)})


def test_it_is_read_only_when_asked_for(home: Path) -> None:
    """A broken file of the CLI does not matter to a configuration that names a URL."""
    solana.file({"HOME": str(home)}).write_bytes(b"\xff")
    assert config.parse("", environment={"HOME": str(home)}) == config.Config()
