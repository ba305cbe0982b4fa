"""`awm-crank model list`: the models that are published on a chain."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import AwmError, ConfigError
from . import common, output
from .parser import Parser


def configure(parser: Parser) -> None:
    """Adds the subcommand `list`."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", parser_class=Parser)
    text = "list the published models"
    listed = steps.add_parser("list", help=text, description=text[0].upper() + text[1:] + ".")
    listed.add_argument("--authority", metavar="ADDRESS", help="only the models of this key")
    common.add_rpc(listed)
    output.add_json(listed)


async def execute(args: argparse.Namespace) -> int:
    """Prints the models, by name and version.

    Raises:
        ConfigError: the command line names no step, or the authority is not an address.
    """
    from ..client.chain import Chain
    from ..wire import ids, jsonrpc, layouts
    from ..wire.accounts import ModelManifest

    if args.step is None:
        raise ConfigError("no step given", hint="awm-crank model --help")
    layout = layouts.MODEL_MANIFEST
    filters = [jsonrpc.data_size(layout.size), jsonrpc.memcmp(0, layout.discriminator)]
    if args.authority is not None:
        authority = common.address(args.authority, "authority")
        filters.append(jsonrpc.memcmp(layout.offset("authority"), bytes(authority)))
    found: list[dict[str, Any]] = []
    async with Chain(args.rpc) as chain:
        for account in await chain.program_accounts(ids.MODEL_MANIFEST, filters, cut=(0, layout.size)):
            try:
                manifest = ModelManifest.decode(account.data, owner=account.owner, address=account.key)
                found.append(_row(str(account.key), manifest))
            except AwmError as error:
                output.note(f"left out {account.key}: {error}")
    found.sort(key=lambda each: (each["name"], each["version"], each["model"]))
    output.rows(args, found, "no models")
    return 0


def _row(key: str, manifest: Any) -> dict[str, Any]:
    return {
        "model": key,
        "name": manifest.title,
        "version": manifest.version,
        "ready": manifest.ready,
        "parameters": manifest.total_params,
        "authority": str(manifest.authority),
        "sha256": manifest.cartridge_hash.hex(),
    }
