"""How the client handles a rollup that shows an account as its own but does not write to it.

tests/daemon/test_rollup.py covers the way through a real rollup.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM

from awm_crank.client import rollup
from awm_crank.client.chain import Chain
from awm_crank.client.session import SessionAccounts
from awm_crank.errors import AwmError, ProgramError, RpcError
from awm_crank.wire import ids
from awm_crank.wire.failures import transaction_error

PLAYER = Keypair()
ACCOUNTS = SessionAccounts.of(Pubkey.new_unique())
UNWRITABLE = transaction_error("InvalidWritableAccount")


class Two(Chain):
    """A fake base chain and rollup, with their own clock.

    Args:
        nudges: by account, how many changes on the base chain it takes until the rollup writes to it.
    """

    def __init__(self, nudges: dict[Pubkey, int], refusal: AwmError = UNWRITABLE) -> None:
        super().__init__("http://127.0.0.1:9")
        self.left, self.refusal, self.now = dict(nudges), refusal, 0.0
        self.tried: list[Pubkey] = []
        self.gifts: list[tuple[float, Pubkey]] = []

    async def simulate(self, instructions: Sequence[Instruction], payer: Keypair) -> None:
        """Refuses an account that is not cloned correctly."""
        assert payer is PLAYER
        self.tried.append(instructions[0].program_id)
        keys = {meta.pubkey for meta in instructions[0].accounts if meta.is_writable}
        if any(self.left.get(key, 0) > 0 for key in keys):
            raise self.refusal

    async def send(self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair) -> str:
        """Sends a lamport to each account; the rollup hears of it."""
        assert (payer, signers) == (PLAYER, ())
        for each in instructions:
            assert each.program_id == SYSTEM
            assert int.from_bytes(bytes(each.data)[4:], "little") == 1
            key = each.accounts[1].pubkey
            self.gifts.append((self.now, key))
            self.left[key] -= 1
        return "signature"

    def monotonic(self) -> float:
        """The clock."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Moves the clock forward; nothing else does."""
        self.now += seconds


async def writable(monkeypatch: pytest.MonkeyPatch, two: Two, but: Pubkey | None = None) -> None:
    """Runs `_writable` with this clock."""
    monkeypatch.setattr(rollup, "time", two)
    monkeypatch.setattr(rollup, "asyncio", SimpleNamespace(sleep=two.sleep))
    await rollup._writable(two, two, PLAYER, ACCOUNTS, but=but)


async def test_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each component is tried once, except the one that is handed over later, and nothing is paid."""
    two = Two({ACCOUNTS.hidden: 1})
    await writable(monkeypatch, two, but=ids.HIDDEN_STATE)
    assert two.tried == [ids.FRAME_LOG, ids.INPUT_BUFFER, ids.SESSION_STATE]
    assert not two.gifts


async def test_stale_ones_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused account gets a lamport on the base chain, and another one only after the rollup had time to notice."""
    two = Two({ACCOUNTS.log: 1, ACCOUNTS.inputs: 2})
    await writable(monkeypatch, two)
    assert [key for _, key in two.gifts] == [ACCOUNTS.log, ACCOUNTS.inputs, ACCOUNTS.inputs]
    assert two.gifts[0][0] == two.gifts[1][0] == 0
    assert two.gifts[2][0] >= rollup._NUDGE_S


async def test_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollup that never writes is reported with the account, and few lamports are spent."""
    two = Two({ACCOUNTS.log: 10**6})
    with pytest.raises(RpcError, match=f"refuses to write to {ACCOUNTS.log}, delegated to it") as caught:
        await writable(monkeypatch, two)
    assert caught.value.recoverable
    assert len(two.gifts) <= rollup._PATIENCE_S / rollup._NUDGE_S + 1


async def test_a_component_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the component itself refuses (here, because the session has begun), the rollup counts as ready."""
    two = Two({ACCOUNTS.log: 1}, ProgramError("frame_log refused: NotEnded"))
    await writable(monkeypatch, two)
    assert not two.gifts


async def test_another_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that a stale clone does not explain is raised unchanged."""
    two = Two({ACCOUNTS.log: 1}, RpcError("cannot reach it", recoverable=True))
    with pytest.raises(RpcError, match="cannot reach it"):
        await writable(monkeypatch, two)
