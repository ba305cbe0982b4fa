"""Signs transactions at once, and sends all transactions of one loop turn in one request.

A validator takes several times as many transactions per second in JSON-RPC batches as in single requests. Frames never
wait for other transactions; a checkpoint's chunks wait a few milliseconds, and never share a request with a frame.

The crank learns from the account whether a frame landed, not from the answer. So a request without an answer is
abandoned after `frame_timeout_s`: the machine then reads the accounts, and the connection is free for the next frame.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from solders.pubkey import Pubkey

from ..errors import AwmError, ConfigError, ProgramError, RpcError
from ..net.sender import MAX_BATCH, Sender
from ..session import commands, events
from ..session.events import Refusal
from ..telemetry.stats import Stats
from ..wire import bolt, ids
from ..wire.args import FrameArgs
from ..wire.transaction import Signed, Template, args_range
from .fault_points import FaultPoints
from .session import ServedSession

GATHER_S = 0.008
"""How long chunks that travel between frames wait for those of other sessions. It is half a period; nothing waits for
them."""
_FRAME_COMPUTE_UNITS = 600_000
_TIMEOUT_S = 1.5
"""How long the answer to anything but a frame may take. What then landed is found by reading the accounts."""
_FUNDS = ("insufficient funds", "insufficientfunds", "insufficient lamports", "debit an account", "accountnotfound")

_Frame = tuple[ServedSession, int, Signed]
_Sending = tuple[ServedSession, tuple[commands.Transaction, ...]]


class Outbox:
    """Signs and sends transactions.

    Args:
        sender: the key and the endpoint.
        me: the writer.
        world: the World account whose `apply` is called, as soon as it is known.
        deliver: called with `Sent` for each transaction, never from inside `frame` or `send`.
        spawn: runs a request as a task.
        stats: collects the times of signing and sending.
        fault_points: crash tests' fault points.
        frame_timeout_s: how long the answer to a frame may take.
        paid: called with a session and the number of its transactions that were signed.
    """

    def __init__(
        self,
        sender: Sender,
        me: Pubkey,
        world: Callable[[], Pubkey | None],
        deliver: Callable[[ServedSession, events.Event], object],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        stats: Stats,
        fault_points: FaultPoints,
        *,
        frame_timeout_s: float,
        paid: Callable[[ServedSession, int], None] = lambda _served, _count: None,
    ) -> None:
        self._paid = paid
        self._frame_timeout_s = frame_timeout_s
        self._sender, self._me, self._world = sender, me, world
        self._deliver, self._spawn, self._stats, self._fault_points = deliver, spawn, stats, fault_points
        self._frames: list[_Frame] = []
        self._chunks: list[_Sending] = []

    # -- frames -------------------------------------------------------------------------------------------------------

    def frame(self, served: ServedSession, command: commands.SendFrame) -> None:
        """Signs a frame now, and sends it at the end of this loop turn."""
        args = FrameArgs(
            command.frame,
            command.epoch,
            command.inputs,
            command.sources,
            command.players,
            command.feedback,
            command.extra,
        ).to_binary()
        began = time.perf_counter_ns()
        try:
            fits = served.template is not None and served.world == self._world()
            template = served.template if served.template and fits else self._template(served, args)
            transaction = self._sender.sign_template(template, args)
        except AwmError as error:
            # deliver later: the machine is still handling the event that made this frame
            asyncio.get_running_loop().call_soon(self._deliver, served, events.Sent(command.ticket, refusal(error)))
            return
        self._stats.sign.add(time.perf_counter_ns() - began)
        self._paid(served, 1)
        self._fault_points.at("before-send")
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._flush)
        self._frames.append((served, command.ticket, transaction))

    def _template(self, served: ServedSession, args: bytes) -> Template:
        world = self._world()
        if world is None:
            raise ConfigError("no world known yet", hint="set chain.world, or publish a model, which makes a world")
        instruction = bolt.apply_entity(ids.RUN_INFERENCE, self._me, world, served.entity, ids.SESSION_COMPONENTS, args)
        served.world = world
        served.template = Template(
            [instruction], self._me, patch=args_range(0, len(args)), compute_units=_FRAME_COMPUTE_UNITS
        )
        return served.template

    def _flush(self) -> None:
        frames, self._frames = self._frames, []
        for at in range(0, len(frames), MAX_BATCH):
            self._spawn(self._post_frames(frames[at : at + MAX_BATCH]))

    async def _post_frames(self, frames: list[_Frame]) -> None:
        stats = self._stats
        for _ in frames:
            self._fault_points.soon("in-flight")
        began = time.perf_counter_ns()
        errors: list[AwmError | None]
        try:
            async with asyncio.timeout(self._frame_timeout_s):
                errors = await self._sender.send_all([transaction for _, _, transaction in frames])
        except TimeoutError:
            errors = [_no_answer(self._frame_timeout_s)] * len(frames)
        took = time.perf_counter_ns() - began
        for (served, ticket, _), error in zip(frames, errors, strict=True):
            stats.send.add(took)
            stats.refused_frames += error is not None
            self._fault_points.at("after-send")
            self._deliver(served, events.Sent(ticket, None if error is None else refusal(error)))

    # -- everything else ----------------------------------------------------------------------------------------------

    def send(self, served: ServedSession, transactions: tuple[commands.Transaction, ...]) -> None:
        """Signs these transactions and sends them as one batch. Those without preflight may share it with other
        sessions.
        """
        self._fault_points.at(transactions[0].point)
        if transactions[0].preflight:
            self._spawn(self._post([(served, transactions)]))
            return
        if not self._chunks:
            asyncio.get_running_loop().call_later(GATHER_S, self._gathered)
        self._chunks.append((served, transactions))

    def _gathered(self) -> None:
        sendings, self._chunks = self._chunks, []
        group: list[_Sending] = []
        count = 0
        for sending in sendings:
            if group and count + len(sending[1]) > MAX_BATCH:
                self._spawn(self._post(group))
                group, count = [], 0
            group.append(sending)
            count += len(sending[1])
        if group:
            self._spawn(self._post(group))

    async def _post(self, group: list[_Sending]) -> None:
        asked = [(served, transaction) for served, transactions in group for transaction in transactions]
        outcomes: list[AwmError | None]
        try:
            signed = [self._sender.sign(transaction.instructions) for _, transaction in asked]
            for served, transactions in group:
                self._paid(served, len(transactions))
            async with asyncio.timeout(_TIMEOUT_S):
                outcomes = await self._sender.send_all(signed, skip_preflight=not asked[0][1].preflight)
        except TimeoutError:
            outcomes = [_no_answer(_TIMEOUT_S)] * len(asked)
        except AwmError as error:
            outcomes = [error] * len(asked)
        for _, transactions in group:
            self._fault_points.at(f"{transactions[0].point}-sent")
        for (served, transaction), outcome in zip(asked, outcomes, strict=True):
            answer = None if outcome is None else refusal(outcome)
            self._deliver(served, events.Sent(transaction.ticket, answer))


def _no_answer(seconds: float) -> RpcError:
    return RpcError(f"no answer in {seconds:g} s", recoverable=True)


def refusal(error: AwmError) -> Refusal:
    """Turns an error into the `Refusal` that a machine takes."""
    text = str(error)
    if any(words in text.lower() for words in _FUNDS):
        return Refusal(text, error.code if isinstance(error, ProgramError) else None, "funds")
    if isinstance(error, ProgramError):
        return Refusal(text, error.code)
    return Refusal(text, None, "endpoint")
