"""The tables inside docs/formats.md and docs/cartridge.md, between `<!-- contract: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from contract.idls import describe
from contract.model import Contract, ContractError, Instruction, StructSpec

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/formats.md", "docs/cartridge.md")
_MARKED = re.compile(r"(<!-- contract: ([\w ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("option<", "option\\<").replace("vec<", "vec\\<")


def _table(head: str, rows: list[list[str]]) -> list[str]:
    columns = head.split(" | ")
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    return lines + [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]


def _struct(contract: Contract, name: str) -> list[str]:
    struct = contract.structs[name]
    tail = f", then `{struct.tail['name']}`" if struct.tail else ""
    tail += f" and {struct.trailer}" if struct.trailer else ""
    lines = [f"### {struct.name} — {struct.size:,} bytes{tail}", "", struct.about, ""]
    if struct.account and not struct.component:
        seeds = next((each["seeds"] for key, each in contract.pdas.items() if key == name.lower()), None)
        lines += [f"Owned by {struct.account.replace('_', '-')}." + (f" PDA: {_seeds(seeds)}." if seeds else ""), ""]
    return lines + _fields(contract, struct)


def _fields(contract: Contract, struct: StructSpec) -> list[str]:
    """The table of a struct's fields (offset, size, field, type, meaning), and the bytes that follow the struct."""
    mixed = {each.origin for each in struct.fields} >= {"described", "ours"}
    rows = []
    for each in struct.fields:
        title = f"{each.name}.authority" if each.origin == "bolt" else each.name
        meaning = describe(each)
        if each.origin == "anchor":
            meaning = f'`sha256("account:{struct.name}")[:8]` = `{struct.discriminator.hex()}`'
        if mixed and each.origin == "ours":
            meaning = f"ours; {meaning}" if meaning else "ours"
        rows.append([str(each.offset), str(each.size), title, each.text, meaning])
    if struct.tail:
        size, kind = struct.tail["size"], struct.tail.get("of", "")
        bytes_of_it = f"{size} × {contract.structs[kind].size}" if kind else size
        rows.append(
            [str(struct.size), bytes_of_it, struct.tail["name"], f"[{kind}]" if kind else "", struct.tail["note"]]
        )
    if struct.trailer:
        last = contract.structs[struct.trailer]
        rows.append(["the end", f"{last.size} bytes", "payments", last.name, "the account's last bytes"])
    return _table("offset | size | field | type | meaning", rows)


def _seeds(seeds: list[str]) -> str:
    return ", ".join(f"`{seed}`" if seed.startswith("'") else seed.strip("{}") for seed in seeds)


def _errors(contract: Contract, kind: str) -> list[str]:
    rows = [
        [str(code), each["name"], each["says"].rstrip("."), each["hint"]]
        for code, each in contract.errors[kind].items()
    ]
    if kind == "world":
        return _table("name | code | meaning | what to do", [[row[1], row[0], *row[2:]] for row in rows])
    return _table("code | name | meaning | what to do", rows)


def _argument(kind: str) -> str:
    return kind.replace("[ControllerInput; 2]", "2 × ControllerInput").replace("[PlayerState; 2]", "2 × PlayerState") \
        .replace("[Feedback; 2]", "2 × Feedback").replace("[u8; 32]", "32 bytes")  # fmt: skip


def _instructions(contract: Contract, rollup: bool) -> list[str]:
    """The table of direct instructions, grouped by program."""
    groups: dict[str, list[Instruction]] = {}
    for each in contract.instructions:
        if each.rollup == rollup and each.group not in ("world", "component", "system"):
            known = groups.setdefault(each.group, [])
            if each.name not in [other.name for other in known]:
                known.append(each)
    rows = []
    for group, entries in groups.items():
        title = "each of the four" if group == "delegable" else group.replace("_", "-")
        for each in entries:
            args = ", ".join(f"{name} {_argument(kind)}" for name, kind in each.args.items()) or "–"
            accounts = ", ".join(
                account.name
                + (f" {'w' * account.writable}{'s' * account.signer}" if account.writable or account.signer else "")
                for account in each.accounts
            )
            rows.append([title, each.name, args, accounts + (f", {each.rest}" if each.rest else ""), each.who])
            title = ""
    return _table("program | instruction | args | accounts | who, and what", rows)


def _systems(contract: Contract) -> list[str]:
    rows = []
    for name, program in contract.programs.items():
        if program["kind"] == "system":
            args = next(each for each in contract.structs.values() if each.args_of == name)
            parts = ", ".join(f"{each.name} {each.text}" for each in args.fields)
            components = ", ".join(each.replace("_", "-") for each in program["components"])
            rows.append([name.replace("_", "-"), components, f"{parts} ({args.size} bytes)"])
    return _table("system | components, in order | binary args", rows)


def _programs(contract: Contract) -> list[str]:
    rows = [[name.replace("_", "-"), each["kind"], f"`{each['id']}`"] for name, each in contract.programs.items()]
    return _table("program | kind | id", rows)


def _pdas(contract: Contract) -> list[str]:
    rows = [
        [name, each["program"].replace("_", "-"), _seeds(each["seeds"]), each.get("note", "")]
        for name, each in contract.pdas.items()
    ]
    return _table("address | program | seeds | ", rows)


def _sources(contract: Contract) -> list[str]:
    return [contract.enums["Source"]["note"] + "."]


def _start(contract: Contract) -> list[str]:
    start = dict(contract.match["start"])
    players = start.pop("players")
    fields = list(dict.fromkeys([name for player in players for name in player]))
    rows = [[name, *(str(player[name]) for player in players)] for name in fields]
    rows += [[name, str(value), str(value)] for name, value in start.items()]
    return _table("field | player 1 | player 2", [*rows, ["character", "the player's choice", "the player's choice"],
                                                    ["all others", "0", "0"]])  # fmt: skip


def _meta(contract: Contract) -> list[str]:
    meta = contract.match["match_file"]["meta"]
    return _table(
        "key of `meta` | value | ", [[name, each["type"], each.get("note", "")] for name, each in meta.items()]
    )


def _tensors(contract: Contract) -> list[str]:
    def row(index: str, name: str, each: dict[str, Any]) -> list[str]:
        shape = " × ".join(str(part) for part in each["shape"])
        more = ", with bias" if each["type"] == "matrix" else ""
        without = f" (first 0 without {each['if']})" if "if" in each else ""
        if each["shape"] == [0]:
            return [index, name, "–", "size 0"]
        return [index, name, each["type"], shape + more + without]

    first, layer = contract.cartridge["tensors"], contract.cartridge["layer_tensors"]
    rows = [row(str(at), name, each) for at, (name, each) in enumerate(first.items())]
    for at, (name, each) in enumerate(layer.items()):
        index = f"{len(first)} + {len(layer)}·l + 0" if at == 0 else f"+ {at}"
        rows.append(row(index, name, each))
    return _table("index | tensor | type | shape", rows)


_BLOCKS: dict[str, Any] = {
    "errors": lambda contract: _errors(contract, "ours"),
    "world errors": lambda contract: _errors(contract, "world"),
    "instructions": lambda contract: _instructions(contract, rollup=False),
    "rollup instructions": lambda contract: _instructions(contract, rollup=True),
    "systems": _systems,
    "programs": _programs,
    "derived addresses": _pdas,
    "input sources": _sources,
    "start": _start,
    "match meta": _meta,
    "tensors": _tensors,
}


def block(contract: Contract, name: str) -> list[str]:
    """The lines of a marked block: `struct NAME`, or one of `_BLOCKS`. Raises ContractError for another name."""
    if name.startswith("struct "):
        return _struct(contract, name.removeprefix("struct "))
    if name not in _BLOCKS:
        raise ContractError(f"no block {name!r}; there are `struct NAME`, {', '.join(_BLOCKS)}")
    lines: list[str] = _BLOCKS[name](contract)
    return lines


def fill(contract: Contract, text: str) -> str:
    """Returns a page with its marked blocks replaced by the contract's tables."""
    return _MARKED.sub(lambda match: match[1] + "\n".join(block(contract, match[2])) + "\n" + match[4], text)


def files(contract: Contract) -> dict[str, str]:
    """File → text."""
    return {page: fill(contract, (ROOT / page).read_text("utf-8")) for page in PAGES}
