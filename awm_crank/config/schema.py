"""Every setting of the crank with its type, default and description.

The string under a field is its description. docs/configuration.md and the example file are generated from it. The unit
is part of a setting's name: `_s`, `_ms`, `_us`, `_lamports`, `_bytes`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..endpoint import Endpoint

LatePolicy = Literal["hold", "neutral", "wait"]
LogLevel = Literal["debug", "info", "warning", "error"]

_BaseHttp = Annotated[str, Meta(pattern="^(https?://.+|solana-cli|localhost|devnet|testnet|mainnet-beta)$")]
_HttpUrl = Annotated[str, Meta(pattern="^https?://.+$")]
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


class ChainConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The chains that the crank works on."""

    base_http: _BaseHttp = "http://127.0.0.1:8899"
    """RPC endpoint of the base chain. The crank reads models from it. Instead of a URL it may be `localhost`, \
`devnet`, `testnet` or `mainnet-beta`, or `solana-cli` for the endpoint in the Solana CLI's own configuration."""
    base_ws: _OptionalWsUrl = ""
    """WebSocket endpoint of the base chain. If there is a rollup, the crank watches the base chain for sessions that \
are delegated to it. If empty, the host of `base_http` with the port plus one."""
    rollup_http: _OptionalHttpUrl = ""
    """RPC endpoint of the rollup, where the crank writes frames. If empty, the same as `base_http`. If they differ, \
the crank asks both endpoints whether they are one chain or two."""
    rollup_ws: _OptionalWsUrl = ""
    """WebSocket endpoint of the rollup. If empty, the host of `rollup_http` with the port plus one, as Solana's \
validators have it."""
    world: _Address = ""
    """Address of the BOLT World account that the crank names in its transactions. If empty, the world with the lowest \
id among those that anyone may use."""


class CrankConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which sessions the crank serves, and how."""

    keypair: str = "crank.json"
    """File of the key that writes the frames and pays for them, as `solana-keygen` or `awm-crank key new` makes it. A \
relative path starts at the configuration file's folder."""
    allow_open_keypair: bool = False
    """Accept a key file that other users of the machine can read. On a read-only mount, such as a Kubernetes secret, \
the crank accepts one without this setting."""
    adopt_unbound_sessions: bool = False
    """Whether to serve sessions that name no writer, too. On a public chain, the crank then pays for the matches of \
strangers."""
    late_policy: LatePolicy = "hold"
    """What to do when a frame is due and a player's input has not arrived: `hold` repeats the player's last input, \
`neutral` takes an untouched controller, `wait` delays the frame until the input is there."""
    frame_period_us: _Natural = 0
    """Time from one frame to the next, in microseconds. 0 means exactly one sixtieth of a second."""
    spend_limit_lamports: _Natural = 10_000_000_000
    """The most rent, in lamports, that the crank pays for one session's checkpoints and ring. It refuses a session \
that needs more. A model with 4.3 million parameters needs 7.1 SOL, which is 7100000000 lamports."""
    admission: Literal["anyone", "list", "anyone-who-deposits"] = "anyone"
    """Which sessions the crank serves. `anyone`: every session; those without a deposit share a part of the crank's \
money, `crank.guest_share_percent`. `list`: only those in `crank.admitted`. `anyone-who-deposits`: those too, and \
sessions with a deposit of at least `crank.frame_price_lamports` a frame. A deposit is what player 1 sets aside for a \
session's accounts and fees (docs/money.md). In a rollup nobody has to deposit, because there are no fees and player \
1 pays the rent."""
    admitted: tuple[_Address, ...] = ()
    """Addresses whose sessions are always served, whatever `crank.admission` says. A player's address admits the \
sessions in which it is player 1; a model's, all sessions that play it; a BOLT world's, all sessions whose entity the \
world numbered. An entity whose address comes from a seed that its creator chose belongs to no world here."""
    frame_price_lamports: _Natural = 10_000
    """The least, in lamports, that a deposit has to offer for each frame. A deposit that offers less pays for the \
session's accounts only, not for its fees. A frame with its share of a checkpoint costs about 8,300 lamports in fees."""
    guest_share_percent: Annotated[int, Meta(ge=0, le=100)] = 50
    """The part of the crank's money, in percent, that all guests together may use. Guests are sessions without a \
deposit that `crank.admitted` does not name. The rent that they hold now and their fees of the last day count. The \
same percentage of the hourly and of the daily budget is theirs. One player may use at most a quarter of the share, \
but may always have one match. When the share is used up, new guests wait; running matches of guests go on for at \
least `crank.guest_frames`. 100: no limit."""
    guest_frames: _Natural = 216_000
    """How many frames of a guest's match are sure. After them, the match goes on while the guests' share lasts and no \
other guest waits for it. Otherwise it waits for a deposit. 216,000 frames are an hour. 0: no limit."""
    max_challenge_s: _Natural = 3600
    """The crank serves no session whose challenge time, in seconds, is longer than this. The challenge time follows \
the end of a match: the result can be checked during it, and the crank gets back what it paid only afterwards."""
    collect_interval_s: _Natural = 20
    """How often, in seconds, the crank checks the sessions that this key writes. It ends those that nobody plays any \
more, and takes back what it paid for those whose challenge time is over. 0: never."""
    total_spend_limit_lamports: _Natural = 100_000_000_000
    """The most rent, in lamports, that the crank has paid for all open sessions together. Closing a session returns \
its rent."""
    reserve_lamports: _Natural = 50_000_000
    """What stays on the crank's key for the fees of running matches. No new session is prepared from it. A match \
costs about 1.1 SOL an hour in fees outside a rollup."""
    hourly_budget_lamports: _Natural = 0
    """The most, in lamports, that the crank pays in an hour, fees and rent together. Beyond it no further session is \
prepared, unless a deposit pays for it. Running matches go on. A restart begins a new hour. 0: no limit."""
    daily_budget_lamports: _Natural = 0
    """As `crank.hourly_budget_lamports`, for a day."""
    max_sessions: _Positive = 256
    """The most sessions to serve at the same time. Further sessions wait until one of these ends."""
    max_load_percent: Annotated[int, Meta(ge=0, le=100)] = 80
    """The most of one CPU core, in percent, that serving may take. The crank refuses a session when the sessions that \
it serves, as measured, plus the new one would take more. 0 means no limit."""
    send_timeout_ms: _Positive = 400
    """How long to wait, in milliseconds, for a sent frame to be confirmed. After that the crank reads the session's \
accounts and sends the frame again if it is missing."""


class EngineConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The engine that computes the frames."""

    kernel: Literal["native", "reference"] = "native"
    """`native` is the engine in C; the crank does not start if it was not built. `reference` is the slow engine in \
NumPy, for small models and for comparison."""
    path: Annotated[str, Meta(pattern="^[a-z0-9]+$")] = "auto"
    """The processor instructions that the native engine uses, for example `avx2`; `awm-crank bench engine` lists them \
all. `auto` takes the fastest that this machine has. The crank does not start with one that this machine lacks."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Number of threads that compute one frame."""


class ModelsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the bytes of mirrored models come from (docs/mirrors.md)."""

    mirrors: tuple[_HttpUrl, ...] = ()
    """URLs of HTTP servers from which mirrored models are loaded: models whose weights are on such servers, while \
the chain has only their hash. Nobody has to trust them, because every 64 KiB are checked against the chain. Example: \
`["https://a.example/pieces", "https://b.example"]`."""
    cache: str = ""
    """A folder that keeps the models loaded from `models.mirrors`, so that a restart does not load them again. A \
relative path starts at the configuration file's folder. Empty: keep none."""


class CheckpointsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the crank saves a session's model state on chain, so that another process can continue the match."""

    ring_capacity: Annotated[int, Meta(ge=256, le=65535)] = 768
    """How many of the latest frames a session's ring keeps on chain. The crank takes more if two checkpoints would be \
further apart than that."""
    min_interval_frames: _Positive = 120
    """The fewest frames from one checkpoint to the next. A big state takes longer, because it is written in pieces \
between the frames."""
    chunk_bytes: Annotated[int, Meta(ge=64, le=938)] = 936
    """Bytes of state in one piece, that is in one transaction. 936 is what fits."""
    chunks_per_frame: Annotated[int, Meta(ge=1, le=24)] = 1
    """Pieces of state to send after each frame; every third frame sends none. More pieces make checkpoints more \
frequent, but compete with the frames. They go in one request, and validators refuse requests above 50 KiB."""
    journal: str = ""
    """A folder in which to keep the last checkpoint of each session. A match can then go on after a rollup and the \
crank have restarted together. `verify --journal` and `export --journal` read it. A relative path starts at the \
configuration file. Empty: keep none."""
    journal_fsync: bool = True
    """Wait until each file of the journal is on the disk, so that it survives a power failure."""
    journal_records: bool = True
    """Keep every frame's record in the journal too, 96 bytes a frame, so that a match that is older than its ring can \
be verified and exported. Records stay when the match is over."""
    journal_sessions: _Positive = 1024
    """The most sessions in the journal. The oldest are removed first."""


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The log on standard output: text on a terminal, JSON in a pipe or a file."""

    level: LogLevel = "info"
    """The least important lines to write: `debug`, `info`, `warning` or `error`. `debug` writes a line for \
each frame."""
    stats_interval_s: _Natural = 10
    """How often, in seconds, to write a line of counters and latencies. 0 means never."""


class TelemetryConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Metrics and health checks over HTTP (docs/telemetry.md)."""

    listen: _OptionalListen = ""
    """Address, as `host:port`, that serves `/metrics`, `/healthz` and `/readyz`. Anyone who reaches it can read them, \
so use a loopback address such as `127.0.0.1:9464`, or protect it. If empty, nothing is served."""
    balance_interval_s: _Positive = 30
    """How often, in seconds, to read the balance of the crank's key."""


class ViewConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The live page and the frame feed for spectators (docs/view.md)."""

    enabled: bool = False
    """Whether to serve the live page and the frame feed. They run in a process of their own with the lowest priority, \
so that spectators do not delay frames."""
    host: _Host = "127.0.0.1"
    """Address that page and feed listen on. Anyone who reaches it can watch, so use a loopback address or protect \
it."""
    page_port: _Port = 8766
    """Port of the live page. 0 takes a free port and writes it to the log."""
    feed_port: _Port = 8765
    """Port of the frame feed. 0 takes a free port and writes it to the log."""
    rpc: _OptionalHttpUrl = ""
    """RPC endpoint that the page uses. If empty, the endpoint that the sessions are on. Browsers never see a key in \
it: if the URL has more than scheme, host and port, the page asks its own server, which passes the request on."""
    ws: _OptionalWsUrl = ""
    """WebSocket endpoint that the page uses. If empty, the host of `view.rpc` with the port plus one."""
    names: tuple[str, ...] = ()
    """Further host names under which page and feed are reached, such as a reverse proxy's, and sites whose pages may \
read the feed. Example: `["arena.example"]`. Requests by another name or from another site's page are refused."""


class MqttConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Frames and events for the subscribers of an MQTT broker (docs/telemetry.md)."""

    url: _OptionalMqttUrl = ""
    """Address of the broker: `mqtt://host:port`, or `mqtts://host:port` for TLS. If empty, nothing is published."""
    username: str = ""
    """User name at the broker. If empty, the crank connects without one."""
    password_file: str = ""
    """File whose first line is the password at the broker. A relative path starts at the configuration file's \
folder."""
    ca_file: str = ""
    """File with the certificate authority that the broker's certificate must come from. If empty, the system's \
authorities. A relative path starts at the configuration file's folder."""
    cert_file: str = ""
    """File with a certificate and its key that identify the crank to the broker. A relative path starts at the \
configuration file's folder."""
    topic: _TopicPrefix = "awm"
    """First part of all topics: with `awm`, a topic is `awm/…`."""
    qos: Annotated[int, Meta(ge=0, le=2)] = 0
    """MQTT quality of service: 0 sends a message at most once, 1 at least once, 2 exactly once."""
    frames_per_s: _Natural = 10
    """The most frames of one session to publish in a second. 0 publishes every frame."""
    compact: bool = True
    """Whether to publish frames in the compact binary form."""
    json: bool = True
    """Whether to publish frames as JSON."""
    queue: Annotated[int, Meta(ge=16, le=1_000_000)] = 1024
    """How many messages to keep while the broker is slow or gone. Beyond that the oldest are dropped. Frame messages \
have a queue of this length, and all other messages (such as a session's start and end) have another."""


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration; each field is a table of the file."""

    chain: ChainConfig = ChainConfig()
    crank: CrankConfig = CrankConfig()
    engine: EngineConfig = EngineConfig()
    models: ModelsConfig = ModelsConfig()
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    log: LogConfig = LogConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    view: ViewConfig = ViewConfig()
    mqtt: MqttConfig = MqttConfig()
    fault_kill_at: Annotated[str, Meta(pattern=r"^([a-z-]+:[1-9][0-9]*)?$")] = ""
    """For crash tests only: `NAME:N` kills the process with SIGKILL when it reaches the fault point NAME for the \
N-th time. docs/session.md lists the fault points. Example: `claim:2`."""

    def rollup_http(self) -> str:
        """The RPC endpoint that the sessions are on."""
        return self.chain.rollup_http or self.chain.base_http

    def base_ws(self) -> str:
        """The WebSocket endpoint of the base chain. Raises ConfigError when it has to be set."""
        return self.chain.base_ws or websocket_url(self.chain.base_http, "chain.base_ws")

    def rollup_ws(self) -> str:
        """The WebSocket endpoint that the sessions are on. Raises ConfigError when it has to be set."""
        return self.chain.rollup_ws or websocket_url(self.rollup_http())

    def view_endpoints(self) -> tuple[str, str]:
        """The RPC and WebSocket endpoints for spectators' browsers. Raises ConfigError when `view.ws` has to be set."""
        rpc = self.view.rpc or self.rollup_http()
        if self.view.ws:
            return rpc, self.view.ws
        return rpc, websocket_url(rpc, "view.ws") if self.view.rpc else self.rollup_ws()


def websocket_url(http: str, setting: str = "chain.rollup_ws") -> str:
    """The WebSocket endpoint that goes with an RPC endpoint: the same host, the port one higher.

    Args:
        setting: the setting that the error's hint names.

    Raises:
        ConfigError: the URL has no port to count from.
    """
    return Endpoint.parse(http).websocket(setting=setting).reveal()
