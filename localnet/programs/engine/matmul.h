/* The packed matrix loop: two rows in one 64-bit multiply.
 *
 * A word holds the weights of two rows at one column, w0 + w1 * 2^32, an activation is a 64-bit integer. Their product,
 * summed over the columns, is s0 + s1 * 2^32. Both sums fit 32 bits (build.h proves it), so the low half is s0, and what
 * is left is s1: a negative s0 has borrowed one from the high half, which the subtraction gives back.
 *
 * A group is PAIRS such pairs of rows; its words lie column by column: word [column * PAIRS + pair]. So one load of an
 * activation serves ten rows, and a multiply-add costs 1.62 instructions: load, multiply and add for two rows, plus a
 * fifth of the activation's load. The sums, both pointers, an activation, a product and the end are all ten registers that the
 * machine has. The compiler cannot keep to that; hence the assembly. */
#pragma once

#define PAIRS 5
#define GROUP_ROWS (2 * PAIRS)
#define GROUP_WORDS(kp) ((u64)PAIRS * (kp))
#define COLUMN_STEP 16 /* columns of one turn of the loop: a matrix's columns are padded to this */

#define ROW_(sum, at) "%[p] = *(u64 *)(%[w] + " #at ")\n%[p] *= %[x]\n%[" #sum "] += %[p]\n"
#define COLUMN_(at, w0, w1, w2, w3, w4)                                                                              \
    "%[x] = *(u64 *)(%[a] + " #at ")\n" ROW_(s0, w0) ROW_(s1, w1) ROW_(s2, w2) ROW_(s3, w3) ROW_(s4, w4)
#define COLUMNS_                                                                                                      \
    COLUMN_(0, 0, 8, 16, 24, 32)                                                                                     \
    COLUMN_(8, 40, 48, 56, 64, 72)                                                                                   \
    COLUMN_(16, 80, 88, 96, 104, 112)                                                                                \
    COLUMN_(24, 120, 128, 136, 144, 152)                                                                             \
    COLUMN_(32, 160, 168, 176, 184, 192)                                                                             \
    COLUMN_(40, 200, 208, 216, 224, 232)                                                                             \
    COLUMN_(48, 240, 248, 256, 264, 272)                                                                             \
    COLUMN_(56, 280, 288, 296, 304, 312)                                                                             \
    COLUMN_(64, 320, 328, 336, 344, 352)                                                                             \
    COLUMN_(72, 360, 368, 376, 384, 392)                                                                             \
    COLUMN_(80, 400, 408, 416, 424, 432)                                                                             \
    COLUMN_(88, 440, 448, 456, 464, 472)                                                                             \
    COLUMN_(96, 480, 488, 496, 504, 512)                                                                             \
    COLUMN_(104, 520, 528, 536, 544, 552)                                                                            \
    COLUMN_(112, 560, 568, 576, 584, 592)                                                                            \
    COLUMN_(120, 600, 608, 616, 624, 632)

AWM_INLINE void split(i64 *out, i64 sum) {
    const i64 low = (i32)sum;
    out[0] = low;
    out[1] = (sum - low) >> 32;
}

/* out[0 .. 10) = one group's sums over the activations [a, end), a multiple of COLUMN_STEP. */
NOINLINE void multiply_group(const i64 *w, const i64 *a, const i64 *end, i64 *out) {
    i64 s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, p, x;
    do {
        __asm__ volatile(COLUMNS_ "%[w] += 640\n%[a] += 128\n"
                     : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [s4] "+r"(s4), [w] "+r"(w),
                       [a] "+r"(a), [p] "=&r"(p), [x] "=&r"(x)
                     :
                     : "memory");
    } while (a != end);
    split(out, s0);
    split(out + 2, s1);
    split(out + 4, s2);
    split(out + 6, s3);
    split(out + 8, s4);
}

/* Packs two rows of `cols` weights, one after the other at `rows`, into every PAIRS-th word. */
NOINLINE void pack_pair(i64 *to, const u8 *rows, u32 cols) {
    const u8 *low = rows, *high = rows + cols;
    for (const u8 *end = high; low != end; to += PAIRS)
        *to = ((i64)((u64)*low++ << 56) >> 56) + ((i64)((u64)*high++ << 56) >> 24);
}

INLINE void pack_rows(i64 *to, const u8 *rows, u32 cols, u32 kp) {
    (void)kp;
    for (u32 pair = 0; pair < PAIRS; pair++) pack_pair(to + pair, rows + 2 * pair * cols, cols);
}

/* A vector that a matrix is multiplied by: `used` of its `kp` columns. */
typedef struct {
    const i64 *act;
    u32 used, kp;
} Factor;

/* The most units that a group costs, and what comes on top for all groups of a call. */
#define MULTIPLY_UNITS(factor) (16 * (u64)(factor)->used + (factor)->used / 4 + 90)
#define MULTIPLY_BASE(factor) 500

NOINLINE void multiply_groups(const i64 *w, u64 groups, const Factor *by, i64 *out) {
    for (; groups; groups--, w += GROUP_WORDS(by->kp), out += GROUP_ROWS) multiply_group(w, by->act, by->act + by->used, out);
}
