"""Builds the engine's kernel as an on-chain program into awm_crank/engine/data/kernel.so.

Needs clang-19. `tests/bench/test_svm.py` rebuilds it and compares, so run this after a change in the kernel's sources.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "localnet" / "programs"))

from link import link  # noqa: E402

SOURCES = ROOT / "awm_crank" / "engine" / "native"
TARGET = ROOT / "awm_crank" / "engine" / "data" / "kernel.so"
FLAGS = """
-target bpfel -mcpu=v1 -O2 -mllvm -bpf-stack-size=4096 -ffreestanding -fno-builtin -fno-jump-tables -nostdlib
-std=c17 -fwrapv -fno-strict-aliasing -Wall -Wextra -Werror -Wno-unused-function
"""


def build() -> bytes:
    """The linked program."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.o"
        # relative paths, so that none of this machine's reaches the object
        command = ["clang-19", *FLAGS.split(), "-c", "sbf_main.c", "-o", str(target)]
        subprocess.run(command, cwd=SOURCES, check=True)
        return link(target.read_bytes())


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(build())
