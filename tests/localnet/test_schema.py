"""Parameters are counted and checked as a validator does it, and filled up where optional ones were left away."""

from __future__ import annotations

from typing import Any

import pytest
from localnet.kit import Node

from awm_crank.localnet.faults import RequestError
from awm_crank.localnet.schema import METHODS, Parameters, bind
from awm_crank.localnet.serde import integer, option, string

MIXED = Parameters((string,), (option(integer("u64")),))
FIXED = Parameters((string, string))


@pytest.mark.parametrize(
    ("wanted", "params", "message", "data"),
    [
        (MIXED, None, "`params` should have at least 1 argument(s)", None),
        (MIXED, {}, "`params` should be an array", None),
        (MIXED, ["a", 1, 2], "Invalid parameters: Expected from 1 to 2 parameters.", rb'"\"Got: 3\""'),
        (MIXED, [5], "Invalid params: invalid type: integer `5`, expected a string.", None),
        (FIXED, None, "Invalid params: invalid type: null, expected a tuple of size 2.", None),
        (FIXED, {}, "Invalid params: invalid type: map, expected a tuple of size 2.", None),
        (FIXED, ["a"], "Invalid params: invalid length 1, expected a tuple of size 2.", None),
        (FIXED, ["a"] * 3, "Invalid params: invalid length 3, expected fewer elements in array.", None),
        (
            Parameters(),
            [1, "x"],
            "Invalid parameters: No parameters were expected",
            rb'"Array([Number(1), String(\"x\")])"',
        ),
        (Parameters(), {}, "Invalid parameters: No parameters were expected", b'"Map({})"'),
    ],
)
def test_refused(wanted: Parameters, params: Any, message: str, data: bytes | None) -> None:
    """Too few, too many and wrong parameters are refused as invalid, in a validator's words."""
    with pytest.raises(RequestError) as caught:
        bind(wanted, params)
    assert (caught.value.code, caught.value.message, caught.value.data) == (-32602, message, data)


def test_filled_up() -> None:
    """Omitted parameters are null."""
    assert bind(MIXED, ["a"]) == bind(MIXED, ["a", None]) == ["a", None]
    assert bind(Parameters(), None) == bind(Parameters(), []) == []


def test_every_method_is_there(node: Node) -> None:
    """Each method that has parameters in the schema exists, over HTTP or as a subscription."""
    methods = set(METHODS) - {name for name in METHODS if "ubscribe" in name}
    assert methods <= set(node.methods.table)
    assert len(methods) > 30
