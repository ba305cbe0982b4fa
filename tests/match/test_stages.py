"""Stage geometry."""

from __future__ import annotations

from awm_crank.match import stages


def test_final_destination() -> None:
    """Final Destination has the geometry that docs/formats.md shows."""
    assert stages.geometry(32) == {
        "stage": 32,
        "name": "Final Destination",
        "ground": {"x_min": -85.57, "x_max": 85.57, "y": 0},
        "platforms": [],
        "blast_zones": {"left": -246, "right": 246, "top": 188, "bottom": -140},
    }


def test_platforms_lie_within_the_ground() -> None:
    """Battlefield's platforms are left, right and above the middle, over the ground."""
    stage = stages.geometry(stages.BATTLEFIELD)
    left, right, top = stage["platforms"]
    assert stage["ground"]["x_min"] < left["x_min"] < left["x_max"] < 0 < right["x_min"] < right["x_max"]
    assert right["x_max"] < stage["ground"]["x_max"]
    assert left["y"] == right["y"] < top["y"] < stage["blast_zones"]["top"]


def test_unknown_stage() -> None:
    """An unknown stage keeps its id and gets no invented ground."""
    assert stages.geometry(7) == {"stage": 7, "name": ""}
    assert stages.name(7) == "stage 7"
