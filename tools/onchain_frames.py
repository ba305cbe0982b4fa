"""Plays frames on the engine program in LiteSVM and on the native engine, and compares every block and state.

`python tools/onchain_frames.py [--shape shipped] [--frames 10000]` prints what docs/onchain-engine.md keeps: compute
units and transactions of a frame, its time in LiteSVM, the image's size and what it took to make it. Exit status 1,
naming the frame, where the two differ. Inputs are noise from a seed. The state is compared every 100 frames and at the
end, the block at every frame.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys

from awm_crank.bench.onchain import OnchainWorld, Spent
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.wire import onchain

STATE_EVERY = 100
PART_WORDS = {"15.8M": 655_360, "19.9M": 655_360}
"""Parts small enough that a transaction which reads two of them copies little; an image has at most 23."""


def world_of(name: str) -> Cartridge:
    """The world that the package ships, or noise of one of the shapes."""
    return demo_cartridge() if name == "shipped" else cartridge(SHAPES[name], 1)


def play(world: OnchainWorld, frames: int) -> list[Spent]:
    """Plays frames on chain and returns the compute units of each.

    Raises SystemExit if the on-chain program and the native engine differ.
    """
    engine = NativeEngine(world.cartridge)
    block = start_block(32, (1, 20), world.cartridge.shape.encoding.extra_size)
    world.open(block)
    state = engine.start_state(block)
    context = engine.backbone(state, block)
    spent, noise = [], hashlib.sha256(b"onchain frames").digest()
    for n in range(1, frames + 1):
        noise = hashlib.sha256(noise).digest()
        spent.append(world.frame(noise[:16]))
        block = engine.heads(context, block, noise[:16])
        context = engine.backbone(state, block)
        if world.block() != block:
            raise SystemExit(f"the block of frame {n} differs")
        if (n % STATE_EVERY == 0 or n == frames) and world.state() != engine.dump(state):
            raise SystemExit(f"the state after frame {n} differs")
    return spent


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Frames of the engine program against the native engine.")
    parser.add_argument("--shape", choices=("shipped", *SHAPES), default="shipped")
    parser.add_argument("--frames", type=int, default=10_000)
    args = parser.parse_args(arguments)
    parts = PART_WORDS.get(args.shape, 262_144)
    world = OnchainWorld(world_of(args.shape), part_words=parts, parts_at_once=2)
    allocated, built, image = world.allocate(), world.build(), world.image()
    spent = play(world, args.frames)
    units = [sum(each.units) for each in spent]
    times = sorted(each.seconds for each in spent)
    counts = sorted({len(each.units) for each in spent})
    sys.stdout.write(
        f"{args.shape}: {args.frames:,} frames equal to the native engine's\n"
        f"units a frame: median {statistics.median(units):,.0f}, most {max(units):,}\n"
        f"transactions a frame: {', '.join(map(str, counts))}\n"
        f"LiteSVM: median {1000 * statistics.median(times):.1f} ms a frame, best {1000 * times[0]:.1f} ms\n"
        f"image: {image.size:,} bytes and {8 * image.words:,} bytes of words in {onchain.parts(image)} parts;"
        f" {len(allocated.units)} transactions to allocate, {len(built.units)} to build ({sum(built.units):,} units)\n"
        f"run: {len(world.data(world.run_key)):,} bytes\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
