"""The bank: slots, blockhashes, duplicates, and failed transactions with their traces."""

from __future__ import annotations

import pytest
from localnet.kit import NOW, SOL, Node
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    AdvanceNonceAccountParams,
    CreateAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_account,
    initialize_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from awm_crank.localnet.bank import CLOCK, NONCE_BYTES, Bank
from awm_crank.localnet.faults import RequestError
from awm_crank.localnet.history import Entry, Wire
from awm_crank.localnet.outcome import RefusedError

LOOKUP_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")


def land(node: Node, transaction: VersionedTransaction, *, preflight: bool = False) -> Entry:
    """Executes a transaction."""
    raw = bytes(transaction)
    return node.bank.execute(raw, *node.bank.parse(raw), preflight=preflight)


def balance(node: Node, key: Pubkey) -> int:
    """The lamports of an account."""
    return node.bank.svm.get_balance(key) or 0


def test_slots_follow_the_clock() -> None:
    """A slot is 10 ms, time never runs backwards, and the clock sysvar shows slot and Unix time."""
    bank = Bank(slot_ms=10, now=NOW, genesis=bytes(32))
    assert bank.slot_at(NOW) == 1
    assert bank.slot_at(NOW + 0.0101) == 2
    assert bank.slot_at(NOW + 5.0001) == 501
    bank.advance(501)
    assert bank.slot_at(NOW) == 501
    assert bank.time_of(501) == NOW + 5
    clock = bank.account(bytes(CLOCK))
    assert clock is not None
    assert int.from_bytes(clock.data[:8], "little") == 501
    assert int.from_bytes(clock.data[32:40], "little") == NOW + 5


@pytest.mark.parametrize(("slot_ms", "life"), [(10, 6000), (400, 150), (1000, 150)])
def test_blockhash_expires_after_a_minute_of_slots(slot_ms: float, life: int) -> None:
    """A blockhash is valid for 60 s and at least 150 slots, and no longer."""
    node = Node(slot_ms)
    assert node.bank.hash_slots == life
    old = node.pay(Keypair().pubkey())
    node.bank.advance(2 + life)
    land(node, old)
    other = node.pay(Keypair().pubkey())
    node.bank.advance(node.bank.slot + life + 1)
    with pytest.raises(RefusedError, match="Blockhash not found"):
        land(node, other)


def test_a_long_pause_leaves_the_newest_hashes_only() -> None:
    """After a jump over more slots than a hash lives, only the newest hashes are known and the queue has not grown."""
    node = Node()
    before = node.blockhash()
    node.bank.advance(10_000_000)
    assert node.bank.hash_slot(bytes(before)) is None
    assert node.bank.hash_slot(node.bank.blockhash(10_000_000 - 6000)) == 10_000_000 - 6000
    assert node.bank.hash_slot(node.bank.blockhash(10_000_000 - 6001)) is None
    land(node, node.pay(Keypair().pubkey()))


def test_duplicates_are_known_for_as_long_as_the_blockhash(node: Node) -> None:
    """The same bytes land only once, even after thousands of other transactions."""
    first = node.pay(Keypair().pubkey())
    land(node, first)
    for _ in range(100):
        land(node, node.pay(Keypair().pubkey()))
    for preflight in (True, False):
        with pytest.raises(RefusedError, match="already been processed"):
            land(node, first, preflight=preflight)


def test_failed_transaction_lands_with_its_fee_unless_preflight_stops_it(node: Node) -> None:
    """Without preflight a failing transaction pays its fee and is remembered; with preflight nothing changes."""
    poor = node.funded(SOL)
    failing = node.pay(Keypair().pubkey(), 5 * SOL, payer=poor)
    with pytest.raises(RefusedError, match="Instruction 0: custom program error: 0x1") as caught:
        land(node, failing, preflight=True)
    assert caught.value.meta is not None
    assert "insufficient lamports" in "".join(caught.value.meta.logs())
    assert balance(node, poor.pubkey()) == SOL
    assert node.bank.history.count == 0
    entry = land(node, failing)
    assert entry.fault is not None
    assert entry.fault.json == b'{"InstructionError":[0,{"Custom":1}]}'
    assert balance(node, poor.pubkey()) == SOL - 5000
    assert (entry.before[0], entry.after[0]) == (SOL, SOL - 5000)


def test_what_never_ran_leaves_no_trace(node: Node) -> None:
    """A transaction whose payer does not exist is refused with and without preflight, and not remembered."""
    for preflight in (True, False):
        with pytest.raises(RefusedError, match="no record of a prior credit"):
            land(node, node.pay(Keypair().pubkey(), payer=Keypair()), preflight=preflight)
    assert node.bank.history.count == 0


def test_wrong_signature(node: Node) -> None:
    """A transaction with a wrong signature does not land, with a preflight and without, whatever its blockhash is."""
    message = node.pay(Keypair().pubkey()).message
    forged = VersionedTransaction.populate(message, [Signature.default()])
    for preflight in (True, False):
        with pytest.raises(RefusedError, match="did not pass signature verification"):
            land(node, forged, preflight=preflight)
    node.bank.advance(node.bank.slot + 10_000)
    with pytest.raises(RefusedError, match="did not pass signature verification"):
        land(node, forged, preflight=True)


@pytest.mark.parametrize("raw", [b"", b"\0", b"\x01" + bytes(64), bytes(1233), b"\xff" * 200])
def test_no_transaction(node: Node, raw: bytes) -> None:
    """Bytes that are not a transaction are invalid params."""
    with pytest.raises(RequestError) as caught:
        node.bank.parse(raw)
    assert caught.value.code == -32602


def test_unsanitary_transaction(node: Node) -> None:
    """An instruction that names an account outside the transaction is refused by name."""
    raw = bytearray(bytes(node.pay(Keypair().pubkey())))
    at = bytes(raw).index(b"\x02\x00\x01\x0c")
    raw[at + 2] = 9
    with pytest.raises(RequestError, match="sanitize"):
        node.bank.parse(bytes(raw))


def test_wire_reads_roles(node: Node) -> None:
    """Keys, writable keys and blockhash are read from the bytes as solders' own parser reads them."""
    second, writable, readonly = Keypair(), Pubkey.new_unique(), Pubkey.new_unique()
    call = Instruction(
        Pubkey.new_unique(),
        b"x",
        [
            AccountMeta(second.pubkey(), True, False),
            AccountMeta(writable, False, True),
            AccountMeta(readonly, False, False),
        ],
    )
    message = MessageV0.try_compile(node.payer.pubkey(), [call], [], node.blockhash())
    transaction = VersionedTransaction(message, [node.payer, second])
    _, wire = node.bank.parse(bytes(transaction))
    assert wire.static == [bytes(key) for key in message.account_keys]
    assert set(wire.writable) == {bytes(node.payer.pubkey()), bytes(writable)}
    assert wire.blockhash == bytes(node.blockhash())
    assert wire.signature == bytes(transaction.signatures[0])
    assert (wire.version, wire.signers) == (0, 2)
    assert Wire.parse(bytes(node.pay(writable)), node.pay(writable)).version is None


def test_lookup_tables(node: Node) -> None:
    """A v0 transaction finds its accounts through a table, and they count among the accounts that it wrote."""
    target, table = Pubkey.new_unique(), Pubkey.new_unique()
    # state 1 (lookup table), deactivation never, last extended in slot 0, no authority; addresses from byte 56 on
    header = (1).to_bytes(4, "little") + b"\xff" * 8 + bytes(8) + b"\0" + b"\0" + bytes(32) + bytes(2)
    assert len(header) == 56
    node.bank.svm.set_account(table, Account(SOL, header + bytes(target), LOOKUP_PROGRAM))
    move = transfer(TransferParams(from_pubkey=node.payer.pubkey(), to_pubkey=target, lamports=SOL))
    lookup = AddressLookupTableAccount(table, [target])
    message = MessageV0.try_compile(node.payer.pubkey(), [move], [lookup], node.blockhash())
    entry = land(node, VersionedTransaction(message, [node.payer]))
    assert entry.fault is None
    assert balance(node, target) == SOL
    assert bytes(target) in entry.written
    assert entry.loaded == ([bytes(target)], [])
    assert entry.after[entry.keys.index(bytes(target))] == SOL


def test_simulation_changes_nothing(node: Node) -> None:
    """A simulated transfer shows the accounts after it but does not change them, and checks signatures when asked."""
    target = Pubkey.new_unique()
    raw = bytes(VersionedTransaction.populate(node.pay(target).message, [Signature.default()]))
    transaction, wire = node.bank.parse(raw)
    outcome = node.bank.simulate(transaction, wire, verify=False, check_hash=True)
    assert outcome.fault is None
    assert outcome.accounts[bytes(target)].lamports == SOL
    assert balance(node, target) == 0
    fault = node.bank.simulate(transaction, wire, verify=True, check_hash=True).fault
    assert fault is not None
    assert fault.json == b'"SignatureFailure"'
    assert node.bank.svm.get_sigverify()


def nonce_of(node: Node) -> tuple[Keypair, bytes]:
    """The payer's nonce account, and the nonce that it holds."""
    account, me = Keypair(), node.payer.pubkey()
    lamports = node.bank.svm.minimum_balance_for_rent_exemption(NONCE_BYTES)
    create = create_account(
        CreateAccountParams(
            from_pubkey=me, to_pubkey=account.pubkey(), lamports=lamports, space=NONCE_BYTES, owner=Pubkey.default()
        )
    )
    begin = initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=account.pubkey(), authority=me))
    message = Message.new_with_blockhash([create, begin], me, node.blockhash())
    land(node, VersionedTransaction(message, [node.payer, account]), preflight=True)
    return account, held_nonce(node, account)


def held_nonce(node: Node, account: Keypair) -> bytes:
    """The nonce that an account holds."""
    found = node.bank.account(bytes(account.pubkey()))
    assert found is not None
    return bytes(found.data)[40:72]


def by_nonce(node: Node, account: Keypair, nonce: bytes, lamports: int = SOL) -> VersionedTransaction:
    """A transfer that has a nonce as its blockhash."""
    me = node.payer.pubkey()
    advance = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=account.pubkey(), authorized_pubkey=me))
    move = transfer(TransferParams(from_pubkey=me, to_pubkey=Keypair().pubkey(), lamports=lamports))
    return VersionedTransaction(Message.new_with_blockhash([advance, move], me, Hash(nonce)), [node.payer])


def test_durable_nonce(node: Node) -> None:
    """A transaction by nonce lands once, even long after it was made, and the nonce has advanced then."""
    account, nonce = nonce_of(node)
    transaction = by_nonce(node, account, nonce)
    node.bank.advance(node.bank.slot + 2 * node.bank.hash_slots)
    assert land(node, transaction, preflight=True).fault is None
    assert held_nonce(node, account) != nonce
    with pytest.raises(RefusedError, match="Blockhash not found"):
        land(node, transaction, preflight=True)


def test_a_failed_transaction_uses_its_nonce_up(node: Node) -> None:
    """A failed transaction by nonce pays its fee and can never be sent again. With preflight nothing happens."""
    account, nonce = nonce_of(node)
    node.bank.advance(node.bank.slot + 1)
    failing = by_nonce(node, account, nonce, 10**15)
    with pytest.raises(RefusedError, match="Instruction 1"):
        land(node, failing, preflight=True)
    assert held_nonce(node, account) == nonce
    assert land(node, failing).fault is not None
    assert held_nonce(node, account) != nonce


@pytest.mark.parametrize("wrong", ["nonce", "authority", "order"])
def test_no_nonce(node: Node, wrong: str) -> None:
    """Another nonce, another authority, or an advance that is not the first instruction makes no blockhash valid."""
    account, nonce = nonce_of(node)
    node.bank.advance(node.bank.slot + 2 * node.bank.hash_slots)
    me = node.payer.pubkey() if wrong != "authority" else node.funded().pubkey()
    advance = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=account.pubkey(), authorized_pubkey=me))
    move = transfer(TransferParams(from_pubkey=node.payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL))
    calls = [move, advance] if wrong == "order" else [advance, move]
    blockhash = Hash(bytes(32) if wrong == "nonce" else nonce)
    message = Message.new_with_blockhash(calls, node.payer.pubkey(), blockhash)
    unsigned = [Signature.default()] * message.header.num_required_signatures
    raw = bytes(VersionedTransaction.populate(message, unsigned))
    transaction, wire = node.bank.parse(raw)
    outcome = node.bank.simulate(transaction, wire, verify=False, check_hash=True)
    assert outcome.fault is not None
    assert outcome.fault.text == "Blockhash not found"
