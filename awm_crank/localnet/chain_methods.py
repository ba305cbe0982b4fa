"""JSON-RPC methods about the chain: slots, epochs, blockhashes and blocks."""

from __future__ import annotations

from typing import Any

from . import base58, ledger
from .bank import SLOTS_PER_EPOCH
from .faults import BLOCK_CLEANED_UP, BLOCK_NOT_AVAILABLE, RequestError, invalid_params
from .method_group import MethodGroup
from .params import keys, parse_hash, refuse_processed, supported_version

_MAX_BLOCKS = 500_000


class ChainMethods(MethodGroup):
    """Slots, epochs, blockhashes and blocks."""

    def get_genesis_hash(self, _params: list[Any]) -> bytes:
        return b'"%b"' % base58.encode(self._bank.genesis)

    def get_slot(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return b"%d" % self._bank.slot

    def get_block_height(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return b"%d" % self._bank.slot

    def get_epoch_info(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        slot = self._bank.slot
        return (
            b'{"absoluteSlot":%d,"blockHeight":%d,"epoch":%d,"slotIndex":%d,"slotsInEpoch":%d,"transactionCount":%d}'
        ) % (slot, slot, self._bank.epoch, slot % SLOTS_PER_EPOCH, SLOTS_PER_EPOCH, self._bank.history.count)

    def get_epoch_schedule(self, _params: list[Any]) -> bytes:
        return (
            b'{"firstNormalEpoch":0,"firstNormalSlot":0,"leaderScheduleSlotOffset":%d,"slotsPerEpoch":%d,"warmup":false}'
        ) % (SLOTS_PER_EPOCH, SLOTS_PER_EPOCH)

    def get_transaction_count(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return b"%d" % self._bank.history.count

    def get_latest_blockhash(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        bank = self._bank
        return self._context(
            b'{"blockhash":"%b","lastValidBlockHeight":%d}' % (self._hash_text(bank.slot), bank.slot + bank.hash_slots)
        )

    def is_blockhash_valid(self, params: list[Any]) -> bytes:
        wanted = parse_hash(params[0])
        self._config(params, 1)
        return self._context(b"true" if self._bank.hash_slot(wanted) is not None else b"false")

    def get_recent_prioritization_fees(self, params: list[Any]) -> bytes:
        keys(params[0] or [], 128)
        slot = self._bank.slot
        return ledger.join(b'{"prioritizationFee":0,"slot":%d}' % past for past in range(max(1, slot - 149), slot + 1))

    def get_first_available_block(self, _params: list[Any]) -> bytes:
        return b"%d" % self._bank.history.first_slot

    minimum_ledger_slot = get_first_available_block

    def get_block_time(self, params: list[Any]) -> bytes:
        return b"%d" % self._bank.time_of(self._known_slot(params[0]))

    def get_block(self, params: list[Any]) -> bytes:
        slot, found = params
        settings = {"encoding": found} if isinstance(found, str) else self._config(params, 1)
        details = settings.get("transactionDetails") or "full"
        refuse_processed(settings)
        rewards = settings.get("rewards") is not False
        encoding = settings.get("encoding") or "json"
        return ledger.block_json(
            self._bank, self._known_slot(slot), encoding, details, rewards, supported_version(settings)
        )

    def get_blocks(self, params: list[Any]) -> bytes:
        start, end, settings = params
        if isinstance(end, dict):
            end, settings = None, end
        refuse_processed(settings or {})
        return self._blocks(start, self._bank.slot if end is None else end)

    def get_blocks_with_limit(self, params: list[Any]) -> bytes:
        start, limit, settings = params
        refuse_processed(settings or {})
        if limit > _MAX_BLOCKS:
            raise invalid_params(f"Limit too large; max {_MAX_BLOCKS}")
        return self._blocks(start, start + limit - 1)

    def _blocks(self, start: int, end: int) -> bytes:
        end = min(end, self._bank.slot)
        if end - start > _MAX_BLOCKS:
            raise invalid_params(f"Slot range too large; max {_MAX_BLOCKS}")
        return ledger.join(b"%d" % slot for slot in range(max(start, self._bank.history.first_slot), end + 1))

    def _known_slot(self, slot: int) -> int:
        if slot > self._bank.slot:
            raise RequestError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
        first = self._bank.history.first_slot
        if slot < first:
            text = f"Block {slot} cleaned up, does not exist on node. First available block: {first}"
            raise RequestError(BLOCK_CLEANED_UP, text)
        return slot
