/* AVX-512 VNNI, activations in two byte planes: vpdpbusd takes one unsigned operand, so the high plane is offset by +128
 * and its sums start at -128 times the row's weight sum (`corr`), which makes them exact; the low plane is 0..127 as it
 * is. vpdpbusd does not saturate. */
#include <immintrin.h>

AWM_INLINE __m512i mm_quad(const u8 *p)
{
    i32 quad;
    __builtin_memcpy(&quad, p, 4);
    return _mm512_set1_epi32(quad);
}

AWM_INLINE void mm_tile(i32 *AWM_RESTRICT out, u32 out_stride, const i8 *AWM_RESTRICT w, const i32 *AWM_RESTRICT corr,
                        const u8 *AWM_RESTRICT x, u32 x_stride, u32 kp, const int nv, const int ms)
{
    __m512i high[4][AWM_MM_SESSIONS], low[4][AWM_MM_SESSIONS];
    AWM_UNROLL
    for (int v = 0; v < nv; v++)
        AWM_UNROLL
        for (int s = 0; s < ms; s++) {
            high[v][s] = _mm512_loadu_si512(corr + 16 * v);
            low[v][s] = _mm512_setzero_si512();
        }
    for (u32 k = 0; k < kp; k += 4, w += 64 * nv) {
        __m512i wv[4];
        AWM_UNROLL
        for (int v = 0; v < nv; v++)
            wv[v] = _mm512_loadu_si512(w + 64 * v);
        AWM_UNROLL
        for (int s = 0; s < ms; s++) {
            const u8 *at = x + (uptr)s * x_stride + k;
            const __m512i xh = mm_quad(at), xl = mm_quad(at + kp);
            AWM_UNROLL
            for (int v = 0; v < nv; v++) {
                high[v][s] = _mm512_dpbusd_epi32(high[v][s], xh, wv[v]);
                low[v][s] = _mm512_dpbusd_epi32(low[v][s], xl, wv[v]);
            }
        }
    }
    AWM_UNROLL
    for (int s = 0; s < ms; s++)
        AWM_UNROLL
        for (int v = 0; v < nv; v++)
            _mm512_storeu_si512(out + (uptr)s * out_stride + 16 * v,
                                _mm512_add_epi32(_mm512_slli_epi32(high[v][s], 7), low[v][s]));
}
