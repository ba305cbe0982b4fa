"""CI tests the installed wheel, not the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import awm_crank

CHECKOUT = Path(__file__).resolve().parent.parent


def test_package_under_test() -> None:
    """If the test command says that the wheel is installed, the tests do not import the package from the checkout."""
    location = Path(awm_crank.__file__).resolve()
    inside = CHECKOUT / "awm_crank" in location.parents
    assert inside != (os.environ.get("AWM_TEST_INSTALLED") == "1")


def test_processes_run_the_package_under_test() -> None:
    """Processes that tests start as `python -m awm_crank` in the checkout use the same package that the tests
    import.
    """
    where = [sys.executable, "-c", "import awm_crank; print(awm_crank.__file__)"]
    told = subprocess.run(where, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(told).resolve() == Path(awm_crank.__file__).resolve()


def test_installed_command_plays_the_demo_in_an_empty_folder(tmp_path: Path) -> None:
    """The package contains IDLs, programs and cartridge, so a match plays without a checkout."""
    command = [
        str(Path(sys.executable).with_name("awm-crank")),
        "demo",
        "--frames",
        "60",
        "--json",
        "--output",
        "summary.json",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["frames"], (tmp_path / summary["match_file"]).is_file()) == (60, True)


def test_package_data() -> None:
    """The installed package contains IDLs, programs and the demo cartridge."""
    package = resources.files("awm_crank")
    assert len([f for f in (package / "idl").iterdir() if f.name.endswith(".json")]) == 11
    assert len([f for f in (package / "localnet" / "programs").iterdir() if f.name.endswith(".so")]) == 11
    assert (package / "engine" / "data" / "demo.awm").is_file()
