"""promtool checks and unit-tests the alert rules, which use existing metrics and have a runbook section each."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml
from deploy.machine import ROOT
from prometheus_client.parser import text_string_to_metric_families
from telemetry.observed import Crank

from awm_crank.telemetry.metrics import Metrics
from awm_crank.telemetry.stats import Gauges

FOLDER = ROOT / "deploy" / "prometheus"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
TESTS = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
PROMETHEUS_OWN = {"up"}


def exported() -> set[str]:
    """Every sample name that a crank can export."""
    names = set()
    for family in text_string_to_metric_families(Metrics(Crank(), Gauges()).render().decode()):
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + ending for ending in endings}
    return names


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    return set(re.findall(r"\b(?:awm|process|up)(?:_\w+)?\b(?=[\[{ )]|$)", re.sub(r'"[^"]*"', '""', expression)))


def test_promtool_checks() -> None:
    """Configuration and rules are valid."""
    done = subprocess.run(
        ["promtool", "check", "config", "--lint=all", str(FOLDER / "prometheus.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_unit_tests() -> None:
    """Every rule fires where it should, with its text, and is silent where nothing is wrong."""
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts.test.yml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rule(rule: dict[str, str]) -> None:
    """A rule has tests for firing and for silence, reads metrics that exist, and has its section in the runbook."""
    cases = [case for test in TESTS for case in test["alert_rule_test"] if case["alertname"] == rule["alert"]]
    assert any(case["exp_alerts"] for case in cases)
    assert any(not case["exp_alerts"] for case in cases)
    read = metrics_in(rule["expr"])
    assert read
    assert read <= exported() | PROMETHEUS_OWN
    assert f"\n### {rule['alert']}\n" in (ROOT / "docs" / "runbook.md").read_text()


def test_runbook_has_no_other_alerts() -> None:
    """The runbook has no section for an alert that does not exist."""
    sections = re.findall(r"^### (Awm\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]
