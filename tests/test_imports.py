"""The import rules of docs/architecture.md: which room may import which, and that the pure rooms do no I/O."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "awm_crank"

# room -> our rooms that it may import. A room may always import itself.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "endpoint": {"errors"},
    "config": {"errors", "endpoint"},
    "launch": set(),
    "wire": {"errors"},
    "engine": {"errors", "wire"},
    "session": {"errors", "wire", "engine"},
    "match": {"errors", "wire", "engine"},
    "env": {"errors", "wire", "engine", "match"},
    "net": {"errors", "endpoint", "wire"},
    "telemetry": {"errors", "config", "endpoint", "wire", "engine", "session"},
    "localnet": {"errors", "launch", "wire"},
    "client": {"errors", "config", "endpoint", "wire", "engine", "match", "net"},
    "viewer": {"errors", "endpoint", "wire", "match", "net"},
    "rig": {"errors", "config", "launch", "wire", "engine", "client", "localnet"},
    "daemon": {"errors", "config", "endpoint", "launch", "wire", "engine", "session", "net", "telemetry"},
}
UNRESTRICTED = {"cli", "demo", "bench", "__init__", "__main__"}
PURE = {"wire", "engine", "session", "match"}
IMPURE_MODULES = {
    "aiohttp",
    "asyncio",
    "datetime",
    "http",
    "httptools",
    "httpx",
    "os",
    "pathlib",
    "random",
    "requests",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
    "websockets",
}


def room_of(path: Path) -> str:
    """The room that a module belongs to: its top folder, or its own name at the top level."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> set[str]:
    """Absolute dotted names that are imported anywhere in a module, type-checking blocks included."""
    package = ["awm_crank", *path.relative_to(PACKAGE).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.update({module} | {f"{module}.{alias.name}" for alias in node.names})
    return names


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.read_text().strip())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_room_imports(path: Path) -> None:
    """A module imports only the rooms that its own room may, and a pure room imports nothing that does I/O."""
    room = room_of(path)
    assert room in ALLOWED or room in UNRESTRICTED, f"{room} is no room of docs/architecture.md"
    imports = imports_of(path)
    if room in ALLOWED:
        rooms = {name.split(".")[1] for name in imports if name.startswith("awm_crank.")}
        rooms = {name for name in rooms if name in ALLOWED or name in UNRESTRICTED}
        assert rooms <= ALLOWED[room] | {room}
    if room in PURE:
        assert not {name.split(".")[0] for name in imports} & IMPURE_MODULES


OFFLINE = "awm_crank.engine.offline"
MAY_BE_OFFLINE = {"cli", "bench"}
FLOATING_POINT = {"match/policy.py"}
"""A policy is a checkpoint too, so its reader shares the world models' encoding."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_runs_imports_nothing_offline(path: Path) -> None:
    """Kernel, oracle and daemon never import the floating-point side; only commands and benchmarks do."""
    inside = path.relative_to(PACKAGE).as_posix()
    if inside.startswith("engine/offline/") or room_of(path) in MAY_BE_OFFLINE or inside in FLOATING_POINT:
        return
    assert not {name for name in imports_of(path) if name.startswith(OFFLINE)}


def test_every_room_exists() -> None:
    """Every room in the table exists, so that a renamed room cannot escape its rule."""
    present = {room_of(path) for path in MODULES}
    assert set(ALLOWED) <= present


def test_page_says_the_same() -> None:
    """docs/architecture.md has a row for each room, with the rooms that it may import here."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| `awm_crank/(\w+)(?:\.py|/)` \| .* \| (.*) \|$", page, re.MULTILINE))
    unrestricted = {room for room, may in rows.items() if may == "everything"}
    assert unrestricted == {room for room in UNRESTRICTED if not room.startswith("__")}
    limited = {room: set() if may == "nothing" else set(may.split(", ")) for room, may in rows.items()}
    assert {room: may for room, may in limited.items() if room not in unrestricted} == ALLOWED
