"""Finds the endpoints for the Solana CLI's names, such as `devnet`, and the endpoint in the CLI's own configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..endpoint import Endpoint
from ..errors import ConfigError
from .schema import ChainConfig

CLI = "solana-cli"
MONIKERS = {
    "localhost": "http://localhost:8899",
    "devnet": "https://api.devnet.solana.com",
    "testnet": "https://api.testnet.solana.com",
    "mainnet-beta": "https://api.mainnet-beta.solana.com",
}
_LINE = re.compile(r"^(json_rpc_url|websocket_url):[ \t]*(.*?)[ \t]*$", re.MULTILINE)


class Endpoints(NamedTuple):
    """An RPC endpoint, and the WebSocket endpoint that the Solana CLI uses with it."""

    http: str
    ws: str


def resolved(chain: ChainConfig, environment: Mapping[str, str]) -> ChainConfig:
    """The chain's settings with a URL for a name in `base_http`, and its WebSocket endpoint where none is set.

    Raises:
        ConfigError: the Solana CLI has no usable configuration.
    """
    found = named(chain.base_http, environment)
    if found is None:
        return chain
    alone = not chain.rollup_http and not chain.rollup_ws
    return msgspec.structs.replace(
        chain, base_http=found.http, base_ws=chain.base_ws or found.ws, rollup_ws=found.ws if alone else chain.rollup_ws
    )


def named(name: str, environment: Mapping[str, str]) -> Endpoints | None:
    """The endpoints of `solana-cli`, `localhost`, `devnet`, `testnet` or `mainnet-beta`; None for any other text.

    Raises:
        ConfigError: the Solana CLI has no usable configuration.
    """
    if name == CLI:
        return _of_cli(file(environment))
    return Endpoints(MONIKERS[name], websocket(MONIKERS[name])) if name in MONIKERS else None


def file(environment: Mapping[str, str]) -> Path:
    """Where the Solana CLI keeps its configuration."""
    home = environment.get("HOME", "")
    return (Path(home) if home else Path.home()) / ".config" / "solana" / "cli" / "config.yml"


def websocket(http: str) -> str:
    """The WebSocket endpoint that the Solana CLI derives: the port plus one, or the same URL where there is no port."""
    try:
        return Endpoint.parse(http).websocket().reveal()
    except ConfigError:
        scheme, _, rest = http.partition("://")
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}"


def _of_cli(path: Path) -> Endpoints:
    """The endpoints in the Solana CLI's file, which is YAML with one setting a line."""
    fix = "solana config set --url URL, or set chain.base_http to a URL"
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"the Solana CLI's {path} cannot be read: {error.strerror}", hint=fix) from None
    except UnicodeDecodeError:
        raise ConfigError(f"the Solana CLI's {path} is not text", hint=fix) from None
    found = {name: _scalar(value) for name, value in _LINE.findall(text)}
    http = found.get("json_rpc_url", "")
    http = MONIKERS.get(http, http)
    if not http.startswith(("http://", "https://")):
        raise ConfigError(f"json_rpc_url in the Solana CLI's {path}", expected="an http:// or https:// URL", hint=fix)
    return Endpoints(http, found.get("websocket_url") or websocket(http))


def _scalar(text: str) -> str:
    """A YAML string: plain, or in single or double quotes."""
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return ""
    return text
