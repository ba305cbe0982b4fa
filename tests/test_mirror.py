"""Tests mirror the package: every module has its own test file, or is in the list of modules that are tested
elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "awm_crank"

# module -> the test that exercises it, where that is not its mirror
ELSEWHERE: dict[str, str] = {
    "bench/bare_timer.py": "bench/test_live.py",
    "bench/limit.py": "bench/test_live.py",
    "bench/live_players.py": "bench/test_live.py",
    "bench/naive_crank.py": "bench/test_latency.py",
    "cli/checks/endpoints.py": "cli/test_checks.py",
    "cli/checks/finding.py": "cli/test_checks.py",
    "cli/checks/machine.py": "cli/test_checks.py",
    "cli/checks/programs.py": "cli/test_checks.py",
    "cli/checks/watchers.py": "cli/test_checks.py",
    "cli/export.py": "cli/test_commands.py",
    "cli/inspect.py": "cli/test_commands.py",
    "cli/model.py": "cli/test_commands.py",
    "cli/session.py": "cli/test_commands.py",
    "cli/session_show.py": "cli/test_commands.py",
    "cli/unpublish.py": "cli/test_commands.py",
    "cli/verify.py": "cli/test_commands.py",
    "client/upload.py": "client/test_publish.py",
    "daemon/crank.py": "daemon/test_daemon.py",
    "daemon/discovery.py": "daemon/test_daemon.py",
    "daemon/files.py": "daemon/test_never_silent.py",
    "daemon/patience.py": "daemon/test_never_silent.py",
    "daemon/readiness.py": "daemon/test_never_silent.py",
    "daemon/signals.py": "daemon/test_never_silent.py",
    "daemon/watcher.py": "daemon/test_daemon.py",
    "daemon/search.py": "daemon/test_rollup.py",
    "daemon/session.py": "daemon/test_daemon.py",
    "wire/codec.py": "wire/test_accounts.py",
    "wire/merkle.py": "wire/test_pieces.py",
    "wire/structs.py": "wire/test_accounts.py",
    "localnet/outcome.py": "localnet/test_bank.py",
    "localnet/account_methods.py": "localnet/test_methods.py",
    "localnet/chain_methods.py": "localnet/test_methods.py",
    "localnet/cluster_methods.py": "localnet/test_parity.py",
    "localnet/method_group.py": "localnet/test_methods.py",
    "localnet/token_methods.py": "localnet/test_parity.py",
    "localnet/transaction_methods.py": "localnet/test_methods.py",
    "session/commands.py": "session/test_machine.py",
    "session/effects.py": "session/test_opening.py",
    "session/events.py": "session/test_machine.py",
    "session/frames.py": "session/test_serving.py",
    "session/hearing.py": "session/test_serving.py",
    "session/preparing.py": "session/test_opening.py",
    "session/claiming.py": "session/test_opening.py",
    "session/keeper.py": "session/test_serving.py",
    "session/settings.py": "session/test_machine.py",
    "wire/notifications.py": "wire/test_jsonrpc.py",
}

MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if path.name not in {"__init__.py", "__main__.py"}
)


def mirror(module: str) -> Path:
    """tests/wire/test_bolt.py for wire/bolt.py."""
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("module", MODULES)
def test_module_has_its_test(module: str) -> None:
    """A module is tested by its mirror, or by the file that the list names."""
    test = ROOT / "tests" / ELSEWHERE[module] if module in ELSEWHERE else mirror(module)
    assert test.exists(), f"{module} has no {test.relative_to(ROOT)}"


@pytest.mark.parametrize("module", sorted(ELSEWHERE))
def test_exception_is_needed(module: str) -> None:
    """An entry of the list must go when its module has its own mirror, or no longer exists."""
    assert module in MODULES
    assert not mirror(module).exists()
