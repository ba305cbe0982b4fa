"""The reference engine matches the golden vectors, decays to zero, and reacts to every byte of input, weight
and state.
"""

import numpy as np
import pytest
from engine import golden
from hypothesis import given, settings
from hypothesis import strategies as st

from awm_crank.engine import frame
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import Shape
from awm_crank.engine.reference import ReferenceEngine, ReferenceState
from awm_crank.engine.seeded import SHAPES, Stream, cartridge, random_inputs
from awm_crank.errors import StateError
from awm_crank.wire import frame_records

START = frame.start_block(32, (1, 2))
TINY = cartridge(SHAPES["tiny"], 1)
ENGINE = ReferenceEngine(TINY)


@pytest.mark.parametrize("name", golden.RUNS)
def test_golden(name: str) -> None:
    """Every frame and state of the golden runs is right, from a cartridge that the seed reproduces byte for byte."""
    expected = golden.expected()[name]
    made = golden.make(name)
    assert made.sha256.hex() == expected["cartridge"]
    assert {"cartridge": made.sha256.hex(), **golden.run(ReferenceEngine(made), name)} == expected


def final_hash(cart: Cartridge, inputs: list[bytes], *, spoil: int | None = None) -> str:
    """`final_state_sha256` (docs/formats.md) of a match, optionally with one state byte altered after the start."""
    engine = ReferenceEngine(cart)
    block, state = START, engine.start_state(START)
    if spoil is not None:
        raw = bytearray(engine.dump(state))
        raw[spoil] ^= 1
        state = engine.load(bytes(raw))
    for pads in inputs:
        block = engine.heads(engine.backbone(state, block), block, pads)
    return frame_records.final_state_sha256(len(inputs), block[:64], engine.dump(state), block[64:80])


INPUTS = random_inputs(Stream(9), "sensitivity", 48)
PLAIN = final_hash(TINY, INPUTS)


@pytest.mark.parametrize("byte", range(16))
def test_one_controller_byte_changes_the_match(byte: int) -> None:
    """Changing an input by one unit of a stick or one bit of a button changes the match."""
    pads = bytearray(INPUTS[5])
    if byte % 8 in (4, 5):
        pads[byte] = 255
    elif byte % 8 == 7:
        pads[byte] ^= 4
    else:
        pads[byte] ^= 1
    if bytes(pads) == INPUTS[5]:
        pads[byte] = 254
    assert final_hash(TINY, [*INPUTS[:5], bytes(pads), *INPUTS[6:]]) != PLAIN


@pytest.mark.parametrize(
    "tensor", ["frame_proj.w", "layers.0.in_proj.w", "layers.1.out_proj.w", "layers.0.conv_w", "ctrl_proj.w"]
)
def test_one_weight_changes_the_match(tensor: str) -> None:
    """Changing one weight by one step of its scale changes the match."""
    arrays = {name: array.copy() for name, array in TINY.arrays.items()}
    flat = arrays[tensor].reshape(-1)
    flat[3] += 1 if flat[3] < 100 else -1
    other = Cartridge.build(
        name=TINY.name,
        version=1,
        shape=TINY.shape,
        formats=TINY.formats,
        luts=TINY.luts,
        arrays=arrays,
        total_params=TINY.total_params,
    )
    assert final_hash(other, INPUTS) != PLAIN


@pytest.mark.parametrize("place", ["high plane", "tail", "step counter"])
def test_one_state_byte_changes_the_match(place: str) -> None:
    """Changing one bit of a state value, of the convolution's tail, or of the step counter changes the match."""
    values = TINY.shape.state_values
    at = {"high plane": 77, "tail": TINY.shape.d_inner * TINY.shape.d_state + 3, "step counter": 2 * values}[place]
    assert final_hash(TINY, INPUTS, spoil=at) != PLAIN


def test_another_seed_is_another_match() -> None:
    """Another seed of the weights gives another match."""
    assert final_hash(cartridge(SHAPES["tiny"], 2), INPUTS) != PLAIN


def test_same_inputs_same_match() -> None:
    """Two runs are the same to the last bit."""
    assert final_hash(TINY, INPUTS) == PLAIN


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_bytes_are_a_state_and_come_back(random: object) -> None:
    """load and dump are each other's inverse on any bytes, and a step from any state stays within int16."""
    data = random.randbytes(ENGINE.state_size)  # type: ignore[attr-defined]
    state = ENGINE.load(data)
    assert ENGINE.dump(state) == data
    block = ENGINE.heads(ENGINE.backbone(state, START), START, bytes(16))
    frame.unpack(block)
    assert np.abs(state.h).max() <= 32768 and np.abs(state.tail).max() <= 32768
    assert len(ENGINE.dump(state)) == ENGINE.state_size


def test_dump_has_the_described_plane_first() -> None:
    """A dump has the high bytes layer by layer, h before tail; then the low bytes in that order; then the counter."""
    state = ENGINE.start_state(START)
    state.h[1, 2, 3, 4] = -2
    state.tail[0, 1, 5] = 513
    data = ENGINE.dump(state)
    shape = TINY.shape
    layer = shape.d_inner * shape.d_state + 3 * shape.conv_dim
    at_h = layer + (2 * shape.headdim + 3) * shape.d_state + 4
    at_tail = shape.d_inner * shape.d_state + shape.conv_dim + 5
    values = shape.state_values
    assert (data[at_h], data[values + at_h]) == (255, 254)
    assert (data[at_tail], data[values + at_tail]) == (2, 1)
    assert data[-4:] == (9).to_bytes(4, "little")


@pytest.mark.parametrize("size", [0, 1, ENGINE.state_size - 1, ENGINE.state_size + 1])
def test_state_of_another_length_is_refused(size: int) -> None:
    """A state of another cartridge is refused."""
    with pytest.raises(StateError, match="recurrent state length"):
        ENGINE.load(bytes(size))


def test_copy_steps_back_one_frame() -> None:
    """Steps of the original do not change its copy, which gives the same frame again."""
    state = ENGINE.start_state(START)
    kept = ENGINE.copy(state)
    before = ENGINE.dump(kept)
    first = ENGINE.heads(ENGINE.backbone(state, START), START, bytes(16))
    assert ENGINE.dump(kept) == before
    assert ENGINE.heads(ENGINE.backbone(kept, START), START, bytes(16)) == first


def test_heads_can_be_asked_again() -> None:
    """One context serves any number of inputs, in any order."""
    ctx = ENGINE.backbone(ENGINE.start_state(START), START)
    first = ENGINE.heads(ctx, START, bytes(16))
    assert ENGINE.heads(ctx, START, b"\x50" * 16) != first
    assert ENGINE.heads(ctx, START, bytes(16)) == first


def test_bad_block_changes_nothing() -> None:
    """A refused block leaves the state unchanged."""
    state = ENGINE.start_state(START)
    before = ENGINE.dump(state)
    with pytest.raises(StateError):
        ENGINE.backbone(state, START[:60] + b"\xff\xff" + START[62:])
    assert ENGINE.dump(state) == before
    with pytest.raises(StateError, match="inputs length"):
        ENGINE.outputs(ENGINE.backbone(state, START), bytes(16), bytes(3))


def silent(decay_alpha: int) -> Cartridge:
    """A one-layer model whose scan input is exactly zero: the x, B and C rows and the convolution's bias are zero."""
    source = cartridge(Shape(32, 32, 16, 16, 1), 3)
    arrays = {name: array.copy() for name, array in source.arrays.items()}
    inner, heads = source.shape.d_inner, source.shape.num_heads
    arrays["layers.0.in_proj.w"][inner:-heads] = 0
    arrays["layers.0.conv_b"][:] = 0
    arrays["layers.0.alpha"][:] = decay_alpha
    return Cartridge.build(
        name="silent",
        version=1,
        shape=source.shape,
        formats=source.formats,
        luts=source.luts,
        arrays=arrays,
        total_params=source.total_params,
    )


@pytest.mark.parametrize("alpha", [1 << 24, 1 << 21])
def test_impulse_decays_to_zero_from_above_and_below(alpha: int) -> None:
    """Without input every state value, of either sign, only shrinks, never changes sign, and reaches zero."""
    engine = ReferenceEngine(silent(alpha))
    state = engine.load(bytes(engine.state_size))
    state.h[:] = np.where(np.arange(state.h.size).reshape(state.h.shape) % 2, 32767, -32768)
    state.h[0, 0, :4] = 1
    state.h[0, 1, :4] = -1
    for _ in range(40_000):
        before = state.h.copy()
        engine.backbone(state, START)
        assert (np.abs(state.h) <= np.abs(before)).all()
        assert (state.h * before >= 0).all()
        if not state.h.any():
            break
    assert not state.h.any()


def test_slowest_possible_decay_still_moves() -> None:
    """At the slowest possible decay, 32,768 updates take at least one unit from every value, as promised.

    The update is section 6.5's with q = 0, for all dither values.
    """
    h = np.array([1, -1, 2, -2, 100, -100, 32767, -32768], np.int32)
    value = h.copy()
    for t in range(32768):
        value = (value * 32767 + t * 26843 % 32768) >> 15
    assert (np.abs(value) < np.abs(h)).all()
    assert (value * h >= 0).all()


def test_step_counter_wraps() -> None:
    """The counter is 32 bits; the step after its last value is 0."""
    state = ENGINE.start_state(START)
    state.step = 2**32 - 1
    ENGINE.backbone(state, START)
    assert state.step == 0
    assert isinstance(state, ReferenceState)


def test_low_bits_of_the_position_reach_the_model() -> None:
    """1/256 of a game unit changes the state, so the model reads the chain's number in full."""
    moved = (-30 * 256 + 1).to_bytes(4, "little", signed=True) + START[4:]
    assert ENGINE.frame_vector(moved)[0].tolist() == ENGINE.frame_vector(START)[0].tolist()
    assert ENGINE.frame_vector(moved)[1].tolist() != ENGINE.frame_vector(START)[1].tolist()
    assert ENGINE.dump(ENGINE.start_state(moved)) != ENGINE.dump(ENGINE.start_state(START))
