"""`awm-crank unpublish MODEL`: closes a manifest and its shards and returns their rent."""

from __future__ import annotations

import argparse

from . import common


def configure(parser: argparse.ArgumentParser) -> None:
    """Model, endpoint, key."""
    parser.add_argument("model", metavar="MODEL", help="the manifest's address")
    common.add_rpc(parser)
    common.add_keypair(parser)
    common.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Unpublishes and prints what came back."""
    from ..client import publish
    from ..client.chain import Chain

    model = common.address(args.model, "model")
    authority = common.keypair(args)
    async with Chain(args.rpc) as chain:
        returned = await publish.unpublish(chain, authority, model)
    common.result(args, {"model": str(model), "returned_lamports": returned})
    return 0
