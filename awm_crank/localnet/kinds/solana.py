"""solana-test-validator, as the operator has installed it."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

from ...errors import SetupError
from .. import genesis
from . import prepare
from .plan import LocalnetPlan, Running
from .process import Validator, free_ports

EXECUTABLE = "solana-test-validator"
TICK_MS = 6.25
"""A slot is a whole number of ticks, of which a second has 160."""
_FEWEST_TICKS = 4
_DYNAMIC_PORTS = 32


def start(plan: LocalnetPlan) -> Running:
    """Starts it; returns once programs, registry and funded keys exist. Raises SetupError."""
    executable = find(plan.executable)
    port = plan.first_port(3)
    return prepare.one_chain(
        plan,
        port,
        lambda: Validator(
            EXECUTABLE,
            [str(executable), *arguments(plan, port)],
            log=plan.folder / "solana.log",
            folder=plan.folder,
            environment={"RUST_LOG": "warn"},
        ),
    )


def find(executable: Path | None) -> Path:
    """The file that is named, otherwise the one on PATH. Raises SetupError if there is none."""
    found = shutil.which(str(executable or EXECUTABLE))
    if found is None:
        raise SetupError(
            f"{executable or EXECUTABLE} is no program that can be run",
            hint=f"install Solana's tools so that {EXECUTABLE} is on PATH, or name the file with --validator",
        )
    return Path(found)


def arguments(plan: LocalnetPlan, port: int) -> list[str]:
    """Its command line. Writes account files into the plan's folder."""
    # besides the RPC and PubSub ports, the validator needs a faucet port, a gossip port, and a range of other ports
    faucet, gossip, dynamic = free_ports(1), free_ports(1), free_ports(_DYNAMIC_PORTS)
    words = [
        "--ledger", str(plan.folder / "ledger"), "--bind-address", "127.0.0.1", "--rpc-port", str(port),
        "--faucet-port", str(faucet), "--gossip-port", str(gossip),
        "--dynamic-port-range", f"{dynamic}-{dynamic + _DYNAMIC_PORTS - 1}", "--log",
    ]  # fmt: skip
    if not plan.resume:
        words.append("--reset")
    if plan.slot_ms:
        words += ["--ticks-per-slot", str(max(_FEWEST_TICKS, round(plan.slot_ms / TICK_MS)))]
    for program, path in plan.all_programs():
        words += ["--bpf-program", str(program), str(path.resolve())]
    for number, source in enumerate(plan.accounts):
        # rewritten, since in dumps the rent epoch went through a float and is larger than a u64
        key, account = genesis.read_account(source)
        target = plan.folder / f"account{number}.json"
        fields = {
            "lamports": account.lamports,
            "data": [base64.b64encode(account.data).decode(), "base64"],
            "owner": str(account.owner),
            "executable": account.executable,
            "rentEpoch": account.rent_epoch,
            "space": len(account.data),
        }
        target.write_text(json.dumps({"pubkey": str(key), "account": fields}))
        words += ["--account", str(key), str(target)]
    return words
