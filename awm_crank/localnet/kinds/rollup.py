"""MagicBlock's ephemeral validator 0.8.3 on a base chain: it clones accounts on demand, and writes to those that are
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
"""Slots of an embedded base chain. The rollup re-reads new accounts until an answer is from the newest slot it knows.
With slots of 10 ms, one start in ten kept it and a core busy for seconds."""
_THREADS = "8"
"""On two cores it would start two, and block for seconds when both wait for the base chain."""
SNAPSHOT_S = 300.0
"""Time between two copies of its accounts, which blocks it for 36 to 140 ms here. Its default, 1,024 slots, would cost
matches a few ticks: every 51 s with its usual slots of 50 ms, every 10 s with ours. A rollup that is killed before its
first copy continues from the accounts themselves (tests/daemon/test_rollup.py)."""
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
    """Starts base chain and rollup; returns once both serve, and programs, registry and funded keys are on the base.

    Raises:
        ConfigError: a setting does not apply to this kind.
        SetupError: one of them cannot be fetched, or does not start.
    """
    if not plan.base.startswith("http://"):
        # a base chain that starts with the rollup is new: nothing there is delegated to the storage's old rollup
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
    """Uses a base chain that runs already, started with `--for-rollup`."""
    running = Running()
    running.http = running.base_http = plan.base.rstrip("/")
    address, _, port = running.base_http.removeprefix("http://").rpartition(":")
    running.ws = running.base_ws = f"ws://{address}:{int(port) + 1}"
    prepare.fund_all(running.http, plan.fund)
    return running


def configuration(plan: LocalnetPlan, base_http: str, base_ws: str, port: int, metrics: int) -> str:
    """The text of its configuration file."""
    return _CONFIGURATION.format(
        base_http=base_http, base_ws=base_ws, storage=plan.folder / "storage", port=port,
        host=plan.host, metrics=metrics,
        slot_ms=plan.slot_ms or SLOT_MS, reset="false" if plan.resume else "true",
        snapshots=max(1, round(SNAPSHOT_S * 1000 / (plan.slot_ms or SLOT_MS))),
    )  # fmt: skip


def without_own_requests(base_http: str, base_ws: str) -> tuple[str, str, dict[str, str]]:
    """The base chain's addresses, and an environment that keeps the validator's own screen from asking its RPC.

    0.8.3 always draws a screen. The screen fetches every block from the validator's RPC, which has one thread for all
    clients: this takes a tenth of the validator's CPU, and with four matches causes four times as many missed ticks.
    The screen honours a proxy, so its requests are sent to one that does not exist. Requests to the base chain's host
    bypass the proxy. If that host is 127.0.0.1, as the rollup's is, its address says `localhost` instead.
    """
    host = urlsplit(base_http).hostname or ""
    if host == "127.0.0.1":
        host = "localhost"
        base_http, base_ws = (url.replace("//127.0.0.1:", "//localhost:", 1) for url in (base_http, base_ws))
    return base_http, base_ws, {
        "HTTP_PROXY": _NOWHERE, "http_proxy": _NOWHERE, "NO_PROXY": host, "no_proxy": host,
    }  # fmt: skip
