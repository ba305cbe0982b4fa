"""From a session found to its first frame: bind, claim, model, accounts, player 2, and where the chain stands.

Every step ends in reading all accounts again and deciding anew from them, so that it does not matter which process did
the steps before, nor where it was killed.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from solders.instruction import Instruction

from ..engine.api import Engine, State
from ..wire import ids, programs
from ..wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS, HiddenState, SessionState, peek_session
from ..wire.failures import Code
from . import events, setup
from .checkpoints import Cadence, Header, cadence
from .commands import Fetch, LoadModel, RunBackbone, Send, Spend, Transaction, Unwatch, WarmUp, Watch
from .desk import ALL, SMALL, Desk
from .events import Refusal, Role
from .inputs import Known
from .recovery import Replay, Start, locate

_Sending = Literal["bind", "claim", "setup"]
Stage = Literal["look", "watch", "assess", "bind", "claim", "model", "setup", "join", "restore"]


class Opened(Struct, frozen=True):
    """A session that can be served: `state` has consumed the frames before `header.frame`."""

    engine: Engine
    state: State
    header: Header
    epoch: int
    cadence: Cadence
    capacity: int
    max_frames: int
    ended: bool
    known: Known
    hidden: HiddenState


class Opening:
    """The way to `Opened`, which stands in `result` once it is reached. `reopen` goes it again after a resync."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.stage: Stage = "look"
        self.result: Opened | None = None
        self.epoch: int | None = None
        self.known = Known()
        self._engine: Engine | None = None
        self._cadence = Cadence(0, 0)
        self._watched = False
        """every change of the session's account is notified"""
        self._status = 0
        """the highest session status notified; it only rises"""
        self._awaited: set[int] = set()
        self._problem = ""
        self._claimed: int | None = None
        self._claim_accepted = False
        self._claim_doubtful = False
        self._granted = False
        self._start: Start | None = None
        self._replay: Replay | None = None
        self._serial = 0
        self._session: SessionState | None = None
        self._hidden: HiddenState | None = None
        self._capacity = 0
        self._state: State = None

    def reopen(self) -> None:
        """Back to what the chain says; claim and model are kept."""
        self.stage, self.result, self._replay = "assess", None, None
        # the chain may have gone back, and then older inputs are the true ones
        self.known = Known()
        self._desk.emit(Fetch(ALL))

    # -- events ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The session was found."""
        self._desk.emit(Fetch(SMALL))

    def watching(self) -> None:
        """Changes are notified from now on."""
        if self.stage in ("watch", "join"):
            self.stage = "assess"
            self._desk.emit(Fetch(ALL))

    def failed(self, problem: object) -> None:
        """Something that may pass went wrong."""
        self._desk.again(problem, SMALL if self.stage == "look" else ALL, give_up=True)

    def changed(self, role: Role, data: bytes) -> None:
        """An account changed while the session is not served yet."""
        if role == "inputs":
            self._learn(data)
        elif role == "session":
            self._status = max(self._status, peek_session(data)[0])
            if self.stage == "join" and self._status > WAITING_PLAYERS:
                self.stage = "assess"
                self._desk.emit(Fetch(ALL))

    def fetched(self, accounts: dict[Role, bytes | None]) -> None:
        """Decides the next step from the accounts."""
        desk = self._desk
        if self.stage not in ("look", "assess", "model"):
            return
        session_data, hidden_data = accounts.get("session"), accounts.get("hidden")
        if session_data is None or hidden_data is None:
            desk.release("its accounts are gone", ok=True, again=True)
            return
        session, hidden = SessionState.decode(session_data), HiddenState.decode(hidden_data)
        complete = hidden.initialized and hidden.checkpoint_frame == session.frame
        if session.status == ENDED and (complete or not session.frame):
            desk.release("ended", ok=True)
        elif session.status not in (WAITING_PLAYERS, ACTIVE, ENDED):
            desk.release("not created yet", ok=True, again=True)
        elif self.stage == "look":
            desk.progressed()
            self._watch()
        elif "log" in accounts:
            self._assess(session, hidden, accounts)

    def loaded(self, engine: Engine) -> None:
        """The model is there."""
        settings = self._desk.settings
        self._engine = engine
        self._cadence = cadence(
            engine.state_size,
            chunk_bytes=settings.chunk_bytes,
            chunks_per_frame=settings.chunks_per_frame,
            min_interval=settings.min_interval_frames,
            ring_capacity=settings.ring_capacity,
        )
        self._desk.emit(Fetch(ALL))

    def granted(self, refusal: str) -> None:
        """The answer to `Spend`."""
        if refusal:
            # what is closed elsewhere makes room, and then a later change of the session finds it
            self._desk.release(refusal, ok=False, again=True)
        else:
            self._granted = True
            self._desk.emit(Fetch(ALL))

    def warmed_up(self, event: events.WarmedUp) -> None:
        """The state of frame 0 is there."""
        if self.stage == "restore" and event.serial == self._serial:
            self._state = event.state
            self._replay_on()

    def computed(self, event: events.Computed) -> None:
        """The backbone consumed a frame on the way to the chain's."""
        if self.stage == "restore" and event.serial == self._serial and self._replay is not None:
            self._desk.counters.replayed += 1
            self._replay.advance(event.context)
            self._replay_on()

    def sent(self, ticket: int, refusal: Refusal | None) -> None:
        """The answer to a transaction of the set-up."""
        if ticket not in self._awaited:
            return
        self._awaited.discard(ticket)
        if self.stage == "claim":
            if refusal is None:
                self._claim_accepted = True
            elif refusal.code == Code.EPOCH_MISMATCH and not self._claim_doubtful:
                self._desk.taken_over("it claimed the session first")
                return
            elif refusal.code is None:
                # it may land all the same, and then a refusal of the next claim says nothing
                self._claim_doubtful = True
        if refusal is not None:
            self._problem = refusal.text
        if not self._awaited:
            self.stage = "assess"
            if self._problem:
                self.failed(self._problem)
            else:
                self._desk.emit(Fetch(ALL))

    # -- steps ----------------------------------------------------------------------------------------------------

    def _learn(self, data: bytes) -> None:
        known = Known.decode(data)
        if known.newer_than(self.known):
            self.known = known

    def _assess(self, session: SessionState, hidden: HiddenState, accounts: dict[Role, bytes | None]) -> None:
        desk = self._desk
        me, zero = desk.settings.me, ids.ZERO_KEY
        self._session, self._hidden = session, hidden
        if accounts["inputs"] is not None:
            self._learn(accounts["inputs"])
        if hidden.writer == zero and desk.settings.adopt and session.status != ENDED:
            self._send("bind", [(programs.bind_writer(me, desk.entity),)])
        elif hidden.writer != me:
            named = "not named" if hidden.writer == zero else str(hidden.writer)
            desk.release(f"its writer is {named}", ok=True, again=True)
        elif self.epoch is None and not self._claim(hidden.epoch):
            return
        elif hidden.epoch != self.epoch:
            desk.taken_over(f"epoch {hidden.epoch}, ours is {self.epoch}")
        elif self._engine is None:
            self.stage = "model"
            desk.emit(LoadModel(session.model))
        elif not self._prepared(self._engine, session, accounts):
            return
        elif session.status != WAITING_PLAYERS:
            if self._watched:
                self._watched = False
                desk.emit(Unwatch())
            self._restore(self._engine, accounts)
        elif self._status > WAITING_PLAYERS:
            # player 2 came while these accounts were on their way
            self.failed("an older state of the session was read")
        elif not self._watched:
            # a rollup that was started again can have gone back to before the match
            self._watch()
        else:
            self.stage = "join"
            desk.log("info", "ready", waiting_for="player 2")

    def _watch(self) -> None:
        self.stage, self._watched = "watch", True
        self._desk.emit(Watch())

    def _claim(self, epoch: int) -> bool:
        """Whether the session is claimed; otherwise the claim is on its way."""
        desk = self._desk
        if self._claimed is not None and self._claim_accepted:
            if epoch == self._claimed + 1:
                self.epoch = epoch
                desk.progressed()
                desk.log("info", "claimed", epoch=epoch)
                return True
            if epoch == self._claimed:
                self.failed("the claim is accepted but not on chain yet")
                return False
        self._claimed, self._claim_accepted = epoch, False
        self._send("claim", [(programs.claim(desk.settings.me, desk.entity, epoch),)])
        return False

    def _prepared(self, engine: Engine, session: SessionState, accounts: dict[Role, bytes | None]) -> bool:
        """Whether checkpoints and ring are whole; otherwise what is missing is on its way."""
        desk, settings = self._desk, self._desk.settings
        plan = setup.missing(
            accounts, writer=settings.me, entity=desk.entity, state_size=engine.state_size, cadence=self._cadence,
            in_rollup=settings.in_rollup,
        )  # fmt: skip
        lamports = setup.cost(engine.state_size, self._cadence.capacity, in_rollup=settings.in_rollup)
        limit = settings.spend_limit_lamports
        if not plan:
            if not self._granted:
                self._granted = True
                desk.emit(Spend(lamports, held=True))
            desk.progressed()
            return True
        if lamports > limit:
            desk.release(
                f"its accounts would cost {lamports} lamports, crank.spend_limit_lamports allows {limit}", ok=False
            )
        elif session.status == ENDED:
            desk.release("ended before its accounts were made", ok=True)
        elif not self._granted:
            desk.emit(Spend(lamports, held=False))
        else:
            if self.stage == "assess" and not desk.tries:
                desk.log("info", "preparing", lamports=lamports, ring=self._cadence.capacity, state=engine.state_size)
            self._send("setup", plan)
        return False

    def _send(self, point: _Sending, plan: list[tuple[Instruction, ...]]) -> None:
        self.stage = point
        transactions = tuple(Transaction(self._desk.number(), point, instructions) for instructions in plan)
        self._awaited = {transaction.ticket for transaction in transactions}
        self._problem = ""
        self._desk.emit(Send(transactions))

    def _restore(self, engine: Engine, accounts: dict[Role, bytes | None]) -> None:
        desk = self._desk
        start = self._start = locate(accounts, in_rollup=desk.settings.in_rollup)
        self._capacity = setup.ring_capacity(accounts["log"] or b"")
        self.stage, self._replay = "restore", Replay(engine, start)
        desk.log("info", "restoring", frame=start.end.frame, checkpoint=start.header.frame, records=len(start.records))
        if start.state is None:
            self._serial = desk.number()
            desk.emit(WarmUp(self._serial, engine, start.header.block))
        else:
            self._state = engine.load(start.state)
            self._replay_on()

    def _replay_on(self) -> None:
        """One more frame of the way to the chain's frame, or the end of it."""
        engine, replay, start, session, hidden = self._engine, self._replay, self._start, self._session, self._hidden
        assert engine is not None
        assert replay is not None
        assert start is not None
        assert session is not None
        assert hidden is not None
        if not replay.done:
            self._serial = self._desk.number()
            self._desk.emit(RunBackbone(self._serial, engine, self._state, replay.block, live=False))
            return
        self.result = Opened(
            engine=engine,
            state=self._state,
            header=start.end,
            epoch=self.epoch or 0,
            cadence=self._cadence,
            capacity=self._capacity,
            max_frames=session.max_frames,
            ended=session.status == ENDED or self._status == ENDED,
            known=self.known,
            hidden=hidden,
        )
