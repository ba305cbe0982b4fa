"""`awm-crank session create|join|delegate|undelegate|end|close|show`: sessions from the players' side."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import common

if TYPE_CHECKING:
    from solders.keypair import Keypair
    from solders.pubkey import Pubkey

    from ..client.chain import Chain
    from ..client.session import SessionView


def configure(parser: argparse.ArgumentParser) -> None:
    """One subcommand a step of a session's life."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", parser_class=type(parser))
    create = steps.add_parser("create", help="make a session, as player 1")
    create.add_argument("--model", required=True, metavar="ADDRESS", help="a published model")
    create.add_argument("--writer", required=True, metavar="ADDRESS", help="whose frames it takes: the crank's key")
    create.add_argument("--stage", type=common.unsigned(8), default=32, metavar="N", help="stage id (default 32)")
    create.add_argument(
        "--max-frames", type=common.unsigned(32), default=0, metavar="N", help="when it ends (default 0: unlimited)"
    )
    create.add_argument("--seed", type=common.unsigned(64), default=0, metavar="N", help="its seed (default 0)")
    create.add_argument("--resume", metavar="ADDRESS", help="finish the session that a failed create has begun")
    join = steps.add_parser("join", help="join a session, as player 2: it begins")
    end = steps.add_parser("end", help="end a session, as either player")
    close = steps.add_parser("close", help="close an ended session's accounts, as player 1, and return the rent")
    show = steps.add_parser("show", help="show a session and all its accounts")
    delegate = steps.add_parser("delegate", help="hand a session over to a rollup, as player 1, before anybody joins")
    delegate.add_argument(
        "--ring", type=common.unsigned(16), default=2048, metavar="N", help="records its ring may have (default 2048)"
    )
    delegate.add_argument(
        "--state", type=common.unsigned(22), default=2_699_784, metavar="BYTES",
        help="state bytes its checkpoints may have (default: as many as the program takes)",
    )  # fmt: skip
    undelegate = steps.add_parser("undelegate", help="take an ended session back to the base chain (export it first)")
    for step in (delegate, undelegate):
        common.add_rpc(step)
        step.add_argument("--base-rpc", required=True, type=common.url, metavar="URL", help="the base chain's endpoint")
        common.add_json(step)
        common.add_keypair(step)
    for step in (join, delegate, undelegate, end, close, show):
        step.add_argument("session", metavar="SESSION", help="the session's address")
    for step in (create, join):
        step.add_argument("--character", type=common.unsigned(8), default=0, metavar="N", help="0..32 (default 0)")
    for step in (create, join, end):
        common.add_world(step)
    for step in (create, join, end, close, show):
        common.add_rpc(step)
        common.add_json(step)
        if step is not show:
            common.add_keypair(step)
    common.add_base_rpc(create)


async def execute(args: argparse.Namespace) -> int:
    """Does the chosen step.

    Raises:
        ConfigError: none was chosen.
    """
    from ..client import session, setup
    from ..client.chain import Chain

    if args.step is None:
        raise ConfigError("no step given", hint="awm-crank session --help")
    if args.step == "create":
        model = common.address(args.model, "model")
        writer = common.address(args.writer, "writer")
        resume = common.address(args.resume, "session") if args.resume else None
    else:
        address = common.address(args.session, "session")
    player = common.keypair(args) if args.step != "show" else None
    async with Chain(args.rpc) as chain:
        if player is None:
            show(args, await session.show(chain, address))
            return 0
        if args.step in ("delegate", "undelegate"):
            await _move(args, chain, player, address)
            return 0
        if args.step == "close":
            closed = await session.close(chain, player, address)
            values = {"session": str(address), "returned_lamports": closed.to_player}
            if closed.to_writer:
                values |= {"writer": str(closed.writer), "writer_lamports": closed.to_writer}
            common.result(args, values)
            return 0
        world = await setup.find_world(chain, args.world)
        if args.step == "create":
            async with Chain(args.base_rpc or args.rpc) as base:
                made = await session.create(
                    chain, player, world, model, writer=writer, character=args.character, stage=args.stage,
                    max_frames=args.max_frames, seed=args.seed, base=base, resume=resume,
                    announce=lambda found: common.note(f"session {found.session}, entity {found.entity}"),
                )  # fmt: skip
            common.result(args, {"session": str(made.session), "entity": str(made.entity)})
        else:
            if args.step == "join":
                await session.join(chain, player, world, address, character=args.character)
            else:
                await session.end(chain, player, world, address)
            common.result(args, {"session": str(address), "step": args.step})
    return 0


async def _move(args: argparse.Namespace, roll: Chain, player: Keypair, address: Pubkey) -> None:
    """To the rollup, or back."""
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
    common.result(args, values)


def show(args: argparse.Namespace, view: SessionView) -> None:
    """Prints a session's accounts, or the main figures as JSON."""
    from ..match import view as render

    session, hidden, log = view.session, view.hidden, view.log
    if args.json:
        values: dict[str, Any] = {
            "session": str(view.accounts.session),
            "status": render.STATUS[session.status],
            "frame": session.frame,
            "max_frames": session.max_frames,
            "player1": str(session.player1),
            "player2": str(session.player2),
            "model": str(session.model),
            "seed": str(session.seed),
            "writer": str(hidden.writer) if hidden else None,
            "chain_hash": hidden.chain_hash.hex() if hidden else None,
            "checkpoint_frame": hidden.checkpoint_frame if hidden and hidden.initialized else None,
            "ring": [log.holds().start, log.holds().stop - 1] if log and log.holds() else None,
            "lamports": sum(view.lamports),
        }
        common.result(args, values)
        return
    for found, key in zip((session, hidden, view.inputs, log, *view.checkpoints), view.accounts.all(), strict=True):
        if found is not None:
            common.say(f"{type(found).__name__} {key}\n{render.struct(found)}")
