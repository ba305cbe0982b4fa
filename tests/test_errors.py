"""Every error renders the thing, the expectation and the next step."""

from __future__ import annotations

import inspect

import pytest

from awm_crank import errors

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.AwmError)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_renders_all_of_its_fields(cls: type[errors.AwmError]) -> None:
    """Each class takes the common fields and says what, expected, found and hint in one line."""
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
    """What is not known is not mentioned; zero is a value."""
    assert str(errors.AwmError("thing", **fields)) == text  # type: ignore[arg-type]


def test_endpoint_errors_keep_the_endpoints_own_words() -> None:
    """RpcError and ProgramError carry the code, RpcError the data, for code that has to decide."""
    assert errors.RpcError("send", code=-32002, data={"err": 1}).code == -32002
    assert errors.RpcError("send", data={"err": 1}).data == {"err": 1}
    assert errors.ProgramError("frame", code=6030).code == 6030
