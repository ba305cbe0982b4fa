"""Healthy and ready are two things."""

from __future__ import annotations

from awm_crank.telemetry.health import PATIENCE_NS, STALLED_NS, Health, summary

TURN = 250_000_000


def test_frame_unattempted_for_a_second() -> None:
    """A frame that stays due becomes a problem after a second, and is none any more once attempted."""
    health = Health(0)
    for now in range(0, PATIENCE_NS, TURN):
        health.turned(now, {"one": 5}, "", {})
        assert health.problems(now) == []
    health.turned(PATIENCE_NS, {"one": 5}, "", {})
    (problem,) = health.problems(PATIENCE_NS)
    assert "one" in problem
    assert "frame 5" in problem
    assert health.oldest_due_s(PATIENCE_NS) == 1.0
    health.turned(PATIENCE_NS + TURN, {}, "", {})
    assert health.problems(PATIENCE_NS + TURN) == []
    assert health.oldest_due_s(PATIENCE_NS + TURN) == 0


def test_frame_after_frame_is_healthy() -> None:
    """Finding a frame due at every look is no problem while it is another one each time."""
    health = Health(0)
    for turn in range(40):
        health.turned(turn * TURN, {"one": turn, "two": turn // 2}, "", {})
        assert health.problems(turn * TURN) == []


def test_lost_endpoint_is_healthy() -> None:
    """Not being ready, for however long, is not being unhealthy."""
    health = Health(0)
    for turn in range(100):
        health.turned(turn * TURN, {}, "not connected", {})
    assert health.problems(100 * TURN) == []
    assert health.unready == "not connected"


def test_stalled_loop() -> None:
    """A loop that does not turn is a problem, for whoever looks from outside of it."""
    health = Health(0)
    health.turned(TURN, {}, "", {})
    assert health.problems(TURN + STALLED_NS) == []
    assert "has not turned" in health.problems(TURN + STALLED_NS + 1)[0]


def test_summary() -> None:
    """Some of many problems, and how many more."""
    assert summary([]) == ""
    assert summary(["a", "b"]) == "a; b"
    assert summary(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
