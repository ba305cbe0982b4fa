"""What several commands share: endpoints, keys, numbers, targets, and how they print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from solders.keypair import Keypair
    from solders.pubkey import Pubkey

    from ..engine.cartridge import Cartridge

LOCALNET = "http://127.0.0.1:8899"
SOLANA_KEY = Path("~/.config/solana/id.json")
CARTRIDGE_MAGIC = b"AWMCART\0"


def add_rpc(parser: argparse.ArgumentParser) -> None:
    """`--rpc URL`: where the sessions are."""
    parser.add_argument("--rpc", default=LOCALNET, type=url, metavar="URL", help=f"RPC endpoint (default {LOCALNET})")


def add_base_rpc(parser: argparse.ArgumentParser) -> None:
    """`--base-rpc URL`: where the model is, where that is another chain than the sessions'."""
    parser.add_argument("--base-rpc", type=url, metavar="URL", help="the base chain's, with the model (default: --rpc)")


def add_keypair(parser: argparse.ArgumentParser) -> None:
    """`--keypair FILE`: who signs and pays."""
    parser.add_argument(
        "--keypair", default=SOLANA_KEY, type=Path, metavar="FILE", help=f"key file that signs (default {SOLANA_KEY})"
    )


def add_world(parser: argparse.ArgumentParser) -> None:
    """`--world ADDRESS`: the BOLT world to work in."""
    parser.add_argument(
        "--world", default="", metavar="ADDRESS", help="BOLT world (default: the permissionless one with the lowest id)"
    )


def add_cartridge(parser: argparse._ActionsContainer, otherwise: str) -> None:
    """`--cartridge FILE`: the world; `otherwise` says which one without it."""
    parser.add_argument("--cartridge", type=Path, metavar="FILE", help=f"cartridge file (default: {otherwise})")


def add_engine(parser: argparse._ActionsContainer) -> None:
    """`--engine NAME`: which engine computes."""
    # the names of engine/choose.py, which is not imported for --help
    parser.add_argument(
        "--engine", default="native", choices=("native", "reference"), help="what computes (default native)"
    )


def unsigned(bits: int) -> Callable[[str], int]:
    """An argparse type: a whole number of so many bits."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 1 << bits):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 0..{(1 << bits) - 1}")
        return int(text)

    return parse


def url(text: str) -> str:
    """An argparse type: an RPC endpoint's address."""
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no http:// or https:// address")
    return text


def keypair(args: argparse.Namespace) -> Keypair:
    """The key of `--keypair`. Raises KeyFileError."""
    from ..client.keys import load_keypair

    return load_keypair(args.keypair)


def address(text: str, what: str) -> Pubkey:
    """An address given on the command line.

    Raises:
        ConfigError: it is none.
    """
    from solders.pubkey import Pubkey

    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise ConfigError(f"{what} {text!r} is no address", expected="32 bytes in base58") from None


def file_or_address(text: str) -> Path | Pubkey:
    """What `inspect` and `verify` are given: a file where there is one of that name, else an address.

    Raises:
        ConfigError: it is neither.
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
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check the path") from None


def cartridge(args: argparse.Namespace) -> Cartridge | None:
    """The cartridge of `--cartridge`, None where none is named.

    Raises:
        ConfigError, CartridgeError: it cannot be read, or is none.
    """
    from ..engine.cartridge import Cartridge

    return Cartridge.parse(read(args.cartridge)) if args.cartridge else None


def demo_cartridge() -> Cartridge:
    """The cartridge that comes with the package."""
    from importlib import resources

    from ..engine.cartridge import Cartridge

    return Cartridge.parse((resources.files("awm_crank") / "engine" / "data" / "demo.awm").read_bytes())


def say(text: str) -> None:
    """A line on stdout: what the user asked for."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line on stderr: what goes on meanwhile."""
    sys.stderr.write(text + "\n")


class ProgressLine:
    """A line on stderr that is written over; on anything but a terminal, nothing."""

    def __init__(self, unit: str = "") -> None:
        self._unit = unit
        self._live = sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows how much of `what` is done."""
        if self._live:
            share = 100 * done // total if total else 100
            sys.stderr.write(f"\r\x1b[K{what}: {done:,} of {total:,}{self._unit} ({share} %)")
            sys.stderr.flush()

    def done(self) -> None:
        """Takes the line away."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`: the result for programs."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def result(args: argparse.Namespace, values: dict[str, Any]) -> None:
    """Prints a command's result: names and values, or JSON where that was asked for."""
    if args.json:
        import msgspec

        say(msgspec.json.encode(values).decode())
    else:
        for name, value in values.items():
            say(f"{name.replace('_', ' '):<16}{f'{value:,}' if isinstance(value, int) else value}")
