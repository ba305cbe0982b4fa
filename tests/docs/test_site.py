"""The documentation site builds without a warning, loads nothing from other hosts, and can be searched from a
folder.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from viewer.browser import Browser

from awm_crank.cli import COMMANDS
from awm_crank.wire.failures import Code


def pages(site: Path) -> list[Path]:
    """All pages except the one for missing pages."""
    return [page for page in sorted(site.rglob("*.html")) if page.name != "404.html"]


def text_of(page: Path) -> str:
    """The text of a page's article, without tags."""
    article = re.search(r"<article.*?</article>", page.read_text(), re.DOTALL)
    assert article, f"{page} has no article"
    return html.unescape(re.sub(r"<[^>]+>", "", article[0]))


def test_nothing_from_elsewhere(site: Path) -> None:
    """No page loads a script, a style, a font or an image from another host."""
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//[^\s\">]+"
        r"|<link\b(?=[^>]*rel=\"?(?:stylesheet|preconnect|preload|icon))[^>]*href=\"?(?:https?:)?//[^\s\">]+"
    )
    assert {page.name: found for page in pages(site) if (found := loads.findall(page.read_text()))} == {}


def test_tables_and_lists_are_rendered(site: Path) -> None:
    """No page shows the Markdown source of a table or list that lacks an empty line before it."""
    raw = re.compile(r"^\| .* \|$|^\|? ?---.*$|^(?:- |\d+\. ).*$", re.MULTILINE)
    shown = {}
    for page in pages(site):
        prose = re.findall(r"<p>(.*?)</p>", re.sub(r"<pre.*?</pre>", "", page.read_text(), flags=re.DOTALL), re.DOTALL)
        if found := [line for paragraph in prose for line in raw.findall(paragraph)]:
            shown[page.name] = found
    assert shown == {}


def test_generated_pages_are_whole(site: Path) -> None:
    """The command-line page has every command, and the errors' page every number of our programs."""
    commands = text_of(site / "reference/cli.html")
    assert [name for name in COMMANDS if f"usage: awm-crank {name}" not in commands] == []
    errors = text_of(site / "reference/errors.html")
    assert [code.name for code in Code if str(code.value) not in errors] == []
    assert "awm_ticks_total" in text_of(site / "reference/metrics.html")


@pytest.mark.parametrize("query", ["epoch", "checkpoint"])
async def test_search_works_from_a_folder(site: Path, query: str) -> None:
    """A browser that opens the site as files finds pages by a word in them."""
    async with Browser() as browser:
        await browser.open((site / "index.html").as_uri() + f"?q={query}")
        await browser.until("document.querySelector('.md-search-result__item')")
        assert browser.console == []
