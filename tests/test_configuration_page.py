"""docs/configuration.md lists every setting as the schema has it."""

from __future__ import annotations

from pathlib import Path

from awm_crank import config

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"


def test_page_is_the_schema() -> None:
    """The page's table is what the schema generates."""
    assert config.page() in PAGE.read_text()
