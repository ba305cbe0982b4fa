/* One layer of a policy cartridge (docs/numerics.md, section 13): int8 rows times int16 inputs. */
#ifndef AWM_POLICY_H
#define AWM_POLICY_H
#include "awm_types.h"

/* Products of this many columns fit an int32: 256 * 128 * 32768 = 2^30. */
#define AWM_POLICY_CHUNK 256

static i64 policy_dot(const i8 *w, const i16 *x, size_t columns)
{
    i64 sum = 0;
    for (size_t at = 0; at < columns; at += AWM_POLICY_CHUNK) {
        const size_t end = columns - at < AWM_POLICY_CHUNK ? columns : at + AWM_POLICY_CHUNK;
        i32 part = 0;
        for (size_t i = at; i < end; i++)
            part += (i32)w[i] * x[i];
        sum += part;
    }
    return sum;
}

/* out[r] = ((w[r] . x) * mul[r] + 2^(shift - 1) >> shift) + b[r]; columns <= 65536, mul in 0..2^22, shift in 1..60. */
static void policy_layer_run(const i8 *w, const i32 *mul, const i32 *b, const i16 *x, size_t rows, size_t columns,
                             int shift, i64 *out)
{
    for (size_t r = 0; r < rows; r++)
        out[r] = ((policy_dot(w + r * columns, x, columns) * mul[r] + ((i64)1 << (shift - 1))) >> shift) + b[r];
}
#endif
