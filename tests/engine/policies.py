"""Policy cartridges of integer noise, the same on every machine."""

from __future__ import annotations

from awm_crank.engine.encoding import EMBEDDINGS, PLAIN, Encoding
from awm_crank.engine.policy import Format, PolicyCartridge
from awm_crank.engine.seeded import Stream

_LIMITS = {"<i1": 127, "<i2": 4000}


def cartridge(
    seed: int, *, flags: Encoding = PLAIN, context_len: int = 3, hidden: int = 24, trunk: int = 12,
    whole_frames: bool = True, sampled: bool = True,
) -> PolicyCartridge:  # fmt: skip
    """A random policy of the given shape."""
    tables = {name: EMBEDDINGS[name] for name in (*flags.player_embeddings, "stage_embed")}
    form = Format(
        flags, whole_frames, sampled, 4 << 16, context_len, hidden, trunk, 11, 9, 8, 24, 22, 22, tables
    )  # fmt: skip
    stream = Stream(seed)
    arrays = {}
    for name, (kind, shape) in form.arrays().items():
        if name == "frame_mul":
            arrays[name] = stream.uniform(name, shape, 5000, 500_000)
        elif name.endswith(".mul"):
            arrays[name] = stream.uniform(name, shape, 100_000, 400_000)
        elif name.endswith(".b"):
            arrays[name] = stream.uniform(name, shape, -20_000, 20_000)
        else:
            arrays[name] = stream.uniform(name, shape, -_LIMITS[kind], _LIMITS[kind])
    return PolicyCartridge.build(form, arrays, name=f"noise {seed}", version=2, total_params=5)
