/* NEON: the scan by hand, the rest as the compiler vectorizes elem_portable.h. */
#include <arm_neon.h>
#define AWM_OWN_SCAN
#include "elem_portable.h"

/* 8 rows of one head: q and the sums stay in registers while the columns go by in pairs. */
static void e_scan(i16 *AWM_RESTRICT h, const i16 *AWM_RESTRICT x, const i16 *AWM_RESTRICT b, const i16 *AWM_RESTRICT c,
                   i16 *AWM_RESTRICT y, const head_step *hd, const dither *di, u32 rows, u32 rows_pad, u32 n)
{
    (void)rows; /* rows behind the last take part: their x is 0, and so stays their state */
    const int32x4_t sq = vdupq_n_s32(-(i32)hd->sq), e = vdupq_n_s32(-(i32)hd->e);
    const int32x4_t up = vdupq_n_s32((i32)hd->sq - 32), one = vdupq_n_s32(1);
    const int32x4_t s_h = vdupq_n_s32(1 - (i32)hd->s_h), s_d = vdupq_n_s32(1 - (i32)hd->s_d);
    const i16 a = (i16)hd->a;
    for (u32 row = 0; row < rows_pad; row += 8) {
        const int16x8_t xs = vld1q_s16(x + row);
        const int32x4_t d0 = vreinterpretq_s32_u32(vshlq_u32(vld1q_u32(di->dq + (row & 15)), up));
        const int32x4_t d1 = vreinterpretq_s32_u32(vshlq_u32(vld1q_u32(di->dq + (row & 15) + 4), up));
        const int16x4_t q0 = vqmovn_s32(vshlq_s32(vmlal_n_s16(d0, vget_low_s16(xs), (i16)hd->dtm), sq));
        const int16x4_t q1 = vqmovn_s32(vshlq_s32(vmlal_n_s16(d1, vget_high_s16(xs), (i16)hd->dtm), sq));
        int32x4_t acc0 = vdupq_n_s32(0), acc1 = acc0;
        i16 *at = h + 2 * row;
        for (u32 i = 0; i < n; i += 2, at += 2 * rows_pad) {
            const int32x4_t dh0 = vdupq_n_s32(di->dh[i & 15]), dh1 = vdupq_n_s32(di->dh[(i + 1) & 15]);
            const int16x8_t old0 = vld1q_s16(at), old1 = vld1q_s16(at + 8);
            const int16x4_t e0 = vqshrn_n_s32(vmlal_n_s16(vmlal_n_s16(dh0, vget_low_s16(old0), a), q0, b[i]), 15);
            const int16x4_t o0 = vqshrn_n_s32(vmlal_n_s16(vmlal_n_s16(dh1, vget_high_s16(old0), a), q0, b[i + 1]), 15);
            const int16x4_t e1 = vqshrn_n_s32(vmlal_n_s16(vmlal_n_s16(dh0, vget_low_s16(old1), a), q1, b[i]), 15);
            const int16x4_t o1 = vqshrn_n_s32(vmlal_n_s16(vmlal_n_s16(dh1, vget_high_s16(old1), a), q1, b[i + 1]), 15);
            vst1q_s16(at, vcombine_s16(e0, o0));
            vst1q_s16(at + 8, vcombine_s16(e1, o1));
            acc0 = vaddq_s32(acc0, vshlq_s32(vmlal_n_s16(vmull_n_s16(e0, c[i]), o0, c[i + 1]), e));
            acc1 = vaddq_s32(acc1, vshlq_s32(vmlal_n_s16(vmull_n_s16(e1, c[i]), o1, c[i + 1]), e));
        }
        const i16 d = (i16)hd->d;
        const int32x4_t x0 = vshlq_s32(vmull_n_s16(vget_low_s16(xs), d), s_d), x1 = vshlq_s32(vmull_n_s16(vget_high_s16(xs), d), s_d);
        const int32x4_t y0 = vaddq_s32(vshrq_n_s32(vaddq_s32(vshlq_s32(acc0, s_h), one), 1), vshrq_n_s32(vaddq_s32(x0, one), 1));
        const int32x4_t y1 = vaddq_s32(vshrq_n_s32(vaddq_s32(vshlq_s32(acc1, s_h), one), 1), vshrq_n_s32(vaddq_s32(x1, one), 1));
        vst1q_s16(y + row, vcombine_s16(vqmovn_s32(y0), vqmovn_s32(y1)));
    }
}
