"""Decoding, encoding and signing for one frame, against solana-py's and solders' own ways.

For each frame, a crank reads two notifications (the inputs and the landed frame), and builds, signs and encodes one
transaction. Both sides do exactly that, on the same accounts.
"""

from __future__ import annotations

import base64
import struct

import msgspec
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.rpc.responses import AccountNotification, parse_websocket_message
from solders.transaction import VersionedTransaction

from awm_crank.bench.report import Comparison, median_us
from awm_crank.net.pubsub import AccountChanged, Event, PubSub
from awm_crank.wire import bolt, ids
from awm_crank.wire.accounts import ACTIVE, InputBuffer, SessionState, peek_inputs, peek_session
from awm_crank.wire.args import FrameArgs
from awm_crank.wire.start import start_players
from awm_crank.wire.transaction import Signer, Template, args_range

_ENTITY = Pubkey.from_bytes(bytes(range(32)))
_PLAYERS = start_players(1, 2)


def notification(data: bytes, owner: Pubkey, subscription: int = 1) -> bytes:
    """An accountNotification as an endpoint sends it."""
    value = {
        "lamports": 1_000_000, "data": [base64.b64encode(data).decode(), "base64"], "owner": str(owner),
        "executable": False, "rentEpoch": 0, "space": len(data),
    }  # fmt: skip
    result = {"context": {"slot": 435888000}, "value": value}
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "method": "accountNotification", "params": {"result": result, "subscription": subscription}}
    )


def sample_accounts() -> tuple[bytes, bytes]:
    """The data of a session and of its input buffer, in the middle of a match."""
    zero = Pubkey.default()
    session = SessionState(
        status=ACTIVE, frame=600, max_frames=0, player1=_ENTITY, player2=_ENTITY, stage=32, players=_PLAYERS,
        model=_ENTITY, created_at=0, last_update=0, seed=1, entity=_ENTITY, payer=_ENTITY,
        invited=zero, last_fresh=600, challenge_s=300, bolt_metadata=zero,
    )  # fmt: skip
    inputs = InputBuffer(
        frame=601, player1=bytes(8), player2=bytes(8), p1_ready=True, p2_ready=True, entity=_ENTITY,
        next_player1=bytes(8), next_player2=bytes(8), next_p1_ready=False, next_p2_ready=False, payer=_ENTITY,
        bolt_metadata=zero,
    )  # fmt: skip
    return session.encode(), inputs.encode()


class OurReader:
    """The crank's own way: typed JSON, then only the fields that it needs."""

    def __init__(self) -> None:
        self._seen: list[tuple[object, ...]] = []
        self._pubsub = PubSub("ws://127.0.0.1", self._sink)
        for tag in ("session", "inputs"):
            self._pubsub.account(tag, tag=tag)
        self._pubsub._book.connected(0.0)
        # Requests 1 to 3: slots, session, inputs. The endpoint confirms the last two as subscriptions 1 and 2.
        for request in (2, 3):
            self._pubsub.feed(b'{"jsonrpc":"2.0","id":%d,"result":%d}' % (request, request - 1))

    def _sink(self, event: Event) -> None:
        if not isinstance(event, AccountChanged):
            return
        self._seen.append(peek_session(event.data) if event.tag == "session" else peek_inputs(event.data))

    def read(self, session: bytes, inputs: bytes) -> list[tuple[object, ...]]:
        """(status, frame) and (frame, inputs, ready, ready) of two notifications."""
        self._seen.clear()
        self._pubsub.feed(session)
        self._pubsub.feed(inputs)
        return self._seen


def their_read(session: str, inputs: str) -> list[tuple[object, ...]]:
    """The same with solders, the way solana-py's WebSocket client reads."""
    read: list[tuple[object, ...]] = []
    for text, layout in ((session, "<BI"), (inputs, "<I16sBB")):
        (message,) = parse_websocket_message(text)
        assert isinstance(message, AccountNotification)
        read.append(struct.unpack_from(layout, message.result.value.data, 8))
    return read


class OurWriter:
    """The crank's own way: a template, patched and signed."""

    def __init__(self, keypair: Keypair, apply: Instruction) -> None:
        self._signer = Signer(bytes(keypair))
        self._template = Template([apply], self._signer.pubkey, patch=args_range(0, FrameArgs.LAYOUT.size))

    def write(self, frame: FrameArgs, blockhash: bytes) -> bytes:
        """The transaction in base64."""
        return self._template.sign(blockhash, [self._signer], frame.to_binary()).base64()


class TheirWriter:
    """The same with solders: it builds account list, instruction, message and transaction. Addresses are known."""

    def __init__(self, keypair: Keypair, apply: Instruction) -> None:
        self._keypair = keypair
        self._keys = [(meta.pubkey, meta.is_signer, meta.is_writable) for meta in apply.accounts]
        self._head = bytes(apply.data[: -FrameArgs.LAYOUT.size])

    def write(self, frame: FrameArgs, blockhash: bytes) -> bytes:
        """The transaction in base64."""
        accounts = [AccountMeta(key, signer, writable) for key, signer, writable in self._keys]
        args = struct.pack(
            "<BII16s2s64s16s", 1, frame.frame, frame.epoch, frame.inputs, frame.sources, frame.players, frame.feedback
        )
        instruction = Instruction(ids.WORLD, self._head + args, accounts)
        message = Message.new_with_blockhash([instruction], self._keypair.pubkey(), Hash(blockhash))
        return base64.b64encode(bytes(VersionedTransaction(message, [self._keypair])))


def sample_frame() -> tuple[FrameArgs, Instruction, Keypair]:
    """A frame's arguments, an `apply` instruction of run-inference with such arguments, and its signer."""
    keypair = Keypair.from_seed(bytes(32))
    frame = FrameArgs(601, 1, bytes(range(16)), bytes(2), _PLAYERS, bytes(16))
    apply = bolt.apply_entity(
        ids.RUN_INFERENCE, keypair.pubkey(), bolt.world_pda(1), _ENTITY, ids.SESSION_COMPONENTS, frame.to_binary()
    )
    return frame, apply, keypair


def measure(seconds: float) -> list[Comparison]:
    """Median times to read and to write one frame, in µs."""
    session_data, inputs_data = sample_accounts()
    session = notification(session_data, ids.SESSION_STATE, 1)
    inputs = notification(inputs_data, ids.INPUT_BUFFER, 2)
    session_text, inputs_text = session.decode(), inputs.decode()
    reader = OurReader()
    frame, apply, keypair = sample_frame()
    blockhash = bytes(range(32))
    ours, theirs = OurWriter(keypair, apply), TheirWriter(keypair, apply)
    share = seconds / 4
    return [
        Comparison(
            name="decode a frame",
            unit="µs",
            ours=median_us(lambda: reader.read(session, inputs), share),
            ours_how="two account notifications: msgspec into typed structs, compiled layouts",
            other=median_us(lambda: their_read(session_text, inputs_text), share),
            other_how="solders' parse_websocket_message, struct",
        ),
        Comparison(
            name="encode and sign a frame",
            unit="µs",
            ours=median_us(lambda: ours.write(frame, blockhash), share),
            ours_how="template patched, signed with PyNaCl, base64",
            other=median_us(lambda: theirs.write(frame, blockhash), share),
            other_how="accounts, instruction, message and transaction built and signed with solders, base64",
        ),
    ]
