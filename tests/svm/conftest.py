"""Fixtures: a chain a test, a session on it, and the stranger's program, built once."""

from __future__ import annotations

import pytest
from svm.rig import ATTACKERS, Chain, Session, load_tool


@pytest.fixture
def chain() -> Chain:
    """A fresh chain with all programs."""
    return Chain()


@pytest.fixture
def session(chain: Chain) -> Session:
    """An active session with a ring of 256 records."""
    return Session.active(chain)


@pytest.fixture(scope="session")
def attacker_program() -> bytes:
    """attackers/attacker.c, by the same compile and link steps as our own programs."""
    program: bytes = load_tool("build").compile_program(ATTACKERS / "attacker.c")
    return program
