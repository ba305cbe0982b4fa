"""Golden runs: the exact frames that a seeded cartridge must produce on every engine and machine.

`run` is the same for the reference and every native path. tools/make_golden.py writes the reference's results to
tests/golden/engine.json.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.encoding import FLAGS, Encoding
from awm_crank.engine.frame import start_block
from awm_crank.engine.layout import Shape
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.engine.seeded import SHAPES, Stream, cartridge

AnyEngine = TypeVar("AnyEngine", ReferenceEngine, NativeEngine)
FOLDER = Path(__file__).resolve().parent.parent / "golden"
PATH = FOLDER / "engine.json"

BASE_BUILD = Encoding(state_age_as_embed=True, state_flags=True, hitstun=True, ctrl_threshold_features=True)
"""The flags of the prototype's two base builds."""
ALL = Encoding(**dict.fromkeys(FLAGS, True))
ENCODINGS = {name: Encoding(**{name: True}) for name in FLAGS if name != "state_age_as_embed"} | {
    "stick range": Encoding(stick_range=80),
    "base build": BASE_BUILD,
    "published": Encoding(state_age_as_embed=True, state_flags=True, hitstun=True, projectiles=True),
    "all": replace(ALL, stick_range=80),
}
"""Flag sets of the golden runs: each flag alone, and what the prototype's models set."""

RUNS: dict[str, tuple[Shape, int, int]] = {
    "tiny": (SHAPES["tiny"], 1, 256),
    "demo": (SHAPES["demo"], 2, 256),
    "4.3M": (SHAPES["4.3M"], 3, 64),
    "19.9M": (SHAPES["19.9M"], 4, 32),
    "odd": (Shape(d_model=37, d_inner=51, d_state=10, headdim=17, num_layers=3), 5, 64),
    "state_age embedded": (Shape(64, 96, 34, 24, 2, encoding=Encoding(state_age_as_embed=True)), 6, 64),
    "row gains": (Shape(70, 120, 18, 40, 2, row_gains=True, encoding=Encoding(state_age_as_embed=True)), 7, 64),
    "15.8M": (SHAPES["15.8M"], 8, 16),
}
RUNS |= {
    f"flags: {name}": (Shape(48, 96, 10, 24, 2, row_gains=True, encoding=encoding), seed, 64)
    for seed, (name, encoding) in enumerate(ENCODINGS.items(), 9)
}
"""Maps a name to shape, seed and number of frames."""


def make(name: str) -> Cartridge:
    """The run's cartridge."""
    shape, seed, _ = RUNS[name]
    return cartridge(shape, seed, name)


def seeded_world() -> Cartridge:
    """A world of noise whose heads all choose among many values (tools/make_seeded_cartridge.py)."""
    return Cartridge.parse((FOLDER / "seeded.awm").read_bytes())


def inputs(seed: int, frames: int) -> list[bytes]:
    """16 noisy input bytes for each frame; every byte takes every value."""
    noise = Stream(seed).uniform("golden inputs", (frames, 16), 0, 255).astype(np.uint8)
    return [row.tobytes() for row in noise]


def start(made: Cartridge, seed: int) -> bytes:
    """Frame 0 of a run. Its extra feedback has any value: nothing predicts projectiles, which would stay 0."""
    return start_block(32, (seed, 20)) + bytes(37 * i + 11 & 255 for i in range(2 * made.extra_size))


def run(engine: AnyEngine, name: str) -> dict[str, Any]:
    """Plays a run. Returns SHA-256 chained over every frame's block, and of the state at powers of two and at
    the end.
    """
    _, seed, frames = RUNS[name]
    block = start(engine.cartridge, seed)
    state = engine.start_state(block)
    states = {"0": hashlib.sha256(engine.dump(state)).hexdigest()}
    chain = b""
    first: list[str] = []
    for n, pads in enumerate(inputs(seed, frames), 1):
        block = engine.heads(engine.backbone(state, block), block, pads)
        chain = hashlib.sha256(chain + block).digest()
        if n <= 4:
            first.append(block.hex())
        if n & (n - 1) == 0 or n == frames:
            states[str(n)] = hashlib.sha256(engine.dump(state)).hexdigest()
    return {"frames": frames, "first_blocks": first, "last_block": block.hex(), "chain": chain.hex(), "states": states}


def expected() -> dict[str, Any]:
    """The file's content: maps a run's name to `cartridge` (SHA-256) and to what `run` returns."""
    content: dict[str, Any] = json.loads(PATH.read_text())
    return content
