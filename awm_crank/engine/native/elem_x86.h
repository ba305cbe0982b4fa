/* The elementwise parts in AVX2 or AVX-512BW, one source for both: the macros below hold what differs. Every function
 * equals its namesake in elem_portable.h bit for bit on the values that count, and may read and write up to the padding
 * behind them. "Lane order": unpacking 16-bit vectors gives 32-bit ones whose 128-bit lanes are shuffled, and packing two
 * such undoes it, so what is unpacked and packed within one function never pays for order. */
#include <immintrin.h>
#define AWM_OWN_ELEM
#include "elem_portable.h"
#define AWM_GATE_ORDER 1

#if AWM_V512
typedef __m512i vec;
#define W16 32 /* 16-bit values in one vector */
#define V(op) _mm512_##op
#define v_load(p) _mm512_loadu_si512(p)
#define v_store(p, v) _mm512_storeu_si512(p, v)
#define v_zero() _mm512_setzero_si512()
#define v_set64(x) _mm512_set1_epi64(x)
#define v_and(a, b) _mm512_and_si512(a, b)
#define v_or(a, b) _mm512_or_si512(a, b)
/* even 32-bit elements of a, odd ones of b */
#define v_blend_odd32(a, b) _mm512_mask_blend_epi32(0xaaaa, a, b)
AWM_INLINE vec v_low_lanes(vec a, vec b) { return _mm512_shuffle_i32x4(a, b, 0x88); }
AWM_INLINE vec v_high_lanes(vec a, vec b) { return _mm512_shuffle_i32x4(a, b, 0xdd); }
AWM_INLINE vec v_packed_order(vec v) { return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), v); }
/* 16 values as the scan takes q: in every lane 4 rows, twice */
AWM_INLINE vec v_rows_twice(__m256i q)
{
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), _mm512_castsi256_si512(q));
}
AWM_INLINE vec v_lanes(__m128i v) { return _mm512_broadcast_i32x4(v); }
AWM_INLINE __m256i v_load_half(const i16 *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
AWM_INLINE void v_store_half(i16 *p, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
/* 32 bits to 16 with saturation */
AWM_INLINE __m256i v_narrow(vec v) { return _mm512_cvtsepi32_epi16(v); }
AWM_INLINE i32 v_max32(vec v) { return _mm512_reduce_max_epi32(v); }
AWM_INLINE u64 v_sum64(vec v) { return (u64)_mm512_reduce_add_epi64(v); }
#else
typedef __m256i vec;
#define W16 16
#define V(op) _mm256_##op
#define v_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define v_store(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define v_zero() _mm256_setzero_si256()
#define v_set64(x) _mm256_set1_epi64x(x)
#define v_and(a, b) _mm256_and_si256(a, b)
#define v_or(a, b) _mm256_or_si256(a, b)
#define v_blend_odd32(a, b) _mm256_blend_epi32(a, b, 0xaa)
AWM_INLINE vec v_low_lanes(vec a, vec b) { return _mm256_permute2x128_si256(a, b, 0x20); }
AWM_INLINE vec v_high_lanes(vec a, vec b) { return _mm256_permute2x128_si256(a, b, 0x31); }
AWM_INLINE vec v_packed_order(vec v) { return _mm256_permute4x64_epi64(v, 0xd8); }
AWM_INLINE vec v_rows_twice(__m128i q) { return _mm256_permute4x64_epi64(_mm256_castsi128_si256(q), 0x50); }
AWM_INLINE vec v_lanes(__m128i v) { return _mm256_broadcastsi128_si256(v); }
AWM_INLINE __m128i v_load_half(const i16 *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
AWM_INLINE void v_store_half(i16 *p, __m128i v) { _mm_storeu_si128((__m128i *)(void *)p, v); }
AWM_INLINE __m128i v_narrow(vec v)
{
    return _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
AWM_INLINE i32 v_max32(vec v)
{
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}
AWM_INLINE u64 v_sum64(vec v)
{
    const __m128i m = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return (u64)_mm_cvtsi128_si64(m) + (u64)_mm_extract_epi64(m, 1);
}
#endif
#define W32 (W16 / 2)
#define v_count(n) _mm_cvtsi32_si128((int)(n))

/* RQ: the even products are shifted down by s, the odd ones up by 32 - s, so that both results meet in place. */
typedef struct { vec round; __m128i down, up; } rq_consts;
AWM_INLINE rq_consts rq_prepare(u32 s)
{
    const rq_consts c = {v_set64((i64)1 << (s - 1)), v_count(s), v_count(32 - s)};
    return c;
}
AWM_INLINE vec v_rq(vec acc, vec m, const rq_consts *c)
{
    const vec even = V(add_epi64)(V(mul_epi32)(acc, m), c->round);
    const vec odd = V(add_epi64)(V(mul_epi32)(V(srli_epi64)(acc, 32), V(srli_epi64)(m, 32)), c->round);
    return v_blend_odd32(V(srl_epi64)(even, c->down), V(sll_epi64)(odd, c->up));
}

static void e_rq(i32 *out, const i32 *acc, const i32 *m, u32 s, u32 n)
{
    const rq_consts c = rq_prepare(s);
    for (u32 i = 0; i < n; i += W32)
        v_store(out + i, v_rq(v_load(acc + i), v_load(m + i), &c));
}

static void e_rq_bias(i32 *out, const i32 *acc, const i32 *bias, const i32 *m, u32 s, u32 n)
{
    const rq_consts c = rq_prepare(s);
    for (u32 i = 0; i < n; i += W32)
        v_store(out + i, v_rq(V(add_epi32)(v_load(acc + i), v_load(bias + i)), v_load(m + i), &c));
}

static void e_rq16(i16 *out, const i32 *acc, const i32 *m, u32 s, u32 n)
{
    const rq_consts c = rq_prepare(s);
    for (u32 i = 0; i < n; i += W16) {
        const vec a = v_rq(v_load(acc + i), v_load(m + i), &c);
        const vec b = v_rq(v_load(acc + i + W32), v_load(m + i + W32), &c);
        v_store(out + i, v_packed_order(V(packs_epi32)(a, b)));
    }
}

static void e_rq_add(i32 *res, const i32 *acc, const i32 *m, u32 s, u32 n)
{
    const rq_consts c = rq_prepare(s);
    const vec limit = V(set1_epi32)(1 << 30), least = V(set1_epi32)(-(1 << 30)), zero = v_zero();
    for (u32 i = 0; i < n; i += W32) {
        const vec old = v_load(res + i);
        const vec room = V(sub_epi32)(limit, V(max_epi32)(old, zero));
        const vec sum = V(add_epi32)(V(min_epi32)(v_rq(v_load(acc + i), v_load(m + i), &c), room), old);
        v_store(res + i, V(max_epi32)(sum, least));
    }
}

/* SiLU of 16-bit values. The table's 128 entries and their differences stay in registers (AVX-512) or are gathered. */
typedef struct {
#if AWM_V512
    vec sig[4], diff[4];
#else
    const i32 *pairs;
#endif
    __m128i g, rest;
} silu_consts;

AWM_INLINE silu_consts silu_prepare(const awm_image *im, u32 f)
{
    silu_consts c;
    const i16 *pairs = AT(im, const i16 *, im->sig_pairs);
#if AWM_V512
    const vec low = V(set1_epi32)(0xffff);
    AWM_UNROLL
    for (int i = 0; i < 4; i++) { /* pairs apart: 32 entries are two vectors of pairs */
        const vec a = v_load(pairs + 64 * i), b = v_load(pairs + 64 * i + 32);
        c.sig[i] = v_packed_order(V(packus_epi32)(v_and(a, low), v_and(b, low)));
        c.diff[i] = v_packed_order(V(packus_epi32)(V(srli_epi32)(a, 16), V(srli_epi32)(b, 16)));
    }
#else
    c.pairs = (const i32 *)(const void *)pairs;
#endif
    c.g = v_count(f - 4);
    c.rest = v_count(19 - f);
    return c;
}

AWM_INLINE vec v_silu(vec x, const silu_consts *c)
{
    const vec a = V(min_epu16)(V(abs_epi16)(x), V(set1_epi16)(32767));
    const vec i = V(min_epu16)(V(srl_epi16)(a, c->g), V(set1_epi16)(127));
    const vec frac = v_and(V(sll_epi16)(a, c->rest), V(set1_epi16)(32767)); /* Q15 */
#if AWM_V512
    const __mmask32 upper = _mm512_test_epi16_mask(i, V(set1_epi16)(64));
    const vec sig = _mm512_mask_mov_epi16(_mm512_permutex2var_epi16(c->sig[0], i, c->sig[1]), upper,
                                          _mm512_permutex2var_epi16(c->sig[2], i, c->sig[3]));
    const vec diff = _mm512_mask_mov_epi16(_mm512_permutex2var_epi16(c->diff[0], i, c->diff[1]), upper,
                                           _mm512_permutex2var_epi16(c->diff[2], i, c->diff[3]));
    vec v = V(add_epi16)(sig, V(mulhrs_epi16)(diff, frac));
    v = _mm512_mask_sub_epi16(v, _mm512_movepi16_mask(x), V(set1_epi16)(-32768), v);
#else
    const vec zero = v_zero(), low = V(set1_epi32)(0xffff);
    const vec p0 = _mm256_i32gather_epi32(c->pairs, V(unpacklo_epi16)(i, zero), 4);
    const vec p1 = _mm256_i32gather_epi32(c->pairs, V(unpackhi_epi16)(i, zero), 4);
    const vec sig = V(packus_epi32)(v_and(p0, low), v_and(p1, low));
    const vec diff = V(packus_epi32)(V(srli_epi32)(p0, 16), V(srli_epi32)(p1, 16));
    vec v = V(add_epi16)(sig, V(mulhrs_epi16)(diff, frac));
    const vec neg = V(srai_epi16)(x, 15); /* 32768 - v where x < 0: the top bit is 32768, and -v = ~v + 1 */
    v = V(sub_epi16)(V(xor_si256)(v, neg), neg);
    v = V(add_epi16)(v, v_and(neg, V(set1_epi16)(-32768)));
#endif
    return V(mulhrs_epi16)(x, v);
}

static void e_conv(const awm_image *im, const awm_layer *ly, i16 *tail, const i16 *xbc, i16 *k)
{
    const u32 n = im->channels, stride = im->channels_pad, s = (u32)(ly->f_x + ly->f_conv_w - ly->f_c);
    const i16 *w = AT(im, const i16 *, ly->conv_w);
    const i32 *bias = AT(im, const i32 *, ly->conv_b);
    const silu_consts sc = silu_prepare(im, (u32)ly->f_c);
    const vec round = V(set1_epi32)(1 << (s - 1));
    const __m128i shift = v_count(s);
    for (u32 c = 0; c < n; c += W16) {
        const vec t0 = v_load(tail + c), t1 = v_load(tail + stride + c), t2 = v_load(tail + 2 * stride + c), t3 = v_load(xbc + c);
        const vec w0 = v_load(w + c), w1 = v_load(w + stride + c), w2 = v_load(w + 2 * stride + c), w3 = v_load(w + 3 * stride + c);
        const vec ab = V(add_epi32)(v_load(bias + c), round), bb = V(add_epi32)(v_load(bias + c + W32), round);
        const vec low = V(add_epi32)(v_low_lanes(ab, bb),
                                     V(add_epi32)(V(madd_epi16)(V(unpacklo_epi16)(t0, t1), V(unpacklo_epi16)(w0, w1)),
                                                  V(madd_epi16)(V(unpacklo_epi16)(t2, t3), V(unpacklo_epi16)(w2, w3))));
        const vec high = V(add_epi32)(v_high_lanes(ab, bb),
                                      V(add_epi32)(V(madd_epi16)(V(unpackhi_epi16)(t0, t1), V(unpackhi_epi16)(w0, w1)),
                                                   V(madd_epi16)(V(unpackhi_epi16)(t2, t3), V(unpackhi_epi16)(w2, w3))));
        const vec conv = V(packs_epi32)(V(sra_epi32)(low, shift), V(sra_epi32)(high, shift));
        v_store(k + c, v_silu(conv, &sc));
        v_store(tail + c, t1);
        v_store(tail + stride + c, t2);
        v_store(tail + 2 * stride + c, t3);
    }
}

/* g in lane order. */
static void e_gate(const awm_image *im, const awm_layer *ly, i32 *g, const i16 *y, const i16 *z, u32 n)
{
    const silu_consts sc = silu_prepare(im, (u32)ly->f_z);
    if (ly->row_gain) {
        const i16 *gain = AT(im, const i16 *, ly->row_gain);
        for (u32 i = 0; i < n; i += W16) {
            const vec a = v_load(y + i), b = v_silu(v_load(z + i), &sc), s = v_load(gain + i);
            const vec low = V(mullo_epi16)(a, b), high = V(mulhi_epi16)(a, b);
            v_store(g + i, V(srav_epi32)(V(unpacklo_epi16)(low, high), V(unpacklo_epi16)(s, v_zero())));
            v_store(g + i + W32, V(srav_epi32)(V(unpackhi_epi16)(low, high), V(unpackhi_epi16)(s, v_zero())));
        }
        return;
    }
    for (u32 i = 0; i < n; i += W16) {
        const vec a = v_load(y + i), b = v_silu(v_load(z + i), &sc);
        const vec low = V(mullo_epi16)(a, b), high = V(mulhi_epi16)(a, b);
        v_store(g + i, V(unpacklo_epi16)(low, high));
        v_store(g + i + W32, V(unpackhi_epi16)(low, high));
    }
}

/* (v'w * r + round) >> s for s >= 32: the upper halves of the 64-bit sums, shifted by the rest. */
AWM_INLINE vec v_norm_out(vec prod, vec r, vec round, __m128i rest)
{
    const vec even = V(add_epi64)(V(mul_epi32)(prod, r), round);
    const vec odd = V(add_epi64)(V(mul_epi32)(V(srli_epi64)(prod, 32), r), round);
    return V(sra_epi32)(v_blend_odd32(V(srli_epi64)(even, 32), odd), rest);
}

static void e_norm(const awm_image *im, i16 *u, const i32 *v, u32 weights, u64 eps, i32 fw, i32 fu, u32 n, int order)
{
    const i16 *w = AT(im, const i16 *, weights);
    vec max = v_zero();
    for (u32 i = 0; i < n; i += W16) /* by pairs of vectors: in lane order the last values may be in the second */
        max = V(max_epi32)(max, V(max_epi32)(V(abs_epi32)(v_load(v + i)), V(abs_epi32)(v_load(v + i + W32))));
    const u32 k = norm_shift((u32)v_max32(max));
    const vec half = V(set1_epi32)(k ? 1 << (k - 1) : 0), low = v_set64(0xffffffff);
    const __m128i down = v_count(k);
    vec even = v_zero(), odd = v_zero();
    for (u32 i = 0; i < n; i += W16) {
        const vec a = V(sra_epi32)(V(add_epi32)(v_load(v + i), half), down);
        const vec b = V(sra_epi32)(V(add_epi32)(v_load(v + i + W32), half), down);
        const vec packed = V(packs_epi32)(a, b), small = order ? packed : v_packed_order(packed);
        const vec squares = V(madd_epi16)(small, small);
        even = V(add_epi64)(even, v_and(squares, low));
        odd = V(add_epi64)(odd, V(srli_epi64)(squares, 32));
        v_store(u + i, small);
    }
    const norm_scale sc = norm_finish(im, v_sum64(V(add_epi64)(even, odd)), k, eps, fw, fu);
    if (sc.s < 32) { /* tiny sums under odd formats only */
        const i64 round = (i64)1 << (sc.s - 1);
        for (u32 i = 0; i < n; i++)
            u[i] = (i16)sat15(((i64)(u[i] * w[i]) * (i64)sc.r + round) >> sc.s);
        return;
    }
    const vec r = v_set64((i64)sc.r), round = v_set64((i64)1 << (sc.s - 1));
    const vec top = V(set1_epi16)(16383), bottom = V(set1_epi16)(-16383);
    const __m128i rest = v_count(sc.s - 32);
    for (u32 i = 0; i < n; i += W16) {
        const vec a = v_load(u + i), b = v_load(w + i);
        const vec lo = V(mullo_epi16)(a, b), hi = V(mulhi_epi16)(a, b);
        const vec p = v_norm_out(V(unpacklo_epi16)(lo, hi), r, round, rest);
        const vec q = v_norm_out(V(unpackhi_epi16)(lo, hi), r, round, rest);
        v_store(u + i, V(max_epi16)(V(min_epi16)(V(packs_epi32)(p, q), top), bottom));
    }
}

/* kp is a multiple of 2 or 4 and act has room for whole vectors (its planes are kp apart, so the high one goes first). */
static void e_act(u8 *act, const i16 *u, u32 n, u32 kp)
{
#if AWM_PLANES == 2
    const __m256i offset = _mm256_set1_epi8((char)AWM_ACT_XOR);
    for (u32 i = 0; i < n; i += 32)
        _mm256_storeu_si256((__m256i *)(void *)(act + i),
                            _mm256_xor_si256(_mm512_cvtepi16_epi8(_mm512_srai_epi16(v_load(u + i), 7)), offset));
    for (u32 i = 0; i < n; i += 32)
        _mm256_storeu_si256((__m256i *)(void *)(act + kp + i),
                            _mm512_cvtepi16_epi8(v_and(v_load(u + i), _mm512_set1_epi16(127))));
    /* what lies between n and kp meets zero weights */
#else
    (void)kp;
    for (u32 i = 0; i < n; i += W16)
        v_store((i16 *)(void *)act + i, v_load(u + i));
#endif
}

/* (a, b) in every 32 bits: against (h, q). */
AWM_INLINE vec v_pair(vec a, const i16 *b) { return v_or(a, V(slli_epi32)(V(set1_epi32)(*b), 16)); }

/* Up to 4 vectors of W32 rows of one head: their q's and sums stay in registers while the columns go by in pairs. */
AWM_INLINE void scan_rows(i16 *h, const i16 *x, const i16 *b, const i16 *c, i16 *y, const head_step *hd, const dither *di,
                          u32 row0, u32 rows_pad, u32 n, const int count)
{
    const vec dtm = V(set1_epi32)(hd->dtm), skip = V(set1_epi32)(hd->d), a = V(set1_epi32)(hd->a), one = V(set1_epi32)(1);
    const __m128i sq = v_count(hd->sq), up = v_count(32 - hd->sq), e = v_count(hd->e);
    const vec weave = v_lanes(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    vec q[4], acc[4];
    AWM_UNROLL
    for (int v = 0; v < count; v++) {
        const u32 row = row0 + (u32)(v * W32);
        const vec dq = V(srl_epi32)(v_load(di->dq + (row & 15)), up);
        const vec xs = V(cvtepi16_epi32)(v_load_half(x + row));
        const vec wide = V(sra_epi32)(V(add_epi32)(V(mullo_epi32)(dtm, xs), dq), sq);
        q[v] = v_rows_twice(v_narrow(wide));
        acc[v] = v_zero();
    }
    for (u32 i = 0; i < n; i += 2) {
        const vec ab0 = v_pair(a, b + i), ab1 = v_pair(a, b + i + 1);
        const vec d0 = V(set1_epi32)(di->dh[i & 15]), d1 = V(set1_epi32)(di->dh[(i + 1) & 15]);
        i32 pair;
        __builtin_memcpy(&pair, c + i, 4);
        const vec cs = V(set1_epi32)(pair);
        i16 *at = h + (uptr)i * rows_pad + 2 * row0;
        AWM_UNROLL
        for (int v = 0; v < count; v++) {
            const vec old = v_load(at + v * W16);
            const vec r0 = V(srai_epi32)(V(add_epi32)(V(madd_epi16)(V(unpacklo_epi16)(old, q[v]), ab0), d0), 15);
            const vec r1 = V(srai_epi32)(V(add_epi32)(V(madd_epi16)(V(unpackhi_epi16)(old, q[v]), ab1), d1), 15);
            const vec new = V(packs_epi32)(r0, r1);
            v_store(at + v * W16, new);
            acc[v] = V(add_epi32)(acc[v], V(sra_epi32)(V(madd_epi16)(V(shuffle_epi8)(new, weave), cs), e));
        }
    }
    const __m128i s_h = v_count(hd->s_h - 1), s_d = v_count(hd->s_d - 1);
    AWM_UNROLL
    for (int v = 0; v < count; v++) {
        const u32 row = row0 + (u32)(v * W32);
        const vec xs = V(cvtepi16_epi32)(v_load_half(x + row));
        const vec from_h = V(srai_epi32)(V(add_epi32)(V(sra_epi32)(acc[v], s_h), one), 1);
        const vec from_x = V(srai_epi32)(V(add_epi32)(V(sra_epi32)(V(mullo_epi32)(xs, skip), s_d), one), 1);
        v_store_half(y + row, v_narrow(V(add_epi32)(from_h, from_x)));
    }
}

static void e_scan(i16 *h, const i16 *x, const i16 *b, const i16 *c, i16 *y, const head_step *hd, const dither *di, u32 rows,
                   u32 rows_pad, u32 n)
{
    (void)rows; /* rows behind the last take part: their x is 0, and so stays their state */
    u32 row = 0;
    for (; row + 4 * W32 <= rows_pad; row += 4 * W32)
        scan_rows(h, x, b, c, y, hd, di, row, rows_pad, n, 4);
    for (; row < rows_pad; row += W32)
        scan_rows(h, x, b, c, y, hd, di, row, rows_pad, n, 1);
}
