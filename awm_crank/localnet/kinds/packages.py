"""MagicBlock's validators, fetched by npm's client. Each archive's SHA-512 is checked."""

from __future__ import annotations

import base64
import hashlib
import platform
import sys
import tarfile
from pathlib import Path

from ...errors import SetupError
from . import tools
from .cache import Cache

STAND_ALONE = "0.1.7"
"""The release that runs as a separate chain."""
EPHEMERAL = "0.8.3"
"""The release that runs on top of a base chain."""

_SCOPE = "@magicblock-labs/"
_NAME = "ephemeral-validator"

# package, version -> the archive's SHA-512 in base64, as the registry gives it
_SHA512 = {
    ("ephemeral-validator-linux-x64", STAND_ALONE):
        "yeytU6KIjTD8IB8IyuBlyYzKumpjqQpz4BlSuFiN76udXsUXuctzpG7f2VJF23MqSnr7bmSzIbqEiwN6mHO1GA==",
    ("ephemeral-validator-linux-arm64", STAND_ALONE):
        "Z9aRo03z6ezhfqDKHkGhhvKBghpzBeiSCsO6dv05MgpZy71HF802gJqdS2r8qS0h8k67B44u1OlpAXE9tv7eqw==",
    ("ephemeral-validator-darwin-x64", STAND_ALONE):
        "W+lBkhEEtO9+tYqxehB7TKmmOlT+iM0drskaaZv9VLK98k+iIx/jj4pru1y6Y7VWtuGEdydbNkskRmSr8XmTTw==",
    ("ephemeral-validator-darwin-arm64", STAND_ALONE):
        "UAB+dpHnNX4zXCiPn6VxC4kSpgRYW5qMQB1ye8ZTxf9ala3KMsq8OcXRJt6giKRSY0YfLVDvPWgX7ZssK7ExXA==",
    ("ephemeral-validator-linux-x64", EPHEMERAL):
        "/IJLb61Qt5ZhMbYqSrVCYiN9cbgO0JGygCM3uOL8KWeNT9b8oZdc/w7lD+VACsTFgAwKN8bTBZuU3M7okC+bzA==",
    ("ephemeral-validator", EPHEMERAL):
        "wbjIrh9HQeSgDVxnjuykDoAB7Mi9w4VGmSs8Yu83jYU3F3IR1+8WDo0x32Wg8biCy5AFHxeMrpaHDsmdOtbpOA==",
}  # fmt: skip

_PROCESSORS = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def this_platform() -> str:
    """This machine's platform as npm calls it, such as linux-x64."""
    machine = platform.machine().lower()
    return f"{sys.platform}-{_PROCESSORS.get(machine, machine)}"


def validator(cache: Cache, version: str, machine: str = "") -> Path:
    """The executable of a release for a platform (empty: this machine's). It is fetched unless it is cached.

    Raises:
        SetupError: there is none for the platform, npm is missing or fails, or the archive has another hash.
    """
    folder = _package(cache, f"{_NAME}-{machine or this_platform()}", version)
    return folder / "bin" / _NAME


def base_chain_accounts(cache: Cache) -> Path:
    """The folder of programs and accounts that `EPHEMERAL` needs on its base chain. Raises as `validator`."""
    return _package(cache, _NAME, EPHEMERAL) / "bin" / "local-dumps"


def _package(cache: Cache, name: str, version: str) -> Path:
    digest = _SHA512.get((name, version))
    if digest is None:
        prefix = f"{_NAME}-"
        known = sorted(package.removeprefix(prefix) for package, at in _SHA512 if at == version and prefix in package)
        raise SetupError(
            f"MagicBlock's validator {version}", expected=f"one of {', '.join(known)}", found=name.removeprefix(prefix),
            hint="awm-crank localnet --kind embedded, or a machine that it is made for",
        )  # fmt: skip

    def make(folder: Path) -> None:
        npm = tools.need("npm", "fetch MagicBlock's validator", "install Node.js (Debian: apt-get install npm)")
        specification = f"{_SCOPE}{name}@{version}"
        # with a separate cache, npm does not read or write the user's files
        command = [npm, "pack", specification, "--pack-destination", ".", "--cache", "./npm", "--loglevel", "error"]
        tools.run(command, f"fetch {specification}", "check the network, then start again", folder=folder)
        (archive,) = folder.glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != digest:
            raise SetupError(f"SHA-512 of {specification}", expected=digest, found=found, hint="check the registry")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        tools.remove_all_but(folder, "package")

    return cache.entry(f"{name}-{version}", make) / "package"
