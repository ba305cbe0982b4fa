"""Key files: reading, refusing and writing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from awm_crank.client.keys import load_keypair, write_keypair
from awm_crank.errors import KeyFileError

SECRET = list(bytes(Keypair.from_seed(bytes(range(32)))))


def key_file(path: Path, text: str, mode: int = 0o600) -> Path:
    """A key file with this text and mode."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_round_trip(tmp_path: Path) -> None:
    """A key that is written is read back, and only its owner may read the file."""
    keypair = Keypair()
    write_keypair(tmp_path / "k.json", keypair)
    assert load_keypair(tmp_path / "k.json") == keypair
    assert (tmp_path / "k.json").stat().st_mode & 0o777 == 0o600


def test_never_overwritten(tmp_path: Path) -> None:
    """An existing key file is never overwritten."""
    first = Keypair()
    write_keypair(tmp_path / "k.json", first)
    with pytest.raises(KeyFileError, match="File exists"):
        write_keypair(tmp_path / "k.json", Keypair())
    assert load_keypair(tmp_path / "k.json") == first


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o440, 0o444])
def test_open_to_others(tmp_path: Path, mode: int) -> None:
    """A file that others may read is refused, and the error shows the chmod command to run."""
    path = key_file(tmp_path / "k.json", msgspec.json.encode(SECRET).decode(), mode)
    with pytest.raises(KeyFileError) as caught:
        load_keypair(path)
    assert str(caught.value).endswith(
        f"expected mode 0600, found {mode:04o}. Try: chmod 600 {path}; or mount it read-only"
    )


@pytest.mark.parametrize("mode", [0o640, 0o444, 0o660, 0o602, 0o604, 0o601])
def test_allowed_to_be_open(tmp_path: Path, mode: int) -> None:
    """With the setting, others may read the file, with a warning; they may never write or execute it."""
    path = key_file(tmp_path / "k.json", msgspec.json.encode(SECRET).decode(), mode)
    said: list[str] = []
    if mode & 0o033:
        with pytest.raises(KeyFileError, match="open to other users"):
            load_keypair(path, allow_open=True, warn=said.append)
        assert said == []
    else:
        assert list(bytes(load_keypair(path, allow_open=True, warn=said.append))) == SECRET
        assert said == [f"key file {path} can be read by other users of this machine (mode {mode:04o})"]


@pytest.mark.parametrize(("mode", "status"), [(0o440, 0), (0o444, 0), (0o400, 0), (0o464, 2), (0o446, 2)])
def test_read_only_mount(tmp_path: Path, mode: int, status: int) -> None:
    """On a read-only mount, where secrets are 0440 or 0444 behind a link, the file is accepted with a warning."""
    (tmp_path / "..data").mkdir()
    key_file(tmp_path / "..data" / "k.json", msgspec.json.encode(SECRET).decode(), mode)
    (tmp_path / "k.json").symlink_to("..data/k.json")
    code = (
        "import sys; from awm_crank.client.keys import load_keypair\n"
        "from awm_crank.errors import KeyFileError\n"
        "try: load_keypair(sys.argv[1], warn=print)\n"
        "except KeyFileError as error: raise SystemExit(error.exit_code)"
    )
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$0" -c "$2" "$1/k.json"'
    words = ["unshare", "--map-root-user", "--mount", "sh", "-ec", script, sys.executable, str(tmp_path), code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert ("can be read by other users" in done.stdout) == (mode in (0o440, 0o444))


def test_endless(tmp_path: Path) -> None:
    """A file that is too long is refused without being read to its end, even an endless one."""
    path = tmp_path / "k.json"
    path.symlink_to("/dev/zero")
    with pytest.raises(KeyFileError):
        load_keypair(path)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1,2", '"secret"', str([*SECRET[:63], 256]), str(SECRET[:63]), str([*SECRET, 1]), str([-1] * 64),
     str([*SECRET[:63], SECRET[63] ^ 1])],
)  # fmt: skip
def test_malformed_and_silent(tmp_path: Path, text: str) -> None:
    """A malformed file is refused, and neither the error nor its causes contain any of its numbers."""
    path = key_file(tmp_path / "k.json", text)
    with pytest.raises(KeyFileError) as caught:
        load_keypair(path)
    assert ", 1, 2" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_missing(tmp_path: Path) -> None:
    """The error names a file that does not exist."""
    with pytest.raises(KeyFileError, match=r"no\.json cannot be read: No such file"):
        load_keypair(tmp_path / "no.json")


@given(st.binary(max_size=300))
def test_fuzz(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """Whatever a file holds, reading it gives a key or a typed error."""
    path = tmp_path_factory.mktemp("key") / "k.json"
    path.write_bytes(raw)
    path.chmod(0o600)
    try:
        assert len(bytes(load_keypair(path))) == 64
    except KeyFileError as error:
        assert error.exit_code == 2


def test_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemd credential may have group bits; a file elsewhere, or below the credentials folder, may not."""
    pair, folder = Keypair(), tmp_path / "credentials"
    (folder / "deeper").mkdir(parents=True)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    for place in (folder, folder / "deeper", tmp_path):
        write_keypair(place / "k.json", pair)
        (place / "k.json").chmod(0o440)
    assert load_keypair(folder / "k.json") == pair
    for place in (folder / "deeper", tmp_path):
        with pytest.raises(KeyFileError, match="open to other users"):
            load_keypair(place / "k.json")
