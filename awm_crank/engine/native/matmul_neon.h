/* NEON without the dot product: columns one by one, weights widened to 16 bits, smlal. */
#include <arm_neon.h>

AWM_INLINE void mm_tile(i32 *AWM_RESTRICT out, u32 out_stride, const i8 *AWM_RESTRICT w, const i32 *AWM_RESTRICT corr,
                        const u8 *AWM_RESTRICT x, u32 x_stride, u32 kp, const int nv, const int ms)
{
    (void)corr;
    for (int half = 0; half < nv; half++) {
        const i8 *at = w + 16 * half;
        int32x4_t acc[4][AWM_MM_SESSIONS];
        AWM_UNROLL
        for (int v = 0; v < 4; v++)
            AWM_UNROLL
            for (int s = 0; s < ms; s++)
                acc[v][s] = vdupq_n_s32(0);
        for (u32 k = 0; k < kp; k++, at += 16 * nv) {
            const int8x16_t bytes = vld1q_s8(at);
            const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
            AWM_UNROLL
            for (int s = 0; s < ms; s++) {
                const i16 xs = *(const i16 *)(const void *)(x + (uptr)s * x_stride + 2 * (uptr)k);
                acc[0][s] = vmlal_n_s16(acc[0][s], vget_low_s16(low), xs);
                acc[1][s] = vmlal_n_s16(acc[1][s], vget_high_s16(low), xs);
                acc[2][s] = vmlal_n_s16(acc[2][s], vget_low_s16(high), xs);
                acc[3][s] = vmlal_n_s16(acc[3][s], vget_high_s16(high), xs);
            }
        }
        AWM_UNROLL
        for (int s = 0; s < ms; s++)
            AWM_UNROLL
            for (int v = 0; v < 4; v++)
                vst1q_s32(out + (uptr)s * out_stride + 16 * half + 4 * v, acc[v][s]);
    }
}
