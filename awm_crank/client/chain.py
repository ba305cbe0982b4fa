"""The commands' access to a chain, with solana-py: reads accounts, and sends transactions until they are confirmed or
refused.

A request that gets no answer, or an answer that says "not now", is sent again (see `patience`). A transaction's
signature is known before it is sent. So if the answer gets lost, the chain can be asked whether the transaction landed.
It is signed again only if it did not land and cannot land any more.

Requests go through solana-py's `send_rpc_request`, whose answers stay plain JSON: the typed methods hand errors to
solders' parsers, which end in PanicException (no `Exception`) on several codes that validators give
(reference/libraries.md).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import msgspec
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Commitment
from solana.rpc.jsonrpc import JsonRpcRequest, SolanaJsonRpcError
from solders.hash import Hash, ParseHashError
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from tenacity import AsyncRetrying

from ..endpoint import Endpoint
from ..errors import AccountError, AwmError, RpcError
from ..wire.failures import error_in_words, transaction_error
from ..wire.interface import check_world_logs
from ..wire.jsonrpc import MAX_ACCOUNTS
from . import patience
from .patience import PATIENCE_S, BusyError

PREFLIGHT_FAILURE = -32002
_REBROADCAST_S = 2.0
T = TypeVar("T")
_ARRIVAL_S = 2.0
"""How long a transaction whose answer was lost may take to show up before a refusal of its copy is believed."""
_LANDED = ("processed", "confirmed", "finalized")


class ChainAccount(msgspec.Struct, frozen=True):
    """An account as an endpoint gave it."""

    key: Pubkey
    owner: Pubkey
    lamports: int
    data: bytes


class Status(NamedTuple):
    """How far a transaction is: what refused it (None for nothing), and its place in the order of commitments."""

    refused: Any
    landed: int


class Chain:
    """One RPC endpoint, for set-up, tools and tests. An async context manager.

    Args:
        url: its HTTP address. The attribute `url` is the part without secrets, for display; `endpoint` is the whole.
        commitment: of every read, and how far a sent transaction must be before `send` returns.
        timeout_s: for one request.
        patience_s: for one call or transaction, all tries together.
    """

    def __init__(
        self,
        url: str | Endpoint,
        *,
        commitment: str = "confirmed",
        timeout_s: float = 15.0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.endpoint = Endpoint.parse(url)
        self.url = str(self.endpoint)
        self.commitment = commitment
        self._patience_s = patience_s
        self._answered = False
        # solana-py would send a request again by itself, a transaction too, and hide that the first answer was lost
        self._client = AsyncClient(
            self.endpoint.reveal(),
            commitment=Commitment(commitment),
            timeout=timeout_s,
            http2=False,
            max_transport_retries=0,
        )

    async def __aenter__(self) -> Chain:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def call(self, method: str, *params: Any) -> Any:
        """Returns the `result` of one JSON-RPC call. The call is repeated while its error may pass.

        Raises:
            RpcError: no answer, no JSON-RPC, or an error; `code` and `data` as the endpoint gave them.
        """
        async for attempt in self._asking():
            with attempt:
                return await self._ask(method, *params)
        raise AssertionError("unreachable: the last try raises")

    async def read(self, kind: Callable[[Any], T], method: str, *params: Any) -> T:
        """`call`, with its result read by `kind`. Raises RpcError where the result has another shape too."""
        result = await self.call(method, *params)
        try:
            return kind(result)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, ParseHashError):
            raise RpcError(
                f"{self.url}: the result of {method}", expected="what Solana's RPC gives",
                found=self.endpoint.scrub(repr(result)[:80]), hint="check that the URL is that of a Solana endpoint",
            ) from None  # fmt: skip

    async def _ask(self, method: str, *params: Any) -> Any:
        """Makes one try. Raises BusyError if another try may succeed, else RpcError."""
        try:
            result = await self._client.send_rpc_request(JsonRpcRequest(method=method, params=list(params)), Any)
        except SolanaJsonRpcError as error:
            self._answered = True
            text = f"{method}: {self.endpoint.scrub(error.message)}"
            if patience.busy_code(error.code):
                raise BusyError(text, code=error.code, data=error.data, acted=False) from None
            raise RpcError(text, code=error.code, data=error.data) from None
        except SolanaRpcException as error:
            raise patience.no_answer(self.url, error.__cause__ or error) from None
        except ValueError:
            # pydantic's ValidationError is one, and so is what the JSON parser raises
            text = f"{self.url} gave no JSON-RPC answer to {method}"
            raise BusyError(text, acted=True, reached=False, hint="check the URL") from None
        self._answered = True
        return result

    def _asking(self) -> AsyncRetrying:
        return patience.asking(self._patience_s, known=lambda: self._answered)

    async def account(self, key: Pubkey) -> ChainAccount | None:
        """An account, or None if it does not exist."""
        return (await self.accounts([key]))[0]

    async def need(self, key: Pubkey, what: str) -> ChainAccount:
        """Returns an account that must exist.

        Args:
            what: what it is, for the error.

        Raises:
            AccountError: it does not exist.
        """
        account = await self.account(key)
        if account is None:
            raise AccountError(f"{what} {key} is not on {self.url}", hint="check the address and --rpc")
        return account

    async def accounts(self, keys: Sequence[Pubkey]) -> list[ChainAccount | None]:
        """Accounts in the order asked for; up to 100 of them are read at one slot."""
        found: list[ChainAccount | None] = []
        for at in range(0, len(keys), MAX_ACCOUNTS):
            part = keys[at : at + MAX_ACCOUNTS]
            options = {"encoding": "base64", "commitment": self.commitment}
            found += await self.read(
                partial(_accounts, part), "getMultipleAccounts", [str(key) for key in part], options
            )
            # a rollup shows an account that is nowhere, once asked for, as an empty one
            found = [each if each is not None and (each.lamports or each.data) else None for each in found]
        return found

    async def program_accounts(
        self, program: Pubkey, filters: Sequence[dict[str, Any]] = (), *, cut: tuple[int, int]
    ) -> list[ChainAccount]:
        """A program's accounts that pass the filters (`{"memcmp": …}`, `{"dataSize": n}`).

        Args:
            cut: offset and length of the part of their data to return.
        """
        options: dict[str, Any] = {
            "encoding": "base64", "commitment": self.commitment, "filters": list(filters),
            "dataSlice": {"offset": cut[0], "length": cut[1]},
        }  # fmt: skip
        return await self.read(_keyed_accounts, "getProgramAccounts", str(program), options)

    async def balance(self, key: Pubkey) -> int:
        """Lamports of an account; 0 if it does not exist."""
        options = {"commitment": self.commitment}
        return await self.read(lambda result: int(result["value"]), "getBalance", str(key), options)

    async def rent(self, size: int) -> int:
        """Lamports that exempt an account of `size` bytes from rent."""
        return await self.read(int, "getMinimumBalanceForRentExemption", size)

    async def airdrop(self, key: Pubkey, lamports: int) -> None:
        """Asks a test chain for lamports and waits until they are there."""
        signature = await self.call("requestAirdrop", str(key), lamports)
        await self._confirm(str(signature), b"", None)

    async def blockhash(self) -> tuple[Hash, int]:
        """The latest blockhash, and the last block height at which it is valid."""
        return await self.read(_blockhash, "getLatestBlockhash", {"commitment": self.commitment})

    async def send(self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair) -> str:
        """Signs, sends and confirms one transaction. Returns its signature.

        Args:
            payer: pays and signs first.
            signers: further signers; the payer may be one of them.

        Raises:
            ProgramError: a program refused it; names program, instruction and error.
            RpcError: it did not land in time, or the endpoint refused it.
        """
        async for attempt in patience.signing(self._patience_s):
            with attempt:
                transaction, last_height = await self._signed(instructions, payer, *signers)
                raw, signature = bytes(transaction), str(transaction.signatures[0])
                await self._broadcast(raw, signature)
                await self._confirm(signature, raw, last_height)
                return signature
        raise AssertionError("unreachable: the last try raises")

    async def _signed(
        self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair
    ) -> tuple[VersionedTransaction, int]:
        """Signs a transaction with the latest blockhash. Also returns the last block height at which it is valid."""
        blockhash, last_height = await self.blockhash()
        message = Message.new_with_blockhash(list(instructions), payer.pubkey(), blockhash)
        by_key = {each.pubkey(): each for each in (payer, *signers)}
        needed = message.account_keys[: message.header.num_required_signatures]
        return VersionedTransaction(message, [by_key[key] for key in needed]), last_height

    async def simulate(self, instructions: Sequence[Instruction], payer: Keypair) -> None:
        """Simulates a transaction on the endpoint, without changing anything. Raises the same errors as `send`."""
        transaction, _ = await self._signed(instructions, payer)
        options = {"encoding": "base64", "commitment": self.commitment}
        raw = base64.b64encode(bytes(transaction)).decode()
        refused, logs = await self.read(_simulated, "simulateTransaction", raw, options)
        if refused is not None:
            raise _refusal(refused, logs)

    async def _broadcast(self, raw: bytes, signature: str) -> None:
        """Passes a transaction to the endpoint, and returns as soon as it may land. Raises an error if the endpoint
        refuses it.
        """
        acted = False
        async for attempt in self._asking():
            with attempt:
                try:
                    await self._send_raw(raw)
                except BusyError as error:
                    acted = acted or error.acted
                    if acted:
                        error.hint = f"look for transaction {signature}, which may have landed, and run this again"
                        if await self._status(signature) is not None:
                            return
                    raise
                except AwmError as error:
                    refused = error.data if isinstance(error, RpcError) else None
                    # the first copy has landed; or it may be on its way still, and will land or expire
                    if refused == "AlreadyProcessed" or (acted and refused == "BlockhashNotFound"):
                        return
                    # the refusal may concern a copy: a program can refuse the copy because the first one has already
                    # run
                    if not (acted and await self._arrives(signature)):
                        raise
                return

    async def _send_raw(self, raw: bytes, *, preflight: bool = True) -> None:
        options = {"encoding": "base64", "preflightCommitment": self.commitment, "skipPreflight": not preflight}
        try:
            await self._ask("sendTransaction", base64.b64encode(raw).decode(), options)
        except BusyError:
            raise
        except RpcError as error:
            if error.code == PREFLIGHT_FAILURE and isinstance(error.data, dict) and error.data.get("err"):
                raise _refusal(error.data["err"], error.data.get("logs") or []) from None
            in_words = error_in_words(str(error))
            if in_words is not None:
                raise in_words from None
            raise

    async def statuses(self, signatures: Sequence[str]) -> list[Status | None]:
        """How far each transaction is; None where the endpoint does not know it."""
        return await self.read(partial(_statuses, len(signatures)), "getSignatureStatuses", list(signatures))

    async def _status(self, signature: str) -> Status | None:
        return (await self.statuses([signature]))[0]

    async def _arrives(self, signature: str) -> bool:
        deadline = time.monotonic() + _ARRIVAL_S
        while await self._status(signature) is None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _confirm(self, signature: str, raw: bytes, last_height: int | None) -> None:
        # the first waits are short, for a localnet; later ones are longer, for a cluster
        wait, since_broadcast, total = 0.01, 0.0, 0.0
        expired = False
        while True:
            status = await self._status(signature)
            if status is not None:
                if status.refused is not None:
                    raise _refusal(status.refused, await self._logs(signature))
                if status.landed >= _LANDED.index(self.commitment):
                    return
            elif expired:
                raise RpcError(
                    f"transaction {signature} did not land before its blockhash expired",
                    hint="run the command again", recoverable=True,
                )  # fmt: skip
            elif total > 1 and last_height is not None:
                height = await self.read(int, "getBlockHeight", {"commitment": self.commitment})
                # it may have landed in the last block that takes it, after its status was read
                expired = height > last_height
            elif total > 60:
                raise RpcError(f"transaction {signature} did not land in 60 s", recoverable=True)
            if raw and status is None and not expired and since_broadcast >= _REBROADCAST_S:
                # that this copy is refused proves nothing; the status of the transaction decides
                with contextlib.suppress(AwmError):
                    # without preflight, which would refuse a transaction that has landed in the meantime
                    await self._send_raw(raw, preflight=False)
                since_broadcast = 0.0
            await asyncio.sleep(wait)
            total += wait
            since_broadcast += wait
            wait = min(wait * 1.5, 0.5)

    async def _logs(self, signature: str) -> list[str]:
        try:
            options = {"commitment": self.commitment, "maxSupportedTransactionVersion": 0}
            return await self.read(_logs_of, "getTransaction", signature, options)
        except RpcError:
            # the refusal itself is known; its logs only add which program said so
            return []


def _refusal(err: Any, logs: Sequence[str]) -> AwmError:
    if err in ("AccountNotFound", "InsufficientFundsForFee"):
        return RpcError("the payer has no lamports for the fee", hint="fund it, or name another --keypair")
    check_world_logs(logs)
    return transaction_error(err, logs)


def _account(key: Pubkey, value: dict[str, Any]) -> ChainAccount:
    data = base64.b64decode(value["data"][0])
    return ChainAccount(key, Pubkey.from_string(value["owner"]), int(value["lamports"]), data)


def _accounts(keys: Sequence[Pubkey], result: Any) -> list[ChainAccount | None]:
    return [_account(key, value) if value else None for key, value in zip(keys, result["value"], strict=True)]


def _keyed_accounts(result: Any) -> list[ChainAccount]:
    return [_account(Pubkey.from_string(item["pubkey"]), item["account"]) for item in result]


def _blockhash(result: Any) -> tuple[Hash, int]:
    value = result["value"]
    return Hash.from_string(value["blockhash"]), int(value["lastValidBlockHeight"])


def _texts(value: Any) -> list[str]:
    return [line for line in value or () if isinstance(line, str)]


def _simulated(result: Any) -> tuple[Any, list[str]]:
    return result["value"]["err"], _texts(result["value"].get("logs"))


def _logs_of(result: Any) -> list[str]:
    return _texts(((result or {}).get("meta") or {}).get("logMessages"))


def _statuses(count: int, result: Any) -> list[Status | None]:
    return [
        None if each is None else Status(each["err"], _LANDED.index(each.get("confirmationStatus") or "processed"))
        for each, _ in zip(result["value"], range(count), strict=True)
    ]
