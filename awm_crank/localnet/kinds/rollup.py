"""MagicBlock's ephemeral validator 0.8.3 on a base chain: it clones what it is asked for and writes to what is
delegated to it."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from solders.pubkey import Pubkey

from ..rig import EmbeddedLocalnet
from . import openfiles, packages, prepare, solana
from .cache import Cache
from .libraries import libraries
from .plan import LocalnetPlan, Running, refuse
from .process import Validator, free_ports

SLOT_MS = 10.0
BASE_SLOT_MS = 100.0
"""Of an embedded base chain. The rollup reads new accounts again until what it read is of its newest slot: on slots of
10 ms it chased them for seconds, one core busy, in one start of ten."""
_THREADS = "8"
"""On two cores it starts two, and stands still for seconds when both wait for the base chain at once."""
SNAPSHOT_S = 300.0
"""Between two copies of its accounts, for which it stands still for 36 to 140 ms here. Its default, 1,024 slots, would
cost matches a few ticks every 51 s on its usual slots of 50 ms, and every tenth second on ours. A rollup that is killed
before its first copy goes on from the accounts themselves (tests/daemon/test_rollup.py)."""
_NOWHERE = "http://127.0.0.1:9"

_CONFIGURATION = """\
lifecycle = "ephemeral"
remotes = ["{base_http}", "{base_ws}"]
storage = "{storage}"
[aperture]
listen = "{host}:{port}"
[metrics]
address = "127.0.0.1:{metrics}"
[ledger]
block-time = "{slot_ms:.0f}ms"
reset = {reset}
[accountsdb]
snapshot-frequency = {snapshots}
"""


def start(plan: LocalnetPlan) -> Running:
    """Starts base chain and rollup; returns once both serve, with programs, registry and funded keys on the base.

    Raises:
        ConfigError: a setting that it has no use for.
        SetupError: one of them cannot be had or does not start.
    """
    if not plan.base.startswith("http://"):
        # a base chain that starts with it is a new one, on which nothing is delegated to what the storage holds
        refuse(plan, "rollup", "resume")
    cache = Cache(plan.cache)
    version = packages.EPHEMERAL
    libs = libraries(cache, version)
    clamp = openfiles.preload(cache)
    binary = plan.executable or packages.validator(cache, version)
    dumps = packages.base_chain_accounts(cache)
    programs = [(Pubkey.from_string(file.stem), file) for file in sorted(dumps.glob("*.so"))] + plan.programs
    running = _base(msgspec.structs.replace(
        plan, port=0, slot_ms=None, executable=plan.base_executable, programs=programs,
        accounts=sorted(dumps.glob("*.json")) + plan.accounts,
    ))  # fmt: skip
    try:
        port = plan.first_port(2)
        config = plan.folder / "rollup.toml"
        base_http, base_ws, aside = without_own_requests(running.base_http, running.base_ws)
        config.write_text(configuration(plan, base_http, base_ws, port, free_ports(1)))
        validator = Validator(
            f"MagicBlock's ephemeral validator {version}",
            [*libs.command(binary, clamp), str(config)],
            log=plan.folder / "rollup.log",
            folder=plan.folder,
            environment={"RUST_LOG": "warn", "TOKIO_WORKER_THREADS": _THREADS, **aside, **libs.environment(clamp)},
            terminal=True,
        )
        host = "127.0.0.1" if plan.host == "0.0.0.0" else plan.host
        running.http, running.ws = f"http://{host}:{port}", f"ws://{host}:{port + 1}"
        running.add(validator)
        validator.wait_healthy(running.http)
    except BaseException:
        running.stop()
        raise
    return running


def _base(plan: LocalnetPlan) -> Running:
    if plan.base == "solana":
        return solana.start(plan)
    if plan.base.startswith("http://"):
        return _running_base(plan)
    running = Running()
    words = ["--slot-ms", str(BASE_SLOT_MS), *(["--bare"] if plan.bare else [])]
    for program, path in plan.programs:
        words += ["--program", str(program), str(path)]
    for path in plan.accounts:
        words += ["--account", str(path)]
    net = running.undo.enter_context(EmbeddedLocalnet(*words, log=plan.folder / "base.log"))
    running.http = running.base_http = net.http
    running.ws = running.base_ws = net.ws
    try:
        prepare.fund_all(net.http, plan.fund)
    except BaseException:
        running.stop()
        raise
    return running


def _running_base(plan: LocalnetPlan) -> Running:
    """A base chain of somebody else's: what has to be on it is there already (`--for-rollup`)."""
    running = Running()
    running.http = running.base_http = plan.base.rstrip("/")
    address, _, port = running.base_http.removeprefix("http://").rpartition(":")
    running.ws = running.base_ws = f"ws://{address}:{int(port) + 1}"
    prepare.fund_all(running.http, plan.fund)
    return running


def configuration(plan: LocalnetPlan, base_http: str, base_ws: str, port: int, metrics: int) -> str:
    """Text of its configuration file."""
    return _CONFIGURATION.format(
        base_http=base_http, base_ws=base_ws, storage=plan.folder / "storage", port=port,
        host=plan.host, metrics=metrics,
        slot_ms=plan.slot_ms or SLOT_MS, reset="false" if plan.resume else "true",
        snapshots=max(1, round(SNAPSHOT_S * 1000 / (plan.slot_ms or SLOT_MS))),
    )  # fmt: skip


def without_own_requests(base_http: str, base_ws: str) -> tuple[str, str, dict[str, str]]:
    """The base chain's addresses and an environment in which the validator's own screen asks it for nothing.

    0.8.3 draws a screen and cannot be told not to. The screen fetches every block from its own RPC, where one thread
    answers everybody: a tenth of the validator's CPU, and with four matches four times as many missed ticks. It
    honours a proxy, so one that is not there takes its requests; the base chain's host goes past it, and where that is
    127.0.0.1, the rollup's own, it is called localhost.
    """
    host = urlsplit(base_http).hostname or ""
    if host == "127.0.0.1":
        host = "localhost"
        base_http, base_ws = (url.replace("//127.0.0.1:", "//localhost:", 1) for url in (base_http, base_ws))
    return base_http, base_ws, {
        "HTTP_PROXY": _NOWHERE, "http_proxy": _NOWHERE, "NO_PROXY": host, "no_proxy": host,
    }  # fmt: skip
