"""JSON-RPC methods about the cluster: its nodes, leaders, votes, stake, inflation and supply.

There is one node, no stake and no inflation, so most answers are constants in the form that clients parse.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from . import ledger
from .bank import MAX_SAMPLES, SAMPLE_MS, SLOTS_PER_EPOCH
from .faults import BLOCK_NOT_AVAILABLE, RequestError, invalid_params
from .method_group import CORE_VERSION, MethodGroup
from .params import parse_key

_LARGEST = 20
_STAKE_MINIMUM = 1_000_000_000
_MAX_LEADERS = 5000


@cache
def _all_slots() -> bytes:
    """The slots of an epoch as a JSON array: 2.9 MB, which take 20 ms to write, so it is done once."""
    return msgspec.json.encode(list(range(SLOTS_PER_EPOCH)))


class ClusterMethods(MethodGroup):
    """Nodes, leaders, votes, stake, inflation and supply."""

    def get_health(self, _params: list[Any]) -> bytes:
        return b'"ok"'

    def get_version(self, _params: list[Any]) -> bytes:
        return b'{"feature-set":0,"solana-core":"%b"}' % CORE_VERSION.encode()

    def get_identity(self, _params: list[Any]) -> bytes:
        return b'{"identity":%b}' % self._identity

    def get_cluster_nodes(self, _params: list[Any]) -> bytes:
        absent = (
            "gossip",
            "pubsub",
            "rpc",
            "serveRepair",
            "tpu",
            "tpuForwards",
            "tpuForwardsQuic",
            "tpuQuic",
            "tpuVote",
        )
        fields = b"".join(b'"%b":null,' % name.encode() for name in (*absent, "tvu"))
        return b'[{"featureSet":0,%b"pubkey":%b,"shredVersion":0,"version":"%b"}]' % (
            fields,
            self._identity,
            CORE_VERSION.encode(),
        )

    def get_slot_leader(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return self._identity

    def get_slot_leaders(self, params: list[Any]) -> bytes:
        slot, limit = params
        if limit > _MAX_LEADERS:
            raise invalid_params(f"Invalid limit; max {_MAX_LEADERS}")
        epoch = slot // SLOTS_PER_EPOCH
        if epoch > self._bank.epoch + 1:
            raise invalid_params(f"Invalid slot range: leader schedule for epoch {epoch} is unavailable")
        return ledger.join([self._identity] * limit)

    def get_leader_schedule(self, params: list[Any]) -> bytes:
        slot = params[0]
        if isinstance(slot, dict):
            settings, slot = slot, None
        else:
            settings = self._config(params, 1)
        if slot is not None and slot // SLOTS_PER_EPOCH > self._bank.epoch + 1:
            return b"null"
        wanted = settings.get("identity")
        if wanted is not None and ledger.key_text(parse_key(wanted)) != self._identity:
            return b"{}"
        return b"{%b:%b}" % (self._identity, _all_slots())

    def get_block_production(self, params: list[Any]) -> bytes:
        settings = self._config(params, 0)
        identity = settings.get("identity")
        mine = identity is None or ledger.key_text(parse_key(identity)) == self._identity
        first, last = self._production_range(settings.get("range"))
        made = last - first + 1
        return self._context(
            b'{"byIdentity":{%b},"range":{"firstSlot":%d,"lastSlot":%d}}'
            % (b"%b:[%d,%d]" % (self._identity, made, made) if mine else b"", first, last)
        )

    def _production_range(self, wanted: dict[str, Any] | None) -> tuple[int, int]:
        slot = self._bank.slot
        if wanted is None:
            return self._bank.epoch * SLOTS_PER_EPOCH, slot
        first, last = wanted["firstSlot"], wanted["lastSlot"]
        if last is None:
            last = slot
        elif last > slot:
            raise invalid_params(f"lastSlot, {last}, is too large; max {slot}")
        if first > last:
            raise invalid_params(f"lastSlot, {last}, cannot be less than firstSlot, {first}")
        return first, last

    def get_vote_accounts(self, params: list[Any]) -> bytes:
        wanted = self._config(params, 0).get("votePubkey")
        if wanted is not None:
            parse_key(wanted)
        return b'{"current":[],"delinquent":[]}'

    def get_block_commitment(self, _params: list[Any]) -> bytes:
        return b'{"commitment":null,"totalStake":0}'

    def get_stake_minimum_delegation(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return self._context(b"%d" % _STAKE_MINIMUM)

    def get_inflation_governor(self, _params: list[Any]) -> bytes:
        return b'{"foundation":0.0,"foundationTerm":0.0,"initial":0.0,"taper":1.0,"terminal":0.0}'

    def get_inflation_rate(self, _params: list[Any]) -> bytes:
        return b'{"epoch":%d,"foundation":0.0,"total":0.0,"validator":0.0}' % self._bank.epoch

    def get_inflation_reward(self, params: list[Any]) -> bytes:
        wanted = params[0]
        for address in wanted:
            parse_key(address)
        epoch = self._config(params, 1).get("epoch")
        epoch = max(0, self._bank.epoch - 1) if epoch is None else epoch
        if epoch >= self._bank.epoch:
            raise RequestError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {(epoch + 1) * SLOTS_PER_EPOCH}")
        return ledger.join([b"null"] * len(wanted))

    def get_recent_performance_samples(self, params: list[Any]) -> bytes:
        limit = MAX_SAMPLES if params[0] is None else params[0]
        if limit > MAX_SAMPLES:
            raise invalid_params(f"Invalid limit; max {MAX_SAMPLES}")
        return ledger.join(
            b'{"numNonVoteTransactions":%d,"numSlots":%d,"numTransactions":%d,"samplePeriodSecs":%d,"slot":%d}'
            % (sample.transactions, sample.slots, sample.transactions, SAMPLE_MS // 1000, sample.slot)
            for sample in islice(self._bank.samples, limit)
        )

    def get_max_shred_insert_slot(self, _params: list[Any]) -> bytes:
        return b"%d" % self._bank.slot

    def get_max_retransmit_slot(self, _params: list[Any]) -> bytes:
        return b"%d" % self._bank.slot

    def get_highest_snapshot_slot(self, _params: list[Any]) -> bytes:
        raise RequestError(-32008, "No snapshot")

    def get_supply(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        total = sum(lamports for _, lamports in self._system_accounts())
        return self._context(
            b'{"circulating":%d,"nonCirculating":0,"nonCirculatingAccounts":[],"total":%d}' % (total, total)
        )

    def get_largest_accounts(self, params: list[Any]) -> bytes:
        kind = self._config(params, 0).get("filter")
        rows = [] if kind == "nonCirculating" else sorted(self._system_accounts(), key=lambda row: -row[1])[:_LARGEST]
        return self._context(
            ledger.join(b'{"address":"%b","lamports":%d}' % (str(key).encode(), lamports) for key, lamports in rows)
        )

    def _system_accounts(self) -> list[tuple[Pubkey, int]]:
        return [(key, account.lamports) for key, account in self._bank.svm.get_program_accounts(Pubkey.default())]
