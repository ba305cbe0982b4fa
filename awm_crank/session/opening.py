"""Opens a session, up to its first frame: watch, bind, claim, load the model, create accounts, wait for player 2, catch
up.

Every step ends with a read of all accounts, and only that read decides the next step. So it does not matter which
process did the steps before, or where that process was killed. A step that fails is tried again, without limit.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..engine.api import Engine, State
from ..engine.position import Position
from ..errors import AwmError, CheckpointError, LayoutError, RpcError
from ..wire import ids, programs
from ..wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS, HiddenState, SessionState, peek_session
from . import events, setup
from .checkpoints import Cadence, cadence
from .claiming import Claiming
from .commands import Fetch, LoadModel, Recall, RunBackbone, Send, Transaction, WarmUp, Watch
from .effects import ALL, BEHIND_NS, GONE_NS, SMALL, Effects
from .events import Cause, Refusal, Role
from .inputs import Known
from .preparing import Preparing
from .recovery import CatchUp, RecoveryPlan, locate, locate_saved
from .settings import MILLISECOND
from .terms import Funds, Terms

_Sending = Literal["bind", "claim", "pin", "setup"]
Stage = Literal["look", "watch", "assess", "bind", "claim", "model", "pin", "setup", "join", "recall", "restore"]

_CONFIRMATION_NS = 1_000 * MILLISECOND
"""How long the endpoint may take to confirm the subscriptions before the session goes on without them."""
_JOIN_FIRST_NS, _JOIN_LONGEST_NS = 1_000 * MILLISECOND, 4_000 * MILLISECOND
"""The pauses between two reads while player 2 is awaited: a notification of the join may get lost."""
_FOREIGN_POWER = "a stranger's key has power over its components"


class Opened(Struct, frozen=True):
    """A session that can be served. `state` is the recurrent state before the backbone consumes the frame `last`."""

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
    terms: Terms
    players: tuple[Pubkey, Pubkey]


class Opening:
    """Opens a session. Once it is open, `result` holds the `Opened`. `reopen` opens it again after a resync."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.stage: Stage = "look"
        self.result: Opened | None = None
        self.known = Known()
        self._claiming = Claiming(effects)
        self._engine: Engine | None = None
        self._cartridge = bytes(32)
        self._loading = False
        self._model_failures = 0
        self._cadence = Cadence(0, 0)
        self._watched = False
        """The endpoint was asked to notify every change of the session's account."""
        self._status = 0
        """The highest session status that was notified. A session's status only rises."""
        self._join_pause = _JOIN_FIRST_NS
        self._awaited: set[int] = set()
        self._refusal: Refusal | None = None
        self._preparing = Preparing(effects)
        self._plan: RecoveryPlan | None = None
        self._unlocated: tuple[Engine, dict[Role, bytes | None], AwmError] | None = None
        """What a recovery that the chain does not allow was to start from."""
        self._catch_up: CatchUp | None = None
        self._serial = 0
        self._session: SessionState | None = None
        self._hidden: HiddenState | None = None
        self._capacity = 0
        self._state: State = None
        self._funds: Funds | None = None
        self._origin: bytes | None = None
        """The entity's account; empty where there is none, None while it was not read."""
        self._terms = Terms("operator")

    def reopen(self) -> None:
        """Starts again from the accounts on chain. The claim and the model are kept."""
        self.stage, self.result, self._catch_up = "assess", None, None
        # the chain may have gone back to an earlier state, and then older inputs are the right ones
        self.known = Known()

    def failed_read(self, error: AwmError, cause: Cause, tries: int) -> None:
        """Handles accounts that were read but cannot be used."""
        if self.stage == "look":
            self._effects.again(error, SMALL, cause, tries=tries)
        else:
            self.reopen()
            self._effects.again(error, ALL, cause, tries=tries)

    # -- events ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Starts to open a session that was found."""
        self._effects.emit(Fetch(SMALL))

    def watching(self) -> None:
        """Notes that the endpoint reports changes from now on."""
        if self.stage in ("watch", "join"):
            self.stage = "assess"
            self._effects.retry_at = None
            self._effects.emit(Fetch(ALL))

    def failed(self, problem: object, cause: Cause = "endpoint") -> None:
        """Handles a failure that may pass."""
        self._effects.again(problem, SMALL if self.stage == "look" else ALL, cause)

    def changed(self, role: Role, data: bytes) -> None:
        """Takes a change of an account while the session is not served yet."""
        if role == "inputs":
            self._learn(data)
        elif role == "session":
            self._status = max(self._status, peek_session(data)[0])
        # a join changes three accounts; some of their notifications may be lost, so any of them counts
        if self.stage == "join" and (role != "session" or self._status > WAITING_PLAYERS):
            self.stage = "assess"
            self._effects.emit(Fetch(ALL))

    def fetched(self, accounts: dict[Role, bytes | None], deposit_lamports: int = 0) -> None:
        """Decides the next step from the accounts."""
        effects = self._effects
        if "entity" in accounts:
            self._origin = accounts["entity"] or b""
        if "deposit" in accounts:
            self._funds = Funds.read(accounts["deposit"], deposit_lamports)
        if self.stage not in ("look", "watch", "assess", "join", "model"):
            return
        if self.stage == "model" and self._loading:
            return
        roles = SMALL if self.stage == "look" else ALL
        session_data, hidden_data = accounts.get("session"), accounts.get("hidden")
        if not session_data or not hidden_data:
            if effects.confirmed("its accounts are gone", roles, GONE_NS):
                effects.release("its accounts are gone", "gone")
            return
        session, hidden = SessionState.decode(session_data), HiddenState.decode(hidden_data)
        complete = hidden.initialized and hidden.checkpoint_frame == session.frame
        if session.status == ENDED and (complete or not session.frame):
            if effects.confirmed("ended", roles):
                effects.release("ended", "over")
        elif session.status not in (WAITING_PLAYERS, ACTIVE, ENDED):
            if effects.confirmed("not created yet", roles):
                effects.release("not created yet", "elsewhere")
        elif self.stage == "look":
            effects.progressed()
            self._watch()
        elif "log" in accounts:
            self._assess(session, hidden, accounts)

    def loaded(self, engine: Engine, cartridge_hash: bytes) -> None:
        """Takes the loaded model."""
        settings = self._effects.settings
        self._loading = False
        self._engine, self._cartridge, self._model_failures = engine, cartridge_hash, 0
        self._cadence = cadence(
            engine.state_size,
            chunk_bytes=settings.chunk_bytes,
            chunks_per_frame=settings.chunks_per_frame,
            min_interval=settings.min_interval_frames,
            ring_capacity=settings.ring_capacity,
        )
        self._effects.progressed()
        self._effects.emit(Fetch(ALL))

    def model_failed(self, error: AwmError) -> None:
        """Notes that the model cannot be loaded at the moment."""
        self.stage, self._loading = "assess", False
        self._model_failures += 1
        cause: Cause = "endpoint" if isinstance(error, RpcError) else "model"
        self._effects.again(error, ALL, cause, tries=self._model_failures)

    def granted(self, refusal: str, cause: Cause) -> None:
        """Takes the answer to `Spend`."""
        if refusal:
            # when another session ends, its rent makes room for this one
            self.stage = "assess"
            self.failed(refusal, cause)
        else:
            self._preparing.granted = True
            self._effects.emit(Fetch(ALL))

    def warmed_up(self, event: events.WarmedUp) -> None:
        """Takes the recurrent state of frame 0."""
        if self.stage == "restore" and event.serial == self._serial:
            self._state = event.state
            self._catch_up_on()

    def computed(self, event: events.Computed) -> None:
        """Takes the backbone's result while it catches up with the chain."""
        if self.stage == "restore" and event.serial == self._serial and self._catch_up is not None:
            self._effects.counters.replayed += 1
            self._catch_up.advance(event.context)
            self._catch_up_on()

    def sent(self, ticket: int, refusal: Refusal | None) -> None:
        """Takes the endpoint's answer to a transaction that prepares the session."""
        if ticket not in self._awaited:
            return
        self._awaited.discard(ticket)
        if self.stage == "claim":
            self._claiming.answered(refusal)
        if refusal is not None:
            self._refusal = refusal
            self._preparing.refused()
        if not self._awaited:
            self.stage = "assess"
            if self._refusal is not None:
                self.failed(self._refusal.text, self._refusal.cause)
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
        if accounts["inputs"]:
            self._learn(accounts["inputs"])
        if self._origin is None and effects.settings.worlds:
            effects.emit(Fetch((*ALL, "entity")))
            return
        self._terms = Terms.of(session, self._funds, self._origin, effects.settings)
        if (refusal := self._terms.refusal) and hidden.writer in (me, zero):
            # a deposit changes the hidden state, and then the session is looked at again
            effects.log("warning", "not served", reason=refusal)
            effects.release(refusal, "elsewhere")
        elif hidden.writer == zero and effects.settings.adopt and session.status != ENDED:
            self._send("bind", [(programs.bind_writer(me, effects.entity),)])
        elif hidden.writer != me:
            reason = f"its writer is {'not named' if hidden.writer == zero else hidden.writer}"
            if effects.confirmed(reason, ALL):
                effects.release(reason, "elsewhere")
        elif not self._claimed(hidden):
            return
        elif {session.bolt_metadata, hidden.bolt_metadata} != {ids.WORLD}:
            if effects.confirmed(_FOREIGN_POWER, ALL):
                effects.log("error", "not served", reason=_FOREIGN_POWER)
                effects.release(_FOREIGN_POWER, "elsewhere")
        elif self._engine is None or (any(hidden.cartridge_hash) and hidden.cartridge_hash != self._cartridge):
            self.stage, self._loading = "model", True
            effects.emit(LoadModel(session.model, hidden.cartridge_hash))
        elif not any(hidden.cartridge_hash):
            # the hash is recorded before the first frame, because a manifest can be closed and written again at its
            # address
            self._send("pin", [(programs.pin_cartridge(me, effects.entity, session.model),)])
        elif hidden.extra_size != self._engine.extra_size:
            # the manifest said something else when it was pinned
            reason = f"it has {hidden.extra_size} bytes of extra feedback a player, its model {self._engine.extra_size}"
            if effects.confirmed(reason, ALL):
                effects.log("error", "not served", reason=reason)
                effects.release(reason, "elsewhere")
        elif not self._prepared(self._engine, session, accounts):
            return
        elif session.status != WAITING_PLAYERS:
            if self._watched:
                self._watched = False
                effects.emit(Watch(every_change=False))
            self._restore(self._engine, accounts)
        elif self._status > WAITING_PLAYERS and not effects.confirmed("an older session was read", ALL, BEHIND_NS):
            # player 2 joined while the transactions that create these accounts were being sent
            return
        elif not self._watched:
            # a rollup that restarted may have gone back to a state before the match
            self._watch()
        else:
            self._join()

    def _watch(self) -> None:
        self.stage, self._watched = "watch", True
        self._effects.emit(Watch(every_change=True))
        self._effects.read_in(_CONFIRMATION_NS, ALL)

    def _join(self) -> None:
        effects = self._effects
        if self.stage != "join":
            effects.progressed()
            self._join_pause, self._status = _JOIN_FIRST_NS, 0
            effects.log("info", "ready", waiting_for="player 2")
        self.stage = "join"
        effects.read_in(self._join_pause, ALL)
        self._join_pause = min(2 * self._join_pause, _JOIN_LONGEST_NS)

    def _claimed(self, hidden: HiddenState) -> bool:
        """Whether this process holds the session's epoch. If not, this sends a claim or another read."""
        claiming = self._claiming
        verdict = claiming.judge(hidden)
        if verdict == "claim":
            self._send("claim", [(programs.claim(self._effects.settings.me, self._effects.entity, hidden.epoch),)])
        elif verdict == "wait":
            self.failed(claiming.problem, "accounts")
        return verdict == "held"

    def _prepared(self, engine: Engine, session: SessionState, accounts: dict[Role, bytes | None]) -> bool:
        """Whether checkpoints and ring are whole; otherwise what is missing is on its way."""
        preparing, terms = self._preparing, self._terms
        if preparing.is_whole(engine, session, accounts, terms, self._cadence):
            return True
        if preparing.problem:
            self.failed(*preparing.problem)
        elif preparing.plan:
            self._send("setup", preparing.plan)
        return False

    def _send(self, point: _Sending, plan: list[tuple[Instruction, ...]]) -> None:
        self.stage = point
        transactions = tuple(Transaction(self._effects.number(), point, instructions) for instructions in plan)
        self._awaited = {transaction.ticket for transaction in transactions}
        self._refusal = None
        self._effects.emit(Send(transactions))

    def _restore(self, engine: Engine, accounts: dict[Role, bytes | None]) -> None:
        effects = self._effects
        try:
            plan = locate(accounts, in_rollup=effects.settings.in_rollup)
        except (CheckpointError, LayoutError) as error:
            # the chain has lost accounts that the session needs to continue; a file on disk may have them
            self.stage, self._unlocated = "recall", (engine, accounts, error)
            effects.emit(Recall())
            return
        self._follow(engine, accounts, plan)

    def recalled(self, saved: tuple[Position, bytes] | None) -> None:
        """Takes the last saved checkpoint, and continues from it if the records on chain allow that."""
        if self.stage != "recall" or self._unlocated is None:
            return
        (engine, accounts, error), self._unlocated = self._unlocated, None
        if saved is None:
            raise error
        plan = locate_saved(accounts, saved)
        self._effects.log("warning", "going on from the journal", frame=plan.start.frame)
        self._follow(engine, accounts, plan)

    def _follow(self, engine: Engine, accounts: dict[Role, bytes | None], plan: RecoveryPlan) -> None:
        effects = self._effects
        self._plan = plan
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
        """Computes one more frame to catch up with the chain, or finishes when it has caught up."""
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
            epoch=hidden.epoch,
            cadence=self._cadence,
            capacity=self._capacity,
            max_frames=session.max_frames,
            ended=session.status == ENDED or self._status == ENDED,
            known=self.known,
            hidden=hidden,
            terms=self._terms,
            players=(session.player1, session.player2),
        )
