"""`awm-crank inspect ADDRESS|FILE`: shows an account of the project or of World, a cartridge or a match file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import common, output, shown
from .parser import Parser

if TYPE_CHECKING:
    from ..client.chain import Chain


def configure(parser: Parser) -> None:
    """Adds what to show."""
    parser.add_argument("target", metavar="ADDRESS|FILE", help="an account's address, a cartridge or a match file")
    common.add_rpc(parser)


async def execute(args: argparse.Namespace) -> int:
    """Prints it."""
    from ..match import view

    target = common.file_or_address(args.target)
    if isinstance(target, Path):
        data = common.read(target)
        if data[:8] == common.CARTRIDGE_MAGIC:
            from ..engine.cartridge import Cartridge

            output.say(f"Cartridge {target}\n{view.cartridge(Cartridge.parse(data))}")
        else:
            from ..match.file import parse

            output.say(f"Match {target}\n{view.match(parse(data, source=str(target)))}")
        return 0
    from ..client.chain import Chain

    async with Chain(args.rpc) as chain:
        account = await chain.need(target, "account")
        kind, text = view.account(account.data, account.owner, target)
        if kind == "ModelManifest":
            text += await _lineage(chain, account.data)
    output.say(f"{kind} {target}\n{text}{'balance':<24}{shown.sol(account.lamports)}")
    return 0


async def _lineage(chain: Chain, data: bytes) -> str:
    from ..client import fork
    from ..match import view
    from ..wire.accounts import ModelManifest

    manifest = ModelManifest.decode(data)
    ancestors = await fork.lineage(chain, manifest)
    return view.lineage(manifest, [(each.model, each.manifest) for each in ancestors])
