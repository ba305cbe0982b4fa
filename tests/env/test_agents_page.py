"""The training loop of docs/agents.md runs exactly as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_training_loop() -> None:
    """The loop plays a match of the packaged world to its end."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/agents.md").read_text(), re.DOTALL)
    source = next(block for block in blocks if "MatchEnv" in block)
    source += "\nprint(env.frame, terminations['player_0'] or truncations['player_0'])"
    ended = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    frames, over = ended.stdout.split()
    assert over == "True"
    assert 1 < int(frames) <= 3600
