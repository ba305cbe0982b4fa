"""submit-input: who may send an input, for which frame, and where it is stored."""

from __future__ import annotations

import json
import struct

import pytest
from svm.rig import INPUT_COMPONENTS, NEUTRAL, Chain, Error, Session

from awm_crank.wire import ids
from awm_crank.wire.args import Input

A, B, C = (bytes([n, 0, 0, 0, 0, 0, n, 0]) for n in (1, 2, 3))


def slots(s: Session) -> tuple[int, bytes, bytes, bytes, bytes, bytes, bytes]:
    """frame, current inputs of both, their flags, waiting inputs of both, their flags."""
    data = s.data(ids.INPUT_BUFFER)
    return struct.unpack_from("<I8s8s2s", data, 8) + struct.unpack_from("<8s8s2s", data, 62)


def test_first_is_the_frames_and_a_further_one_waits(session: Session) -> None:
    """The first input is used for the coming frame. Later ones wait for the frame after it, and the last of them is
    used there.
    """
    session.submit(session.player1, A)
    assert slots(session) == (1, A, NEUTRAL, b"\1\0", NEUTRAL, NEUTRAL, b"\0\0")
    session.submit(session.player1, B)
    session.submit(session.player1, C)
    session.submit(session.player2, B)
    assert slots(session) == (1, A, B, b"\1\1", C, NEUTRAL, b"\1\0")
    session.step()
    assert slots(session) == (2, C, B, b"\1\0", NEUTRAL, NEUTRAL, b"\0\0")
    session.step()
    assert slots(session) == (3, C, B, b"\0\0", NEUTRAL, NEUTRAL, b"\0\0")


def test_an_input_never_changes_the_session(session: Session) -> None:
    """World writes session-state back with every input, and not a byte of it changes."""
    before = session.data(ids.SESSION_STATE)
    session.submit(session.player2, A)
    assert session.data(ids.SESSION_STATE) == before


def test_frame_option(session: Session) -> None:
    """`frame` decides for which frame an input is stored; an input for any other frame is refused."""
    p1, chain = session.player1, session.chain
    session.submit(p1, B, frame=2)
    assert slots(session)[4:] == (B, NEUTRAL, b"\1\0")
    session.submit(p1, A, frame=1)
    assert slots(session)[:4] == (1, A, NEUTRAL, b"\1\0")
    chain.refused(Error.InputAlreadyGiven, session.input(p1, C, 1), signers=[p1])
    session.submit(p1, C, frame=2)
    assert slots(session)[4] == C
    for frame in (3, 2**32 - 1):
        chain.refused(Error.InputFrameMismatch, session.input(p1, C, frame), signers=[p1])
    session.step()
    chain.refused(Error.InputFrameMismatch, session.input(p1, C, 1), signers=[p1])


def test_stale_buffer_moves_on(session: Session) -> None:
    """When the buffer is for an older frame, its flags and waiting inputs are
    cleared first, and the held bytes stay.
    """
    chain, key = session.chain, session.at(ids.INPUT_BUFFER)
    data = bytearray(session.data(ids.INPUT_BUFFER))
    data[8:12], data[12:20], data[20:28], data[28:30] = bytes([9, 0, 0, 0]), A, B, b"\1\1"
    data[62:80] = C + C + b"\1\1"
    chain.put(key, bytes(data), ids.INPUT_BUFFER)
    session.submit(session.player2, C)
    assert slots(session) == (1, A, C, b"\0\1", NEUTRAL, NEUTRAL, b"\0\0")


def test_json_form(session: Session) -> None:
    """The nine keys of existing clients are accepted; sticks are signed and `frame` is optional."""
    data = bytes([0xB0, 0x50, 0x80, 0x7F, 255, 1, 0xFF, 0x0F])
    args = Input(session.p1, data).to_json()
    assert json.loads(args)["stick_x"] == -80
    ix = session.apply(ids.SUBMIT_INPUT, session.player1, INPUT_COMPONENTS, args)
    session.chain.ok(ix, signers=[session.player1])
    assert slots(session)[1] == data
    ix = session.apply(ids.SUBMIT_INPUT, session.player1, INPUT_COMPONENTS, Input(session.p1, A, 2).to_json())
    session.chain.ok(ix, signers=[session.player1])
    assert slots(session)[4] == A


@pytest.mark.parametrize(
    "change",
    [{"stick_x": 128}, {"stick_y": -129}, {"trigger_l": 256}, {"buttons": -1}, {"frame": 2**32}, {"player": 1}],
)
def test_bad_json_value(session: Session, change: dict[str, object]) -> None:
    """A value out of its field's range is refused."""
    document = json.loads(Input(session.p1, A).to_json()) | change
    ix = session.apply(ids.SUBMIT_INPUT, session.player1, INPUT_COMPONENTS, json.dumps(document).encode())
    session.chain.refused(Error.InvalidArguments, ix, signers=[session.player1])


@pytest.mark.parametrize("key", json.loads(Input(ids.WORLD, A).to_json()))
def test_missing_json_key(session: Session, key: str) -> None:
    """Each of the nine JSON keys of an input is required."""
    document = json.loads(Input(session.p1, A).to_json())
    del document[key]
    ix = session.apply(ids.SUBMIT_INPUT, session.player1, INPUT_COMPONENTS, json.dumps(document).encode())
    session.chain.refused(Error.InvalidArguments, ix, signers=[session.player1])


def test_who_may(chain: Chain, session: Session) -> None:
    """Only a player may send an input, only with its own signature, and only in a running match."""
    forged = session.apply(ids.SUBMIT_INPUT, session.player2, INPUT_COMPONENTS, Input(session.p1, A).to_binary())
    chain.refused(Error.MissingSignature, forged, signers=[session.player2])
    chain.refused(Error.NotAPlayer, session.input(session.writer, A), signers=[session.writer])
    waiting = Session.new(chain, 1)
    chain.refused(Error.NotActive, waiting.input(waiting.player1, A), signers=[waiting.player1])
    chain.ok(session.lifecycle(2, session.player1), signers=[session.player1])
    chain.refused(Error.NotActive, session.input(session.player1, A), signers=[session.player1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"stick_x":', '"x":,,"stick_x":'), ('"stick_x":', '"x":]],"stick_x":'), ('"stick_x":1', '"stick_x":"1x'),
        ('"stick_x":1', '"stick_x":1.5'), ('"stick_x":1', '"stick_x":1e0'), ('"stick_x":1', '"stick_x":"1'),
        ('"stick_x":1', '"stick_x":"1 "'), ('"stick_x":1', '"stick_x":-'), ('"stick_x":1', '"stick_x":'),
        ('"stick_x":1,', '"stick_x":1'), ('{"', '{,"'), ("}", ",}"), ("}", '}"'), ("}", ""), ("}", ',"x":'),
        ("}", ',"x":['), ("}", ',"x":"'), ("}", ',"x":"\\"}'), ("}", ',"x"}'),
    ],
)  # fmt: skip
def test_malformed_json(session: Session, old: str, new: str) -> None:
    """A JSON document that is broken in one place is refused, wherever that place is."""
    text = json.dumps(json.loads(Input(session.p1, A).to_json()), separators=(",", ":"))
    assert text.count(old) == 1 or old == '{"'
    ix = session.apply(ids.SUBMIT_INPUT, session.player1, INPUT_COMPONENTS, text.replace(old, new, 1).encode())
    session.chain.refused(Error.InvalidArguments, ix, signers=[session.player1])
