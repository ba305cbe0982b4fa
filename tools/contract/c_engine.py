"""The header of the native engine: `awm_crank/engine/native/awm_contract.h`."""

from __future__ import annotations

from typing import Any

from contract.c_common import FIRST_LINE, struct, upper
from contract.model import SCALARS, Contract, StructSpec

FILE = "awm_crank/engine/native/awm_contract.h"
_STRUCTS = (
    "PlayerState", "ControllerInput", "Feedback", "FrameBlock", "LayerBlock", "TensorEntry", "CartridgeHeader",
)  # fmt: skip
_PREDICTED = ("PlayerState", "Feedback")
_WIDTHS = {"i8": 1, "i16": 2, "i32": 4}
_HEAD = """
/* The blocks and the cartridge's header as packed structs, tensors in order, ranges.
 * GET(struct, field, p) reads a field of the struct at p, PUT(struct, field, p, value) writes it. Any p will do. */
#ifndef AWM_CONTRACT_H
#define AWM_CONTRACT_H
#include "awm_types.h"

#ifndef PACKED
#define PACKED __attribute__((packed))
#endif
#define OFF(T, f) ((u32)__builtin_offsetof(T, f))
#define PLACE(T, f, offset, size) \\
    _Static_assert(OFF(T, f) == (offset) && sizeof(((T *)0)->f) == (size), #T "." #f)
#define WHOLE(T, size) _Static_assert(sizeof(T) == (size), #T)

AWM_INLINE i32 get_i8(const u8 *p) { return (i8)p[0]; }
AWM_INLINE i32 get_u8(const u8 *p) { return p[0]; }
AWM_INLINE i32 get_i16(const u8 *p) { return (i16)(u16)((u32)p[0] | (u32)p[1] << 8); }
AWM_INLINE i32 get_u16(const u8 *p) { return (i32)((u32)p[0] | (u32)p[1] << 8); }
AWM_INLINE u32 get_u32(const u8 *p) { return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24; }
AWM_INLINE i32 get_i32(const u8 *p) { return (i32)get_u32(p); }
AWM_INLINE u64 get_u64(const u8 *p) { return get_u32(p) | (u64)get_u32(p + 4) << 32; }
AWM_INLINE void put_8(u8 *p, i32 v) { p[0] = (u8)v; }
AWM_INLINE void put_16(u8 *p, i32 v) { p[0] = (u8)v; p[1] = (u8)(v >> 8); }
AWM_INLINE void put_32(u8 *p, i32 v) { put_16(p, v); put_16(p + 2, v >> 16); }

#define MAX_OF(limits) MAX_OF_(limits)
#define MAX_OF_(low, high) (high)

#define GET(T, f, p) \\
    _Generic(((T *)0)->f, i8: get_i8, u8: get_u8, i16: get_i16, u16: get_u16, i32: get_i32, u32: get_u32, \\
             u64: get_u64)((p) + OFF(T, f))
#define PUT(T, f, p, value) \\
    _Generic(((T *)0)->f, i8: put_8, u8: put_8, i16: put_16, u16: put_16, i32: put_32, u32: put_32) \\
    ((p) + OFF(T, f), value)
"""


def _limits(each: StructSpec) -> list[str]:
    """Macros for the ranges of fields: `LIMITS_PlayerState_percent 0, 999` is what the engine accepts, `CLAMP_…` limits
    its predictions.
    """
    lines = []
    for part in each.fields:
        for title, limits in (("LIMITS", part.engine), ("CLAMP", part.clamp)):
            if limits and not part.reserved and (title == "LIMITS" or each.name in _PREDICTED):
                lines.append(f"#define {title}_{each.name}_{part.name} {limits[0]}, {limits[1]}")
    return lines


def _ranges(each: StructSpec) -> list[str]:
    """A list of X(struct, field, low, high) for every field whose range the engine checks."""
    whole = {"u8": (0, 255), "u16": (0, 65535)}
    rows = [
        f"    X({each.name}, {part.name}, {part.engine[0]}, {part.engine[1]})"
        for part in each.fields
        if part.engine and part.type.name in SCALARS and part.engine != whole.get(part.type.name)
    ]
    return [f"#define {upper(each.name)}_RANGES(X) \\", *(f"{row} \\" for row in rows[:-1]), rows[-1], ""]


def _enum(title: str, names: list[str]) -> list[str]:
    return [f"enum {{ {', '.join(f'{title}_{upper(name)}' for name in names)}, {title}_COUNT }};"]


def _dimension(part: int | str) -> str:
    return f"(u64)s->{part}" if isinstance(part, str) else str(part)


def _bytes(entry: dict[str, Any]) -> str:
    """A tensor's bytes as a C expression."""
    first, *rest = (_dimension(part) for part in entry["shape"])
    if entry["type"] == "matrix":
        return f"AWM_MATRIX_BYTES({first}, {rest[0]})"
    size = " * ".join([str(_WIDTHS[entry["type"]]), first, *rest])
    return f"s->flags & FLAG_{upper(entry['if'])} ? {size} : 0" if "if" in entry else size


def _sizes(name: str, entries: dict[str, Any]) -> list[str]:
    lines = [f"AWM_INLINE u64 *{name}(const awm_dims *s, u64 *to)", "{"]
    lines += [f"    *to++ = {_bytes(entry)}; /* {tensor} */" for tensor, entry in entries.items()]
    return [*lines, "    return to;", "}", ""]


def _tensors(contract: Contract) -> list[str]:
    tensors, layer = contract.cartridge["tensors"], contract.cartridge["layer_tensors"]
    embeds = {name.removesuffix("_embed"): each["shape"] for name, each in tensors.items() if name.endswith("_embed")}
    return [
        "/* Tensors in the directory's order: the model's, then each layer's. */",
        *_enum("TENSOR", list(tensors)),
        *_enum("LAYER", list(layer)),
        "/* Embedding tables, in the directory's order. */",
        *_enum("EMBED", list(embeds)),
        f"static const u32 EMBED_ROWS[EMBED_COUNT] = {{{', '.join(str(rows) for rows, _ in embeds.values())}}};",
        f"static const u32 EMBED_WIDTH[EMBED_COUNT] = {{{', '.join(str(width) for _, width in embeds.values())}}};",
        "",
        "/* The dimensions that docs/cartridge.md names. */",
        "typedef struct { u32 D, V, I, N, H, C, R, F, J, K, W, flags; } awm_dims;",
        "#define AWM_ROUND(n, to) (((n) + (to) - 1u) / (to) * (to))",
        "#define AWM_MATRIX_BYTES(rows, columns) (AWM_ROUND((rows) * (columns), AWM_ALIGN) + 8 * (rows))",
        "/* Write each tensor's bytes in order; return the end. */",
        *_sizes("awm_tensor_bytes", tensors),
        *_sizes("awm_layer_tensor_bytes", layer),
    ]


def _outputs(contract: Contract) -> list[str]:
    """Where each group of outputs begins in the rows of `heads`, and how many of them are one player's."""
    lines, at = ["/* Rows of `heads`: where a group begins, and how many of its rows are one player's. */"], 0
    for name, fields in contract.cartridge["outputs"].items():
        if name == "binary":
            lines.append(f"#define REGRESSION_ROWS {at}")
        lines += [f"#define OUT_{upper(name)} {at}", f"#define OUT_{upper(name)}_EACH {len(fields)}"]
        at += 2 * len(fields)
    classes = contract.cartridge["classes"]
    lines += [f"#define OUT_CHOICE {at}", f"#define OUT_CHOICE_EACH {sum(classes.values())}", ""]
    lines += ["/* A player's categorical heads: where each begins among its choices, and its classes. */"]
    start = 0
    for name, count in classes.items():
        lines += [f"#define CHOICE_{upper(name)} {start}", f"#define CLASSES_{upper(name)} {count}"]
        start += count
    return [*lines, f"#define AWM_HEAD_ROWS {at + 2 * start}u", ""]


def _flags(contract: Contract) -> list[str]:
    bits = contract.structs["CartridgeHeader"]["flags"].bits
    return [f"#define FLAG_{upper(name)} {1 << bit}u" for bit, name in enumerate(bits)]


def _constants(contract: Contract) -> list[str]:
    sizes = contract.cartridge["sizes"]
    lines = [f"#define AWM_{name} {entry['value']}u{_note(entry)}" for name, entry in sizes.items()]
    fixed = [part for part in contract.structs["CartridgeHeader"].fields if part.constant is not None]
    lines += [f"#define IS_{upper(part.name)} {part.constant}u" for part in fixed]
    return [*lines, *_flags(contract), ""]


def _note(entry: dict[str, Any]) -> str:
    return f" /* {entry['note']} */" if "note" in entry else ""


def files(contract: Contract) -> dict[str, str]:
    """File → text."""
    lines = [FIRST_LINE, *_HEAD.strip().splitlines(), "", *_constants(contract)]
    for name in _STRUCTS:
        lines += [*struct(contract.structs[name], "PLACE", "WHOLE")[:-1], *_limits(contract.structs[name]), ""]
    for name in _PREDICTED:
        lines += _ranges(contract.structs[name])
    lines += [*_tensors(contract), *_outputs(contract), "#endif"]
    return {FILE: "\n".join(lines) + "\n"}
