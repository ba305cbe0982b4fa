"""A second C library, new enough for MagicBlock's binaries, for machines whose own is too old.

apt fetches the packages of a newer release from the machine's own mirror, with its lists and state in a separate
folder, and they are unpacked there. The system stays unchanged, and root is not needed. The binary then runs under that
folder's dynamic linker.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from ...errors import SetupError
from . import tools
from .cache import Cache

NEEDED = {"0.1.7": (2, 38), "0.8.3": (2, 39)}
"""The oldest glibc that each release of the validator runs with."""

_PACKAGES = ("libc6", "libgcc-s1", "libstdc++6", "libssl3t64", "zlib1g", "libzstd1")
# distributor -> release with a glibc of 2.39 or newer, keyring
_NEWER = {
    "debian": ("trixie", "/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": ("noble", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
_HINT = "a system with glibc 2.39 or newer (Debian 13, Ubuntu 24.04), or awm-crank localnet --kind embedded"


def own_glibc() -> tuple[int, int] | None:
    """The version of this process's C library; None if it is not glibc."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return None
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", name)
    return (int(found[1]), int(found[2])) if found else None


class Libraries:
    """How to start a binary: `command` makes the command line, `environment` its variables."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def command(self, binary: Path, preload: Path | None = None) -> list[str]:
        """The command that runs a binary, with a library preloaded. Start it with `environment`."""
        if self._folder is None:
            return [str(binary)]
        (linker,) = self._folder.glob("ld-linux-*.so.*")
        early = ["--preload", str(preload)] if preload else []
        return [str(linker), *early, "--library-path", str(self._folder), str(binary)]

    def environment(self, preload: Path | None = None) -> dict[str, str]:
        """The variables that the command needs."""
        return {"LD_PRELOAD": str(preload)} if preload and self._folder is None else {}


def libraries(cache: Cache, version: str, own: tuple[int, int] | None = None) -> Libraries:
    """The libraries for a release of the validator: the system's if they are new enough, otherwise the private copy.

    Args:
        own: the system's glibc; None asks it.

    Raises:
        SetupError: this system has neither.
    """
    if sys.platform != "linux":
        return Libraries(None)
    own = own or own_glibc()
    needed = NEEDED[version]
    if own is None:
        raise SetupError(
            f"MagicBlock's validator {version}", expected="a system with glibc", found="another C library", hint=_HINT
        )
    if own >= needed:
        return Libraries(None)
    release = os_release()
    distributor = release.get("ID", "")
    if distributor not in _NEWER:
        raise SetupError(
            f"MagicBlock's validator {version}",
            expected=f"glibc {needed[0]}.{needed[1]}, or Debian or Ubuntu to fetch it from",
            found=f"glibc {own[0]}.{own[1]} on {release.get('PRETTY_NAME', 'an unknown system')}",
            hint=_HINT,
        )
    newer = _NEWER[distributor][0]
    root = cache.entry(f"{distributor}-{newer}-{platform.machine()}", lambda folder: _fetch(folder, release))
    (linker,) = root.glob("usr/lib/*/ld-linux-*.so.*")
    return Libraries(linker.parent)


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The system's description of itself (os-release); empty if there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name: value.strip().strip("\"'") for name, _, value in pairs}


def _fetch(folder: Path, release: dict[str, str]) -> None:
    """Fills a folder with the unpacked packages."""
    suite, keyring = _NEWER[release["ID"]]
    hint = "check the network and the system's apt sources, or use " + _HINT
    apt = tools.need("apt-get", "fetch a newer C library", _HINT)
    tools.need("dpkg-deb", "unpack a newer C library", _HINT)
    targets = tools.run(
        [apt, "indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(SITE)", "Created-By: Packages"],
        "read the system's apt sources", hint,
    )  # fmt: skip
    rows = [line.split() for line in targets.splitlines()]
    sites = [row[3] for row in rows if len(row) == 4 and row[1:3] == [release.get("VERSION_CODENAME", ""), "main"]]
    if not sites:
        raise SetupError(
            "the system's apt sources", expected=f"a mirror of {release.get('PRETTY_NAME', 'the system')}",
            found="none", hint=hint,
        )  # fmt: skip
    for name in ("lists/partial", "cache/archives/partial", "debs"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={keyring}] {sites[0]} {suite} main\n")
    # Debian's lists are larger than what is fetched here: leave out translations and contents
    private = [
        f"-oDir::Etc::SourceList={folder / 'sources.list'}", "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::State::Lists={folder / 'lists'}", f"-oDir::State::status={folder / 'status'}",
        f"-oDir::Cache={folder / 'cache'}", "-oAcquire::Languages=none", "-oDebug::NoLocking=1",
        "-oAPT::Sandbox::User=root", "-qq",
    ]  # fmt: skip
    tools.run([apt, *private, "update"], f"read the package lists of {suite}", hint)
    tools.run([apt, *private, "download", *_PACKAGES], f"fetch packages of {suite}", hint, folder=folder / "debs")
    for package in sorted((folder / "debs").glob("*.deb")):
        tools.run(["dpkg-deb", "-x", package, folder], f"unpack {package.name}", hint)
    tools.remove_all_but(folder, "usr")
