"""Subscribes to the accounts of a served session, except its hidden state, which `discovery.py` watches."""

from __future__ import annotations

from solders.pubkey import Pubkey

from ..config import LatePolicy
from ..net.pubsub import PubSub, Subscription
from ..session import commands
from ..session.events import Role
from ..wire import filters, ids
from .session import ServedSession


class Watcher:
    """Makes and ends sessions' subscriptions. A subscription's tag is the session and the account's role.

    Args:
        pubsub: the sessions' WebSocket.
        late_policy: `crank.late_policy`. With `wait`, only complete inputs are reported.
    """

    def __init__(self, pubsub: PubSub, late_policy: LatePolicy) -> None:
        self._pubsub, self._late_policy = pubsub, late_policy

    def watch(self, served: ServedSession, command: commands.Watch) -> None:
        """Carries out a machine's `Watch`."""
        if served.subscriptions and not command.every_change and not command.distrust:
            session, *others = served.subscriptions
            self._pubsub.unsubscribe(session)
            served.subscriptions = others
            return
        self.unsubscribe(served)
        served.subscriptions = [
            *([self._account(served, "session")] if command.every_change else []),
            self._program(served, "session", ids.SESSION_STATE, filters.ended(served.entity)),
            # with `wait`, an input buffer with only one player's input, or just emptied by a frame, is of no use
            self._program(served, "inputs", ids.INPUT_BUFFER, filters.both_inputs(served.entity))
            if self._late_policy == "wait"
            else self._account(served, "inputs"),
        ]

    def unsubscribe(self, served: ServedSession) -> None:
        """Ends all subscriptions of a session."""
        for subscription in served.subscriptions:
            self._pubsub.unsubscribe(subscription)

    def _account(self, served: ServedSession, role: Role) -> Subscription:
        return self._pubsub.account(str(served.keys[role]), tag=(served, role))

    def _program(self, served: ServedSession, role: Role, program: Pubkey, wanted: filters.Filters) -> Subscription:
        return self._pubsub.program(str(program), filters=wanted, tag=(served, role))
