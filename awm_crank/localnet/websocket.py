"""The server's side of WebSocket, without sockets: `websockets` does handshake and frames."""

from __future__ import annotations

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.server import ServerProtocol

from .http1 import HttpRequest

MAX_MESSAGE_BYTES = 1024 * 1024
"""The longest message that a client may send. Requests are small; only answers are large."""
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


def handshake(request: HttpRequest) -> tuple[bytes, bool]:
    """Answers a request for an upgrade.

    Returns:
        The answer's bytes, and whether WebSocket follows it. A refusal says why (426 for a wrong version, say).
    """
    headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.items()])
    answer = ServerProtocol().accept(Handshake(request.target.decode("latin-1"), headers))
    return answer.serialize(), answer.status_code == 101


class MessageStream:
    """One WebSocket connection after its handshake. No extensions, so frames are sent as they are."""

    def __init__(self) -> None:
        self._protocol = Protocol(SERVER, max_size=MAX_MESSAGE_BYTES)
        self._parts: list[bytes] = []

    def receive(self, data: bytes) -> list[bytes]:
        """Takes bytes of the stream; returns the whole messages that they complete, text or binary."""
        self._protocol.receive_data(data)
        messages = []
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in _DATA:
                self._parts.append(bytes(frame.data))
                if frame.fin:
                    messages.append(b"".join(self._parts))
                    self._parts.clear()
        return messages

    def send(self, message: bytes) -> None:
        """Queues a text message."""
        self._protocol.send_text(message)

    def take(self) -> list[bytes]:
        """Takes the bytes to write: queued messages, pongs, and the close frame that ends a broken stream."""
        return self._protocol.data_to_send()

    def close(self) -> None:
        """Ends the stream, and breaks the reference cycles between the library's parser, error and protocol."""
        self._protocol.parser.close()
        self._protocol.parser_exc = None

    @property
    def open(self) -> bool:
        """Whether messages can still be exchanged: nobody has closed, and the stream has kept to the protocol."""
        return self._protocol.state is OPEN
