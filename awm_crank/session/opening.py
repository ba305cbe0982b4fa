"""From a session found to its first frame: bind, claim, model, accounts, player 2, and where the chain stands.

Every step ends in reading all accounts again and deciding anew from them, so that it does not matter which process did
the steps before, nor where it was killed.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from solders.instruction import Instruction

from ..engine.api import Engine, State
from ..engine.position import Position
from ..wire import ids, programs
from ..wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS, HiddenState, SessionState, peek_session
from ..wire.failures import Code
from . import events, setup
from .checkpoints import Cadence, cadence
from .commands import Fetch, LoadModel, RunBackbone, Send, Spend, Transaction, Unwatch, WarmUp, Watch
from .effects import ALL, SMALL, Effects
from .events import Refusal, Role
from .inputs import Known
from .recovery import CatchUp, RecoveryPlan, locate

_Sending = Literal["bind", "claim", "pin", "setup"]
Stage = Literal["look", "watch", "assess", "bind", "claim", "model", "pin", "setup", "join", "restore"]


class Opened(Struct, frozen=True):
    """A session that can be served: `state` has consumed the frames before `last`."""

    engine: Engine
    state: State
    last: Position
    epoch: int
    cadence: Cadence
    capacity: int
    max_frames: int
    ended: bool
    known: Known
    hidden: HiddenState


class Opening:
    """The way to `Opened`, which stands in `result` once it is reached. `reopen` goes it again after a resync."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.stage: Stage = "look"
        self.result: Opened | None = None
        self.epoch: int | None = None
        self.known = Known()
        self._engine: Engine | None = None
        self._cartridge = bytes(32)
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
        self._plan: RecoveryPlan | None = None
        self._catch_up: CatchUp | None = None
        self._serial = 0
        self._session: SessionState | None = None
        self._hidden: HiddenState | None = None
        self._capacity = 0
        self._state: State = None

    def reopen(self) -> None:
        """Back to what the chain says; claim and model are kept."""
        self.stage, self.result, self._catch_up = "assess", None, None
        # the chain may have gone back, and then older inputs are the true ones
        self.known = Known()
        self._effects.emit(Fetch(ALL))

    # -- events ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The session was found."""
        self._effects.emit(Fetch(SMALL))

    def watching(self) -> None:
        """Changes are notified from now on."""
        if self.stage in ("watch", "join"):
            self.stage = "assess"
            self._effects.emit(Fetch(ALL))

    def failed(self, problem: object) -> None:
        """Something that may pass went wrong."""
        self._effects.again(problem, SMALL if self.stage == "look" else ALL, give_up=True)

    def changed(self, role: Role, data: bytes) -> None:
        """An account changed while the session is not served yet."""
        if role == "inputs":
            self._learn(data)
        elif role == "session":
            self._status = max(self._status, peek_session(data)[0])
            if self.stage == "join" and self._status > WAITING_PLAYERS:
                self.stage = "assess"
                self._effects.emit(Fetch(ALL))

    def fetched(self, accounts: dict[Role, bytes | None]) -> None:
        """Decides the next step from the accounts."""
        effects = self._effects
        if self.stage not in ("look", "assess", "model"):
            return
        session_data, hidden_data = accounts.get("session"), accounts.get("hidden")
        if session_data is None or hidden_data is None:
            effects.release("its accounts are gone", ok=True, again=True)
            return
        session, hidden = SessionState.decode(session_data), HiddenState.decode(hidden_data)
        complete = hidden.initialized and hidden.checkpoint_frame == session.frame
        if session.status == ENDED and (complete or not session.frame):
            effects.release("ended", ok=True)
        elif session.status not in (WAITING_PLAYERS, ACTIVE, ENDED):
            effects.release("not created yet", ok=True, again=True)
        elif self.stage == "look":
            effects.progressed()
            self._watch()
        elif "log" in accounts:
            self._assess(session, hidden, accounts)

    def loaded(self, engine: Engine, cartridge_hash: bytes) -> None:
        """The model is there."""
        settings = self._effects.settings
        self._engine, self._cartridge = engine, cartridge_hash
        self._cadence = cadence(
            engine.state_size,
            chunk_bytes=settings.chunk_bytes,
            chunks_per_frame=settings.chunks_per_frame,
            min_interval=settings.min_interval_frames,
            ring_capacity=settings.ring_capacity,
        )
        self._effects.emit(Fetch(ALL))

    def granted(self, refusal: str) -> None:
        """The answer to `Spend`."""
        if refusal:
            # what is closed elsewhere makes room, and then a later change of the session finds it
            self._effects.release(refusal, ok=False, again=True)
        else:
            self._granted = True
            self._effects.emit(Fetch(ALL))

    def warmed_up(self, event: events.WarmedUp) -> None:
        """The state of frame 0 is there."""
        if self.stage == "restore" and event.serial == self._serial:
            self._state = event.state
            self._catch_up_on()

    def computed(self, event: events.Computed) -> None:
        """The backbone consumed a frame on the way to the chain's."""
        if self.stage == "restore" and event.serial == self._serial and self._catch_up is not None:
            self._effects.counters.replayed += 1
            self._catch_up.advance(event.context)
            self._catch_up_on()

    def sent(self, ticket: int, refusal: Refusal | None) -> None:
        """The answer to a transaction of the set-up."""
        if ticket not in self._awaited:
            return
        self._awaited.discard(ticket)
        if self.stage == "claim":
            if refusal is None:
                self._claim_accepted = True
            elif refusal.code == Code.EPOCH_MISMATCH and not self._claim_doubtful:
                self._effects.taken_over("it claimed the session first")
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
                self._effects.emit(Fetch(ALL))

    # -- steps ----------------------------------------------------------------------------------------------------

    def _learn(self, data: bytes) -> None:
        known = Known.decode(data)
        if known.newer_than(self.known):
            self.known = known

    def _assess(self, session: SessionState, hidden: HiddenState, accounts: dict[Role, bytes | None]) -> None:
        effects = self._effects
        me, zero = effects.settings.me, ids.ZERO_KEY
        self._session, self._hidden = session, hidden
        if accounts["inputs"] is not None:
            self._learn(accounts["inputs"])
        if hidden.writer == zero and effects.settings.adopt and session.status != ENDED:
            self._send("bind", [(programs.bind_writer(me, effects.entity),)])
        elif hidden.writer != me:
            named = "not named" if hidden.writer == zero else str(hidden.writer)
            effects.release(f"its writer is {named}", ok=True, again=True)
        elif self.epoch is None and not self._claim(hidden.epoch):
            return
        elif hidden.epoch != self.epoch:
            effects.taken_over(f"epoch {hidden.epoch}, ours is {self.epoch}")
        elif {session.bolt_metadata, hidden.bolt_metadata} != {ids.WORLD}:
            effects.release("a key of somebody's has power over its components", ok=False)
        elif self._engine is None or (any(hidden.cartridge_hash) and hidden.cartridge_hash != self._cartridge):
            self.stage = "model"
            effects.emit(LoadModel(session.model, hidden.cartridge_hash))
        elif not any(hidden.cartridge_hash):
            # written down before the first frame: a manifest can be closed and written anew under its key
            self._send("pin", [(programs.pin_cartridge(me, effects.entity, session.model),)])
        elif not self._prepared(self._engine, session, accounts):
            return
        elif session.status != WAITING_PLAYERS:
            if self._watched:
                self._watched = False
                effects.emit(Unwatch())
            self._restore(self._engine, accounts)
        elif self._status > WAITING_PLAYERS:
            # player 2 came while these accounts were on their way
            self.failed("an older state of the session was read")
        elif not self._watched:
            # a rollup that was started again can have gone back to before the match
            self._watch()
        else:
            self.stage = "join"
            effects.log("info", "ready", waiting_for="player 2")

    def _watch(self) -> None:
        self.stage, self._watched = "watch", True
        self._effects.emit(Watch())

    def _claim(self, epoch: int) -> bool:
        """Whether the session is claimed; otherwise the claim is on its way."""
        effects = self._effects
        if self._claimed is not None and self._claim_accepted:
            if epoch == self._claimed + 1:
                self.epoch = epoch
                effects.progressed()
                effects.log("info", "claimed", epoch=epoch)
                return True
            if epoch == self._claimed:
                self.failed("the claim is accepted but not on chain yet")
                return False
        self._claimed, self._claim_accepted = epoch, False
        self._send("claim", [(programs.claim(effects.settings.me, effects.entity, epoch),)])
        return False

    def _prepared(self, engine: Engine, session: SessionState, accounts: dict[Role, bytes | None]) -> bool:
        """Whether checkpoints and ring are whole; otherwise what is missing is on its way."""
        effects, settings = self._effects, self._effects.settings
        plan = setup.missing(
            accounts, writer=settings.me, entity=effects.entity, state_size=engine.state_size, cadence=self._cadence,
            in_rollup=settings.in_rollup,
        )  # fmt: skip
        lamports = setup.cost(engine.state_size, self._cadence.capacity, in_rollup=settings.in_rollup)
        limit = settings.spend_limit_lamports
        if not plan:
            if not self._granted:
                self._granted = True
                effects.emit(Spend(lamports, held=True))
            effects.progressed()
            return True
        if lamports > limit:
            effects.release(
                f"its accounts would cost {lamports} lamports, crank.spend_limit_lamports allows {limit}", ok=False
            )
        elif session.status == ENDED:
            effects.release("ended before its accounts were made", ok=True)
        elif not self._granted:
            effects.emit(Spend(lamports, held=False))
        else:
            if self.stage == "assess" and not effects.tries:
                effects.log(
                    "info", "preparing", lamports=lamports, ring=self._cadence.capacity, state=engine.state_size
                )
            self._send("setup", plan)
        return False

    def _send(self, point: _Sending, plan: list[tuple[Instruction, ...]]) -> None:
        self.stage = point
        transactions = tuple(Transaction(self._effects.number(), point, instructions) for instructions in plan)
        self._awaited = {transaction.ticket for transaction in transactions}
        self._problem = ""
        self._effects.emit(Send(transactions))

    def _restore(self, engine: Engine, accounts: dict[Role, bytes | None]) -> None:
        effects = self._effects
        plan = self._plan = locate(accounts, in_rollup=effects.settings.in_rollup)
        self._capacity = setup.ring_capacity(accounts["log"] or b"")
        self.stage, self._catch_up = "restore", CatchUp(engine, plan)
        effects.log("info", "restoring", frame=plan.end.frame, checkpoint=plan.start.frame, records=len(plan.records))
        if plan.state is None:
            self._serial = effects.number()
            effects.emit(WarmUp(self._serial, engine, plan.start.block))
        else:
            self._state = engine.load(plan.state)
            self._catch_up_on()

    def _catch_up_on(self) -> None:
        """One more frame of the way to the chain's frame, or the end of it."""
        engine, catch_up, plan, session, hidden = self._engine, self._catch_up, self._plan, self._session, self._hidden
        assert engine is not None
        assert catch_up is not None
        assert plan is not None
        assert session is not None
        assert hidden is not None
        if not catch_up.done:
            self._serial = self._effects.number()
            self._effects.emit(RunBackbone(self._serial, engine, self._state, catch_up.position.block, live=False))
            return
        self.result = Opened(
            engine=engine,
            state=self._state,
            last=plan.end,
            epoch=self.epoch or 0,
            cadence=self._cadence,
            capacity=self._capacity,
            max_frames=session.max_frames,
            ended=session.status == ENDED or self._status == ENDED,
            known=self.known,
            hidden=hidden,
        )
