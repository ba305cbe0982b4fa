"""The match file has the documented content, and a malformed one is refused."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from match.fakes import play

from awm_crank.errors import MatchFileError
from awm_crank.match import file
from awm_crank.wire.contract import MATCH_META

MATCH = play(5)
ENCODED = MATCH.file.encode()
KEYS = [
    "x", "y", "percent", "shield_strength", "speed_air_x", "speed_y", "speed_ground_x", "speed_attack_x",
    "speed_attack_y", "state_age", "hitlag", "stocks", "facing", "on_ground", "action_state", "jumps_left", "character",
]  # fmt: skip


def document() -> Any:
    """The file as plain JSON."""
    return json.loads(ENCODED)


def test_visualizer_form() -> None:
    """The JSON holds meta, geometry, frames of two players with all 17 keys, and base64 records."""
    found = document()
    assert set(found) == {"meta", "stage_geometry", "frames", "records"}
    assert len(found["frames"]) == 6
    assert [list(player) for player in found["frames"][3]["players"]] == [KEYS, KEYS]
    assert found["frames"][0]["players"][0]["x"] == -30.0
    assert found["frames"][0]["players"][1]["shield_strength"] == 60.0
    assert found["stage_geometry"]["name"] == "Final Destination"
    assert [len(base64.b64decode(record)) for record in found["records"]] == [96] * 5
    assert found["meta"]["seed"] == str(2**63 + 5)


def test_frames_follow_records() -> None:
    """Frame n shows the numbers of record n, with fixed point converted exactly."""
    found = document()
    for number in range(1, 6):
        record = base64.b64decode(found["records"][number - 1])
        x, y = struct.unpack_from("<ii", record, 24)
        shown = found["frames"][number]["players"][0]
        assert (shown["x"] * 256, shown["y"] * 256) == (x, y)


def test_round_trip() -> None:
    """A match that is encoded and parsed stays the same."""
    assert file.parse(ENCODED).encode() == ENCODED


def test_records_with_a_gap() -> None:
    """A file can be built only from all records from frame 1 on."""
    with pytest.raises(MatchFileError, match=r"expected frame 1, found frame 2"):
        play_records = MATCH.file.records[1:]
        session = MATCH.snapshot.session
        file.build(
            session=MATCH.snapshot.address, entity=session.entity, player1=session.player1, player2=session.player2,
            model=session.model, cartridge_sha256=bytes(32), seed=1, stage=32, max_frames=0,
            start_players=MATCH.snapshot.start_players, records=play_records, chain_hash=bytes(32),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d["meta"].update(format="awm-match/2"), "f: meta.format; expected awm-match/1, found awm-match/2"),
        (lambda d: d["meta"].update(session="0O"), "f: meta.session; expected 32 bytes in base58, found \"'0O'\""),
        (lambda d: d["meta"].update(genesis="AA"), "f: meta.genesis; expected 32 bytes in hex"),
        (lambda d: d["meta"].update(chain_hash="A" * 64), "f: meta.chain_hash; expected 32 bytes in hex"),
        (lambda d: d["meta"].update(seed="-1"), "f: meta.seed; expected a decimal u64"),
        (lambda d: d["meta"].update(seed=str(2**64)), "f: meta.seed; expected a decimal u64"),
        (lambda d: d["meta"].update(seed="007"), "f: meta.seed; expected a decimal u64"),
        (lambda d: d["meta"].update(stage=256), "f: meta.stage; expected a u8"),
        (lambda d: d["meta"].update(max_frames=-1), "f: meta.max_frames; expected a u32"),
        (lambda d: d["meta"].update(fps=50), "f: meta.fps; expected 60, found 50"),
        (lambda d: d["meta"].update(frames=4), "f: records; expected 4 (meta.frames), found 5"),
        (lambda d: d["frames"].pop(), "f: frames; expected 6 (frame 0 and meta.frames), found 5"),
        (lambda d: d["records"].__setitem__(2, "AAAA"), "f: record of frame 3; expected 96 bytes, found 3 bytes"),
        (lambda d: d["records"].__setitem__(2, "?"), "f: Invalid base64 encoded string"),
        (lambda d: d["meta"].update(extra_size=13), "f: meta.extra_size; expected 0..12, found 13"),
        (lambda d: d["meta"].update(extra_size=6), "f: record of frame 1; expected 108 bytes, found 96 bytes"),
        (lambda d: d["meta"].pop("model"), "f: Object missing required field `model`"),
        (lambda d: d.pop("records"), "f: Object missing required field `records`"),
        (lambda d: d["meta"].update(start_players="ff" * 64), "f: meta.start_players: PlayerState"),
    ],
)
def test_malformed(change: Any, text: str) -> None:
    """Each malformed key is refused by its name."""
    changed = document()
    change(changed)
    with pytest.raises(MatchFileError) as caught:
        file.parse(json.dumps(changed).encode(), source="f")
    assert str(caught.value).startswith(text.replace("\"'", "'").replace("'\"", "'"))


@given(st.binary(max_size=200) | st.integers(0, len(ENCODED) - 1).map(lambda n: ENCODED[:n]))
def test_fuzz(raw: bytes) -> None:
    """Bytes that are not a match file raise a typed error, whatever they are."""
    with pytest.raises(MatchFileError):
        file.parse(raw)


@given(st.integers(0, len(ENCODED) - 1), st.integers(1, 255))
def test_damaged(at: int, by: int) -> None:
    """A damaged file is either parsed or refused by name."""
    raw = ENCODED[:at] + bytes((ENCODED[at] ^ by,)) + ENCODED[at + 1 :]
    try:
        parsed = file.parse(raw)
    except MatchFileError:
        return
    assert len(parsed.records) == parsed.meta.frames


@pytest.mark.parametrize(
    "change",
    [
        {"ground": {"x_min": -1e9, "x_max": 1e9, "y": 0}},
        {"blast_zones": {"left": -246, "right": 1e18, "top": 188, "bottom": -140}},
        {"platforms": [{"x_min": 0, "x_max": 1, "y": 0}] * 33},
        {"platforms": [{"x_min": 0, "x_max": "wide", "y": 0}]},
        {"name": "x" * 101},
        {"stage": -1},
    ],
)
def test_stage_beyond_all_measure(change: dict[str, Any]) -> None:
    """A stage that is invalid, or wider than any real one, is refused by name, because drawing it would freeze
    a page.
    """
    content = document()
    content["stage_geometry"].update(change)
    with pytest.raises(MatchFileError, match="stage_geometry"):
        file.parse(json.dumps(content).encode())


def test_meta_is_the_contracts() -> None:
    """`meta` has the contract's keys, in its order."""
    assert file.Meta.__struct_fields__ == MATCH_META


@pytest.mark.parametrize("size", [1, 5, 6, 12])
def test_extra_feedback(size: int) -> None:
    """A file of a world with extra feedback says its size and has it in every record; other files say nothing of it."""
    session = MATCH.snapshot.session

    def build(records: list[bytes]) -> file.MatchFile:
        return file.build(
            session=MATCH.snapshot.address, entity=session.entity, player1=session.player1, player2=session.player2,
            model=session.model, cartridge_sha256=bytes(32), seed=1, stage=32, max_frames=0,
            start_players=MATCH.snapshot.start_players, records=records, chain_hash=bytes(32),
        )  # fmt: skip

    records = [record + bytes([number]) * (2 * size) for number, record in enumerate(MATCH.file.records)]
    made = build(records)
    assert file.parse(made.encode()) == made
    assert json.loads(made.encode())["meta"]["extra_size"] == size
    assert b"extra_size" not in ENCODED
    with pytest.raises(MatchFileError, match=f"extra feedback of frame 3; expected {2 * size} bytes, found 0 bytes"):
        build([*records[:2], MATCH.file.records[2]])
