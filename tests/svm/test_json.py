"""The systems' JSON reader, fuzzed: it reads what Python reads, and garbage never harms it."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from svm.rig import Chain, Error, Session

from awm_crank.errors import LayoutError
from awm_crank.wire import ids
from awm_crank.wire.args import Input

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXECUTE = hashlib.sha256(b"global:bolt_execute").digest()[:8]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def active() -> Session:
    """One session for all examples, since a system that is called directly changes nothing."""
    return Session.active(Chain(), capacity=0)


def execute(s: Session, args: bytes) -> bytes | int:
    """Calls submit-input directly. Returns the buffer struct or the custom error, and fails on any other failure."""
    keys = (s.p1, s.at(ids.SESSION_STATE), s.at(ids.INPUT_BUFFER))
    data = EXECUTE + struct.pack("<I", len(args)) + args
    ix = Instruction(ids.SUBMIT_INPUT, data, [AccountMeta(key, False, False) for key in keys])
    result: Any = s.chain.send(ix)
    if hasattr(result, "err"):
        found: Any = json.loads(result.err().to_json())
        assert isinstance(found, list), result.meta().logs()
        return int(found[1])
    return bytes(result.return_data().data)[-136:]


@FUZZ
@given(data=st.data())
def test_any_order_and_company(active: Session, data: st.DataObject) -> None:
    """Keys are read in any order, among unknown keys and white space, with keys and numbers in either form."""
    controller = data.draw(st.binary(min_size=8, max_size=8))
    document: dict[str, Any] = json.loads(Input(active.p1, controller).to_json())
    for key in document:
        if key != "player" and data.draw(st.booleans()):
            document[key] = str(document[key])
    if data.draw(st.booleans()):
        document["player"] = list(bytes(active.p1))
    names = st.text(min_size=1, max_size=8).filter(lambda name: name != "frame")
    unknown = data.draw(st.dictionaries(names, JSON_VALUES, max_size=3))
    entries = data.draw(st.permutations(list({**unknown, **document}.items())))
    indent = data.draw(st.sampled_from([None, 0, 1, "\t"]))
    text = json.dumps(dict(entries), indent=indent, ensure_ascii=data.draw(st.booleans())).encode()
    if len(text) > 800:
        return
    found = execute(active, data.draw(st.sampled_from([b"", b" ", b"\n\t"])) + text + b" ")
    assert isinstance(found, bytes), (found, text)
    assert found[4:12] == controller
    assert found[20] == 1


@FUZZ
@given(at=st.integers(0, 400), replacement=st.binary(max_size=3), length=st.integers(0, 3))
def test_damaged_text(active: Session, at: int, replacement: bytes, length: int) -> None:
    """A damaged document is refused or read as Python reads it, and the program never reads out of bounds."""
    text = Input(active.p1, bytes(range(1, 9))).to_json()
    at %= len(text)
    text = text[:at] + replacement + text[at + length :]
    found = execute(active, text)
    try:
        args = Input.decode(text)
    except (LayoutError, ValueError):
        return
    if isinstance(found, int):
        assert args.player != active.p1 or found in (Error.InvalidArguments, Error.InputFrameMismatch)
    elif not args.frame:
        assert found[4:12] == args.input


@FUZZ
@given(junk=st.binary(min_size=1, max_size=200))
def test_junk(active: Session, junk: bytes) -> None:
    """Bytes in neither form are refused with an error number."""
    assert execute(active, b"{" + junk) in (Error.InvalidArguments, Error.MissingSignature)
    assert execute(active, b"\2" + junk) == Error.InvalidArguments


@FUZZ
@given(raw=st.binary(min_size=32, max_size=32), zeros=st.integers(0, 32))
def test_base58(active: Session, raw: bytes, zeros: int) -> None:
    """A key is read as Solana reads it, with leading zeros, so another player's key is never taken for it."""
    key = Pubkey.from_bytes(bytes(zeros) + raw[zeros:])
    args = json.loads(Input(key, bytes(8)).to_json())
    assert args["player"] == str(key)
    assert execute(active, json.dumps(args).encode()) == Error.MissingSignature
    for wrong in ("1" + str(key), str(key)[:-1] + "0", str(key) + "z" * 13):
        args["player"] = wrong
        assert execute(active, json.dumps(args).encode()) == Error.InvalidArguments
