"""`awm-crank doctor`: its output and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from awm_crank.cli import main
from awm_crank.client.chain import Chain
from awm_crank.client.keys import write_keypair
from awm_crank.client.setup import create_world
from awm_crank.localnet.rig import EmbeddedLocalnet


def configured(folder: Path, net: EmbeddedLocalnet) -> Path:
    """A configuration for a localnet."""
    write_keypair(folder / "crank.json", net.funded())
    path = folder / "crank.toml"
    path.write_text(f'[chain]\nbase_http = "{net.http}"\nrollup_ws = "{net.ws}"\n')
    return path


def test_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The status is 1, with the fix in an indented line, while something is wrong, and 0 once it is repaired."""
    import asyncio

    with EmbeddedLocalnet() as net:
        path = configured(tmp_path, net)
        assert main(["doctor", "--config", str(path)]) == 1
        out = capsys.readouterr().out
        lines = out.splitlines()
        (at,) = [number for number, line in enumerate(lines) if line.startswith("wrong")]
        assert "world" in lines[at]
        assert lines[at + 1].strip().startswith("→ set chain.world")

        async def mend() -> None:
            async with Chain(net.http) as chain:
                await create_world(chain, net.faucet)

        asyncio.run(mend())
        assert main(["doctor", "--config", str(path), "--json"]) == 0
        findings = json.loads(capsys.readouterr().out)
        assert {finding["verdict"] for finding in findings} <= {"ok", "warn"}
        assert {"key", "balance", "world", "engine"} <= {finding["what"] for finding in findings}


def test_no_configuration_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --config the command is refused."""
    assert main(["doctor"]) == 2
    assert "--config" in capsys.readouterr().err
