"""Tools that the set-up runs: a missing or failing one is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from awm_crank.errors import SetupError
from awm_crank.localnet.kinds import tools


def test_need() -> None:
    """A tool on PATH is found, and a missing one raises an error that says what it is needed for."""
    assert Path(tools.need("sh", "x", "y")).name == "sh"
    with pytest.raises(SetupError, match=r"no no-such-tool on PATH; expected one, to fetch things. Try: install it"):
        tools.need("no-such-tool", "fetch things", "install it")


def test_run(tmp_path: Path) -> None:
    """What the tool prints is returned, and a failure has its status and its last words."""
    where = [sys.executable, "-c", "import os; print(os.getcwd())"]
    assert tools.run(where, "x", "y", folder=tmp_path) == f"{tmp_path}\n"
    with pytest.raises(SetupError, match=r"cannot fetch it: .* ended with status 3: out of cheese. Try: buy some"):
        tools.run(["sh", "-c", "echo out of cheese >&2; exit 3"], "fetch it", "buy some")
    with pytest.raises(SetupError, match=r"cannot fetch it"):
        tools.run(["/no/such/tool"], "fetch it", "look")


def test_remove_all_but(tmp_path: Path) -> None:
    """Files, folders and links are removed; what a link points to stays."""
    kept = tmp_path / "kept"
    kept.mkdir()
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").touch()
    (folder / "stay").touch()
    (folder / "link").symlink_to(kept)
    tools.remove_all_but(folder, "stay")
    assert [path.name for path in folder.iterdir()] == ["stay"]
    assert kept.is_dir()
