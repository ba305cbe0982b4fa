"""tools/site/hook.py: the site renders pages that are written for GitHub as GitHub does."""

from __future__ import annotations

import pytest
from docs.test_words import hook
from hypothesis import given
from hypothesis import strategies as st

SEPARATE = hook().separate


@pytest.mark.parametrize(
    ("written", "rendered"),
    [
        ("Text:\n- one\n- two\n", "Text:\n\n- one\n- two\n"),
        ("Text:\n1. one\n", "Text:\n\n1. one\n"),
        ("Text:\n| a | b |\n| --- | --- |\n", "Text:\n\n| a | b |\n| --- | --- |\n"),
        ("# Title\n- one\n", "# Title\n- one\n"),
        ("- one\n  more\n- two\n", "- one\n  more\n- two\n"),
        (
            "Text:\n```text\nwords\n- no list\n| no table |\n```\n",
            "Text:\n```text\nwords\n- no list\n| no table |\n```\n",
        ),
    ],
)
def test_blocks_get_their_empty_line(written: str, rendered: str) -> None:
    """A table or list after a line of text gets an empty line; headings, items and code stay as they are."""
    assert SEPARATE(written) == rendered


@given(st.lists(st.sampled_from(["Text", "- item", "1. item", "| cell |", "```", "  more", "", "# Title"])))
def test_nothing_else_changes(lines: list[str]) -> None:
    """Only empty lines are added, and a second pass adds none."""
    once = SEPARATE("\n".join(lines))
    assert [line for line in once.splitlines() if line] == [line for line in lines if line]
    assert SEPARATE(once) == once
