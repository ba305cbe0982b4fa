"""The parameters of each method, as Agave declares them, and the errors of those that do not fit."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .faults import INVALID_PARAMS, RequestError, invalid_params
from .jsonrpc import Handler
from .serde import (
    Check,
    Default,
    MismatchError,
    boolean,
    debug,
    debug_members,
    enum,
    integer,
    option,
    sequence,
    string,
    struct,
    surplus,
    unit,
    untagged,
)

U64, USIZE, U8 = integer("u64"), integer("usize"), integer("u8", 255)
ACCOUNT_ENCODINGS = ("binary", "base58", "base64", "jsonParsed", "base64+zstd")
TRANSACTION_ENCODINGS = ("binary", "base64", "base58", "json", "jsonParsed")
COMMITMENT = enum(("processed", "confirmed", "finalized"))
_FLAT = {"commitment": option(COMMITMENT)}
_SLICE = struct("UiDataSliceConfig", {"offset": USIZE, "length": USIZE})
_ACCOUNT = {"encoding": option(enum(ACCOUNT_ENCODINGS)), "dataSlice": option(_SLICE), "minContextSlot": option(U64)}
_MEMCMP = struct(
    "Memcmp",
    {
        "offset": USIZE,
        "bytes": untagged("DataType", string, sequence(U8)),
        "encoding": option(enum(("base58", "base64", "bytes"))),
    },
    flat={},
)
_FILTERS = option(sequence(enum({"dataSize": U64, "memcmp": _MEMCMP, "tokenAccountState": unit})))
_NO = False

ACCOUNT_CONFIG = option(struct("RpcAccountInfoConfig", _ACCOUNT, flat=_FLAT))
PROGRAM_CONFIG = option(
    struct(
        "RpcProgramAccountsConfig",
        {"filters": _FILTERS, **_ACCOUNT, "withContext": option(boolean), "sortResults": option(boolean)},
        flat=_FLAT,
    )
)
CONTEXT = option(struct("RpcContextConfig", {"minContextSlot": option(U64)}, flat=_FLAT))
COMMITMENT_CONFIG = option(struct("CommitmentConfig", {"commitment": COMMITMENT}))
_TRANSACTION = {
    "encoding": option(enum(TRANSACTION_ENCODINGS)),
    "maxSupportedTransactionVersion": option(U8),
}
_BLOCK = {
    **_TRANSACTION,
    "transactionDetails": option(enum(("full", "signatures", "none", "accounts"))),
    "rewards": option(boolean),
}
_LEADERS = struct("RpcLeaderScheduleConfig", {"identity": option(string)}, flat=_FLAT)
_RANGE = struct("RpcBlockProductionConfigRange", {"firstSlot": U64, "lastSlot": option(U64)})
_PRODUCTION = struct("RpcBlockProductionConfig", {"identity": option(string), "range": option(_RANGE)}, flat=_FLAT)
_SEND = struct(
    "RpcSendTransactionConfig",
    {
        "skipPreflight": Default(boolean, _NO),
        "preflightCommitment": option(COMMITMENT),
        "encoding": option(enum(TRANSACTION_ENCODINGS)),
        "maxRetries": option(USIZE),
        "minContextSlot": option(U64),
    },
)
_SIMULATED = struct(
    "RpcSimulateTransactionAccountsConfig",
    {"encoding": option(enum(ACCOUNT_ENCODINGS)), "addresses": sequence(string)},
)
_SIMULATE = struct(
    "RpcSimulateTransactionConfig",
    {
        "sigVerify": Default(boolean, _NO),
        "replaceRecentBlockhash": Default(boolean, _NO),
        "encoding": option(enum(TRANSACTION_ENCODINGS)),
        "accounts": option(_SIMULATED),
        "minContextSlot": option(U64),
        "innerInstructions": Default(boolean, _NO),
    },
    flat=_FLAT,
)
_SIGNATURES = struct(
    "RpcSignaturesForAddressConfig",
    {"before": option(string), "until": option(string), "limit": option(USIZE), "minContextSlot": option(U64)},
    flat=_FLAT,
)
_TOKENS = enum({"mint": string, "programId": string})


def _encoding_or(struct_: Check) -> Check:
    return untagged("RpcEncodingConfigWrapper", option(enum(TRANSACTION_ENCODINGS)), option(struct_))


class Parameters(NamedTuple):
    """A method's parameters."""

    required: tuple[Check, ...] = ()
    optional: tuple[Check, ...] = ()


_STRINGS = (sequence(string),)
_BLOCK_FILTER = enum({"all": unit, "mentionsAccountOrProgram": string})
_LOGS_FILTER = enum({"all": unit, "allWithVotes": unit, "mentions": sequence(string)})
_BLOCK_CONFIG = struct("RpcBlockSubscribeConfig", {**_BLOCK, "showRewards": option(boolean)}, flat=_FLAT)
_SIGNATURE_CONFIG = struct("RpcSignatureSubscribeConfig", {"enableReceivedNotification": option(boolean)}, flat=_FLAT)
_ONE_NUMBER = (U64,)
_SUBSCRIPTIONS: dict[str, Parameters] = {
    "account": Parameters((string,), (ACCOUNT_CONFIG,)),
    "block": Parameters(
        (_BLOCK_FILTER,),
        (option(_BLOCK_CONFIG),),
    ),
    "logs": Parameters((_LOGS_FILTER,), (option(struct("RpcTransactionLogsConfig", {}, flat=_FLAT)),)),
    "program": Parameters((string,), (PROGRAM_CONFIG,)),
    "signature": Parameters((string,), (option(_SIGNATURE_CONFIG),)),
    "root": Parameters(),
    "slot": Parameters(),
    "slotsUpdates": Parameters(),
    "vote": Parameters(),
}
METHODS: dict[str, Parameters] = {
    **{f"{kind}Subscribe": parameters for kind, parameters in _SUBSCRIPTIONS.items()},
    **{f"{kind}Unsubscribe": Parameters(_ONE_NUMBER) for kind in _SUBSCRIPTIONS},
    "getAccountInfo": Parameters((string,), (ACCOUNT_CONFIG,)),
    "getBalance": Parameters((string,), (CONTEXT,)),
    "getMultipleAccounts": Parameters(_STRINGS, (ACCOUNT_CONFIG,)),
    "getProgramAccounts": Parameters((string,), (PROGRAM_CONFIG,)),
    "getBlock": Parameters((U64,), (_encoding_or(struct("RpcBlockConfig", _BLOCK, flat=_FLAT)),)),
    "getBlockCommitment": Parameters((U64,)),
    "getBlockHeight": Parameters((), (CONTEXT,)),
    "getBlockProduction": Parameters((), (option(_PRODUCTION),)),
    "getBlockTime": Parameters((U64,)),
    "getBlocks": Parameters((U64,), (untagged("RpcBlocksConfigWrapper", option(U64), CONTEXT), CONTEXT)),
    "getBlocksWithLimit": Parameters((U64, USIZE), (CONTEXT,)),
    "getEpochInfo": Parameters((), (CONTEXT,)),
    "getFeeForMessage": Parameters((string,), (CONTEXT,)),
    "getInflationGovernor": Parameters((), (COMMITMENT_CONFIG,)),
    "getInflationReward": Parameters(
        _STRINGS,
        (option(struct("RpcEpochConfig", {"epoch": option(U64), "minContextSlot": option(U64)}, flat=_FLAT)),),
    ),
    "getLargestAccounts": Parameters(
        (),
        (
            option(
                struct(
                    "RpcLargestAccountsConfig",
                    {"filter": option(enum(("circulating", "nonCirculating"))), "sortResults": option(boolean)},
                    flat=_FLAT,
                )
            ),
        ),
    ),
    "getLatestBlockhash": Parameters((), (CONTEXT,)),
    "getLeaderSchedule": Parameters(
        (), (untagged("RpcLeaderScheduleConfigWrapper", option(U64), option(_LEADERS)), option(_LEADERS))
    ),
    "getMinimumBalanceForRentExemption": Parameters((USIZE,), (COMMITMENT_CONFIG,)),
    "getRecentPerformanceSamples": Parameters((), (option(USIZE),)),
    "getRecentPrioritizationFees": Parameters((), (option(sequence(string)),)),
    "getSignatureStatuses": Parameters(
        _STRINGS, (option(struct("RpcSignatureStatusConfig", {"searchTransactionHistory": boolean})),)
    ),
    "getSignaturesForAddress": Parameters((string,), (option(_SIGNATURES),)),
    "getSlot": Parameters((), (CONTEXT,)),
    "getSlotLeader": Parameters((), (CONTEXT,)),
    "getSlotLeaders": Parameters((U64, U64)),
    "getStakeMinimumDelegation": Parameters((), (CONTEXT,)),
    "getSupply": Parameters(
        (),
        (option(struct("RpcSupplyConfig", {"excludeNonCirculatingAccountsList": Default(boolean, _NO)}, flat=_FLAT)),),
    ),
    "getTokenAccountBalance": Parameters((string,), (COMMITMENT_CONFIG,)),
    "getTokenAccountsByDelegate": Parameters((string, _TOKENS), (ACCOUNT_CONFIG,)),
    "getTokenAccountsByOwner": Parameters((string, _TOKENS), (ACCOUNT_CONFIG,)),
    "getTokenLargestAccounts": Parameters((string,), (COMMITMENT_CONFIG,)),
    "getTokenSupply": Parameters((string,), (COMMITMENT_CONFIG,)),
    "getTransaction": Parameters((string,), (_encoding_or(struct("RpcTransactionConfig", _TRANSACTION, flat=_FLAT)),)),
    "getTransactionCount": Parameters((), (CONTEXT,)),
    "getVoteAccounts": Parameters(
        (),
        (
            option(
                struct(
                    "RpcGetVoteAccountsConfig",
                    {
                        "votePubkey": option(string),
                        "keepUnstakedDelinquents": option(boolean),
                        "delinquentSlotDistance": option(U64),
                    },
                    flat=_FLAT,
                )
            ),
        ),
    ),
    "isBlockhashValid": Parameters((string,), (CONTEXT,)),
    "requestAirdrop": Parameters(
        (string, U64), (option(struct("RpcRequestAirdropConfig", {"recentBlockhash": option(string)}, flat=_FLAT)),)
    ),
    "sendTransaction": Parameters((string,), (option(_SEND),)),
    "simulateTransaction": Parameters((string,), (option(_SIMULATE),)),
}
"""Methods that are not here take no parameters."""


def checked(name: str, handler: Handler, parameters: Parameters | None = None) -> Handler:
    """Wraps a method so that its parameters are checked, and each omitted optional parameter is null."""
    wanted = METHODS.get(name, Parameters()) if parameters is None else parameters

    def call(params: Any) -> bytes:
        return handler(bind(wanted, params))

    return call


def bind(wanted: Parameters, params: Any) -> list[Any]:
    """Returns the parameters, with null for omitted ones. Raises RequestError (-32602).

    Args:
        params: the request's `params`: an array, an object, or None.
    """
    required, optional = wanted
    if not required and not optional:
        if params or isinstance(params, dict):
            raise RequestError(
                INVALID_PARAMS, "Invalid parameters: No parameters were expected", _json_text(_shown(params))
            )
        return []
    try:
        return _tuple(required, params) if not optional else _with_optional(required, optional, params)
    except MismatchError as error:
        raise invalid_params(f"Invalid params: {error}.") from None


def _tuple(required: tuple[Check, ...], params: Any) -> list[Any]:
    size = f"a tuple of size {len(required)}"
    if not isinstance(params, list):
        raise MismatchError(f"invalid type: {'null' if params is None else 'map'}, expected {size}")
    found = [check(value) for check, value in zip(required, params, strict=False)]
    if len(params) < len(required):
        raise MismatchError(f"invalid length {len(params)}, expected {size}")
    if len(params) > len(required):
        raise surplus(len(params))
    return found


def _with_optional(required: tuple[Check, ...], optional: tuple[Check, ...], params: Any) -> list[Any]:
    given: list[Any] = [] if params is None else params
    if not isinstance(given, list):
        raise invalid_params("`params` should be an array")
    least, most = len(required), len(required) + len(optional)
    if len(given) < least:
        raise invalid_params(f"`params` should have at least {least} argument(s)")
    if len(given) > most:
        text = f"Invalid parameters: Expected from {least} to {most} parameters."
        raise RequestError(INVALID_PARAMS, text, _json_text(f'"Got: {len(given)}"'))
    values = [*given, *[None] * (most - len(given))]
    return [check(value) for check, value in zip(required + optional, values, strict=True)]


def _json_text(text: str) -> bytes:
    return json.dumps(text).encode()


def _shown(params: Any) -> str:
    """Parameters as Rust's Debug shows them, which validators send back with some errors."""
    if isinstance(params, dict):
        return f"Map({{{debug_members(params)}}})"
    return f"Array([{', '.join(map(debug, params))}])"
