"""Claims a session by raising the writer's epoch. Once the claim has landed, no frame of an earlier process can land.

Two processes with the same key must not take the session from each other for ever. So a process whose claim is refused
yields as soon as it sees the other process make progress. If nothing moves, it assumes that the other process is dead:
a process that was killed can leave a claim that lands later.
"""

from __future__ import annotations

from typing import Literal

from ..wire.accounts import HiddenState
from ..wire.failures import Code
from .effects import ALL, BEHIND_NS, Effects
from .events import Refusal
from .settings import MILLISECOND

_RIVAL_NS = 2_000 * MILLISECOND
"""How long a process that claimed first may do nothing before it is taken for dead."""


class Claiming:
    """Knows whether this process holds the session."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.epoch: int | None = None
        """The epoch that this process holds."""
        self.problem = ""
        """Why `judge` returned "wait"."""
        self._asked: int | None = None
        """The epoch that the last claim was to replace."""
        self._accepted = False
        self._doubtful = False
        """A claim of ours was neither accepted nor refused, so it may have landed, or may land yet."""
        self._refused = False
        self._rival: tuple[HiddenState, int] | None = None
        """The hidden state after another process's claim, and when it was first read."""

    def answered(self, refusal: Refusal | None) -> None:
        """Takes the endpoint's answer to the claim."""
        if refusal is None:
            self._accepted = True
        elif refusal.code is None:
            self._doubtful = True
        elif refusal.code == Code.EPOCH_MISMATCH:
            self._refused = True

    def judge(self, hidden: HiddenState) -> Literal["held", "claim", "wait", "read again"]:
        """Decides what to do, given the hidden state that was just read.

        Returns:
            "held": this process holds the session.
            "claim": claim the session now, and replace the epoch that was read.
            "wait": read again after a pause.
            "read again": a second read was already requested; wait for it.
        """
        effects = self._effects
        if self.epoch is not None:
            if hidden.epoch == self.epoch:
                return "held"
            if hidden.epoch > self.epoch:
                if effects.confirmed(f"epoch {hidden.epoch}, ours is {self.epoch}", ALL):
                    effects.yield_to(f"epoch {hidden.epoch}, ours is {self.epoch}")
                return "read again"
            if not effects.confirmed(f"epoch {hidden.epoch} of an earlier time was read", ALL, BEHIND_NS):
                return "read again"
            # the validator was replaced, and the session was created again on the new one
            self.epoch = self._asked = self._rival = None
        return self._without_epoch(hidden)

    def _without_epoch(self, hidden: HiddenState) -> Literal["held", "claim", "wait"]:
        effects, asked = self._effects, self._asked
        if asked is not None and self._accepted:
            if hidden.epoch == asked + 1:
                self.epoch = hidden.epoch
                effects.progressed()
                effects.log("info", "claimed", epoch=hidden.epoch)
                return "held"
            if hidden.epoch == asked:
                self.problem = "the claim was accepted but is not on chain yet"
                if not effects.confirmed(self.problem, ALL, _RIVAL_NS):
                    return "wait"
        elif asked is not None and self._refused and not self._doubtful:
            if hidden.epoch == asked:
                self.problem = "the claim was refused for its epoch, and an older epoch was read"
                if not effects.confirmed(self.problem, ALL, BEHIND_NS):
                    return "wait"
            elif not self._rival_is_dead(hidden):
                return "wait"
        self._asked, self._accepted, self._refused, self._rival = hidden.epoch, False, False, None
        return "claim"

    def _rival_is_dead(self, hidden: HiddenState) -> bool:
        effects = self._effects
        self.problem = "another process claimed the session first"
        if self._rival is None:
            self._rival = hidden, effects.now
        before, since = self._rival
        if hidden != before:
            effects.yield_to("it claimed the session first")
            return False
        return effects.now - since >= _RIVAL_NS
