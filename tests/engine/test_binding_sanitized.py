"""The binding, built with AddressSanitizer and UndefinedBehaviorSanitizer, survives broken arguments and cartridges."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from awm_crank.engine.seeded import SHAPES, cartridge

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module, built as CMakeLists.txt says, with AWM_SANITIZE."""
    folder = tmp_path_factory.mktemp("sanitized")
    tools = str(Path(sys.executable).parent)
    cmake, ninja = shutil.which("cmake", path=tools), shutil.which("ninja", path=tools)
    assert cmake and ninja, "cmake and ninja come with the test requirements"
    configure = [
        cmake, "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DAWM_SANITIZE=ON",
        f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_C_COMPILER=gcc",
    ]  # fmt: skip
    for command in (configure, [cmake, "--build", str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("_native*.so"))


def test_fuzz(module: Path, tmp_path: Path) -> None:
    """Thousands of wrong calls and hundreds of broken cartridges give an exception or a result, and no sanitizer
    report.
    """
    file = tmp_path / "tiny.awm"
    file.write_bytes(cartridge(SHAPES["tiny"], 1).data)
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "fuzz_binding.py"), str(module), str(file), "6000"],
        env={"LD_PRELOAD": runtime.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    good, bad = map(int, done.stdout.split())
    assert good > 100
    assert bad > 1000
