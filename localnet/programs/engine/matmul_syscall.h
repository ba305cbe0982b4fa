/* The matrix loop by MagicBlock's `sol_matmul_i8` (validators 0.8.3 to 0.8.6): 100 units and one for each multiply-add.
 *
 * A group is ten rows of weights as the cartridge has them, so consecutive groups are one matrix. An activation has 15
 * bits: a = 128 * (a >> 7) + (a & 127), two vectors of 8 bits, two calls. Built with -DMATMUL_SYSCALL; images of this
 * build are its own. */
#pragma once

#define GROUP_ROWS 10
#define COLUMN_STEP 16
#define GROUP_WORDS(kp) (10ULL * (kp) / 8)

extern u64 sol_matmul_i8(const i8 *weights, const i8 *vector, i32 *out, u64 rows, u64 columns);

NOINLINE void pack_rows(i64 *to, const u8 *rows, u32 cols, u32 kp) {
    for (u32 i = 0; i < GROUP_ROWS; i++) copy((u8 *)to + i * kp, rows + i * cols, cols);
}

typedef struct {
    const i64 *act;
    u32 used, kp;
} Factor;

#define CALL_ROWS 1000 /* of one call: its sums fit the heap */
#define MULTIPLY_UNITS(factor) (20 * (u64)(factor)->kp + 200)
#define MULTIPLY_BASE(factor) (14 * (u64)(factor)->kp + 2000)

/* The vector's two planes, then room for the sums of both calls. */
typedef struct {
    i8 high[AWM_MAX_COLUMNS + 64], low[AWM_MAX_COLUMNS + 64];
    i32 sums[2][CALL_ROWS];
} Planes;
#define PLANES ((Planes *)SCRATCH)
_Static_assert(sizeof(Planes) <= SCRATCH_BYTES, "planes and sums");

NOINLINE void split_planes(const Factor *by) {
    const i64 *a = by->act;
    for (u32 i = 0; i < by->used; i++) {
        PLANES->high[i] = (i8)(a[i] >> 7);
        PLANES->low[i] = (i8)(a[i] & 127);
    }
    zero((u8 *)PLANES->high + by->used, by->kp - by->used);
    zero((u8 *)PLANES->low + by->used, by->kp - by->used);
}

NOINLINE void multiply_groups(const i64 *w, u64 groups, const Factor *by, i64 *out) {
    const i8 *weights = (const i8 *)w;
    split_planes(by);
    for (u64 rows = groups * GROUP_ROWS; rows;) {
        const u64 some = MIN(rows, (u64)CALL_ROWS);
        sol_matmul_i8(weights, PLANES->high, PLANES->sums[0], some, by->kp);
        sol_matmul_i8(weights, PLANES->low, PLANES->sums[1], some, by->kp);
        for (u64 i = 0; i < some; i++) *out++ = (i64)PLANES->sums[0][i] * 128 + PLANES->sums[1][i];
        weights += some * by->kp;
        rows -= some;
    }
}
