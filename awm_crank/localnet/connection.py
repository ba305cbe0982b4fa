"""One TCP connection of the localnet: HTTP until the client asks for WebSocket, then WebSocket.

httptools and `websockets` parse both. Hand-written parsers in their place made a frame 7 % cheaper
(`python -m awm_crank.bench.localnet`: 1.66 against 1.78 ms of CPU), which is not worth their upkeep.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from typing import cast

from .http1 import HttpError, HttpRequest, RequestParser, response
from .jsonrpc import Handler, respond
from .pubsub import Topics
from .websocket import MessageStream, handshake

MAX_BACKLOG_BYTES = 64 * 1024 * 1024
"""The server disconnects a subscriber that has this much left to read."""
_SEND_BUFFER_BYTES = 1024 * 1024
_TEXT = b"text/plain"


class Connection(asyncio.Protocol):
    """asyncio's protocol object for one connection.

    Args:
        methods: the JSON-RPC methods for HTTP requests.
        topics: what WebSocket clients can subscribe to.
        connections: all open connections; this one adds itself when it opens and removes itself when it closes.
    """

    def __init__(self, methods: Mapping[str, Handler], topics: Topics, connections: set[Connection]) -> None:
        self._methods = methods
        self._topics = topics
        self._connections = connections
        self._transport: asyncio.Transport
        self._http = RequestParser()
        self._messages: MessageStream | None = None
        self._closing = False

    # ---- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        opened = transport.get_extra_info("socket")
        if opened is not None:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._closing = True
        self._topics.close(self)
        self._connections.discard(self)
        # These objects form reference cycles. The process never collects its oldest objects (server.py), so a cycle
        # that is not broken here is never freed.
        self._methods = {}
        self._http.close()
        if self._messages is not None:
            self._messages.close()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._messages is None:
            self._http.feed(data)
            self._serve_http()
        else:
            self._serve_messages(data)

    # ---- HTTP

    def _serve_http(self) -> None:
        try:
            while self._messages is None and not self._closing:
                request = self._http.next()
                if request is None:
                    if self._http.wants_continue:
                        self._http.wants_continue = False
                        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    return
                self._serve_request(request)
        except HttpError as fault:
            self._transport.write(response(fault.status, str(fault).encode(), keep_alive=False, kind=_TEXT))
            self.shut()

    def _serve_request(self, request: HttpRequest) -> None:
        if request.method == b"POST":
            if not request.headers.get(b"content-type", b"").lower().startswith(b"application/json"):
                text = b"Supplied content type is not allowed. Content-Type: application/json is required\n"
                self._answer(request, 415, text, _TEXT)
                return
            self._answer(request, 200, respond(request.body, self._methods) or b"")
        elif request.method == b"GET" and request.headers.get(b"upgrade", b"").lower() == b"websocket":
            self._upgrade(request)
        elif request.method == b"GET" and request.target == b"/health":
            self._answer(request, 200, b"ok", _TEXT)
        elif request.method == b"OPTIONS":
            self._answer(request, 204, b"")
        else:
            self._answer(request, 405, b"Used HTTP Method is not allowed. POST or OPTIONS is required\n", _TEXT)

    def _answer(self, request: HttpRequest, status: int, body: bytes, kind: bytes = b"application/json") -> None:
        self._transport.write(response(status, body, keep_alive=request.keep_alive, kind=kind))
        if not request.keep_alive:
            self.shut()

    # ---- WebSocket

    def _upgrade(self, request: HttpRequest) -> None:
        answer, accepted = handshake(request)
        self._transport.write(answer)
        if not accepted:
            self.shut()
            return
        self._methods = self._topics.methods(self)
        self._messages = MessageStream()
        self._serve_messages(self._http.rest())

    def _serve_messages(self, data: bytes) -> None:
        assert self._messages is not None
        for message in self._messages.receive(data):
            if not self._messages.open:
                break
            answer = respond(message, self._methods)
            if answer is not None:
                self.push(answer)
            self.flush()
            self._topics.settle()
            self._topics.flush()
        self.flush()
        if not self._messages.open:
            self.shut()

    # ---- pubsub.Client

    def push(self, payload: bytes) -> None:
        """Queues one message; a connection that is closing drops it."""
        if self._messages is not None and self._messages.open:
            self._messages.send(payload)

    def flush(self) -> None:
        """Writes what is queued."""
        if self._messages is None or self._closing:
            return
        queue = self._messages.take()
        if not queue:
            return
        self._transport.write(queue[0] if len(queue) == 1 else b"".join(queue))
        if self._transport.get_write_buffer_size() > MAX_BACKLOG_BYTES:
            sys.stderr.write(f"localnet: disconnected a subscriber that was {MAX_BACKLOG_BYTES} bytes behind\n")
            self._closing = True
            self._transport.abort()

    def shut(self) -> None:
        """Closes the connection once everything written has gone out."""
        self._closing = True
        self._transport.close()
