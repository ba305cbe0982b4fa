"""Typed PubSub messages of Solana: notifications, and the answers to subscribe requests. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from .jsonrpc import (
    MAX_PLAIN_BYTES,
    InContext,
    KeyedAccount,
    Reply,
    RpcAccount,
    Unsigned,
    decode,
    decode_hook,
    malformed,
)


class _AccountParams(msgspec.Struct, frozen=True, gc=False):
    subscription: int
    result: InContext[RpcAccount]


class _ProgramParams(msgspec.Struct, frozen=True, gc=False):
    subscription: int
    result: InContext[KeyedAccount]


class SlotInfo(msgspec.Struct, frozen=True, gc=False):
    """A new slot."""

    slot: Unsigned
    parent: Unsigned = 0
    root: Unsigned = 0


class _SlotParams(msgspec.Struct, frozen=True, gc=False):
    subscription: int
    result: SlotInfo


class SignatureResult(msgspec.Struct, frozen=True, gc=False):
    """The outcome of a transaction; `err` is null when it succeeded."""

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


class UnknownNotification(msgspec.Struct, frozen=True):
    """A notification of another kind (logs, root), as plain JSON values."""

    method: str
    params: UnknownParams


class UnknownParams(msgspec.Struct, frozen=True):
    """The content of a notification of another kind."""

    subscription: int
    result: Any


Notification = AccountNotification | ProgramNotification | SlotNotification | SignatureNotification
_METHODS = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (AccountNotification, ProgramNotification, SlotNotification, SignatureNotification)
)
_NOTIFICATION: msgspec.json.Decoder[Notification] = msgspec.json.Decoder(Notification, dec_hook=decode_hook)


def decode_message(data: bytes | str) -> Notification | UnknownNotification | Reply:
    """A PubSub message: a notification, or the response to a request.

    Raises:
        RpcError: it is neither, a notification of a known kind with another content, or one of an unknown kind that is
            longer than `jsonrpc.MAX_PLAIN_BYTES`.
    """
    try:
        return _NOTIFICATION.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
        problem = error
    reply: Reply = decode(Reply, raw, "PubSub message")
    if reply.id is not None or reply.error is not None:
        return reply
    if len(raw) > MAX_PLAIN_BYTES:
        raise malformed("PubSub message", problem, raw)
    other: UnknownNotification = decode(UnknownNotification, raw, "PubSub message")
    if other.method in _METHODS:
        raise malformed("PubSub message", problem, raw)
    return other
