"""`awm-crank session list|create|join|delegate|undelegate|end|close|show`: sessions from the players' side."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..wire.contract import CHALLENGE_S
from . import common, output
from .parser import Parser

if TYPE_CHECKING:
    from solders.keypair import Keypair
    from solders.pubkey import Pubkey

    from ..client.chain import Chain

STEPS = {
    "list": "list the sessions on a chain or rollup",
    "create": "create a session, as player 1",
    "deposit": "put lamports aside for a session's accounts and fees, as player 1",
    "join": "join a session as player 2; the match starts",
    "delegate": "move a session to a rollup, as player 1, before anybody joins",
    "undelegate": "move an ended session back to the base chain; export its match file first",
    "end": "end a session, as either player",
    "close": "close an ended session's accounts; each lamport goes to the key that paid it",
    "show": "show a session and all of its accounts",
}


def configure(parser: Parser) -> None:
    """Adds a subcommand for each step of a session's life."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", parser_class=Parser)
    made = {
        name: steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        for name, text in STEPS.items()
    }
    for name, step in made.items():
        if name not in ("list", "create"):
            step.add_argument("session", metavar="SESSION", help="the session's address")
    _create(made["create"])
    made["list"].add_argument("--all", action="store_true", help="also list the sessions that have ended")
    made["delegate"].add_argument(
        "--ring", type=common.unsigned(16), default=2048, metavar="N",
        help="reserve space in the session's ring for N frames (default: 2048)",
    )  # fmt: skip
    made["delegate"].add_argument(
        "--state", type=common.unsigned(22), default=2_699_784, metavar="BYTES",
        help="reserve space in each checkpoint for BYTES of state (default: the most that the program allows)",
    )  # fmt: skip
    made["deposit"].add_argument(
        "--lamports", required=True, type=common.unsigned(64), metavar="N", help="put N lamports aside"
    )
    made["deposit"].add_argument(
        "--frame-lamports", required=True, type=common.unsigned(32), metavar="N",
        help="pay the crank N lamports for each frame; the same as before when adding to a deposit",
    )  # fmt: skip
    for name in ("create", "join"):
        made[name].add_argument(
            "--character", type=common.unsigned(8), default=0, metavar="N", help="character id, 0 to 32 (default: 0)"
        )
    for name, step in made.items():
        common.add_rpc(step)
        if name in ("delegate", "undelegate"):
            step.add_argument(
                "--base-rpc", required=True, type=common.url, metavar="URL", help="RPC endpoint of the base chain"
            )
        if name in ("create", "join", "end"):
            common.add_world(step)
        if name not in ("list", "show"):
            common.add_keypair(step)
        output.add_json(step)


def _create(step: Parser) -> None:
    step.add_argument("--model", required=True, metavar="ADDRESS", help="the published model to play")
    step.add_argument(
        "--writer", required=True, metavar="ADDRESS", help="the crank's public key: only it may write frames"
    )
    common.add_stage(step)
    step.add_argument(
        "--max-frames", type=common.unsigned(32), default=0, metavar="N",
        help="end the match after N frames (default: 0, no limit)",
    )  # fmt: skip
    step.add_argument(
        "--seed",
        type=common.unsigned(64),
        default=0,
        metavar="N",
        help="random seed to store in the session (default: 0)",
    )
    step.add_argument(
        "--challenge-s", type=common.unsigned(16), default=CHALLENGE_S, metavar="N",
        help="keep the result and the log for N seconds after the end, before anybody may close an account "
        "(default: %(default)s)",
    )  # fmt: skip
    step.add_argument(
        "--resume", metavar="ADDRESS", help="go on creating the session at ADDRESS, after a create that was interrupted"
    )
    step.add_argument(
        "--invite", metavar="ADDRESS", help="let only the player with this public key join (default: anyone may join)"
    )
    common.add_base_rpc(step)


async def execute(args: argparse.Namespace) -> int:
    """Does the chosen step.

    Raises:
        ConfigError: the command line names no step, or an address that is not one.
        AccountError: there is no such session.
    """
    from ..client.chain import Chain

    if args.step is None:
        raise ConfigError("no step given", hint="awm-crank session --help")
    for name, what in (
        ("model", "model"),
        ("writer", "writer"),
        ("session", "session"),
        ("resume", "session"),
        ("invite", "invite"),
    ):
        if getattr(args, name, None) is not None:
            setattr(args, name, common.address(getattr(args, name), what))
    player = common.keypair(args) if hasattr(args, "keypair") else None
    async with Chain(args.rpc) as chain:
        if player is None:
            from . import session_show

            await (session_show.show if args.step == "show" else session_show.listed)(args, chain)
        elif args.step in ("delegate", "undelegate"):
            await _move(args, chain, player, args.session)
        elif args.step == "close":
            await _close(args, chain, player)
        elif args.step == "deposit":
            await _deposit(args, chain, player)
        else:
            await _play(args, chain, player)
    return 0


async def _play(args: argparse.Namespace, chain: Chain, player: Keypair) -> None:
    """create, join or end."""
    from ..client import session, setup
    from ..client.chain import Chain
    from ..wire import ids

    world = await setup.find_world(chain, args.world)
    if args.step == "create":
        async with Chain(args.base_rpc or args.rpc) as base:
            made = await session.create(
                chain, player, world, args.model, writer=args.writer, character=args.character, stage=args.stage,
                max_frames=args.max_frames, seed=args.seed, base=base, resume=args.resume, challenge_s=args.challenge_s,
                invited=args.invite or ids.ZERO_KEY,
                announce=lambda found: output.note(f"session {found.session}, entity {found.entity}"),
            )  # fmt: skip
        output.result(args, {"session": str(made.session), "entity": str(made.entity)})
        return
    if args.step == "join":
        await session.join(chain, player, world, args.session, character=args.character)
    else:
        await session.end(chain, player, world, args.session)
    output.result(args, {"session": str(args.session), "step": args.step})


async def _deposit(args: argparse.Namespace, chain: Chain, player: Keypair) -> None:
    from ..client import session

    await session.deposit(chain, player, args.session, args.lamports, frame_lamports=args.frame_lamports)
    values = {"session": str(args.session), "lamports": args.lamports, "frame_lamports": args.frame_lamports}
    output.result(args, values)


async def _close(args: argparse.Namespace, chain: Chain, player: Keypair) -> None:
    from ..client import session

    closed = await session.close(chain, player, args.session)
    values = {"session": str(args.session), "returned_lamports": closed.to_player}
    if closed.to_writer:
        values |= {"writer": str(closed.writer), "writer_lamports": closed.to_writer}
    output.result(args, values)


async def _move(args: argparse.Namespace, roll: Chain, player: Keypair, address: Pubkey) -> None:
    """To the rollup, or back from it."""
    from ..client import rollup
    from ..client.chain import Chain

    values: dict[str, Any] = {"session": str(address), "step": args.step}
    async with Chain(args.base_rpc) as base:
        if args.step == "delegate":
            await rollup.delegate(base, roll, player, address, ring_records=args.ring, checkpoint_bytes=args.state)
        else:
            back = (await rollup.undelegate(base, roll, player, address)).view
            if back.hidden is not None:
                values |= {"frame": back.session.frame, "chain_hash": back.hidden.chain_hash.hex()}
    output.result(args, values)
