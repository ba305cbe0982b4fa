"""The data that the page needs from the server: the stages and the names of actions. Formats are in the page's
contract.js.
"""

from __future__ import annotations

from typing import Any

from ..match import actions, stages


def contract() -> dict[str, Any]:
    """`stages`, each with its geometry, and `actions`, pairs of a group's first action state and its name; as JSON."""
    return {
        "stages": [stages.geometry(number) for number in stages.KNOWN],
        "actions": [list(group) for group in actions.GROUPS],
    }
