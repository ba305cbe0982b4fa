"""Log lines."""

from __future__ import annotations

import io
import json

import pytest

from awm_crank.telemetry import logs


def lines(level: str) -> list[dict[str, object]]:
    """What four levels of lines leave at a level."""
    out = io.StringIO()
    logs.configure(level, out)
    log = logs.get().bind(session="abc")
    log.debug("one", frame=1)
    log.info("two", problem=ValueError("x"))
    log.warning("three")
    log.error("four")
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: str, count: int) -> None:
    """Lines below the level are not written."""
    assert len(lines(level)) == count


def test_fields() -> None:
    """A line is JSON with time, level, event, what was bound and what was given; odd values become text."""
    one, two, *_ = lines("debug")
    assert list(one)[:3] == ["at", "level", "event"]
    assert (one["level"], one["event"], one["session"], one["frame"]) == ("debug", "one", "abc", 1)
    assert two["problem"] == "x"
