"""The live view shows where the fighters are and what the timing says."""

from __future__ import annotations

import io
import subprocess

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from awm_crank.demo.view import DrawnFighter, Picture, draw_stage, render
from awm_crank.launch import own_command


def picture(left: DrawnFighter | None = None, right: DrawnFighter | None = None, **fields: object) -> Picture:
    """A picture of the start position, with changes."""
    values: dict[str, object] = {
        "match": 1, "seed": 7, "session": "So11111111111111111111111111111111111111112", "frame": 12, "done": 12,
        "wanted": 600, "ground": 85.57,
        "fighters": (left or DrawnFighter(-30, 0, 0, 4, 1, 14), right or DrawnFighter(30, 0, 42, 3, 0, 44)),
    }  # fmt: skip
    return msgspec.convert(values | fields, Picture)


def drawn(shown: Picture, columns: int = 80) -> str:
    """The view as plain text."""
    console = Console(file=io.StringIO(), width=columns, force_terminal=False)
    console.print(render(shown, columns))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_fighters_stand_on_the_ground_facing_each_other() -> None:
    """At the start both fighters are on the line above the ground, player 1 left and player 2 right, facing
    each other.
    """
    lines = draw_stage(picture(), 60).plain.split("\n")
    (line,) = [line for line in lines if "1" in line]
    assert "1▸" in line
    assert "◂2" in line
    assert line.index("1") < line.index("2")
    assert "━" in lines[lines.index(line) + 1]


def test_a_jump_is_seen() -> None:
    """A fighter in the air is drawn on a higher line than one on the ground."""
    lines = draw_stage(picture(left=DrawnFighter(-30, 60, 0, 4, 1, 25)), 60).plain.split("\n")
    rows = {n: row for row, line in enumerate(lines) for n in "12" if n in line}
    assert rows["1"] < rows["2"]


@given(
    x=st.floats(-300, 300), y=st.floats(-200, 300), columns=st.integers(34, 120), facing=st.integers(0, 1),
)  # fmt: skip
def test_picture_keeps_its_size(x: float, y: float, columns: int, facing: int) -> None:
    """Wherever a fighter is, the stage keeps its size and the other fighter stays in it."""
    lines = draw_stage(picture(left=DrawnFighter(x, y, 0, 4, facing, 0)), columns).plain.split("\n")
    assert {len(line) for line in lines} == {columns}
    assert "2" in "".join(lines)


def test_view_names_everything() -> None:
    """Percent, stocks, actions, frame rate, latency and the counts are all on the screen."""
    text = drawn(picture(fps=59.9, last_ms=3.14, p50_ms=2.5, p99_ms=7.5, on_time=11, late=1, missed=2))
    fighters = ("42 %", "●●●○", "jab", "wait")
    timing = ("59.9", "3.1", "p99 7.5", "on time 11", "late 1", "missed ticks 2", "12 of 600")
    assert [shown for shown in fighters + timing if shown not in text] == []


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_view_fits_the_terminal(columns: int) -> None:
    """No line is wider than the terminal."""
    assert max(len(line) for line in drawn(picture(), columns).splitlines()) <= columns


def test_process_draws_the_last_snapshot_and_ends() -> None:
    """The view's process draws the last snapshot that it was sent, and ends with its input."""
    lines = b"".join(msgspec.json.encode(picture(done=done)) + b"\n" for done in (1, 2, 3))
    ended = subprocess.run(own_command("awm_crank.demo.view"), input=lines, capture_output=True, timeout=60, check=True)
    assert "3 of 600" in ended.stdout.decode()
