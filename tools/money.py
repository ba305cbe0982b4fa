"""Tests that nobody loses lamports: five parties send random sequences of all instructions, many more than the tests
run.

    python tools/money.py [SEQUENCES] [FIRST_SEED]

Every sequence has a match of its own on a chain with all programs (LiteSVM, with MagicBlock's delegation program) and
forty random instructions, many of them by who should not; in the end everything is closed. Exit status 1, with the
steps that led there, if anybody ends with another's lamports or cannot have its own back. The seed of a failure runs it
again: `python tools/money.py 1 SEED`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests")]

from svm import money  # noqa: E402
from svm.test_delegation import with_delegation  # noqa: E402

PER_CHAIN = 50


def some(first: int, count: int) -> Counter[str]:
    """Plays sequences on one chain. Returns how often each instruction was accepted."""
    chain, accepted = money.new_chain(with_delegation), Counter[str]()
    for number in range(count):
        accepted += money.play(chain, number, first + number).accepted
    return accepted


def main() -> int:
    """Command line."""
    sequences, first = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 10_000), (2, 0)))
    starts = range(first, first + sequences, PER_CHAIN)
    counts = [min(PER_CHAIN, first + sequences - start) for start in starts]
    accepted: Counter[str] = Counter()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        try:
            for found in pool.map(some, starts, counts):
                accepted += found
        except (money.TheftError, money.StrandedError) as error:
            print(error, file=sys.stderr)
            pool.shutdown(cancel_futures=True)
            return 1
    print(f"{sequences} sequences, seeds {first} to {first + sequences - 1}: every lamport went to its owner")
    for name, count in accepted.most_common():
        print(f"  {name}: {count} accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
