"""The summary of a demo over all its matches, as JSON and for people."""

from __future__ import annotations

import msgspec

from awm_crank.demo.accounting import Tally, percentile


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from the later of (tick due, last input notified) to the frame's notification."""

    p50: float
    p99: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts cover all matches. `session`, `final_state_sha256` and `match_file` belong to the last one."""

    frames: int
    on_time: int
    late: int
    missed: int
    latency_ms: Latency
    session: str
    final_state_sha256: str
    match_file: str
    wanted: int
    """frames that were asked for"""
    in_order: bool
    """the observer saw every frame, in order within its match, and never lost its connection"""
    faults: tuple[str, ...]
    matches: int
    seed: int
    """the last match's"""
    play_s: float
    """seconds from t0 to the last frame, of all matches together"""
    fps: float
    cartridge_sha256: str

    @property
    def passed(self) -> bool:
        """Whether all frames landed in order. The exit status follows it."""
        return self.in_order and self.frames == self.wanted and not self.faults


def latency_of(tally: Tally) -> Latency:
    """Median and 99th percentile in milliseconds, rounded to the microsecond."""
    return Latency(*(round(percentile(tally.latencies_s, fraction) * 1e3, 3) for fraction in (0.5, 0.99)))


def as_text(summary: Summary) -> str:
    """The summary for people."""
    verdict = "all frames landed, in order" if summary.passed else "NOT all frames landed in order"
    lines = [
        f"{summary.frames} of {summary.wanted} frames: {verdict}",
        f"  on time {summary.on_time}, late {summary.late}, missed ticks {summary.missed}",
        f"  latency p50 {summary.latency_ms.p50:.2f} ms, p99 {summary.latency_ms.p99:.2f} ms",
        f"  {summary.play_s:.2f} s of play, {summary.fps:.2f} frames/s",
        f"  session {summary.session}, seed {summary.seed}, match {summary.matches}",
        f"  final state {summary.final_state_sha256}",
        f"  match file {summary.match_file}",
    ]
    return "\n".join(lines + [f"  fault: {fault}" for fault in summary.faults])
