"""Tables of docs/formats.md, for tests that compare code with them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FORMATS = (ROOT / "docs" / "formats.md").read_text("utf-8")


def rows_behind(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading (a regular expression), without the table's own head."""
    match = re.search(heading, FORMATS, re.MULTILINE)
    assert match, f"docs/formats.md has no {heading}"
    table = re.search(r"(?:^\|.*\n)+", FORMATS[match.end() :], re.MULTILINE)
    assert table
    lines = table[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


def layout_rows(name: str) -> tuple[int, list[tuple[int, int, str]]]:
    """Reads a component's or checkpoint's table in docs/formats.md. Returns (size in the heading, [(offset, size,
    field)]), without the tail.
    """
    match = re.search(rf"^### {name} — ([\d,]+) bytes", FORMATS, re.MULTILINE)
    assert match
    rows = rows_behind(rf"^### {name} — ")
    fields = [(int(row[0]), int(row[1]), row[2]) for row in rows if row[1].isdigit()]
    return int(match[1].replace(",", "")), fields
