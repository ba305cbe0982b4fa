"""`awm-crank publish CARTRIDGE`: puts a cartridge on chain. Run again after an interruption, it continues.

`--fork MODEL` publishes a model that shares its unchanged shards with another one (docs/cartridge.md, "Forks").
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from . import common, output
from .parser import Parser

if TYPE_CHECKING:
    from ..wire.pieces import Sheet


def configure(parser: Parser) -> None:
    """Adds the file, the model to fork, the key and the world."""
    parser.add_argument(
        "cartridge", nargs="?", type=Path, metavar="CARTRIDGE", help="cartridge file (.awm); optional with --fork"
    )
    parser.add_argument("--fork", metavar="MODEL", help="fork this published model; equal shards are shared")
    parser.add_argument(
        "--shard", action="append", default=[], type=_shard, metavar="I=FILE",
        help="with --fork: replace shard number I by FILE; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--mirrored", type=Path, metavar="FOLDER",
        help="write the bytes as pieces into FOLDER, for mirrors, and put only their Merkle root on chain",
    )  # fmt: skip
    parser.add_argument(
        "--pieces", type=_pieces, metavar="K+N",
        help="with --mirrored: K pieces of data and N of parity; any K of them give the model (default: 2+3)",
    )  # fmt: skip
    common.add_rpc(parser)
    common.add_keypair(parser)
    common.add_world(parser)
    output.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Publishes, checks what is on chain, and prints the model's address.

    Raises:
        ConfigError: the options do not go together, or the file cannot be read.
        CartridgeError: the file is not a cartridge.
    """
    from ..client import publish, setup
    from ..client.chain import Chain
    from ..engine.cartridge import Cartridge

    if args.shard and (not args.fork or args.cartridge):
        raise ConfigError("--shard goes with --fork and without a cartridge", hint="awm-crank publish --help")
    if args.mirrored and args.fork:
        raise ConfigError("--mirrored does not go with --fork", hint="publish the forked cartridge by itself")
    if args.pieces and not args.mirrored:
        raise ConfigError("--pieces goes with --mirrored FOLDER", hint="awm-crank publish --help")
    if args.fork:
        return await _fork(args)
    if args.cartridge is None:
        raise ConfigError("no cartridge named", hint="awm-crank publish CARTRIDGE, or publish --fork MODEL")
    data = common.read(args.cartridge)
    payer = common.keypair(args)
    cartridge = Cartridge.parse(data)
    sheet, names = _write_pieces(args, data) if args.mirrored else (None, [])
    async with Chain(args.rpc) as chain:
        world = await setup.find_or_create_world(chain, payer, args.world)
        with output.Progress("bytes") as progress:
            published = await publish.publish(
                chain, payer, world, cartridge, progress=progress,
                announce=lambda model: output.note(f"model {model}; after an interruption, run the command again"),
                sheet=sheet,
            )  # fmt: skip
    output.result(
        args,
        {
            "model": str(published.model),
            "shards": ", ".join(map(str, published.shards)),
            "sha256": cartridge.sha256.hex(),
            "bytes_sent": published.sent_bytes,
            "rent_lamports": published.rent,
            **({"root": sheet.root.hex(), "pieces": ", ".join(names)} if sheet else {}),
        },
    )
    return 0


def _write_pieces(args: argparse.Namespace, data: bytes) -> tuple[Sheet, list[str]]:
    from ..net.mirror_folder import write_pieces

    return write_pieces(args.mirrored, data, *(args.pieces or (2, 3)))


async def _fork(args: argparse.Namespace) -> int:
    from ..client import fork, setup
    from ..client.chain import Chain
    from ..engine.cartridge import Cartridge

    parent = common.address(args.fork, "model")
    payer = common.keypair(args)
    cartridge = Cartridge.parse(common.read(args.cartridge)) if args.cartridge else None
    replaced = {index: common.read(path) for index, path in args.shard}
    async with Chain(args.rpc) as chain:
        world = await setup.find_world(chain, args.world)
        with output.Progress("bytes") as progress:
            forked = await fork.fork(
                chain, payer, world, parent, cartridge=cartridge, replaced=replaced, progress=progress
            )
    output.result(
        args,
        {
            "model": str(forked.published.model),
            "parent": str(parent),
            "shards": ", ".join(map(str, forked.published.shards)),
            "shared_shards": ", ".join(map(str, forked.shared)) or "-",
            "sha256": forked.sha256.hex(),
            "bytes_sent": forked.published.sent_bytes,
            "rent_lamports": forked.published.rent,
        },
    )
    return 0


def _pieces(text: str) -> tuple[int, int]:
    data, plus, parity = text.partition("+")
    if not plus:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form K+N, such as 2+3")
    found = common.number(1, 64)(data), common.number(0, 63)(parity)
    if sum(found) > 64:
        raise argparse.ArgumentTypeError(f"{text!r} is more than 64 pieces")
    return found


def _shard(text: str) -> tuple[int, Path]:
    index, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I=FILE, such as 1=shard1.bin")
    return common.unsigned(8)(index), Path(path)
