"""Training agents offline: the world as environments, on the same engine that the crank runs (docs/agents.md).

`Batch` needs NumPy only; `MatchEnv` and `parallel_env` are PettingZoo's, and need the extra `env`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .batch import Batch as Batch

if TYPE_CHECKING:
    from .match import MatchEnv as MatchEnv
    from .match import parallel_env as parallel_env


def __getattr__(name: str) -> object:
    if name not in ("MatchEnv", "parallel_env"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import match

    return getattr(match, name)
