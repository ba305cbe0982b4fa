"""Writes the reference page of errors: program errors by number from the IDLs, the crank's own from their classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from awm_crank import errors
from awm_crank.wire import ids
from awm_crank.wire.idl import load

INTRODUCTION = """# Errors by number

## Programs

An on-chain program refuses an instruction with a number. Explorers and logs show it as `custom program error: 0x178e`,
which is hexadecimal for 6030. World has numbers of its own, which begin at 6000 too, so look at which program
failed first. [Debug a refused frame](../howto/debug-a-refused-frame.md) goes from the number to the cause.

| number | hexadecimal | name | meaning |
| --- | --- | --- | --- |
"""
WORLD = """
## World

| number | hexadecimal | name | meaning |
| --- | --- | --- | --- |
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
    ours: dict[int, tuple[str, str]] = {}
    for program in ids.PROGRAMS:
        if program != "world":
            ours |= {each.code: (each.name, each.message) for each in load(program).errors.values()}
    world = {each.code: (each.name, each.message) for each in load("world").errors.values()}
    return INTRODUCTION + _rows(ours) + WORLD + _rows(world) + CRANK + "".join(_classes())


def _rows(known: dict[int, tuple[str, str]]) -> str:
    return "".join(f"| {code} | {code:#x} | {name} | {text} |\n" for code, (name, text) in sorted(known.items()))


def _classes() -> Iterator[str]:
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.AwmError):
            text = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
            yield f"| {name} | {kind.exit_code} | {text} |\n"
