"""How this package starts processes of its own. Nothing else builds such a command."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def own_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package, such as `awm_crank.localnet`, with the running interpreter.

    Start it with `own_environment()`. `python -m` alone would search the current folder first, so that a checkout there
    (or anybody's folder called `awm_crank`) would run in place of the installed package; `-P` forbids that.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def own_environment() -> dict[str, str]:
    """This process's environment, with the folder that holds this package first on Python's search path."""
    root = str(Path(__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
