"""`awm-crank quantize CHECKPOINT -o CARTRIDGE`: an FP32 checkpoint becomes an INT8 cartridge."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import ConfigError
from . import common

KEY = "model_state_dict"


def configure(parser: argparse.ArgumentParser) -> None:
    """Files, name, calibration."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="trained checkpoint (.pt or .safetensors)")
    parser.add_argument("--key", default=KEY, metavar="NAME", help=f"state dict to take, keys joined by dots ({KEY})")
    parser.add_argument(
        "--config", type=Path, metavar="JSON",
        help="encoding_config and context_len of a file without them (default: CHECKPOINT with .json, if there is one)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CARTRIDGE", help="file to write (.awm)")
    parser.add_argument("--name", default="", help="the model's name, at most 32 bytes (default: the output's)")
    parser.add_argument("--model-version", type=common.unsigned(16), default=1, metavar="N", help="its version (1)")
    parser.add_argument(
        "--calibration-frames", type=common.unsigned(16), default=400, metavar="N", help="frames of each rollout (400)"
    )
    parser.add_argument(
        "--frames", type=Path, metavar="FILE", help="real frames to calibrate on too: 97-byte frame blocks in order"
    )
    common.add_json(parser)


def execute(args: argparse.Namespace) -> int:
    """Reads, calibrates, writes; says what came out."""
    from ..engine.offline import checkpoint, quantize

    if not args.calibration_frames:
        raise ConfigError("--calibration-frames", expected="1 or more", found=0)
    beside = args.checkpoint.with_suffix(".json")
    settings = args.config or (beside if args.checkpoint.suffix == ".safetensors" and beside.is_file() else None)
    config = common.read(settings) if settings else b""
    source = checkpoint.read(common.read(args.checkpoint), key=args.key, config=config)
    for note in source.notes:
        print(note, file=sys.stderr)
    blocks = common.read(args.frames) if args.frames else b""
    cartridge = quantize.quantize(
        source,
        name=args.name or args.output.stem[:32],
        version=args.model_version,
        frames=args.calibration_frames,
        blocks=blocks,
    )
    try:
        args.output.write_bytes(cartridge.data)
    except OSError as error:
        raise ConfigError(f"{args.output} cannot be written: {error.strerror}", hint="name another file") from error
    shape = cartridge.shape
    common.result(
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
