"""Every error names the thing that is wrong, what was expected, and the next step."""

from __future__ import annotations

import inspect
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank import errors
from awm_crank.errors import printable

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.AwmError)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_renders_all_of_its_fields(cls: type[errors.AwmError]) -> None:
    """Each class takes the common fields, and shows what, expected, found and hint in one line."""
    error = cls("account X, field y", expected=1, found=2, hint="do this", recoverable=True)
    assert str(error) == "account X, field y; expected 1, found 2. Try: do this"
    assert error.recoverable
    assert error.exit_code in (1, 2)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "thing"),
        ({"expected": "a file"}, "thing; expected a file"),
        ({"found": 0}, "thing; found 0"),
        ({"hint": "look"}, "thing. Try: look"),
    ],
)
def test_absent_fields_leave_no_trace(fields: dict[str, object], text: str) -> None:
    """A field that is not known is not mentioned; zero counts as a value."""
    assert str(errors.AwmError("thing", **fields)) == text  # type: ignore[arg-type]


def test_endpoint_errors_keep_the_endpoints_own_words() -> None:
    """RpcError and ProgramError carry the code, and RpcError the data, for code that must decide."""
    assert errors.RpcError("send", code=-32002, data={"err": 1}).code == -32002
    assert errors.RpcError("send", data={"err": 1}).data == {"err": 1}
    assert errors.ProgramError("frame", code=6030).code == 6030


@given(st.text())
def test_nothing_controls_the_terminal(text: str) -> None:
    """No control, format or line-separating character is left, and printable ASCII stays as it is."""
    cleaned = printable(text)
    assert not {unicodedata.category(each) for each in cleaned} & {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
    if text.isascii() and text.isprintable():
        assert cleaned == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
        ("two\nlines", "two\\nlines"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\x07\x7f", "\\x07\\x7f"),
        ("Welt № 1 — 世界", "Welt № 1 — 世界"),
    ],
)
def test_what_is_escaped(text: str, cleaned: str) -> None:
    """Escape sequences, bells and text that reverses its direction are escaped; letters of all languages stay."""
    assert printable(text) == cleaned


def test_lines_may_be_kept() -> None:
    """Text of several lines keeps its line breaks where the caller says so."""
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
