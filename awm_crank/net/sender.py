"""Signs and sends: blockhash kept fresh in the background, templates reused, no two transactions with equal bytes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

from solders.instruction import Instruction

from ..errors import AwmError, RpcError
from ..wire import jsonrpc
from ..wire.transaction import Signed, Signer, Slot, Template
from .rpc import RpcClient

REFRESH_S = 0.5
"""Blockhashes live for a minute at least, but only 150 slots where slots are short."""
MAX_BATCH = 24
"""Transactions in one request: validators refuse bodies of more than 50 KiB, and a full transaction takes 1.8 KB."""
_ATTEMPTS = 100_000
"""Compute limits that tell equal transactions apart; far more than are sent while one blockhash is used."""
_COMPUTE_UNITS = 1_400_000 - _ATTEMPTS


class Blockhash:
    """The latest blockhash of an endpoint (32 bytes in `value`, empty before the first)."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self.value = b""
        self.known = asyncio.Event()
        self._fetched_at = -math.inf
        self._hurry = asyncio.Event()

    def expired(self) -> None:
        """The endpoint does not know it any more: fetch another one now, unless that has just been done."""
        if time.monotonic() - self._fetched_at > 0.05:
            self._hurry.set()

    def age_s(self) -> float:
        """Seconds since it was fetched; infinite before the first."""
        return time.monotonic() - self._fetched_at

    async def refresh(self) -> None:
        """Fetches it. Raises RpcError."""
        answer = await self._rpc.post(jsonrpc.get_latest_blockhash(1))
        self.value = jsonrpc.decode_result(answer, jsonrpc.BlockhashResult, "getLatestBlockhash").value.raw
        self._fetched_at = time.monotonic()
        self.known.set()

    async def keep_fresh(self) -> None:
        """Fetches it again and again; ends with its task."""
        while True:
            try:
                await self.refresh()
                pause = REFRESH_S
            except RpcError:
                # what is sent meanwhile with the old one is refused and tried again
                pause = 0.2
            self._hurry.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            except TimeoutError:
                continue


class Sender:
    """Signs with one key and sends to one endpoint."""

    def __init__(self, rpc: RpcClient, signer: Signer, blockhash: Blockhash) -> None:
        self._rpc = rpc
        self._signer = signer
        self._blockhash = blockhash
        self._templates: dict[tuple[object, ...], Template] = {}
        self._count = 0

    def sign(self, instructions: Sequence[Instruction]) -> Signed:
        """A transaction of these. Raises LayoutError when it is too large, RpcError while no blockhash is known."""
        if len(instructions) != 1:
            template = Template(instructions, self._signer.pubkey, compute_units=_COMPUTE_UNITS)
            return self.sign_template(template)
        # chunks differ in their data alone
        (instruction,) = instructions
        data = bytes(instruction.data)
        accounts = tuple(meta.pubkey for meta in instruction.accounts)
        key = (instruction.program_id, data[:8], accounts, len(data))
        template_or_none = self._templates.get(key)
        if template_or_none is None:
            if len(self._templates) > 4096:
                self._templates.clear()
            template_or_none = self._templates[key] = Template(
                instructions, self._signer.pubkey, slot=Slot(0, 0, len(data)), compute_units=_COMPUTE_UNITS
            )
        return self.sign_template(template_or_none, data)

    def sign_template(self, template: Template, args: bytes | None = None) -> Signed:
        """A template's transaction with these args; the template must set a compute limit. Raises as `sign`."""
        blockhash = self._blockhash.value
        if not blockhash:
            raise RpcError("no blockhash yet", recoverable=True, hint="the endpoint has not answered so far")
        self._count += 1
        return template.sign(blockhash, (self._signer,), args, attempt=self._count % _ATTEMPTS)

    async def send(self, transaction: Signed, *, skip_preflight: bool = False) -> AwmError | None:
        """Sends one; returns what went wrong, None when the endpoint accepted it."""
        try:
            answer = await self._rpc.post(jsonrpc.send_transaction(1, transaction, skip_preflight=skip_preflight))
            jsonrpc.decode_result(answer, str, "sendTransaction")
        except AwmError as error:
            return self._judge(error)
        return None

    async def send_all(self, transactions: Sequence[Signed], *, skip_preflight: bool = False) -> list[AwmError | None]:
        """Sends several, MAX_BATCH to a request, one request after the other; one outcome for each, in order."""
        outcomes: list[AwmError | None] = []
        for at in range(0, len(transactions), MAX_BATCH):
            outcomes += await self._send_batch(transactions[at : at + MAX_BATCH], skip_preflight)
        return outcomes

    async def _send_batch(self, transactions: Sequence[Signed], skip_preflight: bool) -> list[AwmError | None]:
        if len(transactions) == 1:
            return [await self.send(transactions[0], skip_preflight=skip_preflight)]
        bodies = [
            jsonrpc.send_transaction(n, transaction, skip_preflight=skip_preflight)
            for n, transaction in enumerate(transactions)
        ]
        missing: AwmError = RpcError("left unanswered in a batch", recoverable=True)
        outcomes: list[AwmError | None] = [missing] * len(transactions)
        try:
            replies = jsonrpc.decode_batch(await self._rpc.post(jsonrpc.batch(bodies)))
        except AwmError as error:
            return [self._judge(error)] * len(transactions)
        for reply in replies:
            if not isinstance(reply.id, int) or not 0 <= reply.id < len(transactions):
                continue
            try:
                jsonrpc.result(reply, str, "sendTransaction")
                outcomes[reply.id] = None
            except AwmError as error:
                outcomes[reply.id] = self._judge(error)
        return outcomes

    def _judge(self, error: AwmError) -> AwmError:
        if "BlockhashNotFound" in str(error):
            self._blockhash.expired()
        return error
