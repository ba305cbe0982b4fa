"""Fuzzes the on-chain programs' C, natively, under AddressSanitizer and UndefinedBehaviorSanitizer. docs/fuzzing.md.

    python tools/fuzz/programs.py [--inputs N] [--seed N] [--only NAME] [--save]

Needs gcc. The exit status is 1 if a sanitizer found something; the input is then in build/fuzz/programs/NAME/crash.
--save replaces the kept corpus (tools/fuzz/programs/corpus) by the inputs that reach the most in the fewest files.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "localnet" / "programs"
HERE = Path(__file__).resolve().parent / "programs"
CORPUS = HERE / "corpus"
NAMES = (
    "world", "session_state", "hidden_state", "input_buffer", "frame_log", "model_manifest", "weight_shard",
    "session_lifecycle", "submit_input", "run_inference",
)  # fmt: skip
FLAGS = """
-std=gnu17 -O1 -g -fsanitize=address,undefined -fno-sanitize=alignment -fno-sanitize-recover=all -fno-omit-frame-pointer
-fsanitize-coverage=trace-pc -fno-builtin-memcmp -w
"""
_RESIZE = "    a->data_len = len;\n    st64(a->data - 8, len);\n"


class Outcome(NamedTuple):
    """The result of one program's run. `problem` is empty, or holds the sanitizer's report."""

    name: str
    inputs: int
    seconds: float
    edges: int
    lines: str
    problem: str


def native_sources(folder: Path) -> Path:
    """Copies the programs into a folder, and replaces the heap's address and `resize` for a native run."""
    target = folder / "programs"
    shutil.copytree(PROGRAMS, target)
    for path in target.rglob("*.[ch]"):
        text = path.read_text("utf-8")
        text = re.sub(r"0x300000000ULL\b", "((unsigned long)fuzz_heap)", text)
        if path.name == "sbf.h":
            assert text.count(_RESIZE) == 1, "resize() in sbf.h is not as tools/fuzz/programs.py knows it"
            text = text.replace(_RESIZE, _RESIZE + "    fuzz_resized(a->data, len);\n")
            text = text.replace("INLINE void copy(", "extern void fuzz_resized(u8 *data, u64 len);\nINLINE void copy(")
        path.write_text(text, "utf-8")
    return target


def build(name: str, sources: Path, *, lines: bool = False) -> Path:
    """Compiles the harness with a program. CalledProcessError where gcc refuses it.

    Args:
        lines: for counting lines (gcov), instead of for finding bugs.
    """
    discs = re.findall(r"#define (IX_\w+)", (sources / "include" / "discriminators.h").read_text())
    out = sources / name / ("lines" if lines else "harness")
    flags = FLAGS.replace("-O1", "-O0") + " --coverage" if lines else FLAGS
    command = [
        "gcc", *flags.split(), f"-I{sources / 'include'}", f"-I{sources / name}",
        f'-DPROGRAM_SOURCE="{name}.c"', f"-DINSTRUCTION_DISCS={','.join(discs)}", f"-DOWN_ID={NAMES.index(name)}",
        "-o", out.name, str(HERE / "harness.c"), "-Wl,--allow-multiple-definition",
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=out.parent)
    return out


def fuzz(name: str, sources: Path, inputs: int, seed: int, folder: Path, *, lines: bool = True) -> Outcome:
    """Runs a program on its kept corpus, and then on this many mutated inputs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    binary = build(name, sources)
    kept = sorted(str(path) for path in (CORPUS / name).glob("*"))
    began = time.perf_counter()
    done = _run(binary, folder, inputs, seed, kept)
    seconds = time.perf_counter() - began
    if done.returncode:
        return Outcome(name, inputs, seconds, 0, "", done.stderr[-4000:] or f"status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    covered = _lines(name, sources, folder, kept) if lines else ""
    return Outcome(name, inputs, seconds, found["edges"], covered, "")


def _run(binary: Path, folder: Path, inputs: int, seed: int, files: list[str]) -> subprocess.CompletedProcess[str]:
    # detect_leaks: the corpus is never freed
    environment = {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}
    command = [str(binary), str(folder), str(inputs), str(seed), *files]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=binary.parent, check=False)


def _lines(name: str, sources: Path, folder: Path, kept: list[str]) -> str:
    """The share of the program's lines that the corpus and the new inputs reach."""
    binary = build(name, sources, lines=True)
    with tempfile.TemporaryDirectory() as unused:
        _run(binary, Path(unused), 0, 1, [*kept, *(str(path) for path in sorted(folder.glob("0*")))])
    done = subprocess.run(
        ["gcov", "-n", "lines-harness.gcda"], cwd=binary.parent, capture_output=True, text=True, check=False
    )
    rows = re.findall(r"File '([^']+)'\nLines executed:([\d.]+)% of (\d+)", done.stdout)
    counts = [(float(share) * int(total) / 100, int(total)) for file, share, total in rows if "harness.c" not in file]
    reached, total = (round(sum(column)) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return f"{reached} of {total} lines" if total else "no lines counted"


def main(arguments: list[str]) -> int:
    """The command. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Fuzzes the on-chain programs.")
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs for each program (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed gives the same inputs (default: %(default)s)"
    )
    parser.add_argument("--only", default="", help="the programs whose name has this in it")
    parser.add_argument("--save", action="store_true", help="keep what was found as the corpus")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz/programs"), help="where findings go")
    args = parser.parse_args(arguments)
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        sources = native_sources(Path(scratch))
        for name in NAMES:
            if args.only not in name:
                continue
            folder = args.out.resolve() / name
            result = fuzz(name, sources, args.inputs, args.seed, folder)
            print(
                f"{name:18} {result.inputs:>9,} inputs; {result.lines}, {result.edges} edges; {result.seconds:.0f} s",
                flush=True,
            )
            if result.problem:
                status = 1
                print(f"  FINDING ({folder / 'crash'})\n{result.problem}", flush=True)
            elif args.save:
                _save(name, folder)
    return status


def _save(name: str, folder: Path) -> None:
    target = CORPUS / name
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("0*"), key=lambda path: path.name)[-16:]:
        shutil.copyfile(path, target / path.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
