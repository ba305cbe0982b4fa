"""Calls the binding with broken arguments and expects an exception or a result every time.

test_binding_sanitized.py runs this in a process of its own. Arguments: the module's file, a cartridge, and the number
of rounds.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path


def main() -> None:
    file, cartridge, rounds = sys.argv[1], Path(sys.argv[2]).read_bytes(), int(sys.argv[3])
    spec = importlib.util.spec_from_file_location("_native", file)
    assert spec is not None and spec.loader is not None
    native = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(native)
    rng = random.Random(4)
    best = [name for name, lacks in native.paths().items() if not lacks][-1]
    engine = native.Engine(cartridge, best, 2)
    sizes = engine.sizes()
    states = [engine.zero_state() for _ in range(3)]
    contexts = [engine.backbone(state, bytes(97)) for state in states]

    def thing() -> object:
        return rng.choice(
            [
                None, 0, -1, 2**70, 1.5, "x", b"", bytes(97), bytes(16), bytes(98), rng.randbytes(97),
                rng.randbytes(16),
                bytearray(97), memoryview(bytes(97)), [], [None], [bytes(97)] * 2, rng.choice(states), list(states),
                [states[0]] * 2, rng.choice(contexts), list(contexts), [bytes(97)] * 3, [bytes(16)] * 3,
                rng.randbytes(sizes["serialized"]), rng.randbytes(sizes["context"]), engine, native, (), {}, 127,
            ]
        )  # fmt: skip

    calls = [name for name in dir(engine) if not name.startswith("_") and callable(getattr(engine, name))]
    good = bad = 0
    for _ in range(rounds):
        try:
            getattr(engine, rng.choice(calls))(*[thing() for _ in range(rng.randrange(5))])
            good += 1
        except (TypeError, ValueError, OverflowError):
            bad += 1
    for _ in range(rounds):
        rows, columns = rng.randrange(5), rng.randrange(600)
        sizes_of = (rows * columns, 4 * rows, 4 * rows, 2 * columns)
        arguments: list[object] = [rng.randbytes(size) for size in sizes_of] + [rng.randrange(-1, 63)]
        if rng.random() < 0.7:
            arguments[1] = bytes(4 * rows)
        if rng.random() < 0.3:
            arguments[rng.randrange(5)] = thing()
        try:
            native.policy_layer(*arguments)
            good += 1
        except (TypeError, ValueError, OverflowError):
            bad += 1
    for _ in range(rounds // 20):
        broken = bytearray(cartridge)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(rng.choice((2500, len(broken))))] = rng.randrange(256)
        cut = bytes(broken[: rng.choice((len(broken), len(broken), rng.randrange(len(broken))))])
        try:
            other = native.Engine(cut, rng.choice((best, "plain", "none")), rng.choice((1, 2, 0, 65)))
        except (ValueError, RuntimeError):
            bad += 1
            continue
        good += 1
        state = other.load(rng.randbytes(other.sizes()["serialized"]))
        other.heads(other.backbone(state, bytes(97)), bytes(97), rng.randbytes(16))
    sys.stdout.write(f"{good} {bad}\n")


if __name__ == "__main__":
    main()
