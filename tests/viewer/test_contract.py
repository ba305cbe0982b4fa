"""The server sends the page the same stages and action names that the package uses."""

from __future__ import annotations

import msgspec

from awm_crank.match import stages
from awm_crank.match.actions import action_name
from awm_crank.viewer.contract import contract


def test_everything_is_plain_json() -> None:
    """The data survives JSON, and stages and words are the package's own."""
    told = msgspec.json.decode(msgspec.json.encode(contract()))
    assert told["stages"] == [stages.geometry(number) for number in (32, 31)]
    names = dict(told["actions"])
    assert all(action_name(first) == word for first, word in names.items())
