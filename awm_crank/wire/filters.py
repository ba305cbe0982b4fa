"""Filters for getProgramAccounts and programSubscribe, which select some of a program's accounts."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey

from . import jsonrpc, layouts
from .accounts import ENDED

Filters = list[dict[str, Any]]


def of_writer(writer: Pubkey) -> Filters:
    """Hidden states, which name that writer."""
    return [
        jsonrpc.data_size(layouts.HIDDEN_STATE.size),
        jsonrpc.memcmp(layouts.HIDDEN_STATE.offset("writer"), bytes(writer)),
    ]


def ended(entity: Pubkey) -> Filters:
    """The entity's session state, once it has ended."""
    layout = layouts.SESSION_STATE
    return [
        jsonrpc.memcmp(layout.offset("status"), bytes([ENDED])),
        jsonrpc.memcmp(layout.offset("entity"), bytes(entity)),
    ]


def both_inputs(entity: Pubkey) -> Filters:
    """The entity's input buffer, while both players' inputs are in it: two flags, the entity right behind them."""
    return [jsonrpc.memcmp(layouts.INPUT_BUFFER.offset("p1_ready"), b"\x01\x01" + bytes(entity))]
