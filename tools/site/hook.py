"""Adds the reference pages that follow from the code to the documentation site. MkDocs calls this (mkdocs.yml).

The pages are made while the site is built and never committed, so they cannot differ from the code. To add one, write a
function that returns its Markdown and give it a row in `PAGES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cli_page import commands_page
from errors_page import errors_page
from metrics_page import metrics_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": commands_page,
    "reference/errors.md": errors_page,
    "reference/metrics.md": metrics_page,
}
"""Path below docs/ → what writes the page."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """MkDocs' event: the files of docs/ are known, and the generated pages join them."""
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """MkDocs' event: a page's text is read, and about to be rendered."""
    return separate(markdown)


_BLOCK = re.compile(r"- |\d+\. |\|")
_FENCE = re.compile(r"\s*```")


def separate(markdown: str) -> str:
    """Puts an empty line before each table and list that follows a line of text.

    GitHub's Markdown, in which the pages are written, does without that line; the site's wants it.
    """
    lines: list[str] = []
    fenced, before = False, ""
    for line in markdown.splitlines():
        starts = not fenced and _BLOCK.match(line) and before.strip() and not before.startswith((" ", "#", "|"))
        if starts and not _BLOCK.match(before):
            lines.append("")
        if _FENCE.match(line):
            fenced = not fenced
        lines.append(line)
        before = line
    return "\n".join(lines) + "\n"
