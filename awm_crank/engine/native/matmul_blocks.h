/* The walk over a packed matrix, the same for every packed path: groups of up to 64 rows, each a sequential stream
 * [column / k_group][rows][k_group], so that a single session's pass reads memory strictly forward. `mm_tile` (one a
 * path) does up to 4 vectors of 16 rows for up to AWM_MM_SESSIONS sessions. */

#define MM_TILE(NV, MS) case MS: mm_tile(o, out_stride, wg, cg, x, act_stride, used, NV, MS); break;
#if AWM_MM_SESSIONS == 4
#define MM_ROW(NV) MM_TILE(NV, 1) MM_TILE(NV, 2) MM_TILE(NV, 3) MM_TILE(NV, 4)
#elif AWM_MM_SESSIONS == 3
#define MM_ROW(NV) MM_TILE(NV, 1) MM_TILE(NV, 2) MM_TILE(NV, 3)
#elif AWM_MM_SESSIONS == 2
#define MM_ROW(NV) MM_TILE(NV, 1) MM_TILE(NV, 2)
#else
#define MM_ROW(NV) MM_TILE(NV, 1)
#endif
#define MM_GROUP(NV) case NV: switch (ms) { MM_ROW(NV) default: break; } break;

/* out[s][row] = sum over k < used of w[row][k] * x[s][k] for rows [16 * v0, 16 * v1), v0 a multiple of 4; used: as kp. */
static void mm(const awm_image *im, const awm_matrix *mx, i32 *out, u32 out_stride, const u8 *act, u32 act_stride, u32 v0,
               u32 v1, u32 sessions, u32 used)
{
    for (u32 g = v0; g < v1; g += 4) {
        const u32 nv = v1 - g < 4 ? v1 - g : 4;
        const i8 *wg = AT(im, const i8 *, mx->w) + 16 * (uptr)g * mx->kp;
        const i32 *cg = AT(im, const i32 *, mx->corr) + 16 * (uptr)g;
        for (u32 s = 0; s < sessions; s += AWM_MM_SESSIONS) {
            const u32 ms = sessions - s < AWM_MM_SESSIONS ? sessions - s : AWM_MM_SESSIONS;
            i32 *o = out + (uptr)s * out_stride + 16 * (uptr)g;
            const u8 *x = act + (uptr)s * act_stride;
            switch (nv) { MM_GROUP(1) MM_GROUP(2) MM_GROUP(3) MM_GROUP(4) default: break; }
        }
    }
}
