"""One session being served: its machine, its accounts, and what carries its commands out."""

from __future__ import annotations

from solders.pubkey import Pubkey

from ..net.pubsub import Subscription
from ..session.desk import Settings
from ..session.events import Role
from ..session.machine import SessionMachine
from ..telemetry import logs
from ..wire import bolt, ids, programs
from ..wire.transaction import Template


class Served:
    """A session's machine and the keys of its accounts."""

    def __init__(self, entity: Pubkey, settings: Settings) -> None:
        self.entity = entity
        self.phase = settings.phase
        self.machine = SessionMachine(entity, settings)
        session, hidden, inputs, log = (bolt.component_pda(program, entity) for program in ids.SESSION_COMPONENTS)
        self.keys: dict[Role, Pubkey] = {
            "session": session,
            "hidden": hidden,
            "inputs": inputs,
            "log": log,
            "checkpoint_a": programs.checkpoint_pda(entity, 0),
            "checkpoint_b": programs.checkpoint_pda(entity, 1),
        }
        self.name = str(session)
        self.log = logs.get().bind(session=self.name, entity=str(entity))
        self.template: Template | None = None
        """of its run-inference transaction, once there was one"""
        self.subscriptions: list[Subscription] = []
        self.gone = False
        """let go; nothing reaches its machine any more"""
        self.wake: int | None = None
        """when its machine wants to be woken"""
