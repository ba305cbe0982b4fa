"""What the kernel's tests share: random and extreme cartridges, blocks and states, and builds for other machines.

A build runs the script of awm_crank/engine/native/runner.c. The expected output comes from the plain path of the module
under test, and the golden vectors tie that path to the reference.
"""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.encoding import FLAGS, Encoding
from awm_crank.engine.layout import Shape
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import cartridge
from awm_crank.wire import layouts

SOURCES = Path(__file__).resolve().parent.parent.parent / "awm_crank" / "engine" / "native"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
HOST = ["-O2", "-fwrapv", "-fno-strict-aliasing", *WARNINGS]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni"]
WASM = [
    "--target=wasm32", "-O3", "-fwrapv", "-fno-strict-aliasing", "-ffreestanding", "-fno-builtin", "-nostdlib",
    "-mbulk-memory", "-Wl,--no-entry", "-Wl,--export=__heap_base", *WARNINGS,
]  # fmt: skip
SHAPES = [
    Shape(128, 256, 16, 64, 2),
    Shape(40, 72, 10, 24, 2, encoding=Encoding(state_age_as_embed=True)),
    Shape(17, 35, 6, 7, 1, row_gains=True),
    Shape(33, 130, 18, 65, 1),
    Shape(1, 1, 2, 1, 1),
    Shape(70, 80, 2, 8, 2, row_gains=True),
    Shape(64, 128, 16, 64, 1, row_gains=True),
    Shape(130, 192, 256, 96, 1),
    Shape(40, 72, 10, 24, 1, encoding=Encoding(**dict.fromkeys(FLAGS, True))),
    Shape(33, 64, 6, 16, 1, encoding=Encoding(state_flags=True, press_events=True, stick_range=80)),
    Shape(17, 35, 6, 7, 1, row_gains=True, encoding=Encoding(hitstun=True, projectiles=True, stick_range=127)),
    Shape(30, 60, 4, 20, 1, encoding=Encoding(ctrl_threshold_features=True, stick_range=1)),
]
"""Even and odd sizes of everything: with a rest for every vector width, and heads wider than one or of one value."""


def block(rng: random.Random, extra_size: int = 0) -> bytes:
    """A random frame block that section 9 of docs/numerics.md allows, often with extreme values.

    It has `extra_size` bytes of extra feedback a player.
    """

    def pick(low: int, high: int) -> int:
        return rng.choice((low, high, rng.randint(low, high)))

    out = b""
    for _ in range(2):
        out += layouts.PLAYER_STATE.body.pack(
            pick(-(2**24), 2**24), pick(-(2**24), 2**24), pick(0, 999), pick(0, 15360),
            *[pick(-32768, 32767) for _ in range(5)], pick(0, 65535), pick(0, 255), pick(0, 4), pick(0, 1), pick(0, 1),
            pick(0, 399), pick(0, 7), pick(0, 32),
        )  # fmt: skip
    for _ in range(2):
        out += bytes(pick(0, high) for high in (255, 1, 255, 2, 2, 31, 63, 0))
    out += bytes(pick(0, 255) for _ in range(16)) + bytes([pick(0, 32)])
    return out + bytes(pick(0, 255) for _ in range(2 * extra_size))


def state(rng: random.Random, size: int) -> bytes:
    """A serialized state of random values, of full ones, or of both."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(size)
    plane = (size - 4) // 2
    extremes = np.array([-32768, 32767, 0, -1], np.int16)
    values = extremes[np.frombuffer(rng.randbytes(plane), np.uint8) % (2 if kind == 1 else 4)]
    return (values >> 8).astype(np.int8).tobytes() + (values & 255).astype(np.uint8).tobytes() + rng.randbytes(4)


def extreme(shape: Shape, seed: int) -> Cartridge:
    """A cartridge at the bounds that the loader proves: full weights and the largest multipliers, biases, norms and
    heads.
    """
    base = cartridge(shape, seed)
    f = base.formats
    draw = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.integer]] = {k: np.array(v, np.int64) for k, v in base.arrays.items()}

    def fill(name: str, low: int, high: int) -> None:
        size = arrays[name].shape
        ends = draw.choice(np.array([low, high]), size)
        arrays[name] = np.where(draw.random(size) < 0.5, ends, draw.integers(low, high, size, endpoint=True))

    def matrix(name: str, shift: int, limit: int) -> None:
        fill(name + ".w", -127, 127)
        rows = arrays[name + ".m"].size
        bound = np.abs(arrays[name + ".w"]).sum(axis=1) * 16383
        if name + ".b" in arrays:
            room = 2**31 - 1 - bound
            arrays[name + ".b"] = (draw.uniform(-1, 1, rows) * room).astype(np.int64)
            bound = bound + np.abs(arrays[name + ".b"])
        # slightly less than the largest value that fits, and sometimes zero
        most = np.minimum(2**31 - 1, ((limit - 1) << shift) // np.maximum(bound, 1) - 1)
        arrays[name + ".m"] = np.where(
            draw.random(rows) < 0.05, 0, (most * draw.choice([1.0, 0.7, 0.001], rows))
        ).astype(np.int64)

    matrix("frame_proj", f.s_frame_proj, 2**29)
    matrix("ctrl_proj", f.s_ctrl_proj, 2**31 - 16384)
    matrix("heads", f.s_heads, 2**31 - 1)
    fill("final_norm", -32768, 32767)
    for n, lf in enumerate(f.layers):
        at = f"layers.{n}."
        matrix(at + "in_proj", lf.s_in, 2**31 - 1)
        matrix(at + "out_proj", lf.s_out, 2**30)
        fill(at + "norm", -32768, 32767)
        fill(at + "gate_norm", -32768, 32767)
        if shape.row_gains:
            fill(at + "row_gain", 0, 10)
        fill(at + "conv_w", -7000, 7000)
        fill(at + "conv_b", -(2**26), 2**26)
        fill(at + "dt_bias", -(2**26), 2**26)
        fill(at + "alpha", 1, 2**31 - 1)
        fill(at + "d", -32768, 32767)
        low = max(11 + 2 * lf.f_c + lf.sh_b - 30, 1 - lf.f_c + shape.read_shift + lf.f_y)
        fill(at + "hs", low, min(11 + 2 * lf.f_c - 14, low + 20))
    assert arrays["heads.b"].size == shape.encoding.head_rows
    return Cartridge.build(
        name="extreme", version=1, shape=shape, formats=f, luts=base.luts, arrays=arrays, total_params=1
    )


def script(made: Cartridge, sessions: int, frames: int, seed: int) -> tuple[bytes, bytes]:
    """The runner's input for random states and blocks, and the output of the plain path for it."""
    rng = random.Random(seed)
    engine = NativeEngine(made, "plain")
    states = [engine.load(state(rng, engine.state_size)) for _ in range(sessions)]
    given = struct.pack("<I", len(made.data)) + made.data + struct.pack("<II", sessions, frames)
    given += b"".join(engine.dump(s) for s in states)
    wanted = b""
    for _ in range(frames):
        for s in states:
            frame, inputs = block(rng, made.extra_size), rng.randbytes(16)
            given += frame + inputs
            context = engine.backbone(s, frame)
            wanted += context[: 2 * made.shape.d_model] + engine.heads(context, frame, inputs)
    return given, wanted + b"".join(engine.dump(s) for s in states)


def build(command: list[str], target: Path, *sources: str) -> Path:
    """Compiles sources of the kernel. AssertionError contains the compiler's messages."""
    files = [str(SOURCES / name) for name in sources]
    done = subprocess.run([*command, *files, "-o", str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def output(command: list[str], given: bytes) -> bytes:
    """Runs a build of the kernel and returns its output. Raises AssertionError if its exit status is not 0."""
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout
