"""MagicBlock's packages: the pinned bytes or nothing."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from localnet.kinds.validators import CACHE

from awm_crank.errors import SetupError
from awm_crank.localnet.kinds import packages
from awm_crank.localnet.kinds.cache import Cache


@pytest.mark.parametrize("version", [packages.STAND_ALONE, packages.EPHEMERAL])
def test_validators(version: str) -> None:
    """Both releases come from npm and can be run."""
    binary = packages.validator(Cache(CACHE), version)
    assert binary.read_bytes()[:4] == b"\x7fELF"
    assert os.access(binary, os.X_OK)


def test_base_chain_accounts() -> None:
    """The accounts of a base chain include the delegation program."""
    names = {path.name for path in packages.base_chain_accounts(Cache(CACHE)).iterdir()}
    assert "DELeGGvXpWV2fqJUhqcF5ZSYMS4JTLjteaAMARRSaeSh.so" in names


def test_machine_without_one(tmp_path: Path) -> None:
    """For a platform without a package, the error names the platforms that have one."""
    with pytest.raises(SetupError, match=r"expected one of darwin-arm64, .*linux-x64, found plan9-mips"):
        packages.validator(Cache(tmp_path), packages.STAND_ALONE, "plan9-mips")


def fake_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake npm, which the test controls."""
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_other_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive with another hash is refused, and nothing of it is kept."""
    archive = tmp_path / "evil.tgz"
    (tmp_path / "evil").write_text("#!/bin/sh")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "evil", "package/bin/ephemeral-validator")
    fake_npm(tmp_path, f"cp {archive} .", monkeypatch)
    with pytest.raises(SetupError, match=r"SHA-512 of .*ephemeral-validator-linux-x64@0.1.7; expected yeyt"):
        packages.validator(Cache(tmp_path / "cache"), packages.STAND_ALONE, "linux-x64")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_npm_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When npm fails, the error contains what npm printed."""
    fake_npm(tmp_path, "echo 'code ENOTFOUND' >&2; exit 1", monkeypatch)
    with pytest.raises(SetupError, match=r"code ENOTFOUND. Try: check the network") as caught:
        packages.validator(Cache(tmp_path / "cache"), packages.STAND_ALONE, "linux-x64")
    assert caught.value.recoverable


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm the error says how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"no npm on PATH.*apt-get install npm"):
        packages.validator(Cache(tmp_path / "cache"), packages.STAND_ALONE, "linux-x64")
