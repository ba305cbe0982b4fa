"""Makes the demo's cartridge anew: `.venv/bin/python tools/make_demo_cartridge.py [FILE]`.

Seeded checkpoint, calibration, quantization. The result is shipped and pinned by hash (awm_crank/demo/arena.py),
because floats on another processor may round a weight to its neighbour: run this only to change the demo's world, and
pin the hash that it prints.
"""

from __future__ import annotations

import sys
from pathlib import Path

from awm_crank.engine import checkpoint, quantize, seeded_checkpoint
from awm_crank.engine.seeded import SHAPES

SEED = 3
DEFAULT = Path(__file__).resolve().parent.parent / "awm_crank" / "engine" / "data" / "demo.awm"


def main(path: Path) -> None:
    source = checkpoint.read(seeded_checkpoint.checkpoint(SHAPES["demo"], SEED))
    cartridge = quantize.quantize(source, name="demo", version=1)
    path.write_bytes(cartridge.data)
    sys.stdout.write(f"{path}: {len(cartridge.data):,} bytes, SHA-256 {cartridge.sha256.hex()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
