"""`awm-crank verify SESSION|FILE`: recomputes a match; every byte agrees, or the first that differs is named."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AccountError, CartridgeError, VerifyError
from . import common

if TYPE_CHECKING:
    from solders.pubkey import Pubkey

    from ..engine.cartridge import Cartridge
    from ..match.file import MatchFile
    from ..match.verify import Verdict


def configure(parser: argparse.ArgumentParser) -> None:
    """What to verify, and with which cartridge."""
    parser.add_argument("target", metavar="SESSION|FILE", help="a session's address, or a match file")
    parser.add_argument(
        "--rpc", type=common.url, metavar="URL",
        help=f"RPC endpoint (SESSION: default {common.LOCALNET}; FILE: compared with it where given)",
    )  # fmt: skip
    common.add_base_rpc(parser)
    common.add_cartridge(parser, "the chain's, or the package's where the match was played with that")
    common.add_engine(parser)
    common.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Verifies; status 1 and the first difference on stderr when something differs.

    Raises:
        VerifyError: a byte differs; names frame, field, offset, both values.
    """
    target = common.file_or_address(args.target)
    progress = common.ProgressLine(" frames")
    try:
        if isinstance(target, Path):
            verdict = await _file(args, target, progress)
        else:
            verdict = await _session(args, target, progress)
    finally:
        progress.done()
    verdict.check()
    begun = "from its start" if verdict.start == 0 else f"from the checkpoint of frame {verdict.start}"
    if args.json:
        values = {"agrees": True, "start": verdict.start, "last": verdict.last, "chain_hash": verdict.chain_hash.hex()}
        common.result(args, values)
    else:
        common.say(f"every byte agrees, {begun} to frame {verdict.last}; chain hash {verdict.chain_hash.hex()}")
    return 0


async def _file(args: argparse.Namespace, path: Path, progress: common.ProgressLine) -> Verdict:
    from ..engine import choose
    from ..match import file, verify

    match = file.parse(common.read(path), source=str(path))
    cartridge = await _cartridge_of(args, match)
    verdict = verify.verify_file(
        match, choose.build(cartridge, args.engine), cartridge.sha256,
        progress=lambda n, of: progress("verifying", n, of),
    )  # fmt: skip
    if args.rpc is not None:
        await _compare_with_chain(args, match)
    return verdict


async def _session(args: argparse.Namespace, address: Pubkey, progress: common.ProgressLine) -> Verdict:
    from ..client import publish, session
    from ..client.chain import Chain
    from ..engine import choose
    from ..match import verify

    rpc = args.rpc or common.LOCALNET
    async with Chain(rpc, commitment="processed") as chain:
        view = await session.show_one_frame(chain, address)
        if view.hidden is None or view.inputs is None or view.log is None:
            raise AccountError(f"session {address} is being closed", hint="verify a match file of it instead")
        cartridge = common.cartridge(args)
        if cartridge is None:
            async with Chain(args.base_rpc or rpc) as base:
                cartridge = await publish.load(base, view.session.model)
    snapshot = verify.Snapshot(
        address, view.session, view.hidden, view.inputs, view.log, view.checkpoints, view.start_players
    )
    return verify.verify_session(
        snapshot, choose.build(cartridge, args.engine), progress=lambda n, of: progress("verifying", n, of)
    )


async def _cartridge_of(args: argparse.Namespace, match: MatchFile) -> Cartridge:
    """The cartridge named, the chain's, or the packaged demo's where it is the one the file was played with."""
    from ..client import publish
    from ..client.chain import Chain
    from ..match import offline

    named = common.cartridge(args)
    if named is not None:
        return named
    if args.rpc is not None and match.meta.model != str(offline.NO_MODEL):
        async with Chain(args.base_rpc or args.rpc) as base:
            return await publish.load(base, common.address(match.meta.model, "model"))
    demo = common.demo_cartridge()
    if demo.sha256.hex() == match.meta.cartridge_sha256:
        return demo
    raise CartridgeError(
        "the match's cartridge is not at hand", expected=f"SHA-256 {match.meta.cartridge_sha256}",
        hint="name it with --cartridge FILE, or its chain with --rpc URL",
    )  # fmt: skip


async def _compare_with_chain(args: argparse.Namespace, match: MatchFile) -> None:
    """What the chain says of the session: players, frame, and the last chain hash."""
    from ..client import session
    from ..client.chain import Chain
    from ..match import offline

    meta = match.meta
    if meta.model == str(offline.NO_MODEL):
        raise VerifyError("this match was played offline: no chain knows it", hint="leave --rpc out")
    async with Chain(args.rpc, commitment="processed") as chain:
        view = await session.show(chain, common.address(meta.session, "session"))
    found = {
        "entity": str(view.session.entity), "player1": str(view.session.player1),
        "player2": str(view.session.player2), "frames": view.session.frame,
        "chain_hash": view.hidden.chain_hash.hex() if view.hidden else "",
    }  # fmt: skip
    for name, on_chain in found.items():
        if getattr(meta, name) != on_chain:
            raise VerifyError(f"meta.{name} is not the chain's", expected=on_chain, found=getattr(meta, name))
