"""Compiles and links the on-chain programs.

`python localnet/programs/build.py` writes awm_crank/localnet/programs/<name>.so and programs.json (id, SHA-256);
`--check` builds into memory and compares: exit status 1, naming the programs, where a byte differs.
`--matmul-syscall FILE` writes the engine for validators that have sol_matmul_i8, which is not shipped.
Needs clang-19 (Debian package of that name; another one by the CLANG variable).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from link import link  # noqa: E402

ROOT = HERE.parent.parent
CONTRACT = ROOT / "idl" / "contract" / "programs.toml"
OUTPUT = ROOT / "awm_crank" / "localnet" / "programs"
INCLUDE = HERE / "include"
FLAGS = """
-target bpfel -mcpu=v1 -O2 -mllvm -bpf-stack-size=4096 -ffreestanding -fno-builtin -fno-jump-tables -nostdlib
-std=c17 -Wall -Wextra -Werror -Wno-unused-const-variable
"""
NATIVE = ROOT / "awm_crank" / "engine" / "native"
# the engine program shares the step's code with the native engine, and is compiled with the same flags
MORE_FLAGS = {"engine": ["-fwrapv", "-fno-strict-aliasing", "-Wno-unused-function"]}


def program_ids() -> dict[str, str]:
    """Folder name of each program -> its id, from the contract."""
    programs = tomllib.loads(CONTRACT.read_text("utf-8"))["programs"]
    return {name: entry["id"] for name, entry in programs.items()}


def compile_program(source: Path, *more: str) -> bytes:
    """The linked program of one translation unit; `more` are flags.

    Raises CalledProcessError where clang refuses it, LinkError where we do.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "program.o"
        clang = os.environ.get("CLANG", "clang-19")
        # run in the source's folder with relative paths, so that the object contains no path of this machine
        include = [f"-I{os.path.relpath(folder, source.parent)}" for folder in (INCLUDE, NATIVE)]
        flags = [*FLAGS.split(), *MORE_FLAGS.get(source.stem, []), *include, *more]
        subprocess.run([clang, *flags, "-c", source.name, "-o", str(target)], cwd=source.parent, check=True)
        return link(target.read_bytes())


def build() -> dict[str, bytes]:
    """Returns the content of each file that goes into the output folder, by file name."""
    programs = program_ids()
    files = {f"{name}.so": compile_program(HERE / name / f"{name}.c") for name in programs}
    table = {
        name: {"program_id": key, "sha256": hashlib.sha256(files[f"{name}.so"]).hexdigest()}
        for name, key in programs.items()
    }
    files["programs.json"] = (json.dumps(table, indent=2) + "\n").encode()
    return files


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the on-chain programs.")
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing")
    parser.add_argument(
        "--matmul-syscall",
        type=Path,
        metavar="FILE",
        help="write the engine with sol_matmul_i8 to FILE, and nothing else",
    )
    options = parser.parse_args()
    check = options.check
    if options.matmul_syscall:
        options.matmul_syscall.write_bytes(compile_program(HERE / "engine" / "engine.c", "-DMATMUL_SYSCALL"))
        return 0
    files = build()
    if check:
        different = [n for n, b in files.items() if not (OUTPUT / n).exists() or (OUTPUT / n).read_bytes() != b]
        if different:
            print("not what the sources build:", ", ".join(different), file=sys.stderr)
            return 1
        print(f"{len(files) - 1} programs rebuilt, same bytes")
        return 0
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (OUTPUT / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
