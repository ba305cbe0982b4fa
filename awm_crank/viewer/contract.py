"""What the page needs to know of the chain, from its one home: program ids, layouts, stages, words for actions.

The page's decoders are compiled from this at load, so that an offset stands in the IDLs alone.
"""

from __future__ import annotations

import re
from typing import Any

from ..match import actions, stages
from ..wire import ids, layouts
from ..wire.idl import load
from ..wire.layouts import Layout
from ..wire.start import start_players

_LAYOUTS = (
    layouts.SESSION_STATE, layouts.HIDDEN_STATE, layouts.INPUT_BUFFER, layouts.FRAME_LOG, layouts.PLAYER_STATE,
    layouts.CONTROLLER_INPUT, layouts.FRAME_RECORD, layouts.LIFECYCLE_ARGS, layouts.INPUT_ARGS,
)  # fmt: skip
_CODE = re.compile(r"\d+s|[a-zA-Z]")


def layout(of: Layout) -> dict[str, Any]:
    """A layout as the page reads it.

    Returns:
        size: bytes, discriminator included; discriminator: hex, empty for a struct that is no account;
        fields: [name, offset from the account's start, `struct` code], in order.
    """
    codes = _CODE.findall(of.body.format)
    return {
        "size": of.size,
        "discriminator": of.discriminator.hex(),
        "fields": [[name, of.offset(name), code] for name, code in zip(of.names, codes, strict=True)],
    }


def contract() -> dict[str, Any]:
    """Everything, as JSON values; keys in base58, bytes in hex."""
    world = load("world")
    return {
        "programs": {name: str(key) for name, key in ids.PROGRAMS.items()},
        "instructions_sysvar": str(ids.INSTRUCTIONS_SYSVAR),
        "compute_budget": str(ids.COMPUTE_BUDGET),
        "apply": world.instruction("apply").discriminator.hex(),
        "layouts": {each.name: layout(each) for each in _LAYOUTS},
        # characters do not move the start position
        "start_players": start_players(0, 0).hex(),
        "stages": [stages.geometry(number) for number in stages.KNOWN],
        "actions": [list(group) for group in actions.GROUPS],
    }
