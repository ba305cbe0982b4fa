"""The configuration: one schema, unknown keys refused, nothing undocumented."""

from __future__ import annotations

from pathlib import Path

import pytest

from awm_crank import config
from awm_crank.errors import ConfigError
from awm_crank.viewer import FEED_PORT, PAGE_PORT


def test_defaults() -> None:
    """An empty file is a whole configuration."""
    assert config.parse("") == config.Config()


def test_round_trip() -> None:
    """What dump writes, parse reads back to the same value."""
    one = config.parse(
        'fault_kill_at = "after-send:3"\n[chain]\nbase_http = "http://h:1"\n[crank]\nlate_policy = "wait"\n'
    )
    assert one.crank.late_policy == "wait"
    assert config.parse(config.dump(one)) == one


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[crank]\nlate_polcy = 'hold'", "late_polcy"),
        ("[cranks]", "cranks"),
        ("[crank]\nlate_policy = 'never'", "late_policy"),
        ("[crank]\nframe_period_us = -1", "frame_period_us"),
        ("[crank]\nframe_period_us = 16.5", "frame_period_us"),
        ("[chain]\nbase_http = 'localhost:8899'", "base_http"),
        ("[chain]\nworld = 'not base58!'", "world"),
        ("[checkpoints]\nring_capacity = 255", "ring_capacity"),
        ("[checkpoints]\nchunk_bytes = 939", "chunk_bytes"),
        ("fault_kill_at = 'send'", "fault_kill_at"),
        ("[view]\npage_port = 65536", "page_port"),
        ("[view]\nhost = 'http://here'", "host"),
        ("[crank", "no TOML"),
        ("[chain]\nbase_http = 'http://127.0.0.1:99999'", "chain.base_http"),
        ("[chain]\nrollup_ws = 'ws://some host'", "chain.rollup_ws"),
        ("[view]\nrpc = 'https://:8899'", "view.rpc"),
        ("[mqtt]\nurl = 'mqtt://broker:0'", "mqtt.url"),
    ],
)
def test_refusals(text: str, says: str) -> None:
    """A key or value that is wrong is refused, and the message names file and key."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, source="crank.toml")
    assert says in str(caught.value)
    assert "crank.toml" in str(caught.value)


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
    """Without a port there is nothing to derive, and the error names the setting."""
    with pytest.raises(ConfigError, match=r"chain\.rollup_ws"):
        config.websocket_url("https://example.invalid/key")


def test_endpoints_resolve() -> None:
    """The rollup's endpoints are the base chain's unless set."""
    assert config.parse("").rollup_ws() == "ws://127.0.0.1:8900"
    one = config.parse("[chain]\nrollup_http = 'http://er:7799'")
    assert (one.rollup_http(), one.rollup_ws()) == ("http://er:7799", "ws://er:7800")


def test_view_is_off_and_on_loopback() -> None:
    """Nothing is served unless asked for, and then on loopback, at the ports of `awm-crank view`."""
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
    """Browsers are told the sessions' endpoints unless others are named; one that is named brings its WebSocket."""
    chain = "[chain]\nrollup_http = 'http://er:7799'\nrollup_ws = 'ws://er:9'\n"
    assert config.parse(f"{chain}[view]\n{view}").view_endpoints() == endpoints


def test_view_endpoint_without_port() -> None:
    """Nothing can be derived of it, and the error names the setting."""
    with pytest.raises(ConfigError, match=r"view\.ws"):
        config.parse("[view]\nrpc = 'https://seen'").view_endpoints()


def test_load(tmp_path: Path) -> None:
    """A relative key file is taken from the configuration's folder, an absolute one as it is."""
    path = tmp_path / "c.toml"
    path.write_text('[crank]\nkeypair = "keys/w.json"')
    assert config.load(path).crank.keypair == str(tmp_path / "keys" / "w.json")
    path.write_text('[crank]\nkeypair = "/etc/w.json"')
    assert config.load(path).crank.keypair == "/etc/w.json"


def test_load_missing(tmp_path: Path) -> None:
    """A file that is not there is an error that names it."""
    with pytest.raises(ConfigError, match=r"none\.toml"):
        config.load(tmp_path / "none.toml")


@pytest.mark.parametrize("setting", list(config.settings()), ids=lambda setting: setting.name)
def test_every_setting_is_described(setting: config.Setting) -> None:
    """No setting without a sentence saying what it does."""
    assert setting.description.endswith(".")


def test_settings_are_complete() -> None:
    """The list holds a setting of every table and the top level, with its default."""
    names = {setting.name: setting.default for setting in config.settings()}
    assert names["crank.late_policy"] == "hold"
    assert names["chain.rollup_ws"] == ""
    assert "fault_kill_at" in names
