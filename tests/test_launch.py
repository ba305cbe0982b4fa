"""The command that starts processes of this package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import awm_crank
from awm_crank.launch import own_command, own_environment


def test_a_folder_of_the_same_name_is_not_taken(tmp_path: Path) -> None:
    """The running package is started, even where the current folder holds another `awm_crank`."""
    impostor = tmp_path / "awm_crank"
    impostor.mkdir()
    (impostor / "__init__.py").write_text("")
    (impostor / "__main__.py").write_text("print('impostor')")
    said = subprocess.run(
        [*own_command("awm_crank"), "--version"], cwd=tmp_path, env=own_environment(), check=True, capture_output=True
    )
    assert awm_crank.__version__ in said.stdout.decode()
