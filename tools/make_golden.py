"""Writes tests/golden/engine.json from the reference engine: run it only after an intended change of
docs/numerics.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from engine import golden

from awm_crank.engine.reference import ReferenceEngine


def main() -> None:
    content = {}
    for name in golden.RUNS:
        cartridge = golden.make(name)
        content[name] = {"cartridge": cartridge.sha256.hex(), **golden.run(ReferenceEngine(cartridge), name)}
        sys.stdout.write(f"{name}: {content[name]['chain']}\n")
    golden.PATH.parent.mkdir(exist_ok=True)
    golden.PATH.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
