/* AVX2: weights widened to 16 bits, vpmaddwd on pairs of columns. Exact: a pair of products is below 2^22, and the loader
 * bounds every sum. A vector of 16 rows is two of 8. */
#include <immintrin.h>

/* `count` vectors of 8 rows, `step` bytes of weights from one pair of columns to the next. */
AWM_INLINE void mm_rows(i32 *AWM_RESTRICT out, u32 out_stride, const i8 *AWM_RESTRICT w, uptr step,
                        const u8 *AWM_RESTRICT x, u32 x_stride, u32 kp, const int count, const int ms)
{
    __m256i acc[8][AWM_MM_SESSIONS];
    AWM_UNROLL
    for (int v = 0; v < count; v++)
        AWM_UNROLL
        for (int s = 0; s < ms; s++)
            acc[v][s] = _mm256_setzero_si256();
    for (u32 k = 0; k < kp; k += 2, w += step) {
        __m256i xs[AWM_MM_SESSIONS];
        AWM_UNROLL
        for (int s = 0; s < ms; s++) {
            i32 pair;
            __builtin_memcpy(&pair, x + (uptr)s * x_stride + 2 * (uptr)k, 4);
            xs[s] = _mm256_set1_epi32(pair);
        }
        AWM_UNROLL
        for (int v = 0; v < count; v++) {
            const __m256i wv = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w + 16 * v)));
            AWM_UNROLL
            for (int s = 0; s < ms; s++)
                acc[v][s] = _mm256_add_epi32(acc[v][s], _mm256_madd_epi16(xs[s], wv));
        }
    }
    AWM_UNROLL
    for (int s = 0; s < ms; s++)
        AWM_UNROLL
        for (int v = 0; v < count; v++)
            _mm256_storeu_si256((__m256i *)(void *)(out + (uptr)s * out_stride + 8 * v), acc[v][s]);
}

/* 16 registers: one session takes all 64 rows in one forward pass, several take 16 rows at a time. */
AWM_INLINE void mm_tile(i32 *AWM_RESTRICT out, u32 out_stride, const i8 *AWM_RESTRICT w, const i32 *AWM_RESTRICT corr,
                        const u8 *AWM_RESTRICT x, u32 x_stride, u32 kp, const int nv, const int ms)
{
    (void)corr;
    if (ms == 1) {
        mm_rows(out, out_stride, w, (uptr)(32 * nv), x, x_stride, kp, 2 * nv, 1);
        return;
    }
    for (int v = 0; v < nv; v++)
        mm_rows(out + 16 * v, out_stride, w + 32 * v, (uptr)(32 * nv), x, x_stride, kp, 2, ms);
}
