"""The cold path to a chain, over solana-py: reads, and transactions that are sent and confirmed, or refused by name.

Requests go through solana-py's `send_rpc_request`, whose answers stay plain JSON: the typed methods hand errors to
solders' parsers, which end in PanicException (no `Exception`) on several codes that validators give
(reference/libraries.md).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import msgspec
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Commitment
from solana.rpc.jsonrpc import JsonRpcRequest, SolanaJsonRpcError
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ..errors import AccountError, AwmError, ProgramError, RpcError
from ..wire.failures import error_in_words, transaction_error
from ..wire.interface import check_world_logs
from ..wire.jsonrpc import MAX_ACCOUNTS

PREFLIGHT_FAILURE = -32002
_REBROADCAST_S = 2.0
_TRIES = 10
_PAUSE_S = 0.05
"""Between tries of what a program could not do just then; longer than a slot of those chains that do so."""


class ChainAccount(msgspec.Struct, frozen=True):
    """An account as an endpoint gave it."""

    key: Pubkey
    owner: Pubkey
    lamports: int
    data: bytes


class Chain:
    """One RPC endpoint, for set-up, tools and tests. An async context manager.

    Args:
        url: its HTTP address.
        commitment: of every read, and how far a sent transaction must be before `send` returns.
        timeout_s: for one request.
    """

    def __init__(self, url: str, *, commitment: str = "confirmed", timeout_s: float = 30.0) -> None:
        self.url = url
        self.commitment = commitment
        self._client = AsyncClient(url, commitment=Commitment(commitment), timeout=timeout_s, http2=False)

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
        """One JSON-RPC call's `result`.

        Raises:
            RpcError: no answer, no JSON-RPC, or an error; `code` and `data` as the endpoint gave them.
        """
        try:
            return await self._client.send_rpc_request(JsonRpcRequest(method=method, params=list(params)), Any)
        except SolanaJsonRpcError as error:
            raise RpcError(f"{method}: {error.message}", code=error.code, data=error.data) from None
        except SolanaRpcException as error:
            cause = error.__cause__ or error
            raise RpcError(
                f"cannot reach {self.url}: {cause or type(cause).__name__}", hint="check the URL", recoverable=True
            ) from None
        except ValueError:
            # pydantic's ValidationError is one, and so is what no JSON ends in
            raise RpcError(f"{self.url} gave no JSON-RPC answer to {method}", hint="check the URL") from None

    async def account(self, key: Pubkey) -> ChainAccount | None:
        """An account, or None where there is none."""
        return (await self.accounts([key]))[0]

    async def need(self, key: Pubkey, what: str) -> ChainAccount:
        """An account that must be there.

        Args:
            what: what it is, for the error.

        Raises:
            AccountError: there is none.
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
            result = await self.call("getMultipleAccounts", [str(key) for key in part], options)
            found += [_account(key, value) if value else None for key, value in zip(part, result["value"], strict=True)]
            # a rollup shows an account that is nowhere, once asked for, as an empty one
            found = [each if each is not None and (each.lamports or each.data) else None for each in found]
        return found

    async def program_accounts(
        self, program: Pubkey, filters: Sequence[dict[str, Any]] = (), *, cut: tuple[int, int]
    ) -> list[ChainAccount]:
        """A program's accounts that pass the filters (`{"memcmp": …}`, `{"dataSize": n}`).

        Args:
            cut: offset and length of what is wanted of their data.
        """
        options: dict[str, Any] = {
            "encoding": "base64", "commitment": self.commitment, "filters": list(filters),
            "dataSlice": {"offset": cut[0], "length": cut[1]},
        }  # fmt: skip
        result = await self.call("getProgramAccounts", str(program), options)
        return [_account(Pubkey.from_string(item["pubkey"]), item["account"]) for item in result]

    async def balance(self, key: Pubkey) -> int:
        """Lamports of an account; 0 where there is none."""
        result = await self.call("getBalance", str(key), {"commitment": self.commitment})
        return int(result["value"])

    async def rent(self, size: int) -> int:
        """Lamports that exempt an account of `size` bytes from rent."""
        return int(await self.call("getMinimumBalanceForRentExemption", size))

    async def airdrop(self, key: Pubkey, lamports: int) -> None:
        """Asks a test chain for lamports and waits until they are there."""
        signature = await self.call("requestAirdrop", str(key), lamports)
        await self._confirm(str(signature), b"", None)

    async def blockhash(self) -> tuple[Hash, int]:
        """The latest blockhash and the last block height at which it counts."""
        value = (await self.call("getLatestBlockhash", {"commitment": self.commitment}))["value"]
        return Hash.from_string(value["blockhash"]), int(value["lastValidBlockHeight"])

    async def send(self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair) -> str:
        """Signs, sends and confirms one transaction; its signature.

        Args:
            payer: pays and signs first.
            signers: further signers; the payer may stand among them.

        Raises:
            ProgramError: a program refused it; names program, instruction and error.
            RpcError: it did not land in time, or the endpoint refused it.
        """
        for left in reversed(range(_TRIES)):
            try:
                return await self._send(instructions, payer, *signers)
            except ProgramError as error:
                # what was refused has changed nothing, so there is nothing to be done twice
                if not error.recoverable or not left:
                    raise
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError

    async def _send(self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair) -> str:
        raw, last_height = await self._signed(instructions, payer, *signers)
        signature = await self._broadcast(raw)
        await self._confirm(signature, raw, last_height)
        return signature

    async def _signed(
        self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair
    ) -> tuple[bytes, int]:
        """A transaction on the latest blockhash, and the last block height at which it counts."""
        blockhash, last_height = await self.blockhash()
        message = Message.new_with_blockhash(list(instructions), payer.pubkey(), blockhash)
        by_key = {each.pubkey(): each for each in (payer, *signers)}
        needed = message.account_keys[: message.header.num_required_signatures]
        return bytes(VersionedTransaction(message, [by_key[key] for key in needed])), last_height

    async def simulate(self, instructions: Sequence[Instruction], payer: Keypair) -> None:
        """Has the endpoint try a transaction that changes nothing. Raises what `send` would."""
        raw, _ = await self._signed(instructions, payer)
        options = {"encoding": "base64", "commitment": self.commitment}
        value = (await self.call("simulateTransaction", base64.b64encode(raw).decode(), options))["value"]
        if value["err"] is not None:
            raise _refusal(value["err"], value.get("logs") or [])

    async def _broadcast(self, raw: bytes, *, preflight: bool = True) -> str:
        options = {"encoding": "base64", "preflightCommitment": self.commitment, "skipPreflight": not preflight}
        try:
            return str(await self.call("sendTransaction", base64.b64encode(raw).decode(), options))
        except RpcError as error:
            if error.code == PREFLIGHT_FAILURE and isinstance(error.data, dict) and error.data.get("err"):
                raise _refusal(error.data["err"], error.data.get("logs") or []) from None
            in_words = error_in_words(str(error))
            if in_words is not None:
                raise in_words from None
            raise

    async def _confirm(self, signature: str, raw: bytes, last_height: int | None) -> None:
        # short first waits serve a localnet, longer ones a cluster
        wait, since_broadcast, total = 0.01, 0.0, 0.0
        wanted = ("processed", "confirmed", "finalized").index(self.commitment)
        while True:
            status = (await self.call("getSignatureStatuses", [signature]))["value"][0]
            if status is not None:
                if status["err"] is not None:
                    raise _refusal(status["err"], await self._logs(signature))
                reached = status.get("confirmationStatus") or "processed"
                if ("processed", "confirmed", "finalized").index(reached) >= wanted:
                    return
            elif total > 1 and last_height is not None:
                height = int(await self.call("getBlockHeight", {"commitment": self.commitment}))
                if height > last_height:
                    raise RpcError(
                        f"transaction {signature} did not land before its blockhash expired",
                        hint="run the command again",
                        recoverable=True,
                    )
            elif total > 60:
                raise RpcError(f"transaction {signature} did not land in 60 s", recoverable=True)
            if raw and status is None and since_broadcast >= _REBROADCAST_S:
                # no preflight: it would refuse what has landed meanwhile
                await self._broadcast(raw, preflight=False)
                since_broadcast = 0.0
            await asyncio.sleep(wait)
            total += wait
            since_broadcast += wait
            wait = min(wait * 1.5, 0.5)

    async def _logs(self, signature: str) -> list[str]:
        try:
            options = {"commitment": self.commitment, "maxSupportedTransactionVersion": 0}
            transaction = await self.call("getTransaction", signature, options)
        except RpcError:
            # the refusal itself is known; its logs only add which program said so
            return []
        return list(((transaction or {}).get("meta") or {}).get("logMessages") or [])


def _refusal(err: Any, logs: Sequence[str]) -> AwmError:
    if err in ("AccountNotFound", "InsufficientFundsForFee"):
        return RpcError("the payer has no lamports for the fee", hint="fund it, or name another --keypair")
    check_world_logs(logs)
    return transaction_error(err, logs)


def _account(key: Pubkey, value: dict[str, Any]) -> ChainAccount:
    data = base64.b64decode(value["data"][0])
    return ChainAccount(key, Pubkey.from_string(value["owner"]), int(value["lamports"]), data)
