"""The systems' arguments in both forms."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from wire.strategies import KEYS, PLAYERS, exactly

from awm_crank.errors import LayoutError
from awm_crank.wire import args, ids
from awm_crank.wire.args import FrameArgs, Input, Lifecycle

ONE, THREE = Pubkey.from_bytes(b"\x01" * 32), Pubkey.from_bytes(b"\x03" * 32)

# What bolt-sdk's SerializeArgs made of a browser client's objects, as recorded.
CREATE_JSON = (
    b'{"action":0,"player":"4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi","character":2,"stage":32,'
    b'"model":"CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8","max_frames":28800,"seed":1700000000000,'
    b'"d_inner":256,"d_state":16,"num_layers":2}'
)
INPUT_JSON = (
    b'{"player":"4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi","stick_x":-80,"stick_y":80,"c_stick_x":0,'
    b'"c_stick_y":0,"trigger_l":0,"trigger_r":255,"buttons":3,"buttons_ext":0}'
)
CREATE = Lifecycle(0, ONE, 2, 32, THREE, 28800, 1700000000000, 256, 16, 2)
TILT = Input(ONE, bytes([0xB0, 80, 0, 0, 0, 255, 3, 0]))

U8, U16, U32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
U64 = st.integers(0, (1 << 64) - 1)
LIFECYCLES = st.builds(Lifecycle, st.integers(0, 2), KEYS, U8, U8, KEYS, U32, U64, U16, U16, U8, KEYS)
INPUTS = st.builds(Input, KEYS, exactly(8), U32)
FRAMES = st.builds(FrameArgs, U32, U32, exactly(16), exactly(2), PLAYERS, exactly(16))


def test_json_is_what_clients_send() -> None:
    """Our JSON is byte for byte what existing clients send."""
    assert CREATE.to_json() == CREATE_JSON
    assert TILT.to_json() == INPUT_JSON
    assert Lifecycle.decode(CREATE_JSON) == CREATE
    assert Input.decode(INPUT_JSON) == TILT


def test_added_keys_are_optional() -> None:
    """`writer` and `frame` are written only where they differ from their defaults."""
    named = Lifecycle(0, ONE, writer=THREE)
    assert json.loads(named.to_json())["writer"] == str(THREE)
    assert json.loads(Input(ONE, bytes(8), 9).to_json())["frame"] == 9
    assert Lifecycle.decode(named.to_json()) == named
    assert "writer" not in json.loads(CREATE.to_json())


def test_binary_layout() -> None:
    """The compact forms are those of docs/formats.md, with tag 1 first."""
    raw = CREATE.to_binary()
    assert raw == (
        b"\x01\x00" + bytes(ONE) + b"\x02\x20" + bytes(THREE) + (28800).to_bytes(4, "little")
        + (1700000000000).to_bytes(8, "little") + b"\x00\x01\x10\x00\x02" + bytes(64)
        + (300).to_bytes(2, "little")
    )  # fmt: skip
    assert len(raw) == 151
    assert TILT.to_binary() == b"\x01" + bytes(ONE) + TILT.input + bytes(4)
    frame = FrameArgs(5, 6, b"i" * 16, b"\0\1", b"p" * 64, b"f" * 16)
    assert frame.to_binary() == b"\x01\x05\0\0\0\x06\0\0\0" + b"i" * 16 + b"\0\1" + b"p" * 64 + b"f" * 16


@given(LIFECYCLES)
def test_lifecycle_round_trips(value: Lifecycle) -> None:
    """Both forms of session-lifecycle's arguments decode to the same value."""
    assert Lifecycle.decode(value.to_binary()) == value
    assert Lifecycle.decode(value.to_json()) == value
    assert not args.is_json(value.to_binary())


@given(INPUTS)
def test_input_round_trips(value: Input) -> None:
    """Both forms of submit-input's arguments decode to the same value."""
    assert Input.decode(value.to_binary()) == value
    assert Input.decode(value.to_json()) == value


@given(FRAMES)
def test_frame_round_trips(value: FrameArgs) -> None:
    """run-inference's arguments decode to the same value."""
    assert FrameArgs.decode(value.to_binary()) == value
    assert len(value.to_binary()) == 107


@given(st.permutations(list(json.loads(CREATE_JSON))), st.sampled_from(["", " ", "\n\t "]))
def test_json_is_read_in_any_order(keys: list[str], space: str) -> None:
    """Keys are read in any order, after white space and among unknown keys, with numbers as strings and keys as 32
    numbers.
    """
    document = json.loads(CREATE_JSON)
    document["player"] = list(bytes(ONE))
    document["seed"] = str(document["seed"])
    text = space + json.dumps({"unknown": [1.5, None], **{key: document[key] for key in keys}})
    assert args.is_json(text.encode())
    assert Lifecycle.decode(text.encode()) == CREATE


@pytest.mark.parametrize("key", sorted(json.loads(CREATE_JSON)))
def test_missing_keys_are_refused(key: str) -> None:
    """Each of the ten JSON keys of a CREATE is required, and named when it is missing."""
    document = json.loads(CREATE_JSON)
    del document[key]
    with pytest.raises(LayoutError, match=f"JSON key {key}; expected to be there"):
        Lifecycle.decode(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("action", 3), ("action", -1), ("action", True), ("action", 1.0), ("action", None), ("action", "one"),
        ("character", 256), ("seed", 1 << 64), ("seed", "1" * 5000), ("seed", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("player", "short"), ("player", [1] * 31), ("player", [256] * 32), ("player", 7), ("model", "0" * 44),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(key: str, value: object) -> None:
    """A value of another type or out of range is refused with a typed error."""
    document = {**json.loads(CREATE_JSON), key: value}
    with pytest.raises(LayoutError):
        Lifecycle.decode(json.dumps(document).encode())


@pytest.mark.parametrize("kind", [Lifecycle, Input, FrameArgs])
@given(
    data=st.binary(max_size=140)
    | st.binary(max_size=140).map(lambda raw: b"\x01" + raw)
    | st.text().map(lambda t: b"{" + t.encode("utf-8", "surrogatepass"))
)
def test_decoders_are_total(kind: type[Lifecycle | Input | FrameArgs], data: bytes) -> None:
    """Any bytes decode or raise LayoutError, and nothing else."""
    try:
        value = kind.decode(data)
    except LayoutError:
        return
    assert kind.decode(value.to_binary()) == value


def test_deep_json_is_refused() -> None:
    """Deeply nested JSON is refused, and does not overflow the stack."""
    with pytest.raises(LayoutError):
        Lifecycle.decode(b'{"action":' + b"[" * 100_000)


def test_wrong_tag_and_length_are_refused() -> None:
    """Binary arguments of another version or length are refused."""
    with pytest.raises(LayoutError, match=r"tag at 0; expected 1\.\.1, found 2"):
        Input.decode(b"\x02" + TILT.to_binary()[1:])
    with pytest.raises(LayoutError, match="45 bytes"):
        Input.decode(TILT.to_binary() + b"\0")
    with pytest.raises(LayoutError, match="action"):
        Lifecycle(3, ids.WORLD).to_json()
