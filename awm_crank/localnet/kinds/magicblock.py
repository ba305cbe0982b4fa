"""MagicBlock's validator 0.1.7 as a chain of its own: it clones nothing, and every account is writable."""

from __future__ import annotations

from . import openfiles, packages, prepare
from .cache import Cache
from .libraries import libraries
from .plan import LocalnetPlan, Running, refuse
from .process import Validator, free_ports

SLOT_MS = 10.0

_CONFIGURATION = """\
[accounts]
remote = "http://127.0.0.1:1"
lifecycle = "offline"
[accounts.db]
db-size = 2147483648
block-size = "block256"
index-map-size = 67108864
max-snapshots = 1
snapshot-frequency = 1000000000
[rpc]
addr = "127.0.0.1"
port = {port}
[geyser_grpc]
addr = "127.0.0.1"
port = {geyser}
[validator]
millis_per_slot = {slot_ms:.0f}
[ledger]
reset = {reset}
path = "{ledger}"
[metrics]
enabled = false
"""


def start(plan: LocalnetPlan) -> Running:
    """Starts it; returns once programs, registry and funded keys exist.

    Raises:
        ConfigError: a setting does not apply to this kind.
        SetupError: it cannot be fetched, or does not start.
    """
    refuse(plan, "magicblock", "accounts", "base", "base_executable")
    cache = Cache(plan.cache)
    version = packages.STAND_ALONE
    libs = libraries(cache, version)
    clamp = openfiles.preload(cache)
    binary = plan.executable or packages.validator(cache, version)
    port = plan.first_port(2)
    config = plan.folder / "magicblock.toml"
    config.write_text(configuration(plan, port, free_ports(1)))
    return prepare.one_chain(
        plan,
        port,
        lambda: Validator(
            f"MagicBlock's validator {version}",
            [*libs.command(binary, clamp), str(config)],
            log=plan.folder / "magicblock.log",
            folder=plan.folder,
            environment={"RUST_LOG": "warn", **libs.environment(clamp)},
        ),
    )


def configuration(plan: LocalnetPlan, port: int, geyser: int) -> str:
    """The text of its configuration file."""
    text = _CONFIGURATION.format(
        port=port,
        geyser=geyser,
        slot_ms=plan.slot_ms or SLOT_MS,
        reset="false" if plan.resume else "true",
        ledger=plan.folder / "ledger",
    )
    for program, path in plan.all_programs():
        text += f'[[program]]\nid = "{program}"\npath = "{path.resolve()}"\n'
    return text
