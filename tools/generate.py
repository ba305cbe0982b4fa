"""Generates code and documentation tables from the contract (`idl/contract/*.toml`).

    python tools/generate.py            write the files that differ
    python tools/generate.py --check    write nothing; exit status 1, naming the files, where one differs

What it writes: the IDLs, the C headers of the on-chain programs and of the engine, the Python tables, the page's
JavaScript, and the tables between `<!-- contract: … -->` markers in docs/formats.md and docs/cartridge.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from contract import WRITERS, model

ROOT = Path(__file__).resolve().parent.parent


def build() -> dict[str, str]:
    """File (relative to the repository) → text of everything that is generated.

    Raises:
        contract.model.ContractError: the contract contradicts itself.
    """
    contract = model.load()
    return {name: text for writer in WRITERS for name, text in writer(contract).items()}


def stale(files: dict[str, str]) -> Iterator[str]:
    """The generated files that are missing or out of date."""
    for name, text in files.items():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            yield name


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check = parser.parse_args().check
    files = build()
    changed = list(stale(files))
    for name in changed:
        print(f"{'differs' if check else 'written'}: {name}")
        if not check:
            (ROOT / name).write_text(files[name], "utf-8")
    if check and changed:
        print("run `python tools/generate.py` and commit what it writes", file=sys.stderr)
        return 1
    print(f"{len(files)} files, {'as the contract says' if check else f'{len(changed)} written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
