"""Names that are used although vulture does not see it, each group under its reason.

`vulture` (in `make check`) reads this file as code that uses the names. Remove a name when the code no longer has it.
"""
# ruff: noqa: B018, F821
# mypy: ignore-errors

# called by a library: asyncio.Protocol, httptools, MkDocs, pytest, configparser, argparse, http.server, websockets
connection_made, connection_lost, data_received, pause_writing, resume_writing
on_message_begin, on_url, on_header, on_headers_complete, on_body, on_message_complete
on_files, on_page_markdown
pytest_terminal_summary
optionxform
do_POST, log_message
formatter_class, epilog
parser_exc

# further JSON-RPC methods of the embedded validator, found by name
minimum_ledger_slot, is_blockhash_valid, request_airdrop

# what a library asks of a class: PettingZoo's environments, structlog's loggers, ctypes' structures
observation_space, action_space
critical
value_s, value_ns

# read by name: the table of counters in telemetry/metrics.py; and what only generated modules use
resubscriptions
TailBlock, ENGINE_RUN

# lazy attributes of a package, and names that other programs import
__getattr__
Seat
CREATED

# figures of a report, encoded as a whole
transactions_per_s, validator_cpu, generator_cpu

# fields of a match file, which is read and written as a whole
x_min, x_max, blast_zones

# used by generated files, which vulture does not read
RECEIPT
