"""What the page is told of the chain is what the package itself uses."""

from __future__ import annotations

import msgspec

from awm_crank.match import stages
from awm_crank.match.actions import action_name
from awm_crank.viewer.contract import contract, layout
from awm_crank.wire import ids, layouts


def test_offsets_are_those_of_the_account_layouts() -> None:
    """Offsets, sizes and discriminators of docs/formats.md, as the IDLs have them."""
    told = layout(layouts.SESSION_STATE)
    assert told["size"] == 266
    assert told["discriminator"] == layouts.SESSION_STATE.discriminator.hex()
    fields = {name: (offset, code) for name, offset, code in told["fields"]}
    assert fields["frame"] == (9, "I")
    assert fields["players"] == (82, "64s")
    assert fields["seed"] == (194, "Q")
    assert fields["entity"] == (202, "32s")


def test_structs_that_are_no_accounts_begin_at_zero() -> None:
    """A frame record has no discriminator, and its fields fill it without a gap."""
    told = layout(layouts.FRAME_RECORD)
    assert told["discriminator"] == ""
    assert [offset for _, offset, _ in told["fields"]] == [0, 4, 12, 20, 21, 22, 23, 24, 56, 88]
    assert told["size"] == 96


def test_everything_is_plain_json() -> None:
    """It survives JSON, and programs, stages and words are the package's own."""
    told = msgspec.json.decode(msgspec.json.encode(contract()))
    assert told["programs"]["session_state"] == str(ids.SESSION_STATE)
    assert told["stages"] == [stages.geometry(number) for number in (32, 31)]
    names = dict(told["actions"])
    assert all(action_name(first) == word for first, word in names.items())
    assert set(told["layouts"]) >= {"SessionState", "HiddenState", "InputBuffer", "FrameLog", "FrameRecord"}
