/* Where everything of a cartridge goes in its image, and the image's making, in slices.
 *
 * Part 0 holds awm_image and all small tensors, widened where this machine reads them faster so. The words of the packed
 * matrices (matmul.h) form one row through parts 1, 2, …, in which no group lies in two parts. */
#pragma once
#include "source.h"
#ifdef MATMUL_SYSCALL
#include "matmul_syscall.h"
#else
#include "matmul.h"
#endif
#include "elements.h"

#define MAX_PARTS 24
#define IMAGE_HEAD sizeof(EngineImage)
_Static_assert(sizeof(EngineImage) % 8 == 0 && sizeof(EngineRun) % 8 == 0, "64-bit values follow");
#define IM(account, field) ((account)->data + __builtin_offsetof(EngineImage, field))

/* The parts that were passed: where the words of part i begin; 0 = not passed. */
typedef struct {
    u8 *words[MAX_PARTS];
    u64 part_words;
} Parts;

INLINE u64 group_words(const awm_matrix *mx) { return GROUP_WORDS(mx->kp); }

/* The place of group `g` of a matrix. */
typedef struct { u64 part, at, run; } Place; /* words from the part's first; groups without a gap, `g` included */

NOINLINE void place_of(Place *place, const Parts *parts, const awm_matrix *mx, u64 g) {
    const u64 size = group_words(mx), first = mx->w / parts->part_words + 1, offset = mx->w % parts->part_words;
    const u64 here = (parts->part_words - offset) / size, each = parts->part_words / size;
    if (g < here) {
        place->part = first;
        place->at = offset + g * size;
        place->run = here - g;
        return;
    }
    place->part = first + 1 + (g - here) / each;
    place->at = (g - here) % each * size;
    place->run = each - (g - here) % each;
}

INLINE u64 part_of(const Parts *parts, const awm_matrix *mx, u64 g) {
    Place place;
    place_of(&place, parts, mx, g);
    return place.part;
}

/* Returns a group's words. *run is how many groups follow without a gap, including this one. 0: its part was not
 * passed. */
NOINLINE i64 *group_at(const Parts *parts, const awm_matrix *mx, u64 g, u64 *run) {
    Place place;
    place_of(&place, parts, mx, g);
    *run = place.run;
    return place.part < MAX_PARTS && parts->words[place.part] ? (i64 *)parts->words[place.part] + place.at : 0;
}

/* Walks over the cartridge's tensors. While planning, it only counts; while building, it also does the jobs that are
 * due. */
typedef struct {
    u8 *base;          /* the image that is built, 0 while planning */
    const Parts *parts;
    u32 used, words;   /* bytes of the small tensors and words so far */
    u32 part_words;
    u32 tensor;        /* the next one in the directory */
    u32 job, due, group; /* the number of this job; the job that is due, and how many of its groups are done */
    u32 stop;          /* 1: the budget is used up, or a part is missing */
    u64 left;          /* compute units that may still be used */
    u32 why;           /* the AWM_BAD_* code of a tensor */
    u32 silu[16];      /* the SiLU table of each format, 0 = none yet */
} Walk;

/* Whether the present job is to be done now. If so, `finished` must be called afterwards. */
INLINE bool is_due(Walk *w, u64 units) {
    if (!w->base || w->stop || w->job++ != w->due) return 0;
    if (w->left < units) w->stop = 1;
    else w->left -= units;
    return !w->stop;
}

INLINE u32 reserve_small(Walk *w, u32 bytes) {
    const u32 at = w->used;
    w->used += AWM_ROUND(bytes, 8u);
    return at;
}

/* Copies `count` values of `width` bytes unchanged. */
NOINLINE u32 put_plain(Walk *w, u32 offset, u32 count, u32 width) {
    const u32 at = reserve_small(w, count * width);
    if (is_due(w, 2000 + count * width / 200)) {
        fetch(w->base + at, offset, count * width);
        w->due++;
    }
    return at;
}

/* `count` signed values of 2 or 4 bytes as 64-bit integers, `stride` of them apart, from place `first` of each. */
typedef struct { u32 at, offset, count, width, stride; } Widen;

NOINLINE void widen(u8 *base, const Widen *wide) {
    const u32 chunk = 1024;
    i64 *to = (i64 *)(base + wide->at);
    for (u32 done = 0; done < wide->count; done += chunk) {
        const u32 n = MIN(chunk, wide->count - done);
        fetch(SCRATCH, wide->offset + done * wide->width, n * wide->width);
        for (u32 i = 0; i < n; i++, to += wide->stride)
            *to = wide->width == 2 ? (i64)((const i16 *)SCRATCH)[i] : (i64)((const i32 *)SCRATCH)[i];
    }
}

NOINLINE u32 put_wide(Walk *w, u32 offset, u32 count, u32 width) {
    const u32 at = reserve_small(w, 8 * count);
    if (is_due(w, 5000 + 45 * count)) {
        const Widen wide = {at, offset, count, width, 1};
        widen(w->base, &wide);
        w->due++;
    }
    return at;
}

/* Four taps, and the bias with half of 2^shift for the rounding, of each channel side by side, as 64-bit integers. */
typedef struct { u32 taps, bias, channels, shift; } ConvolutionAt;

NOINLINE u32 put_convolution(Walk *w, const ConvolutionAt *from) {
    const u32 at = reserve_small(w, 40 * from->channels);
    if (!is_due(w, 10000 + 180 * from->channels)) return at;
    i64 *to = (i64 *)(w->base + at);
    const i64 half = 1LL << (from->shift - 1);
    for (u32 done = 0; done < from->channels; done += 512) {
        const u32 n = MIN(512u, from->channels - done);
        fetch(SCRATCH, from->taps + 8 * done, 8 * n);
        fetch(SCRATCH + 4096, from->bias + 4 * done, 4 * n);
        const i16 *taps = (const i16 *)SCRATCH;
        const i32 *bias = (const i32 *)(SCRATCH + 4096);
        for (u32 i = 0; i < n; i++, to += 5, taps += 4) {
            for (u32 tap = 0; tap < 4; tap++) to[tap] = taps[tap];
            to[4] = bias[i] + half;
        }
    }
    w->due++;
    return at;
}

/* elements.h's table of SiLU in Q(f); layers of one format share it. */
NOINLINE u32 put_silu(Walk *w, u32 sig_pairs, u32 f) {
    const u32 slice = 1024;
    if (w->silu[f]) return w->silu[f];
    const i64 reach = silu_reach(f);
    const u32 at = w->silu[f] = reserve_small(w, 4 * (u32)reach);
    if (!is_due(w, 0)) return at;
    const i16 *pairs = (const i16 *)(w->base + sig_pairs);
    u16 *to = (u16 *)(w->base + at);
    for (; w->group * slice < 2 * reach; w->group++) {
        if (w->left < 60 * slice) {
            w->stop = 1;
            return at;
        }
        w->left -= 60 * slice;
        const i64 stop = MIN((w->group + 1) * slice, 2 * reach);
        for (i64 i = w->group * slice; i < stop; i++) to[i] = (u16)(silu(pairs, (i32)(i - reach), f) + 32768);
    }
    w->group = 0;
    w->due++;
    return at;
}

NOINLINE u64 absolute_sum(const u8 *row, u32 cols) {
    u64 sum = 0;
    for (const i8 *at = (const i8 *)row, *end = at + cols; at != end; at++) sum += (u64)(*at < 0 ? -*at : *at);
    return sum;
}

/* Packs the group of rows in SCRATCH. The sum of a row's absolute weights, times the largest activation, plus its bias,
 * must fit 32 bits: then its sums do. */
NOINLINE u32 pack_group(i64 *to, u32 cols, u32 kp, const u32 *bias) {
    const u64 limit = 0x7fffffffu, any = 128 * 16383ULL * cols;
    zero((u8 *)to, 8 * GROUP_WORDS(kp));
    for (u32 i = 0; i < GROUP_ROWS; i++)
        if (any + bias[i] > limit && 16383 * absolute_sum(SCRATCH + i * cols, cols) + bias[i] > limit) return AWM_BAD_WEIGHT;
    pack_rows(to, SCRATCH, cols, kp);
    return AWM_OK;
}

/* Where a matrix's numbers are in the cartridge; bias 0 = it has none. */
typedef struct { u32 w, m, bias, rows, cols, shift; } MatrixAt;

NOINLINE void pack_matrix(Walk *w, const MatrixAt *from, const awm_matrix *mx) {
    while (w->group < mx->vecs) {
        u64 run;
        i64 *to = group_at(w->parts, mx, w->group, &run);
        const u64 units = 2000 + (mx->cols > 1000 || from->bias ? 240 : 85) * (u64)mx->kp;
        if (!to || w->left < units) {
            w->stop = 1;
            return;
        }
        w->left -= units;
        const u32 row = GROUP_ROWS * w->group, rows = MIN((u32)GROUP_ROWS, mx->rows - row);
        fetch(SCRATCH, from->w + row * mx->cols, rows * mx->cols);
        zero(SCRATCH + rows * mx->cols, (GROUP_ROWS - rows) * mx->cols);
        u32 bias[GROUP_ROWS] = {0};
        if (from->bias) fetch((u8 *)bias, from->bias + 4 * row, 4 * rows);
        for (u32 i = 0; i < GROUP_ROWS; i++) bias[i] = (i32)bias[i] < 0 ? 0 - bias[i] : bias[i];
        w->why = pack_group(to, mx->cols, mx->kp, bias);
        if (w->why) {
            w->stop = 1;
            return;
        }
        w->group++;
    }
    w->group = 0;
    w->due++;
}

NOINLINE void put_matrix(Walk *w, awm_matrix *mx, const MatrixAt *from) {
    mx->rows = from->rows;
    mx->cols = from->cols;
    mx->vecs = (from->rows + GROUP_ROWS - 1) / GROUP_ROWS;
    mx->kp = AWM_ROUND(from->cols, (u32)COLUMN_STEP);
    mx->shift = from->shift;
    const u32 size = (u32)group_words(mx), each = w->part_words / size;
    if ((w->part_words - w->words % w->part_words) / size == 0) w->words += w->part_words - w->words % w->part_words;
    mx->w = w->words;
    const u32 here = (w->part_words - w->words % w->part_words) / size;
    if (mx->vecs <= here) {
        w->words += mx->vecs * size;
    } else {
        const u32 rest = mx->vecs - here - 1;
        w->words = (mx->w / w->part_words + 1 + rest / each) * w->part_words + (rest % each + 1) * size;
    }
    mx->m = put_plain(w, from->m, from->rows, 4);
    mx->bias = from->bias ? put_plain(w, from->bias, from->rows, 4) : 0;
    if (is_due(w, 0)) pack_matrix(w, from, mx);
}

/* The offset of the next tensor in the cartridge. */
INLINE u32 next_tensor(Walk *w) {
    return (u32)GET(TensorEntry, offset, CART + sizeof(CartridgeHeader) + w->tensor++ * sizeof(TensorEntry));
}

NOINLINE void put_biased(Walk *w, awm_matrix *mx, u32 rows, u32 cols, u32 shift) {
    const u32 t = next_tensor(w), m = t + AWM_ROUND(rows * cols, AWM_ALIGN);
    const MatrixAt from = {t, m, m + 4 * rows, rows, cols, shift};
    put_matrix(w, mx, &from);
}

NOINLINE void put_projection(Walk *w, awm_matrix *mx, u32 rows, u32 cols, u32 shift) {
    const u32 t = next_tensor(w), m = next_tensor(w);
    const MatrixAt from = {t, m, 0, rows, cols, shift};
    put_matrix(w, mx, &from);
}

NOINLINE void put_layer(Walk *w, const awm_image *im, awm_layer *ly) {
    ly->norm_w = put_wide(w, next_tensor(w), im->d_model, 2);
    put_projection(w, &ly->in, im->rows, im->d_model, ly->in.shift);
    const u32 taps = next_tensor(w), bias = next_tensor(w);
    const ConvolutionAt from = {taps, bias, im->channels, (u32)(ly->f_x + ly->f_conv_w - ly->f_c)};
    ly->conv_w = put_convolution(w, &from);
    ly->silu_c = put_silu(w, im->sig_pairs, (u32)ly->f_c);
    ly->silu_z = put_silu(w, im->sig_pairs, (u32)ly->f_z);
    ly->dt_bias = put_plain(w, next_tensor(w), im->heads, 4);
    ly->alpha = put_plain(w, next_tensor(w), im->heads, 4);
    ly->d = put_plain(w, next_tensor(w), im->heads, 2);
    ly->hs = put_plain(w, next_tensor(w), im->heads, 1);
    ly->gate_w = put_wide(w, next_tensor(w), im->d_inner, 2);
    put_projection(w, &ly->out, im->d_model, im->d_inner, ly->out.shift);
    const u32 gains = next_tensor(w);
    next_tensor(w); /* bytes that only the quantizer uses */
    if (im->flags & FLAG_ROW_GAINS) ly->row_gain = put_plain(w, gains, im->d_inner, 1);
}

/* Pairs (SIG[i], SIG[i + 1] - SIG[i]). */
NOINLINE u32 put_sigmoid(Walk *w) {
    const u32 at = reserve_small(w, 512);
    if (!is_due(w, 10000)) return at;
    const u8 *luts = CART + OFF(CartridgeHeader, luts);
    u16 *to = (u16 *)(w->base + at);
    for (u32 i = 0; i < 128; i++) {
        to[2 * i] = (u16)get_u16(luts + 2 * i);
        to[2 * i + 1] = (u16)(i < 127 ? get_u16(luts + 2 * i + 2) - get_u16(luts + 2 * i) : 0);
    }
    w->due++;
    return at;
}

/* Fills `im` (in part 0 or, planning, on the heap) and does the jobs that are due. CART is filled. */
NOINLINE void walk(Walk *w, awm_image *im) {
    const u8 *c = CART;
    const u32 age = (u32)GET(CartridgeHeader, flags, c) & FLAG_STATE_AGE_AS_EMBED;
    zero((u8 *)im, sizeof *im);
    header_fields(im, c);
    im->magic = AWM_IMAGE_MAGIC;
    for (u32 l = 0; l < im->layers; l++) layer_fields(&im->layer[l], c + OFF(CartridgeHeader, layers) + l * sizeof(LayerBlock));
    w->used = AWM_ROUND((u32)sizeof *im, 8u);
    im->lut = put_plain(w, OFF(CartridgeHeader, luts), 1024, 1);
    im->sig_pairs = put_sigmoid(w);
    im->feature_mul = put_plain(w, next_tensor(w), im->floats, 4);
    im->ctrl_mul = put_plain(w, next_tensor(w), im->controls, 4);
    for (u32 i = 0; i < EMBED_COUNT; i++)
        im->embed[i] = put_plain(w, next_tensor(w), (i == EMBED_STATE_AGE && !age ? 0 : EMBED_ROWS[i]) * EMBED_WIDTH[i], 2);
    put_biased(w, &im->frame_proj, im->d_model, im->frame_dim, im->frame_proj.shift);
    im->final_w = put_wide(w, next_tensor(w), im->d_model, 2);
    put_biased(w, &im->ctrl_proj, im->d_model, 2 * im->controls, im->ctrl_proj.shift);
    put_biased(w, &im->head, im->head_rows, im->d_model, im->head.shift);
    next_tensor(w);
    for (u32 l = 0; l < im->layers; l++) put_layer(w, im, &im->layer[l]);
    im->bytes = w->used;
}
