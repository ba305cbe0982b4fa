"""The checks of JSON values say what serde says: the words were recorded from solana-test-validator 3.1.12."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet import serde
from awm_crank.localnet.serde import (
    Default,
    MismatchError,
    boolean,
    enum,
    integer,
    option,
    sequence,
    string,
    struct,
    unit,
)

ENCODING = enum(("base58", "base64", "bytes"))
FILTER = enum({"size": integer("u64"), "all": unit})
SLICE = struct("UiDataSliceConfig", {"offset": integer("usize"), "length": integer("usize")})
SEND = struct("Send", {"skip": Default(boolean, False), "retries": option(integer("usize"))})
FLAT = struct("Flat", {"a": option(string)}, flat={"commitment": option(enum(("processed",)))})


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (string, None, "invalid type: null, expected a string"),
        (string, True, "invalid type: boolean `true`, expected a string"),
        (string, 5, "invalid type: integer `5`, expected a string"),
        (string, 1.5, "invalid type: floating point `1.5`, expected a string"),
        (string, 2**64, "invalid type: floating point `1.8446744073709552e19`, expected a string"),
        (string, [], "invalid type: sequence, expected a string"),
        (string, {}, "invalid type: map, expected a string"),
        (boolean, "x", 'invalid type: string "x", expected a boolean'),
        (integer("u64"), -1, "invalid value: integer `-1`, expected u64"),
        (integer("u8", 255), 256, "invalid value: integer `256`, expected u8"),
        (integer("u64"), True, "invalid type: boolean `true`, expected u64"),
        (sequence(string), [5], "invalid type: integer `5`, expected a string"),
        (ENCODING, "x", "unknown variant `x`, expected one of `base58`, `base64`, `bytes`"),
        (ENCODING, 5, "invalid type: integer `5`, expected string or map"),
        (ENCODING, {}, "invalid value: map, expected map with a single key"),
        (enum(("mint", "programId")), "x", "unknown variant `x`, expected `mint` or `programId`"),
        (FILTER, "size", "invalid type: unit variant, expected newtype variant"),
        (SLICE, {}, "missing field `offset`"),
        (SLICE, [5], "invalid length 1, expected struct UiDataSliceConfig with 2 elements"),
        (SLICE, [1, 2, 3], "invalid length 3, expected fewer elements in array"),
        (SEND, [], "invalid length 1, expected struct Send with 2 elements"),
        (SEND, {"skip": None}, "invalid type: null, expected a boolean"),
        (FLAT, [], "invalid type: sequence, expected struct Flat"),
        (serde.untagged("Either", string, boolean), 5, "data did not match any variant of untagged enum Either"),
    ],
)
def test_words(check: serde.Check, value: Any, words: str) -> None:
    """A value that does not fit is refused in serde's words."""
    with pytest.raises(MismatchError) as caught:
        check(value)
    assert str(caught.value) == words


def test_what_fits() -> None:
    """A value that passes is returned, with defaults and nulls for omitted members."""
    assert SLICE([1, 2]) == SLICE({"offset": 1, "length": 2, "more": 3}) == {"offset": 1, "length": 2}
    assert SEND({}) == {"skip": False, "retries": None}
    assert FLAT({"commitment": "soon"}) == {"a": None, "commitment": None}
    assert FLAT({"commitment": "processed"}) == {"a": None, "commitment": "processed"}
    assert FILTER({"all": None}) == FILTER("all") == "all"
    assert FILTER({"size": 5}) == {"size": 5}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_value(value: Any) -> None:
    """No value does anything but fit or not, and every value can be shown."""
    for check in (ENCODING, FILTER, SLICE, SEND, FLAT, sequence(ENCODING)):
        try:
            check(value)
        except MismatchError as error:
            assert str(error)
    assert serde.debug(value)
    assert serde.shown(value)
