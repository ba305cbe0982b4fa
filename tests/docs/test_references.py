"""The files and example agents that the documentation names exist and work."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from docs.test_words import PAGES, ROOT

from awm_crank.match import players

_PATH = re.compile(r"`((?:awm_crank|tests|tools|docs|localnet|deploy|scripts|idl|requirements)/[\w./-]+)`")
_PLACEHOLDER = re.compile(r"NAME|_new|^awm_crank/idl$")
"""Names to fill in, and the folder of the IDLs inside the wheel."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_exist(page: Path) -> None:
    """Every path of this repository that a page names exists."""
    named = [path for path in _PATH.findall(page.read_text()) if not _PLACEHOLDER.search(path)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_example_agent_plays() -> None:
    """The agent of add-an-agent.md runs at its opponent, from either side."""
    page = (ROOT / "docs/howto/add-an-agent.md").read_text()
    source = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert source
    scope = dict(vars(players))
    exec("\n".join(line.removeprefix("    ") for line in source[1].splitlines()), scope)
    view = bytearray(64)
    struct.pack_into("<i", view, 0, -30 * 256)
    struct.pack_into("<i", view, 32, 30 * 256)
    sticks = [struct.unpack_from("<b", scope["runner"](1, player, 1, bytes(view)))[0] for player in (0, 1)]
    assert sticks == [players.FULL_TILT, -players.FULL_TILT]


def test_macros_of_the_kernel_exist() -> None:
    """The kernel has the macros and functions that add-an-instruction-set.md names."""
    page = (ROOT / "docs/howto/add-an-instruction-set.md").read_text()
    sources = "".join(file.read_text() for file in (ROOT / "awm_crank/engine/native").glob("*.[ch]"))
    names = set(re.findall(r"\bAWM_[A-Z_]+\b|\b(?:mm_tile|missing_here|elem_portable|matmul_blocks)\b", page))
    assert names - {"AWM_NEW"} == {name for name in names - {"AWM_NEW"} if name in sources}
    assert len(names) > 5
