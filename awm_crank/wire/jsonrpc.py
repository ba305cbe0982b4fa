"""Solana's JSON-RPC and PubSub as text: request bodies out, typed results and notifications in. No I/O.

Account data is asked for as base64. Whatever does not have the shape it should raises
RpcError, never anything else: solana-py's parser panics on some of it (reference/libraries.md).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Generic, Literal, TypeVar

import msgspec
from solders.pubkey import Pubkey

from ..errors import AwmError, RpcError
from .failures import error_in_words, transaction_error
from .transaction import Signed

T = TypeVar("T")
Commitment = Literal["processed", "confirmed", "finalized"]
MAX_ACCOUNTS = 100
"""The most that one getMultipleAccounts may ask for."""

_TRANSIENT = {-32004, -32005, -32014, -32016, -32429, 429}
"""Codes that another try can get past: block or node not ready, minimum slot not reached, too many requests."""


# ---- requests ----


def request(request_id: int, method: str, params: Sequence[Any] = ()) -> bytes:
    """A request body. Pubkeys among the params are written as base58."""
    body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return msgspec.json.encode(body, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Pubkey):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot stand in a request")


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
    """A sendTransaction body, put together by hand: it is on the path of every frame."""
    return (
        b'{"jsonrpc":"2.0","id":%d,"method":"sendTransaction","params":["' % request_id
        + transaction.base64()
        + _send_tail(skip_preflight, commitment, max_retries)
    )


def _config(commitment: Commitment, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"encoding": "base64", "commitment": commitment, **(more or {})}


def get_account_info(
    request_id: int, key: Pubkey, commitment: Commitment = "processed", data_slice: tuple[int, int] | None = None
) -> bytes:
    """One account; `data_slice` is (offset, length)."""
    return request(request_id, "getAccountInfo", [key, _config(commitment, _slice(data_slice))])


def get_multiple_accounts(
    request_id: int,
    keys: Sequence[Pubkey],
    commitment: Commitment = "processed",
    data_slice: tuple[int, int] | None = None,
) -> bytes:
    """Up to `MAX_ACCOUNTS` at one slot; `data_slice` is (offset, length)."""
    return request(request_id, "getMultipleAccounts", [list(keys), _config(commitment, _slice(data_slice))])


def _slice(data_slice: tuple[int, int] | None) -> dict[str, Any]:
    return {} if data_slice is None else {"dataSlice": {"offset": data_slice[0], "length": data_slice[1]}}


def memcmp(offset: int, value: bytes) -> dict[str, Any]:
    """A filter for program accounts: `value` at `offset` of the data (see `Layout.offset`)."""
    return {"memcmp": {"offset": offset, "bytes": base64.b64encode(value).decode(), "encoding": "base64"}}


def data_size(size: int) -> dict[str, Any]:
    """A filter for program accounts of `size` bytes of data."""
    return {"dataSize": size}


def get_program_accounts(
    request_id: int,
    program: Pubkey,
    filters: Sequence[Mapping[str, Any]] = (),
    commitment: Commitment = "processed",
    data_slice: tuple[int, int] | None = None,
) -> bytes:
    """A program's accounts that all `filters` let through, with the slot."""
    more = {"filters": list(filters), "withContext": True, **_slice(data_slice)}
    return request(request_id, "getProgramAccounts", [program, _config(commitment, more)])


def get_latest_blockhash(request_id: int, commitment: Commitment = "processed") -> bytes:
    """The latest blockhash and the last block height that takes it."""
    return request(request_id, "getLatestBlockhash", [{"commitment": commitment}])


# ---- results ----


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account as RPC gives it: `data` and `owner` are text, `raw` and `owner_key` the same decoded."""

    data: tuple[str, Literal["base64"]]
    owner: str
    lamports: int
    executable: bool = False

    @property
    def raw(self) -> bytes:
        """The account's data, decoded at each call. Raises RpcError when it is no base64."""
        # msgspec would decode on the way, but takes any character for base64.
        try:
            return binascii.a2b_base64(self.data[0], strict_mode=True)
        except ValueError as error:
            raise RpcError("account data", expected="base64", found=f"{error}: {self.data[0][:40]}") from error

    @property
    def owner_key(self) -> Pubkey:
        """The owner. Raises RpcError when it is no key."""
        return _pubkey(self.owner, "owner of account")


class KeyedAccount(msgspec.Struct, frozen=True, gc=False):
    """An account with its address."""

    pubkey: str
    account: Account

    @property
    def key(self) -> Pubkey:
        """The address. Raises RpcError when it is no key."""
        return _pubkey(self.pubkey, "address of account")


def _pubkey(text: str, what: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise RpcError(what, expected="a base58 key", found=text[:60]) from error


class Context(msgspec.Struct, frozen=True, gc=False):
    """The slot that a result holds for."""

    slot: int


class InContext(msgspec.Struct, Generic[T], frozen=True):
    """A result with its slot."""

    context: Context
    value: T


class Blockhash(msgspec.Struct, frozen=True, rename="camel"):
    """A blockhash (base58) and the last block height that takes it."""

    blockhash: str
    last_valid_block_height: int

    @property
    def raw(self) -> bytes:
        """32 bytes. Raises RpcError when it is no blockhash."""
        return bytes(_pubkey(self.blockhash, "blockhash"))


AccountResult = InContext[Account | None]
AccountsResult = InContext[list[Account | None]]
ProgramAccountsResult = InContext[list[KeyedAccount]]
BlockhashResult = InContext[Blockhash]


class ErrorBody(msgspec.Struct, frozen=True):
    """The `error` of a response; `code` may be missing where something in between answers."""

    message: str = "no message"
    code: int | None = None
    data: Any = None


class Reply(msgspec.Struct, frozen=True):
    """A response: `result` not yet decoded (empty when there is none), or `error`."""

    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorBody | None = None


def _typed_error(error: ErrorBody, what: str) -> AwmError:
    """A response's error: what a program refused as ProgramError, everything else as RpcError with code and data."""
    if isinstance(error.data, dict) and error.data.get("err") is not None:
        logs = error.data.get("logs")
        logs = [line for line in logs if isinstance(line, str)] if isinstance(logs, list) else []
        refusal: AwmError | None = transaction_error(error.data["err"], logs)
    else:
        refusal = error_in_words(error.message)
    if refusal is not None:
        if isinstance(refusal, RpcError):
            refusal.code, refusal.data = error.code, error.data
        return refusal
    return RpcError(f"{what}: {error.message}", code=error.code, data=error.data, recoverable=error.code in _TRANSIENT)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _decode(kind: Any, data: bytes | memoryview | msgspec.Raw, what: str) -> Any:
    try:
        return _decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        text = bytes(data)[:80].decode("utf-8", "replace")
        raise RpcError(what, expected="JSON as Solana's RPC writes it", found=f"{error}: {text}") from error


def decode_reply(data: bytes | memoryview) -> Reply:
    """A response's envelope. Raises RpcError when it is none."""
    reply: Reply = _decode(Reply, data, "response")
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
        raise RpcError(what, expected="a result or an error", found="neither")
    decoded: T = _decode(kind, reply.result, what)
    return decoded


def decode_result(data: bytes | memoryview, kind: type[T], what: str = "request") -> T:
    """`result` of a response's bytes; raises as it does."""
    return result(decode_reply(data), kind, what)


def decode_batch(data: bytes | memoryview) -> list[Reply]:
    """The responses of a batch, in whatever order they came. Raises RpcError, also for one error in place of all."""
    if bytes(data[:64]).lstrip()[:1] == b"{":
        reply = decode_reply(data)
        raise _typed_error(reply.error or ErrorBody("one answer in place of a batch"), "batch")
    replies: list[Reply] = _decode(list[Reply], data, "batch")
    return replies


# ---- notifications ----


class _AccountParams(msgspec.Struct, frozen=True, gc=False):
    subscription: int
    result: InContext[Account]


class _ProgramParams(msgspec.Struct, frozen=True, gc=False):
    subscription: int
    result: InContext[KeyedAccount]


class SlotInfo(msgspec.Struct, frozen=True, gc=False):
    """A new slot."""

    slot: int
    parent: int = 0
    root: int = 0


class _SlotParams(msgspec.Struct, frozen=True, gc=False):
    subscription: int
    result: SlotInfo


class SignatureResult(msgspec.Struct, frozen=True, gc=False):
    """A transaction's end; `err` null when it succeeded."""

    err: Any = None


class _SignatureParams(msgspec.Struct, frozen=True, gc=False):
    subscription: int
    result: InContext[SignatureResult | str]


class AccountNotification(msgspec.Struct, frozen=True, tag_field="method", tag="accountNotification"):
    """An account changed."""

    params: _AccountParams


class ProgramNotification(msgspec.Struct, frozen=True, tag_field="method", tag="programNotification"):
    """An account of a program changed."""

    params: _ProgramParams


class SlotNotification(msgspec.Struct, frozen=True, tag_field="method", tag="slotNotification"):
    """The endpoint reached a slot."""

    params: _SlotParams


class SignatureNotification(msgspec.Struct, frozen=True, tag_field="method", tag="signatureNotification"):
    """A transaction ended."""

    params: _SignatureParams


Notification = AccountNotification | ProgramNotification | SlotNotification | SignatureNotification
_NOTIFICATION: msgspec.json.Decoder[Notification] = msgspec.json.Decoder(Notification)


def decode_message(data: bytes | str) -> Notification | Reply:
    """A PubSub message: a notification in one pass, or the response to a request.

    Raises:
        RpcError: it is neither.
    """
    try:
        return _NOTIFICATION.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raw = data.encode() if isinstance(data, str) else data
        reply: Reply = _decode(Reply, raw, "PubSub message")
        if reply.id is None and reply.error is None:
            raise RpcError(
                "PubSub message", expected="a notification or a response", found=f"{error}: {raw[:80]!r}"
            ) from error
        return reply
