"""Fuzzes the decoders with a number of inputs each, from a seed, and reports the results (docs/fuzzing.md).

    python tools/fuzz/run.py [--inputs N] [--seed N] [--only NAME] [--out FOLDER]

An input that makes a decoder raise anything but its own errors, or take longer than a second, is a finding: it is
written to the folder, and the exit status is 1. Inputs that reach new lines join the corpus of their run.
"""

from __future__ import annotations

import argparse
import dis
import hashlib
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
        self.refused: Counter[str] = Counter()
        self.findings: list[tuple[str, bytes]] = []
        self.coverage = Coverage(target.modules)

    def line(self) -> str:
        """One row of the report."""
        inputs = self.taken + self.refused.total()
        refused = ", ".join(f"{name} {count:,}" for name, count in self.refused.most_common(3))
        reached = f"{len(self.coverage.lines & self.coverage.all)} of {len(self.coverage.all)} lines"
        return (
            f"{self.target.name:18} {inputs:>9,} inputs, {self.taken:,} taken; {refused or 'none refused'}; {reached}"
        )


def fuzz(target: Target, inputs: int, seed: int) -> Result:
    """Runs a decoder on its seeds, and then on this many mutated inputs."""
    result, draw = Result(target), random.Random(f"{seed}:{target.name}")
    corpus = list(target.seeds)
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
    return result


def _give(result: Result, data: bytes) -> None:
    began = time.perf_counter()
    try:
        result.target.read(data)
        result.taken += 1
    except result.target.may_raise as error:
        result.refused[type(error).__name__] += 1
    except Exception as error:
        result.refused["FINDING"] += 1
        result.findings.append((f"{type(error).__name__}: {error}"[:200], data))
    if time.perf_counter() - began > SLOW_S * (20 if sys.gettrace() else 1):
        result.findings.append((f"took {time.perf_counter() - began:.1f} s", data))


def main(arguments: list[str]) -> int:
    """The command. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Fuzzes the decoders.")
    parser.add_argument("--inputs", type=int, default=20_000, help="inputs for each decoder (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed gives the same inputs (default: %(default)s)"
    )
    parser.add_argument("--only", default="", help="the decoders whose name has this in it")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="where findings go (default: %(default)s)")
    args = parser.parse_args(arguments)
    status = 0
    for target in targets():
        if args.only not in target.name:
            continue
        began = time.perf_counter()
        result = fuzz(target, args.inputs, args.seed)
        print(f"{result.line()}; {time.perf_counter() - began:.0f} s", flush=True)
        for problem, data in result.findings[:5]:
            status = 1
            args.out.mkdir(parents=True, exist_ok=True)
            path = args.out / f"{target.name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"  FINDING {problem} ({len(data)} bytes in {path})", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
