/* The integer functions of section 1, 3 and 4, one value at a time. */
#ifndef AWM_SCALAR_H
#define AWM_SCALAR_H
#include "awm_engine.h"

#define AT(image, type, offset) ((type)((const u8 *)(image) + (offset)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define WITHIN(v, low, high) ((i32)(v) >= (low) && (i32)(v) <= (high))
#define WITHIN_(v, limits) WITHIN(v, limits)

AWM_INLINE i32 clamp32(i32 v, i32 low, i32 high) { return v < low ? low : v > high ? high : v; }
AWM_INLINE i64 clamp64(i64 v, i64 low, i64 high) { return v < low ? low : v > high ? high : v; }
AWM_INLINE i32 sat16(i32 v) { return clamp32(v, -32768, 32767); }
AWM_INLINE i32 sat15(i64 v) { return (i32)clamp64(v, -16383, 16383); }
AWM_INLINE i64 rs64(i64 v, u32 s) { return s ? (v + ((i64)1 << (s - 1))) >> s : v; }
/* RS for s >= 1, written without the sum that could overflow 32 bits. */
AWM_INLINE i32 rs32(i32 v, u32 s) { return ((v >> (s - 1)) + 1) >> 1; }
AWM_INLINE i32 rq(i32 v, i32 m, u32 s) { return (i32)(u32)(((u64)((i64)v * m) + ((u64)1 << (s - 1))) >> s); }
AWM_INLINE u32 bitlen32(u32 v)
{
    return v ? 32 - (u32)__builtin_clz(v) : 0;
}
AWM_INLINE u32 bitlen64(u64 v) { return v >> 32 ? 32 + bitlen32((u32)(v >> 32)) : bitlen32((u32)v); }

/* The tables of section 3, as the image stores them. */
AWM_INLINE const u16 *lut_sig(const awm_image *im) { return AT(im, const u16 *, im->lut); }
AWM_INLINE const u16 *lut_log(const awm_image *im) { return AT(im, const u16 *, im->lut + 256); }
AWM_INLINE const u16 *lut_rsq(const awm_image *im) { return AT(im, const u16 *, im->lut + 512); }
AWM_INLINE const u32 *lut_exp(const awm_image *im) { return AT(im, const u32 *, im->lut + 768); }

/* 3.1 and 3.2. SIG[i]*(2^g - f) + SIG[i+1]*f = SIG[i]*2^g + (SIG[i+1] - SIG[i])*f, and the first term is exact. The pair
 * table holds SIG[i] and the difference to the next, 0 behind the last. */
AWM_INLINE i32 silu(const i16 *AWM_RESTRICT pairs, i32 x, u32 f)
{
    const u32 g = f - 4;
    const i32 a = MIN(x < 0 ? -x : x, 32767);
    i32 i = a >> g;
    const i32 frac = a & ((1 << g) - 1);
    i = MIN(i, 127);
    const i32 v = pairs[2 * i] + ((pairs[2 * i + 1] * frac + (1 << (g - 1))) >> g);
    return (x * (x < 0 ? 32768 - v : v) + 16384) >> 15;
}

/* 3.3 */
AWM_INLINE u32 exp2neg(const u32 *AWM_RESTRICT table, u32 t)
{
    const u32 n = t >> 26, i = (t >> 20) & 63, r = t & ((1u << 20) - 1);
    if (n >= 31)
        return 0;
    const u64 y = ((u64)r * 1488522236u) >> 25;
    const u64 y2 = (y * y) >> 32, y3 = (y2 * y) >> 32;
    const u64 p = ((u64)1 << 32) - y + (y2 >> 1) - ((y3 * 2863311531u) >> 34);
    return (u32)(((table[i] * p) >> 32) >> n);
}

/* 3.4 */
AWM_INLINE u32 softplus(const u16 *AWM_RESTRICT logs, const u32 *AWM_RESTRICT exps, i32 x)
{
    const u32 a = (u32)(x < 0 ? -x : x);
    const u64 t = ((u64)a * 1549082005u) >> 24; /* up to 2^34; from 31 * 2^26 on the exponential is 0 */
    const u64 e = exp2neg(exps, (u32)MIN(t, 0x7fffffffu));
    const u64 j = e * 127;
    const u32 i = (u32)(j >> 31), f = (u32)(j >> 16) & 32767;
    const u64 g = i >= 127 ? logs[127] : ((u32)logs[i] * (32768 - f) + (u32)logs[i + 1] * f) >> 15;
    const u64 v = ((u64)(x > 0 ? x : 0) << 6) + ((e * g) >> 20);
    return (u32)MIN(v, 0x1fffffffu);
}

/* 4: 2^31 / sqrt(X * 2^-2j * 2^-30), and j. */
AWM_INLINE u64 rsqrt(const u16 *AWM_RESTRICT table, u64 x, i32 *j)
{
    const i32 up = (i32)bitlen64(x) - 31; /* X * 2^-2j has 31 or 32 bits */
    *j = up >> 1;
    const u64 m = *j < 0 ? x << (-2 * *j) : x >> (2 * *j);
    u64 r = table[(m >> 25) - 32];
    u64 q = (((m * r) >> 16) * r) >> 16;
    r = (r * (3 * ((u64)1 << 30) - q)) >> 16;
    q = (((m * r) >> 31) * r) >> 31;
    r = (r * (3 * ((u64)1 << 30) - q)) >> 31;
    return MIN(r, 0x7fffffffu);
}

/* The shift, factor and rounding of a norm, once max |v| and the sum of squares are known. */
typedef struct { u64 r; u32 k, s; } norm_scale;
AWM_INLINE u32 norm_shift(u32 max) { const u32 n = bitlen32(max); return n > 14 ? n - 14 : 0; }
AWM_INLINE norm_scale norm_finish(const awm_image *im, u64 squares, u32 k, u64 eps, i32 fw, i32 fu)
{
    i32 j;
    norm_scale out;
    const u64 x = squares + (2 * k > 63 ? 0 : eps >> (2 * k));
    out.r = rsqrt(lut_rsq(im), x ? x : 1, &j);
    out.k = k;
    out.s = (u32)(46 + j + fw - fu);
    return out;
}

#endif
