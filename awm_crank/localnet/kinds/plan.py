"""How to start a localnet, and what runs then: the types that all kinds share."""

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
    """How to start a localnet of a kind other than the embedded one.

    Args:
        folder: the folder for ledger, configuration and logs.
        cache: the folder for what is downloaded or built once.
        port: the HTTP port; WebSocket is on the next one. 0 takes free ones.
        slot_ms: length of a slot; None takes the kind's default.
        bare: leave out the project's programs and World's registry.
        programs: more programs, as (id, .so file).
        accounts: more accounts, as files in the Solana CLI's JSON format.
        fund: keys to airdrop to, as (public key, lamports).
        executable: the validator's; None takes the kind's default.
        host: the address that a rollup listens on.
        base: a rollup's base chain: its kind, or the RPC endpoint (http://HOST:PORT) of a running one.
        base_executable: the base chain's validator; None takes the default of its kind.
        resume: continue with the ledger in the folder.
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
        """The programs to deploy. A program that is named replaces the shipped one with its id."""
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
    """A running localnet: its addresses, its validators, and how to end it."""

    def __init__(self) -> None:
        self.http = self.ws = self.base_http = self.base_ws = ""
        self.validators: list[Validator] = []
        self.undo = contextlib.ExitStack()

    def at(self, port: int) -> None:
        """Sets all addresses to one chain on loopback."""
        self.http = self.base_http = f"http://127.0.0.1:{port}"
        self.ws = self.base_ws = f"ws://127.0.0.1:{port + 1}"

    def add(self, validator: Validator) -> None:
        """Adds a validator to watch, and to stop at the end."""
        self.validators.append(validator)
        self.undo.callback(validator.stop)

    def check(self) -> None:
        """Raises SetupError if a validator has ended."""
        for validator in self.validators:
            if validator.status is not None:
                raise validator.failure("ended by itself")

    def stop(self) -> None:
        """Stops all validators, the last one started first."""
        self.undo.close()


def refuse(plan: LocalnetPlan, kind: str, *names: str) -> None:
    """Raises ConfigError if the plan sets something that does not apply to this kind."""
    defaults = LocalnetPlan(folder=plan.folder, cache=plan.cache)
    for name in names:
        if getattr(plan, name) != getattr(defaults, name):
            option = _OPTIONS.get(name, f"--{name}")
            raise ConfigError(f"{option} does not go with --kind {kind}", hint="leave it out, or take another kind")
