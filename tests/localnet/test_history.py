"""What is remembered of transactions, for how long, and how much memory it takes."""

from __future__ import annotations

from localnet.kit import SOL, Node
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from awm_crank.localnet.history import Entry


def land(node: Node, transaction: VersionedTransaction) -> Entry:
    """Runs a transaction without preflight."""
    raw = bytes(transaction)
    entry = node.bank.execute(raw, *node.bank.parse(raw), preflight=False)
    entry.compact()
    return entry


def test_old_transactions_keep_their_status_while_their_blockhash_is_valid() -> None:
    """The newest transactions are kept whole, and older ones are recognized until their blockhash expires."""
    node = Node(history=3)
    entries = [land(node, node.pay(Keypair().pubkey())) for _ in range(5)]
    history, first = node.bank.history, entries[0]
    assert [history.entry(entry.signature) is entry for entry in entries] == [False, False, True, True, True]
    assert history.block(first.slot) == entries[2:]
    assert history.first_slot == first.slot + 1
    status = history.status(first.signature)
    assert status is not None
    assert (status.slot, status.fault) == (first.slot, None)
    node.bank.advance(first.slot + node.bank.hash_slots + 1)
    assert history.status(first.signature) is None
    assert history.status(entries[2].signature) is not None
    assert history.count == 5


def test_memory_is_bounded() -> None:
    """However many transactions land, only a fixed number is kept whole, and the others leave nothing once expired."""
    node = Node(history=10)
    for _ in range(60):
        land(node, node.pay(Keypair().pubkey()))
        node.bank.advance(node.bank.slot + node.bank.hash_slots // 4)
    history = node.bank.history
    assert len(history._entries) == len(history._order) == sum(map(len, history._blocks.values())) == 10
    assert len(history._statuses) == len(history._status_order) == 10


def test_a_compact_entry_reads_its_keys_from_its_bytes(node: Node) -> None:
    """A compact entry gives the transaction's own keys and locks, even after they were dropped from memory."""
    target = Keypair().pubkey()
    entry = land(node, node.pay(target))
    assert entry._wire is None
    assert entry.keys == [bytes(node.payer.pubkey()), bytes(target), bytes(32)]
    assert entry.written == entry.keys[:2]
    assert entry.mentions(bytes(target))
    assert not entry.mentions(entry.raw[1:33])


def test_newest_first(node: Node) -> None:
    """An address's transactions come newest first, between two signatures, up to a limit."""
    target = Pubkey.new_unique()
    entries = [land(node, node.pay(target, SOL + index)) for index in range(5)]
    land(node, node.pay(Pubkey.new_unique()))
    signatures = [entry.signature for entry in entries]
    newest = node.bank.history.newest

    def found(before: bytes | None, until: bytes | None, limit: int) -> list[int]:
        return [signatures.index(entry.signature) for entry in newest(bytes(target), before, until, limit)]

    assert found(None, None, 10) == [4, 3, 2, 1, 0]
    assert found(None, None, 2) == [4, 3]
    assert found(signatures[3], signatures[0], 10) == [2, 1]
    assert found(bytes(64), None, 10) == []
