"""The cache holds an entry completely or not at all, and makes it once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from awm_crank.errors import SetupError
from awm_crank.localnet.kinds.cache import Cache, default_folder


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The default is the user's cache folder: XDG's, or else ~/.cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "awm-crank"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_folder() == Path("/home/somebody/.cache/awm-crank")


def test_made_once(tmp_path: Path) -> None:
    """When two callers want the same entry at once, one makes it, and the other waits and uses it."""
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "half").touch()
        time.sleep(0.1)
        (folder / "whole").touch()

    def want() -> None:
        assert (Cache(tmp_path / "new").entry("thing", make) / "whole").exists()

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert not made[0].exists(), "it was made under another name"


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    """An entry that could not be completed is removed, and made again at the next try."""
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise SetupError("no network")

    with pytest.raises(SetupError, match=r"no network"):
        cache.entry("thing", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert cache.entry("thing", lambda folder: (folder / "whole").touch()).is_dir()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The error names the folder and the option."""
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"file/cache cannot be written.*--cache"):
        Cache(tmp_path / "file" / "cache").entry("thing", lambda _: None)
