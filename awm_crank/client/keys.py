"""Key files in the Solana CLI's format: a JSON array of 64 numbers, the secret seed and then the public key.

No error here ever shows what a file contains.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
from solders.keypair import Keypair

from ..errors import KeyFileError

_FORMAT = "a JSON array of 64 numbers, as solana-keygen writes it"


def load_keypair(path: Path | str) -> Keypair:
    """Reads a key file.

    Raises:
        KeyFileError: it cannot be read, is open to others (unless systemd passes it as a credential), has another
            format, or its halves do not match.
    """
    path = Path(path).expanduser()
    try:
        mode = path.stat().st_mode
        raw = path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"key file {path} cannot be read: {error.strerror}",
            hint="name another file, or make one with solana-keygen",
        ) from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) and not _is_credential(path):
        raise KeyFileError(
            f"key file {path} is open to other users",
            expected="mode 0600",
            found=f"{stat.S_IMODE(mode):04o}",
            hint=f"chmod 600 {path}",
        )
    # the cause is dropped on purpose: decoders quote what they choked on
    try:
        secret = bytes(msgspec.json.decode(raw, type=list[int]))
    except (msgspec.MsgspecError, ValueError):
        raise KeyFileError(f"key file {path} is malformed", expected=_FORMAT) from None
    if len(secret) != 64:
        raise KeyFileError(f"key file {path} is malformed", expected=_FORMAT, found=f"{len(secret)} numbers")
    try:
        return Keypair.from_bytes(secret)
    except ValueError:
        raise KeyFileError(f"key file {path}: the public key does not belong to the secret one") from None


def _is_credential(path: Path) -> bool:
    # systemd keeps them from others by the folder, and its access list shows up as the group's bits
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return bool(folder) and path.parent.absolute() == Path(folder).absolute()


def write_keypair(path: Path, keypair: Keypair) -> None:
    """Writes a key file that only its owner may read.

    Raises:
        KeyFileError: the file exists already (a key is never overwritten), or cannot be written.
    """
    path = path.expanduser()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be written: {error.strerror}", hint="name another file") from None
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(list(bytes(keypair))))
