"""The protocol that every engine keeps."""

import inspect

import pytest

from awm_crank.engine import api
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.reference import ReferenceEngine

METHODS = [name for name, member in vars(api.Engine).items() if inspect.isfunction(member) and not name.startswith("_")]


@pytest.mark.parametrize("engine", [ReferenceEngine, NativeEngine])
@pytest.mark.parametrize("method", METHODS)
def test_engines_take_the_protocol_s_arguments(engine: type, method: str) -> None:
    """Every engine has every method of the protocol, with the same parameters."""
    expected = [p for p in inspect.signature(getattr(api.Engine, method)).parameters if not p.startswith("_")]
    assert list(inspect.signature(getattr(engine, method)).parameters) == expected


def test_protocol_is_the_documented_one() -> None:
    """docs/architecture.md names these six calls."""
    assert sorted(METHODS) == ["backbone", "copy", "dump", "heads", "load", "start_state"]
