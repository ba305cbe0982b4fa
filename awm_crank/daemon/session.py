"""One session that the crank serves: its machine, the addresses of its accounts, and what the daemon keeps for it."""

from __future__ import annotations

from solders.pubkey import Pubkey

from .. import config
from ..net.pubsub import Subscription
from ..session.events import Role
from ..session.machine import SessionMachine
from ..session.settings import Settings
from ..telemetry import logs
from ..wire import bolt, deposits, ids, programs
from ..wire.transaction import Template


class ServedSession:
    """A session's machine and the addresses of its accounts."""

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
            "deposit": deposits.deposit_pda(entity),
            "entity": entity,
        }
        self.name = str(session)
        self.log = logs.get().bind(session=self.name, entity=str(entity))
        self.template: Template | None = None
        """The template of its run-inference transaction, once one was sent."""
        self.world: Pubkey | None = None
        """The world that the template names."""
        self.subscriptions: list[Subscription] = []
        self.hidden = b""
        """Its hidden state as it was last notified."""
        self.rent_refused = False
        """The last wish to spend rent on it was refused."""
        self.gone = False
        """The session was released: its machine gets no further events."""
        self.wake: int | None = None
        """When its machine wants to be woken (ns, monotonic)."""


def machine_settings(settings: config.Config, me: Pubkey) -> Settings:
    """Makes the settings of a session machine from the configuration, for a single chain. `me` is the crank's
    own key.
    """
    crank, checkpoints = settings.crank, settings.checkpoints
    return Settings(
        me=me,
        adopt=crank.adopt_unbound_sessions,
        late_policy=crank.late_policy,
        frame_period_us=crank.frame_period_us,
        spend_limit_lamports=crank.spend_limit_lamports,
        send_timeout_ms=crank.send_timeout_ms,
        ring_capacity=checkpoints.ring_capacity,
        min_interval_frames=checkpoints.min_interval_frames,
        chunk_bytes=checkpoints.chunk_bytes,
        chunks_per_frame=checkpoints.chunks_per_frame,
        in_rollup=False,
        admission=crank.admission,
        admitted=frozenset(Pubkey.from_string(each) for each in crank.admitted),
        frame_price_lamports=crank.frame_price_lamports,
        guest_frames=crank.guest_frames,
        max_challenge_s=crank.max_challenge_s,
    )
