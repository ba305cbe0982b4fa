"""Writes requirements/runtime.in from pyproject.toml, so that the lock follows the one list of dependencies."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# written by make lock from pyproject.toml\n"


def render(pyproject: str) -> str:
    """The text of runtime.in: pyproject's runtime dependencies, one a line."""
    return HEADER + "\n".join(tomllib.loads(pyproject)["project"]["dependencies"]) + "\n"


if __name__ == "__main__":
    (ROOT / "requirements/runtime.in").write_text(render((ROOT / "pyproject.toml").read_text()))
