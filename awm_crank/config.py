"""Every setting of the crank, its default and its meaning: one schema, read from TOML, unknown keys refused.

A setting's description is the string under its field; `settings()` lists them all, so that the documentation's page
and the check that nothing is undocumented come from here. Units stand in the names.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from .endpoint import HTTP, MQTT, WEBSOCKET, Endpoint
from .errors import ConfigError

LatePolicy = Literal["hold", "neutral", "wait"]
LogLevel = Literal["debug", "info", "warning", "error"]

_Table = TypeVar("_Table", bound=Struct)
_HttpUrl = Annotated[str, Meta(pattern="^https?://.")]
_OptionalHttpUrl = Annotated[str, Meta(pattern="^(https?://.+)?$")]
_OptionalWsUrl = Annotated[str, Meta(pattern="^(wss?://.+)?$")]
_OptionalMqttUrl = Annotated[str, Meta(pattern=r"^(mqtts?://([^/@:]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?)?$")]
_OptionalListen = Annotated[str, Meta(pattern=r"^(([^:/]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5})?$")]
_TopicPrefix = Annotated[str, Meta(pattern="^[^/#+\0][^#+\0]{0,63}$")]
_Address = Annotated[str, Meta(pattern="^([1-9A-HJ-NP-Za-km-z]{32,44})?$")]
_Host = Annotated[str, Meta(pattern=r"^[^\s/\[\]]+$")]
_Port = Annotated[int, Meta(ge=0, le=65535)]
_Natural = Annotated[int, Meta(ge=0)]
_Positive = Annotated[int, Meta(ge=1)]


class Chain(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the accounts live."""

    base_http: _HttpUrl = "http://127.0.0.1:8899"
    """The base chain's RPC endpoint: manifest and weights are read there."""
    base_ws: _OptionalWsUrl = ""
    """The base chain's WebSocket endpoint. Set: sessions are served in the rollup, once they were handed over to it. \
Empty: there is one chain."""
    rollup_http: _OptionalHttpUrl = ""
    """The rollup's RPC endpoint: sessions live there. Empty: the base chain's."""
    rollup_ws: _OptionalWsUrl = ""
    """The rollup's WebSocket endpoint. Empty: `rollup_http` with the port one higher, as Solana has it."""
    world: _Address = ""
    """The World account that applies name. Empty: the permissionless world with the lowest id."""


class Crank(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose sessions are served, and how."""

    keypair: str = "crank.json"
    """The writer's key file (a JSON array of 64 numbers). Relative to the configuration file."""
    allow_open_keypair: bool = False
    """Accept a key file that other users of the machine can read. On a read-only mount, such as a Kubernetes secret, \
the crank accepts one without this setting."""
    adopt_unbound_sessions: bool = False
    """Bind and serve sessions whose CREATE named no writer. On a shared chain this spends for strangers' matches."""
    late_policy: LatePolicy = "hold"
    """An input that has not come when its frame is due: `hold` the last one, `neutral` zeros, or `wait` for it."""
    frame_period_us: _Natural = 0
    """Microseconds from frame to frame. 0: one sixtieth of a second, exactly."""
    spend_limit_lamports: _Natural = 10_000_000_000
    """The most that one session's accounts (checkpoints, ring) may cost the crank in rent; it is refused above that. \
The 4.3 M shape takes 7.1 SOL."""
    total_spend_limit_lamports: _Natural = 100_000_000_000
    """The most rent that lies in the accounts of all sessions together. Closing a session gives its share back."""
    max_sessions: _Positive = 256
    """Sessions served at once; further ones are refused, and taken up when one has left."""
    max_load_percent: Annotated[int, Meta(ge=0, le=100)] = 80
    """A session is refused where the ones served would then take more than that of one core, as measured. \
0: no limit."""
    send_timeout_ms: _Positive = 400
    """A frame neither answered nor seen after that long: the accounts are read before anything is signed again."""


class Engine(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What computes the frames."""

    kernel: Literal["native", "reference"] = "native"
    """`native`: the C kernel; where it is not built the crank refuses to start. \
`reference`: NumPy, for small models."""
    path: Annotated[str, Meta(pattern="^[a-z0-9]+$")] = "auto"
    """The native kernel's instruction set (`awm-crank bench engine` lists them). One that cannot run is refused. \
`auto`: the best that this machine has."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Threads that work on one step."""


class Checkpoints(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the recurrent state goes to its accounts."""

    ring_capacity: Annotated[int, Meta(ge=256, le=65535)] = 768
    """Records in a session's ring. Raised where two checkpoints would not fit into it."""
    min_interval_frames: _Positive = 120
    """Frames between two checkpoints at least. More where the state is too big to be written in that time."""
    chunk_bytes: Annotated[int, Meta(ge=64, le=938)] = 936
    """State bytes in one checkpoint_write."""
    chunks_per_frame: Annotated[int, Meta(ge=1, le=24)] = 1
    """Chunks that travel after a frame, two of three. More make checkpoints more frequent, and take what the endpoint \
could carry in frames. Validators refuse requests of more than 50 KiB."""


class Log(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the crank says."""

    level: LogLevel = "info"
    """Lines below that level are not written. Each frame has a line at `debug`."""
    stats_interval_s: _Natural = 10
    """Seconds between two lines of counters and latency percentiles. 0: none."""


class Telemetry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be asked of a running crank."""

    listen: _OptionalListen = ""
    """`host:port` for `/metrics`, `/healthz` and `/readyz`; a loopback address unless something else guards it. \
Empty: none."""
    balance_interval_s: _Positive = 30
    """Seconds between two looks at the key's balance."""


class View(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The live page and the frame feed (docs/view.md), served beside the crank."""

    enabled: bool = False
    """Serve both, from a process of their own at the lowest priority, so that whoever watches costs no tick."""
    host: _Host = "127.0.0.1"
    """The address that both listen on; a loopback address unless something else guards it."""
    page_port: _Port = 8766
    """The page's port. 0: a free one, named in the log."""
    feed_port: _Port = 8765
    """The frame feed's port. 0: a free one, named in the log."""
    rpc: _OptionalHttpUrl = ""
    """The RPC endpoint that browsers are told to ask. Empty: the sessions' own. Whoever opens the page can read it: \
name another one where the crank's holds a token, or is not theirs to reach."""
    ws: _OptionalWsUrl = ""
    """The WebSocket endpoint that goes with `view.rpc`. Empty: as `chain.rollup_ws` goes with `chain.rollup_http`."""


class Mqtt(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Frames and events for subscribers of an MQTT broker (docs/telemetry.md)."""

    url: _OptionalMqttUrl = ""
    """`mqtt://host:port`, or `mqtts://` for TLS. Empty: none."""
    username: str = ""
    """The broker's user. Empty: nobody in particular."""
    password_file: str = ""
    """A file whose first line is the password. Relative to the configuration file."""
    ca_file: str = ""
    """The certificate that the broker's is checked against. Empty: the system's. Relative to the configuration file."""
    cert_file: str = ""
    """A certificate (with its key in the same file) to show to the broker. Relative to the configuration file."""
    topic: _TopicPrefix = "awm"
    """What all topics begin with."""
    qos: Annotated[int, Meta(ge=0, le=2)] = 0
    """Quality of service of everything that is published."""
    frames_per_s: _Natural = 10
    """Frames of a session that are published in a second, at most; 0: every frame."""
    compact: bool = True
    """Publish frames as bytes."""
    json: bool = True
    """Publish frames as JSON."""
    queue: Annotated[int, Meta(ge=16, le=1_000_000)] = 1024
    """Messages held while the broker is slow or gone; then the oldest are dropped, frames and events apart."""


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration file, one field a table."""

    chain: Chain = Chain()
    crank: Crank = Crank()
    engine: Engine = Engine()
    checkpoints: Checkpoints = Checkpoints()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()
    view: View = View()
    mqtt: Mqtt = Mqtt()
    fault_kill_at: Annotated[str, Meta(pattern=r"^([a-z-]+:[1-9][0-9]*)?$")] = ""
    """For crash tests only: `<point>:<n>` kills the process (SIGKILL) at that point's n-th passage."""

    def rollup_http(self) -> str:
        """The sessions' RPC endpoint, default resolved."""
        return self.chain.rollup_http or self.chain.base_http

    def in_rollup(self) -> bool:
        """Whether sessions are handed over from the base chain to a rollup."""
        return bool(self.chain.base_ws)

    def rollup_ws(self) -> str:
        """The sessions' WebSocket endpoint, default resolved."""
        return self.chain.rollup_ws or websocket_url(self.rollup_http())

    def view_endpoints(self) -> tuple[str, str]:
        """The RPC and WebSocket endpoints that the page names to browsers, defaults resolved."""
        rpc = self.view.rpc or self.rollup_http()
        if self.view.ws:
            return rpc, self.view.ws
        return rpc, websocket_url(rpc, "view.ws") if self.view.rpc else self.rollup_ws()


def websocket_url(http: str, setting: str = "chain.rollup_ws") -> str:
    """The WebSocket endpoint that goes with an RPC endpoint: the same host, the port one higher.

    Args:
        setting: what the error tells to set.

    Raises:
        ConfigError: the URL names no port, so that nothing can be derived.
    """
    return Endpoint.parse(http).websocket(setting=setting).reveal()


def parse(text: str, *, source: str = "configuration") -> Config:
    """Reads TOML text.

    Args:
        source: what errors call it (the file's name).

    Raises:
        ConfigError: not TOML, an unknown key, a value of the wrong type or out of range; `what` names the key.
    """
    try:
        config = msgspec.toml.decode(text, type=Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}", hint="docs/configuration.md lists every setting") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{source} is no TOML: {error}") from None
    _check_endpoints(config, source)
    return config


def _check_endpoints(config: Config, source: str) -> None:
    """Refuses endpoints that cannot exist, such as one with port 99999 or with a blank in it."""
    chain, view = config.chain, config.view
    for setting, url, schemes in (
        ("chain.base_http", chain.base_http, HTTP),
        ("chain.base_ws", chain.base_ws, WEBSOCKET),
        ("chain.rollup_http", chain.rollup_http, HTTP),
        ("chain.rollup_ws", chain.rollup_ws, WEBSOCKET),
        ("view.rpc", view.rpc, HTTP),
        ("view.ws", view.ws, WEBSOCKET),
        ("mqtt.url", config.mqtt.url, MQTT),
    ):
        if url:
            Endpoint.parse(url, schemes, setting=f"{source}: {setting}")


def load(path: Path) -> Config:
    """Reads a configuration file; relative paths in it are taken from the file's folder.

    Raises:
        ConfigError: the file cannot be read, or as `parse`.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="name it with --config") from None
    config = parse(text, source=str(path))

    def placed(table: _Table, *names: str) -> _Table:
        found = {name: getattr(table, name) for name in names if getattr(table, name)}
        full = {name: str(path.parent / Path(value).expanduser()) for name, value in found.items()}
        return msgspec.structs.replace(table, **full)

    return msgspec.structs.replace(
        config,
        crank=placed(config.crank, "keypair"),
        mqtt=placed(config.mqtt, "password_file", "ca_file", "cert_file"),
    )


def dump(config: Config) -> str:
    """The configuration as TOML text that `parse` reads back to the same value."""
    lines = []
    tables = msgspec.to_builtins(config)
    top = {key: value for key, value in tables.items() if not isinstance(value, dict)}
    lines += [f"{key} = {_toml(value)}" for key, value in top.items()]
    for table, fields in tables.items():
        if isinstance(fields, dict):
            lines += ["", f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in fields.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    # JSON's strings, numbers and booleans are TOML's too
    return msgspec.json.encode(value).decode()


class Setting(NamedTuple):
    """One setting, for the documentation."""

    name: str
    default: object
    description: str


def settings() -> Iterator[Setting]:
    """Every setting in the file's order, with the description that stands under it in the schema."""
    tables = [("", Config)] + [(f"{field.name}.", field.type) for field in _fields(Config) if _is_table(field.type)]
    for prefix, table in tables:
        descriptions = _descriptions(table)
        for field in _fields(table):
            if not _is_table(field.type):
                yield Setting(prefix + field.name, field.default, descriptions.get(field.name, ""))


def page() -> str:
    """The settings as a Markdown table, for docs/configuration.md."""
    rows = ["| setting | default | |", "| --- | --- | --- |"]
    rows += [f"| `{each.name}` | `{_toml(each.default)}` | {each.description} |" for each in settings()]
    return "\n".join(rows) + "\n"


def _fields(table: type) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(table)


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _descriptions(table: type) -> dict[str, str]:
    # a string literal right after a field is invisible at run time: read it from the source
    body = ast.parse(inspect.getsource(table)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[field.target.id] = str(after.value.value)
    return found
