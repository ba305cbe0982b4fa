"""Key files in the Solana CLI's format: a JSON array of 64 numbers, the secret seed and then the public key.

No error here ever shows what a file contains.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
from solders.keypair import Keypair

from ..errors import KeyFileError

_LONGEST = 65_536
_BEYOND_READING = stat.S_IWGRP | stat.S_IXGRP | stat.S_IWOTH | stat.S_IXOTH
_FORMAT = "a JSON array of 64 numbers, as solana-keygen writes it"


def load_keypair(
    path: Path | str, *, allow_open: bool = False, warn: Callable[[str], object] = lambda _: None
) -> Keypair:
    """Reads a key file.

    The file must be closed to other users: mode 0600 or 0400. A mode that lets others read, such as 0440 or 0444, is
    accepted where nobody chose it: on a read-only mount, as Kubernetes and Docker mount secrets, and for credentials
    of systemd, which guards their folder. A file that others may write or execute is always refused.

    Args:
        allow_open: accept a file that others can read wherever it is (`crank.allow_open_keypair`).
        warn: called with a sentence when others can read the file and it is accepted all the same.

    Raises:
        KeyFileError: it cannot be read, is open to others, has another format, or its halves do not match.
    """
    path = Path(path).expanduser()
    try:
        with path.open("rb") as file:
            # of the open file, so that nobody exchanges it in between
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            read_only = bool(os.fstatvfs(file.fileno()).f_flag & os.ST_RDONLY) if os.name == "posix" else False
            raw = file.read(_LONGEST + 1)
    except OSError as error:
        raise KeyFileError(
            f"key file {path} cannot be read: {error.strerror}",
            hint="name another file, or make one with solana-keygen",
        ) from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) and not _is_credential(path):
        if mode & _BEYOND_READING or not (read_only or allow_open):
            raise KeyFileError(
                f"key file {path} is open to other users", expected="mode 0600", found=f"{mode:04o}",
                hint=f"chmod 600 {path}; or mount it read-only",
            )  # fmt: skip
        warn(f"key file {path} can be read by other users of this machine (mode {mode:04o})")
    # without the cause: decoders quote the bytes at which they stop
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
    # systemd closes the folder to others; its access list shows up as the group's bits
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
