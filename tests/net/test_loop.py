"""The event loop: uvloop where it is installed, and asyncio's otherwise."""

from __future__ import annotations

import asyncio
import sys

import pytest

from awm_crank.net.loop import run


async def module_of_loop() -> str:
    """The module that the running loop's class comes from."""
    return type(asyncio.get_running_loop()).__module__


@pytest.mark.parametrize("there", [True, False])
def test_run(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` returns the coroutine's result and uses the loop that is installed."""
    if not there:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(module_of_loop()).startswith("uvloop" if there else "asyncio")
