"""Legacy transactions from templates: the message is built once, then blockhash and args are patched and it is signed.

Signing uses PyNaCl's Ed25519, which gives the same bytes as solders (a test compares them) in a third of the time
(reference/libraries.md). Layout of a legacy transaction: compact-u16 count of signatures, signatures (64 each), then
the message: header (3 bytes), compact-u16 count of keys, keys (32 each), blockhash (32), compact-u16 count of
instructions, each program index u8, compact-u16 account indices, compact-u16 data.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import NamedTuple

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey

from ..errors import LayoutError
from . import ids

PACKET_SIZE = 1232
"""The most bytes that a transaction may have."""

MAX_COMPUTE_UNITS = 1_400_000

_SET_LIMIT = b"\x02"
_SET_PRICE = b"\x03"
_ARGS_AT = 12
"""The offset of an apply's args in its data, after discriminator and length."""


def compute_unit_limit(units: int) -> Instruction:
    """Sets the most compute units that the transaction may use."""
    return Instruction(ids.COMPUTE_BUDGET, _SET_LIMIT + _unsigned("compute units", units, 4), [])


def compute_unit_price(micro_lamports: int) -> Instruction:
    """Sets the priority fee, in millionths of a lamport for each compute unit."""
    return Instruction(ids.COMPUTE_BUDGET, _SET_PRICE + _unsigned("compute unit price", micro_lamports, 8), [])


def _unsigned(name: str, value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "little")
    except OverflowError:
        raise LayoutError(name, expected=f"a u{8 * size}", found=value) from None


class Signer:
    """An Ed25519 key that signs. No text form of it shows its secret.

    Args:
        secret: 64 bytes, seed and public key, as in Solana's key files; or the 32-byte seed.

    Raises:
        LayoutError: another length, or the public key does not belong to the seed.
    """

    __slots__ = ("_secret", "pubkey")

    def __init__(self, secret: bytes) -> None:
        if len(secret) not in (32, 64):
            raise LayoutError("secret key", expected="32 or 64 bytes", found=f"{len(secret)} bytes")
        public, self._secret = crypto_sign_seed_keypair(secret[:32])
        if len(secret) == 64 and secret[32:] != public:
            raise LayoutError("secret key", expected="its public half to belong to its seed", hint="use another key")
        self.pubkey = Pubkey.from_bytes(public)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message."""
        return crypto_sign(message, self._secret)[:64]

    def __repr__(self) -> str:
        return f"Signer({self.pubkey})"


class Signed(NamedTuple):
    """A signed transaction: its wire bytes, and its first signature, which is its id."""

    wire: bytes
    signature: bytes

    def base64(self) -> bytes:
        """The wire bytes in base64, as sendTransaction takes them."""
        return binascii.b2a_base64(self.wire, newline=False)


class PatchRange(NamedTuple):
    """A range of an instruction's data that is patched each time it is signed."""

    instruction: int
    offset: int
    size: int


def args_range(instruction: int, size: int) -> PatchRange:
    """The byte range of the arguments of World's `apply`. `instruction` is its index among the template's
    instructions.
    """
    return PatchRange(instruction, _ARGS_AT, size)


class Template:
    """A legacy transaction that lacks only blockhash, one patched range and signatures.

    Args:
        instructions: in order.
        payer: pays the fee, signs first.
        patch: the range that `sign(args=…)` replaces; None if nothing is replaced.
        compute_units: the compute limit, which is set by an instruction in front. `attempt` needs it.
        unit_price: priority fee in micro-lamports for each unit; 0 leaves the instruction out.

    Raises:
        LayoutError: the transaction is over 1,232 bytes, or the range is outside its instruction's data.
    """

    def __init__(
        self,
        instructions: Sequence[Instruction],
        payer: Pubkey,
        *,
        patch: PatchRange | None = None,
        compute_units: int | None = None,
        unit_price: int = 0,
    ) -> None:
        front = [] if compute_units is None else [compute_unit_limit(compute_units)]
        if unit_price:
            front.append(compute_unit_price(unit_price))
        message = Message.new_with_blockhash([*front, *instructions], payer, Hash.default())
        self.compute_units = compute_units
        self.signers: tuple[Pubkey, ...] = tuple(message.account_keys[: message.header.num_required_signatures])
        """The keys that must sign, in order, the payer first."""
        self._message = bytearray(bytes(message))
        self._blockhash_at, data_at = _offsets(bytes(message))
        self.size = 1 + 64 * len(self.signers) + len(self._message)
        """Bytes of the signed transaction."""
        if self.size > PACKET_SIZE:
            raise LayoutError("transaction", expected=f"at most {PACKET_SIZE} bytes", found=f"{self.size} bytes")
        self._limit_at = None if compute_units is None else data_at[0][0] + 1
        self._patch: tuple[int, int] | None = None
        if patch is not None:
            start, length = data_at[len(front) + patch.instruction]
            if patch.offset < 0 or patch.size < 0 or patch.offset + patch.size > length:
                raise LayoutError("template range", expected=f"within {length} bytes of instruction data", found=patch)
            self._patch = (start + patch.offset, patch.size)

    def message(self, blockhash: bytes, args: bytes | None = None, attempt: int = 0) -> bytes:
        """The message to sign.

        Args:
            blockhash: 32 bytes.
            args: the new content of the range; None keeps the last one.
            attempt: added to the compute limit, so that a retry under the same blockhash has other bytes. Identical
                bytes would be dropped as already processed (reference/practice.md).

        Raises:
            LayoutError: an argument has the wrong size, or `attempt` is given but no compute limit is set.
        """
        message = self._message
        if len(blockhash) != 32:
            raise LayoutError("blockhash", expected="32 bytes", found=f"{len(blockhash)} bytes")
        message[self._blockhash_at : self._blockhash_at + 32] = blockhash
        if args is not None:
            if self._patch is None or len(args) != self._patch[1]:
                raise LayoutError(
                    "args of template",
                    expected="none" if self._patch is None else f"{self._patch[1]} bytes",
                    found=f"{len(args)} bytes",
                )
            message[self._patch[0] : self._patch[0] + self._patch[1]] = args
        if self._limit_at is not None and self.compute_units is not None:
            message[self._limit_at : self._limit_at + 4] = _unsigned("compute units", self.compute_units + attempt, 4)
        elif attempt:
            raise LayoutError("attempt", expected="0, since the template sets no compute limit", found=attempt)
        return bytes(message)

    def sign(self, blockhash: bytes, signers: Sequence[Signer], args: bytes | None = None, attempt: int = 0) -> Signed:
        """The signed transaction; arguments as for `message`.

        Args:
            signers: one for each of `self.signers`, in any order.

        Raises:
            LayoutError: a signer is missing or superfluous, or as `message` raises.
        """
        message = self.message(blockhash, args, attempt)
        if len(self.signers) == 1 and len(signers) == 1 and signers[0].pubkey == self.signers[0]:
            signature = signers[0].sign(message)
            return Signed(b"\x01" + signature + message, signature)
        by_key = {signer.pubkey: signer for signer in signers}
        if set(by_key) != set(self.signers):
            raise LayoutError(
                "signers of transaction",
                expected=", ".join(map(str, self.signers)),
                found=", ".join(map(str, by_key)) or "none",
            )
        signatures = [by_key[key].sign(message) for key in self.signers]
        return Signed(_compact(len(signatures)) + b"".join(signatures) + message, signatures[0])


def sign_once(
    instructions: Sequence[Instruction],
    payer: Pubkey,
    signers: Sequence[Signer],
    blockhash: bytes,
    *,
    compute_units: int | None = None,
    unit_price: int = 0,
) -> Signed:
    """A transaction that is used once. Raises LayoutError as Template does."""
    return Template(instructions, payer, compute_units=compute_units, unit_price=unit_price).sign(blockhash, signers)


def verify(wire: bytes, keys: Sequence[Pubkey]) -> bool:
    """Whether a transaction's signatures are those of `keys`, in order."""
    from nacl.bindings import crypto_sign_open

    count, at = _read_compact(wire, 0)
    message = wire[at + 64 * count :]
    if count != len(keys):
        return False
    try:
        for number, key in enumerate(keys):
            crypto_sign_open(wire[at + 64 * number : at + 64 * number + 64] + message, bytes(key))
    except CryptoError:
        return False
    return True


def _compact(value: int) -> bytes:
    """Solana's compact-u16: seven bits a byte, low first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_compact(data: bytes, at: int) -> tuple[int, int]:
    """A compact-u16 and the offset after it. Raises LayoutError when the data ends inside it, or it is over 3 bytes."""
    value = 0
    for shift in (0, 7, 14):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise LayoutError("compact-u16", expected="1 to 3 bytes", found=f"data that ends at {at}")


def _offsets(message: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Offset of the blockhash, and (offset, length) of each instruction's data, in a legacy message."""
    keys, at = _read_compact(message, 3)
    blockhash_at = at + 32 * keys
    count, at = _read_compact(message, blockhash_at + 32)
    data = []
    for _ in range(count):
        accounts, at = _read_compact(message, at + 1)
        length, at = _read_compact(message, at + accounts)
        data.append((at, length))
        at += length
    return blockhash_at, data
