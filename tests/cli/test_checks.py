"""`doctor` reports each thing that is right, and each that is wrong with its fix."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from telemetry.broker import Broker

from awm_crank.cli import checks
from awm_crank.cli.checks import Finding, examine, programs
from awm_crank.client.keys import write_keypair
from awm_crank.config import text
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.viewer import PageServer
from awm_crank.wire import ids

PROGRAMS = Path(checks.__file__).parents[2] / "localnet" / "programs"


@pytest.fixture(scope="module")
def net() -> Iterator[EmbeddedLocalnet]:
    """One localnet for all tests."""
    with EmbeddedLocalnet() as running:
        yield running


class Patient:
    """A configuration in a folder, with a funded key. `examine` returns the findings by subject."""

    def __init__(self, folder: Path, net: EmbeddedLocalnet) -> None:
        self.folder = folder
        self.path = folder / "crank.toml"
        self.key = net.funded()
        write_keypair(folder / "crank.json", self.key)
        self.tables: dict[str, dict[str, Any]] = {"chain": {"base_http": net.http, "rollup_ws": net.ws}}

    def set(self, table: str, **values: Any) -> Patient:
        """Changes settings."""
        self.tables.setdefault(table, {}).update(values)
        return self

    async def examine(self, **options: Any) -> dict[str, list[Finding]]:
        """The findings by subject."""
        lines = []
        for table, values in self.tables.items():
            lines += [f"[{table}]", *(f"{name} = {text.toml(value)}" for name, value in values.items())]
        self.path.write_text("\n".join(lines) + "\n")
        found: dict[str, list[Finding]] = {}
        for finding in await examine(self.path, **options):
            found.setdefault(finding.what, []).append(finding)
        return found


@pytest.fixture
def patient(tmp_path: Path, net: EmbeddedLocalnet) -> Patient:
    """A configuration in which everything is right."""
    return Patient(tmp_path, net)


def wrong(found: dict[str, list[Finding]]) -> dict[str, str]:
    """The wrong findings with their fixes; every one has a fix."""
    faults = {what: check.fix for what, all_of_it in found.items() for check in all_of_it if check.verdict == "wrong"}
    assert all(faults.values())
    return faults


async def test_all_well(patient: Patient, tmp_path: Path) -> None:
    """On a localnet only the world is missing; versions, key, balance, programs and cartridge are reported."""
    made = cartridge(SHAPES["tiny"], 1)
    (tmp_path / "c.awm").write_bytes(made.data)
    found = await patient.examine(cartridge=str(tmp_path / "c.awm"), write=(tmp_path / "stats.json",))
    assert wrong(found) == {"world": "set chain.world, or publish a model, which also makes a world"}
    assert str(patient.key.pubkey()) in found["key"][0].found
    assert found["balance"][0].found == "1,000 SOL"
    assert found["programs"][0].found.startswith("11 of 11")
    assert made.sha256.hex()[:16] in found["cartridge"][0].found
    assert "a step takes" in found["cartridge"][0].found
    assert "awm-crank 0.1.0" in found["versions"][0].found
    assert found["websocket"][0].verdict == found["clock"][0].verdict == found["write"][0].verdict == "ok"


async def test_no_configuration(tmp_path: Path) -> None:
    """Without a configuration nothing else is examined."""
    found = await examine(tmp_path / "none.toml")
    assert [check.what for check in found] == ["versions", "config"]
    assert found[1].verdict == "wrong"
    assert "--config" in found[1].fix


async def test_key(patient: Patient, tmp_path: Path) -> None:
    """A key file that is open to others, and a key without lamports, are reported."""
    (tmp_path / "crank.json").chmod(0o644)
    found = await patient.examine()
    assert wrong(found)["key"].startswith("chmod 600")
    assert "balance" not in found
    poor = Keypair()
    write_keypair(tmp_path / "poor.json", poor)
    fix = wrong(await patient.examine(keypair=tmp_path / "poor.json"))["balance"]
    assert str(poor.pubkey()) in fix


async def test_little_left(patient: Patient, net: EmbeddedLocalnet, tmp_path: Path) -> None:
    """Less than a tenth of a SOL is a warning."""
    write_keypair(tmp_path / "low.json", net.funded(50_000_000))
    found = await patient.examine(keypair=tmp_path / "low.json")
    assert (found["balance"][0].verdict, "balance" in wrong(found)) == ("warn", False)


async def test_endpoints_gone(patient: Patient) -> None:
    """Endpoints that do not answer are named with their settings, and nothing is guessed about their chains."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
        patient.set("chain", base_http=dead, rollup_http=dead, rollup_ws=dead.replace("http", "ws"))
        found = await patient.examine()
    faults = wrong(found)
    assert "chain.base_http" in faults["base"]
    assert "chain.rollup_ws" in faults["websocket"]
    assert not {"balance", "world", "programs", "clock"} & set(found)


async def test_rollup_beside_base(patient: Patient, net: EmbeddedLocalnet) -> None:
    """With a rollup, both endpoints are examined."""
    patient.set("chain", rollup_http=net.http + "/")
    found = await patient.examine()
    assert found["base"][0].verdict == found["rollup"][0].verdict == "ok"
    assert [check.verdict for check in found["programs"]] == ["ok", "ok"]


async def test_world_of_another_interface(tmp_path: Path) -> None:
    """A World of BOLT's development branch is wrong, and the finding names that branch."""
    binary = tmp_path / "world.so"
    binary.write_bytes((PROGRAMS / "world.so").read_bytes() + b"cpi_auth")
    async with EmbeddedLocalnet("--bare", "--program", str(ids.WORLD), str(binary)) as net:
        found = [check async for check in programs.programs(net.http)]
    assert (found[0].verdict, "BOLT's development branch (cpi_auth)" in found[0].found) == ("wrong", True)


async def test_other_programs(tmp_path: Path) -> None:
    """A program that is missing or has other bytes fails the check. A World with other bytes is only a warning, since
    anyone may have rebuilt it.
    """
    changed = bytearray((PROGRAMS / "frame_log.so").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "changed.so").write_bytes(changed)
    world = (PROGRAMS / "world.so").read_bytes()
    (tmp_path / "world.so").write_bytes(world + b"x")
    options = ["--bare"]
    for name, key in ids.PROGRAMS.items():
        file = {"frame_log": tmp_path / "changed.so", "world": tmp_path / "world.so"}.get(name, PROGRAMS / f"{name}.so")
        if name != "submit_input":
            options += ["--program", str(key), str(file)]
    with EmbeddedLocalnet(*options) as net:
        found = await Patient(tmp_path, net).examine()
    texts = {check.found.split()[0]: check.verdict for check in found["programs"]}
    assert texts == {"submit_input": "wrong", "frame_log": "wrong", "world": "warn", "8": "ok"}
    assert all(check.fix for check in found["programs"] if check.verdict != "ok")


async def test_clock(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a minute off is a warning."""
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 60)
    (clock,) = (await patient.examine())["clock"]
    assert clock.verdict == "warn"
    assert clock.found.startswith("+")


async def test_cartridge(patient: Patient, tmp_path: Path) -> None:
    """A damaged cartridge file, and an address without a model, are reported."""
    data = bytearray(cartridge(SHAPES["tiny"], 1).data)
    data[-1] ^= 1
    (tmp_path / "c.awm").write_bytes(data)
    for wanted in (str(tmp_path / "c.awm"), str(Keypair().pubkey()), "no file and no address"):
        assert "cartridge" in wrong(await patient.examine(cartridge=wanted))


async def test_engine(patient: Patient) -> None:
    """An engine that cannot run is wrong, and the reference engine is a warning."""
    found = await patient.set("engine", path="none").examine()
    assert "engine" in wrong(found)
    found = await patient.set("engine", kernel="reference", path="auto").examine()
    assert found["engine"][0].verdict == "warn"


async def test_write(patient: Patient, tmp_path: Path) -> None:
    """A folder that does not exist is wrong."""
    fault = wrong(await patient.examine(write=(tmp_path / "none" / "stats.json",)))["write"]
    assert fault.startswith("mkdir")


async def test_telemetry_address(patient: Patient) -> None:
    """A telemetry port that is in use is wrong, and a free one is right."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "telemetry.listen" in wrong(await patient.set("telemetry", listen=listen).examine())["telemetry"]
    assert "is free" in (await patient.examine())["telemetry"][0].found


async def test_broker(patient: Patient, tmp_path: Path) -> None:
    """A broker is examined when it answers, when it refuses, and when it is missing."""
    folder = tmp_path / "broker"
    folder.mkdir()
    (tmp_path / "password").write_text("wrong")
    with Broker(folder, user=("crank", "right")) as broker:
        patient.set("mqtt", url=broker.url, username="crank", password_file="password")
        assert "mqtt" in wrong(await patient.examine())
        (tmp_path / "password").write_text("right")
        assert (await patient.examine())["mqtt"][0].verdict == "ok"
    assert "mqtt" in wrong(await patient.examine())


async def test_view(patient: Patient) -> None:
    """The view is examined when off, free, taken, served already, open to others, and without a WebSocket endpoint."""
    assert (await patient.examine())["view"][0].found == "off (view.enabled is false)"
    patient.set("view", enabled=True, page_port=0, feed_port=0)
    assert (await patient.examine())["view"][0].verdict == "ok"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = await patient.set("view", feed_port=taken.getsockname()[1]).examine()
        assert (found["view"][0].verdict, "[view]" in found["view"][0].fix) == ("warn", True)
    async with PageServer(rpc="http://127.0.0.1:8899", ws="ws://127.0.0.1:8900", port=0) as page:
        found = await patient.set("view", page_port=int(page.url.rstrip("/").rpartition(":")[2])).examine()
        assert found["view"][0].found.startswith("a page answers at 127.0.0.1")
    found = await patient.set("view", host="0.0.0.0", page_port=0, feed_port=0).examine()
    assert (found["view"][0].verdict, "protect it" in found["view"][0].fix) == ("warn", True)
    assert wrong(await patient.set("view", rpc="https://seen").examine())["view"] == "set view.ws"
