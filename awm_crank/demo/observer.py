"""The demo's observer: it has its own WebSocket and HTTP connections, and trusts only the accounts on chain.

It stamps every notification on arrival with the monotonic clock. On Linux and macOS all processes of a machine share
that clock, so the crank's t0 can be used unchanged.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from solders.pubkey import Pubkey

from awm_crank.demo.accounting import MatchAccounting
from awm_crank.errors import AccountError, AwmError, CheckpointError
from awm_crank.net.pubsub import AccountChanged, Disconnected, Event, PubSub
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import bolt, frame_records, ids, jsonrpc, layouts, programs
from awm_crank.wire.accounts import ENDED, Checkpoint, HiddenState, SessionState, peek_inputs, peek_session

_NEXT_READY = layouts.INPUT_BUFFER.offset("next_p1_ready")
_POLL_S = 0.05


class MatchWatch:
    """One match as the observer sees it: the accounting, the last session account, and its end."""

    def __init__(self, entity: Pubkey, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.entity = entity
        self.session_key = bolt.component_pda(ids.SESSION_STATE, entity)
        self.hidden_key = bolt.component_pda(ids.HIDDEN_STATE, entity)
        self.inputs_key = bolt.component_pda(ids.INPUT_BUFFER, entity)
        self.accounting = MatchAccounting()
        self.session_data = b""
        self.over = asyncio.Event()
        """set when the session's status is Ended"""
        self._clock = clock
        self._given: dict[int, int] = {}

    def session_changed(self, data: bytes) -> None:
        """Handles a notification of the session's account."""
        at = self._clock()
        status, frame = peek_session(data)
        self.session_data = data
        if frame:
            self.accounting.landed(frame, at)
        if status == ENDED:
            self.over.set()

    def hidden_changed(self, data: bytes) -> None:
        """Handles a notification of the hidden state, which each frame writes and no player does."""
        frame = int.from_bytes(layouts.HIDDEN_STATE.cut(data, "frame"), "little")
        if frame:
            self.accounting.landed(frame, self._clock())

    def inputs_changed(self, data: bytes) -> None:
        """Handles a notification of the input buffer. Inputs are known once either half of the buffer holds them."""
        at = self._clock()
        frame, _, ready1, ready2 = peek_inputs(data)
        self._known(frame, ready1 | ready2 << 1, at)
        self._known(frame + 1, data[_NEXT_READY] | data[_NEXT_READY + 1] << 1, at)

    def _known(self, frame: int, players: int, at: float) -> None:
        if players == 3 and self._given.get(frame) != 3:
            self.accounting.input_notified(frame, at)
        if players:
            self._given[frame] = players
            self._given.pop(frame - 3, None)


def final_state_sha256(session: SessionState, hidden: HiddenState, checkpoint: Checkpoint) -> str:
    """The hash of a match's last frame on chain, as hex (`final_state_sha256` in docs/formats.md).

    Raises:
        CheckpointError: the checkpoint is not finalized, belongs to another frame, or contradicts the other accounts.
    """
    what = f"checkpoint of {session.entity}"
    if not checkpoint.finalized or checkpoint.frame != session.frame:
        raise CheckpointError(what, expected=f"finalized at frame {session.frame}", found=f"frame {checkpoint.frame}")
    if hashlib.sha256(checkpoint.hashed).digest() != hidden.checkpoint_hash:
        raise CheckpointError(what, expected="the hash in the hidden-state header", found="other bytes")
    if (checkpoint.players, checkpoint.feedback) != (session.players, hidden.feedback):
        raise CheckpointError(what, expected="the session's players and feedback", found="others")
    return frame_records.final_state_sha256(
        session.frame, session.players, checkpoint.recurrent, hidden.feedback, checkpoint.extra
    )


class Observer:
    """Watches one match at a time over its own connections. An async context manager."""

    def __init__(self, http_url: str, ws_url: str) -> None:
        self.rpc = RpcClient(http_url)
        self.connection_losses = 0
        self._pubsub = PubSub(ws_url, self._heard, silence_s=10.0)
        self._watch: MatchWatch | None = None

    async def __aenter__(self) -> Self:
        self._pubsub.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pubsub.close()
        await self.rpc.close()

    def _heard(self, event: Event) -> None:
        if isinstance(event, AccountChanged):
            watch = self._watch
            if watch is not None:
                if event.tag is watch.session_key:
                    watch.session_changed(event.data)
                elif event.tag is watch.inputs_key:
                    watch.inputs_changed(event.data)
        elif isinstance(event, Disconnected):
            self.connection_losses += 1

    async def watch(self, entity: Pubkey, timeout_s: float = 10.0) -> MatchWatch:
        """Subscribes to a match's session and inputs; returns when both subscriptions are confirmed.

        Raises:
            AwmError: the endpoint does not confirm in time.
        """
        watch = MatchWatch(entity)
        self._watch = watch
        asked = [self._pubsub.account(str(key), tag=key) for key in (watch.session_key, watch.inputs_key)]
        try:
            async with asyncio.timeout(timeout_s):
                for subscription in asked:
                    await subscription.confirmed.wait()
                    if subscription.error is not None:
                        raise subscription.error
        except TimeoutError:
            raise AwmError(
                f"the observer's subscription at {self._pubsub.url} was not confirmed within {timeout_s:g} s",
                hint="try again when the machine is less busy",
                recoverable=True,
            ) from None
        return watch

    async def accounts(self, keys: list[Pubkey]) -> list[bytes]:
        """The data of several accounts at one slot.

        Raises:
            AccountError: one of them does not exist.
        """
        found: list[bytes] = []
        for key, account in zip(keys, (await self.rpc.ask(jsonrpc.get_multiple_accounts(keys))).value, strict=True):
            if account is None:
                raise AccountError(f"account {key}", expected="there", found="nothing")
            found.append(account.raw)
        return found

    async def final_state(self, entity: Pubkey, timeout_s: float = 30.0) -> str:
        """Waits for the crank's checkpoint at the session's last frame and returns `final_state_sha256`.

        Raises:
            AwmError: the checkpoint did not come in time.
            CheckpointError: what is on chain contradicts itself.
        """
        session_key, hidden_key = (
            bolt.component_pda(program, entity) for program in (ids.SESSION_STATE, ids.HIDDEN_STATE)
        )
        deadline = time.monotonic() + timeout_s
        while True:
            session_data, hidden_data = await self.accounts([session_key, hidden_key])
            session = SessionState.decode(session_data, owner=None, address=session_key)
            hidden = HiddenState.decode(hidden_data, owner=None, address=hidden_key)
            if hidden.initialized and hidden.checkpoint_frame == session.frame:
                break
            if time.monotonic() > deadline:
                raise AwmError(
                    f"the crank left no checkpoint at the last frame of {entity} within {timeout_s:g} s",
                    expected=f"frame {session.frame}",
                    found=f"frame {hidden.checkpoint_frame}" if hidden.initialized else "none",
                    hint="read the crank's log with --keep DIR",
                )
            await asyncio.sleep(_POLL_S)
        key = programs.checkpoint_pda(entity, hidden.checkpoint_side)
        (data,) = await self.accounts([key])
        return final_state_sha256(session, hidden, Checkpoint.decode(data, owner=None, address=key))
