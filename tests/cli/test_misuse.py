"""Every misuse of a command, and the exact line that answers it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from solders.keypair import Keypair

from awm_crank import cli

KEY = str(Keypair.from_seed(bytes(32)).pubkey())
NOWHERE = "http://127.0.0.1:9"

MISUSES: list[tuple[list[str], str, int]] = [
    (["publish"], "no cartridge named. Try: awm-crank publish CARTRIDGE, or publish --fork MODEL", 2),
    (["publish", "{tmp}/no.awm"], "{tmp}/no.awm cannot be read: No such file or directory. Try: check the path", 2),
    (["publish", "{tmp}"], "{tmp} cannot be read: Is a directory. Try: check the path", 2),
    (
        ["publish", "{tmp}/text", "--keypair", "{tmp}/key.json"],
        "cartridge: length; expected at least 2048 bytes, found 4. Try: fetch or quantize it again", 1,
    ),
    (
        ["publish", "{tmp}/text", "--rpc", "localhost:8899"],
        "argument --rpc: expected a URL that begins with http:// or https://, found no scheme. "
        "Try: awm-crank publish --help", 2,
    ),
    (
        ["publish", "{tmp}/text", "--keypair", "{tmp}/no.json"],
        "key file {tmp}/no.json cannot be read: No such file or directory. "
        "Try: name another file, or make one with solana-keygen", 2,
    ),
    (
        ["publish", "{tmp}/text", "--keypair", "{tmp}/open.json"],
        "key file {tmp}/open.json is open to other users; expected mode 0600, found 0644. "
        "Try: chmod 600 {tmp}/open.json; or mount it read-only", 2,
    ),
    (["unpublish", "0x1"], "model '0x1' is not an address; expected 32 bytes in base58", 2),
    (["session"], "no step given. Try: awm-crank session --help", 2),
    (
        ["session", "create", "--model", KEY],
        "the following arguments are required: --writer. Try: awm-crank session create --help", 2,
    ),
    (
        ["session", "create", "--model", "m", "--writer", KEY],
        "model 'm' is not an address; expected 32 bytes in base58", 2,
    ),
    (
        ["session", "create", "--model", KEY, "--writer", "w"],
        "writer 'w' is not an address; expected 32 bytes in base58", 2,
    ),
    (
        ["session", "create", "--model", KEY, "--writer", KEY, "--seed", "-1"],
        "argument --seed: '-1' is not a whole number from 0 to 18446744073709551615. "
        "Try: awm-crank session create --help", 2,
    ),
    (
        ["session", "create", "--model", KEY, "--writer", KEY, "--stage", "256"],
        "argument --stage: '256' is not a whole number from 0 to 255. Try: awm-crank session create --help", 2,
    ),
    (["session", "join", "s"], "session 's' is not an address; expected 32 bytes in base58", 2),
    (
        ["session", "join", KEY, "--keypair", "{tmp}/text"],
        "key file {tmp}/text is malformed; expected a JSON array of 64 numbers, as solana-keygen writes it, "
        "found 1 numbers", 2,
    ),
    (["session", "show", "s"], "session 's' is not an address; expected 32 bytes in base58", 2),
    (
        ["session", "show", KEY, "--rpc", NOWHERE],
        f"cannot reach {NOWHERE}: All connection attempts failed. Try: check the URL", 1,
    ),
    (
        ["play", KEY, "--agent", "fox"],
        "no agent is called 'fox'. Try: one of noop, random, hold-forward, spacing, fighter", 2,
    ),
    (
        ["play", KEY, "--rpc", "http://example.test", "--keypair", "{tmp}/key.json"],
        "no WebSocket endpoint; found http://example.test. Try: name it with --ws URL", 2,
    ),
    (["inspect", "{tmp}/no"], "{tmp}/no is neither a file nor an address. Try: check the path", 2),
    (
        ["inspect", "{tmp}/text"],
        "{tmp}/text: Expected `object`, got `array`. Try: export it again with `awm-crank export`", 1,
    ),
    (
        ["inspect", "{tmp}/broken.awm"],
        "cartridge: length; expected at least 2048 bytes, found 9. Try: fetch or quantize it again", 1,
    ),
    (["export", KEY], "the following arguments are required: -o/--output. Try: awm-crank export --help", 2),
    (["export", "s", "-o", "{tmp}/m.json"], "session 's' is not an address; expected 32 bytes in base58", 2),
    (["verify", "s"], "s is neither a file nor an address. Try: check the path", 2),
    (
        ["inspect", KEY, "--rpc", "http://127.0.0.1:99999"],
        "argument --rpc: expected a URL that begins with http:// or https://, found a port beyond 65535. "
        "Try: awm-crank inspect --help", 2,
    ),
    (["model"], "no step given. Try: awm-crank model --help", 2),
    (["session", "show"], "the following arguments are required: SESSION. Try: awm-crank session show --help", 2),
    (["session", "show", KEY, "--all"], "unrecognized arguments: --all. Try: awm-crank session show --help", 2),
    (["completion"], "the following arguments are required: SHELL. Try: awm-crank completion --help", 2),
    (
        ["verify", "{tmp}/text", "--rpc", "ws://h"],
        "argument --rpc: expected a URL that begins with http:// or https://, found ws://. "
        "Try: awm-crank verify --help", 2,
    ),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good key, one that is open to others, a text file and the beginning of a cartridge."""
    secret = msgspec.json.encode(list(bytes(Keypair.from_seed(bytes(32)))))
    for name, data, mode in (
        ("key.json", secret, 0o600), ("open.json", secret, 0o644), ("text", b"[12]", 0o600),
        ("broken.awm", b"AWMCART\0!", 0o600),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(mode)
    return tmp_path


@pytest.mark.parametrize(("argv", "line", "status"), MISUSES, ids=[" ".join(argv)[:60] for argv, _, _ in MISUSES])
def test_misuse(argv: list[str], line: str, status: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line on stderr names what is wrong and what to do, and no result is printed."""
    found = cli.main([word.replace("{tmp}", str(folder)) for word in argv])
    assert capsys.readouterr() == ("", f"Error: {line.replace('{tmp}', str(folder))}\n")
    assert found == status
