"""JSON-RPC methods about accounts."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey

from .faults import INVALID_REQUEST, RequestError
from .method_group import MethodGroup, Rows
from .params import key, keys
from .views import AccountView, Filters

MAX_DATA_BYTES = 10 * 1024 * 1024


class AccountMethods(MethodGroup):
    """Accounts, alone, several, or all of a program."""

    def get_account_info(self, params: list[Any]) -> bytes:
        address = key(params, 0)
        view = AccountView.parse(self._config(params, 1))
        account = self._bank.account(address)
        if account is None:
            return self._context(b"null")
        view.refuse_long(account)
        return self._context(view.render(account, self._bank.find))

    def get_multiple_accounts(self, params: list[Any]) -> bytes:
        wanted = keys(params[0], 100)
        view = AccountView.parse(self._config(params, 1), "base64")
        rows = Rows()
        for address in wanted:
            account = self._bank.account(address)
            if account is not None:
                view.refuse_long(account)
            rows.add(b"null" if account is None else view.render(account, self._bank.find))
        return self._context(rows.join())

    def get_program_accounts(self, params: list[Any]) -> bytes:
        program = Pubkey.from_bytes(key(params, 0))
        settings = self._config(params, 1)
        view = AccountView.parse(settings)
        filters = Filters.parse(settings.get("filters"))
        rows = Rows()
        for address, account in self._bank.svm.get_program_accounts(program):
            if filters.match(account):
                view.refuse_long(account)
                rows.add(
                    b'{"account":%b,"pubkey":"%b"}' % (view.render(account, self._bank.find), str(address).encode())
                )
        found = rows.join()
        return self._context(found) if settings.get("withContext") is True else found

    def get_balance(self, params: list[Any]) -> bytes:
        address = key(params, 0)
        self._config(params, 1)
        return self._context(b"%d" % (self._bank.svm.get_balance(Pubkey.from_bytes(address)) or 0))

    def get_minimum_balance_for_rent_exemption(self, params: list[Any]) -> bytes:
        if params[0] > MAX_DATA_BYTES:
            raise RequestError(INVALID_REQUEST, "Invalid request")
        return b"%d" % self._bank.svm.minimum_balance_for_rent_exemption(params[0])
