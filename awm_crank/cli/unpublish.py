"""`awm-crank unpublish MODEL`: closes a manifest and its shards and returns their rent."""

from __future__ import annotations

import argparse

from . import common


def configure(parser: argparse.ArgumentParser) -> None:
    """Model, endpoint, key."""
    parser.add_argument("model", metavar="MODEL", help="the manifest's address")
    parser.add_argument("--force", action="store_true", help="also where forks use its shards; it breaks them")
    common.add_rpc(parser)
    common.add_keypair(parser)
    common.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Unpublishes and prints what came back.

    Raises:
        AccountError: forks use its shards, and no --force was given.
    """
    from ..client import publish
    from ..client.chain import Chain

    model = common.address(args.model, "model")
    authority = common.keypair(args)
    async with Chain(args.rpc) as chain:
        returned = await publish.unpublish(chain, authority, model, force=args.force)
    common.result(args, {"model": str(model), "returned_lamports": returned})
    return 0
