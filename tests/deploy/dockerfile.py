"""A Dockerfile as data: its stages, and what its image would run."""

from __future__ import annotations

import json
import re
import shlex
import string
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One stage: `FROM base AS name`, and its instructions in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        """The arguments of every instruction of this kind, such as `RUN`."""
        return [text for word, text in self.steps if word == keyword]

    def last(self, keyword: str) -> str:
        """The last instruction of a kind, which is the one that counts."""
        found = self.all(keyword)
        assert found, f"no {keyword} in stage {self.name or self.base}"
        return found[-1]

    def words(self, keyword: str) -> list[str]:
        """The words of an ENTRYPOINT or CMD in JSON form."""
        return [str(word) for word in json.loads(self.last(keyword))]

    @property
    def env(self) -> dict[str, str]:
        """All variables of ENV."""
        return dict(pair.split("=", 1) for text in self.all("ENV") for pair in shlex.split(text))

    def copies(self) -> list[tuple[str, list[str], str]]:
        """Each COPY: its source stage ('' = the build's folder), sources, and destination."""
        found = []
        for text in self.all("COPY"):
            words = text.split()
            options = [word for word in words if word.startswith("--")]
            *sources, destination = [word for word in words if not word.startswith("--")]
            origin = next((option.partition("=")[2] for option in options if option.startswith("--from=")), "")
            found.append((origin, sources, destination))
        return found


def parse(path: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile by name, in order.

    A stage that builds on another begins with that one's instructions.
    """
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    current: Stage | None = None
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "FROM":
            match = re.fullmatch(r"(\S+) AS (\S+)", string.Template(rest.strip()).substitute(arguments))
            assert match, f"{line}: every stage has a name"
            under = stages.get(match[1])
            current = Stage(under.base if under else match[1], match[2], list(under.steps) if under else [])
            stages[current.name] = current
        elif current is not None and word:
            current.steps.append((word.upper(), rest.strip()))
        elif word:
            assert word.upper() == "ARG", line
            name, _, value = rest.strip().partition("=")
            arguments[name] = value
    return stages
