"""Whose lamports are whose: each theft that worked once is tried again and refused."""

from __future__ import annotations

import struct

import pytest
from solders.pubkey import Pubkey
from svm.rig import COMPONENTS, Chain, Error, Session

from awm_crank.wire import bolt, ids


def upgradeable(chain: Chain, session: Session) -> None:
    """Makes player 1 the upgrade authority of the four component programs: the most that `destroy` can be given."""
    for program in COMPONENTS:
        table = struct.pack("<IQ", 3, 0) + b"\1" + bytes(session.p1)
        chain.put(bolt.program_data_pda(program), table, ids.UPGRADEABLE_LOADER)


@pytest.mark.parametrize("program", COMPONENTS)
def test_destroy_spares_a_match(chain: Chain, program: Pubkey) -> None:
    """No component of a match that was joined is destroyed, nor one that the writer's accounts depend on."""
    session = Session.active(chain)
    upgradeable(chain, session)
    destroy = bolt.destroy_component(session.p1, session.p1, session.entity, program)
    chain.refused(Error.StillOpen, destroy, signers=[session.player1])
    waiting = Session.new(chain, 1)
    waiting.grow_ring(256)
    upgradeable(chain, waiting)
    if program != ids.INPUT_BUFFER:
        destroy = bolt.destroy_component(waiting.p1, waiting.p1, waiting.entity, program)
        chain.refused(Error.StillOpen, destroy, signers=[waiting.player1])


@pytest.mark.parametrize("stage", [33, 200, 255])
def test_only_stages_that_the_engine_knows(chain: Chain, stage: int) -> None:
    """CREATE refuses a stage that no engine can play, before anybody pays for the match."""
    session = Session.new(chain, create=False)
    create = session.lifecycle(0, session.player1, writer=session.w, stage=stage)
    chain.refused(Error.OutOfRange, create, signers=[session.player1])


def test_create_takes_nothing_over(chain: Chain) -> None:
    """CREATE refuses components that an earlier match has written to."""
    session = Session.active(chain)
    fresh = Session.new(chain, 1, create=False)
    create = fresh.lifecycle(0, fresh.player1, writer=fresh.w)
    for program, code in (
        (ids.HIDDEN_STATE, Error.WriterAlreadyBound), (ids.INPUT_BUFFER, Error.AlreadyCreated),
        (ids.FRAME_LOG, Error.AlreadyCreated),
    ):  # fmt: skip
        clean, key = fresh.data(program), fresh.at(program)
        used = session.data(program).replace(bytes(session.entity), bytes(fresh.entity))
        chain.put(key, used, program)
        chain.refused(code, create, signers=[fresh.player1])
        chain.put(key, clean, program)
    chain.ok(create, signers=[fresh.player1])
