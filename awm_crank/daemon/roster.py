"""The list of sessions that the crank serves, and of those that wait for room."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from solders.pubkey import Pubkey

from .. import config
from ..session import commands
from ..session.events import OWN_CAUSES
from ..session.machine import SessionMachine
from ..session.settings import Settings
from ..telemetry import logs
from ..telemetry.stats import Stats
from ..wire import bolt, ids, layouts
from .admission import PERIOD_S, Admission, LoadSample
from .phases import Phases
from .session import ServedSession

_ENTITY = layouts.HIDDEN_STATE.span("entity")
_EPOCH = layouts.HIDDEN_STATE.span("epoch")
_CHAIN_HASH = layouts.HIDDEN_STATE.span("chain_hash")
_FAULT_PAUSE_S, _LONGEST_FAULT_PAUSE_S = 0.5, 60.0
"""The pause before a session is served again after an exception of ours."""


_AGAIN_S, _LONGEST_AGAIN_S = 60.0, 3600.0
"""The pause before another look at a session that was let go without being over. It doubles each time."""


class _Left(NamedTuple):
    """Why a session was released, its hidden state at that time, and when to try it again even if nothing has
    changed.
    """

    outcome: commands.Ending
    hidden: bytes
    again_at: float = math.inf
    pause_s: float = _AGAIN_S


class Roster:
    """Admits sessions and releases them.

    Args:
        limits: how many sessions, and how much load.
        settings: the settings of every session's machine, except its phase.
        period_ns: nanoseconds from tick to tick; the ticks of different sessions are spread over it.
        stats: counts the refused sessions.
        begin: called with each session that was admitted.
        let_go: called with a session that has to make room. It must call `release`.
    """

    def __init__(
        self,
        limits: config.CrankConfig,
        settings: Settings,
        period_ns: int,
        stats: Stats,
        begin: Callable[[ServedSession], object],
        let_go: Callable[[ServedSession, commands.Release], object],
    ) -> None:
        self._settings, self._stats, self._begin, self._let_go = settings, stats, begin, let_go
        self._served: dict[Pubkey, ServedSession] = {}
        """Hidden-state account → session."""
        self._left: dict[Pubkey, _Left] = {}
        """Hidden-state account → what is known of a session that was let go."""
        self._admission = Admission(limits)
        self._phases = Phases(period_ns)
        self._faults: dict[Pubkey, int] = {}
        """Hidden-state account → exceptions of ours in its session."""
        self._clearing = False
        """A session is let go for another one, which takes its place."""
        self.closed = False
        """No session is admitted any more."""
        self.empty = asyncio.Event()
        """Set when the last session was released."""

    def admit_worlds(self, worlds: frozenset[int]) -> None:
        """Sets which worlds' sessions are always served. Call it before the first session is found."""
        self._settings = msgspec.structs.replace(self._settings, worlds=worlds)

    def __len__(self) -> int:
        return len(self._served)

    def __iter__(self) -> Iterator[ServedSession]:
        return iter(list(self._served.values()))

    def play_in_rollup(self) -> None:
        """Notes that sessions admitted from now on run in a rollup, while their models are on the base chain."""
        self._settings = msgspec.structs.replace(self._settings, in_rollup=True)

    def find(self, key: Pubkey) -> ServedSession | None:
        """Returns the session with this hidden-state account, or None."""
        return self._served.get(key)

    def machines(self) -> list[SessionMachine]:
        """The machines of all sessions."""
        return [served.machine for served in self._served.values()]

    def waiting(self) -> int:
        """How many sessions wait for room."""
        return len(self._admission.refused)

    def kept_out(self) -> tuple[bool, list[str]]:
        """A sentence for each session that waits for room, and whether a configured limit keeps it out."""
        word, why = self._admission.full(self._busy(), len(self._served)) or ("room", "it is taken next")
        entities = (_entity(data) for data in self._admission.refused.values())
        return word != "slow", [f"session {entity}: waits for room: {why}" for entity in entities]

    def yielded(self) -> int:
        """How many sessions are served by another process with this key."""
        return sum(left.outcome == "yielded" and key not in self._served for key, left in self._left.items())

    def admit(self, key: Pubkey, data: bytes) -> None:
        """Starts to serve the session of a hidden-state account.

        Nothing happens if the session is served already, if it was released and has not changed since, or if the
        account belongs to no session. If there is no room, the session waits until there is.
        """
        if self.closed or key in self._served or len(data) != layouts.HIDDEN_STATE.size:
            return
        left = self._left.get(key)
        if left is not None and not _may_return(left, data, time.monotonic()):
            return
        entity = _entity(data)
        if bolt.component_pda(ids.HIDDEN_STATE, entity) != key:
            return
        if _is_joined(data):
            self._clear_room()
        full = self._admission.full(self._busy(), len(self._served))
        if full is not None:
            word, why = full
            if self._admission.keep(key, data):
                self._stats.refuse(word)
                logs.get().warning("session refused for now", entity=str(entity), reason=why)
            return
        self._admission.refused.pop(key, None)
        self._admission.took()
        settings = msgspec.structs.replace(self._settings, phase=self._phases.take())
        served = self._served[key] = ServedSession(entity, settings)
        served.hidden = data
        self._begin(served)

    def release(self, served: ServedSession, outcome: commands.Ending) -> None:
        """Releases a session."""
        key = served.keys["hidden"]
        self._served.pop(key, None)
        if served.phase is not None:
            self._phases.give_back(served.phase)
        if not self._served:
            self.empty.set()
        self._left[key] = self._leaving(key, outcome, served.hidden)
        self._make_room()

    def _leaving(self, key: Pubkey, outcome: commands.Ending, hidden: bytes) -> _Left:
        if outcome != "elsewhere":
            return _Left(outcome, hidden)
        before = self._left.get(key)
        same = before is not None and (before.outcome, before.hidden) == (outcome, hidden)
        pause_s = min(2 * before.pause_s, _LONGEST_AGAIN_S) if before is not None and same else _AGAIN_S
        return _Left(outcome, hidden, time.monotonic() + pause_s, pause_s)

    def come_back(self, served: ServedSession) -> None:
        """Serves a session again that was released because of a bug of ours, after a pause that grows."""
        key, faults = served.keys["hidden"], self._faults.get(served.keys["hidden"], 0) + 1
        self._faults[key] = faults
        self._left[key] = _Left("over", served.hidden)

        def begin() -> None:
            if self._left.pop(key, None) is not None:
                self.admit(key, served.hidden)

        pause = min(_FAULT_PAUSE_S * 2**faults, _LONGEST_FAULT_PAUSE_S)
        asyncio.get_running_loop().call_later(pause, begin)

    def _clear_room(self) -> None:
        """Lets one session go, if there are too many, so that a joined one can be served.

        Anybody can make sessions that nobody joins or pays for. They keep no place from a match that can be played.
        """
        busy = self._busy()
        if not self._admission.crowded(busy, len(self._served)):
            return
        stuck = [served for served in self if _is_stuck(served.machine)]
        idle = [served for served in self if not _is_joined(served.hidden) and served not in stuck]
        victims = idle if self._admission.crowded(busy, 0) else stuck + idle
        if not victims:
            return
        (victim, *_), self._clearing = victims, True
        key, data = victim.keys["hidden"], victim.hidden
        victim.log.info("released", reason="a match that was joined needs its place")
        self._let_go(victim, commands.Release("a match that was joined needs its place", "elsewhere"))
        self._clearing = False
        if victim in stuck:
            # its turn comes again. One that nobody has joined is found again when somebody does
            self._left.pop(key, None)
            self._admission.keep(key, data)

    def _busy(self) -> int:
        """Sessions that take room. One that cannot be served for a reason of its own takes none."""
        return sum(not _is_stuck(machine) for machine in self.machines())

    def _make_room(self) -> None:
        """Admits one waiting session. The next one follows after the load of this one was measured."""
        refused = self._admission.refused
        if (
            refused
            and not self.closed
            and not self._clearing
            and self._admission.full(self._busy(), len(self._served)) is None
        ):
            key = next((key for key, data in refused.items() if _is_joined(data)), next(iter(refused)))
            self.admit(key, refused.pop(key))

    async def watch_load(self) -> None:
        """Measures the load and admits waiting sessions, without end."""
        while True:
            await asyncio.sleep(PERIOD_S)
            stages = [machine.stage for machine in self.machines() if machine.waiting is None]
            serving = stages.count("serve")
            opening = len(stages) - serving - stages.count("join")
            stats = self._stats
            sample = LoadSample(time.monotonic_ns(), time.process_time_ns(), stats.land.count, stats.slow_frames)
            self._admission.sampled(sample, serving=serving, opening=opening)
            self._make_room()


def _may_return(left: _Left, data: bytes, now: float) -> bool:
    """Whether a released session should be tried again, now that its hidden state is `data`."""
    if left.outcome == "yielded":
        # the other process raises the epoch; a lower epoch means that the validator was replaced
        return _epoch(data) < _epoch(left.hidden)
    # the accounts are there again: the endpoint had shown another chain, or no accounts
    return left.outcome == "gone" or data != left.hidden or now >= left.again_at


def _entity(hidden: bytes) -> Pubkey:
    return Pubkey.from_bytes(hidden[_ENTITY.offset : _ENTITY.offset + _ENTITY.size])


def _is_stuck(machine: SessionMachine) -> bool:
    """Whether a session waits for something of its own, such as a deposit."""
    return machine.waiting is not None and machine.waiting.cause in OWN_CAUSES


def _is_joined(hidden: bytes) -> bool:
    """Whether player 2 has joined: JOIN writes the first chain hash."""
    return any(hidden[_CHAIN_HASH.offset : _CHAIN_HASH.offset + _CHAIN_HASH.size])


def _epoch(hidden: bytes) -> int:
    return int.from_bytes(hidden[_EPOCH.offset : _EPOCH.offset + _EPOCH.size], "little")
