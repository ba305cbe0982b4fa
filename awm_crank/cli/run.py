"""`awm-crank run`: serves sessions until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
from pathlib import Path

from .parser import Parser


def configure(parser: Parser) -> None:
    """Adds the configuration, and the files to write."""
    parser.epilog = (
        "SIGTERM saves a checkpoint of every session before the crank ends. Ctrl-C ends it within a second; the "
        "sessions continue at their last frame when a crank starts again. Each setting "
        "has an environment variable too, such as AWM_CRANK__CHAIN__BASE_HTTP."
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration file (TOML)")
    parser.add_argument(
        "--keypair", type=Path, metavar="FILE", help="key file of the writer, instead of the configuration's"
    )
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="write FILE when the crank is ready to serve")
    parser.add_argument(
        "--stats", type=Path, metavar="FILE", help="write counters and latencies to FILE at the end, as JSON"
    )


def execute(args: argparse.Namespace) -> int:
    """Runs the daemon. Standard output has its log: lines for people on a terminal, JSON in a pipe or a file.

    Raises:
        ConfigError, KeyFileError: before it starts.
    """
    from .. import config
    from ..client.keys import load_keypair
    from ..daemon import Daemon
    from ..net import loop
    from ..telemetry import logs
    from ..wire.transaction import Signer
    from . import interrupt

    settings = config.load(args.config)
    logs.configure(settings.log.level)
    path = args.keypair or Path(settings.crank.keypair)
    key = load_keypair(path, allow_open=settings.crank.allow_open_keypair, warn=logs.get().warning)
    signer = Signer(bytes(key))

    async def serve() -> None:
        daemon = Daemon(settings, signer, ready_file=args.ready_file, stats_file=args.stats)
        with interrupt.stopping_by(daemon.interrupted):
            await daemon.run()

    loop.run(serve())
    return 0
