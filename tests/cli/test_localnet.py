"""`awm-crank localnet` is the localnet's own command."""

from __future__ import annotations

from awm_crank.cli import localnet
from awm_crank.localnet import command


def test_is_the_rooms_command() -> None:
    """The dispatcher gets the room's own options and run."""
    assert (localnet.configure, localnet.execute) == (command.configure, command.execute)
