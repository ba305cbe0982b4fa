"""`awm-crank unpublish MODEL`: closes a model's manifest and shards, and returns their rent."""

from __future__ import annotations

import argparse

from . import common, output
from .parser import Parser


def configure(parser: Parser) -> None:
    """Adds the model and the key."""
    parser.add_argument("model", metavar="MODEL", help="the model's address, as `publish` printed it")
    parser.add_argument(
        "--force", action="store_true", help="unpublish even if forks use its shards; this breaks the forks"
    )
    common.add_rpc(parser)
    common.add_keypair(parser)
    output.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Unpublishes, and prints the rent that came back.

    Raises:
        AccountError: forks use the model's shards, and --force is missing.
    """
    from ..client import publish
    from ..client.chain import Chain

    model = common.address(args.model, "model")
    authority = common.keypair(args)
    async with Chain(args.rpc) as chain:
        returned = await publish.unpublish(chain, authority, model, force=args.force)
    output.result(args, {"model": str(model), "returned_lamports": returned})
    return 0
