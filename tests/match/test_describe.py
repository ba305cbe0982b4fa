"""Text renderings show what an account holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from match.fakes import play
from solders.pubkey import Pubkey

from awm_crank.engine import Shape
from awm_crank.engine.seeded import cartridge
from awm_crank.errors import AccountError, LayoutError
from awm_crank.match import describe
from awm_crank.match.players import SHIELD, A, X, controller
from awm_crank.wire import ids
from awm_crank.wire.start import start_players

MATCH = play(30, checkpoints=(10, 20))
KEY = Pubkey(bytes([9] * 32))


def shown(data: bytes, owner: Pubkey, address: Pubkey) -> tuple[str, str]:
    """An account's kind, and the text that inspect prints of it."""
    kind, found = describe.account(data, owner, address)
    return kind, describe.struct(found)


def test_player_line() -> None:
    """A PlayerState is shown in game units and words."""
    assert describe.player(start_players(2, 20)[32:]) == (
        "x 30.00 y 0.00, 0 %, 4 stocks, wait (action 14, 0 frames), left, ground, shield 60.0, 2 jumps, character 20"
    )


@pytest.mark.parametrize(
    ("given_input", "text"),
    [
        (bytes(8), "neutral"),
        (controller(80, -3, buttons=A | X), "stick +80,-3 A+X"),
        (controller(c_stick_x=-80, trigger_l=SHIELD, buttons_ext=1), "stick +0,+0 C -80,+0 triggers 255,0 D-up"),
    ],
)
def test_controller_line(given_input: bytes, text: str) -> None:
    """A ControllerInput names the sticks, triggers and buttons in use."""
    assert describe.controller(given_input) == text


def test_session_account() -> None:
    """A session's text has its status, stage, both players and the writer of its hidden state."""
    snapshot = MATCH.snapshot
    kind, text = shown(snapshot.session.encode(), ids.SESSION_STATE, snapshot.address)
    assert kind == "SessionState"
    lines = dict(line.split(None, 1) for line in text.splitlines())
    assert (lines["status"], lines["stage"], lines["frame"]) == ("Active", "32, Final Destination", "30")
    assert "player 1 state" in text
    _, hidden = shown(snapshot.hidden.encode(), ids.HIDDEN_STATE, KEY)
    assert f"writer                  {snapshot.hidden.writer}" in hidden
    assert f"chain hash              {snapshot.hidden.chain_hash.hex()}" in hidden


def test_ring() -> None:
    """A frame log shows which frames it holds, and the last one."""
    _, text = shown(MATCH.snapshot.log.encode(), ids.FRAME_LOG, KEY)
    assert "ring                    frames 1..30\nframe 30, chain hash " in text


def test_match_and_cartridge() -> None:
    """A match file shows its meta and last record; a cartridge its hash and sizes."""
    text = describe.match(MATCH.file)
    assert f"chain hash              {MATCH.file.meta.chain_hash}\n" in text
    assert "frame 30, chain hash " in text
    made = cartridge(Shape(d_model=32, d_inner=64, d_state=16, headdim=32, num_layers=1), 1)
    assert f"bytes                   {len(made.data):,}\n" in describe.cartridge(made)


def test_unknown_account() -> None:
    """An account of an unknown kind is refused with owner and size."""
    with pytest.raises(AccountError, match=f"not one that awm-crank knows; found owner {KEY}, 5 bytes"):
        describe.account(bytes(5), KEY, KEY)


@given(
    st.sampled_from([MATCH.snapshot.session, MATCH.snapshot.hidden, MATCH.snapshot.inputs, MATCH.snapshot.log]),
    st.data(),
)
def test_any_bytes_of_a_known_kind(account: object, data: st.DataObject) -> None:
    """An account of ours with any damage after its discriminator is rendered, or refused by a typed error."""
    raw = bytearray(account.encode())  # type: ignore[attr-defined]
    for _ in range(3):
        raw[data.draw(st.integers(8, len(raw) - 1))] = data.draw(st.integers(0, 255))
    owner = type(account).LAYOUT.owner  # type: ignore[attr-defined]
    try:
        _, text = shown(bytes(raw), owner, KEY)
    except (LayoutError, AccountError):
        return
    assert text.endswith("\n")


def test_a_name_from_a_chain_cannot_control_the_terminal() -> None:
    """A value stays on its line, and its escape sequences are shown as text."""
    shown = describe.render(iter([("name", "evil\x1b[2J\nsession  forged"), ("", "two\nlines")]))
    assert shown == f"{'name':<24}evil\\x1b[2J\\nsession  forged\ntwo\nlines\n"


def test_values_for_json() -> None:
    """Keys are base58 and bytes hex; of long bytes only the number is given."""
    snapshot = MATCH.snapshot
    values = describe.values(snapshot.session)
    assert values["player1"] == str(snapshot.session.player1)
    assert values["players"] == snapshot.session.players.hex()
    assert values["frame"] == snapshot.session.frame
    assert describe.values(snapshot.log)["ring"] == {"bytes": len(snapshot.log.ring)}
