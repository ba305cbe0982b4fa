"""Writes the reference page of errors: program errors by number from the contract, the crank's own from its classes."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path

from awm_crank import errors

CONTRACT = Path(__file__).resolve().parents[2] / "idl" / "contract" / "errors.toml"

INTRODUCTION = """# Errors by number

## Programs

An on-chain program refuses an instruction with a number. Explorers and logs show it as `custom program error: 0x178e`,
which is hexadecimal for 6030. World has numbers of its own, which begin at 6000 too, so look at which program
failed first. [Debug a refused frame](../howto/debug-a-refused-frame.md) goes from the number to the cause.

| number | hexadecimal | name | meaning | what to do |
| --- | --- | --- | --- | --- |
"""
WORLD = """
## World

| number | hexadecimal | name | meaning | what to do |
| --- | --- | --- | --- | --- |
"""
CRANK = """
## Commands and crank

Every error of `awm-crank` is one of these types. Its text names the thing, what was expected, what was found and the
next step. The exit status is the command's.

| type | exit status | meaning |
| --- | --- | --- |
"""


def errors_page() -> str:
    """The page, as Markdown."""
    known = tomllib.loads(CONTRACT.read_text())
    return INTRODUCTION + _rows(known["ours"]) + WORLD + _rows(known["world"]) + CRANK + "".join(_classes())


def _rows(known: dict[str, dict[str, str]]) -> str:
    return "".join(
        f"| {code} | {int(code):#x} | {error['name']} | {error['says']} | {error.get('hint', '')} |\n"
        for code, error in sorted(known.items())
    )


def _classes() -> Iterator[str]:
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.AwmError):
            text = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
            yield f"| {name} | {kind.exit_code} | {text} |\n"
