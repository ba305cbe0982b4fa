"""A replay's frames become the frame blocks that a match on chain would have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peppi_py
import pytest
from match.slp import FIRST_FRAME, Fighter, Frame
from match.slp import replay as written

from awm_crank.engine import frame as blocks
from awm_crank.engine.encoding import Encoding
from awm_crank.errors import ReplayError
from awm_crank.match import file
from awm_crank.match.replay import Replay, convert
from awm_crank.wire import frame_records
from awm_crank.wire.accounts import ControllerInput, Feedback, PlayerState

RUN = Fighter(
    x=-30.25, y=1.5, stick=(1.0, -0.5), c_stick=(0.0, 0.9875), trigger=0.4, buttons=0x100 | 0x8 | 0x40, action=20,
    percent=12.625, shield=59.5, combo=3, age=7.0, ground=2, jumps=1, l_cancel=1, hurtbox=2, last_attack=17,
    speeds=(0.5, -1.25, 2.0, -2.5, 1.75), hitlag=4.0, character=2, stocks=3,
)  # fmt: skip
STAND = Fighter(x=30.0, facing=-1.0, character=18, airborne=True, ground=0xFFFF)


def parsed(folder: Path, frames: list[Frame], **settings: Any) -> Any:
    """What peppi-py reads of a replay with these frames."""
    path = folder / "game.slp"
    path.write_bytes(written(frames, **settings))
    return peppi_py.read_slippi(str(path))


def game(count: int) -> list[Frame]:
    """So many frames, in which port 1 walks one unit a frame."""
    return [
        Frame(FIRST_FRAME + n, {0: replace(RUN, x=-30.25 + n), 2: STAND}) for n in range(count)
    ]  # fmt: skip


def test_every_field(tmp_path: Path) -> None:
    """Each number of the game is in its field: in 1/256, rounded, a full tilt ±80, and cut to the field's range."""
    (block,) = convert(parsed(tmp_path, game(1), stage=31)).blocks
    assert len(block) == 97
    assert block[96] == 31
    first, second = (PlayerState.decode(block[at : at + 32]) for at in (0, 32))
    assert first == PlayerState(
        x=-7744, y=384, percent=12, shield_strength=15232, speed_air_x=128, speed_y=-320,
        speed_ground_x=448, speed_attack_x=512, speed_attack_y=-640, state_age=7, hitlag=4, stocks=3,
        facing=1, on_ground=1, action_state=20, jumps_left=1, character=2,
    )  # fmt: skip
    assert (second.facing, second.on_ground, second.character) == (0, 0, 18)
    feedback = [Feedback.decode(block[at : at + 8]) for at in (64, 72)]
    assert feedback[0] == Feedback(
        percent_frac=160, invulnerable=1, combo_count=3, l_cancel=1, hurtbox=2, ground=2, last_attack=17, reserved=0
    )
    assert feedback[1].ground == 31
    pressed = ControllerInput.decode(block[80:88])
    assert (pressed.stick_x, pressed.stick_y, pressed.c_stick_x, pressed.c_stick_y) == (80, -40, 0, 79)
    assert (pressed.trigger_l, pressed.trigger_r) == (102, 0)
    assert (pressed.buttons, pressed.buttons_ext) == (0b1, 0b101)


def test_engine_takes_the_blocks(tmp_path: Path) -> None:
    """The engine's own reader accepts each block, whatever a game records beyond the model's ranges."""
    wild = Fighter(
        x=1e9, y=float("nan"), percent=1200.0, shield=99.0, action=383, age=-1.0, speeds=(500.0,) * 5, combo=200,
        last_attack=250, hurtbox=9, l_cancel=3, jumps=12, hitlag=300.0, character=40,
    )  # fmt: skip
    (block,) = convert(parsed(tmp_path, [Frame(0, {0: wild, 2: STAND})])).blocks
    first, _, stage = blocks.unpack(block)
    assert stage == 32
    assert (first["percent"], first["y"], first["state_age"], first["character"]) == (999, 0, 0, 32)
    assert (first["speed_air_x"], first["action_state"]) == (32767, 383)


def test_extra_feedback(tmp_path: Path) -> None:
    """A world with flags gets the game's 40 state flags and its hitstun, which may be an integer's bits."""
    as_bits = float(np.array([9], np.uint32).view(np.float32)[0])
    hit = replace(RUN, flags=bytes((1, 2, 3, 4, 128)), misc=31.0)
    frames = [Frame(0, {0: hit, 2: replace(STAND, misc=as_bits)}), Frame(1, {0: hit, 2: replace(STAND, misc=1e6)})]
    encoding = Encoding(state_flags=True, hitstun=True, projectiles=True)
    found = convert(parsed(tmp_path, frames), encoding=encoding)
    first, second, _ = blocks.unpack(found.blocks[0], encoding)
    assert first["state_flags"] == int.from_bytes(hit.flags, "little")
    assert (first["hitstun"], second["hitstun"]) == (31, 9)
    assert blocks.unpack(found.blocks[1], encoding)[1]["hitstun"] == 200
    assert first["projectile_count"] == 0
    assert found.notes == ("Projectiles are left at 0, as in a match: nothing predicts them.",)


def test_rollback_and_range(tmp_path: Path) -> None:
    """A frame that was played again after a rollback counts once, as it was last; start and count choose frames."""
    frames = [*game(4), Frame(FIRST_FRAME + 1, {0: replace(RUN, x=7.0), 2: STAND})]
    xs = [PlayerState.decode(block[:32]).x / 256 for block in convert(parsed(tmp_path, frames)).blocks]
    assert xs == [-30.25, 7.0, -28.25, -27.25]
    chosen = convert(parsed(tmp_path, frames), start=2, count=1)
    assert [PlayerState.decode(block[:32]).x / 256 for block in chosen.blocks] == [-28.25]


def test_match_file(tmp_path: Path) -> None:
    """The match file has every frame and input, is read like any other, and differs for another replay."""
    found: Replay = convert(parsed(tmp_path, game(30)))
    match = file.parse(found.match_file(b"one").encode())
    assert match.meta.frames == 29
    assert match.frames[29]["players"][0]["x"] == -1.25
    assert match.records[0][4:12] == found.blocks[1][80:88]
    assert match.records[28][24:88] == frame_records.block_players(found.blocks[29])
    assert found.match_file(b"other").meta.session != match.meta.session
    assert len(json.loads(match.encode_frames())) == 30


@pytest.mark.parametrize(
    ("ports", "stage", "start", "what"),
    [
        ((0, 1, 2), 32, 0, "players of the replay; expected 2, found 3"),
        ((0,), 32, 0, "players of the replay; expected 2, found 1"),
        ((0, 2), 32, 3, "frames of the replay; expected at least one"),
        ((0, 2), 71, 0, r"stage of the replay; expected 0\.\.32, found 71"),
    ],
)
def test_what_is_no_match(tmp_path: Path, ports: tuple[int, ...], stage: int, start: int, what: str) -> None:
    """A game that is not one against one, too short, or on a stage that no world knows is refused."""
    frames = [Frame(n, dict.fromkeys(ports, STAND)) for n in range(3)]
    with pytest.raises(ReplayError, match=what):
        convert(parsed(tmp_path, frames, ports=ports, stage=stage), start=start)
