"""What several commands share: the options for endpoints, keys and numbers, and reading what they name."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..endpoint import Endpoint
from ..errors import ConfigError

if TYPE_CHECKING:
    from solders.keypair import Keypair
    from solders.pubkey import Pubkey

    from ..engine.cartridge import Cartridge
    from ..net.mirrors import Mirrors, Report

LOCALNET = "http://127.0.0.1:8899"
SOLANA_KEY = Path("~/.config/solana/id.json")
CARTRIDGE_MAGIC = b"AWMCART\0"


def add_rpc(parser: argparse.ArgumentParser) -> None:
    """`--rpc URL`: the chain or rollup that the sessions are on."""
    parser.add_argument(
        "--rpc", default=LOCALNET, type=url, metavar="URL",
        help=f"RPC endpoint: a URL, localhost, devnet, testnet, mainnet-beta or solana-cli (default: {LOCALNET})",
    )  # fmt: skip


def add_base_rpc(parser: argparse.ArgumentParser) -> None:
    """`--base-rpc URL`: the base chain, which has the model when the sessions are on a rollup."""
    parser.add_argument(
        "--base-rpc", type=url, metavar="URL", help="RPC endpoint of the chain that has the model (default: --rpc)"
    )


def add_journal(parser: argparse.ArgumentParser) -> None:
    """`--journal DIR`: a crank's journal, which has the records that the ring has lost."""
    parser.add_argument(
        "--journal", type=Path, metavar="DIR",
        help="also use the records in this crank's journal (checkpoints.journal), for frames that the ring has lost",
    )  # fmt: skip


def journal(args: argparse.Namespace, entity: Pubkey, extra_size: int) -> list[bytes]:
    """The records of `--journal`; none without it. Raises MatchFileError when they cannot be used.

    `extra_size`: bytes of extra feedback for each player, as the match's hidden state says.
    """
    from ..daemon.journal import records

    return [] if args.journal is None else records(args.journal, entity, extra_size)


def add_ws(parser: argparse.ArgumentParser) -> None:
    """`--ws URL`: the WebSocket endpoint that goes with `--rpc`."""
    parser.add_argument(
        "--ws", default="", metavar="URL", help="WebSocket endpoint (default: the host of --rpc, its port plus one)"
    )


def add_keypair(parser: argparse.ArgumentParser) -> None:
    """`--keypair FILE`: the key that signs and pays."""
    parser.add_argument(
        "--keypair", default=SOLANA_KEY, type=Path, metavar="FILE",
        help=f"file of the key that signs and pays (default: {SOLANA_KEY})",
    )  # fmt: skip


def add_world(parser: argparse.ArgumentParser) -> None:
    """`--world ADDRESS`: the BOLT world to work in."""
    parser.add_argument(
        "--world", default="", metavar="ADDRESS", help="BOLT world (default: the open one with the lowest id)"
    )


def add_cartridge(parser: argparse._ActionsContainer, otherwise: str) -> None:
    """`--cartridge FILE`: the model's file; `otherwise` says which model is used without it."""
    parser.add_argument("--cartridge", type=Path, metavar="FILE", help=f"cartridge file (default: {otherwise})")


def add_mirrors(parser: argparse._ActionsContainer) -> None:
    """`--mirror URL` and `--cache DIR`: where a mirrored model's bytes come from."""
    parser.add_argument(
        "--mirror", action="append", default=[], type=url, metavar="URL",
        help="HTTP server to load the model's weights from if they are not on chain; may be repeated",
    )  # fmt: skip
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder that keeps the models loaded with --mirror")


def mirrors(args: argparse.Namespace) -> Mirrors:
    """The mirrors and the cache of `--mirror` and `--cache`."""
    from ..net.mirrors import Mirrors

    return Mirrors(args.mirror, args.cache)


def mirror_fault(report: Report) -> None:
    """Names a mirror that lies, is slow or is dead, on standard error."""
    from .output import note

    note(f"mirror {report.mirror} ({report.fault}): {report.detail}")


def add_engine(parser: argparse._ActionsContainer) -> None:
    """`--engine NAME`: the engine that computes the frames."""
    # the names of engine/choose.py, which is not imported for --help
    parser.add_argument(
        "--engine", default="native", choices=("native", "reference"),
        help="what computes the frames: the C engine, or the slow NumPy reference (default: native)",
    )  # fmt: skip


def add_stage(parser: argparse._ActionsContainer) -> None:
    """`--stage N`: the stage's id."""
    parser.add_argument(
        "--stage", type=unsigned(8), default=32, metavar="N",
        help="stage id; 32 is Final Destination, 31 Battlefield (default: 32)",
    )  # fmt: skip


def unsigned(bits: int) -> Callable[[str], int]:
    """An argparse type: a whole number from 0 that fits into so many bits."""
    return number(0, (1 << bits) - 1)


def number(low: int, high: int) -> Callable[[str], int]:
    """An argparse type: a whole number from `low` to `high`, both included; neither is negative."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def url(text: str) -> str:
    """An argparse type: an RPC endpoint's URL, or one of the names that `chain.base_http` may be as well."""
    from ..config import solana

    try:
        found = solana.named(text, os.environ)
        return Endpoint.parse(found.http if found else text).reveal()
    except ConfigError as error:
        # without what the parser names by itself: the option
        wrong = f"expected {error.expected}, found {error.found}" if error.expected and error.found else str(error)
        raise argparse.ArgumentTypeError(wrong) from None


def websocket(args: argparse.Namespace) -> str:
    """The WebSocket endpoint of `--ws`, or the one that goes with `--rpc`.

    Raises:
        ConfigError: `--rpc` has no port to count from.
    """
    from ..config import websocket_url

    try:
        return args.ws or websocket_url(args.rpc)
    except ConfigError as error:
        raise ConfigError(error.what, found=error.found, hint="name it with --ws URL") from None


def keypair(args: argparse.Namespace) -> Keypair:
    """The key in the file of `--keypair`. Raises KeyFileError."""
    from ..client.keys import load_keypair
    from .output import note

    return load_keypair(args.keypair, warn=note)


def address(text: str, what: str) -> Pubkey:
    """An address from the command line; `what` names it in the error.

    Raises:
        ConfigError: the text is not an address.
    """
    from solders.pubkey import Pubkey

    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise ConfigError(f"{what} {text!r} is not an address", expected="32 bytes in base58") from None


def file_or_address(text: str) -> Path | Pubkey:
    """The target of `inspect` and `verify`: the file of that name if there is one, otherwise an address.

    Raises:
        ConfigError: the text is neither.
    """
    from solders.pubkey import Pubkey

    path = Path(text)
    if path.is_file():
        return path
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise ConfigError(f"{text} is neither a file nor an address", hint="check the path") from None


def read(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check the path") from None


def cartridge(args: argparse.Namespace) -> Cartridge | None:
    """The cartridge of `--cartridge`; None without that option.

    Raises:
        ConfigError: the file cannot be read.
        CartridgeError: the file is not a cartridge.
    """
    from ..engine.cartridge import Cartridge

    return Cartridge.parse(read(args.cartridge)) if args.cartridge else None


def demo_cartridge() -> Cartridge:
    """The cartridge that comes with the package. Raises CartridgeError when its file has been changed."""
    from ..engine import packaged

    return packaged.demo_cartridge()
