"""The documentation uses plain words, and the glossary has only words that are in use."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "localnet/README.md"]
STILTED = re.compile(r"\b(?:stands?|stood|anew|beside|told|in earnest|to be had)\b", re.IGNORECASE)
"""Words of an older style. Each has a plainer one: is, again, next to, reported."""
PRIVATE = re.compile(r"\b(?:Desk|Passages|Served|Told|Said)\b")
"""Names of classes that no reader knows."""


def hook() -> ModuleType:
    """The site's hook, which writes the generated pages."""
    sys.path.insert(0, str(ROOT / "tools" / "site"))
    try:
        spec = importlib.util.spec_from_file_location("site_hook", ROOT / "tools" / "site" / "hook.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def found(text: str) -> list[str]:
    """The lines that have a forbidden word outside code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", "", text, flags=re.DOTALL)
    return [line for line in prose.splitlines() if STILTED.search(line) or PRIVATE.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_is_plain(page: Path) -> None:
    """A page uses none of the words that make a reader stumble."""
    assert found(page.read_text()) == []


def test_generated_pages_are_plain() -> None:
    """Help texts, errors and metrics use none of them either."""
    written = {path: write().replace("```", "") for path, write in hook().PAGES.items()}
    assert {path: lines for path, text in written.items() if (lines := found(text))} == {}


def terms() -> list[str]:
    """Our own terms, from the glossary's last section."""
    ours = (ROOT / "docs" / "glossary.md").read_text().split("\n## Ours\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", ours, re.MULTILINE)[1:]
    return [re.sub(r" \(.*\)", "", row) for row in rows if not row.startswith("---")]


def test_terms_are_defined_once() -> None:
    """No term has two rows, whatever its origin, and our own terms are in order."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    names = [name for row in rows if row not in ("term", "---") for name in row.split(", ")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert terms() == sorted(terms(), key=str.lower)


@pytest.mark.parametrize("term", terms())
def test_term_is_in_use(term: str) -> None:
    """Each of our own terms is used in the code."""
    words = re.compile(r"\b" + r"[\s_]+".join(map(re.escape, term.split())), re.IGNORECASE)
    assert any(words.search(source.read_text()) for source in (ROOT / "awm_crank").rglob("*.py"))
