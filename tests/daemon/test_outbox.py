"""Transactions of one loop turn leave in one request, and frames never share one with chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daemon.fakes import Hands, session
from solders.pubkey import Pubkey

from awm_crank.daemon.fault_points import FaultPoints
from awm_crank.daemon.outbox import GATHER_S, Outbox
from awm_crank.daemon.session import ServedSession
from awm_crank.errors import AwmError, ProgramError, RpcError
from awm_crank.session import commands, events
from awm_crank.telemetry.stats import Stats
from awm_crank.wire import programs

ME = Pubkey.new_unique()


class FakeSender:
    """Does not sign, and refuses the transactions that the test names."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.skipped: list[bool] = []
        """Which requests were sent without preflight."""
        self.outcomes: dict[int, AwmError] = {}
        self.unsigned: AwmError | None = None
        self._signed = 0

    def sign(self, _: Any) -> Any:
        """Returns a number in place of a transaction."""
        if self.unsigned:
            raise self.unsigned
        self._signed += 1
        return self._signed

    def sign_template(self, template: Any, _: bytes) -> Any:
        """Returns a number, like `sign`."""
        return self.sign(template)

    async def send_all(self, transactions: Sequence[int], *, skip_preflight: bool = False) -> list[AwmError | None]:
        """Notes one request."""
        self.requests.append(len(transactions))
        self.skipped.append(skip_preflight)
        return [self.outcomes.get(each) for each in transactions]


def make(world: Pubkey | None = ME) -> tuple[Outbox, FakeSender, Hands, Stats]:
    """An outbox, and the fakes around it."""
    sender, hands, stats = FakeSender(), Hands(), Stats()
    outbox = Outbox(sender, ME, lambda: world, hands.deliver, hands.spawn, stats, FaultPoints(""), frame_timeout_s=0.4)  # type: ignore[arg-type]
    return outbox, sender, hands, stats


def frame(ticket: int) -> commands.SendFrame:
    """A frame's transaction."""
    return commands.SendFrame(ticket, 1, 1, bytes(16), bytes(2), bytes(64), bytes(16))


def chunk(served: ServedSession, ticket: int, *, preflight: bool = False) -> commands.Transaction:
    """A chunk of a checkpoint. Without preflight it shares requests with other chunks."""
    instruction = programs.checkpoint_write(ME, served.entity, 0, 0, b"x")
    return commands.Transaction(ticket, "checkpoint-chunk", (instruction,), preflight)


async def test_frames_together() -> None:
    """Frames of one turn leave in one request, and each gets its own answer.

    The next turn's frames leave in the next one.
    """
    outbox, sender, hands, stats = make()
    sender.outcomes[2] = ProgramError("no", code=6001)
    one, two = session(), session()
    outbox.frame(one, frame(1))
    outbox.frame(two, frame(2))
    assert not sender.requests
    await hands.settle()
    assert sender.requests == [2]
    answers = dict(hands.events)
    assert answers[one] == events.Sent(1, None)
    refusal = answers[two]
    assert isinstance(refusal, events.Sent)
    assert refusal.refusal is not None
    assert refusal.refusal.code == 6001
    assert (stats.refused_frames, stats.send.count, stats.sign.count) == (1, 2, 2)
    outbox.frame(one, frame(3))
    await hands.settle()
    assert sender.requests == [2, 1]


async def test_frame_that_cannot_be_signed() -> None:
    """Without a world or a blockhash, the machine gets an answer, but not from inside its own event."""
    for world, unsigned in ((None, None), (ME, RpcError("no blockhash yet"))):
        outbox, sender, hands, _ = make(world)
        sender.unsigned = unsigned
        served = session()
        outbox.frame(served, frame(1))
        assert not hands.events
        await hands.settle()
        ((_, event),) = hands.events
        assert isinstance(event, events.Sent)
        assert event.refusal is not None
        assert not sender.requests


async def test_chunks_gather() -> None:
    """Chunks of several sessions gather for a few milliseconds into one request; frames never wait for them."""
    outbox, sender, hands, _ = make()
    one, two = session(), session()
    outbox.send(one, (chunk(one, 1),))
    outbox.send(two, (chunk(two, 2), chunk(two, 3)))
    outbox.frame(one, frame(4))
    await hands.settle()
    assert sender.requests == [1]
    await hands.settle(GATHER_S * 3)
    assert sender.requests == [1, 3]
    assert sender.skipped == [False, True]
    assert [event.ticket for _, event in hands.events if isinstance(event, events.Sent)] == [4, 1, 2, 3]


async def test_chunks_fill_requests() -> None:
    """More chunks than a request holds leave in several requests, and one session's chunks stay together."""
    outbox, sender, hands, _ = make()
    for _ in range(3):
        served = session()
        outbox.send(served, tuple(chunk(served, n) for n in range(10)))
    await hands.settle(GATHER_S * 3)
    assert sender.requests == [20, 10]


async def test_others_at_once() -> None:
    """Every other transaction leaves at once. If it cannot be signed, each transaction still gets an answer."""
    outbox, sender, hands, _ = make()
    served = session()
    outbox.send(served, (chunk(served, 1, preflight=True), chunk(served, 2, preflight=True)))
    await hands.settle()
    assert sender.requests == [2]
    assert sender.skipped == [False]
    sender.unsigned = RpcError("no blockhash yet")
    outbox.send(served, (chunk(served, 3, preflight=True),))
    await hands.settle()
    event = hands.events[-1][1]
    assert isinstance(event, events.Sent)
    assert event.refusal is not None
    assert event.refusal.text == "no blockhash yet"
