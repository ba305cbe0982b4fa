"""Helpers that the commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.cli import common
from awm_crank.errors import ConfigError


@given(st.sampled_from([8, 32, 64]), st.integers(-(2**65), 2**65))
def test_unsigned(bits: int, number: int) -> None:
    """A number that fits so many bits is accepted, and any other is refused."""
    if 0 <= number < 1 << bits:
        assert common.unsigned(bits)(str(number)) == number
    else:
        with pytest.raises(argparse.ArgumentTypeError):
            common.unsigned(bits)(str(number))


@pytest.mark.parametrize("text", ["", " 1", "1_0", "٣", "1e3", "9" * 5000])
def test_unsigned_refuses(text: str) -> None:
    """Only plain decimal digits count as a number."""
    with pytest.raises(argparse.ArgumentTypeError):
        common.unsigned(64)(text)


def test_file_before_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is both a file and an address means the file; a name that is neither is refused."""
    name = "1" * 32
    monkeypatch.chdir(tmp_path)
    assert str(common.file_or_address(name)) == name
    assert not isinstance(common.file_or_address(name), Path)
    (tmp_path / name).write_text("x")
    assert common.file_or_address(name) == Path(name)
    with pytest.raises(ConfigError):
        common.file_or_address("nothing")
