"""The dashboard queries only metrics that exist, and every metric."""

from __future__ import annotations

import json
from typing import Any

from deploy.machine import ROOT
from deploy.test_prometheus import exported, metrics_in

BOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "awm-crank.json").read_text())


def expressions() -> list[str]:
    """Every query of every panel."""
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def test_metrics_exist() -> None:
    """A panel reads at least one metric, and only metrics that a crank exports."""
    for expression in expressions():
        read = metrics_in(expression)
        assert read, expression
        assert read <= exported(), expression


def test_nothing_is_left_out() -> None:
    """Every metric of the crank is on the dashboard."""
    shown = set().union(*(metrics_in(expression) for expression in expressions()))
    ours = {name for name in exported() if name.startswith("awm_")}
    ours -= {name for name in ours if name.endswith(("_sum", "_count"))}
    assert ours <= shown


def test_layout() -> None:
    """Panels have their own ids, do not overlap, and stay within the grid; every query uses the variable."""
    cells: set[tuple[int, int]] = set()
    ids: list[Any] = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= mine
    assert all('instance=~"$instance"' in expression for expression in expressions())


def test_data_source_is_chosen() -> None:
    """Every panel and the variables use the data source that the user selects; the file names none."""
    source, *others = BOARD["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${" + source["name"] + "}"}
    assert all(part["datasource"] == chosen for part in [*BOARD["panels"], *others])
    assert not any("datasource" in target for panel in BOARD["panels"] for target in panel["targets"])
