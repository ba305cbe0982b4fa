"""A short run of the fuzzer finds nothing in any decoder, and finds what it should find."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "fuzz"))

import run
from mutate import mutated
from targets import Target, targets

TARGETS = {target.name: target for target in targets()}


@pytest.mark.parametrize("name", TARGETS)
def test_decoder(name: str) -> None:
    """Each decoder accepts some of several hundred changed inputs, and refuses others with its own errors."""
    result = run.fuzz(TARGETS[name], 400, seed=7)
    assert result.findings == []
    assert result.taken > 0
    assert result.taken + result.refused.total() == 400
    assert result.coverage.lines
    assert f"{name} " in result.line()


def test_seeds_are_taken() -> None:
    """Each decoder accepts most of its seeds, because a fuzzer that starts with nonsense reaches nothing."""
    for target in TARGETS.values():
        result = run.fuzz(target, len(target.seeds), seed=1)
        assert result.taken * 2 >= len(target.seeds), target.name


def test_same_seed_same_inputs() -> None:
    """Two runs with the same seed are equal, and another seed differs."""
    seeds = [b'{"a": [1, {"b": null}]}', bytes(100)]

    def inputs(seed: int) -> list[bytes]:
        draw = random.Random(seed)
        return [mutated(draw.choice(seeds), seeds, draw) for _ in range(200)]

    assert inputs(1) == inputs(1) != inputs(2)
    assert len(set(inputs(1))) > 150


def test_finding_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A decoder that lets another error out fails the run, and the input is kept."""

    def broken(data: bytes) -> None:
        if b"x" in data:
            raise KeyError("oh")

    monkeypatch.setattr(run, "targets", lambda: [Target("broken", broken, [b"x"], ())])
    assert run.main(["--inputs", "50", "--out", str(tmp_path)]) == 1
    assert "FINDING KeyError: 'oh'" in capsys.readouterr().out
    assert any(b"x" in path.read_bytes() for path in tmp_path.iterdir())
    monkeypatch.setattr(run, "targets", lambda: [Target("whole", lambda data: data, [b"x"], ())])
    assert run.main(["--inputs", "50", "--out", str(tmp_path)]) == 0


def test_long_run_goes_on(tmp_path: Path) -> None:
    """A run with a tally goes on where the last one stopped, and stops at once when its inputs are done."""
    given: list[bytes] = []
    target = Target("kept", given.append, [b"x"], ("wire/codec.py",))
    tally = tmp_path / "tally.json"
    assert run.in_parts(target, 100, 1, tally, 60).inputs == 100
    first = list(given)
    assert run.in_parts(target, 250, 1, tally, 60).inputs == 250
    assert len(given) == 250
    # the second part has inputs of its own
    assert given[100:200] != first
    assert run.in_parts(target, 250, 1, tally, 60).parts == 2
    assert len(given) == 250
