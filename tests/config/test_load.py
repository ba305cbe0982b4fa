"""Reading the configuration: the file, the environment, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from awm_crank import config
from awm_crank.errors import ConfigError


def test_defaults() -> None:
    """An empty file is a complete configuration."""
    assert config.parse("") == config.Config()


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
        ("[crank", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        ("[chain]\nbase_http = 'http://127.0.0.1:99999'", "chain.base_http"),
        ("[chain]\nrollup_ws = 'ws://some host'", "chain.rollup_ws"),
        ("[view]\nrpc = 'https://:8899'", "view.rpc"),
        ("[mqtt]\nurl = 'mqtt://broker:0'", "mqtt.url"),
    ],
)
def test_refusals(text: str, says: str) -> None:
    """A wrong key or value is refused, and the message names file and key."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, source="crank.toml")
    assert says in str(caught.value)
    assert "crank.toml" in str(caught.value)


def test_load(tmp_path: Path) -> None:
    """A relative key file is looked up in the configuration's folder, and an absolute one is used as it is."""
    path = tmp_path / "c.toml"
    path.write_text('[crank]\nkeypair = "keys/w.json"')
    assert config.load(path).crank.keypair == str(tmp_path / "keys" / "w.json")
    path.write_text('[crank]\nkeypair = "/etc/w.json"')
    assert config.load(path).crank.keypair == "/etc/w.json"


def test_load_missing(tmp_path: Path) -> None:
    """A file that does not exist raises an error that names it."""
    with pytest.raises(ConfigError, match=r"none\.toml"):
        config.load(tmp_path / "none.toml")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """A variable's value replaces the file's, whatever its type; variables without our prefix are ignored."""
    path = tmp_path / "c.toml"
    path.write_text('[chain]\nbase_http = "http://file:1"\n[log]\nlevel = "error"\n')
    environment = {
        "AWM_CRANK__CHAIN__BASE_HTTP": "https://rpc.example:8899",
        "AWM_CRANK__CRANK__MAX_SESSIONS": "3",
        "AWM_CRANK__CRANK__ADOPT_UNBOUND_SESSIONS": "true",
        "AWM_CRANK__CRANK__KEYPAIR": "keys/w.json",
        "AWM_CRANK__MQTT__QOS": "2",
        "AWM_CRANK__FAULT_KILL_AT": "after-send:3",
        "AWM_TEST": "1",
        "HOME": "/root",
    }
    found = config.load(path, environment)
    assert (found.chain.base_http, found.log.level) == ("https://rpc.example:8899", "error")
    assert (found.crank.max_sessions, found.crank.adopt_unbound_sessions, found.mqtt.qos) == (3, True, 2)
    assert found.fault_kill_at == "after-send:3"
    assert found.crank.keypair == str(tmp_path / "keys" / "w.json")


def test_every_setting_has_its_variable() -> None:
    """Each default, given as a variable, is read back."""
    for setting in config.settings():
        variable = "AWM_CRANK__" + setting.name.upper().replace(".", "__")
        default = setting.default
        text = ",".join(default) if isinstance(default, tuple) else str(default)
        text = text.lower() if isinstance(default, bool) else text
        assert config.parse("", environment={variable: text}) == config.Config()


def test_a_list_in_a_variable() -> None:
    """Commas separate the parts of a list."""
    found = config.parse("", environment={"AWM_CRANK__VIEW__NAMES": "arena.example, other.example"})
    assert found.view.names == ("arena.example", "other.example")


def test_the_process_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without another environment, the process's own is used."""
    (tmp_path / "c.toml").write_text("")
    monkeypatch.setenv("AWM_CRANK__ENGINE__THREADS", "4")
    assert config.load(tmp_path / "c.toml").engine.threads == 4


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "AWM_CRANK__CHAIN__BASE_HTPP", "x",
            "environment variable AWM_CRANK__CHAIN__BASE_HTPP names no setting. "
            "Try: docs/configuration.md lists every setting",
        ),
        (
            "AWM_CRANK__CHAIN", "x",
            "environment variable AWM_CRANK__CHAIN names a table, not a setting. Try: AWM_CRANK__CHAIN__BASE_HTTP",
        ),
        (
            "AWM_CRANK__", "x",
            "environment variable AWM_CRANK__ names no setting. Try: docs/configuration.md lists every setting",
        ),
        (
            "AWM_CRANK__LOG__LEVEL__X", "x",
            "environment variable AWM_CRANK__LOG__LEVEL__X names no setting. "
            "Try: docs/configuration.md lists every setting",
        ),
        (
            "AWM_CRANK__ENGINE__THREADS", "many",
            "environment variable AWM_CRANK__ENGINE__THREADS: Expected `int`, got `str`. "
            "Try: docs/configuration.md lists every setting",
        ),
        (
            "AWM_CRANK__ENGINE__THREADS", "65",
            "environment variable AWM_CRANK__ENGINE__THREADS: Expected `int` <= 64. "
            "Try: docs/configuration.md lists every setting",
        ),
        (
            "AWM_CRANK__LOG__LEVEL", "loud",
            "environment variable AWM_CRANK__LOG__LEVEL: Invalid enum value 'loud'. "
            "Try: docs/configuration.md lists every setting",
        ),
    ],
)  # fmt: skip
def test_variables_that_are_refused(variable: str, value: str, line: str) -> None:
    """A variable with our prefix that names no setting, or whose value does not fit, is refused by its name."""
    with pytest.raises(ConfigError) as caught:
        config.parse("", environment={variable: value})
    assert str(caught.value) == line


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 raise a typed error too."""
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML: it is not UTF-8 text"):
        config.load(tmp_path / "c.toml")
