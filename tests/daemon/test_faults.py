"""A fault in one session ends only that session, and every fault is logged."""

from __future__ import annotations

import io
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.config import Config
from awm_crank.daemon import Daemon
from awm_crank.net.pubsub import AccountChanged
from awm_crank.session import commands, events
from awm_crank.session.machine import SessionMachine
from awm_crank.telemetry import logs
from awm_crank.wire import bolt, ids, layouts
from awm_crank.wire.accounts import HiddenState
from awm_crank.wire.transaction import Signer

KEY = Keypair()


def hidden(entity: Pubkey) -> AccountChanged:
    """A notification about a session of this crank."""
    data = HiddenState(
        2, 64, 8, 0, 0, False, entity, KEY.pubkey(), 0, bytes(32), bytes(16), 0, bytes(32), 0, entity,
        bytes(32), 0, ids.WORLD,
    ).encode()  # fmt: skip
    key = bolt.component_pda(ids.HIDDEN_STATE, entity)
    return AccountChanged(KEY.pubkey(), str(key), 1, ids.HIDDEN_STATE, 1, data)


@pytest.fixture(autouse=True)
def log() -> io.StringIO:
    """The log's events."""
    out = io.StringIO()
    logs.configure("info", out)
    return out


async def test_a_broken_session(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """A session whose machine raises is released with a traceback in the log, and the other session is still served."""
    daemon = Daemon(Config(), Signer(bytes(KEY)))
    good, bad = Pubkey.new_unique(), Pubkey.new_unique()
    real = SessionMachine.handle

    def handle(machine: SessionMachine, event: events.Event, now: int) -> list[commands.Command]:
        if machine.entity == bad and isinstance(event, events.Changed):
            raise ZeroDivisionError("ours")
        return real(machine, event, now)

    monkeypatch.setattr(SessionMachine, "handle", handle)
    for entity in (good, bad, bad):
        daemon._notified(hidden(entity))
    assert {served.entity for served in daemon._roster} == {good}
    assert "ZeroDivisionError" in log.getvalue()
    # and the session is not taken again
    daemon._notified(hidden(bad))
    assert len(daemon._roster) == 1


@pytest.mark.parametrize("data", [b"", bytes(layouts.HIDDEN_STATE.size), bytes(9999)])
async def test_strange_accounts(data: bytes) -> None:
    """An account that is not the hidden state of its entity starts no session."""
    daemon = Daemon(Config(), Signer(bytes(KEY)))
    note: Any = hidden(Pubkey.new_unique())
    daemon._notified(AccountChanged(note.tag, note.key, 1, note.owner, 1, data))
    assert not len(daemon._roster)


async def test_broken_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a background task that should run for ever raises, the daemon ends with that error."""
    daemon = Daemon(Config(), Signer(bytes(KEY)))

    async def broken() -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(daemon._blockhash, "keep_fresh", broken)
    with pytest.raises(ZeroDivisionError):
        await daemon.run()
