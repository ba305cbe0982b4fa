"""The plan: ports, programs, and settings that do not fit a kind."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from solders.keypair import Keypair

from awm_crank.errors import ConfigError, SetupError
from awm_crank.localnet.kinds.plan import LocalnetPlan, Running, refuse
from awm_crank.wire import ids


def test_programs(tmp_path: Path) -> None:
    """The plan has the shipped programs, and the user's own in place of one with the same id."""
    other, mine = Keypair().pubkey(), tmp_path / "mine.so"
    plan = LocalnetPlan(folder=tmp_path, cache=tmp_path, programs=[(ids.WORLD, mine), (other, mine)])
    programs = dict(plan.all_programs())
    assert len(programs) == len(plan.all_programs()) == len(ids.PROGRAMS) + 1
    assert programs[ids.WORLD] == programs[other] == mine
    assert programs[ids.FRAME_LOG].name == "frame_log.so"
    bare = LocalnetPlan(folder=tmp_path, cache=tmp_path, bare=True, programs=[(other, mine)])
    assert bare.all_programs() == [(other, mine)]


def test_port(tmp_path: Path) -> None:
    """The port is the one that is named, if it and the next one are free; otherwise another free port."""
    assert LocalnetPlan(folder=tmp_path, cache=tmp_path, port=4242).first_port(2) == 4242
    assert LocalnetPlan(folder=tmp_path, cache=tmp_path).first_port(2) > 1023
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        for port in (taken, taken - 1):
            with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1, port {taken}"):
                LocalnetPlan(folder=tmp_path, cache=tmp_path, port=port).first_port(2)


def test_refuse(tmp_path: Path) -> None:
    """A setting that a kind cannot use is refused by its option's name."""
    plan = LocalnetPlan(folder=tmp_path, cache=tmp_path, executable=tmp_path / "x", resume=True, base="solana")
    refuse(plan, "it", "accounts", "slot_ms")
    for name, option in (("executable", "--validator"), ("resume", "--resume"), ("base", "--base")):
        with pytest.raises(ConfigError, match=f"{option} does not go with --kind it"):
            refuse(plan, "it", name)


class Stub:
    """A fake validator that may have ended."""

    def __init__(self, name: str, ended: list[str], status: int | None = None) -> None:
        self.name, self.ended, self.status = name, ended, status

    def failure(self, what: str) -> SetupError:
        return SetupError(f"{self.name} {what}")

    def stop(self) -> None:
        self.ended.append(self.name)


def test_running() -> None:
    """A validator that ended by itself is named, and all are stopped, the last one first."""
    ended: list[str] = []
    running = Running()
    running.at(5000)
    assert (running.http, running.base_ws) == ("http://127.0.0.1:5000", "ws://127.0.0.1:5001")
    running.add(Stub("base", ended))  # type: ignore[arg-type]
    running.check()
    running.add(Stub("rollup", ended, 1))  # type: ignore[arg-type]
    with pytest.raises(SetupError, match=r"rollup ended by itself"):
        running.check()
    running.stop()
    assert ended == ["rollup", "base"]
