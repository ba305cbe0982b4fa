"""`awm-crank play SESSION`: plays a session with an agent until it has ended; `--offline`: both players, no chain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AccountError, ConfigError
from . import common

if TYPE_CHECKING:
    from ..match.players import Agent

OFFLINE_FRAMES = 28_800
"""Eight minutes at 60 frames a second."""
_POLICY = "policy:"


def configure(parser: argparse.ArgumentParser) -> None:
    """Session, agents, endpoints, key; what an offline match is made of."""
    known = "noop, random, hold-forward, spacing, fighter or policy:FILE"
    parser.add_argument("session", nargs="?", metavar="SESSION", help="the session's address (without --offline)")
    parser.add_argument("--agent", default="random", metavar="NAME", help=f"{known} (default random)")
    parser.add_argument("--seed", type=common.unsigned(64), default=0, metavar="N", help="of the agent (default 0)")
    common.add_rpc(parser)
    parser.add_argument("--ws", default="", metavar="URL", help="WebSocket endpoint (default: --rpc, one port higher)")
    common.add_keypair(parser)
    common.add_world(parser)
    common.add_json(parser)
    offline = parser.add_argument_group("offline", "a whole match without a chain, to a match file")
    offline.add_argument("--offline", action="store_true", help="play both players here")
    offline.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the match file goes")
    offline.add_argument("--opponent", metavar="NAME", help="player 2's agent (default: as --agent)")
    common.add_cartridge(offline, "the package's demo cartridge")
    offline.add_argument(
        "--max-frames", type=common.unsigned(32), default=OFFLINE_FRAMES, metavar="N",
        help=f"the match's length unless a KO ends it (default {OFFLINE_FRAMES})",
    )  # fmt: skip
    offline.add_argument(
        "--characters", type=_characters, default=(1, 2), metavar="A,B", help="both players' characters (default 1,2)"
    )
    offline.add_argument("--stage", type=common.unsigned(8), default=32, metavar="N", help="stage (default 32)")
    common.add_engine(offline)


async def execute(args: argparse.Namespace) -> int:
    """Plays, and prints how it went.

    Raises:
        AccountError: the key is no player of that session.
        ConfigError: unknown agent, no WebSocket endpoint, or arguments of the other kind of match.
    """
    if args.offline:
        return _offline(args)
    if args.session is None:
        raise ConfigError("no session named", hint="awm-crank play SESSION, or play --offline -o FILE")
    for name in ("output", "opponent", "cartridge"):
        if getattr(args, name) is not None:
            raise ConfigError(f"--{name} goes with --offline only", hint="awm-crank play --help")
    return await _on_chain(args)


async def _on_chain(args: argparse.Namespace) -> int:
    from ..client import session, setup
    from ..client.chain import Chain
    from ..client.player import Seat, Table
    from ..config import websocket_url
    from ..wire.transaction import Signer

    agent_of(args.agent, 0)
    address = common.address(args.session, "session")
    signer = Signer(bytes(common.keypair(args)))
    try:
        ws = args.ws or websocket_url(args.rpc)
    except ConfigError as error:
        raise ConfigError(error.what, found=error.found, hint="name it with --ws") from None
    async with Chain(args.rpc) as chain:
        world = await setup.find_world(chain, args.world)
        state = await session.load_session(chain, address)
    if signer.pubkey not in (state.player1, state.player2):
        raise AccountError(
            f"{signer.pubkey} is no player of session {address}", hint=f"awm-crank session join {address}"
        )
    seat = Seat(signer, int(signer.pubkey == state.player2), agent_of(args.agent, state.stage))
    async with Table(args.rpc, ws) as table:
        outcome = await table.play(state.entity, world, [seat], args.seed)
    common.result(
        args,
        {"session": str(address), "frame": outcome.frame, "inputs_sent": outcome.sent, "resent": outcome.resent},
    )
    return 0


def _offline(args: argparse.Namespace) -> int:
    from ..engine import choose
    from ..match import offline

    if args.session is not None:
        raise ConfigError("--offline takes no session", found=args.session, hint="leave one of them out")
    if args.output is None:
        raise ConfigError("--offline needs a file for the match", hint="name it with -o FILE")
    cartridge = common.cartridge(args) or common.demo_cartridge()
    agents = [agent_of(name, args.stage) for name in (args.agent, args.opponent or args.agent)]
    progress = common.ProgressLine(" frames")
    try:
        match = offline.play(
            choose.build(cartridge, args.engine), cartridge.sha256, agents, seed=args.seed,
            max_frames=args.max_frames, stage=args.stage, characters=args.characters,
            progress=lambda frame, of: progress("playing", frame, of),
        )  # fmt: skip
    finally:
        progress.done()
    args.output.write_bytes(match.encode())
    common.result(args, {"file": str(args.output), "frames": match.meta.frames, "chain_hash": match.meta.chain_hash})
    return 0


def agent_of(name: str, stage: int) -> Agent:
    """The agent of that name; `policy:FILE` reads a policy checkpoint.

    Raises:
        ConfigError: there is none, or the file cannot be read.
        CheckpointError: the file is no policy.
    """
    from ..match.players import agent

    if not name.startswith(_POLICY):
        return agent(name)
    from ..match.policy import Policy

    return Policy.read(common.read(Path(name.removeprefix(_POLICY)))).agent(stage)


def _characters(text: str) -> tuple[int, int]:
    first, comma, second = text.partition(",")
    number = common.unsigned(8)
    if not comma:
        raise argparse.ArgumentTypeError(f"{text!r} is not two characters, such as 1,2")
    return number(first), number(second)
