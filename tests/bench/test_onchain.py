"""The engine program computes what the native engine computes, bit for bit, for every kind of shape."""

from __future__ import annotations

import hashlib

import pytest
from engine import golden, kernels

from awm_crank.bench.onchain import OnchainWorld
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.engine.seeded import SHAPES
from awm_crank.wire.onchain import MAX_PART_WORDS

FRAMES = {name: 8 for name in golden.RUNS if name not in ("4.3M", "15.8M", "19.9M")}
"""Frames of each run; tools/onchain_frames.py plays the large shapes, and more frames."""


def opened(made: Cartridge, block: bytes, part_words: int = MAX_PART_WORDS) -> tuple[OnchainWorld, NativeEngine]:
    """A world whose image is built and whose run begins at `block`, and the native engine to compare it with."""
    world = OnchainWorld(made, part_words)
    world.allocate()
    world.build()
    world.open(block)
    return world, NativeEngine(made)


@pytest.mark.parametrize("name", FRAMES)
def test_golden_on_chain(name: str) -> None:
    """The first frames of a golden run give the committed run's states; the blocks are the native engine's."""
    made, seed = golden.make(name), golden.RUNS[name][1]
    states = golden.expected()[name]["states"]
    block = golden.start(made, seed)
    world, engine = opened(made, block, part_words=65_536)
    state = engine.start_state(block)
    for n, pads in enumerate(golden.inputs(seed, golden.RUNS[name][2])[: FRAMES[name]], 1):
        if str(n) in states:
            assert hashlib.sha256(world.state()).hexdigest() == states[str(n)]
        world.frame(pads)
        block = engine.heads(engine.backbone(state, block), block, pads)
        assert world.block() == block


def test_extreme_on_chain() -> None:
    """Weights and activations at the loader's bounds, where sums nearly fill 32 bits and the state saturates."""
    made = kernels.extreme(SHAPES["tiny"], 3)
    block = start_block(32, (1, 20))
    world, engine = opened(made, block)
    state = engine.start_state(block)
    for n in range(8):
        pads = bytes([n * 31]) * 16
        world.frame(pads)
        block = engine.heads(engine.backbone(state, block), block, pads)
        assert world.block() == block
    engine.backbone(state, block)
    assert world.state() == engine.dump(state)


def test_shipped_world_fits_two_transactions() -> None:
    """A frame of the shipped world takes two transactions, and less than 1.4 M units lie between inputs and frame."""
    made = demo_cartridge()
    block = start_block(32, (1, 20))
    world, engine = opened(made, block)
    state = engine.start_state(block)
    for pads in golden.inputs(1, 3):
        spent = world.frame(pads)
        block = engine.heads(engine.backbone(state, block), block, pads)
        assert world.block() == block
        assert len(spent.units) == 2
        assert sum(spent.units) < 1_700_000
