/* The step's elementwise parts in portable C: what plain, NEON and WebAssembly run (the compiler vectorizes it), and what
 * the vector versions are held against. Section numbers are those of docs/numerics.md. */
#ifndef AWM_ELEM_PORTABLE_H
#define AWM_ELEM_PORTABLE_H
#include "scalar.h"

/* The values that all heads of all layers share in one frame (section 5). */
typedef struct {
    i32 da, dh[16];
    u32 dq[16];
} dither;

AWM_INLINE dither dither_at(u32 t)
{
    dither out;
    out.da = (i32)((t * 18013u) & 32767);
    for (u32 l = 0; l < 16; l++) {
        out.dh[l] = (i32)((t * 26843u + 2048u * l) & 32767);
        out.dq[l] = t * 2882110345u + (l << 28);
    }
    return out;
}

/* The scalars of one head in one frame (6.4), and the shifts of its scan (6.5). */
typedef struct {
    i32 a, dtm, d;
    u32 sq, e, s_h, s_d; /* readout: RS(acc, s_h) + RS(x * d, s_d) */
} head_step;

AWM_INLINE head_step head_scalars(const awm_image *im, const awm_layer *ly, u32 h, i32 dt_raw, i32 da, u32 sh)
{
    const i32 hs = AT(im, const i8 *, ly->hs)[h];
    const i32 x = clamp32(dt_raw, -(1 << 26), 1 << 26) + AT(im, const i32 *, ly->dt_bias)[h];
    const u32 dt = softplus(lut_log(im), lut_exp(im), x);
    const u32 alpha = AT(im, const u32 *, ly->alpha)[h];
    /* The largest alpha stands for every larger rate: the whole state is forgotten within this frame. */
    const u64 decay = ((u64)dt * alpha) >> (alpha == 0x7fffffffu ? 0 : 20);
    const u32 a31 = exp2neg(lut_exp(im), (u32)MIN(decay, 0x7fffffffu));
    const u32 length = bitlen32(dt), ed = length > 15 ? length - 15 : 0, bits = bitlen32(im->d_state - 1);
    head_step out;
    out.a = (i32)MIN((a31 + 2 * (u32)da) >> 16, 32767u);
    out.dtm = (i32)MIN(rs64(dt, ed), 32767);
    out.sq = (u32)(11 + 2 * ly->f_c + (i32)sh - hs) - ed;
    out.e = bits > 1 ? bits - 1 : 0;
    out.s_h = (u32)(hs + ly->f_c - (i32)out.e - ly->f_y);
    out.d = AT(im, const i16 *, ly->d)[h];
    out.s_d = (u32)(ly->f_c + ly->f_d - ly->f_y);
    return out;
}

#ifndef AWM_OWN_ELEM
AWM_FN void e_rq(i32 *AWM_RESTRICT out, const i32 *AWM_RESTRICT acc, const i32 *AWM_RESTRICT m, u32 s, u32 n)
{
    for (u32 i = 0; i < n; i++)
        out[i] = rq(acc[i], m[i], s);
}

/* out may be the same array as acc. */
AWM_FN void e_rq_bias(i32 *out, const i32 *acc, const i32 *AWM_RESTRICT bias,
                      const i32 *AWM_RESTRICT m, u32 s, u32 n)
{
    for (u32 i = 0; i < n; i++)
        out[i] = rq(acc[i] + bias[i], m[i], s);
}

AWM_FN void e_rq16(i16 *AWM_RESTRICT out, const i32 *AWM_RESTRICT acc, const i32 *AWM_RESTRICT m, u32 s, u32 n)
{
    for (u32 i = 0; i < n; i++)
        out[i] = (i16)sat16(rq(acc[i], m[i], s));
}

/* res += RQ(acc), within 2^30; the sum of the two bounds would not fit 32 bits. */
AWM_FN void e_rq_add(i32 *AWM_RESTRICT res, const i32 *AWM_RESTRICT acc, const i32 *AWM_RESTRICT m, u32 s, u32 n)
{
    const i32 limit = 1 << 30;
    for (u32 i = 0; i < n; i++) {
        const i32 sum = MIN(rq(acc[i], m[i], s), limit - MAX(res[i], 0)) + res[i];
        res[i] = MAX(sum, -limit);
    }
}

/* 6.3: k = silu(conv), and the tail takes the newest input. */
AWM_FN void e_conv(const awm_image *im, const awm_layer *ly, i16 *AWM_RESTRICT tail, const i16 *AWM_RESTRICT xbc,
                   i16 *AWM_RESTRICT k)
{
    const u32 n = im->channels, stride = im->channels_pad, s = (u32)(ly->f_x + ly->f_conv_w - ly->f_c);
    const i16 *AWM_RESTRICT w0 = AT(im, const i16 *, ly->conv_w), *AWM_RESTRICT w1 = w0 + stride;
    const i16 *AWM_RESTRICT w2 = w1 + stride, *AWM_RESTRICT w3 = w2 + stride;
    i16 *AWM_RESTRICT t0 = tail, *AWM_RESTRICT t1 = t0 + stride, *AWM_RESTRICT t2 = t1 + stride;
    const i32 *AWM_RESTRICT bias = AT(im, const i32 *, ly->conv_b);
    for (u32 c = 0; c < n; c++) {
        const i16 a = t0[c], b = t1[c], d = t2[c], e = xbc[c];
        k[c] = (i16)sat16(rs32(bias[c] + a * w0[c] + b * w1[c] + d * w2[c] + e * w3[c], s));
        t0[c] = b;
        t1[c] = d;
        t2[c] = e;
    }
    const i16 *pairs = AT(im, const i16 *, im->sig_pairs);
    for (u32 c = 0; c < n; c++)
        k[c] = (i16)silu(pairs, k[c], (u32)ly->f_c);
}

/* 6.6: g = y * silu(z), with the row's gain removed. */
AWM_FN void e_gate(const awm_image *im, const awm_layer *ly, i32 *AWM_RESTRICT g, const i16 *AWM_RESTRICT y,
                   const i16 *AWM_RESTRICT z, u32 n)
{
    const i16 *pairs = AT(im, const i16 *, im->sig_pairs), *AWM_RESTRICT gain = AT(im, const i16 *, ly->row_gain);
    for (u32 i = 0; i < n; i++)
        g[i] = y[i] * silu(pairs, z[i], (u32)ly->f_z);
    for (u32 i = 0; i < (ly->row_gain ? n : 0); i++)
        g[i] >>= gain[i];
}
#define AWM_GATE_ORDER 0 /* the vector paths store g in another order, and their e_norm restores it */

AWM_FN void e_norm(const awm_image *im, i16 *AWM_RESTRICT u, const i32 *AWM_RESTRICT v, u32 weights, u64 eps, i32 fw, i32 fu,
                   u32 n, int order)
{
    (void)order;
    const i16 *AWM_RESTRICT w = AT(im, const i16 *, weights);
    i32 max = 0;
    for (u32 i = 0; i < n; i++)
        max = MAX(max, v[i] < 0 ? -v[i] : v[i]);
    const u32 k = norm_shift((u32)max);
    const i32 half = k ? 1 << (k - 1) : 0;
    u64 squares = 0;
    for (u32 i = 0; i < n; i++) {
        const i32 small = (v[i] + half) >> k;
        u[i] = (i16)small;
        squares += (u32)(small * small);
    }
    const norm_scale sc = norm_finish(im, squares, k, eps, fw, fu);
    const i64 round = (i64)1 << (sc.s - 1);
    for (u32 i = 0; i < n; i++)
        u[i] = (i16)sat15(((i64)(u[i] * w[i]) * (i64)sc.r + round) >> sc.s);
}

#ifndef AWM_OWN_SCAN
/* 6.5 for one head: x, y are its headdim rows; h is in the order of image.c's state_index. */
AWM_FN void e_scan(i16 *AWM_RESTRICT h, const i16 *AWM_RESTRICT x, const i16 *AWM_RESTRICT b, const i16 *AWM_RESTRICT c,
                   i16 *AWM_RESTRICT y, const head_step *hd, const dither *di, u32 rows, u32 rows_pad, u32 n)
{
    for (u32 p = 0; p < rows; p++) {
        const i32 up = hd->sq ? (i32)(di->dq[p & 15] >> (32 - hd->sq)) : 0;
        const i32 q = sat16((hd->dtm * x[p] + up) >> hd->sq);
        i16 *row = h + (p & ~3u) * 2 + (p & 3);
        i32 acc = 0;
        for (u32 i = 0; i < n; i += 2, row += 2 * rows_pad) {
            const i32 even = sat16((row[0] * hd->a + b[i] * q + di->dh[i & 15]) >> 15);
            const i32 odd = sat16((row[4] * hd->a + b[i + 1] * q + di->dh[(i + 1) & 15]) >> 15);
            row[0] = (i16)even;
            row[4] = (i16)odd;
            acc += (even * c[i] + odd * c[i + 1]) >> hd->e;
        }
        y[p] = (i16)sat16(rs32(acc, hd->s_h) + rs32(x[p] * hd->d, hd->s_d));
    }
}
#endif

/* Values within ±16383 as the matrix loop takes them: int16, or bytes, high plane then low plane. */
AWM_FN void e_act(u8 *AWM_RESTRICT act, const i16 *AWM_RESTRICT u, u32 n, u32 kp)
{
#if AWM_PLANES == 2
    for (u32 i = 0; i < n; i++) {
        act[i] = (u8)(u[i] >> 7) ^ AWM_ACT_XOR;
        act[kp + i] = (u8)(u[i] & 127);
    }
    for (u32 i = n; i < kp; i++)
        act[i] = act[kp + i] = 0;
#else
    i16 *to = (i16 *)(void *)act;
    for (u32 i = 0; i < n; i++)
        to[i] = u[i];
    for (u32 i = n; i < kp; i++)
        to[i] = 0;
#endif
}
#endif /* AWM_OWN_ELEM */

#endif
