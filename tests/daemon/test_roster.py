"""Which sessions have a place, when more come than there is room for."""

from __future__ import annotations

import msgspec
from session.script import FakeChain
from solders.pubkey import Pubkey

from awm_crank.config import Config, CrankConfig
from awm_crank.daemon.roster import Roster
from awm_crank.daemon.session import ServedSession, machine_settings
from awm_crank.session import commands, events
from awm_crank.telemetry.stats import Stats
from awm_crank.wire import bolt, ids

ME = Pubkey.from_bytes(bytes([7] * 32))


class House:
    """A roster with room for this many sessions. Their machines run without a chain."""

    def __init__(self, places: int) -> None:
        settings = machine_settings(Config(), ME)
        self.stats, self.now = Stats(), 0
        self.roster = Roster(
            CrankConfig(max_sessions=places), settings, 16_666_666, self.stats, self.begin, self.let_go
        )
        self.gone: list[ServedSession] = []

    def begin(self, served: ServedSession) -> None:
        """Starts a machine, which reads its accounts."""
        served.machine.handle(events.Begin(), self.now)

    def let_go(self, served: ServedSession, command: commands.Release) -> None:
        """Releases a session, as the daemon does."""
        self.gone.append(served)
        self.roster.release(served, command.outcome)

    def come(self, entity: Pubkey, *, joined: bool) -> None:
        """Reports that a session's hidden state was found or has changed."""
        hidden = msgspec.structs.replace(FakeChain().hidden, entity=entity, chain_hash=bytes([joined] * 32))
        self.roster.admit(bolt.component_pda(ids.HIDDEN_STATE, entity), hidden.encode())

    def served(self) -> set[Pubkey]:
        """The entities of the sessions that are served."""
        return {each.entity for each in self.roster}

    def broke(self, entity: Pubkey) -> None:
        """Reports that a session's model is unusable, which is the session's own fault."""
        served = next(each for each in self.roster if each.entity == entity)
        served.machine._effects.again("no such model", (), "model", tries=5)


def entities(count: int) -> list[Pubkey]:
    """New entities."""
    return [Pubkey.new_unique() for _ in range(count)]


def test_sessions_that_nobody_joins_keep_no_place() -> None:
    """A stranger makes more sessions than there is room for. Each honest one that is joined is served all the same."""
    house, honest = House(16), entities(16)
    idle = entities(40)
    for entity in idle:
        house.come(entity, joined=False)
    assert len(house.roster) == 16
    assert house.roster.waiting() == 24
    for entity in honest:
        house.come(entity, joined=True)
    assert house.served() == set(honest)
    assert len(house.gone) == 16
    # a session that had to leave is served again when somebody joins it and there is room
    house.come(house.gone[0].entity, joined=True)
    assert house.served() == set(honest)
    house.roster.release(next(iter(house.roster)), "over")
    assert house.gone[0].entity in house.served()


def test_joined_sessions_are_not_displaced() -> None:
    """When all places are taken by joined sessions, the next one waits, whoever came first."""
    house = House(2)
    first, second, third = entities(3)
    for entity in (first, second, third):
        house.come(entity, joined=True)
    assert house.served() == {first, second}
    assert not house.gone
    house.roster.release(next(iter(house.roster)), "over")
    assert house.served() == {second, third}


def test_sessions_that_wait_for_something_of_their_own() -> None:
    """They take no place. There is a limit to them, too, beyond which they take turns and make room."""
    house = House(4)
    broken, honest = entities(8), entities(5)
    for entity in broken:
        house.come(entity, joined=True)
        house.broke(entity)
    assert len(house.roster) == 8
    for entity in honest:
        house.come(entity, joined=True)
    assert len(house.served() & set(honest)) == 4
    assert len(house.roster) == 8
    assert house.roster.waiting() == 5
