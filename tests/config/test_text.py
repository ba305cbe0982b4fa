"""The settings as text."""

from __future__ import annotations

import pytest

from awm_crank import config


def test_round_trip() -> None:
    """What dump writes, parse reads back to the same value."""
    one = config.parse(
        'fault_kill_at = "after-send:3"\n[chain]\nbase_http = "http://h:1"\n[crank]\nlate_policy = "wait"\n'
    )
    assert one.crank.late_policy == "wait"
    assert config.parse(config.dump(one)) == one


@pytest.mark.parametrize("setting", list(config.settings()), ids=lambda setting: setting.name)
def test_every_setting_is_described(setting: config.Setting) -> None:
    """Every setting has a sentence that says what it does."""
    assert setting.description.endswith(".")


def test_settings_are_complete() -> None:
    """The list has each setting of every table and of the top level, with its default."""
    names = {setting.name: setting.default for setting in config.settings()}
    assert names["crank.late_policy"] == "hold"
    assert names["chain.rollup_ws"] == ""
    assert "fault_kill_at" in names
