"""`awm-crank export SESSION -o FILE`: writes a session's match file from its records on chain.

`--frames` writes the frames alone, which is what other visualizers open. SESSION may then be a match file, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import common, output
from .parser import Parser

if TYPE_CHECKING:
    from ..match.file import MatchFile


def configure(parser: Parser) -> None:
    """Adds the session, the file, and what to write."""
    parser.add_argument(
        "session", metavar="SESSION", help="the session's address, or a match file (.json) with --frames"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="write the match file to FILE")
    parser.add_argument(
        "--frames", action="store_true",
        help="write a plain JSON array of frames, for other viewers, instead of a match file",
    )  # fmt: skip
    parser.add_argument("--follow", action="store_true", help="keep recording until the session ends, then write")
    common.add_rpc(parser)
    common.add_base_rpc(parser)
    common.add_journal(parser)
    output.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Records and writes.

    Raises:
        AccountError: there is no such session, or its ring no longer has the first frames; names those it has.
        MatchFileError: SESSION is a file, but not a match file.
    """
    from ..match import file, outcome

    path = Path(args.session)
    if args.frames and path.suffix == ".json":
        match = file.parse(common.read(path), source=str(path))
    else:
        match = await _recorded(args)
    output.write(args.output, match.encode_frames() if args.frames else match.encode())
    output.result(args, {"file": str(args.output)} | outcome.summary(match))
    return 0


async def _recorded(args: argparse.Namespace) -> MatchFile:
    from ..client import session
    from ..client.chain import Chain
    from ..client.recorder import Recorder
    from ..net.rpc import RpcClient
    from ..wire import bolt, ids
    from ..wire.accounts import HiddenState, ModelManifest

    address = common.address(args.session, "session")
    async with Chain(args.rpc) as chain, Chain(args.base_rpc or args.rpc) as base, RpcClient(args.rpc) as rpc:
        state = await session.load_session(chain, address)
        account = await base.need(state.model, "model manifest")
        manifest = ModelManifest.decode(account.data, owner=account.owner, address=state.model)
        found = await chain.need(bolt.component_pda(ids.HIDDEN_STATE, state.entity), "hidden state")
        extra = HiddenState.decode(found.data, owner=found.owner, address=found.key).extra_size
        recorder = Recorder(rpc, state.entity, records=common.journal(args, state.entity, extra))
        if args.follow:
            async with output.waiting(f"recording session {address} until it ends"):
                await recorder.follow()
        return await recorder.match_file(manifest.cartridge_hash)
