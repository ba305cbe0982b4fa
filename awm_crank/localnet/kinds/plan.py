"""What a localnet is to be, and what runs then: the words that all kinds share."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
from solders.pubkey import Pubkey

from ...errors import ConfigError
from .. import genesis
from .process import Validator, free_ports, require_free

_OPTIONS = {"accounts": "--account", "executable": "--validator", "base_executable": "--base-validator"}


class LocalnetPlan(msgspec.Struct, kw_only=True):
    """What to start.

    Args:
        folder: scratch folder: ledger, configuration, logs.
        cache: folder of what is downloaded or built once.
        port: of HTTP; WebSocket is on the next one. 0 takes free ones.
        slot_ms: length of a slot; None is the kind's own.
        bare: without the project's programs and World's registry.
        programs: further programs, (id, .so file).
        accounts: further accounts, files in the Solana CLI's JSON format.
        fund: (public key, lamports) to airdrop.
        executable: of the validator; None is the kind's own.
        host: address to listen on, for a rollup.
        base: kind of the base chain, for a rollup, or the RPC endpoint (http://HOST:PORT) of one that runs.
        base_executable: of the base chain's validator; None is its kind's own.
        resume: go on with the ledger that the folder holds.
    """

    folder: Path
    cache: Path
    port: int = 0
    slot_ms: float | None = None
    bare: bool = False
    programs: list[tuple[Pubkey, Path]] = []
    accounts: list[Path] = []
    fund: list[tuple[Pubkey, int]] = []
    executable: Path | None = None
    host: str = "127.0.0.1"
    base: str = "embedded"
    base_executable: Path | None = None
    resume: bool = False

    def all_programs(self) -> list[tuple[Pubkey, Path]]:
        """Programs to deploy, each id once; one given by hand replaces a shipped one of its id."""
        shipped = {} if self.bare else dict(genesis.shipped_files())
        return list({**shipped, **dict(self.programs)}.items())

    def first_port(self, count: int) -> int:
        """The HTTP port, with `count` free ports from there on. Raises ConfigError if it was named and is taken."""
        if not self.port:
            return free_ports(count)
        for port in range(self.port, self.port + count):
            require_free(self.host, port)
        return self.port


class Running:
    """A localnet that runs: its addresses, and what to watch and to undo. A context manager."""

    def __init__(self) -> None:
        self.http = self.ws = self.base_http = self.base_ws = ""
        self.validators: list[Validator] = []
        self.undo = contextlib.ExitStack()

    def at(self, port: int) -> None:
        """Everything on one chain, on loopback."""
        self.http = self.base_http = f"http://127.0.0.1:{port}"
        self.ws = self.base_ws = f"ws://127.0.0.1:{port + 1}"

    def add(self, validator: Validator) -> None:
        """Watches a validator, and ends it at the end."""
        self.validators.append(validator)
        self.undo.callback(validator.stop)

    def check(self) -> None:
        """Raises SetupError where a validator has ended."""
        for validator in self.validators:
            if validator.status is not None:
                raise validator.failure("ended by itself")

    def stop(self) -> None:
        """Ends all validators, the last one started first."""
        self.undo.close()


def refuse(plan: LocalnetPlan, kind: str, *names: str) -> None:
    """Raises ConfigError where the plan sets something that this kind has no use for."""
    defaults = LocalnetPlan(folder=plan.folder, cache=plan.cache)
    for name in names:
        if getattr(plan, name) != getattr(defaults, name):
            option = _OPTIONS.get(name, f"--{name}")
            raise ConfigError(f"{option} does not go with --kind {kind}", hint="leave it out, or take another kind")
