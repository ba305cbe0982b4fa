"""`awm-crank quantize CHECKPOINT -o CARTRIDGE`: converts an FP32 checkpoint, a world's or a policy's, to INT8."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..errors import ConfigError
from . import common, output
from .parser import Parser

KEY = "model_state_dict"
NAME_BYTES = 32
SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors")
"""Files of a folder that --report takes for checkpoints."""
CLOSE_ENOUGH = 0.98
"""Share of equal actions below which the command explains the difference to windows of K frames."""


def configure(parser: Parser) -> None:
    """Adds the files, the model's name, and the calibration."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT",
        help="trained checkpoint (.pt or .safetensors) of a world, or of a policy (.pt or .npz); with --report the "
        "folder of several",
    )  # fmt: skip
    parser.add_argument(
        "--key", default=KEY, metavar="NAME",
        help=f"where the weights are in the checkpoint, nested names joined by dots (default: {KEY})",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="JSON",
        help="JSON file with encoding_config and context_len, if the checkpoint has none "
        "(default: the file named like CHECKPOINT with .json, if there is one)",
    )  # fmt: skip
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("-o", "--output", type=Path, metavar="CARTRIDGE", help="cartridge file to write (.awm)")
    target.add_argument(
        "--report", action="store_true",
        help="write nothing: quantize every checkpoint of the folder CHECKPOINT, and print for each one how well its "
        "integers agree with it, or why it is refused (exit status 1 if one is)",
    )  # fmt: skip
    parser.add_argument(
        "--name", default="", help="name of the model, at most 32 bytes (default: the name of the output file)"
    )
    parser.add_argument(
        "--model-version", type=common.unsigned(16), default=1, metavar="N", help="version of the model (default: 1)"
    )
    parser.add_argument(
        "--calibration-frames", type=common.number(1, 2**16 - 1), default=400, metavar="N",
        help="frames of each match that the calibration plays (default: 400)",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=Path, metavar="FILE",
        help="also calibrate on real frames: a file of the world's frame blocks in order (97 bytes each, more with "
        "extra feedback)",
    )  # fmt: skip
    parser.add_argument(
        "--stick-range", type=common.number(0, 127), default=0, metavar="N",
        help="how a stick's byte (-128 to 127) becomes the network's 0..1: -N is 0 and N is 1. Use 80 for worlds that "
        "were trained on replays. 0: the whole byte counts, (byte + 128) / 255 (default: 0)",
    )  # fmt: skip
    output.add_json(parser)


def execute(args: argparse.Namespace) -> int:
    """Calibrates and writes, and prints what is in the cartridge; or prints the report.

    Raises:
        ConfigError: a file cannot be read or written.
        CheckpointError: the checkpoint cannot be used.
    """
    if args.report:
        return _report(args)
    from . import policy_file

    # All that can be wrong is found before the calibration, which takes minutes.
    output.writable(args.output)
    data = common.read(args.checkpoint)
    if policy_file.is_policy(data):
        return policy_file.quantize(args, data)
    from ..engine.offline import checkpoint, quantize, report

    name = args.name or cut_name(args.output.stem)
    if len(name.encode()) > NAME_BYTES:
        raise ConfigError("--name is too long", expected=f"at most {NAME_BYTES} bytes of UTF-8", found=name)
    neighbour = args.checkpoint.with_suffix(".json")
    settings = args.config or (neighbour if args.checkpoint.suffix == ".safetensors" and neighbour.is_file() else None)
    config = common.read(settings) if settings else b""
    source = checkpoint.read(data, key=args.key, config=config)
    source = checkpoint.with_stick_range(source, args.stick_range)
    for note in source.notes:
        output.note(note)
    blocks = common.read(args.frames) if args.frames else b""
    with output.Progress() as progress:
        cartridge = quantize.quantize(
            source,
            name=name,
            version=args.model_version,
            frames=args.calibration_frames,
            blocks=blocks,
            tick=lambda what: progress(what, 0, 0),
        )
        output.write(args.output, cartridge.data)
        progress("comparing with windows of the training's length", 0, 0)
        found = report.window_difference(source, report.frames(source, report.FRAMES, blocks))
    shape = cartridge.shape
    values = {
        "cartridge": str(args.output),
        "sha256": cartridge.sha256.hex(),
        "bytes": len(cartridge.data),
        "parameters": cartridge.total_params,
        "layers": shape.num_layers,
        "d_model": shape.d_model,
        "d_inner": shape.d_inner,
        "d_state": shape.d_state,
        "state_bytes": cartridge.state_size,
        "extra_feedback_bytes": cartridge.extra_size,
        "stick_range": shape.encoding.stick_range,
    }
    if found:
        values |= {"context_len": source.context_len, "same_action_as_windows": round(found.action, 4)}
        if found.action < CLOSE_ENOUGH:
            output.note(
                f"the model was trained on windows of {source.context_len} frames that begin with an empty state. Here "
                f"its state goes on, and the action is the same in {found.action:.0%} of frames (docs/fidelity.md)."
            )
    output.result(args, values)
    return 0


def cut_name(text: str) -> str:
    """The beginning of a file's name that fits a cartridge, whole characters only."""
    return text.encode()[:NAME_BYTES].decode(errors="ignore")


def _report(args: argparse.Namespace) -> int:
    from ..engine.offline import report
    from . import policy_file

    if not args.checkpoint.is_dir():
        raise ConfigError(f"{args.checkpoint} is no folder", hint="--report takes a folder of checkpoints")
    lines = []
    with output.Progress() as progress:
        for path in sorted(each for each in args.checkpoint.iterdir() if each.suffix in SUFFIXES and each.is_file()):

            def tick(what: str, name: str = path.name) -> None:
                progress(f"{name}: {what}", 0, 0)

            config = path.with_suffix(".json")
            beside = common.read(config) if path.suffix == ".safetensors" and config.is_file() else b""
            data, frames = common.read(path), args.calibration_frames
            if policy_file.is_policy(data):
                output.note(f"{path.name} is a policy, not a world: quantize it by itself, with -o")
                continue
            lines.append(report.line(path.name, data, config=beside, calibration=frames, tick=tick))
            if not args.json:
                output.say(report.text(lines[-1]))
    if not lines:
        raise ConfigError(f"{args.checkpoint} holds no checkpoint", expected=" or ".join(SUFFIXES))
    if args.json:
        output.say(output.as_json([asdict(each) for each in lines]))
    return int(any(each.refused for each in lines))
