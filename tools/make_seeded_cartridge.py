"""Makes the tests' seeded world again: `.venv/bin/python tools/make_seeded_cartridge.py [FILE]`.

Seeded checkpoint, calibration, quantization: a world of noise in which every head has values to choose among, which a
trained one has not. The result is kept (tests/golden/seeded.awm), because floats on another processor may round a
weight to its neighbour.
"""

from __future__ import annotations

import sys
from pathlib import Path

from awm_crank.engine.offline import checkpoint, quantize, seeded_checkpoint
from awm_crank.engine.seeded import SHAPES

SEED = 3
DEFAULT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "seeded.awm"


def main(path: Path) -> None:
    source = checkpoint.read(seeded_checkpoint.checkpoint(SHAPES["demo"], SEED))
    cartridge = quantize.quantize(source, name="demo", version=1)
    path.write_bytes(cartridge.data)
    sys.stdout.write(f"{path}: {len(cartridge.data):,} bytes, SHA-256 {cartridge.sha256.hex()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
