"""Subscriptions, and the notifications that are sent for them. No sockets: a client is any object with `push`.

Clients with equal subscriptions share one topic and one text. Only accounts that a client watches are read back. A
transaction that writes an account without changing it causes no notification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import Any, Protocol

import msgspec
from solders.account import Account

from .bank import CLOCK, Bank
from .faults import METHOD_NOT_FOUND, RequestError, invalid_params
from .history import Entry, LandedStatus
from .jsonrpc import Handler
from .ledger import fault_json, key_text
from .params import config, parse_key, parse_signature
from .schema import checked
from .views import AccountView, Filters

_CLOCK = bytes(CLOCK)
_UNKNOWN = object()
_PLAIN = AccountView()
_ALL = Filters()


class Client(Protocol):
    """A connection. `push` queues one message; `flush` sends what is queued."""

    def push(self, payload: bytes) -> None: ...

    def flush(self) -> None: ...


class Topic:
    """One distinct subscription. Equal subscriptions of several clients have the same number, as with other validators.

    Args:
        number: the subscription id.
        kind: account, program, signature, logs, slot, root or slotsUpdates.
        place: the bytes of the account, program, signature or mentioned key; None for the other kinds.
        shown: everything else that makes two subscriptions differ: view, filters, commitment.
        view: how accounts are shown. filters: which accounts are shown.
    """

    __slots__ = ("clients", "filters", "kind", "number", "place", "shown", "view")

    def __init__(
        self, number: int, kind: str, place: Any, shown: Any, view: AccountView | None, filters: Filters | None
    ) -> None:
        self.number = number
        self.kind = kind
        self.place = place
        self.shown = shown
        self.view = view or _PLAIN
        self.filters = filters or _ALL
        # a dict, since it keeps the order
        self.clients: dict[Client, None] = {}


class Topics:
    """All subscriptions of a bank. Call `transaction` after each transaction and `slot` after each slot."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._numbers = count(1)
        self._all: dict[Client, dict[int, Topic]] = {}
        # kind -> place -> shown -> topic, without empty tables
        self._tables: dict[str, dict[Any, dict[Any, Topic]]] = {kind: {} for kind in _KINDS}
        self._accounts = self._tables["account"]
        self._programs = self._tables["program"]
        self._signatures = self._tables["signature"]
        self._logs = self._tables["logs"]
        self._last: dict[bytes, Account | None] = {}
        self._dirty: set[Client] = set()
        self._landed: list[tuple[Topic, Client, LandedStatus]] = []

    # ---- requests

    def methods(self, client: Client) -> dict[str, Handler]:
        """The JSON-RPC methods of one connection."""
        table: dict[str, Handler] = {}
        for kind, make in _KINDS.items():
            table[f"{kind}Subscribe"] = checked(f"{kind}Subscribe", partial(make, self, client, kind))
            forget = partial(_absent if make is _absent else Topics._unsubscribe, self, client)
            table[f"{kind}Unsubscribe"] = checked(f"{kind}Unsubscribe", forget)
        return table

    def _add(
        self,
        kind: str,
        client: Client,
        place: Any = None,
        settings: dict[str, Any] | None = None,
        *,
        view: AccountView | None = None,
        filters: Filters | None = None,
        received: bool = False,
    ) -> Topic:
        commitment = (settings or {}).get("commitment")
        shown = (view, filters, received, commitment)
        topics = self._tables[kind].setdefault(place, {})
        topic = topics.get(shown)
        if topic is None:
            topics[shown] = topic = Topic(next(self._numbers), kind, place, shown, view, filters)
        topic.clients[client] = None
        self._all.setdefault(client, {})[topic.number] = topic
        return topic

    def _drop(self, topic: Topic, client: Client) -> None:
        own = self._all[client]
        del own[topic.number]
        if not own:
            del self._all[client]
        del topic.clients[client]
        if topic.clients:
            return
        table = self._tables[topic.kind]
        topics = table[topic.place]
        del topics[topic.shown]
        if topics:
            return
        del table[topic.place]
        if topic.kind == "account":
            self._last.pop(topic.place, None)
        elif topic.kind == "program":
            # accounts that nobody watches may change unseen, so the last state that was seen is no longer known to be
            # current
            self._last = {seen: account for seen, account in self._last.items() if seen in self._accounts}

    def _unsubscribe(self, client: Client, params: list[Any]) -> bytes:
        topic = self._all.get(client, {}).get(params[0])
        if topic is None:
            raise invalid_params("Invalid subscription id.")
        self._drop(topic, client)
        return b"true"

    def close(self, client: Client) -> None:
        """Forgets a connection and all its subscriptions."""
        for topic in list(self._all.get(client, {}).values()):
            self._drop(topic, client)
        self._dirty.discard(client)

    def _subscribe_account(self, client: Client, kind: str, params: list[Any]) -> bytes:
        address = _subscribed_key(params[0], "pubkey")
        settings = config(params, 1, self._bank.slot)
        view = AccountView.parse(settings)
        if address not in self._accounts:
            self._last[address] = self._bank.account(address)
        return b"%d" % self._add(kind, client, address, settings, view=view).number

    def _subscribe_program(self, client: Client, kind: str, params: list[Any]) -> bytes:
        address = _subscribed_key(params[0], "pubkey")
        settings = config(params, 1, self._bank.slot)
        try:
            filters = Filters.parse(settings.get("filters"))
        except RequestError as error:
            raise invalid_params(f"Invalid params: {error.message}") from None
        view = AccountView.parse(settings)
        return b"%d" % self._add(kind, client, address, settings, view=view, filters=filters).number

    def _subscribe_signature(self, client: Client, kind: str, params: list[Any]) -> bytes:
        try:
            signature = parse_signature(params[0])
        except RequestError:
            raise invalid_params("Invalid Request: Invalid signature provided") from None
        settings = config(params, 1, self._bank.slot)
        received = settings.get("enableReceivedNotification") is True
        topic = self._add(kind, client, signature, settings, received=received)
        status = self._bank.history.status(signature)
        if status is not None:
            self._landed.append((topic, client, status))
        return b"%d" % topic.number

    def _subscribe_logs(self, client: Client, kind: str, params: list[Any]) -> bytes:
        settings = config(params, 1, self._bank.slot)
        place: bytes | None = None
        match params[0]:
            case {"mentions": [address]}:
                place = _subscribed_key(address, "mentions")
            case {"mentions": _}:
                raise invalid_params("Invalid Request: Only 1 address supported")
        return b"%d" % self._add(kind, client, place, settings).number

    def _subscribe_plain(self, client: Client, kind: str, _params: list[Any]) -> bytes:
        return b"%d" % self._add(kind, client).number

    # ---- events

    def settle(self) -> None:
        """Notifies clients that subscribed to a signature after it had landed. Call it after their answer is sent."""
        landed, self._landed = self._landed, []
        for topic, client, status in landed:
            if topic.number in self._all.get(client, {}):
                self._signature(topic, [client], status)

    def flush(self) -> None:
        """Sends what has been queued."""
        dirty, self._dirty = self._dirty, set()
        for client in dirty:
            client.flush()

    def transaction(self, entry: Entry) -> None:
        """Queues the notifications that a landed transaction causes."""
        if self._accounts or self._programs:
            for address in entry.written:
                if self._programs or address in self._accounts:
                    self._account(address, entry.slot)
        if self._signatures:
            for topic in list(self._signatures.get(entry.signature, {}).values()):
                self._signature(topic, list(topic.clients), LandedStatus(entry.slot, entry.fault))
        if self._logs:
            self._log(entry)

    def slot(self, slot: int, parent: int) -> None:
        """Queues the notifications of a new slot. Everything is final at once, so the root follows the slot."""
        for kind, results in (
            ("slot", (b'{"parent":%d,"root":%d,"slot":%d}' % (parent, parent, slot),)),
            ("root", (b"%d" % parent,)),
            ("slotsUpdates", self._updates(slot, parent) if self._tables["slotsUpdates"] else ()),
        ):
            for topic in self._tables[kind].get(None, {}).values():
                for result in results:
                    self._send(kind, result, topic)
        if _CLOCK in self._accounts or self._programs:
            self._account(_CLOCK, slot)

    def _updates(self, slot: int, parent: int) -> tuple[bytes, ...]:
        """The updates of a new slot: it begins, and its parent ends and is final."""
        now = int(self._bank.started * 1000 + slot * self._bank.slot_ms)
        entries = self._bank.history.block(parent)
        failed = sum(entry.fault is not None for entry in entries)
        stats = (
            b'{"maxTransactionsPerEntry":%d,"numFailedTransactions":%d,"numSuccessfulTransactions":%d,'
            b'"numTransactionEntries":%d}'
        ) % (bool(entries), failed, len(entries) - failed, len(entries))
        return (
            b'{"parent":%d,"slot":%d,"timestamp":%d,"type":"createdBank"}' % (parent, slot, now),
            b'{"slot":%d,"stats":%b,"timestamp":%d,"type":"frozen"}' % (parent, stats, now),
            b'{"slot":%d,"timestamp":%d,"type":"optimisticConfirmation"}' % (parent, now),
            b'{"slot":%d,"timestamp":%d,"type":"root"}' % (parent, now),
        )

    def _account(self, address: bytes, slot: int) -> None:
        topics = self._accounts.get(address)
        account = self._bank.account(address)
        owned = self._programs.get(bytes(account.owner)) if self._programs and account is not None else None
        if topics is None and owned is None:
            return
        last = self._last.get(address, _UNKNOWN)
        if last is not _UNKNOWN and last == account:
            return
        self._last[address] = account
        rendered: dict[AccountView, bytes] = {}
        for topic in (topics or {}).values():
            value = self._render(topic, account, rendered)
            self._send("account", b'{"context":{"slot":%d},"value":%b}' % (slot, value), topic)
        if account is not None:
            for topic in (owned or {}).values():
                if topic.filters.match(account):
                    value = self._render(topic, account, rendered)
                    result = b'{"context":{"slot":%d},"value":{"account":%b,"pubkey":%b}}' % (
                        slot,
                        value,
                        key_text(address),
                    )
                    self._send("program", result, topic)

    def _render(self, topic: Topic, account: Account | None, rendered: dict[AccountView, bytes]) -> bytes:
        value = rendered.get(topic.view)
        if value is None:
            rendered[topic.view] = value = topic.view.render(account, self._bank.find)
        return value

    def _signature(self, topic: Topic, clients: list[Client], status: LandedStatus) -> None:
        context = b'{"context":{"slot":%d},"value":' % status.slot
        received = topic.shown[2]
        if received:
            self._send("signature", context + b'"receivedSignature"}', topic, clients)
        self._send("signature", context + b'{"err":%b}}' % fault_json(status.fault), topic, clients)
        # a signature lands once, so the subscription ends with its notification
        for client in clients:
            self._drop(topic, client)

    def _log(self, entry: Entry) -> None:
        wanted = [*self._logs.get(None, {}).values()]
        if len(self._logs) > bool(wanted):
            wanted += [topic for address in entry.keys for topic in self._logs.get(address, {}).values()]
        if not wanted:
            return
        result = b'{"context":{"slot":%d},"value":{"err":%b,"logs":%b,"signature":"%b"}}' % (
            entry.slot,
            fault_json(entry.fault),
            msgspec.json.encode(entry.meta.logs()),
            entry.signature_text,
        )
        for topic in wanted:
            self._send("logs", result, topic)

    def _send(self, kind: str, result: bytes, topic: Topic, clients: Iterable[Client] | None = None) -> None:
        text = b'{"jsonrpc":"2.0","method":"%bNotification","params":{"result":%b,"subscription":%d}}' % (
            kind.encode(),
            result,
            topic.number,
        )
        for client in topic.clients if clients is None else clients:
            client.push(text)
            self._dirty.add(client)


def _absent(_topics: Topics, _client: Client, *_: Any) -> bytes:
    raise RequestError(METHOD_NOT_FOUND, "Method not found")


_KINDS: dict[str, Callable[[Topics, Client, str, list[Any]], bytes]] = {
    "account": Topics._subscribe_account,
    "program": Topics._subscribe_program,
    "signature": Topics._subscribe_signature,
    "logs": Topics._subscribe_logs,
    "slot": Topics._subscribe_plain,
    "root": Topics._subscribe_plain,
    "slotsUpdates": Topics._subscribe_plain,
    # block and vote subscriptions: other validators offer them only when started with a flag
    "block": _absent,
    "vote": _absent,
}


def _subscribed_key(text: str, name: str) -> bytes:
    try:
        return parse_key(text)
    except RequestError:
        raise invalid_params(f"Invalid Request: Invalid {name} provided") from None
