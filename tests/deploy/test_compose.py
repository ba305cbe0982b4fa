"""docker-compose.yml is valid, and comes up on this machine unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.machine import ROOT, Image, Machine, load
from localnet.kinds.validators import CACHE

COMPOSE = ROOT / "docker-compose.yml"
OPERATOR = ROOT / "deploy" / "compose" / "operator.yml"
BIN = Path(sys.executable).parent
FILLED = {"cache": CACHE}
"""The files that the validators are prepared from, once for all tests."""


def get(url: str) -> Any:
    """The JSON at an address."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def metric(address: str, name: str) -> float:
    """A crank's metric without labels."""
    with urllib.request.urlopen(f"http://{address}:9464/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(found)


def until(condition: Any, seconds: float, machine: Machine) -> None:
    """Waits until a condition of the services holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, {name: machine.services[name].log[-1500:] for name in machine.order}
        time.sleep(0.1)


@pytest.mark.parametrize("files", [(COMPOSE,), (COMPOSE, OPERATOR)], ids=["arena", "operator"])
def test_schema(files: tuple[Path, ...], tmp_path: Path) -> None:
    """The file satisfies the Compose specification's schema, alone and with the operator's file."""
    merged = tmp_path / "compose.yml"
    merged.write_text(yaml.safe_dump(load(*files)))
    words = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(merged)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_profiles() -> None:
    """Without a profile the arena and the crank start; observers and players need theirs."""
    services = load(COMPOSE)["services"]
    by_profile: dict[str, set[str]] = {}
    for name, spec in services.items():
        by_profile.setdefault((spec.get("profiles") or [""])[0], set()).add(name)
    assert by_profile[""] == {"base", "rollup", "mosquitto", "crank"}
    assert by_profile["observe"] == {"prometheus", "grafana"}
    assert by_profile["demo"] == {"players", "page"}


def test_up_waits_for_what_can_be_healthy() -> None:
    """`up --wait` can end, since each of our services has its own health check.

    The image's check asks for a crank, and `--wait` refuses a check that is disabled. The file asks for no limit that
    an engine without privileges cannot give.
    """
    for name, spec in load(COMPOSE)["services"].items():
        assert "ulimits" not in spec, name
        if spec["image"].startswith("awm-"):
            assert spec["healthcheck"]["test"][0] == "CMD", name


def test_nothing_is_open_to_the_network() -> None:
    """Ports are published on this machine's loopback only, and our containers have no privileges."""
    for files in ((COMPOSE,), (COMPOSE, OPERATOR)):
        for name, spec in load(*files)["services"].items():
            assert all(port.startswith("127.0.0.1:") for port in spec.get("ports", [])), name
            if spec["image"] in ("awm-crank", "awm-localnet"):
                assert not spec.get("privileged"), name
    crank = load(COMPOSE)["services"]["crank"]
    assert (crank["cap_drop"], crank["read_only"]) == (["ALL"], True)


def test_operator_gets_the_crank_alone() -> None:
    """With the operator's file, the crank waits for nothing; the operator's two files and the journal are mounted."""
    crank = load(COMPOSE, OPERATOR)["services"]["crank"]
    assert "depends_on" not in crank
    assert [mount.removesuffix(":ro").split(":")[-1] for mount in crank["volumes"]] == [
        "/etc/awm-crank/awm-crank.toml", "/etc/awm-crank/crank.json", "/var/lib/awm-crank"
    ]  # fmt: skip


def test_up_and_down(image: Image, tmp_path: Path) -> None:
    """Chain, rollup, broker and crank start in order, a match is played and settles, and all end with status 0."""
    with Machine(load(COMPOSE), image, tmp_path, 31, FILLED) as machine:
        crank = machine.up("crank")
        machine.wait_healthy("crank")
        assert machine.order == ["base", "rollup", "mosquitto", "crank"]
        for dependency in ("base", "rollup", "mosquitto"):
            assert machine.services[dependency].healthy_at <= crank.started_at
        assert metric(crank.address, "awm_mqtt_connected") == 1
        players, page = machine.up("players"), machine.up("page")
        machine.wait_healthy("page")
        machine.wait_healthy("players")
        told = get(f"http://{page.address}:8766/contract.json")["defaults"]
        assert told["rpc"] == f"http://{machine.services['rollup'].address}:7799"
        until(lambda: metric(crank.address, "awm_frames_total") > 60, 60, machine)
        until(lambda: "600 frames, settled on the base chain" in players.log, 60, machine)
        assert metric(crank.address, "awm_balance_lamports") > 1e9
        assert metric(crank.address, "awm_mqtt_published_total") > 10
        assert get(f"http://{crank.address}:9464/healthz")["ok"]
        statuses = machine.down()
    assert statuses["crank"] == 0
    assert '"event":"stopped"' in crank.log
    assert statuses["base"] == statuses["rollup"] == 0


def test_observers(image: Image, tmp_path: Path) -> None:
    """Prometheus scrapes the crank and has its rules, and it answers every query of the dashboard."""
    with Machine(load(COMPOSE), image, tmp_path, 32, FILLED) as machine:
        machine.up("prometheus")
        machine.wait_healthy("prometheus")
        base = f"http://{machine.services['prometheus'].address}:9090/api/v1"

        def query(text: str) -> list[Any]:
            found = get(f"{base}/query?query={urllib.parse.quote(text)}")
            assert found["status"] == "success"
            return list(found["data"]["result"])

        until(lambda: [sample["value"][1] for sample in query('up{job="awm-crank"}')] == ["1"], 60, machine)
        until(lambda: query("awm_ready"), 30, machine)
        rules = [rule["name"] for group in get(f"{base}/rules")["data"]["groups"] for rule in group["rules"]]
        assert "AwmCrankDown" in rules
        board = json.loads((ROOT / "deploy/grafana/dashboards/awm-crank.json").read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                query(target["expr"].replace("$instance", ".*"))


def test_breaking_the_order_is_noticed(image: Image, tmp_path: Path) -> None:
    """Without its dependencies the crank does not become ready, since the chain makes its key."""
    compose = load(COMPOSE)
    del compose["services"]["crank"]["depends_on"]
    with Machine(compose, image, tmp_path, 33, FILLED) as machine:
        machine.up("crank")
        with pytest.raises(AssertionError, match="crank ended"):
            machine.wait_healthy("crank")


def test_grafana_finds_its_files() -> None:
    """Grafana's provisioning points to the dashboard and to the Prometheus of the same file."""
    services = load(COMPOSE)["services"]
    mounts = {mount.split(":")[1]: ROOT / mount.split(":")[0] for mount in services["grafana"]["volumes"]}
    provisioning = mounts["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "awm.yml").read_text())["providers"]
    assert (mounts[provider["options"]["path"]] / "awm-crank.json").is_file()
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/awm-crank.json"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
