"""`scripts/wheels` builds a wheel for a machine that this one is not."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parents[2]


def test_arm64(tmp_path: Path) -> None:
    """The wheel for arm64 is named for Linux with glibc from any Python 3.11 on, and so is the engine in it."""
    done = subprocess.run(
        [str(ROOT / "scripts/wheels"), str(tmp_path), "aarch64"],
        env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.split("-")[2:4] == ["cp311", "abi3"]
    assert wheel.name.split("-")[4].startswith("manylinux_2_")
    assert wheel.name.endswith("_aarch64.whl")
    assert len(list(tmp_path.glob("*.tar.gz"))) == 1
    with zipfile.ZipFile(wheel) as archive, archive.open("awm_crank/engine/_native.abi3.so") as file:
        engine = ELFFile(file)
        assert (engine.get_machine_arch(), engine.elfclass) == ("AArch64", 64)
