"""`awm-crank export SESSION -o FILE`: a session's match file, from its records on chain."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import common


def configure(parser: argparse.ArgumentParser) -> None:
    """Session, file, and whether to follow."""
    parser.add_argument("session", metavar="SESSION", help="the session's address")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the match file goes")
    parser.add_argument("--follow", action="store_true", help="record until the session ends, then write")
    common.add_rpc(parser)
    common.add_base_rpc(parser)
    common.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Records and writes; a match whose beginning the ring has lost is refused, saying what it holds."""
    from ..client import session
    from ..client.chain import Chain
    from ..client.recorder import Recorder
    from ..net.rpc import RpcClient
    from ..wire.accounts import ModelManifest

    address = common.address(args.session, "session")
    async with Chain(args.rpc) as chain, Chain(args.base_rpc or args.rpc) as base, RpcClient(args.rpc) as rpc:
        state = await session.load_session(chain, address)
        account = await base.need(state.model, "model manifest")
        manifest = ModelManifest.decode(account.data, owner=account.owner, address=state.model)
        recorder = Recorder(rpc, state.entity)
        if args.follow:
            await recorder.follow()
        match = await recorder.match_file(manifest.cartridge_hash)
    args.output.write_bytes(match.encode())
    common.result(args, {"file": str(args.output), "frames": match.meta.frames, "chain_hash": match.meta.chain_hash})
    return 0
