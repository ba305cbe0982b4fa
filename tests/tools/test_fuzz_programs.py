"""The on-chain programs, run natively under the sanitizers, survive changed inputs; a planted bug is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "fuzz"))

import programs


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' sources, with the changes that a native run needs."""
    return programs.native_sources(tmp_path_factory.mktemp("native"))


@pytest.mark.parametrize("name", programs.NAMES)
def test_program(name: str, sources: Path, tmp_path: Path) -> None:
    """The sanitizers report nothing for the kept inputs and two thousand mutated ones."""
    found = programs.fuzz(name, sources, 2000, 3, tmp_path / "out", lines=False)
    assert found.problem == ""
    assert found.edges > 100


def test_planted_bug(tmp_path: Path) -> None:
    """A program that reads one byte behind an account's data is caught, and the input is kept."""
    planted = programs.native_sources(tmp_path)
    source = planted / "input_buffer" / "input_buffer.c"
    text = source.read_text()
    body = "static u64 direct(u64 disc, Account *accounts, const Input *input) {"
    assert text.count(body) == 1
    reading = body + "\n    for (u64 i = 0; i < input->n; i++) if (accounts[i].data[accounts[i].data_len]) return 1;"
    source.write_text(text.replace(body, reading))
    found = programs.fuzz("input_buffer", planted, 20_000, 3, tmp_path / "out", lines=False)
    assert "use-after-poison" in found.problem
    assert (tmp_path / "out" / "crash").read_bytes()
