"""Values that are derived from the settings."""

from __future__ import annotations

import pytest

from awm_crank import config
from awm_crank.errors import ConfigError
from awm_crank.viewer import FEED_PORT, PAGE_PORT


@pytest.mark.parametrize(
    ("http", "ws"),
    [
        ("http://127.0.0.1:8899", "ws://127.0.0.1:8900"),
        ("https://[::1]:443/key", "wss://[::1]:444/key"),
    ],
)
def test_websocket_url(http: str, ws: str) -> None:
    """The WebSocket endpoint is the RPC endpoint with its port one higher."""
    assert config.websocket_url(http) == ws


def test_no_port() -> None:
    """Without a port no WebSocket endpoint can be derived, and the error names the setting."""
    with pytest.raises(ConfigError, match=r"chain\.rollup_ws"):
        config.websocket_url("https://example.invalid/key")


def test_endpoints_resolve() -> None:
    """The rollup's endpoints are the base chain's unless set."""
    assert config.parse("").rollup_ws() == "ws://127.0.0.1:8900"
    one = config.parse("[chain]\nrollup_http = 'http://er:7799'")
    assert (one.rollup_http(), one.rollup_ws()) == ("http://er:7799", "ws://er:7800")


def test_view_is_off_and_on_loopback() -> None:
    """The page is served only when enabled, on loopback by default, at the ports of `awm-crank view`."""
    view = config.parse("").view
    assert (view.enabled, view.host, view.page_port, view.feed_port) == (False, "127.0.0.1", 8766, 8765)
    assert (view.page_port, view.feed_port) == (PAGE_PORT, FEED_PORT)


@pytest.mark.parametrize(
    ("view", "endpoints"),
    [
        ("", ("http://er:7799", "ws://er:9")),
        ("ws = 'wss://seen/ws'", ("http://er:7799", "wss://seen/ws")),
        ("rpc = 'https://seen:443/a'", ("https://seen:443/a", "wss://seen:444/a")),
        ("rpc = 'https://seen'\nws = 'wss://seen/ws'", ("https://seen", "wss://seen/ws")),
    ],
)
def test_view_endpoints(view: str, endpoints: tuple[str, str]) -> None:
    """Browsers get the sessions' endpoints unless `view.rpc` names another one. Then its own WebSocket endpoint is
    used, too.
    """
    chain = "[chain]\nrollup_http = 'http://er:7799'\nrollup_ws = 'ws://er:9'\n"
    assert config.parse(f"{chain}[view]\n{view}").view_endpoints() == endpoints


def test_view_endpoint_without_port() -> None:
    """An endpoint without a port is refused, because no WebSocket can be derived, and the error names the setting."""
    with pytest.raises(ConfigError, match=r"view\.ws"):
        config.parse("[view]\nrpc = 'https://seen'").view_endpoints()
