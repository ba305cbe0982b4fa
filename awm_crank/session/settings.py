"""The settings that a session machine takes from the configuration, and its counters."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field
from solders.pubkey import Pubkey

from .inputs import LatePolicy

MILLISECOND = 1_000_000
Admission = Literal["anyone", "list", "anyone-who-deposits"]
Payer = Literal["nobody", "operator", "deposit", "guest"]
"""Who pays for a match's frames.

`nobody`: a rollup takes no fees. `operator`: the match is in `crank.admitted`. `deposit`: player 1, by the frame.
`guest`: the operator, for anyone, as far as `crank.guest_share_percent` and `crank.guest_frames` allow.
"""


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one session machine. `config/schema.py` documents each of them and holds its default."""

    me: Pubkey
    """The crank's own key: the machine serves sessions that this key may write."""
    adopt: bool
    late_policy: LatePolicy
    frame_period_us: int
    spend_limit_lamports: int
    send_timeout_ms: int
    ring_capacity: int
    min_interval_frames: int
    chunk_bytes: int
    chunks_per_frame: int
    in_rollup: bool
    """Sessions live in a rollup, which is another chain than the model's."""
    admission: Admission = "anyone"
    admitted: frozenset[Pubkey] = frozenset()
    """Players, models and worlds that are always served."""
    worlds: frozenset[int] = frozenset()
    """The numbers of the worlds among `admitted`."""
    guest_frames: int = 0
    """Frames of a guest's match before the crank is asked whether it goes on; 0: it is never asked."""
    frame_price_lamports: int = 0
    max_challenge_s: int = 65_535
    phase: int | None = None
    """Where this session's ticks fall within the clock's periods (ns). None: wherever its first frame happens to."""

    @property
    def send_timeout_ns(self) -> int:
        """`send_timeout_ms` in nanoseconds."""
        return self.send_timeout_ms * MILLISECOND


class Counters(Struct):
    """Counts what happened in one session, for the operator."""

    frames: int = 0
    replayed: int = 0
    filled_inputs: int = 0
    """Inputs that came too late, so that the last one was held or a neutral one was used."""
    timeouts: int = 0
    resyncs: int = 0
    resubscriptions: int = 0
    """Times that notifications were missing, so that the subscriptions were made again."""
    ring_full: int = 0
    checkpoints: int = 0
    checkpoint_failures: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
