"""The example configuration has every setting of the schema, with a comment."""

from __future__ import annotations

import importlib.util
import re

from deploy.machine import ROOT

from awm_crank import config

EXAMPLE = ROOT / "deploy" / "awm-crank.example.toml"


def test_is_the_schema() -> None:
    """The file is what tools/example_config.py writes; run that after a change of the settings."""
    spec = importlib.util.spec_from_file_location("example_config", ROOT / "tools" / "example_config.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert EXAMPLE.read_text() == script.example()


def test_every_setting_is_there_and_explained() -> None:
    """Each key is in its table, under a comment."""
    table, comment, found = "", False, set()
    for line in EXAMPLE.read_text().splitlines():
        if line.startswith("["):
            table = line.strip("[]") + "."
        key = re.match(r"#?([a-z_]+) = ", line)
        if key:
            assert comment, f"{table}{key[1]} is not explained"
            found.add(table + key[1])
        comment = line.startswith("# ")
    assert found == {setting.name for setting in config.settings()}


def test_reads() -> None:
    """It is a valid configuration, unchanged and with every line uncommented, and uncommenting changes no value."""
    text = EXAMPLE.read_text()
    made = config.parse(text)
    assert config.parse(re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE)) == made
    assert made.telemetry.listen.startswith("127.0.0.1:")
