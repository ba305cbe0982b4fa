"""What tests of the environments read from an observation."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from awm_crank.env.match import Observation


def parts_of(seen: Observation) -> dict[str, NDArray[Any]]:
    """The named arrays of an observation that is a dictionary, not one flat array."""
    assert isinstance(seen, dict)
    return seen
