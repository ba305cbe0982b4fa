"""Templated transactions have the bytes that solders makes, patched and distinct."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from wire.strategies import KEYS, exactly

from awm_crank.errors import LayoutError
from awm_crank.wire import bolt, ids, transaction
from awm_crank.wire.transaction import PatchRange, Signer, Template, args_range, sign_once, verify

SEEDS = [bytes([n]) * 32 for n in (1, 2, 3)]
KEYPAIRS = [Keypair.from_seed(seed) for seed in SEEDS]
SIGNERS = [Signer(bytes(keypair)) for keypair in KEYPAIRS]
PAYER = SIGNERS[0].pubkey
ENTITY = Pubkey.from_bytes(b"e" * 32)

METAS = st.builds(AccountMeta, KEYS, st.just(False), st.booleans())
INSTRUCTIONS = st.lists(
    st.builds(Instruction, KEYS, st.binary(max_size=200), st.lists(METAS, max_size=5)), min_size=1, max_size=2
)


def reference(instructions: list[Instruction], keypairs: list[Keypair], blockhash: bytes) -> bytes:
    """The same transaction, made by solders, for comparison."""
    recent = Hash.from_bytes(blockhash)
    message = Message.new_with_blockhash(instructions, keypairs[0].pubkey(), recent)
    return bytes(Transaction(keypairs, message, recent))


def frame_apply(args: bytes) -> Instruction:
    return bolt.apply_entity(ids.RUN_INFERENCE, PAYER, bolt.world_pda(0), ENTITY, ids.SESSION_COMPONENTS, args)


@given(INSTRUCTIONS, exactly(32), st.integers(0, 2))
def test_bytes_are_solders(instructions: list[Instruction], blockhash: bytes, more: int) -> None:
    """Any transaction, by one signer or several, has the bytes that solders makes."""
    others = [AccountMeta(signer.pubkey, True, False) for signer in SIGNERS[1 : 1 + more]]
    instructions = [*instructions, Instruction(ids.SYSTEM_PROGRAM, b"x", others)]
    wire = sign_once(instructions, PAYER, SIGNERS[: 1 + more], blockhash).wire
    assert wire == reference(instructions, KEYPAIRS[: 1 + more], blockhash)
    assert Transaction.from_bytes(wire).verify_with_results() == [True] * (1 + more)


@given(st.lists(st.tuples(exactly(32), exactly(107)), min_size=1, max_size=4), st.integers(0, 3))
def test_patched_bytes_are_solders(frames: list[tuple[bytes, bytes]], attempt: int) -> None:
    """A template that is patched again and again gives what building from the start gives."""
    template = Template([frame_apply(bytes(107))], PAYER, patch=args_range(0, 107), compute_units=200_000, unit_price=5)
    for blockhash, args in frames:
        signed = template.sign(blockhash, SIGNERS[:1], args, attempt)
        front = [set_compute_unit_limit(200_000 + attempt), set_compute_unit_price(5)]
        assert signed.wire == reference([*front, frame_apply(args)], KEYPAIRS[:1], blockhash)
        assert signed.signature == signed.wire[1:65]
        assert base64.b64decode(signed.base64()) == signed.wire
        assert len(signed.wire) == template.size


def test_retries_are_distinct() -> None:
    """Attempts under one blockhash differ in bytes and signature, and each verifies."""
    template = Template([frame_apply(bytes(107))], PAYER, patch=args_range(0, 107), compute_units=200_000)
    signed = [template.sign(bytes(32), SIGNERS[:1], b"a" * 107, attempt) for attempt in range(5)]
    assert len({each.wire for each in signed}) == len({each.signature for each in signed}) == 5
    assert all(verify(each.wire, [PAYER]) for each in signed)
    plain = Template([frame_apply(b"")], PAYER)
    with pytest.raises(LayoutError, match="attempt; expected 0"):
        plain.sign(bytes(32), SIGNERS[:1], attempt=1)


def test_compute_budget_instructions() -> None:
    """The compute-budget instructions equal those of solders."""
    assert transaction.compute_unit_limit(7) == set_compute_unit_limit(7)
    assert transaction.compute_unit_price(7) == set_compute_unit_price(7)
    with pytest.raises(LayoutError, match="compute units; expected a u32"):
        transaction.compute_unit_limit(1 << 32)


def test_verify() -> None:
    """A transaction with a changed byte, another key or another number of keys does not verify."""
    wire = sign_once([frame_apply(b"x")], PAYER, SIGNERS[:1], bytes(32)).wire
    assert verify(wire, [PAYER])
    assert not verify(wire[:-1] + bytes([wire[-1] ^ 1]), [PAYER])
    assert not verify(wire, [SIGNERS[1].pubkey])
    assert not verify(wire, [PAYER, PAYER])


def test_wrong_signers_are_refused() -> None:
    """A missing or superfluous signer is refused, and the error names who must sign."""
    template = Template([Instruction(ids.WORLD, b"", [AccountMeta(SIGNERS[1].pubkey, True, True)])], PAYER)
    assert template.signers == (PAYER, SIGNERS[1].pubkey)
    for wrong in (SIGNERS[:1], SIGNERS, SIGNERS[1:]):
        with pytest.raises(LayoutError, match=str(SIGNERS[1].pubkey)):
            template.sign(bytes(32), wrong)
    both = template.sign(bytes(32), [SIGNERS[1], SIGNERS[0]])
    assert verify(both.wire, template.signers)


def test_wrong_parts_are_refused() -> None:
    """A blockhash or args of another size, or a range outside the data, is refused."""
    template = Template([frame_apply(bytes(107))], PAYER, patch=args_range(0, 107))
    with pytest.raises(LayoutError, match="blockhash; expected 32 bytes, found 31"):
        template.message(bytes(31))
    with pytest.raises(LayoutError, match="args of template; expected 107 bytes, found 106"):
        template.message(bytes(32), bytes(106))
    with pytest.raises(LayoutError, match="expected none, found 3 bytes"):
        Template([frame_apply(b"")], PAYER).message(bytes(32), b"abc")
    for patch in (PatchRange(0, 12, 108), PatchRange(0, -1, 5)):
        with pytest.raises(LayoutError, match="template range"):
            Template([frame_apply(bytes(107))], PAYER, patch=patch)


def test_too_large_transactions_are_refused() -> None:
    """A template of over 1,232 bytes is refused, and one of exactly 1,232 is accepted."""
    empty = Template([Instruction(ids.WORLD, b"", [])], PAYER).size
    # Data of 128 bytes or more has a length of two bytes.
    most = 1232 - empty - 1
    assert Template([Instruction(ids.WORLD, bytes(most), [])], PAYER).size == 1232
    with pytest.raises(LayoutError, match="expected at most 1232 bytes, found 1233 bytes"):
        Template([Instruction(ids.WORLD, bytes(most + 1), [])], PAYER)


def test_signer_takes_both_forms() -> None:
    """The 32-byte seed and the 64-byte key of Solana's files give the same signer."""
    assert Signer(SEEDS[0]).pubkey == Signer(bytes(KEYPAIRS[0])).pubkey == KEYPAIRS[0].pubkey()


def test_bad_secrets_are_refused_without_showing_them() -> None:
    """A secret of another length, or with another key's public half, is refused, and no text shows any of it."""
    mixed = SEEDS[0] + bytes(SIGNERS[1].pubkey)
    for wrong in (SEEDS[0][:31], mixed, b""):
        with pytest.raises(LayoutError, match="secret key") as caught:
            Signer(wrong)
        assert wrong.hex()[:8] not in str(caught.value) or not wrong
        assert repr(SEEDS[0]) not in str(caught.value)
    assert repr(SIGNERS[0]) == f"Signer({PAYER})"


@given(st.integers(0, 0xFFFF))
def test_compact_numbers(value: int) -> None:
    """Every u16 is read back from its compact form, and the offset is where the form ends."""
    data = transaction._compact(value)
    assert transaction._read_compact(data + b"rest", 0) == (value, len(data))
    with pytest.raises(LayoutError):
        transaction._read_compact(data[:-1], 0)
