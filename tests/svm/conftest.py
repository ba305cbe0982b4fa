"""Fixtures: a fresh chain for each test, a session on it, and the attacker's program, which is built once."""

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
    """attackers/attacker.c, built by the compile and link steps of our own programs."""
    program: bytes = load_tool("build").compile_program(ATTACKERS / "attacker.c")
    return program
