"""Stage geometry for visualizers, in game units (reference/system.md). The model itself never sees it."""

from __future__ import annotations

from typing import Any

FINAL_DESTINATION = 32
BATTLEFIELD = 31

_STAGES: dict[int, dict[str, Any]] = {
    FINAL_DESTINATION: {
        "name": "Final Destination",
        "ground": {"x_min": -85.57, "x_max": 85.57, "y": 0},
        "platforms": [],
        "blast_zones": {"left": -246, "right": 246, "top": 188, "bottom": -140},
    },
    BATTLEFIELD: {
        "name": "Battlefield",
        "ground": {"x_min": -68.4, "x_max": 68.4, "y": 0},
        "platforms": [
            {"x_min": -57.6, "x_max": -20, "y": 27.2},
            {"x_min": 20, "x_max": 57.6, "y": 27.2},
            {"x_min": -18.8, "x_max": 18.8, "y": 54.4},
        ],
        "blast_zones": {"left": -224, "right": 224, "top": 200, "bottom": -108.8},
    },
}

KNOWN = tuple(_STAGES)
"""Stages whose geometry is known."""


def geometry(stage: int) -> dict[str, Any]:
    """The `stage_geometry` of a match file: stage, name, ground, platforms, blast_zones.

    A stage without known geometry gets only its id and an empty name.
    """
    known = _STAGES.get(stage)
    if known is None:
        return {"stage": stage, "name": ""}
    return {"stage": stage, **known}


def name(stage: int) -> str:
    """The stage's name, or `stage <id>`."""
    return str(geometry(stage)["name"]) or f"stage {stage}"
