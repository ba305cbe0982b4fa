"""Subscriptions: who wants to hear what, and the texts they are sent. No sockets: a client is anything with `push`.

A notification is rendered once for each way of looking at the thing, and only the subscription's number differs
between its receivers. Only accounts that somebody watches are read back, and one that a transaction wrote without
changing it is not news.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Protocol

import msgspec
from solders.account import Account

from .bank import CLOCK, Bank, Entry
from .faults import invalid_params
from .jsonrpc import Handler
from .ledger import fault_json, key_text
from .params import config, key, parse_key, parse_signature, required
from .views import AccountView, Filters, is_u64

_CLOCK = bytes(CLOCK)
_UNKNOWN = object()


class Client(Protocol):
    """A connection. `push` queues one message; `flush` sends what is queued."""

    def push(self, payload: bytes) -> None: ...

    def flush(self) -> None: ...


class Subscription:
    """One subscription. `where` is the table that holds it, `place` and `view` its position there."""

    __slots__ = ("client", "kind", "number", "place", "received", "view")

    def __init__(self, number: int, kind: str, client: Client, place: Any, view: Any = None) -> None:
        self.number = number
        self.kind = kind
        self.client = client
        self.place = place
        self.view = view
        self.received = False


class Hub:
    """All subscriptions of a bank. Its `transaction` and `slot` are to be called after each of them."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._numbers = count(1)
        self._all: dict[Client, dict[int, Subscription]] = {}
        # kind -> place -> view -> subscriptions; what is empty is not there
        self._tables: dict[str, dict[Any, dict[Any, list[Subscription]]]] = {kind: {} for kind in _KINDS}
        self._accounts = self._tables["account"]
        self._programs = self._tables["program"]
        self._signatures = self._tables["signature"]
        self._logs = self._tables["logs"]
        self._last: dict[bytes, Account | None] = {}
        self._dirty: set[Client] = set()
        self._landed: list[tuple[Subscription, Entry]] = []

    # ---- requests

    def methods(self, client: Client) -> dict[str, Handler]:
        """The JSON-RPC methods of one connection."""
        table: dict[str, Handler] = {}
        for kind, make in _KINDS.items():
            table[f"{kind}Subscribe"] = partial(make, self, client, kind)
            table[f"{kind}Unsubscribe"] = partial(self._unsubscribe, client)
        return table

    def _add(self, kind: str, client: Client, place: Any, view: Any = None) -> Subscription:
        subscription = Subscription(next(self._numbers), kind, client, place, view)
        self._tables[kind].setdefault(place, {}).setdefault(view, []).append(subscription)
        self._all.setdefault(client, {})[subscription.number] = subscription
        return subscription

    def _drop(self, subscription: Subscription) -> None:
        own = self._all[subscription.client]
        del own[subscription.number]
        if not own:
            del self._all[subscription.client]
        table = self._tables[subscription.kind]
        views = table[subscription.place]
        views[subscription.view].remove(subscription)
        if not views[subscription.view]:
            del views[subscription.view]
        if not views:
            del table[subscription.place]
            if subscription.kind == "account":
                self._last.pop(subscription.place, None)
            elif subscription.kind == "program":
                # what is not watched may change unseen, so what was last seen of it is worth nothing
                self._last = {seen: account for seen, account in self._last.items() if seen in self._accounts}

    def _unsubscribe(self, client: Client, params: list[Any]) -> bytes:
        number = required(params, 0)
        subscription = self._all.get(client, {}).get(number) if is_u64(number) else None
        if subscription is None:
            raise invalid_params("Invalid subscription id.")
        self._drop(subscription)
        return b"true"

    def close(self, client: Client) -> None:
        """Forgets a connection and all its subscriptions."""
        for subscription in list(self._all.get(client, {}).values()):
            self._drop(subscription)
        self._dirty.discard(client)

    def _subscribe_account(self, client: Client, kind: str, params: list[Any]) -> bytes:
        address = key(params, 0)
        view = AccountView.parse(config(params, 1, self._bank.slot))
        if address not in self._accounts:
            self._last[address] = self._bank.account(address)
        return b"%d" % self._add(kind, client, address, view).number

    def _subscribe_program(self, client: Client, kind: str, params: list[Any]) -> bytes:
        address = key(params, 0)
        settings = config(params, 1, self._bank.slot)
        view = (AccountView.parse(settings), Filters.parse(settings.get("filters")))
        return b"%d" % self._add(kind, client, address, view).number

    def _subscribe_signature(self, client: Client, kind: str, params: list[Any]) -> bytes:
        signature = parse_signature(required(params, 0))
        settings = config(params, 1, self._bank.slot)
        subscription = self._add(kind, client, signature)
        subscription.received = settings.get("enableReceivedNotification") is True
        entry = self._bank.entries.get(signature)
        if entry is not None:
            self._landed.append((subscription, entry))
        return b"%d" % subscription.number

    def _subscribe_logs(self, client: Client, kind: str, params: list[Any]) -> bytes:
        wanted = required(params, 0)
        config(params, 1, self._bank.slot)
        match wanted:
            case "all" | "allWithVotes":
                place = None
            case {"mentions": [address]}:
                place = parse_key(address)
            case {"mentions": _}:
                raise invalid_params("Invalid Request: Only 1 address supported")
            case _:
                raise invalid_params("Invalid params: unknown variant, expected `all`, `allWithVotes` or `mentions`.")
        return b"%d" % self._add(kind, client, place).number

    def _subscribe_plain(self, client: Client, kind: str, _params: list[Any]) -> bytes:
        return b"%d" % self._add(kind, client, None).number

    # ---- events

    def settle(self) -> None:
        """Tells those who subscribed to a signature that had landed already. After the answer to their request."""
        landed, self._landed = self._landed, []
        for subscription, entry in landed:
            if subscription.number in self._all.get(subscription.client, {}):
                self._tell_signature(subscription, entry)

    def flush(self) -> None:
        """Sends what has been queued."""
        dirty, self._dirty = self._dirty, set()
        for client in dirty:
            client.flush()

    def transaction(self, entry: Entry) -> None:
        """Queues what a landed transaction gives cause for."""
        if self._accounts or self._programs:
            for address in entry.written:
                if self._programs or address in self._accounts:
                    self._account(address, entry.slot)
        if self._signatures:
            for subscriptions in list(self._signatures.get(entry.signature, {}).values()):
                for subscription in list(subscriptions):
                    self._tell_signature(subscription, entry)
        if self._logs:
            self._tell_logs(entry)

    def slot(self, slot: int, parent: int) -> None:
        """Queues what a new slot gives cause for. Everything is final at once, so the root follows the slot."""
        slots, roots = self._tables["slot"].get(None), self._tables["root"].get(None)
        if slots:
            self._send("slot", b'{"parent":%d,"root":%d,"slot":%d}' % (parent, parent, slot), slots[None])
        if roots:
            self._send("root", b"%d" % parent, roots[None])
        if _CLOCK in self._accounts or self._programs:
            self._account(_CLOCK, slot)

    def _account(self, address: bytes, slot: int) -> None:
        views = self._accounts.get(address)
        account = self._bank.account(address)
        owned = self._programs.get(bytes(account.owner)) if self._programs and account is not None else None
        if views is None and owned is None:
            return
        last = self._last.get(address, _UNKNOWN)
        if last is not _UNKNOWN and last == account:
            return
        self._last[address] = account
        rendered: dict[AccountView, bytes] = {}
        if views is not None:
            for view, subscriptions in views.items():
                rendered[view] = value = view.render(account)
                self._send("account", b'{"context":{"slot":%d},"value":%b}' % (slot, value), subscriptions)
        if owned is not None and account is not None:
            for (view, filters), subscriptions in owned.items():
                if filters.match(account):
                    value = rendered.get(view) or view.render(account)
                    rendered[view] = value
                    result = b'{"context":{"slot":%d},"value":{"account":%b,"pubkey":%b}}' % (
                        slot,
                        value,
                        key_text(address),
                    )
                    self._send("program", result, subscriptions)

    def _tell_signature(self, subscription: Subscription, entry: Entry) -> None:
        context = b'{"context":{"slot":%d},"value":' % entry.slot
        if subscription.received:
            self._send("signature", context + b'"receivedSignature"}', [subscription])
        self._send("signature", context + b'{"err":%b}}' % fault_json(entry.fault), [subscription])
        # a signature changes once: the subscription ends with its notification
        self._drop(subscription)

    def _tell_logs(self, entry: Entry) -> None:
        wanted = [*self._logs.get(None, {}).values()]
        if len(self._logs) > bool(wanted):
            wanted += [group for address in entry.keys for group in self._logs.get(address, {}).values()]
        if not wanted:
            return
        result = b'{"context":{"slot":%d},"value":{"err":%b,"logs":%b,"signature":"%b"}}' % (
            entry.slot,
            fault_json(entry.fault),
            msgspec.json.encode(entry.meta.logs()),
            entry.signature_text,
        )
        for subscriptions in wanted:
            self._send("logs", result, subscriptions)

    def _send(self, kind: str, result: bytes, subscriptions: list[Subscription]) -> None:
        head = b'{"jsonrpc":"2.0","method":"%bNotification","params":{"result":%b,"subscription":' % (
            kind.encode(),
            result,
        )
        for subscription in subscriptions:
            subscription.client.push(b"%b%d}}" % (head, subscription.number))
            self._dirty.add(subscription.client)


_KINDS: dict[str, Callable[[Hub, Client, str, list[Any]], bytes]] = {
    "account": Hub._subscribe_account,
    "program": Hub._subscribe_program,
    "signature": Hub._subscribe_signature,
    "logs": Hub._subscribe_logs,
    "slot": Hub._subscribe_plain,
    "root": Hub._subscribe_plain,
}
