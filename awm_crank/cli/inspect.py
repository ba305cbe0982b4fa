"""`awm-crank inspect ADDRESS|FILE`: shows an account of the project or of World, a cartridge or a match file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import common, output, shown
from .parser import Parser

if TYPE_CHECKING:
    from solders.pubkey import Pubkey

    from ..client.chain import Chain


def configure(parser: Parser) -> None:
    """Adds what to show."""
    parser.add_argument("target", metavar="ADDRESS|FILE", help="an account's address, a cartridge or a match file")
    common.add_rpc(parser)
    output.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Prints it.

    Raises:
        ConfigError: the target is neither a file nor an address.
        AccountError: there is no such account, or none that belongs to the project.
        CartridgeError, MatchFileError: the file is broken.
    """
    target = common.file_or_address(args.target)
    if isinstance(target, Path):
        _file(args, target)
    else:
        await _account(args, target)
    return 0


def _file(args: argparse.Namespace, path: Path) -> None:
    from ..match import describe, outcome

    data = common.read(path)
    if data[:8] == common.CARTRIDGE_MAGIC:
        from ..engine.cartridge import Cartridge

        found = Cartridge.parse(data)
        if args.json:
            figures = {"name": found.name, "version": found.version, "sha256": found.sha256.hex(), "bytes": len(data)}
            figures |= {"parameters": found.total_params, "state_bytes": found.state_size}
            output.result(args, {"kind": "Cartridge", "file": str(path), **figures})
        else:
            output.say(f"Cartridge {path}\n{describe.cartridge(found)}")
        return
    from ..match.file import parse

    match = parse(data, source=str(path))
    if args.json:
        import msgspec

        about = msgspec.structs.asdict(match.meta) | outcome.summary(match)
        output.result(args, {"kind": "Match", "file": str(path), **about})
    else:
        output.say(f"Match {path}\n{describe.match(match)}")


async def _account(args: argparse.Namespace, address: Pubkey) -> None:
    from ..client.chain import Chain
    from ..match import describe

    async with Chain(args.rpc) as chain:
        account = await chain.need(address, "account")
        kind, found = describe.account(account.data, account.owner, address)
        if args.json:
            values = {"kind": kind, "address": str(address), "lamports": account.lamports, **describe.values(found)}
            output.result(args, values)
            return
        text = describe.struct(found)
        if kind == "ModelManifest":
            text += await _lineage(chain, account.data)
    output.say(f"{kind} {address}\n{text}{'balance':<24}{shown.sol(account.lamports)}")


async def _lineage(chain: Chain, data: bytes) -> str:
    from ..client import fork
    from ..match import describe
    from ..wire.accounts import ModelManifest

    manifest = ModelManifest.decode(data)
    ancestors = await fork.lineage(chain, manifest)
    return describe.lineage(manifest, [(each.model, each.manifest) for each in ancestors])
