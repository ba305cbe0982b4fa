"""Says at the end of a run which paths of the native engine this CPU could not run."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each path: NOT RUN and what is missing, never silence."""
    from awm_crank.engine.native import paths

    for name, missing in paths().items():
        told = f"NOT RUN on this machine: lacks {missing}" if missing else "run"
        terminalreporter.write_line(f"engine path {name}: {told}")
