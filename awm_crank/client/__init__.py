"""The API for bots: `join` and the controller's buttons. Names are imported on first use, because commands need only
some of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..match.players import SHIELD as SHIELD
    from ..match.players import A as A
    from ..match.players import B as B
    from ..match.players import X as X
    from ..match.players import Y as Y
    from ..match.players import Z as Z
    from .bot import Fighter as Fighter
    from .bot import Frame as Frame
    from .bot import Match as Match
    from .bot import join as join
    from .keys import load_keypair as load_keypair

_HOMES = {
    **dict.fromkeys(("Fighter", "Frame", "Match", "join"), "awm_crank.client.bot"),
    **dict.fromkeys(("A", "B", "X", "Y", "Z", "SHIELD"), "awm_crank.match.players"),
    "load_keypair": "awm_crank.client.keys",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
