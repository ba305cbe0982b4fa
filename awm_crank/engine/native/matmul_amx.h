/* AMX INT8: a B tile is 16 groups of 4 columns of 16 rows, that is 16 consecutive quads of one vector of the common
 * packing; an A tile is up to 16 sessions of 64 columns, one for each byte plane. tdpbssd multiplies signed by signed and
 * does not saturate. Columns are padded to 64 at load (zero weights), so that every tile is whole. With AWM_AMX_EMULATED
 * the tile instructions are done in plain C: the same source then runs, and is tested, on any machine. */
#ifdef AWM_AMX_EMULATED
#include "amx_emulated.h"
#define TILE(op) emulated_##op
#else
#include <immintrin.h>
#define TILE(op) _tile_##op
#endif

AWM_INLINE void amx_configure(u32 sessions)
{
    struct { u8 palette, start_row, reserved[14]; u16 colsb[16]; u8 rows[16]; } __attribute__((aligned(64))) cfg;
    for (u32 i = 0; i < sizeof cfg; i++)
        ((u8 *)&cfg)[i] = 0;
    cfg.palette = 1;
    for (int t = 0; t < 7; t++) { /* 0..3: sums, 4 and 5: the high and low plane of the sessions, 6: weights */
        cfg.colsb[t] = 64;
        cfg.rows[t] = t < 6 ? (u8)sessions : 16;
    }
    TILE(loadconfig)(&cfg);
}

/* Two vectors of 16 rows (or one) for up to 16 sessions; step: bytes from one quad of columns to the next. */
AWM_INLINE void mm_tiles(i32 *out, u32 out_stride, const i8 *w, uptr step, const u8 *x, u32 x_stride, u32 kp, u32 sessions,
                         const int two)
{
    i32 low[16][32] __attribute__((aligned(64)));
    TILE(zero)(0);
    TILE(zero)(1);
    TILE(zero)(2);
    TILE(zero)(3);
    for (u32 k = 0; k < kp; k += 64, w += 16 * step) {
        TILE(loadd)(4, x + k, x_stride);
        TILE(loadd)(5, x + kp + k, x_stride);
        TILE(loadd)(6, w, step);
        TILE(dpbssd)(0, 4, 6);
        TILE(dpbssd)(1, 5, 6);
        if (two) {
            TILE(loadd)(6, w + 64, step);
            TILE(dpbssd)(2, 4, 6);
            TILE(dpbssd)(3, 5, 6);
        }
    }
    TILE(stored)(0, out, 4 * (uptr)out_stride);
    TILE(stored)(1, low, 128);
    if (two) {
        TILE(stored)(2, out + 16, 4 * (uptr)out_stride);
        TILE(stored)(3, &low[0][16], 128);
    }
    for (u32 s = 0; s < sessions; s++)
        for (u32 r = 0; r < (two ? 32 : 16); r++)
            out[(uptr)s * out_stride + r] = out[(uptr)s * out_stride + r] * 128 + low[s][r];
}

/* Like mm of matmul_blocks.h. */
static void mm(const awm_image *im, const awm_matrix *mx, i32 *out, u32 out_stride, const u8 *act, u32 act_stride, u32 v0,
               u32 v1, u32 sessions, u32 used)
{
    for (u32 s = 0; s < sessions; s += 16) {
        const u32 ms = MIN(sessions - s, 16u);
        const u8 *x = act + (uptr)s * act_stride;
        amx_configure(ms);
        for (u32 g = v0; g < v1; g += 4) {
            const u32 nv = MIN(v1 - g, 4u);
            const i8 *w = AT(im, const i8 *, mx->w) + 16 * (uptr)g * mx->kp;
            for (u32 v = 0; v < nv; v += 2) {
                i32 *o = out + (uptr)s * out_stride + 16 * (uptr)(g + v);
                if (nv - v > 1)
                    mm_tiles(o, out_stride, w + 64 * v, 64 * nv, x, act_stride, used, ms, 1);
                else
                    mm_tiles(o, out_stride, w + 64 * v, 64 * nv, x, act_stride, used, ms, 0);
            }
        }
    }
    TILE(release)();
}
