"""Policy files as `play` and `quantize` take them: checkpoints (`.pt`, `.npz`) and policy cartridges (`.awm`)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import common, output

if TYPE_CHECKING:
    from ..match.policy import Policy
    from ..match.policy_agent import AnyPolicy

_MARK = b"analog_head.weight"
"""What every policy checkpoint names, and no world does."""
_WINDOWS = 600
"""At most so many windows of the calibration are measured."""


def is_policy(data: bytes) -> bool:
    """Whether a checkpoint file is a policy's: its tensors' names are plain text in every kind of file."""
    return _MARK in data


def read(path: Path, engine: str = "native") -> AnyPolicy:
    """The policy in a file of any kind.

    Args:
        path: the file.
        engine: `native` or `reference`, for a policy cartridge.

    Raises:
        EngineError: the native engine is not built.
        ConfigError: the file cannot be read.
        CartridgeError: the policy cartridge is damaged.
        CheckpointError: the file is not a policy.
    """
    from ..engine.policy import MAGIC, PolicyCartridge
    from ..match.policy import Policy
    from ..match.policy_integer import IntegerPolicy

    data = common.read(path)
    if data.startswith(MAGIC):
        return IntegerPolicy(PolicyCartridge.parse(data), engine)
    return Policy.read(data)


def quantize(args: argparse.Namespace, data: bytes) -> int:
    """Converts a policy checkpoint to a policy cartridge, and prints how far the two agree.

    Raises:
        ConfigError: a file cannot be read or written, or the calibration's frames are no blocks of this encoding.
        CheckpointError: the policy cannot be used.
    """
    import numpy as np

    from ..engine.offline.policy_quantize import quantize_policy
    from ..match.policy import Policy

    policy = Policy.read(data)
    vectors = _vectors(policy, common.read(args.frames) if args.frames else b"", args.calibration_frames)
    count = policy.context_len
    ends = np.unique(np.linspace(count - 1, len(vectors[0]) - 1, min(_WINDOWS, len(vectors[0]))).astype(int))
    windows = [(seat, int(end)) for seat in (0, 1) for end in ends]
    contexts = np.array([np.concatenate(vectors[seat][end - count + 1 : end + 1]) for seat, end in windows])
    rule = policy.rule
    made = quantize_policy(
        policy.weights, policy.scales, policy.flags, count, contexts, whole_frames=rule.whole_frames,
        sampled=rule.sampled, bias=rule.bias, name=args.name or args.output.stem[:32], version=args.model_version,
    )  # fmt: skip
    output.write(args.output, made.data)
    output.result(
        args,
        {
            "cartridge": str(args.output), "kind": "policy", "sha256": made.sha256.hex(), "bytes": len(made.data),
            "parameters": made.total_params, "context_len": count, **_agreement(policy, made, vectors, windows),
        },
    )  # fmt: skip
    return 0


def _vectors(policy: Policy, recorded: bytes, frames: int) -> tuple[list[Any], list[Any]]:
    """The frame vectors of the calibration, as player 1 and as player 2 see them."""
    world = policy.flags
    size = world.block_size
    if len(recorded) % size:
        raise ConfigError(
            "--frames", expected=f"blocks of {size} bytes for this policy", found=f"{len(recorded)} bytes"
        )
    blocks = [recorded[at : at + size] for at in range(0, len(recorded), size)]
    blocks += [block + bytes(2 * world.extra_size) for block in _played(max(frames, policy.context_len))]
    first, second = ([policy.frame_vector(block, seat, world) for block in blocks] for seat in (0, 1))
    return first, second


def _played(frames: int) -> list[bytes]:
    """The frame blocks of a match in the demo's world between two of its scripted players."""
    from ..engine import choose
    from ..match.game import Game
    from ..match.players import agent
    from ..match.stages import FINAL_DESTINATION
    from ..wire.accounts import FRESH
    from ..wire.start import start_players

    players = (agent("fighter"), agent("random"))
    game = Game.start(choose.build(common.demo_cartridge()), start_players(1, 2), FINAL_DESTINATION, bytes(32))
    blocks = [game.block]
    while len(blocks) < frames:
        inputs = b"".join(each(1, seat, game.frame + 1, game.block) for seat, each in enumerate(players))
        game.advance(inputs, bytes((FRESH, FRESH)))
        blocks.append(game.block)
    return blocks


def _agreement(policy: Policy, made: Any, vectors: tuple[list[Any], list[Any]], windows: Any) -> dict[str, float]:
    """How far sticks are apart, in 1/255, and how often a button's side of its threshold is the same."""
    import numpy as np

    from ..engine.policy import ANALOG, analog_byte

    apart, same = [], []
    step, count = 1 << made.format.f_in, policy.context_len
    for seat, end in windows:
        context = np.stack(vectors[seat][end - count + 1 : end + 1])
        analog, logits = policy.forward(context)
        outputs = made.outputs(np.clip(np.rint(context * step), -32768, 32767).astype(np.int64))
        apart += [abs(analog_byte(int(a)) - 255 * float(b)) for a, b in zip(outputs[:ANALOG], analog, strict=True)]
        bias = made.format.bias
        same += list((outputs[ANALOG:] + bias > 0) == (logits + policy.rule.bias > 0))
    return {"sticks_apart": round(float(np.mean(apart)), 3), "buttons_agree": round(float(np.mean(same)), 4)}
