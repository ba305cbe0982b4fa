"""`awm-crank quantize CHECKPOINT -o CARTRIDGE`: converts an FP32 checkpoint, a world's or a policy's, to INT8."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import common, output
from .parser import Parser

KEY = "model_state_dict"


def configure(parser: Parser) -> None:
    """Adds the files, the model's name, and the calibration."""
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="trained checkpoint (.pt or .safetensors) of a world, or of a policy (.pt or .npz)",
    )
    parser.add_argument(
        "--key", default=KEY, metavar="NAME",
        help=f"where the weights are in the checkpoint, nested names joined by dots (default: {KEY})",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="JSON",
        help="JSON file with encoding_config and context_len, if the checkpoint has none "
        "(default: the file named like CHECKPOINT with .json, if there is one)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="CARTRIDGE", help="cartridge file to write (.awm)"
    )
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
        help="also calibrate on real frames: a file of 97-byte frame blocks in order",
    )  # fmt: skip
    output.add_json(parser)


def execute(args: argparse.Namespace) -> int:
    """Calibrates and writes, and prints what is in the cartridge.

    Raises:
        ConfigError: a file cannot be read or written.
        CheckpointError: the checkpoint cannot be used.
    """
    from . import policy_file

    data = common.read(args.checkpoint)
    if policy_file.is_policy(data):
        return policy_file.quantize(args, data)
    from ..engine.offline import checkpoint, quantize

    neighbour = args.checkpoint.with_suffix(".json")
    settings = args.config or (neighbour if args.checkpoint.suffix == ".safetensors" and neighbour.is_file() else None)
    config = common.read(settings) if settings else b""
    source = checkpoint.read(data, key=args.key, config=config)
    for note in source.notes:
        output.note(note)
    blocks = common.read(args.frames) if args.frames else b""
    with output.Progress() as progress:
        cartridge = quantize.quantize(
            source,
            name=args.name or args.output.stem[:32],
            version=args.model_version,
            frames=args.calibration_frames,
            blocks=blocks,
            tick=lambda what: progress(what, 0, 0),
        )
    output.write(args.output, cartridge.data)
    shape = cartridge.shape
    output.result(
        args,
        {
            "cartridge": str(args.output),
            "sha256": cartridge.sha256.hex(),
            "bytes": len(cartridge.data),
            "parameters": cartridge.total_params,
            "layers": shape.num_layers,
            "d_model": shape.d_model,
            "d_inner": shape.d_inner,
            "d_state": shape.d_state,
            "state_bytes": cartridge.state_size,
        },
    )
    return 0
