/* 6.5, two rows in a word. A value of the state is stored as h + 32768, which is never negative; rows 2i and 2i + 1 share
 * a 64-bit word, u0 + u1 * 2^32. Then for one column
 *
 *     word * a + b * (q0 + q1 * 2^32) + add,   add = (dh - 32768 * a + 2^30) in both halves
 *
 * has h * a + b * q + dh + 2^30 in each half. Its bit 31 is clear exactly where the new value needs no saturation, and then
 * 15 bits further right are h' + 32768. Where it is set, which is rare, that column is done value by value.
 *
 * The readout shifts each sum of two columns, S, right by e. S + 2^31 is never negative, so that a shift and a mask do both
 * halves: the 32768 of both values and the 2^31 are one number for a pair of columns (`both`). */
#pragma once

/* The numbers for two neighbouring columns. `add` belongs to a head, the rest to the layer. `more` is 0 for the last
 * pair. */
typedef struct {
    i64 b0, add0, c0, b1, add1, c1;
    u64 both, shift, mask, more;
} column_pair;

#define HALVES(v) ((u64)(v) | (u64)(v) << 32)
#define SATURATES HALVES(0x80000000u)
#define VALUES HALVES(0xffffu)

/* The columns' part that all heads share; shift: e of the readout. */
NOINLINE void scan_columns(column_pair *to, const i64 *b, const i64 *c, u32 n, u32 shift) {
    for (const i64 *end = b + n; b != end; b += 2, c += 2, to++) {
        to->b0 = b[0];
        to->b1 = b[1];
        to->c0 = c[0];
        to->c1 = c[1];
        to->both = HALVES(0x80000000u - 32768 * (c[0] + c[1]));
        to->shift = shift;
        to->mask = HALVES(0xffffffffu >> shift);
        to->more = b + 2 != end;
    }
}

NOINLINE void scan_head(column_pair *to, const dither *di, i64 a, u32 n) {
    const i64 base = (1LL << 30) - 32768 * a;
    for (u32 i = 0; i < n; i += 2, to++) {
        to->add0 = (i64)HALVES(base + di->dh[i & 15]);
        to->add1 = (i64)HALVES(base + di->dh[(i + 1) & 15]);
    }
}

/* The new word if a value saturates. */
NOINLINE u64 saturated(u64 word, i64 a, i64 b, i64 q, i64 add) {
    const i64 plain = (i64)((u64)add & 0xffffffffu) - (1LL << 30); /* dh - 32768 * a */
    const i64 q0 = (i32)q, q1 = (q - q0) >> 32;
    const i64 low = sat16_64(((i64)(word & 0xffff) * a + b * q0 + plain) >> 15) + 32768;
    const i64 high = sat16_64(((i64)(word >> 32) * a + b * q1 + plain) >> 15) + 32768;
    return (u64)low | (u64)high << 32;
}

/* v = the word of one column before the shift. */
#define SCAN_ADVANCE_(v, row, b, add)                                                                                 \
    "%[" #v "] = *(u64 *)(%[row] + " #row ")\n"                                                                      \
    "%[" #v "] *= %[a]\n"                                                                                             \
    "%[x] = *(u64 *)(%[at] + " #b ")\n"                                                                               \
    "%[x] *= %[q]\n"                                                                                                  \
    "%[" #v "] += %[x]\n"                                                                                             \
    "%[x] = *(u64 *)(%[at] + " #add ")\n"                                                                             \
    "%[" #v "] += %[x]\n"                                                                                             \
    "if %[" #v "] & %[saturates] goto %l[slow]\n"
/* The new word, stored, and times c. */
#define SCAN_STORE_(v, row, c)                                                                                        \
    "%[" #v "] >>= 15\n"                                                                                              \
    "%[" #v "] &= %[values]\n"                                                                                        \
    "*(u64 *)(%[row] + " #row ") = %[" #v "]\n"                                                                      \
    "%[x] = *(u64 *)(%[at] + " #c ")\n"                                                                               \
    "%[" #v "] *= %[x]\n"

/* One pair of rows: the state's `row` moves on, the result holds both readouts, S >> e summed, each with
 * columns / 2 * 2^(31 - e) too much. The loop needs all ten registers, so it is in assembly; a pair of columns in which a
 * value saturates is left to C. */
NOINLINE u64 scan_rows(u64 *row, const column_pair *at, i64 a, i64 q) {
    const u64 saturates = SATURATES, values = VALUES;
    u64 sum = 0, v, w, x;
again:
    __asm__ goto volatile("1:\n"
                          SCAN_ADVANCE_(v, 0, 0, 8)
                          SCAN_ADVANCE_(w, 8, 24, 32)
                          SCAN_STORE_(v, 0, 16)
                          SCAN_STORE_(w, 8, 40)
                          "%[v] += %[w]\n"
                          "%[x] = *(u64 *)(%[at] + 48)\n"
                          "%[v] += %[x]\n"
                          "%[x] = *(u64 *)(%[at] + 56)\n"
                          "%[v] >>= %[x]\n"
                          "%[x] = *(u64 *)(%[at] + 64)\n"
                          "%[v] &= %[x]\n"
                          "%[sum] += %[v]\n"
                          "%[x] = *(u64 *)(%[at] + 72)\n"
                          "%[row] += 16\n"
                          "%[at] += 80\n"
                          "if %[x] != 0 goto 1b\n"
                          : [row] "+r"(row), [at] "+r"(at), [sum] "+r"(sum), [v] "=&r"(v), [w] "=&r"(w), [x] "=&r"(x)
                          : [a] "r"(a), [q] "r"(q), [saturates] "r"(saturates), [values] "r"(values)
                          : "memory"
                          : slow);
    return sum;
slow:
    row[0] = saturated(row[0], a, at->b0, q, at->add0);
    row[1] = saturated(row[1], a, at->b1, q, at->add1);
    sum += (row[0] * (u64)at->c0 + row[1] * (u64)at->c1 + at->both) >> at->shift & at->mask;
    row += 2;
    if (at++->more) goto again;
    return sum;
}
