"""The repository keeps its promises: links resolve, commands in the docs exist, and the lock follows pyproject."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from awm_crank.cli import COMMANDS
from awm_crank.launch import own_command

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GENERATED = {
    f"docs/{path}" for path in re.findall(r'^    "(\S+\.md)":', (ROOT / "tools/site/hook.py").read_text(), re.M)
}
"""Pages that the site's build writes, so no checkout has them."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    """Every relative link of every page leads to a file that exists, or that the site's build writes."""
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        written = (page.parent / target).resolve().relative_to(ROOT).as_posix() in GENERATED
        if "://" not in target and not written:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_commands_in_docs_exist() -> None:
    """Every `awm-crank <command>` that README and docs show is a command of the program."""
    shown = {m for page in PAGES for m in re.findall(r"`(?:\.venv[\w-]*/bin/)?awm-crank ([a-z]+)", page.read_text())}
    helped = subprocess.run(own_command("awm_crank", "--help"), capture_output=True, text=True, check=True).stdout
    assert shown
    assert {command for command in shown if not re.search(rf"\b{command}\b", helped)} == set()


def test_readme_leads_to_everything() -> None:
    """The README names every command, and every page that it links is in the checkout."""
    readme = (ROOT / "README.md").read_text()
    assert [command for command in COMMANDS if not re.search(rf"\b{command}\b", readme)] == []
    assert "](docs/index.md)" in readme


def test_menu_lists_every_page() -> None:
    """The site's menu (mkdocs.yml, `nav`) lists every page of docs/ and every generated page exactly once."""
    listed = re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted([*pages, *(path.removeprefix("docs/") for path in GENERATED)])


def test_lock_follows_pyproject() -> None:
    """requirements/runtime.in is what `make lock` writes from pyproject.toml."""
    scope: dict[str, object] = {"__file__": str(ROOT / "tools/runtime_requirements.py"), "__name__": "lock"}
    exec((ROOT / "tools/runtime_requirements.py").read_text(), scope)
    render = scope["render"]
    assert callable(render)
    assert (ROOT / "requirements/runtime.in").read_text() == render((ROOT / "pyproject.toml").read_text())


def test_make_targets_are_described() -> None:
    """Every target of the Makefile has a description, so that bare `make` lists all of them."""
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    assert set(phony.group(1).split()) == set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))


def test_generated_files_are_current() -> None:
    """Every generated file agrees with the contract: `tools/generate.py --check` finds no difference."""
    command = [sys.executable, str(ROOT / "tools" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
