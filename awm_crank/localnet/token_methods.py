"""JSON-RPC methods about SPL tokens."""

from __future__ import annotations

from typing import Any

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey

from . import tokens
from .faults import invalid_params
from .method_group import MethodGroup, Rows
from .params import key, parse_key
from .tokens import Mint, TokenAccount
from .views import AccountView

_LARGEST = 20


class TokenMethods(MethodGroup):
    """Balances, supplies and holders of SPL tokens, of both token programs."""

    def get_token_account_balance(self, params: list[Any]) -> bytes:
        account = self._found(key(params, 0))
        held = tokens.token_account_of(account)
        if held is None:
            raise invalid_params("Invalid param: not a Token account")
        decimals = tokens.decimals_of(held, self._bank.find)
        if decimals is None:
            raise invalid_params("Invalid param: could not find mint")
        return self._context(msgspec.json.encode(tokens.Amount.of(held.amount, decimals)))

    def get_token_supply(self, params: list[Any]) -> bytes:
        account = self._found(key(params, 0))
        if account.owner not in tokens.PROGRAMS:
            raise invalid_params("Invalid param: not a Token mint")
        mint = tokens.mint_of(account)
        if mint is None:
            raise invalid_params("Invalid param: mint could not be unpacked")
        return self._context(msgspec.json.encode(tokens.Amount.of(mint.supply, mint.decimals)))

    def get_token_largest_accounts(self, params: list[Any]) -> bytes:
        address = key(params, 0)
        program, mint = self._mint(address)
        wanted = Pubkey.from_bytes(address)
        rows = [row for row in self._holders(program) if row[2].mint == wanted]
        rows.sort(key=lambda row: (-row[2].amount, bytes(row[0])))
        out = []
        for holder, _, held in rows[:_LARGEST]:
            amount = msgspec.to_builtins(tokens.Amount.of(held.amount, mint.decimals))
            out.append({"address": str(holder), **amount})
        return self._context(msgspec.json.encode(out))

    def get_token_accounts_by_owner(self, params: list[Any]) -> bytes:
        wanted = Pubkey.from_bytes(key(params, 0))
        return self._accounts(params, lambda held: held.owner == wanted)

    def get_token_accounts_by_delegate(self, params: list[Any]) -> bytes:
        wanted = Pubkey.from_bytes(key(params, 0))
        return self._accounts(params, lambda held: held.delegate == wanted)

    def _accounts(self, params: list[Any], matches: Any) -> bytes:
        chosen = params[1]
        view = AccountView.parse(self._config(params, 2))
        mint: Pubkey | None = None
        match chosen:
            case {"mint": text}:
                address = parse_key(text)
                program, _ = self._mint(address)
                mint = Pubkey.from_bytes(address)
            case _:
                program = Pubkey.from_bytes(parse_key(chosen["programId"]))
                if program not in tokens.PROGRAMS:
                    raise invalid_params("Invalid param: unrecognized Token program id")
        rows = Rows()
        for address_, account, held in self._holders(program):
            if matches(held) and mint in (None, held.mint):
                view.refuse_long(account)
                shown = view.render(account, self._bank.find)
                rows.add(b'{"account":%b,"pubkey":"%b"}' % (shown, str(address_).encode()))
        return self._context(rows.join())

    def _holders(self, program: Pubkey) -> list[tuple[Pubkey, Account, TokenAccount]]:
        found = []
        for address, account in self._bank.svm.get_program_accounts(program):
            held = tokens.token_account_of(account)
            if held is not None:
                found.append((address, account, held))
        return found

    def _mint(self, address: bytes) -> tuple[Pubkey, Mint]:
        """The token program that owns a mint, and the mint; raises RequestError."""
        account = self._bank.account(address)
        if account is None:
            raise invalid_params("Invalid param: could not find mint")
        mint = tokens.mint_of(account)
        if mint is None:
            raise invalid_params("Invalid param: Token mint could not be unpacked")
        return account.owner, mint

    def _found(self, address: bytes) -> Account:
        account = self._bank.account(address)
        if account is None:
            raise invalid_params("Invalid param: could not find account")
        return account
