"""`awm-crank localnet` runs the localnet's own command."""

from __future__ import annotations

from awm_crank.cli import localnet
from awm_crank.localnet import command


def test_is_the_rooms_command() -> None:
    """The dispatcher uses the localnet's own options and `run`."""
    assert (localnet.configure, localnet.execute) == (command.configure, command.execute)
