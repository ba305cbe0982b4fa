"""Signs and sends transactions: templates are reused, and no two transactions have equal bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from solders.instruction import Instruction

from ..errors import AwmError, RpcError
from ..wire import jsonrpc
from ..wire.transaction import PatchRange, Signed, Signer, Template
from .blockhash import BlockhashKeeper
from .rpc import RpcClient

MAX_BATCH = 24
"""Transactions in one request: validators refuse bodies of more than 50 KiB, and a full transaction takes 1.8 KB."""
DEADLINE_S = 2.0
"""How long the answer to a send may take. What has landed is notified; the answer only says what was refused."""
_SIGNATURE_LAMPORTS = 5_000
"""A transaction with one signature."""
_ATTEMPTS = 100_000
"""Compute limits that tell equal transactions apart; far more than are sent while one blockhash is used."""
_COMPUTE_UNITS = 1_400_000 - _ATTEMPTS

T = TypeVar("T")


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Splits these into groups of at most `MAX_BATCH`, in order: one group for each request."""
    return (items[at : at + MAX_BATCH] for at in range(0, len(items), MAX_BATCH))


class Sender:
    """Signs with one key and sends to one endpoint."""

    def __init__(self, rpc: RpcClient, signer: Signer, blockhash: BlockhashKeeper) -> None:
        self._rpc = rpc
        self._signer = signer
        self._blockhash = blockhash
        self._templates: dict[tuple[object, ...], Template] = {}
        self._count = 0

    def sign(self, instructions: Sequence[Instruction]) -> Signed:
        """Returns a signed transaction with these instructions.

        Raises:
            LayoutError: the transaction is too large.
            RpcError: no blockhash is known yet.
        """
        if len(instructions) != 1:
            template = Template(instructions, self._signer.pubkey, compute_units=_COMPUTE_UNITS)
            return self.sign_template(template)
        # the chunks of a checkpoint differ only in their data
        (instruction,) = instructions
        data = bytes(instruction.data)
        accounts = tuple(meta.pubkey for meta in instruction.accounts)
        key = (instruction.program_id, data[:8], accounts, len(data))
        template_or_none = self._templates.get(key)
        if template_or_none is None:
            if len(self._templates) > 4096:
                self._templates.clear()
            template_or_none = self._templates[key] = Template(
                instructions, self._signer.pubkey, patch=PatchRange(0, 0, len(data)), compute_units=_COMPUTE_UNITS
            )
        return self.sign_template(template_or_none, data)

    def sign_template(self, template: Template, args: bytes | None = None) -> Signed:
        """Signs a template's transaction with these arguments. The template must set a compute limit. Raises as
        `sign`.
        """
        blockhash = self._blockhash.value
        if not blockhash:
            raise RpcError("no blockhash yet", recoverable=True, hint="the endpoint has not answered so far")
        self._count += 1
        return template.sign(blockhash, (self._signer,), args, attempt=self._count % _ATTEMPTS)

    @property
    def fees(self) -> int:
        """The most lamports that the transactions signed so far can have cost: one signature's fee each, if all
        land.
        """
        return _SIGNATURE_LAMPORTS * self._count

    async def send(self, transaction: Signed, *, skip_preflight: bool = False) -> AwmError | None:
        """Sends one transaction. Returns its error, or None if the endpoint accepted it."""
        number = self._rpc.next_id()
        body = jsonrpc.send_transaction(number, transaction, skip_preflight=skip_preflight)
        try:
            answer = await self._rpc.post(body, deadline_s=DEADLINE_S)
            jsonrpc.decode_result(answer, str, "sendTransaction", request_id=number)
        except AwmError as error:
            return self._judge(error)
        return None

    async def send_all(self, transactions: Sequence[Signed], *, skip_preflight: bool = False) -> list[AwmError | None]:
        """Sends several transactions, `MAX_BATCH` to a request, one request after the other. Returns one outcome each,
        in order.
        """
        outcomes: list[AwmError | None] = []
        for batch in batches(transactions):
            outcomes += await self._send_batch(batch, skip_preflight)
        return outcomes

    async def _send_batch(self, transactions: Sequence[Signed], skip_preflight: bool) -> list[AwmError | None]:
        if len(transactions) == 1:
            return [await self.send(transactions[0], skip_preflight=skip_preflight)]
        first = self._rpc.next_id(len(transactions))
        bodies = [
            jsonrpc.send_transaction(first + n, transaction, skip_preflight=skip_preflight)
            for n, transaction in enumerate(transactions)
        ]
        missing: AwmError = RpcError("left unanswered in a batch", recoverable=True)
        outcomes: list[AwmError | None] = [missing] * len(transactions)
        try:
            replies = jsonrpc.decode_batch(await self._rpc.post(jsonrpc.batch(bodies), deadline_s=DEADLINE_S))
        except AwmError as error:
            return [self._judge(error)] * len(transactions)
        for reply in replies:
            if not isinstance(reply.id, int) or not 0 <= reply.id - first < len(transactions):
                continue
            try:
                jsonrpc.result(reply, str, "sendTransaction")
                outcomes[reply.id - first] = None
            except AwmError as error:
                outcomes[reply.id - first] = self._judge(error)
        return outcomes

    def _judge(self, error: AwmError) -> AwmError:
        if "BlockhashNotFound" in str(error):
            self._blockhash.expired()
        return self._rpc.scrubbed(error)
