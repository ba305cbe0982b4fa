"""World's interface: 0.2.4 passes, and others are refused by name."""

from __future__ import annotations

import pytest
from wire.pages import ROOT

from awm_crank.errors import ProgramError
from awm_crank.wire.idl import load
from awm_crank.wire.interface import (
    check_world_accounts,
    check_world_logs,
    check_world_program,
    world_accounts,
)

BOLT_EXECUTE = load("run_inference").instructions["bolt_execute"].discriminator
EXECUTE = load("run_inference").instructions["execute"].discriminator


def elf(*parts: bytes, header: bytes = b"") -> bytes:
    return header + b"\x7fELF" + bytes(64) + b"".join(parts) + bytes(64)


def lddw(eight: bytes, register: int = 1) -> bytes:
    """The 16-byte SBF instruction that loads eight bytes as an immediate."""
    return bytes([0x18, register, 0, 0]) + eight[:4] + bytes(4) + eight[4:]


@pytest.mark.parametrize("binary", [elf(), elf(BOLT_EXECUTE), elf(lddw(BOLT_EXECUTE)), elf(BOLT_EXECUTE, EXECUTE)])
def test_0_2_4_passes(binary: bytes) -> None:
    """A binary without a sign of another interface passes, even after a ProgramData header."""
    check_world_program(binary)
    check_world_program(bytes(45) + binary)


def test_our_world_passes() -> None:
    """The World binary in the package passes, and holds the discriminator with which 0.2.4 calls systems."""
    binary = (ROOT / "awm_crank" / "localnet" / "programs" / "world.so").read_bytes()
    check_world_program(binary)
    assert BOLT_EXECUTE not in binary
    assert any(lddw(BOLT_EXECUTE, register) in binary for register in range(10))


@pytest.mark.parametrize("sign", [b"cpi_auth", lddw(b"cpi_auth"), lddw(b"cpi_auth", 7)])
def test_development_branch_is_refused(sign: bytes) -> None:
    """A binary that holds cpi_auth, as data or as an immediate, is recognized as the development branch's."""
    with pytest.raises(ProgramError, match=r"development branch.*expected BOLT 0\.2\.4.*found cpi_auth"):
        check_world_program(elf(BOLT_EXECUTE, sign))


@pytest.mark.parametrize("sign", [EXECUTE, lddw(EXECUTE)])
def test_0_1_is_refused(sign: bytes) -> None:
    """A binary that calls systems only by `execute` is recognized as BOLT 0.1's."""
    with pytest.raises(ProgramError, match=r"BOLT 0\.1"):
        check_world_program(elf(sign))


def test_missing_program_is_refused() -> None:
    """Data without an ELF is refused with a hint."""
    with pytest.raises(ProgramError, match=r"expected an ELF program.*check the endpoint"):
        check_world_program(b"")


def test_binary_is_found_where_it_stands() -> None:
    """Another interface is refused whether the binary is in the program's own account or in its ProgramData."""
    other, pointer = elf(b"cpi_auth"), bytes(36)
    for accounts in ([other, None], [pointer, bytes(45) + other]):
        with pytest.raises(ProgramError, match="development branch"):
            check_world_accounts(accounts)
    check_world_accounts([pointer, bytes(45) + elf()])
    check_world_accounts([pointer, None])
    assert len(set(world_accounts())) == 2


def test_world_that_is_not_deployed() -> None:
    """An empty World address raises a recoverable error, because waiting may help."""
    with pytest.raises(ProgramError, match="is not deployed") as caught:
        check_world_accounts([None, None])
    assert caught.value.recoverable


def test_logs() -> None:
    """An Anchor error about an account of the development branch names that branch, and other logs pass."""
    check_world_logs(["Program log: AnchorError caused by account: authority. Error Code: ConstraintMut."])
    for account in ("cpi_auth", "buffer"):
        with pytest.raises(ProgramError, match="development branch"):
            check_world_logs(
                ["x", f"Program log: AnchorError caused by account: {account}. Error Code: ConstraintMut."]
            )
