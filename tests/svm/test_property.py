"""Five parties send random sequences of all instructions. Nobody gains another's lamports, and all lamports come back.

This test plays a few hundred sequences; `make money` plays ten thousand. docs/money.md says who owns each lamport.
"""

from __future__ import annotations

from collections import Counter

import pytest
from svm import money
from svm.test_delegation import with_delegation

SEQUENCES, PER_CHAIN = 200, 50


def test_every_lamport_has_one_owner() -> None:
    """Whatever is tried, each lamport returns to the key that paid it, except for the frames that player 1 paid for."""
    accepted = Counter[str]()
    for first in range(0, SEQUENCES, PER_CHAIN):
        chain = money.new_chain(with_delegation)
        for number in range(PER_CHAIN):
            accepted += money.play(chain, number, first + number).accepted
    # programs that refuse everything would prove nothing
    wanted = {"create", "join", "frame", "end", "ring_grow", "ring_shrink", "checkpoint_create", "checkpoint_close"}
    wanted |= {"deposit", "deposit_draw", "deposit_close", "checkpoint_create_deposited", "ring_fund", "close"}
    wanted |= {"destroy", "delegate", "comes back forged", "comes back"}
    assert wanted <= set(accepted), wanted - set(accepted)


def test_the_ledger_sees_a_theft() -> None:
    """The ledger finds a program that pays out another party's lamports, because it does not trust the accounts."""
    chain = money.new_chain(with_delegation)
    sequence = money.Sequence(chain, 0, 1)
    before = sequence.ledger.balances()
    thief = sequence.keys["stranger"].pubkey()
    account = sequence.ledger.accounts[0]
    sequence.ledger.claims[account]["player1"] = 5
    taken = {**before, thief: before[thief] - 5, account: before[account] + 5}
    with pytest.raises(money.TheftError, match="stranger got 5 lamports"):
        sequence.ledger.took_place("close", taken)
