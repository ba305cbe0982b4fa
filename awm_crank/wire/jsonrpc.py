"""Solana's JSON-RPC as text: builds request bodies and reads typed results, without I/O.

Account data is requested as base64. Results are decoded and checked at once, with keys and account data. Anything of
another shape raises RpcError and nothing else, so a decoded result needs no further check. (solana-py's parser panics
on some malformed answers.) notifications.py reads what PubSub sends.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

import msgspec
from solders.pubkey import Pubkey

from ..errors import AwmError, RpcError
from .failures import error_in_words, transaction_error
from .transaction import Signed

T = TypeVar("T")
Commitment = Literal["processed", "confirmed", "finalized"]
MAX_ACCOUNTS = 100
"""The most accounts that one getMultipleAccounts may ask for."""

TRANSIENT = frozenset({-32004, -32005, -32007, -32014, -32016, -32429, 429})
"""Error codes that may pass, since the endpoint is busy or behind: a block is not ready (-32004, -32014), the node is
behind (-32005), the minimum context slot is not reached (-32016), or too many requests (-32007, -32429 and 429, as
providers have it)."""

MAX_AT_ONCE_BYTES = 1 << 20
"""Longer texts are decoded in a thread, so that the event loop goes on: 1 MiB takes 3 ms, the largest account 40."""
MAX_PLAIN_BYTES = 64 << 10
"""The longest text that is decoded without a type: what comes with an error, and notifications of unknown kinds."""
_MESSAGE_CHARS = 300
"""How much of an endpoint's error message is kept."""


# ---- requests ----


class Request(Generic[T]):
    """One request, and the type of its result: `rpc.ask(get_account_info(key))` gives an `AccountResult`.

    Args:
        method: such as `getSlot`.
        params: its parameters; Pubkeys among them are written as base58.
        kind: the type of its result, such as `AccountResult` or `int`.
        count: how many accounts the result must have; None where that is not known.
    """

    __slots__ = ("_count", "_kind", "_params", "method")

    def __init__(self, method: str, params: Sequence[Any], kind: type[T], *, count: int | None = None) -> None:
        self.method = method
        self._params = msgspec.json.encode(params, enc_hook=_plain)
        self._kind = kind
        self._count = count

    def body(self, request_id: int) -> bytes:
        """The request's text."""
        return b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}' % (request_id, self.method.encode(), self._params)

    def read(self, answer: bytes, request_id: int) -> T:
        """The result of its answer. Raises as `result`, and RpcError when the answer belongs to another request."""
        found: Any = decode_result(answer, self._kind, self.method, request_id=request_id)
        if self._count is not None and len(found.value) != self._count:
            raise RpcError(self.method, expected=f"{self._count} accounts", found=len(found.value), recoverable=True)
        return cast("T", found)


def _plain(value: Any) -> Any:
    if isinstance(value, Pubkey):
        return str(value)
    raise TypeError(f"a request cannot hold a {type(value).__name__}")


def batch(bodies: Sequence[bytes]) -> bytes:
    """Several request bodies as one."""
    return b"[" + b",".join(bodies) + b"]"


@cache
def _send_tail(skip_preflight: bool, commitment: Commitment, max_retries: int | None) -> bytes:
    config: dict[str, Any] = {"encoding": "base64", "preflightCommitment": commitment}
    if skip_preflight:
        config["skipPreflight"] = True
    if max_retries is not None:
        config["maxRetries"] = max_retries
    return b'",' + msgspec.json.encode(config) + b"]}"


def send_transaction(
    request_id: int,
    transaction: Signed,
    *,
    skip_preflight: bool = False,
    commitment: Commitment = "processed",
    max_retries: int | None = None,
) -> bytes:
    """A sendTransaction body. It is put together by hand for speed, because every frame needs one."""
    return (
        b'{"jsonrpc":"2.0","id":%d,"method":"sendTransaction","params":["' % request_id
        + transaction.base64()
        + _send_tail(skip_preflight, commitment, max_retries)
    )


def _config(commitment: Commitment, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"encoding": "base64", "commitment": commitment, **(more or {})}


def get_account_info(
    key: Pubkey, commitment: Commitment = "processed", data_slice: tuple[int, int] | None = None
) -> Request[AccountResult]:
    """One account; `data_slice` is (offset, length)."""
    return Request("getAccountInfo", [key, _config(commitment, _slice(data_slice))], AccountResult)


def get_multiple_accounts(
    keys: Sequence[Pubkey], commitment: Commitment = "processed", data_slice: tuple[int, int] | None = None
) -> Request[AccountsResult]:
    """Up to `MAX_ACCOUNTS` accounts at one slot.

    `data_slice` is (offset, length). The result has one entry for each key.
    """
    params = [list(keys), _config(commitment, _slice(data_slice))]
    return Request("getMultipleAccounts", params, AccountsResult, count=len(keys))


def _slice(data_slice: tuple[int, int] | None) -> dict[str, Any]:
    return {} if data_slice is None else {"dataSlice": {"offset": data_slice[0], "length": data_slice[1]}}


def memcmp(offset: int, value: bytes) -> dict[str, Any]:
    """A filter for program accounts: `value` at `offset` of the data (see `Layout.offset`)."""
    return {"memcmp": {"offset": offset, "bytes": base64.b64encode(value).decode(), "encoding": "base64"}}


def data_size(size: int) -> dict[str, Any]:
    """A filter for program accounts of `size` bytes of data."""
    return {"dataSize": size}


def get_program_accounts(
    program: Pubkey,
    filters: Sequence[Mapping[str, Any]] = (),
    commitment: Commitment = "processed",
    data_slice: tuple[int, int] | None = None,
) -> Request[ProgramAccountsResult]:
    """A program's accounts that pass all `filters`, with the slot."""
    more = {"filters": list(filters), "withContext": True, **_slice(data_slice)}
    return Request("getProgramAccounts", [program, _config(commitment, more)], ProgramAccountsResult)


def get_latest_blockhash(commitment: Commitment = "processed") -> Request[BlockhashResult]:
    """The latest blockhash and the last block height at which it is valid."""
    return Request("getLatestBlockhash", [{"commitment": commitment}], BlockhashResult)


def get_balance(key: Pubkey, commitment: Commitment = "processed") -> Request[BalanceResult]:
    """The lamports of an account, with the slot; 0 where there is no account."""
    return Request("getBalance", [key, {"commitment": commitment}], BalanceResult)


def get_slot(commitment: Commitment = "processed") -> Request[int]:
    """The slot that the endpoint has reached."""
    return Request("getSlot", [{"commitment": commitment}], int)


# ---- results ----


Unsigned = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""Slots, heights and lamports: the supply of SOL in lamports has 60 bits."""


_PIECE_CHARS = 256 << 10
"""Characters of base64 that are decoded at once, a multiple of 4."""


class AccountBytes(bytes):
    """An account's data, decoded from base64."""


def decode_hook(kind: type, value: Any) -> Any:
    """Decodes types that JSON lacks. msgspec turns ValueError and TypeError into its own error with the place."""
    if kind is Pubkey:
        if not isinstance(value, str):
            raise ValueError("expected a base58 key")
        try:
            return Pubkey.from_string(value)
        except ValueError:
            raise ValueError(f"expected a base58 key, found {value[:60]!r}") from None
    # msgspec decodes base64 into `bytes` by itself, but accepts any character as base64.
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[1] == "base64"):
        raise ValueError('expected account data as [text, "base64"]')
    try:
        return AccountBytes(_from_base64(value[0]))
    except ValueError as error:
        raise ValueError(f"expected base64, found {value[0][:40]!r} ({error})") from None


def _from_base64(text: str) -> bytes:
    """Decodes base64. Raises ValueError.

    Long texts go in pieces: 10 MiB take 30 ms, in which no other thread could run.
    """
    if len(text) <= _PIECE_CHARS:
        return binascii.a2b_base64(text, strict_mode=True)
    pieces = [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]
    if any("=" in piece for piece in pieces[:-1]):
        raise ValueError("padding before the end")
    return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)


class RpcAccount(msgspec.Struct, frozen=True, gc=False):
    """An account as RPC gives it: data (`raw`), owner (`owner_key`) and lamports."""

    raw: AccountBytes = msgspec.field(name="data")
    owner_key: Pubkey = msgspec.field(name="owner")
    lamports: Unsigned
    executable: bool = False


class KeyedAccount(msgspec.Struct, frozen=True, gc=False):
    """An account with its address (`key`)."""

    key: Pubkey = msgspec.field(name="pubkey")
    account: RpcAccount


class Context(msgspec.Struct, frozen=True, gc=False):
    """The slot at which a result is valid."""

    slot: Unsigned


class InContext(msgspec.Struct, Generic[T], frozen=True):
    """A result with its slot."""

    context: Context
    value: T


class LatestBlockhash(msgspec.Struct, frozen=True):
    """A blockhash (`key`: 32 bytes, like a key) and the last block height at which it is valid."""

    key: Pubkey = msgspec.field(name="blockhash")
    last_valid_block_height: Unsigned = msgspec.field(name="lastValidBlockHeight")

    @property
    def raw(self) -> bytes:
        """The blockhash, 32 bytes."""
        return bytes(self.key)


BalanceResult = InContext[Unsigned]
AccountResult = InContext[RpcAccount | None]
AccountsResult = InContext[list[RpcAccount | None]]
ProgramAccountsResult = InContext[list[KeyedAccount]]
BlockhashResult = InContext[LatestBlockhash]


class ErrorBody(msgspec.Struct, frozen=True):
    """The `error` of a response; `code` may be missing where something in between answers."""

    message: str = "no message"
    code: int | None = None
    raw: msgspec.Raw = msgspec.field(name="data", default=msgspec.Raw())

    @property
    def data(self) -> Any:
        """What the endpoint adds, as plain JSON values. None where it adds nothing, or more than any node would.

        Plain values of 16 MiB of text can be five million lists, which would stop everything else for seconds.
        """
        if not 0 < len(bytes(self.raw)) <= MAX_PLAIN_BYTES:
            return None
        try:
            return msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
            return None


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A response: `result` not yet decoded (empty when there is none), or `error`."""

    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorBody | None = None


def _typed_error(error: ErrorBody, what: str) -> AwmError:
    """Converts a response's error: a program's refusal to ProgramError, anything else to RpcError with code and
    data.
    """
    message = error.message[:_MESSAGE_CHARS]
    data = error.data
    if isinstance(data, dict) and data.get("err") is not None:
        logs = data.get("logs")
        logs = [line for line in logs if isinstance(line, str)] if isinstance(logs, list) else []
        refusal: AwmError | None = transaction_error(data["err"], logs)
    else:
        refusal = error_in_words(message)
    if refusal is not None:
        if isinstance(refusal, RpcError):
            refusal.code, refusal.data = error.code, data
        return refusal
    return RpcError(f"{what}: {message}", code=error.code, data=data, recoverable=error.code in TRANSIENT)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=decode_hook)


def decode(kind: Any, data: bytes | memoryview | msgspec.Raw, what: str) -> Any:
    """Decodes these bytes as `kind`. Raises RpcError if they have another shape."""
    try:
        return _decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise malformed(what, error, bytes(data)) from None


def malformed(what: str, error: Exception, data: bytes) -> RpcError:
    """Returns the error for bytes of the wrong shape."""
    # Nonsense from an endpoint counts as recoverable, because another node may answer the next request.
    found = f"{str(error)[:200]}: {data[:80]!r}"
    return RpcError(what, expected="JSON as Solana's RPC writes it", found=found, recoverable=True)


def decode_reply(data: bytes | memoryview) -> Reply:
    """A response's envelope. Raises RpcError when the bytes are not a response."""
    reply: Reply = decode(Reply, data, "response")
    return reply


def result(reply: Reply, kind: type[T], what: str = "request") -> T:
    """A response's result as `kind`, such as `AccountResult` or `int`.

    Args:
        reply: the envelope.
        kind: the type.
        what: the request, for errors.

    Raises:
        ProgramError: a program refused the transaction; `code` and name where it is a custom error.
        RpcError: the endpoint answered with another error, or with something of another shape.
    """
    if reply.error is not None:
        raise _typed_error(reply.error, what)
    if not bytes(reply.result):
        raise RpcError(what, expected="a result or an error", found="neither", recoverable=True)
    decoded: T = decode(kind, reply.result, what)
    return decoded


def answer_to(request_id: int, reply: Reply, what: str = "request") -> Reply:
    """The response, if it answers this request. Raises RpcError when its id belongs to another one.

    A response without an id must be an error: an endpoint that cannot read a request answers like that.
    """
    if reply.id != request_id and (reply.id is not None or reply.error is None):
        raise RpcError(f"{what}: id of the answer", expected=request_id, found=repr(reply.id)[:60], recoverable=True)
    return reply


def decode_result(
    data: bytes | memoryview, kind: type[T], what: str = "request", *, request_id: int | None = None
) -> T:
    """`result` of a response's bytes.

    Raises as `result`, and also if `request_id` is given and differs from the response's id.
    """
    reply = decode_reply(data)
    return result(reply if request_id is None else answer_to(request_id, reply, what), kind, what)


def decode_batch(data: bytes | memoryview) -> list[Reply]:
    """The responses of a batch, in any order. Raises RpcError, also for one error in place of the whole batch."""
    if bytes(data[:64]).lstrip()[:1] == b"{":
        reply = decode_reply(data)
        raise _typed_error(reply.error or ErrorBody("one answer in place of a batch"), "batch")
    replies: list[Reply] = decode(list[Reply], data, "batch")
    return replies
