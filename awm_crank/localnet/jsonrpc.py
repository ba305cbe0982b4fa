"""JSON-RPC 2.0, from text to text: single requests and batches, for any methods."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from .faults import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    TOO_LARGE,
    RequestError,
)

Handler: TypeAlias = Callable[[Any], bytes]
"""A method: its params in (an array, an object or None), its result as JSON text out. Raises RequestError."""


MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The rest of a batch whose answers are longer is refused, so that small requests cannot fill the memory."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    method: str
    params: list[Any] | dict[str, Any] | None = None
    id: Any = msgspec.UNSET
    jsonrpc: Literal["2.0"] | None = None


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
    if not _is_id(request.id):
        return _PARSE_ERROR
    return _answer(request, methods)


def _respond_other(body: bytes, methods: Mapping[str, Handler]) -> bytes | None:
    """Answers batches, and everything that is not a single well-formed request."""
    try:
        value = _decode_any(body)
    except _BROKEN:
        return _PARSE_ERROR
    items: list[Any] = value if isinstance(value, list) else [value]
    # one element that is not an object, or has an invalid id, makes the whole batch invalid
    if not all(isinstance(item, dict) and _is_id(item.get("id")) for item in items):
        return _PARSE_ERROR
    if not isinstance(value, list):
        return _failure(_encode_id(items[0].get("id")), _INVALID)
    answers = []
    room = MAX_ANSWER_BYTES
    for item in value:
        try:
            request = msgspec.convert(item, _Request)
        except (msgspec.ValidationError, RecursionError):
            answers.append(_failure(_encode_id(item.get("id")), _INVALID))
            continue
        answer = _answer(request, methods) if room > 0 else _failure(_encode_id(item.get("id")), TOO_LARGE)
        if answer is not None:
            answers.append(answer)
            room -= len(answer)
    return b"[%b]" % b",".join(answers) if answers else None


def _is_id(value: object) -> bool:
    """Whether a request may have this id: a text, a u64, null or none at all."""
    return (
        value is msgspec.UNSET or value is None or isinstance(value, str) or (type(value) is int and 0 <= value < 2**64)
    )


def _answer(request: _Request, methods: Mapping[str, Handler]) -> bytes | None:
    identity = request.id
    if request.jsonrpc is None:
        text = b'{"error":{"code":-32600,"message":"Unsupported JSON-RPC protocol version"},"id":%b}'
        return None if identity is msgspec.UNSET else text % _encode_id(identity)
    try:
        handler = methods.get(request.method)
        if handler is None:
            raise RequestError(METHOD_NOT_FOUND, "Method not found")
        result = handler(request.params)
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


_INVALID = RequestError(INVALID_REQUEST, "Invalid request")
_PARSE_ERROR = _failure(b"null", RequestError(PARSE_ERROR, "Parse error"))
