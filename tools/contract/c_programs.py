"""The headers of the on-chain programs: `localnet/programs/include/`."""

from __future__ import annotations

from solders.pubkey import Pubkey

from contract.c_common import FIRST_LINE, enums, start_position, struct, upper
from contract.model import Contract, StructSpec, sighash

FOLDER = "localnet/programs/include"
# accounts of other programs that ours read
_FOREIGN_ACCOUNTS = ("SessionToken",)


def _ids(contract: Contract) -> list[str]:
    lines = [
        FIRST_LINE,
        "/* Program ids and other addresses, 32 bytes each. */",
        "#pragma once",
        '#include "sbf.h"',
        "",
    ]
    for name, entry in {**contract.programs, **contract.addresses}.items():
        octets = ", ".join(str(octet) for octet in bytes(Pubkey.from_string(entry["id"])))
        lines += [f"/* {entry['id']} */", f"static const u8 ID_{upper(name)}[32] = {{{octets}}};"]
    return lines


def _u64(text: str) -> str:
    return f"{int.from_bytes(sighash(text), 'little'):#018x}ULL"


def _discriminators(contract: Contract) -> list[str]:
    lines = [FIRST_LINE, "/* sha256(preimage)[:8] as little-endian u64. */", "#pragma once", ""]
    names = dict.fromkeys(each.name for each in contract.instructions)
    lines += [f"#define IX_{upper(name)} {_u64(f'global:{name}')}" for name in names]
    accounts = [each.name for each in contract.structs.values() if each.account]
    lines += [f"#define DISC_{name} {_u64(f'account:{name}')}" for name in (*accounts, *_FOREIGN_ACCOUNTS)]
    return lines


def _errors(contract: Contract) -> list[str]:
    lines = [FIRST_LINE, "/* One numbering for all our programs; World keeps the real World's. */", "#pragma once", ""]
    ours = {entry["name"] for entry in contract.errors["ours"].values()}
    for kind, title in (("ours", "AwmError"), ("world", "WorldError")):
        lines.append(f"enum {title} {{")
        for code, entry in contract.errors[kind].items():
            name = f"World{entry['name']}" if kind == "world" and entry["name"] in ours else entry["name"]
            lines.append(f"    {name} = {code}, /* {entry['says']} */")
        lines += ["};", ""]
    return lines[:-1]


def _constants(contract: Contract) -> list[str]:
    lines = [FIRST_LINE, "/* Limits, tags and seeds. */", "#pragma once", ""]
    lines += [
        f"#define {name} {entry['value']} /* {entry['note']} */" for name, entry in contract.match["limits"].items()
    ]
    lines += ["", *(f'#define TAG_{name} "{text}"' for name, text in contract.match["tags"].items()), ""]
    for name, entry in contract.pdas.items():
        text = entry["seeds"][0].strip("'")
        if text:
            lines.append(f'#define SEED_{upper(name)} "{text}"')
    return [*lines, "", *start_position(contract)][:-1]


_HEAD = """
/* Every struct of the contract. Offsets count from the start of the account, discriminator included.
 * AT(struct, field, offset, size) asserts a field's place. Fields are reached as p + OFF(struct, field) with ld/st,
 * never through the packed struct. */
#pragma once
#include "constants.h"
#include "sbf.h"

#define PACKED __attribute__((packed))
#define OFF(T, f) __builtin_offsetof(T, f)
#define AT(T, f, offset, size) \\
    _Static_assert(OFF(T, f) == (offset) && sizeof(((T *)0)->f) == (size), #T "." #f)
#define SIZE(T, size) _Static_assert(sizeof(T) == (size), #T)
"""


def _in_range(each: StructSpec) -> list[str]:
    """A function that checks whether a struct's fields are in range."""
    loads = {"u8": "p[OFF({0}, {1})]", "u16": "ld16(p + OFF({0}, {1}))", "u32": "ld32(p + OFF({0}, {1}))"}
    checks = []
    for part in each.fields:
        if part.range and part.type.name in loads:
            value = loads[part.type.name].format(each.name, part.name)
            low, high = part.range
            checks.append(f"{value} == {low}" if low == high else f"{value} <= {high}")
            if 0 < low < high:
                checks.append(f"{value} >= {low}")
    body = " &&\n           ".join(checks)
    return [
        "/* Every field is in its range. */",
        f"INLINE bool {each.name}_in_range(const u8 *p) {{",
        f"    return {body};",
        "}",
        "",
    ]


def _layout(contract: Contract) -> list[str]:
    lines = [FIRST_LINE, *_HEAD.strip().splitlines(), "", *enums(contract)]
    for each in contract.structs.values():
        if each.name not in contract.cartridge:
            lines += struct(each)
    return [*lines, *_in_range(contract.structs["PlayerState"]), *_in_range(contract.structs["Feedback"])][:-1]


def files(contract: Contract) -> dict[str, str]:
    """File → text."""
    made = {
        "ids.h": _ids, "discriminators.h": _discriminators, "errors.h": _errors, "constants.h": _constants,
        "awm_layout.h": _layout,
    }  # fmt: skip
    return {f"{FOLDER}/{name}": "\n".join(write(contract)) + "\n" for name, write in made.items()}
