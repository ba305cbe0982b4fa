"""Names that are used although vulture does not see it, each group under its reason.

`vulture` (in `make check`) reads this file as code that uses the names. Remove a name when the code no longer has it.
"""
# ruff: noqa: B018, F821
# mypy: ignore-errors

# called by a library: asyncio.Protocol, httptools, MkDocs, pytest, configparser, argparse, http.server
connection_made, connection_lost, data_received, pause_writing, resume_writing
on_message_begin, on_url, on_header, on_headers_complete, on_body, on_message_complete
on_files, on_page_markdown
pytest_terminal_summary
optionxform
do_POST, log_message
formatter_class, epilog

# the embedded validator finds its JSON-RPC methods by name (`getSlot` is `get_slot`)
get_minimum_balance_for_rent_exemption, get_health, get_version, get_identity, get_genesis_hash, get_slot
get_block_height, get_slot_leader, get_slot_leaders, get_epoch_info, get_epoch_schedule, get_transaction_count
is_blockhash_valid, get_recent_prioritization_fees, get_fee_for_message, minimum_ledger_slot, get_block_time, get_block
get_blocks, get_blocks_with_limit, get_transaction, get_signature_statuses, get_signatures_for_address, request_airdrop

# what a library asks of a class: PettingZoo's environments, structlog's loggers, ctypes' structures
observation_space, action_space
critical
value_s, value_ns

# lazy attributes of a package, and names that other programs import
__getattr__
Seat
CREATED

# figures of a report, encoded as a whole
transactions_per_s, validator_cpu, generator_cpu
