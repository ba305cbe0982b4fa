"""Healthy and ready are two different things."""

from __future__ import annotations

from awm_crank.telemetry.health import PATIENCE_NS, STALLED_NS, Health, summary

TURN = 250_000_000


def test_frame_unattempted_for_a_second() -> None:
    """A frame that stays due for a second is a problem, until it is attempted."""
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
    """If a frame is due at every check, but a different one each time, the crank is healthy."""
    health = Health(0)
    for turn in range(40):
        health.turned(turn * TURN, {"one": turn, "two": turn // 2}, "", {})
        assert health.problems(turn * TURN) == []


def test_lost_endpoint_is_healthy() -> None:
    """A crank that is not ready, for however long, is still healthy."""
    health = Health(0)
    for turn in range(100):
        health.turned(turn * TURN, {}, "not connected", {})
    assert health.problems(100 * TURN) == []
    assert health.unready == "not connected"


def test_stalled_loop() -> None:
    """A loop that does not turn is a problem, which an observer outside the loop can see."""
    health = Health(0)
    health.turned(TURN, {}, "", {})
    assert health.problems(TURN + STALLED_NS) == []
    assert "has not turned" in health.problems(TURN + STALLED_NS + 1)[0]


def test_summary() -> None:
    """The summary lists the first problems and how many more there are."""
    assert summary([]) == ""
    assert summary(["a", "b"]) == "a; b"
    assert summary(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
