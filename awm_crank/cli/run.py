"""`awm-crank run`: serves sessions until SIGTERM."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import config
from ..client.keys import load_keypair
from ..daemon import Daemon
from ..net import loop
from ..telemetry import logs
from ..wire.transaction import Signer


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, TOML")
    parser.add_argument(
        "--keypair", type=Path, metavar="FILE", help="the writer's key file, instead of the configuration's"
    )
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="written once the crank serves")
    parser.add_argument("--stats", type=Path, metavar="FILE", help="written at the end: counters and latencies, JSON")


def execute(args: argparse.Namespace) -> int:
    """Runs the daemon. Raises ConfigError, KeyFileError before it starts."""
    settings = config.load(args.config)
    signer = Signer(bytes(load_keypair(args.keypair or Path(settings.crank.keypair))))
    logs.configure(settings.log.level)

    async def serve() -> None:
        await Daemon(settings, signer, ready_file=args.ready_file, stats_file=args.stats).run()

    loop.run(serve())
    return 0
