"""The newer C library is fetched only when it is needed, and a binary runs with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from localnet.kinds.validators import CACHE

from awm_crank.errors import SetupError
from awm_crank.localnet.kinds import libraries as module
from awm_crank.localnet.kinds.cache import Cache
from awm_crank.localnet.kinds.libraries import Libraries, libraries, os_release, own_glibc

BINARY = Path("/bin/true")


def test_own_glibc() -> None:
    """The version found for this system equals the one that its own tool prints."""
    told = subprocess.run(["getconf", "GNU_LIBC_VERSION"], capture_output=True, text=True, check=True).stdout
    found = own_glibc()
    assert found is not None
    assert told.split()[1].startswith(f"{found[0]}.{found[1]}")


def test_new_enough(tmp_path: Path) -> None:
    """On a system whose library is new enough, the binary runs as it is, and preloading uses the environment."""
    libs = libraries(Cache(tmp_path), "0.8.3", own=(2, 39))
    assert libs.command(BINARY, Path("/x.so")) == ["/bin/true"]
    assert libs.environment(Path("/x.so")) == {"LD_PRELOAD": "/x.so"}
    assert libs.environment() == {}
    assert not list(tmp_path.iterdir())


def test_private_copy() -> None:
    """An older system gets a second copy of the library, and a program that runs with it sees the newer version."""
    libs = libraries(Cache(CACHE), "0.8.3", own=(2, 31))
    assert libs.environment(Path("/x.so")) == {}
    command = libs.command(Path("/usr/bin/getconf"))
    told = subprocess.run([*command, "GNU_LIBC_VERSION"], capture_output=True, text=True, check=True).stdout
    assert tuple(map(int, told.split()[1].split("."))) >= (2, 39)
    assert libs.command(BINARY, Path("/x.so"))[1:3] == ["--preload", "/x.so"]


@pytest.mark.parametrize(
    ("own", "release", "said"),
    [
        ((2, 38), {"ID": "x", "PRETTY_NAME": "Other"}, r"expected glibc 2.39, or Debian or .*, found glibc 2.38"),
        ((2, 36), {}, "an unknown system"),
        ((2, 36), {"ID": "debian", "VERSION_CODENAME": "nowhere"}, "apt sources; expected a mirror of"),
    ],
)
def test_neither(
    own: tuple[int, int], release: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a system with an old library and no way to get a newer one, the error says what would help."""
    monkeypatch.setattr(module, "os_release", lambda: release)
    with pytest.raises(SetupError, match=said) as caught:
        libraries(Cache(tmp_path), "0.8.3", own=own)
    assert "--kind embedded" in str(caught.value)


def test_other_c_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system with another C library than glibc is refused by that name."""
    monkeypatch.setattr(module, "own_glibc", lambda: None)
    with pytest.raises(SetupError, match=r"a system with glibc, found another C library"):
        libraries(Cache(tmp_path), "0.1.7")


def test_apple(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS, which has no glibc, nothing is needed."""
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert libraries(Cache(tmp_path), "0.1.7").command(BINARY) == Libraries(None).command(BINARY)


def test_os_release(tmp_path: Path) -> None:
    """Quotes are not part of a value, and a missing file gives an empty result."""
    path = tmp_path / "os-release"
    path.write_text('ID=debian\nPRETTY_NAME="Debian GNU/Linux"\n\n# comment\n')
    assert os_release(path) == {"ID": "debian", "PRETTY_NAME": "Debian GNU/Linux"}
    assert os_release(tmp_path / "none") == {}
