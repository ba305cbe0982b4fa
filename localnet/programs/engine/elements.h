/* The step's elementwise parts on 64-bit integers, which is what this machine has: a narrower load costs two more
 * instructions for its sign. Section numbers are those of docs/numerics.md; the plain C is in elem_portable.h. */
#pragma once

AWM_INLINE i64 sat16_64(i64 v) { return v < -32768 ? -32768 : v > 32767 ? 32767 : v; }
AWM_INLINE i64 requantize(i64 v, u32 m, i64 half, u32 s) { return (v * (i64)m + half) >> s; }

/* 3.2 by table: 32,768 + SiLU for every x in Q(f) with a sigmoid that is not yet 0 or 1, from -silu_reach(f) on. Five
 * instructions instead of forty. Others, which are few, are computed; those beyond 16 bits count as the nearest. */
AWM_INLINE i64 silu_reach(u32 f) { return f >= 13 ? 32768 : 127LL << (f - 4); }

NOINLINE i64 silu_far(const i16 *pairs, i64 x, u32 f) { return silu(pairs, (i32)sat16_64(x), f); }

typedef struct {
    const u16 *table;
    const i16 *pairs;
    u64 reach;
    u32 f;
} silu_of;

AWM_INLINE i64 silu_64(const silu_of *of, const u16 *table, u64 reach, i64 x) {
    const u64 at = (u64)x + reach;
    if (__builtin_expect(at >= 2 * reach, 0)) return silu_far(of->pairs, x, of->f);
    return (i64)table[at] - 32768;
}

/* acc[i] = sat16(RQ(acc[i])) */
NOINLINE void requantize_16(i64 *acc, const u32 *m, u32 s, const i64 *end) {
    const i64 half = 1LL << (s - 1);
    do {
        *acc = sat16_64(requantize(*acc, *m++, half, s));
    } while (++acc != end);
}

NOINLINE void requantize_32(i64 *acc, const u32 *m, u32 s, const i64 *end) {
    const i64 half = 1LL << (s - 1);
    do {
        *acc = requantize(*acc, *m++, half, s);
    } while (++acc != end);
}

/* acc[i] = RQ(acc[i] + bias[i]) */
NOINLINE void requantize_biased(i64 *acc, const awm_image *im, const awm_matrix *mx, u32 count) {
    const u32 *m = AT(im, const u32 *, mx->m);
    const i32 *bias = AT(im, const i32 *, mx->bias);
    const u32 s = mx->shift;
    const i64 half = 1LL << (s - 1);
    for (const i64 *end = acc + count; acc != end; acc++) *acc = requantize(*acc + *bias++, *m++, half, s);
}

/* Like requantize_biased for the heads' rows, but packed to 32 bits, which the last step reads. */
NOINLINE void requantize_heads(i64 *acc, const awm_image *im) {
    const u32 *m = AT(im, const u32 *, im->head.m), s = im->head.shift;
    const i32 *bias = AT(im, const i32 *, im->head.bias);
    const i64 half = 1LL << (s - 1);
    i32 *to = (i32 *)acc;
    for (const i64 *end = acc + im->head_rows; acc != end; acc++) *to++ = (i32)requantize(*acc + *bias++, *m++, half, s);
}

/* res[i] = clamp(res[i] + RQ(acc[i]), ±2^30) */
NOINLINE void requantize_add(i64 *res, const i64 *acc, const u32 *m, u32 s, const i64 *end) {
    const i64 half = 1LL << (s - 1), limit = 1LL << 30;
    do {
        i64 sum = *res + requantize(*acc++, *m++, half, s);
        if (sum > limit) sum = limit;
        if (sum < -limit) sum = -limit;
        *res = sum;
    } while (++res != end);
}

/* The numbers that a norm needs besides its vector. */
typedef struct {
    const i64 *w;
    u64 eps;
    i32 fw, fu;
} norm_of;

/* Section 4. u may be the same array as v. */
NOINLINE void norm_64(const awm_image *im, i64 *u, const i64 *v, u32 count, const norm_of *of) {
    i64 max = 0;
    const i64 *end = v + count;
    for (const i64 *at = v; at != end; at++) {
        i64 a = *at;
        if (a < 0) a = -a;
        if (a > max) max = a;
    }
    const u32 k = norm_shift((u32)max);
    const i64 half = k ? 1LL << (k - 1) : 0;
    u64 squares = 0;
    i64 *to = u;
    for (; v != end; v++) {
        const i64 small = (*v + half) >> k;
        *to++ = small;
        squares += (u64)(small * small);
    }
    const norm_scale sc = norm_finish(im, squares, k, of->eps, of->fw, of->fu);
    const i64 r = (i64)sc.r, round = 1LL << (sc.s - 1), *w = of->w;
    const u32 s = sc.s;
    for (; u != to; u++) {
        i64 value = (*u * *w++ * r + round) >> s;
        if (value > 16383) value = 16383;
        if (value < -16383) value = -16383;
        *u = value;
    }
}

/* 6.3: k = silu(conv) in place of the newest input, which goes where the oldest was: tap `oldest` of the ring. */
NOINLINE void convolve(const awm_image *im, const awm_layer *ly, i64 *x, i64 *tail, u32 oldest) {
    const u32 n = im->channels, s = (u32)(ly->f_x + ly->f_conv_w - ly->f_c);
    const silu_of of = {AT(im, const u16 *, ly->silu_c), AT(im, const i16 *, im->sig_pairs), (u64)silu_reach((u32)ly->f_c), (u32)ly->f_c};
    i64 *t0 = tail + oldest * n, *t1 = tail + (oldest + 1) % 3 * n, *t2 = tail + (oldest + 2) % 3 * n;
    const i64 *w = AT(im, const i64 *, ly->conv_w); /* four taps, then the bias with half of 2^s */
    for (const i64 *end = x + n; x != end; x++, w += 5) {
        const i64 newest = *x;
        const i64 sum = w[4] + *t0 * w[0] + *t1++ * w[1] + *t2++ * w[2] + newest * w[3];
        *t0++ = newest;
        *x = silu_64(&of, of.table, of.reach, sum >> s);
    }
}

/* x[i] = sat16(x[i] << gain[i]) */
NOINLINE void raise_rows(i64 *x, const u8 *gain, u32 count) {
    for (const i64 *end = x + count; x != end; x++) *x = sat16_64(*x << *gain++);
}

/* 6.6: z = y * silu(z) >> gain */
NOINLINE void gate(const awm_image *im, const awm_layer *ly, i64 *z, const i64 *y) {
    const silu_of of = {AT(im, const u16 *, ly->silu_z), AT(im, const i16 *, im->sig_pairs), (u64)silu_reach((u32)ly->f_z), (u32)ly->f_z};
    const u8 *gain = AT(im, const u8 *, ly->row_gain);
    const i64 *end = z + im->d_inner;
    if (ly->row_gain)
        for (; z != end; z++) *z = *y++ * silu_64(&of, of.table, of.reach, *z) >> *gain++;
    else
        for (; z != end; z++) *z = *y++ * silu_64(&of, of.table, of.reach, *z);
}
