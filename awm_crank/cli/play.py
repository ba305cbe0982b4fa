"""`awm-crank play SESSION`: plays a session with an agent until it ends. `--offline` plays both sides here."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AccountError, ConfigError
from . import common, interrupt, output
from .parser import Parser

if TYPE_CHECKING:
    from ..engine.encoding import Encoding
    from ..match.players import Agent

OFFLINE_FRAMES = 28_800
"""Eight minutes at 60 frames a second."""
_POLICY = "policy:"


def configure(parser: Parser) -> None:
    """Adds the session and the agent, and what an offline match is made of."""
    known = (
        "noop, random, hold-forward, spacing (keeps its distance), fighter (attacks) or policy:FILE (a trained policy)"
    )
    parser.add_argument("session", nargs="?", metavar="SESSION", help="the session's address (not with --offline)")
    parser.add_argument("--agent", default="random", metavar="NAME", help=f"who plays: {known} (default: random)")
    parser.add_argument(
        "--buttons", choices=("sample", "threshold"), default=None,
        help="how a policy presses buttons: drawn from its probabilities and the seed, or above one half "
        "(default: as the policy was trained)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=common.unsigned(64), default=0, metavar="N",
        help="seed of the agent, and of the match with --offline (default: 0)",
    )  # fmt: skip
    common.add_rpc(parser)
    common.add_ws(parser)
    common.add_keypair(parser)
    common.add_world(parser)
    output.add_json(parser)
    offline = parser.add_argument_group("offline", "play a whole match without a chain, and write its match file")
    offline.add_argument("--offline", action="store_true", help="play both sides on this machine")
    offline.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the match file to FILE")
    offline.add_argument("--opponent", metavar="NAME", help="player 2's agent (default: the same as --agent)")
    common.add_cartridge(offline, "the demo's")
    offline.add_argument(
        "--max-frames", type=common.number(1, 2**32 - 1), default=OFFLINE_FRAMES, metavar="N",
        help=f"end the match after N frames if no player has lost by then (default: {OFFLINE_FRAMES}, 8 minutes)",
    )  # fmt: skip
    offline.add_argument(
        "--characters", type=_characters, default=(1, 2), metavar="A,B", help="both characters' ids (default: 1,2)"
    )
    common.add_stage(offline)
    common.add_engine(offline)


def execute(args: argparse.Namespace) -> int:
    """Plays, and prints how it went.

    Raises:
        AccountError: the key is not a player of that session.
        ConfigError: there is no such agent or no WebSocket endpoint, or an option belongs to the other kind of match.
    """
    if args.offline:
        return _offline(args)
    if args.session is None:
        raise ConfigError("no session named", hint="awm-crank play SESSION, or play --offline -o FILE")
    for name in ("output", "opponent", "cartridge"):
        if getattr(args, name) is not None:
            raise ConfigError(f"--{name} goes with --offline only", hint="awm-crank play --help")
    return interrupt.run(on_chain(args))


async def on_chain(args: argparse.Namespace) -> int:
    """Plays a session on chain. Raises as `execute`."""
    from ..client import session, setup
    from ..client.chain import Chain
    from ..client.player import PlayerConnection, ScriptedPlayer
    from ..client.world import read_encoding
    from ..wire.transaction import Signer

    agent_of(args.agent)
    address = common.address(args.session, "session")
    signer = Signer(bytes(common.keypair(args)))
    ws = common.websocket(args)
    async with Chain(args.rpc) as chain:
        world = await setup.find_world(chain, args.world)
        state = await session.load_session(chain, address)
        encoding = await read_encoding(chain, state.model) if args.agent.startswith(_POLICY) else None
    agent = agent_of(args.agent, encoding, state.stage, args.buttons)
    if signer.pubkey not in (state.player1, state.player2):
        raise AccountError(
            f"{signer.pubkey} is not a player of session {address}", hint=f"awm-crank session join {address}"
        )
    seat = ScriptedPlayer(signer, int(signer.pubkey == state.player2), agent)
    async with PlayerConnection(args.rpc, ws) as connection, output.waiting(f"playing session {address} until it ends"):
        played = await connection.play(state.entity, world, [seat], args.seed)
    output.result(
        args,
        {"session": str(address), "frame": played.frame, "inputs_sent": played.sent, "resent": played.resent},
    )
    return 0


def _offline(args: argparse.Namespace) -> int:
    from ..engine import choose
    from ..match import offline, outcome

    if args.session is not None:
        raise ConfigError("--offline takes no session", found=args.session, hint="leave one of them out")
    if args.output is None:
        raise ConfigError("--offline needs a file for the match", hint="name it with -o FILE")
    cartridge = common.cartridge(args) or common.demo_cartridge()
    encoding = cartridge.shape.encoding
    names = (args.agent, args.opponent or args.agent)
    agents = [agent_of(name, encoding, args.stage, args.buttons, args.engine) for name in names]
    with output.Progress("frames") as progress:
        match = offline.play(
            choose.build(cartridge, args.engine), cartridge.sha256, agents, seed=args.seed,
            max_frames=args.max_frames, stage=args.stage, characters=args.characters,
            progress=lambda frame, of: progress("playing", frame, of),
        )  # fmt: skip
    output.write(args.output, match.encode())
    output.result(args, {"file": str(args.output)} | outcome.summary(match))
    return 0


def agent_of(
    name: str, world: Encoding | None = None, stage: int = 0, buttons: str | None = None, engine: str = "native"
) -> Agent:  # fmt: skip
    """The agent of that name; `policy:FILE` reads a policy checkpoint or a policy cartridge.

    Args:
        world: the encoding of the world to play in; None checks the name and the file only.
        stage: the stage's number.
        buttons: `sample` or `threshold` instead of the policy's own rule.
        engine: what a policy cartridge runs on.

    Raises:
        ConfigError: no agent has that name, or the file cannot be read.
        CheckpointError: the file is not a policy, or it reads what the world's frames do not hold.
    """
    from ..match.players import agent

    if not name.startswith(_POLICY):
        return agent(name)
    from ..engine.encoding import Encoding
    from ..match.policy_agent import PolicyAgent
    from . import policy_file

    policy = policy_file.read(Path(name.removeprefix(_POLICY)), engine)
    if buttons is not None:
        policy.rule = replace(policy.rule, sampled=buttons == "sample")
    return PolicyAgent(policy, world or Encoding(state_flags=True, hitstun=True), stage)


def _characters(text: str) -> tuple[int, int]:
    first, comma, second = text.partition(",")
    number = common.unsigned(8)
    if not comma:
        raise argparse.ArgumentTypeError(f"{text!r} is not two characters, such as 1,2")
    return number(first), number(second)
