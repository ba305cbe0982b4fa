"""Plays matches: every frame seen is answered with a signed input for the next one.

A `PlayerConnection` is one HTTP pool and one WebSocket to a rollup, shared by any number of matches and players. Its
`play` lets scripted agents answer. Its `follow`, which `play` and the bots use (bot.py), gives a `PlayedSession`
that follows one session and sends what it is given, all inputs of a match in one JSON-RPC batch, from transaction
templates. An input carries its frame number, so a late or repeated one never counts for another frame. Sending again is
always safe.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple

import msgspec
from solders.pubkey import Pubkey

from ..errors import AccountError, RpcError
from ..match.players import Agent
from ..net.blockhash import BlockhashKeeper
from ..net.pubsub import AccountChanged, Event, PubSub, Subscribed, Subscription
from ..net.rpc import RpcClient
from ..net.sender import DEADLINE_S, batches
from ..wire import bolt, ids, jsonrpc
from ..wire.accounts import ACTIVE, ENDED, SessionState, peek_inputs, peek_session
from ..wire.args import Input
from ..wire.transaction import Signed, Signer, Template, args_range
from .window import Window

_PLAYERS = SessionState.LAYOUT.span("players")
_STAGE = SessionState.LAYOUT.span("stage")
_PAIR = (ids.SESSION_STATE, ids.INPUT_BUFFER)
_ARGS_SIZE = Input.LAYOUT.size
# a blockhash is valid for 150 slots, which is 1.5 s if slots take 10 ms
_BLOCKHASH_S = 0.4


class ScriptedPlayer(NamedTuple):
    """An agent, the key that signs its inputs, and its player number: 0 for player 1, 1 for player 2."""

    signer: Signer
    player: int
    agent: Agent


class Outcome(msgspec.Struct, frozen=True):
    """How a match went, as its players saw it.

    `frame` is the last frame seen, `sent` and `resent` count inputs, `faults` are the first twenty problems of the
    connection.
    """

    frame: int
    sent: int
    resent: int
    faults: tuple[str, ...]


class PlayerConnection:
    """A connection to a rollup for one or more players. An async context manager.

    Args:
        http, ws: the rollup's endpoints.
        resend_s: how long a frame may take before the accounts are read again and inputs that are not there resent.
    """

    def __init__(self, http: str, ws: str, *, resend_s: float = 0.25) -> None:
        self.rpc = RpcClient(http)
        self._pubsub = PubSub(ws, self._hear)
        self._resend_s = resend_s
        self._blockhash = BlockhashKeeper(self.rpc, refresh_s=_BLOCKHASH_S)
        self._outgoing: list[tuple[PlayedSession, Signed]] = []
        self._posting: set[asyncio.Task[None]] = set()
        self._refresher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> PlayerConnection:
        await self._blockhash.first()
        self._refresher = asyncio.create_task(self._blockhash.keep_fresh(), name="blockhash")
        self._pubsub.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
        for task in self._posting:
            task.cancel()
        await self._pubsub.close()
        await self.rpc.close()

    async def play(self, entity: Pubkey, world: Pubkey, seats: Sequence[ScriptedPlayer], seed: int) -> Outcome:
        """Plays a session until it has ended or was closed. Waits first if it has not begun.

        Args:
            entity: the session's entity.
            seats: one or both players.
            seed: of the agents' random numbers.

        Raises:
            AccountError: there is no such session.
        """

        def answer(play: PlayedSession) -> None:
            if not play.over:
                window.changed()
                coming = play.frame + 1
                play.give(
                    [
                        None if window.answers(at) else seat.agent(seed, seat.player, coming, play.players)
                        for at, seat in enumerate(seats)
                    ]
                )

        with self.follow(entity, world, [(seat.signer, seat.player) for seat in seats], answer) as play:
            window = Window(self.rpc, entity, play, seats, seed)
            reading = asyncio.create_task(window.run(), name="window")
            try:
                return await play.run()
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    @contextmanager
    def follow(
        self,
        entity: Pubkey,
        world: Pubkey,
        seats: Sequence[tuple[Signer, int]],
        changed: Callable[[PlayedSession], None],
    ) -> Iterator[PlayedSession]:
        """Returns a session to follow. Nothing happens until its `run` is called.

        Args:
            seats: who signs for which player, 0 or 1.
            changed: called for each new frame and when the session is over. It must be quick and must not raise.
        """
        play = PlayedSession(self, entity, world, seats, changed, self._resend_s)
        subscription = self._pubsub.account(str(play.session), tag=play)
        try:
            yield play
        finally:
            self._pubsub.unsubscribe(subscription)

    @property
    def blockhash(self) -> bytes:
        """A recent blockhash, 32 bytes."""
        return self._blockhash.value

    def post(self, play: PlayedSession, transactions: Sequence[Signed]) -> None:
        """Sends a session's transactions. All that are posted in one turn of the event loop travel in one request."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing += [(play, transaction) for transaction in transactions]

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for batch in batches(outgoing):
            task = asyncio.create_task(self._send_batch(batch))
            self._posting.add(task)
            task.add_done_callback(self._posting.discard)

    async def _send_batch(self, batch: Sequence[tuple[PlayedSession, Signed]]) -> None:
        problem = ""
        first = self.rpc.next_id(len(batch))
        bodies = [
            jsonrpc.send_transaction(first + n, transaction, skip_preflight=True)
            for n, (_, transaction) in enumerate(batch)
        ]
        try:
            answer = await self.rpc.post(jsonrpc.batch(bodies), deadline_s=DEADLINE_S)
            # Decoding every answer would cost more than the sending; what was refused is resent when no frame follows.
            if b'"error"' in answer:
                problem = self.rpc.endpoint.scrub(answer.decode("utf-8", "replace"))[:200]
        except RpcError as error:
            problem = str(error)
        if problem:
            for play in {play for play, _ in batch}:
                play.fault(problem)

    def _hear(self, event: Event) -> None:
        if isinstance(event, AccountChanged):
            if isinstance(event.tag, PlayedSession):
                event.tag.saw(event.data)
        elif isinstance(event, Subscribed):
            subscription: Subscription = event.subscription
            if isinstance(subscription.tag, PlayedSession):
                subscription.tag.look_again()


class PlayedSession:
    """A session that is being played, as its players see it.

    `frame` is the last frame seen (-1 before the first) and `players` both PlayerStates of it, 64 bytes. `stage` is the
    session's. `over` is true
    once the session has ended or is gone.
    """

    def __init__(
        self, connection: PlayerConnection, entity: Pubkey, world: Pubkey, seats: Sequence[tuple[Signer, int]],
        changed: Callable[[PlayedSession], None], resend_s: float,
    ) -> None:  # fmt: skip
        self.session, self.inputs = (bolt.component_pda(program, entity) for program in _PAIR)
        self.frame = -1
        self.players = b""
        self.stage = 0
        self.over = False
        self._connection = connection
        self._seats = seats
        self._changed = changed
        self._resend_s = resend_s
        # for each player: the arguments without input and frame, and the transaction template for them
        self._heads = [b"\x01" + bytes(signer.pubkey) for signer, _ in seats]
        self._templates = [_template(signer.pubkey, world, entity) for signer, _ in seats]
        # the input that was given for each player for the coming frame
        self._given: list[bytes | None] = [None] * len(seats)
        self._answered_at = time.monotonic()
        self._look = asyncio.Event()
        self._sent = self._resent = 0
        self._faults: list[str] = []

    @property
    def outcome(self) -> Outcome:
        """How the match went so far."""
        return Outcome(max(self.frame, 0), self._sent, self._resent, tuple(self._faults))

    def given(self, seat: int) -> bool:
        """Whether this player's input for the coming frame was given already."""
        return self._given[seat] is not None

    def give(self, inputs: Sequence[bytes | None]) -> None:
        """Sends the players' ControllerInputs (8 bytes each) for the coming frame. None means no input from that player
        now.
        """
        for seat, given in enumerate(inputs):
            if given is not None:
                self._given[seat] = given
        self._send([seat for seat, given in enumerate(inputs) if given is not None])

    async def run(self) -> Outcome:
        """Follows the session until it is over.

        Raises:
            AccountError: there is no such session.
        """
        patience = self._resend_s
        while not self.over:
            try:
                async with asyncio.timeout(max(0.005, self._answered_at + patience - time.monotonic())):
                    await self._look.wait()
            except TimeoutError:
                if time.monotonic() - self._answered_at < patience:
                    # a frame came in the meantime
                    patience = self._resend_s
                    continue
            self._look.clear()
            if not self.over:
                before = self.frame
                await self._reread()
                # while the crank is away nothing changes: ask less and less often
                patience = self._resend_s if self.frame != before else min(patience * 1.5, 2.0)
                self._answered_at = time.monotonic()
        return self.outcome

    def look_again(self) -> None:
        """Reads the accounts again: notifications before this moment may be missing."""
        self._look.set()

    def saw(self, data: bytes) -> None:
        """Takes the newest bytes of the session account."""
        if len(data) < SessionState.LAYOUT.size:
            self._finish()
            return
        status, frame = peek_session(data)
        if status == ENDED or (status == ACTIVE and frame > self.frame):
            self.frame = max(self.frame, frame)
            self.players = data[_PLAYERS.offset : _PLAYERS.offset + _PLAYERS.size]
            self.stage = data[_STAGE.offset]
            if status == ENDED:
                self._finish()
                return
            self._answered_at = time.monotonic()
            self._given = [None] * len(self._seats)
            self._changed(self)

    def _finish(self) -> None:
        if not self.over:
            self.over = True
            self._look.set()
            self._changed(self)

    def _send(self, seats: Sequence[int]) -> None:
        frame = (self.frame + 1).to_bytes(4, "little")
        blockhash = self._connection.blockhash
        signed = []
        for seat in seats:
            given, signer = self._given[seat], self._seats[seat][0]
            assert given is not None
            signed.append(self._templates[seat].sign(blockhash, (signer,), self._heads[seat] + given + frame))
        self._sent += len(signed)
        self._connection.post(self, signed)

    def fault(self, text: str) -> None:
        """Notes a problem of the connection; the first twenty are kept."""
        if len(self._faults) < 20:
            self._faults.append(text)

    async def _reread(self) -> None:
        try:
            found = await self._connection.rpc.ask(jsonrpc.get_multiple_accounts([self.session, self.inputs]))
        except RpcError as error:
            self.fault(str(error))
            return
        session, inputs = (None if account is None else account.raw for account in found.value)
        if session is None:
            if self.frame < 0:
                raise AccountError(f"session {self.session} is not there", hint="check the address and --rpc")
            self._finish()
            return
        before = self.frame
        status, frame = peek_session(session)
        if status == ACTIVE and frame < before:
            # frames that were notified as processed were rolled back: answer the one that is there now
            self.frame = frame - 1
        self.saw(session)
        if self.over or self.frame != before or self.frame < 0 or inputs is None:
            return
        coming, _, *ready = peek_inputs(inputs)
        missing = [
            seat
            for seat, (_, player) in enumerate(self._seats)
            if self._given[seat] is not None and (coming != self.frame + 1 or not ready[player])
        ]
        if missing:
            self._resent += len(missing)
            self._send(missing)


def _template(player: Pubkey, world: Pubkey, entity: Pubkey) -> Template:
    args = Input(player, bytes(8), 1).to_binary()
    submit = bolt.apply_entity(ids.SUBMIT_INPUT, player, world, entity, _PAIR, args)
    return Template([submit], player, patch=args_range(0, _ARGS_SIZE))


# the names before 0.1.0, for scripts that import them
Table = PlayerConnection
Seat = ScriptedPlayer
