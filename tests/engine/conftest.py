"""At the end of a run, lists the paths of the native engine that this CPU could not run."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints a line for each such path: NOT RUN, and what is missing."""
    from awm_crank.engine.native import paths

    for name, missing in paths().items():
        told = f"NOT RUN on this machine: lacks {missing}" if missing else "run"
        terminalreporter.write_line(f"engine path {name}: {told}")
