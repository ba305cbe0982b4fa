"""Plays a million chained frames on two paths of the native engine and compares the chained hashes of every state.

`python tools/million_frames.py [--frames N] [--paths plain,vnni]` prints the record that docs/engine.md keeps: the
CPU and its flags, the paths, and the last hash; exit status 1, naming the frames, where they part. The hash after frame
n covers the hash before, the block and the whole recurrent state. Inputs are noise from a seed, so nothing is repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine, paths
from awm_crank.engine.seeded import SHAPES, cartridge

SEED = 1
COMPARE = 10_000


def cpu() -> tuple[str, str]:
    """Name and flags of this CPU, as the system reports them."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor(), ""
    fields = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    return named.get("model name", platform.machine()), named.get("flags", named.get("Features", ""))


class PathMatch:
    """One path's match: `advance` plays a frame and folds block and state into `digest`."""

    def __init__(self, path: str) -> None:
        self.engine = NativeEngine(cartridge(replace(SHAPES["tiny"], row_gains=True), SEED), path)
        self.block = start_block(32, (1, 20))
        self.state = self.engine.start_state(self.block)
        self.digest = bytes(32)

    def advance(self, inputs: bytes) -> None:
        """One frame."""
        self.block = self.engine.heads(self.engine.backbone(self.state, self.block), self.block, inputs)
        self.digest = hashlib.sha256(self.digest + self.block + self.engine.dump(self.state)).digest()


def main() -> int:
    """Command line."""
    here = [name for name, lacks in paths().items() if not lacks]
    parser = argparse.ArgumentParser(description="A million chained frames on two paths.")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--paths", default=f"plain,{here[-1]}")
    args = parser.parse_args()
    chains = {name: PathMatch(name) for name in args.paths.split(",")}
    noise = hashlib.sha256(b"million frames").digest()
    before = time.monotonic()
    for n in range(1, args.frames + 1):
        noise = hashlib.sha256(noise).digest()
        for chain in chains.values():
            chain.advance(noise[:16])
        if (n % COMPARE == 0 or n == args.frames) and len({chain.digest for chain in chains.values()}) > 1:
            sys.stdout.write(f"the paths part between frames {max(0, n - COMPARE)} and {n}\n")
            return 1
    name, flags = cpu()
    last = next(iter(chains.values())).digest.hex()
    sys.stdout.write(
        f"frames: {args.frames:,}\npaths: {', '.join(chains)}\nlast hash: {last}\n"
        f"seconds: {time.monotonic() - before:.0f}\n"
        f"CPU: {name}\nflags: {flags}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
