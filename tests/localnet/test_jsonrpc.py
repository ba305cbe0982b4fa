"""JSON-RPC requests as text: which ones get an answer, and no text raises an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet.faults import RequestError
from awm_crank.localnet.jsonrpc import respond


class Panic(BaseException):
    """The exception that solders raises where it should not."""


def fail(_params: list[Any]) -> bytes:
    raise RequestError(-5, "no", b"[1]")


def panic(_params: list[Any]) -> bytes:
    raise Panic


_VERSION: dict[str, Any] = {"jsonrpc": "2.0"}
METHODS = {"echo": lambda params: json.dumps(params).encode(), "fail": fail, "panic": panic}


def ask(value: object) -> Any:
    """The answer to a JSON value."""
    answer = respond(json.dumps(value).encode(), METHODS)
    return None if answer is None else json.loads(answer)


@pytest.mark.parametrize("identity", [1, 0, "a", None, 2**53, 2**64 - 1])
def test_id_comes_back(identity: object) -> None:
    """A request is answered with its own id, of whatever type a validator takes."""
    answer = ask({"jsonrpc": "2.0", "id": identity, "method": "echo", "params": [1, "x"]})
    assert answer == {"jsonrpc": "2.0", "result": [1, "x"], "id": identity}


def test_without_id_is_no_question() -> None:
    """A notification is not answered, whether it works or fails."""
    assert ask({"jsonrpc": "2.0", "method": "echo"}) is None
    assert ask({"jsonrpc": "2.0", "method": "fail"}) is None
    assert ask({"jsonrpc": "2.0", "method": "panic"}) is None
    assert ask([{"jsonrpc": "2.0", "method": "echo"}]) is None


@pytest.mark.parametrize(
    ("value", "code", "identity"),
    [
        ({"id": 1, "method": "nothing"}, -32601, 1),
        ({"id": 1, "method": "fail"}, -5, 1),
        ({"id": 1, "method": "panic"}, -32603, 1),
        ({"id": 1}, -32600, 1),
        ({"id": 1, "method": 3}, -32600, 1),
        ({"id": 1, "method": "echo", "params": 5}, -32600, 1),
        ({"id": 1, "method": "echo", "more": 5}, -32600, 1),
        ({"id": 1, "method": "echo", "jsonrpc": "1.0"}, -32600, 1),
        ({"id": 1, "method": "echo", "jsonrpc": None}, -32600, 1),
        ({"id": [1], "method": "echo"}, -32700, None),
        ({"id": -1, "method": "echo"}, -32700, None),
        ({"id": 1.5, "method": "echo"}, -32700, None),
        ({"id": True, "method": "echo"}, -32700, None),
        (3, -32700, None),
    ],
)
def test_errors(value: Any, code: int, identity: object) -> None:
    """Each kind of failure has its code, and the request's id if it has one."""
    answer = ask(_VERSION | value if isinstance(value, dict) else value)
    assert answer["error"]["code"] == code
    assert answer["id"] == identity


def test_without_a_version() -> None:
    """A request that does not say its protocol's version is refused by an answer that does not say one either."""
    error = {"code": -32600, "message": "Unsupported JSON-RPC protocol version"}
    assert ask({"id": 1, "method": "echo"}) == {"error": error, "id": 1}


def test_data_of_an_error() -> None:
    """The answer carries an error's data."""
    answer = ask({"jsonrpc": "2.0", "id": 1, "method": "fail"})
    assert answer["error"] == {"code": -5, "message": "no", "data": [1]}


def test_batch() -> None:
    """A batch is answered item by item. Bad requests get errors, notifications no answer, and no requests none."""
    asked: list[dict[str, Any]] = [
        {"id": 1, "method": "echo"},
        {"id": 3},
        {"method": "echo"},
        {"id": 2, "method": "nothing"},
    ]
    answers = ask([_VERSION | item for item in asked])
    assert [answer["id"] for answer in answers] == [1, 3, 2]
    assert answers[1]["error"]["code"] == -32600
    assert ask([]) is None
    # one element that is not an object makes the whole batch invalid
    assert ask([*answers, 7])["error"]["code"] == -32700


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_noise(body: bytes) -> None:
    """A body that is not JSON gives a parse error, and any other gets an answer."""
    answer = respond(body, METHODS)
    assert answer is not None
    error = json.loads(answer)["error"]
    assert error["code"] in (-32700, -32600)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "method", "params", "jsonrpc"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_any_json(value: object) -> None:
    """Any JSON value is answered in JSON-RPC form, or not at all."""
    answer = ask(value)
    for item in answer if isinstance(answer, list) else [answer]:
        assert item is None or "error" in item or item["jsonrpc"] == "2.0"


def test_deep_nesting() -> None:
    """Nesting that would overflow the stack gives a parse error."""
    answer = respond(b"[" * 100_000, METHODS)
    assert answer is not None
    assert json.loads(answer)["error"]["code"] == -32700
