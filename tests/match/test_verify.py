"""verify accepts an honest match, and catches and names one altered byte of any field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from match.fakes import CARTRIDGE, FakeEngine, Match, play, seal
from solders.pubkey import Pubkey

from awm_crank.errors import VerifyError
from awm_crank.match import file, verify
from awm_crank.match.difference import CHECKPOINT, RECORD
from awm_crank.wire import layouts
from awm_crank.wire.accounts import RECORD_SIZE

FRAMES = 40
FILE_MATCH = play(FRAMES, max_frames=600)
RING_MATCH = play(FRAMES, capacity=24, checkpoints=(20, 30))
# the codec already refuses reserved bytes other than 0
HASHED = [*(leaf for leaf in CHECKPOINT.leaves if leaf[0] != "reserved2"), ("state", 136, 32, "")]
replace = msgspec.structs.replace


def altered(data: bytes, at: int, by: int = 1) -> bytes:
    """The bytes with some bits flipped at one place."""
    return data[:at] + bytes((data[at] ^ by,)) + data[at + 1 :]


def file_difference(match: file.MatchFile) -> Any:
    """The difference that verify finds in a file."""
    return verify.verify_file(match, FakeEngine(), CARTRIDGE).difference


def session_difference(**changes: Any) -> Any:
    """The difference that verify finds on a chain whose snapshot has these changes."""
    return verify.verify_session(replace(RING_MATCH.snapshot, **changes), FakeEngine()).difference


def test_honest_file() -> None:
    """An honest file agrees to its last frame, and the recomputed chain hash is the file's."""
    verdict = verify.verify_file(FILE_MATCH.file, FakeEngine(), CARTRIDGE)
    verdict.check()
    assert (verdict.start, verdict.last) == (0, FRAMES)
    assert verdict.chain_hash.hex() == FILE_MATCH.file.meta.chain_hash


def test_file_survives_its_encoding() -> None:
    """A match file that is written and read back still verifies."""
    assert file_difference(file.parse(FILE_MATCH.file.encode())) is None


@pytest.mark.parametrize("leaf", RECORD.leaves, ids=lambda leaf: leaf[0])
def test_one_byte_of_a_record(leaf: tuple[str, int, int, str]) -> None:
    """An altered field of a record is caught in its frame, and the report names the byte and the computed value."""
    name, offset, size, _ = leaf
    for at in (offset, offset + size - 1):
        records = list(FILE_MATCH.file.records)
        records[16] = altered(records[16], at)
        found = file_difference(replace(FILE_MATCH.file, records=records))
        assert found.frame == 17
        if name.startswith("input"):
            # another input leads to another frame, so either the frame differs or the rule for missing inputs is broken
            assert found.place == "record"
        elif name.startswith("source"):
            assert found.field.split(" ")[0] in (name, "chain_hash", f"input{name[-1]}")
        else:
            assert (found.field, found.offset) == (name, at)


META_CHANGES = {
    "session": str(FILE_MATCH.snapshot.session.player1),
    "entity": str(FILE_MATCH.snapshot.session.player1),
    "model": str(FILE_MATCH.snapshot.session.player1),
    "seed": "17",
    "stage": 31,
    "max_frames": 601,
    "genesis": "00" * 32,
    "chain_hash": "00" * 32,
    "start_players": altered(FILE_MATCH.file.start_players, 0).hex(),
}


@pytest.mark.parametrize("key", META_CHANGES)
def test_altered_meta(key: str) -> None:
    """Each altered key of meta that the match depends on is caught, and a wrong hash is named."""
    meta = replace(FILE_MATCH.file.meta, **{key: META_CHANGES[key]})
    found = file_difference(replace(FILE_MATCH.file, meta=meta))
    wanted = {"entity": "meta.session", "chain_hash": "meta.chain_hash", "session": "meta.session"}
    assert found.field == wanted.get(key, "meta.genesis")


def test_another_cartridge() -> None:
    """With a cartridge of another hash nothing is compared."""
    with pytest.raises(VerifyError, match="played with another cartridge"):
        verify.verify_file(FILE_MATCH.file, FakeEngine(), bytes(32))


@pytest.mark.parametrize("name", layouts.PLAYER_STATE.names)
@pytest.mark.parametrize("player", [0, 1])
def test_altered_visualizer_key(name: str, player: int) -> None:
    """What a visualizer would draw is compared too, key by key."""
    frames = msgspec.to_builtins(FILE_MATCH.file)["frames"]
    frames = msgspec.json.decode(msgspec.json.encode(frames))
    frames[9]["players"][player][name] += 1
    found = file_difference(replace(FILE_MATCH.file, frames=frames))
    assert (found.frame, found.field) == (9, f"frames[9].players[{player}].{name}")


def test_altered_geometry_and_frame_zero() -> None:
    """The stage's geometry and frame 0 are compared."""
    geometry = {**FILE_MATCH.file.stage_geometry, "name": "Elsewhere"}
    assert file_difference(replace(FILE_MATCH.file, stage_geometry=geometry)).field == "stage_geometry"
    frames = [{"players": [], "stage": 32}, *FILE_MATCH.file.frames[1:]]
    assert file_difference(replace(FILE_MATCH.file, frames=frames)).field == "frames[0]"


def test_swapped_records() -> None:
    """Two records in the wrong order are caught at the first of them."""
    records = list(FILE_MATCH.file.records)
    records[4], records[5] = records[5], records[4]
    found = file_difference(replace(FILE_MATCH.file, records=records))
    assert found.frame == 5


def test_frames_after_the_end() -> None:
    """A frame beyond max_frames is refused, since the programs end the session there."""
    match = play(12, max_frames=12)
    assert file_difference(match.file) is None
    longer = play(13, max_frames=12)
    assert file_difference(longer.file).expected == "no frame after the match's end"


@pytest.mark.parametrize(("source", "player"), [(1, 0), (2, 1)])
def test_forged_source(source: int, player: int) -> None:
    """A held input must repeat the last fresh one and a neutral one must be zero; the report names the broken rule."""
    at = next(i for i, r in enumerate(FILE_MATCH.file.records) if i > 6 and r[20 + player] == source)
    records = list(FILE_MATCH.file.records)
    records[at] = altered(records[at], 4 + 8 * player)
    found = file_difference(replace(FILE_MATCH.file, records=records))
    assert found.field == f"input{player + 1} ({'held' if source == 1 else 'neutral'})"


def test_honest_session() -> None:
    """An honest chain agrees from its older checkpoint on, and the verdict names that checkpoint."""
    verdict = verify.verify_session(RING_MATCH.snapshot, FakeEngine())
    verdict.check()
    assert (verdict.start, verdict.last) == (20, FRAMES)
    assert verdict.chain_hash == RING_MATCH.snapshot.hidden.chain_hash


def test_short_session_is_checked_from_its_start() -> None:
    """While the ring holds frame 1, no checkpoint is needed and everything is recomputed."""
    verdict = verify.verify_session(play(30, checkpoints=(10, 20)).snapshot, FakeEngine())
    assert (verdict.start, verdict.last, verdict.difference) == (0, 30, None)


def test_frame_zero() -> None:
    """A session that has just begun verifies at frame 0."""
    assert verify.verify_session(play(0).snapshot, FakeEngine()).difference is None


def test_session_nobody_joined() -> None:
    """Before player 2 has joined there is no match to recompute, which does not count as a difference."""
    snapshot = play(0).snapshot
    waiting = replace(snapshot, session=replace(snapshot.session, player2=Pubkey.default()))
    with pytest.raises(VerifyError, match=r"never began\. Try: verify it once player 2 has joined"):
        verify.verify_session(waiting, FakeEngine())


def test_overtaken_checkpoint_is_not_begun_from() -> None:
    """When the ring has overwritten the records after a checkpoint, the next checkpoint is used."""
    verdict = verify.verify_session(play(FRAMES, capacity=16, checkpoints=(20, 30)).snapshot, FakeEngine())
    assert (verdict.start, verdict.difference) == (30, None)


def test_nothing_to_begin_from() -> None:
    """Without a usable checkpoint the error says what exists, and what to do."""
    with pytest.raises(VerifyError) as caught:
        verify.verify_session(play(FRAMES, capacity=8, checkpoints=(20, 30)).snapshot, FakeEngine())
    assert "expected one of frame 32 or later, found frame 20, frame 30. Try: verify a match file" in str(caught.value)


def test_records_that_a_crank_kept() -> None:
    """With the records before the ring's, everything is recomputed from frame 0, without any checkpoint."""
    match = play(FRAMES, capacity=8, checkpoints=(20, 30))
    alone = replace(match.snapshot, checkpoints=(None, None))
    kept = tuple(match.file.records)
    verdict = verify.verify_session(replace(alone, journal=kept[: FRAMES - 8]), FakeEngine())
    assert (verdict.start, verdict.last, verdict.difference) == (0, FRAMES, None)
    with pytest.raises(VerifyError):
        verify.verify_session(replace(alone, journal=kept[: FRAMES - 9]), FakeEngine())
    forged = (*kept[:6], altered(kept[6], 30), *kept[7:])
    difference = verify.verify_session(replace(alone, journal=forged), FakeEngine()).difference
    assert difference is not None
    assert difference.frame == 7


def test_ring_given_back() -> None:
    """After `session close` has shrunk the ring there is nothing to recompute from."""
    log = replace(RING_MATCH.snapshot.log, capacity=0, ring=b"")
    with pytest.raises(VerifyError, match="its ring is gone"):
        session_difference(log=log)


@pytest.mark.parametrize("leaf", RECORD.leaves, ids=lambda leaf: leaf[0])
def test_one_byte_of_a_ring_record(leaf: tuple[str, int, int, str]) -> None:
    """An altered field of a record in the ring is caught in its frame."""
    name, offset, _, _ = leaf
    at = (25 - 1) % 24 * RECORD_SIZE + offset
    found = session_difference(log=replace(RING_MATCH.snapshot.log, ring=altered(RING_MATCH.snapshot.log.ring, at)))
    assert found.frame == 25
    if not name.startswith(("input", "source")):
        assert found.field == ("record" if name == "frame" else name)


@pytest.mark.parametrize("leaf", HASHED, ids=lambda leaf: leaf[0])
@pytest.mark.parametrize("slot", [0, 1])
def test_one_byte_of_a_checkpoint(leaf: tuple[str, int, int, str], slot: int) -> None:
    """An altered byte of a checkpoint breaks its data_hash; with a hash that fits, recomputation still catches it."""
    name, offset, _, _ = leaf
    checkpoints = list(RING_MATCH.snapshot.checkpoints)
    original = checkpoints[slot]
    assert original is not None
    raw = bytearray(original.encode())
    raw[112 + offset] ^= 1
    forged = type(original).decode(bytes(raw))
    checkpoints[slot] = forged
    found = session_difference(checkpoints=tuple(checkpoints))
    assert (found.place, found.field) == (f"checkpoint {'AB'[slot]}", "data_hash")
    sealed = seal(forged)
    checkpoints[slot] = sealed
    hidden = RING_MATCH.snapshot.hidden
    if slot == 1:
        hidden = replace(hidden, checkpoint_hash=sealed.data_hash, checkpoint_frame=sealed.frame)
    found = session_difference(checkpoints=tuple(checkpoints), hidden=hidden)
    assert found is not None
    if slot == 1 and name != "frame":
        assert (found.frame, found.place, found.field) == (30, "checkpoint B", name)


@pytest.mark.parametrize(
    ("account", "changes", "field"),
    [
        ("session", {"players": altered(RING_MATCH.snapshot.session.players, 0)}, "player1.x"),
        ("session", {"frame": FRAMES - 1}, "frame"),
        ("hidden", {"frame": FRAMES - 1}, "frame"),
        ("hidden", {"feedback": altered(RING_MATCH.snapshot.hidden.feedback, 8)}, "feedback2.percent_frac"),
        ("hidden", {"chain_hash": bytes(32)}, "chain_hash"),
        ("hidden", {"checkpoint_frame": 29}, "checkpoint_frame"),
        ("hidden", {"checkpoint_hash": bytes(32)}, "checkpoint_hash"),
        ("log", {"total_frames": FRAMES - 1}, "total_frames"),
        ("log", {"write_index": 3}, "write_index"),
        ("log", {"session": RING_MATCH.snapshot.session.player1}, "session"),
        ("inputs", {"frame": FRAMES}, "frame"),
    ],
)
def test_altered_accounts(account: str, changes: dict[str, Any], field: str) -> None:
    """Every account's own statement about the match is compared."""
    found = session_difference(**{account: replace(getattr(RING_MATCH.snapshot, account), **changes)})
    assert found.field == field


def test_error_names_everything() -> None:
    """The error of a difference names frame, field, byte and both values."""
    records = list(FILE_MATCH.file.records)
    value = int.from_bytes(records[16][24:28], "little", signed=True)
    records[16] = altered(records[16], 24)
    with pytest.raises(VerifyError) as caught:
        verify.verify_file(replace(FILE_MATCH.file, records=records), FakeEngine(), CARTRIDGE).check()
    text = f"frame 17: player1.x at byte 24 of record differs; expected {value}, found {value ^ 1}"
    assert str(caught.value) == text


@settings(max_examples=60, deadline=None)
@given(st.integers(0, FRAMES - 1), st.integers(0, 95), st.integers(1, 255))
def test_any_byte_of_any_record(number: int, at: int, by: int) -> None:
    """Whatever byte of whatever record is altered, the difference is found in that very frame."""
    records = list(FILE_MATCH.file.records)
    records[number] = altered(records[number], at, by)
    assert file_difference(replace(FILE_MATCH.file, records=records)).frame == number + 1


def test_progress() -> None:
    """The callback gets each frame's number, and the last one's."""
    told: list[tuple[int, int]] = []
    match: Match = play(3)
    verify.verify_file(match.file, FakeEngine(), CARTRIDGE, progress=lambda n, of: told.append((n, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]
