"""The on-chain engine's state in the serialized form of docs/numerics.md, section 5.

The engine program (localnet/programs/engine/) keeps a run's recurrent state packed for its machine: two rows of `h` in
a 64-bit word, each raised by 32,768, and the convolution's last inputs as a ring.
"""

from __future__ import annotations

import numpy as np

from awm_crank.engine.layout import Shape
from awm_crank.errors import StateError

GROUP_ROWS = 10
COLUMN_STEP = 16
BLOCK_SLOT = 256
_ZERO = 32768


def _padded(value: int, to: int) -> int:
    return -(-value // to) * to


def state_offset(shape: Shape) -> int:
    """The offset at which the recurrent state begins in EngineRun's `work`."""
    encoding = shape.encoding
    columns = max(shape.frame_dim, shape.d_model, shape.d_inner, encoding.ctrl_dim)
    rows = _padded(max(shape.proj_rows, encoding.head_rows, shape.d_model), GROUP_ROWS)
    low = _padded(2 * encoding.player_floats, COLUMN_STEP)
    vectors = 2 * shape.d_model + _padded(columns, COLUMN_STEP) + low + rows
    return BLOCK_SLOT + 8 * (vectors + _padded(shape.d_model, GROUP_ROWS) + 1)


def work_size(shape: Shape) -> int:
    """The length of EngineRun's `work` in bytes."""
    pairs = -(-shape.headdim // 2)
    words = shape.num_layers * (shape.num_heads * pairs * shape.d_state + 3 * shape.conv_dim)
    return state_offset(shape) + 8 * words


def dump_work(shape: Shape, work: bytes, step: int) -> bytes:
    """The serialized recurrent state, `shape.state_size` bytes, of a run between two frames.

    Args:
        work: EngineRun's tail.
        step: EngineRun's step counter.

    Raises:
        StateError: `work` has the wrong length for this shape.
    """
    if len(work) != work_size(shape):
        raise StateError("work of a run", expected=work_size(shape), found=len(work), hint="read the whole account")
    layers, heads, pairs = shape.num_layers, shape.num_heads, -(-shape.headdim // 2)
    count = layers * heads * pairs * shape.d_state
    at = state_offset(shape)
    halves = np.frombuffer(work, "<u4", 2 * count, at).reshape(layers, heads, pairs, shape.d_state, 2)
    h = halves.astype(np.int64).transpose(0, 1, 2, 4, 3).reshape(layers, heads, 2 * pairs, shape.d_state) - _ZERO
    ring = np.frombuffer(work, "<i8", layers * 3 * shape.conv_dim, at + 8 * count).reshape(layers, 3, shape.conv_dim)
    tail = np.roll(ring, -(step % 3), axis=1)
    rows = h[:, :, : shape.headdim]
    values = np.concatenate([part[n].ravel() for n in range(layers) for part in (rows, tail)])
    planes = (values >> 8).astype(np.int8).tobytes() + (values & 255).astype(np.uint8).tobytes()
    return planes + step.to_bytes(4, "little")
