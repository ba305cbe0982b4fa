/* AVX-512BW without VNNI: weights widened to 16 bits, vpmaddwd on pairs of columns. Exact: a pair of products is below
 * 2^22, and the loader bounds every sum. */
#include <immintrin.h>

AWM_INLINE void mm_tile(i32 *AWM_RESTRICT out, u32 out_stride, const i8 *AWM_RESTRICT w, const i32 *AWM_RESTRICT corr,
                        const u8 *AWM_RESTRICT x, u32 x_stride, u32 kp, const int nv, const int ms)
{
    (void)corr;
    __m512i acc[4][AWM_MM_SESSIONS];
    AWM_UNROLL
    for (int v = 0; v < nv; v++)
        AWM_UNROLL
        for (int s = 0; s < ms; s++)
            acc[v][s] = _mm512_setzero_si512();
    for (u32 k = 0; k < kp; k += 2, w += 32 * nv) {
        __m512i wv[4];
        AWM_UNROLL
        for (int v = 0; v < nv; v++)
            wv[v] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(w + 32 * v)));
        AWM_UNROLL
        for (int s = 0; s < ms; s++) {
            i32 pair;
            __builtin_memcpy(&pair, x + (uptr)s * x_stride + 2 * (uptr)k, 4);
            const __m512i xs = _mm512_set1_epi32(pair);
            AWM_UNROLL
            for (int v = 0; v < nv; v++)
                acc[v][s] = _mm512_add_epi32(acc[v][s], _mm512_madd_epi16(xs, wv[v]));
        }
    }
    AWM_UNROLL
    for (int s = 0; s < ms; s++)
        AWM_UNROLL
        for (int v = 0; v < nv; v++)
            _mm512_storeu_si512(out + (uptr)s * out_stride + 16 * v, acc[v][s]);
}
