"""`awm-crank play`: offline matches and wrong combinations. test_commands.py plays on chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from match.policies import policy

from awm_crank import cli
from awm_crank.engine import choose
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.match import file
from awm_crank.match.game import Game
from awm_crank.match.policy_agent import PolicyAgent
from awm_crank.wire.accounts import FrameRecord


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Runs the command. Returns exit status, stdout and stderr."""
    status = cli.main(["play", *words])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def match(tmp_path: Path) -> Path:
    """The path of the match file."""
    return tmp_path / "match.json"


def test_offline_match_verifies(match: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """play writes a match of the packaged world, and verify recomputes it without --cartridge."""
    status, out, err = run(capsys, "--offline", "-o", str(match), "--seed", "3", "--max-frames", "80", "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["frames"] == 80
    assert cli.main(["verify", str(match)]) == 0
    assert told["chain_hash"] in capsys.readouterr().out
    assert cli.main(["verify", str(match), "--engine", "reference"]) == 0
    assert told["chain_hash"] in capsys.readouterr().out
    assert cli.main(["verify", str(match), "--rpc", "http://127.0.0.1:1"]) == 1
    assert "this match was played offline, so no chain has it" in capsys.readouterr().err


def test_engines_agree(match: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both engines write the same file."""
    files = []
    for engine in ("native", "reference"):
        run(capsys, "--offline", "-o", str(match), "--max-frames", "30", "--engine", engine)
        files.append(match.read_bytes())
    assert files[0] == files[1]


def test_agents_and_characters(match: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both players get the agents and characters that the options name."""
    words = ("--agent", "hold-forward", "--opponent", "noop", "--characters", "9,20", "--max-frames", "5")
    assert run(capsys, "--offline", "-o", str(match), *words)[0] == 0
    played = file.parse(match.read_bytes())
    assert (played.start_players[31], played.start_players[63]) == (9, 20)
    record = FrameRecord.decode(played.records[-1])
    assert (record.input1, record.input2) == (bytes((80, *bytes(7))), bytes(8))


def test_policy_from_a_file(match: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `policy:FILE`, every input is what the policy returns for the preceding frames."""
    path = tmp_path / "policy.npz"
    path.write_bytes(policy().encode())
    words = ("--agent", f"policy:{path}", "--opponent", "random", "--max-frames", "20")
    assert run(capsys, "--offline", "-o", str(match), *words)[0] == 0
    played = file.parse(match.read_bytes())
    act = PolicyAgent(policy(), demo_cartridge().shape.encoding)
    game = Game.start(choose.build(demo_cartridge()), played.start_players, 32, bytes(32))
    for raw in played.records:
        record = FrameRecord.decode(raw)
        assert record.input1 == act(0, 0, record.frame, game.block)
        game.advance(record.inputs, record.sources)
    assert run(capsys, "--offline", "-o", str(match), *words, "--buttons", "threshold")[0] == 0
    assert file.parse(match.read_bytes()).records != played.records
    path.write_bytes(b"no policy")
    status, _, err = run(capsys, "--offline", "-o", str(match), *words)
    assert (status, err.startswith("Error: policy file; expected a .pt or .npz file")) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no session named. Try: awm-crank play SESSION, or play --offline -o FILE"),
        (("--offline",), "--offline needs a file for the match. Try: name it with -o FILE"),
        (("--offline", "-o", "m.json", "abc"), "--offline takes no session; found abc. Try: leave one of them out"),
        (("abc", "--opponent", "noop"), "--opponent goes with --offline only. Try: awm-crank play --help"),
        (("--offline", "-o", "m.json", "--agent", "god"), "no agent is called 'god'. Try: one of noop, "),
        (("--offline", "-o", "m.json", "--agent", "policy:none"), "none cannot be read: No such file or directory"),
        (("--offline", "-o", "m.json", "--characters", "1"), "argument --characters: '1' is not two characters"),
    ],
)
def test_misuse(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that do not go together are refused in one line, with status 2."""
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: {message}")
