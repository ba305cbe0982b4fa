"""The Dockerfile is well-formed, and its build steps work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from deploy.dockerfile import parse
from deploy.machine import ROOT, Image

BIN = Path(sys.executable).parent
GLIBC_2_39 = ("trixie", "forky", "sid")
"""Debian releases whose glibc can run MagicBlock's validator."""


def test_linter_finds_nothing() -> None:
    """hadolint finds nothing from warnings up; the file names what it ignores."""
    words = [str(BIN / "hadolint"), "--failure-threshold", "warning", str(ROOT / "Dockerfile")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " warning" not in done.stdout


def test_stages() -> None:
    """All stages use one Debian whose glibc is new enough.

    Images take only the built environment. None runs as root, and only the localnet's has compilers and npm.
    """
    stages = parse(ROOT / "Dockerfile")
    assert list(stages) == ["build", "runtime", "localnet", "crank"]
    assert {stage.base for stage in stages.values()} == {stages["build"].base}
    assert any(f":{release}" in stages["build"].base for release in GLIBC_2_39)
    for name in ("localnet", "crank"):
        assert [(origin, sources) for origin, sources, _ in stages[name].copies()] == [("build", ["/opt/awm"])]
        assert stages[name].last("USER") == "10001:10001"
        installs = " ".join(stages[name].all("RUN"))
        assert all((tool in installs.split()) == (name == "localnet") for tool in ("gcc", "npm", "libc6-dev"))
    wheels = [text for text in stages["build"].all("RUN") if "pip wheel" in text]
    assert len(wheels) == 1, "the wheel is built once"
    assert all("--require-hashes" in text for text in stages["build"].all("RUN") if "-r requirements/" in text)


def test_image_runs_what_was_tested() -> None:
    """The image's locks have the versions that the tests ran with."""

    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))

    tested = pins("ci")
    for name in ("runtime", "build"):
        assert pins(name).items() <= tested.items()
        assert pins(name)


def test_context_has_what_is_copied() -> None:
    """.dockerignore lets through exactly what the Dockerfile copies."""
    build = parse(ROOT / "Dockerfile")["build"]
    copied = {source for origin, sources, _ in build.copies() if not origin for source in sources}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let = {line[1:] for line in lines if line.startswith("!") and "*" not in line}
    assert lines[1] == "*"
    assert let == copied
    assert all((ROOT / path).exists() for path in copied)


def test_built(image: Image) -> None:
    """The steps give a crank that prints its version, with native engine, programs and page, from the wheel alone."""
    python = image.folders["/opt/awm"] / "bin" / "python3"
    code = (
        "import awm_crank; from awm_crank.engine import native; from importlib.resources import files;"
        "programs = list((files('awm_crank') / 'localnet' / 'programs').iterdir());"
        "print(awm_crank.__file__, len(programs), native.choose())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd="/", env=environment, check=True)
    place, programs, path = done.stdout.split()
    assert place.startswith(str(image.folders["/opt/awm"]))
    assert int(programs) == len(list((Path(__file__).parents[2] / "awm_crank/localnet/programs").iterdir())) > 10
    assert path
