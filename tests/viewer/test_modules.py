"""The page's modules under Node.js, tested with bytes that awm_crank.wire made."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from awm_crank.client.session import SessionAccounts
from awm_crank.match import file, players
from awm_crank.match.actions import action_name
from awm_crank.viewer.contract import contract
from awm_crank.wire import bolt, ids, layouts
from awm_crank.wire.accounts import (
    ACTIVE,
    RECORD_SIZE,
    FrameLog,
    FrameRecord,
    InputBuffer,
    PlayerState,
    SessionState,
    World,
)
from awm_crank.wire.args import JOIN, Input, Lifecycle
from awm_crank.wire.start import start_players
from awm_crank.wire.transaction import compute_unit_limit

SCRIPTS = Path(__file__).parent / "js"


def key(number: int) -> Pubkey:
    """A key that is different for each number."""
    return Pubkey.from_bytes(hashlib.sha256(number.to_bytes(4, "big")).digest())


def fighter(n: int) -> bytes:
    """A PlayerState in which every field has its own value, with negative ones among them."""
    return PlayerState(
        x=-7681 - n, y=12345 + n, percent=999 - n, shield_strength=15360 - n, speed_air_x=-512 - n, speed_y=300 + n,
        speed_ground_x=-32768, speed_attack_x=32767, speed_attack_y=-1, state_age=65535 - n, hitlag=255, stocks=3,
        facing=n & 1, on_ground=1, action_state=399, jumps_left=7, character=32,
    ).encode()  # fmt: skip


def record(frame: int, extra: bytes = b"") -> bytes:
    """A frame's record."""
    return FrameRecord(
        frame, players.controller(-80, 80, buttons=255), players.controller(c_stick_x=-128, trigger_r=9), 1, 2, 31, 0,
        fighter(frame % 50), fighter(1), b"12345678", extra,
    ).encode()  # fmt: skip


def ring(total: int, capacity: int, extra_size: int = 0) -> bytes:
    """A frame log after `total` frames, whose records end with two players' extra feedback."""
    slots = [b"\0" * (RECORD_SIZE + 2 * extra_size)] * capacity
    for frame in range(1, total + 1):
        slots[(frame - 1) % capacity] = record(frame, bytes([frame]) * (2 * extra_size))
    return FrameLog(total % capacity, total, key(1), key(2), capacity, ids.WORLD, b"".join(slots), bytes(72)).encode()


def signed(instructions: list[Instruction], payer: Keypair) -> str:
    """A legacy transaction that solders made."""
    blockhash = Hash(bytes(key(99)))
    message = Message.new_with_blockhash(instructions, payer.pubkey(), blockhash)
    return bytes(Transaction([payer], message, blockhash)).hex()


def flagged(size: int, entity: Pubkey) -> bytes:
    """A match file of a world that feeds back `size` extra bytes a player."""
    return file.build(
        session=key(1), entity=entity, player1=key(2), player2=key(3), model=key(4), cartridge_sha256=bytes(32), seed=5,
        stage=32, max_frames=0, start_players=start_players(1, 2),
        records=[record(n, bytes([n]) * (2 * size)) for n in range(1, 6)], chain_hash=bytes(32),
    ).encode()  # fmt: skip


def vectors() -> dict[str, object]:
    """The expected values for the JavaScript tests."""
    entity, world, payer = key(7), key(8), Keypair.from_seed(bytes(range(32)))
    state = SessionState(
        ACTIVE, 4_000_000_000, 28_800, payer.pubkey(), key(3), 31, fighter(0) + fighter(1), key(4), -5, 1_700_000_000,
        2**64 - 1, entity, key(5), key(6), 9, 300, ids.WORLD,
    )  # fmt: skip
    given = players.controller(80, -80, buttons=5, buttons_ext=4, trigger_l=255)
    buffer = InputBuffer(9, given, bytes(8), True, False, entity, bytes(8), given, False, True, key(5), ids.WORLD)
    submit = bolt.apply_entity(
        ids.SUBMIT_INPUT, payer.pubkey(), world, entity, (ids.SESSION_STATE, ids.INPUT_BUFFER),
        Input(payer.pubkey(), given, 10).to_binary(),
    )  # fmt: skip
    join = bolt.apply_entity(
        ids.SESSION_LIFECYCLE, payer.pubkey(), world, entity, ids.SESSION_COMPONENTS,
        Lifecycle(JOIN, payer.pubkey(), 20, challenge_s=0).to_binary(),
    )  # fmt: skip
    accounts = SessionAccounts.of(entity)
    match = file.build(
        session=key(1), entity=entity, player1=key(2), player2=key(3), model=key(4), cartridge_sha256=bytes(32), seed=5,
        stage=32, max_frames=0, start_players=start_players(1, 2), records=[record(n) for n in range(1, 6)],
        chain_hash=bytes(32),
    )  # fmt: skip
    message = bytes(range(200))
    systems = [bytes(key) for key in ids.SYSTEMS.values()]
    holds = layouts.HIDDEN_STATE.offset("holds")
    hidden = layouts.HIDDEN_STATE.discriminator.ljust(layouts.HIDDEN_STATE.size, b"\0")
    return {
        "contract": contract(),
        "start": start_players(0, 0).hex(),
        "session": {
            "data": state.encode().hex(),
            "players": [file.player_object(fighter(0)), file.player_object(fighter(1))],
            "player1": str(payer.pubkey()), "entity": str(entity), "seed": str(2**64 - 1),
        },
        "inputs": {"data": buffer.encode().hex()},
        "record": {"data": record(3).hex()},
        "rings": {f"{total}/{capacity}": ring(total, capacity).hex() for total, capacity in ((3, 8), (8, 8), (21, 8))},
        "extra": {
            # the hidden state also says that a deposit exists
            str(size): {
                "ring": ring(21, 8, size).hex(),
                "hidden": (hidden[:holds] + bytes((4 | size << 4,)) + hidden[holds + 1 :]).hex(),
                "match": flagged(size, entity).decode(),
            }
            for size in (1, 5, 6, 12)
        },
        "match": match.encode().decode(),
        "actions": [action_name(state) for state in range(402)],
        "keys": [[bytes(key(n)).hex(), str(key(n))] for n in range(20)] + [[bytes(32).hex(), str(ids.SYSTEM_PROGRAM)]],
        "curve": [[bytes(key(n)).hex(), key(n).is_on_curve()] for n in range(40)],
        "pda": {
            "registry": str(bolt.registry_pda()),
            "worlds": {str(n): str(bolt.world_pda(n)) for n in (0, 1, 2, 2**40)},
            "entity": str(entity), "session_state": str(accounts.session), "hidden_state": str(accounts.hidden),
            "input_buffer": str(accounts.inputs), "frame_log": str(accounts.log),
        },
        "worlds": {
            name: World(1, 2, tuple(key(n) for n in range(3)), name == "open", b"").encode().hex()
            for name in ("open", "shut")
        } | {
            # an authority guards these, and three or two of the three systems may run
            name: World(2, 0, (key(9),), False, count.to_bytes(4, "little") + b"".join(systems[:count])).encode().hex()
            for name, count in (("guarded", 3), ("partly", 2))
        },
        "crypto": {
            "message": message.hex(), "sha256": hashlib.sha256(message).hexdigest(),
            "sha512": hashlib.sha512(message).hexdigest(),
            "lengths": {str(n): [hashlib.sha256(bytes(n)).hexdigest(), hashlib.sha512(bytes(n)).hexdigest()]
                        for n in (0, 1, 55, 56, 63, 64, 111, 112, 127, 128)},
            "seed": bytes(range(32)).hex(), "address": str(payer.pubkey()),
            "signature": bytes(payer.sign_message(message)).hex(),
        },
        "transactions": {
            "blockhash": str(Hash(bytes(key(99)))), "world": str(world),
            "limit": bytes(compute_unit_limit(400_000).data).hex(), "input": given.hex(),
            "submit": signed([compute_unit_limit(400_000), submit], payer),
            "join": signed([compute_unit_limit(400_001), join], payer),
        },
        "sizes": {"session": layouts.SESSION_STATE.size},
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page and its tests in a folder where Node.js reads .js files as modules."""
    where = tmp_path_factory.mktemp("page")
    with as_file(files("awm_crank") / "viewer" / "page") as page:
        shutil.copytree(page, where / "page")
    for script in SCRIPTS.iterdir():
        shutil.copy(script, where)
    (where / "package.json").write_text('{"type": "module"}')
    (where / "vectors.json").write_text(json.dumps(vectors()))
    return where


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.test.js")))
def test_module_under_node(folder: Path, script: str) -> None:
    """Every test of the script passes, and there is at least one."""
    ended = subprocess.run(
        ["node", "--test", "--test-reporter=tap", script], cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, "NODE_OPTIONS": ""}, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr
    passed = re.search(r"^# pass (\d+)$", ended.stdout, re.MULTILINE)
    assert passed and int(passed.group(1)) > 0
