/* NEON with the dot product, activations in two byte planes: sdot on four columns of four rows. */
#include <arm_neon.h>

AWM_INLINE int8x16_t mm_quad(const u8 *p)
{
    i32 quad;
    __builtin_memcpy(&quad, p, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}

AWM_INLINE void mm_tile(i32 *AWM_RESTRICT out, u32 out_stride, const i8 *AWM_RESTRICT w, const i32 *AWM_RESTRICT corr,
                        const u8 *AWM_RESTRICT x, u32 x_stride, u32 kp, const int nv, const int ms)
{
    (void)corr;
    for (int half = 0; half < nv; half++) {
        const i8 *at = w + 64 * half;
        int32x4_t high[4][AWM_MM_SESSIONS], low[4][AWM_MM_SESSIONS];
        AWM_UNROLL
        for (int v = 0; v < 4; v++)
            AWM_UNROLL
            for (int s = 0; s < ms; s++)
                high[v][s] = low[v][s] = vdupq_n_s32(0);
        for (u32 k = 0; k < kp; k += 4, at += 64 * nv) {
            int8x16_t wv[4];
            AWM_UNROLL
            for (int v = 0; v < 4; v++)
                wv[v] = vld1q_s8(at + 16 * v);
            AWM_UNROLL
            for (int s = 0; s < ms; s++) {
                const u8 *xs = x + (uptr)s * x_stride + k;
                const int8x16_t xh = mm_quad(xs), xl = mm_quad(xs + kp);
                AWM_UNROLL
                for (int v = 0; v < 4; v++) {
                    high[v][s] = vdotq_s32(high[v][s], wv[v], xh);
                    low[v][s] = vdotq_s32(low[v][s], wv[v], xl);
                }
            }
        }
        AWM_UNROLL
        for (int s = 0; s < ms; s++)
            AWM_UNROLL
            for (int v = 0; v < 4; v++)
                vst1q_s32(out + (uptr)s * out_stride + 16 * half + 4 * v,
                          vaddq_s32(vshlq_n_s32(high[v][s], 7), low[v][s]));
    }
}
