"""session-lifecycle: CREATE, JOIN and END, in both forms of arguments, and what each refuses."""

from __future__ import annotations

import hashlib
import json

import pytest
from solders.instruction import AccountMeta, Instruction
from svm.rig import CARTRIDGE, COMPONENTS, MODEL, NOW, Chain, Error, Session, players

from awm_crank.wire import ids
from awm_crank.wire.args import Lifecycle


def test_create_sets_what_it_says(chain: Chain) -> None:
    """CREATE fills session and hidden header, and the session waits for player 2."""
    s = Session.new(chain)
    state, hidden = s.data(ids.SESSION_STATE), s.data(ids.HIDDEN_STATE)
    assert state[8] == 1
    assert state[17:49] == bytes(s.p1)
    assert state[49:81] == bytes(32)
    assert state[81] == 32
    assert state[82:146] == bytes(31) + b"\x01" + bytes(32)
    assert state[146:178] == bytes(MODEL)
    assert int.from_bytes(state[178:186], "little") == int.from_bytes(state[186:194], "little") == NOW
    assert int.from_bytes(state[194:202], "little") == 7
    assert state[202:234] == bytes(s.entity)
    assert state[234:266] == bytes(s.p1)
    assert state[304:336] == bytes(ids.WORLD)
    assert hidden[8:13] == bytes([2, 0, 1, 16, 0])
    assert hidden[54:86] == bytes(s.w)


def test_join_starts_the_match(chain: Chain) -> None:
    """JOIN sets both start positions, the genesis hash, the coming frame and the log's session."""
    s = Session.active(chain, capacity=0)
    state, hidden, log = (s.data(p) for p in (ids.SESSION_STATE, ids.HIDDEN_STATE, ids.FRAME_LOG))
    start = players(p0_character=1, p1_character=2)
    assert state[8] == 2
    assert state[49:81] == bytes(s.p2)
    assert state[82:146] == start
    parts = (
        b"awm:genesis:v1",
        bytes(s.at(ids.SESSION_STATE)),
        bytes(MODEL),
        b"\x20",
        (7).to_bytes(8, "little"),
        bytes(4),
    )
    base = hashlib.sha256(b"".join(parts) + start).digest()
    assert hidden[90:122] == hashlib.sha256(b"awm:genesis:v2" + base + CARTRIDGE).digest()
    assert hidden[207:239] == CARTRIDGE
    assert s.data(ids.INPUT_BUFFER)[8:30] == b"\x01" + bytes(21)
    assert log[14:46] == bytes(s.at(ids.SESSION_STATE))


def test_json_of_existing_clients(chain: Chain) -> None:
    """The ten keys are read in any order, with keys in base58 or as arrays, numbers as strings, and unknown keys
    between.
    """
    s = Session.new(chain, create=False)
    document = {
        "num_layers": 2, "unknown": {"a": [1, {"b": "}\\\""}], "c": None}, "seed": str(2**64 - 1), "d_state": 16,
        "player": list(bytes(s.p1)), "max_frames": 600, "stage": "31", "model": str(MODEL), "character": 3,
        "d_inner": 256, "action": 0, "x": True,
    }  # fmt: skip
    for system_args in (json.dumps(document, indent=1).encode(), b" \n" + json.dumps(document).encode() + b" "):
        fresh = Session.new(chain, create=False)
        chain.ok(fresh.apply(ids.SESSION_LIFECYCLE, s.player1, COMPONENTS, system_args), signers=[s.player1])
        state, hidden = fresh.data(ids.SESSION_STATE), fresh.data(ids.HIDDEN_STATE)
        assert int.from_bytes(state[194:202], "little") == 2**64 - 1
        assert state[81] == 31
        assert int.from_bytes(state[13:17], "little") == 600
        assert hidden[54:86] == bytes(32)


def test_json_and_binary_do_the_same(chain: Chain) -> None:
    """The same arguments leave the same bytes in either form."""
    found = []
    for form in ("to_json", "to_binary"):
        s = Session.new(chain, create=False)
        args = Lifecycle(0, s.p1, 5, 8, MODEL, 900, 2**53, 512, 16, 12, chain.key(99).pubkey())
        chain.ok(s.apply(ids.SESSION_LIFECYCLE, s.player1, COMPONENTS, getattr(args, form)()), signers=[s.player1])
        found.append(
            (s.data(ids.SESSION_STATE)[:202], s.data(ids.HIDDEN_STATE)[8:22], s.data(ids.HIDDEN_STATE)[54:175])
        )
    assert found[0] == found[1]


GOOD = {
    "action": 0, "player": "", "character": 1, "stage": 32, "model": str(MODEL), "max_frames": 0, "seed": 1,
    "d_inner": 256, "d_state": 16, "num_layers": 2,
}  # fmt: skip


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_missing_key_is_refused(chain: Chain, missing: str) -> None:
    """Each of the ten JSON keys of a CREATE is required."""
    s = Session.new(chain, create=False)
    document = {k: v for k, v in (GOOD | {"player": str(s.p1)}).items() if k != missing}
    ix = s.apply(ids.SESSION_LIFECYCLE, s.player1, COMPONENTS, json.dumps(document).encode())
    chain.refused(Error.InvalidArguments, ix, signers=[s.player1])


@pytest.mark.parametrize(
    "bad",
    [
        {"character": 256}, {"stage": -1}, {"max_frames": 2**32}, {"seed": 2**64}, {"d_inner": 1.5}, {"seed": 1e30},
        {"player": "0" * 32}, {"player": "1" * 31}, {"player": "z" * 44}, {"model": [1] * 31},
        {"model": [256] + [0] * 31}, {"model": "1" + str(MODEL)}, {"action": 3}, {"num_layers": None},
        {"d_state": ""}, {"writer": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_value_is_refused(chain: Chain, bad: dict[str, object]) -> None:
    """A number that does not fit, a fraction, and a text that is no key are refused."""
    s = Session.new(chain, create=False)
    document = GOOD | {"player": str(s.p1)} | bad
    ix = s.apply(ids.SESSION_LIFECYCLE, s.player1, COMPONENTS, json.dumps(document).encode())
    chain.refused(Error.InvalidArguments, ix, signers=[s.player1])


@pytest.mark.parametrize("text", ["", "{", "{}", '{"action":0', '{"action"}', '{"a":1}}', "[]", "\x02", "\x01" * 150])
def test_malformed_args_are_refused(chain: Chain, text: str) -> None:
    """Arguments that are neither a whole JSON object nor 151 bytes that begin with 1 are refused."""
    s = Session.new(chain, create=False)
    ix = s.apply(ids.SESSION_LIFECYCLE, s.player1, COMPONENTS, text.encode())
    chain.refused(Error.InvalidArguments, ix, signers=[s.player1])


def test_create_twice(chain: Chain) -> None:
    """A session can be created only once."""
    s = Session.new(chain)
    chain.refused(Error.AlreadyCreated, s.lifecycle(0, s.player2), signers=[s.player2])


def test_join_refusals(chain: Chain) -> None:
    """Player 1 cannot join its own session, and nobody joins a session that does not wait."""
    s = Session.new(chain)
    chain.refused(Error.SamePlayer, s.lifecycle(1, s.player1), signers=[s.player1])
    chain.refused(Error.OutOfRange, s.lifecycle(1, s.player2, character=33), signers=[s.player2])
    chain.ok(s.lifecycle(1, s.player2), signers=[s.player2])
    chain.refused(Error.NotWaiting, s.lifecycle(1, s.writer), signers=[s.writer])


def test_end(chain: Chain) -> None:
    """Either player ends a waiting or running session; a stranger cannot, and nobody ends it twice."""
    for number, ender in enumerate(("player1", "player2")):
        s = Session.active(chain, number, capacity=0)
        chain.refused(Error.NotIdle, s.lifecycle(2, s.writer), signers=[s.writer])
        chain.refused(Error.NotAPlayer, s.lifecycle(2, chain.key(99)), signers=[chain.key(99)])
        chain.ok(s.lifecycle(2, getattr(s, ender)), signers=[getattr(s, ender)])
        assert s.status() == 3
        chain.refused(Error.NotActive, s.lifecycle(2, s.player1), signers=[s.player1])
    waiting = Session.new(chain, 5)
    chain.ok(waiting.lifecycle(2, waiting.player1), signers=[waiting.player1])
    assert waiting.status() == 3


def test_player_must_sign(chain: Chain) -> None:
    """The transaction fails unless the `player` argument is the signer."""
    s = Session.new(chain, create=False)
    args = Lifecycle(0, s.p1).to_binary()
    ix = s.apply(ids.SESSION_LIFECYCLE, s.player2, COMPONENTS, args)
    chain.refused(Error.MissingSignature, ix, signers=[s.player2])


def test_execute_is_bolt_execute(chain: Chain) -> None:
    """The call's name in BOLT 0.1.x returns the same structs, and an unknown name is refused."""
    s = Session.new(chain, create=False)
    args = Lifecycle(0, s.p1).to_binary()
    metas = [AccountMeta(key, False, False) for key in (s.p1, *(s.at(p) for p in COMPONENTS))]
    returned = []
    for name in ("bolt_execute", "execute"):
        disc = hashlib.sha256(f"global:{name}".encode()).digest()[:8]
        data = disc + len(args).to_bytes(4, "little") + args
        returned.append(bytes(chain.ok(Instruction(ids.SESSION_LIFECYCLE, data, metas)).return_data().data))
    assert returned[0] == returned[1]
    assert len(returned[0]) == 4 + 4 * 4 + 328 + 264 + 136 + 104
    chain.refused(Error.InstructionUnknown, Instruction(ids.SESSION_LIFECYCLE, bytes(20), metas))


def test_wrong_components(chain: Chain) -> None:
    """The system refuses components in another order, or too few of them."""
    s = Session.new(chain, create=False)
    args = Lifecycle(0, s.p1).to_binary()
    swapped = (COMPONENTS[0], COMPONENTS[2], COMPONENTS[1], COMPONENTS[3])
    for components in (swapped, COMPONENTS[:3]):
        ix = s.apply(ids.SESSION_LIFECYCLE, s.player1, components, args)
        chain.refused(Error.InvalidAccount, ix, signers=[s.player1])
