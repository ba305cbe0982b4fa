"""JSON-RPC 2.0, from text to text: single requests and batches, for any methods."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from .faults import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    TOO_LARGE,
    RequestError,
    invalid_params,
)

Handler: TypeAlias = Callable[[list[Any]], bytes]
"""A method: its positional params in, its result as JSON text out; raises RequestError."""


MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The rest of a batch whose answers are longer is refused, so that small requests cannot fill the memory."""


class _Request(msgspec.Struct):
    method: str
    params: Any = None
    id: Any = msgspec.UNSET
    jsonrpc: Any = None


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_any = msgspec.json.Decoder(Any).decode
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def respond(body: bytes, methods: Mapping[str, Handler]) -> bytes | None:
    """The answer to a request body or message, as JSON text; None for a request without id, which gets no answer.

    Never raises. Input that is not a request is answered with -32700 or -32600.
    """
    try:
        request = _decode_request(body)
    except _BROKEN:
        return _respond_other(body, methods)
    return _answer(request, methods)


def _respond_other(body: bytes, methods: Mapping[str, Handler]) -> bytes | None:
    """Answers batches, and everything that is not a single well-formed request."""
    try:
        value = _decode_any(body)
    except _BROKEN:
        return _failure(b"null", RequestError(PARSE_ERROR, "Parse error"))
    if not isinstance(value, list):
        return _failure(_id_of(value), RequestError(INVALID_REQUEST, "Invalid request"))
    if not value:
        return _failure(b"null", RequestError(INVALID_REQUEST, "Invalid request"))
    answers = []
    room = MAX_ANSWER_BYTES
    for item in value:
        try:
            request = msgspec.convert(item, _Request)
        except (msgspec.ValidationError, RecursionError):
            answers.append(_failure(_id_of(item), RequestError(INVALID_REQUEST, "Invalid request")))
            continue
        answer = _answer(request, methods) if room > 0 else _failure(_id_of(item), TOO_LARGE)
        if answer is not None:
            answers.append(answer)
            room -= len(answer)
    return b"[%b]" % b",".join(answers) if answers else None


def _id_of(value: object) -> bytes:
    found = value.get("id") if isinstance(value, dict) else None
    return msgspec.json.encode(found) if isinstance(found, str | int) else b"null"


def _answer(request: _Request, methods: Mapping[str, Handler]) -> bytes | None:
    identity = request.id
    if identity is not msgspec.UNSET and not (identity is None or isinstance(identity, str | int | float)):
        return _failure(b"null", RequestError(INVALID_REQUEST, "Invalid request"))
    try:
        handler = methods.get(request.method)
        if handler is None:
            raise RequestError(METHOD_NOT_FOUND, "Method not found")
        params = [] if request.params is None else request.params
        if not isinstance(params, list):
            raise invalid_params("Invalid params: invalid type: map, expected a sequence.")
        result = handler(params)
    except RequestError as fault:
        return None if identity is msgspec.UNSET else _failure(_encode_id(identity), fault)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # solders panics with a BaseException
        traceback.print_exc(file=sys.stderr)
        internal = RequestError(INTERNAL_ERROR, f"Internal error in {request.method}")
        return None if identity is msgspec.UNSET else _failure(_encode_id(identity), internal)
    if identity is msgspec.UNSET:
        return None
    return b'{"jsonrpc":"2.0","result":%b,"id":%b}' % (result, _encode_id(identity))


def _encode_id(identity: object) -> bytes:
    return b"%d" % identity if type(identity) is int else msgspec.json.encode(identity)


def _failure(identity: bytes, fault: RequestError) -> bytes:
    return b'{"jsonrpc":"2.0","error":%b,"id":%b}' % (fault.render(), identity)
