"""Fuzzes the decoders with a number of inputs each, from a seed, and reports the results (docs/fuzzing.md).

    python tools/fuzz/run.py [--inputs N] [--seed N] [--only NAME] [--out FOLDER]
    python tools/fuzz/run.py --inputs 1000000 --tally build/fuzz/tally.json --seconds 600   # run it until all are done

An input that makes a decoder raise anything but its own errors, or take longer than a second, is a finding: it is
written to the folder, and the exit status is 1. Inputs that reach new lines join the corpus of their run.
"""

from __future__ import annotations

import argparse
import dis
import hashlib
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutate import mutated
from targets import Target, targets

import awm_crank

PACKAGE = Path(awm_crank.__file__).parent
SLOW_S = 1.0
TRACED = 3000
"""Inputs whose lines are traced: enough to see what is reached; tracing all would take ten times as long."""
MAX_CORPUS = 400
PART = 50_000
"""Inputs between two notes in a tally."""


class Coverage:
    """Records which lines of some files run while it is active."""

    def __init__(self, files: tuple[str, ...]) -> None:
        self._files = {str(PACKAGE / file) for file in files}
        self.lines: set[tuple[str, int]] = set()
        self.all = {(file, line) for file in self._files for line in _lines(Path(file))}

    def __enter__(self) -> None:
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def _lines(path: Path) -> set[int]:
    """The lines inside functions. Lines at module level have run already, at import."""
    found: set[int] = set()
    todo: list[CodeType] = [compile(path.read_text(), str(path), "exec")]
    while todo:
        code = todo.pop()
        inner = [const for const in code.co_consts if isinstance(const, CodeType)]
        todo += inner
        if code.co_flags & 0x02 and code.co_name != "<module>":
            found |= {line for _, line in dis.findlinestarts(code) if line and line != code.co_firstlineno}
    return found


class Result:
    """The result of fuzzing one decoder."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.taken = 0
        self.seconds = 0.0
        self.parts = 0
        """How many parts of a long run are in here."""
        self.refused: Counter[str] = Counter()
        self.findings: list[tuple[str, bytes]] = []
        self.coverage = Coverage(target.modules)

    @property
    def inputs(self) -> int:
        """How many inputs it got."""
        return self.taken + self.refused.total()

    def add(self, other: Result) -> None:
        """Adds what the same decoder did with further inputs."""
        self.taken += other.taken
        self.seconds += other.seconds
        self.parts += other.parts
        self.refused += other.refused
        self.findings += other.findings
        self.coverage.lines |= other.coverage.lines

    def line(self) -> str:
        """One row of the report."""
        refused = ", ".join(f"{name} {count:,}" for name, count in self.refused.most_common(3))
        reached, known = len(self.coverage.lines & self.coverage.all), len(self.coverage.all)
        return (
            f"{self.target.name:18} {self.inputs:>9,} inputs, {self.taken:,} taken; {refused or 'none refused'}; "
            f"{reached} of {known} lines ({100 * reached // max(known, 1)} %); {self.seconds:.0f} s"
        )

    def saved(self) -> dict[str, Any]:
        """What a tally keeps, as JSON."""
        lines = sorted([str(Path(file).relative_to(PACKAGE)), line] for file, line in self.coverage.lines)
        return {
            "taken": self.taken, "seconds": self.seconds, "parts": self.parts, "refused": self.refused, "lines": lines,
        }  # fmt: skip

    @classmethod
    def loaded(cls, target: Target, kept: dict[str, Any]) -> Result:
        """What an earlier run of the same decoder left in a tally."""
        result = cls(target)
        result.taken, result.seconds, result.parts = kept["taken"], kept["seconds"], kept["parts"]
        result.refused.update(kept["refused"])
        result.coverage.lines = {(str(PACKAGE / file), line) for file, line in kept["lines"]}
        return result


def in_parts(target: Target, inputs: int, seed: int, tally: Path, seconds: float) -> Result:
    """Goes on with a long run until its inputs are done or the time is up, and keeps its place in a file.

    The n-th part of a decoder has the same inputs in every run.
    """
    kept = json.loads(tally.read_text()) if tally.exists() else {}
    result = Result.loaded(target, kept[target.name]) if target.name in kept else Result(target)
    began = time.monotonic()
    while result.inputs < inputs and time.monotonic() < began + seconds and not result.findings:
        part = fuzz(target, min(PART, inputs - result.inputs), f"{seed}.{result.parts}")
        result.add(part)
        kept[target.name] = result.saved()
        tally.parent.mkdir(parents=True, exist_ok=True)
        tally.write_text(json.dumps(kept))
    return result


def fuzz(target: Target, inputs: int, seed: int | str) -> Result:
    """Runs a decoder on its seeds, and then on this many mutated inputs."""
    result, draw = Result(target), random.Random(f"{seed}:{target.name}")
    corpus, began = list(target.seeds), time.monotonic()
    for number in range(inputs):
        data = corpus[number] if number < len(target.seeds) else mutated(draw.choice(corpus), corpus, draw)
        if target.repair is not None and draw.random() < 0.9:
            data = target.repair(data)
        known = len(result.coverage.lines)
        if number < TRACED:
            with result.coverage:
                _give(result, data)
            if len(result.coverage.lines) > known and len(corpus) < MAX_CORPUS and len(data) < 1 << 20:
                corpus.append(data)
        else:
            _give(result, data)
    result.parts, result.seconds = 1, time.monotonic() - began
    return result


def _give(result: Result, data: bytes) -> None:
    # the processor's time: on a busy machine the clock says little about an input
    began = time.process_time()
    try:
        result.target.read(data)
        result.taken += 1
    except result.target.may_raise as error:
        result.refused[type(error).__name__] += 1
    except Exception as error:
        result.refused["FINDING"] += 1
        result.findings.append((f"{type(error).__name__}: {error}"[:200], data))
    if time.process_time() - began > SLOW_S * (20 if sys.gettrace() else 1):
        result.findings.append((f"took {time.process_time() - began:.1f} s", data))


def main(arguments: list[str]) -> int:
    """The command. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Fuzzes the decoders.")
    parser.add_argument("--inputs", type=int, default=20_000, help="inputs for each decoder (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed gives the same inputs (default: %(default)s)"
    )
    parser.add_argument("--only", default="", help="the decoders whose name has this in it")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="where findings go (default: %(default)s)")
    parser.add_argument("--tally", type=Path, help="a file that keeps what was done, so that a later run goes on")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="the most for each decoder, with --tally")
    args = parser.parse_args(arguments)
    status = 0
    for target in targets():
        if args.only not in target.name:
            continue
        inputs = max(1, round(args.inputs * target.share))
        if args.tally is None:
            result = fuzz(target, inputs, args.seed)
        else:
            result = in_parts(target, inputs, args.seed, args.tally, args.seconds)
        print(result.line(), flush=True)
        for problem, data in result.findings[:5]:
            status = 1
            args.out.mkdir(parents=True, exist_ok=True)
            path = args.out / f"{target.name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"  FINDING {problem} ({len(data)} bytes in {path})", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
