"""`awm-crank verify SESSION|FILE`: recomputes a match, and names the first byte that differs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AccountError, CartridgeError, VerifyError
from . import common, interrupt, output
from .parser import Parser

if TYPE_CHECKING:
    from solders.pubkey import Pubkey

    from ..engine.cartridge import Cartridge
    from ..match.file import MatchFile
    from ..match.verify import Snapshot, Verdict


def configure(parser: Parser) -> None:
    """Adds what to verify, and with which cartridge."""
    parser.add_argument("target", metavar="SESSION|FILE", help="a session's address, or a match file")
    parser.add_argument(
        "--rpc", type=common.url, metavar="URL",
        help=f"RPC endpoint (default for a SESSION: {common.LOCALNET}); a FILE is also compared with the chain there",
    )  # fmt: skip
    common.add_base_rpc(parser)
    common.add_journal(parser)
    common.add_mirrors(parser)
    common.add_cartridge(parser, "the chain's, or the demo's if the match was played with that")
    common.add_engine(parser)
    output.add_json(parser)


def execute(args: argparse.Namespace) -> int:
    """Verifies. When a byte differs, the status is 1 and the first difference is on standard error.

    Raises:
        VerifyError: a byte differs; names the frame, the field, the offset and both values.
    """
    target = common.file_or_address(args.target)
    # the computation is outside the event loop, so that Ctrl-C can interrupt it
    verdict = _file(args, target) if isinstance(target, Path) else _session(args, target)
    verdict.check()
    if args.json:
        values = {"agrees": True, "start": verdict.start, "last": verdict.last, "chain_hash": verdict.chain_hash.hex()}
        output.result(args, values)
        return 0
    begun = "from its start" if verdict.start == 0 else f"from the checkpoint of frame {verdict.start}"
    output.say(f"every byte agrees, {begun} to frame {verdict.last}; chain hash {verdict.chain_hash.hex()}")
    return 0


def _file(args: argparse.Namespace, path: Path) -> Verdict:
    from ..engine import choose
    from ..match import file, verify

    match = file.parse(common.read(path), source=str(path))
    cartridge = interrupt.run(_cartridge_of(args, match))
    with output.Progress("frames") as progress:
        verdict = verify.verify_file(
            match, choose.build(cartridge, args.engine), cartridge.sha256,
            progress=lambda n, of: progress("verifying", n, of),
        )  # fmt: skip
    if args.rpc is not None:
        interrupt.run(_compare_with_chain(args, match))
    return verdict


def _session(args: argparse.Namespace, address: Pubkey) -> Verdict:
    from ..engine import choose
    from ..match import verify

    snapshot, cartridge = interrupt.run(_fetch(args, address))
    engine = choose.build(cartridge, args.engine)
    with output.Progress("frames") as progress:
        return verify.verify_session(snapshot, engine, progress=lambda n, of: progress("verifying", n, of))


async def _fetch(args: argparse.Namespace, address: Pubkey) -> tuple[Snapshot, Cartridge]:
    """All of a session's accounts at one frame, and the cartridge that it is played with."""
    from ..client import publish, session
    from ..client.chain import Chain
    from ..match import verify

    rpc = args.rpc or common.LOCALNET
    async with Chain(rpc, commitment="processed") as chain:
        view = await session.show_one_frame(chain, address)
        if view.hidden is None or view.inputs is None or view.log is None:
            raise AccountError(f"session {address} is being closed", hint="verify a match file of it instead")
        cartridge = common.cartridge(args)
        if cartridge is None:
            async with Chain(args.base_rpc or rpc) as base:
                cartridge = await publish.load(
                    base, view.session.model, mirrors=common.mirrors(args), tell=common.mirror_fault
                )
    snapshot = verify.Snapshot(
        address, view.session, view.hidden, view.inputs, view.log, view.checkpoints, view.start_players,
        journal=tuple(common.journal(args, view.session.entity, view.hidden.extra_size)),
    )  # fmt: skip
    return snapshot, cartridge


async def _cartridge_of(args: argparse.Namespace, match: MatchFile) -> Cartridge:
    """The cartridge of `--cartridge`, else the chain's, else the demo's if the match was played with that."""
    from ..client import publish
    from ..client.chain import Chain
    from ..match import offline

    named = common.cartridge(args)
    if named is not None:
        return named
    if args.rpc is not None and match.meta.model != str(offline.NO_MODEL):
        async with Chain(args.base_rpc or args.rpc) as base:
            return await publish.load(
                base, common.address(match.meta.model, "model"), mirrors=common.mirrors(args), tell=common.mirror_fault
            )
    demo = common.demo_cartridge()
    if demo.sha256.hex() == match.meta.cartridge_sha256:
        return demo
    raise CartridgeError(
        "the cartridge that the match was played with is missing", expected=f"SHA-256 {match.meta.cartridge_sha256}",
        hint="name its file with --cartridge FILE, or its chain with --rpc URL",
    )  # fmt: skip


async def _compare_with_chain(args: argparse.Namespace, match: MatchFile) -> None:
    """Compares players, frames and the last chain hash with the session's accounts on chain."""
    from ..client import session
    from ..client.chain import Chain
    from ..match import offline

    meta = match.meta
    if meta.model == str(offline.NO_MODEL):
        raise VerifyError("this match was played offline, so no chain has it", hint="leave --rpc out")
    async with Chain(args.rpc, commitment="processed") as chain:
        view = await session.show(chain, common.address(meta.session, "session"))
    found = {
        "entity": str(view.session.entity), "player1": str(view.session.player1),
        "player2": str(view.session.player2), "frames": view.session.frame,
        "chain_hash": view.hidden.chain_hash.hex() if view.hidden else "",
    }  # fmt: skip
    for name, on_chain in found.items():
        if getattr(meta, name) != on_chain:
            raise VerifyError(f"meta.{name} is not what the chain has", expected=on_chain, found=getattr(meta, name))
