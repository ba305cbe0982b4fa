"""World's own accounts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.strategies import KEYS

from awm_crank.errors import AccountError, AwmError, LayoutError
from awm_crank.wire import ids
from awm_crank.wire.worlds import Entity, Registry, World

U64 = st.integers(0, (1 << 64) - 1)
WORLDS = st.builds(World, U64, U64, st.lists(KEYS, max_size=5).map(tuple), st.booleans(), st.binary(max_size=80))
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    World: WORLDS,
    Entity: st.builds(Entity, U64),
    Registry: st.builds(Registry, U64),
}


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
@given(data=st.data(), spare=st.binary(max_size=40))
def test_round_trip(kind: Any, data: st.DataObject, spare: bytes) -> None:
    """A value is encoded and decoded unchanged, whatever bytes follow the struct."""
    value = data.draw(VALUES[kind])
    assert kind.decode(value.encode(), owner=ids.WORLD) == value
    assert kind.decode(value.encode() + spare) == value


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_decoders_are_total(kind: Any, data: st.DataObject) -> None:
    """Any bytes after the right discriminator decode or raise a typed error."""
    head = data.draw(VALUES[kind]).encode()[:8]
    raw = head[: data.draw(st.integers(0, 8))] + data.draw(st.binary(max_size=120))
    try:
        value = kind.decode(raw)
    except AwmError:
        return
    assert kind.decode(value.encode()) == value


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_wrong_accounts_are_refused(kind: Any) -> None:
    """Another owner or discriminator, or data that ends early, is refused by name."""
    values: dict[Any, Any] = {World: World(1, 2, (ids.WORLD,), True, b""), Entity: Entity(1), Registry: Registry(1)}
    good = values[kind].encode()
    with pytest.raises(AccountError, match=f"{kind.__name__} here: owner"):
        kind.decode(good, owner=ids.SESSION_STATE, address="here")
    with pytest.raises(AccountError, match="discriminator"):
        kind.decode(bytes(len(good)))
    with pytest.raises(AccountError, match="no data"):
        kind.decode(b"")
    with pytest.raises(LayoutError, match=kind.__name__):
        kind.decode(good[:15])


def test_real_sizes() -> None:
    """A new world and an entity have the 33 bytes that World allocates, and the registry 16."""
    assert len(World(0, 0, (), True, b"").encode()) == 33
    assert len(Entity(3).encode()) == 33
    assert len(Registry(3).encode()) == 16


def test_permissionless_is_a_bool() -> None:
    """A flag of 2 is refused."""
    data = bytearray(World(0, 0, (), True, b"").encode())
    data[28] = 2
    with pytest.raises(LayoutError, match="permissionless; expected 0 or 1, found 2"):
        World.decode(bytes(data))


def test_approved_systems() -> None:
    """The Borsh set of approved systems is read as keys, and a malformed set is refused."""
    systems = (2).to_bytes(4, "little") + bytes(ids.SUBMIT_INPUT) + bytes(ids.RUN_INFERENCE)
    assert World(0, 0, (), False, systems).approved_systems == (ids.SUBMIT_INPUT, ids.RUN_INFERENCE)
    assert World(0, 0, (), True, b"").approved_systems == ()
    with pytest.raises(LayoutError, match="systems"):
        _ = World(0, 0, (), False, systems[:-1]).approved_systems


def test_too_large_numbers_are_refused() -> None:
    """A number over u64 cannot be encoded."""
    with pytest.raises(LayoutError, match=r"Registry.worlds; expected a u64"):
        Registry(1 << 64).encode()
