"""Rollout coherence: a closed loop of K frames against a replay."""

from itertools import pairwise

from awm_crank.engine import frame
from awm_crank.engine.layout import Shape
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline import checkpoint, coherence, fidelity, seeded_checkpoint
from awm_crank.engine.offline.quantize import quantize
from awm_crank.engine.seeded import Stream, random_inputs

SOURCE = checkpoint.read(seeded_checkpoint.checkpoint(Shape(64, 64, 4, 16, 1), 1))
ENGINE = NativeEngine(quantize(SOURCE, name="c", frames=30))
MODEL = fidelity.dequantized_model(ENGINE.cartridge)


def test_own_play_has_no_error() -> None:
    """The engine's own play is a replay that it follows exactly; a replay that moves by one unit a frame more is 1, 2,
    3, … units away on one of four axes."""
    block = frame.start_block(32, (1, 2))
    blocks = fidelity.play(ENGINE, [block], [random_inputs(Stream(4), "own", 60)])[0]
    found = coherence.coherence(ENGINE, MODEL, [blocks], 30)
    assert found["INT8"] == {5: 0.0, 10: 0.0, 20: 0.0}
    assert 0 <= found["FP32"][5] < 0.5
    moved = list(blocks)
    for n in range(30, 60):
        x = int.from_bytes(blocks[n][:4], "little", signed=True) + 256 * (n - 29)
        moved[n] = x.to_bytes(4, "little", signed=True) + blocks[n][4:]
    found = coherence.coherence(ENGINE, MODEL, [moved], 30)
    assert found["INT8"] == {5: 3 / 4, 10: 5.5 / 4, 20: 10.5 / 4}


def test_no_piece_runs_over_a_match_s_end() -> None:
    """Pieces have the requested length, are evenly spread, and none spans the end of a match."""
    one = frame.start_block(32, (1, 2))
    fewer = one[:25] + b"\x01" + one[26:]
    blocks = [one] * 50 + [fewer] * 50 + [one] * 50
    pieces = coherence.cut(blocks, 20, 7)
    assert len(pieces) == 7 and all(len(piece) == 20 for piece in pieces)
    assert not any(a == fewer and b == one for piece in pieces for a, b in pairwise(piece))
    assert coherence.cut(blocks, 120, 7) == []
