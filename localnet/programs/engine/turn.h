/* `turn`: works on a run until the transaction's units near their end. The program counter (stage, layer, index) is in the
 * account, so the next transaction goes on, whoever sends it. A transaction that fails has changed nothing. */
#pragma once
#include "elements.h"
#include "scan.h"
#include "work.h"

/* The stages of one frame. Those marked * advance `index` and may take several turns; the others are done at once. */
enum {
    AT_START,    /* * a new run: its state is zero */
    AT_VECTOR,   /* block to frame vector */
    AT_FRAME,    /* * frame_proj, high parts */
    AT_LOW,      /* * frame_proj, low parts */
    AT_RESIDUAL, /* their sum */
    AT_NORM,     /* a layer: its norm */
    AT_IN,       /* * in_proj */
    AT_MIX,      /* convolution, SiLU, shift of B */
    AT_SCAN,     /* * heads of the recurrent state */
    AT_GATE,     /* gate and norm */
    AT_OUT,      /* * out_proj */
    AT_ADD,      /* to the residual; next layer */
    AT_CONTEXT,  /* final norm */
    AT_INPUTS,   /* waits for the next frame's inputs */
    AT_CTRL,     /* * ctrl_proj */
    AT_JOIN,     /* with the context */
    AT_HEADS,    /* * heads */
    AT_NEXT,     /* outputs to block */
};

typedef struct {
    const awm_image *im;
    u8 *run;
    Work w;
    Parts parts;
    u64 left; /* compute units that this turn may still use */
} Turn;

/* Takes `units`, the most that the next piece of work can cost, from what is left. This machine has no clock that a
 * program could read everywhere, so the costs are those of a table: the numbers in the calls. */
INLINE bool affords(Turn *t, u64 units) {
    if (t->left < units) return 0;
    t->left -= units;
    return 1;
}
INLINE void go(Turn *t, u8 stage) {
    *RUN(t->run, stage) = stage;
    st32(RUN(t->run, index), 0);
}

/* out = matrix x act over the first `used` columns, from group `index` on. Returns whether all of it is done now. */
NOINLINE bool multiply(Turn *t, const awm_matrix *mx, const i64 *act, u32 used, i64 *out) {
    u32 index = ld32(RUN(t->run, index));
    const Factor by = {act, used, mx->kp};
    const u64 cost = MULTIPLY_UNITS(&by), base = MULTIPLY_BASE(&by);
    u64 groups = t->left > base ? (t->left - base) / cost : 0;
    if (groups) t->left -= base;
    while (index < mx->vecs && groups) {
        u64 run;
        const i64 *w = group_at(&t->parts, mx, index, &run);
        if (!w) break;
        if (run > groups) run = groups;
        if (run > mx->vecs - index) run = mx->vecs - index;
        multiply_groups(w, run, &by, out + index * GROUP_ROWS);
        index += run;
        groups -= run;
        t->left -= run * cost;
    }
    st32(RUN(t->run, index), index);
    return index == mx->vecs;
}

NOINLINE void widen_16(i64 *to, const i16 *from, u32 count, u32 padded) {
    for (u32 i = 0; i < count; i++) *to++ = *from++;
    zero((u8 *)to, 8ULL * (padded - count));
}

NOINLINE void vector(Turn *t) {
    const awm_image *im = t->im;
    i16 *hi = (i16 *)SCRATCH, *lo = hi + AWM_ROUND(im->frame_dim, AWM_PAD);
    frame_vector(im, t->w.block, hi, lo);
    widen_16(t->w.act, hi, im->frame_dim, im->frame_proj.kp);
    widen_16(t->w.low, lo, low_columns(im), low_columns(im));
}

/* `act` is a norm of `v`, padded for the matrix that reads it. */
NOINLINE void normed(Turn *t, const i64 *v, u32 count, const norm_of *of, u32 padded) {
    norm_64(t->im, t->w.act, v, count, of);
    zero((u8 *)(t->w.act + count), 8ULL * (padded - count));
}

NOINLINE void residual(Turn *t) {
    const awm_image *im = t->im;
    const u32 d = im->d_model;
    copy((u8 *)t->w.res, (u8 *)t->w.acc, 8ULL * d);
    requantize_biased(t->w.res, im, &im->frame_proj, d);
    requantize_add(t->w.res, t->w.acc_low, AT(im, const u32 *, im->frame_proj.m), im->frame_proj.shift + 7, t->w.res + d);
}

/* 6.3: acc is [z | x | B | C | dt] and stays so, with the convolution's output and B shifted. */
NOINLINE void mix(Turn *t, const awm_layer *ly, u32 layer) {
    const awm_image *im = t->im;
    const u32 *m = AT(im, const u32 *, ly->in.m);
    const u32 inner = im->d_inner, zxbc = inner + im->channels;
    i64 *acc = t->w.acc, *x = acc + inner, *b = x + inner;
    requantize_16(acc, m, ly->in.shift, acc + zxbc);
    requantize_32(acc + zxbc, m + zxbc, ly->in.shift, acc + im->rows);
    convolve(im, ly, x, t->w.tail + 3ULL * layer * im->channels, ld32(RUN(t->run, step)) % 3);
    if (ly->row_gain) raise_rows(x, AT(im, const u8 *, ly->row_gain), inner);
    i64 largest = 0;
    for (u32 i = 0; i < im->d_state; i++) largest = MAX(largest, b[i] < 0 ? -b[i] : b[i]);
    const u32 shift = MIN((u32)ly->sh_b, 15 - bitlen32((u32)largest));
    for (u32 i = 0; i < im->d_state; i++) b[i] <<= shift;
    *t->w.b_shift = shift;
}

/* Where a slice of the scan keeps what heads share, and a head's rows. */
typedef struct {
    dither di;
    i64 up[16];
    column_pair columns[AWM_MAX_STATE / 2];
    i64 rows[]; /* one head's q values, followed by its sums */
} ScanScratch;
#define SCAN ((ScanScratch *)SCRATCH)
_Static_assert(sizeof(ScanScratch) + 8 * (AWM_MAX_COLUMNS + 1) <= SCRATCH_BYTES, "the longest head");

/* q of each row of a head. */
NOINLINE void head_inputs(i64 *q, const i64 *x, const head_step *hd, const i64 *end) {
    const i64 dtm = hd->dtm;
    const u32 sq = hd->sq;
    for (u32 i = 0; i < 16; i++) SCAN->up[i] = sq ? (i64)(SCAN->di.dq[i] >> (32 - sq)) : 0;
    do {
        const i64 *up = SCAN->up;
        for (const i64 *stop = x + MIN(16, end - x); x != stop;) *q++ = sat16_64((dtm * *x++ + *up++) >> sq);
    } while (x != end);
    *q = 0; /* the row that an odd head lacks */
}

/* y of each row, in place of x. */
NOINLINE void head_outputs(i64 *x, const i64 *end, const head_step *hd, i64 excess) {
    const u32 s_h = hd->s_h - 1, s_d = hd->s_d - 1;
    const i64 d = hd->d;
    for (const u32 *sum = (const u32 *)SCAN->rows; x != end; x++)
        *x = sat16_64((((((i64)*sum++ - excess) >> s_h) + 1) >> 1) + (((*x * d >> s_d) + 1) >> 1));
}

/* 6.4 and 6.5 for one head: x becomes y. */
NOINLINE void scan_one(Turn *t, const awm_layer *ly, u32 layer, u32 head) {
    const awm_image *im = t->im;
    const u32 n = im->d_state, p = im->headdim, pairs = (p + 1) / 2;
    i64 *x = t->w.acc + im->d_inner + head * p;
    const i64 dt = t->w.acc[im->d_inner + im->channels + head];
    const i32 dt_raw = (i32)clamp64(dt, -(1 << 26), 1 << 26);
    const head_step hd = head_scalars(im, ly, head, dt_raw, SCAN->di.da, (u32)*t->w.b_shift);
    scan_head(SCAN->columns, &SCAN->di, hd.a, n);
    head_inputs(SCAN->rows, x, &hd, x + p);
    u64 *row = t->w.h + layer * layer_words(im) + (u64)head * pairs * n;
    i64 *q = SCAN->rows, *sums = q;
    for (u32 i = 0; i < pairs; i++, q += 2, row += n) *sums++ = (i64)scan_rows(row, SCAN->columns, hd.a, q[0] + (q[1] << 32));
    head_outputs(x, x + p, &hd, (i64)(n / 2) << (31 - hd.e));
}

INLINE u64 scan_cost(const awm_image *im) {
    return (u64)((im->headdim + 1) / 2) * (19 * im->d_state + 110) + 20 * im->d_state + 2500;
}

INLINE u32 readout_shift(u32 n) { return bitlen32(n - 1) > 1 ? bitlen32(n - 1) - 1 : 0; }

NOINLINE bool scan(Turn *t, const awm_layer *ly, u32 layer) {
    const awm_image *im = t->im;
    const u32 n = im->d_state;
    const i64 *b = t->w.acc + 2 * im->d_inner;
    SCAN->di = dither_at(ld32(RUN(t->run, step)));
    scan_columns(SCAN->columns, b, b + n, n, readout_shift(n));
    u32 head = ld32(RUN(t->run, index));
    while (head < im->heads && affords(t, scan_cost(im))) scan_one(t, ly, layer, head++);
    st32(RUN(t->run, index), head);
    return head == im->heads;
}

INLINE const u8 *next_inputs(const Turn *t) {
    return RUN(t->run, queue) + (ld32(RUN(t->run, frame)) + 1) % QUEUE * AWM_INPUTS;
}

NOINLINE void controls(Turn *t) {
    i16 *cv = (i16 *)SCRATCH;
    controller_vector(t->im, t->w.block, next_inputs(t), cv);
    widen_16(t->w.act, cv, 2 * t->im->controls, t->im->ctrl_proj.kp);
}

NOINLINE void join(Turn *t) {
    const awm_image *im = t->im;
    const u32 d = im->d_model;
    requantize_biased(t->w.acc, im, &im->ctrl_proj, d);
    for (u32 i = 0; i < d; i++) t->w.act[i] = clamp64(t->w.context[i] + t->w.acc[i], -16383, 16383);
    zero((u8 *)(t->w.act + d), 8ULL * (im->head.kp - d));
}

NOINLINE void finish_frame(Turn *t) {
    const awm_image *im = t->im;
    requantize_heads(t->w.acc, im);
    next_block(im, (const i32 *)t->w.acc, t->w.block, next_inputs(t), t->w.block);
    st32(RUN(t->run, frame), ld32(RUN(t->run, frame)) + 1);
}

/* Clears a new state. All values are zero, and zero is stored as 32,768 in each half of a word. Returns whether it is
 * done. */
NOINLINE bool clear_state(Turn *t) {
    u64 index = ld32(RUN(t->run, index)), *zeros = (u64 *)SCRATCH;
    const u64 words = t->im->layers * layer_words(t->im), slice = 1024;
    if (!affords(t, 10 * slice)) return 0;
    for (u64 i = 0; i < slice; i++) zeros[i] = HALVES(32768);
    while (index < words && affords(t, 200)) {
        const u64 count = MIN(slice, words - index);
        copy((u8 *)(t->w.h + index), SCRATCH, 8 * count);
        index += count;
    }
    st32(RUN(t->run, index), (u32)index);
    return index == words;
}

/* The stages before and between the layers. Returns whether to go on. */
NOINLINE bool outer_step(Turn *t, u8 stage) {
    const awm_image *im = t->im;
    switch (stage) {
    case AT_START:
        if (!clear_state(t)) return 0;
        break;
    case AT_VECTOR:
        if (!affords(t, 40000)) return 0;
        vector(t);
        break;
    case AT_FRAME:
        if (!multiply(t, &im->frame_proj, t->w.act, im->frame_proj.kp, t->w.acc)) return 0;
        break;
    case AT_LOW:
        if (!multiply(t, &im->frame_proj, t->w.low, low_columns(im), t->w.acc_low)) return 0;
        break;
    case AT_RESIDUAL:
        if (!affords(t, 1000 + 45 * im->d_model)) return 0;
        residual(t);
        *RUN(t->run, layer) = 0;
        break;
    case AT_CONTEXT: {
        if (!affords(t, 4000 + 45 * im->d_model)) return 0;
        const norm_of of = {AT(im, const i64 *, im->final_w), im->eps_res, im->f_final_w, im->f_final};
        norm_64(im, t->w.context, t->w.res, im->d_model, &of);
        st32(RUN(t->run, step), ld32(RUN(t->run, step)) + 1);
        if (*RUN(t->run, warmup)) {
            --*RUN(t->run, warmup);
            go(t, AT_VECTOR);
            return 1;
        }
        break;
    }
    case AT_INPUTS:
        if (ld32(RUN(t->run, fed)) <= ld32(RUN(t->run, frame)) || !affords(t, 10000)) return 0;
        controls(t);
        break;
    case AT_CTRL:
        if (!multiply(t, &im->ctrl_proj, t->w.act, im->ctrl_proj.kp, t->w.acc)) return 0;
        break;
    case AT_JOIN:
        if (!affords(t, 1000 + 45 * im->d_model)) return 0;
        join(t);
        break;
    case AT_HEADS:
        if (!multiply(t, &im->head, t->w.act, im->head.kp, t->w.acc)) return 0;
        break;
    default:
        if (!affords(t, 65000)) return 0;
        finish_frame(t);
        go(t, AT_VECTOR);
        return 1;
    }
    go(t, stage + 1);
    return 1;
}

/* The stages of a layer. */
NOINLINE bool layer_step(Turn *t, u8 stage) {
    const awm_image *im = t->im;
    const u32 layer = *RUN(t->run, layer);
    const awm_layer *ly = &im->layer[layer];
    switch (stage) {
    case AT_NORM: {
        if (!affords(t, 4000 + 45 * im->d_model)) return 0;
        const norm_of of = {AT(im, const i64 *, ly->norm_w), im->eps_res, ly->f_in_w, ly->f_in};
        normed(t, t->w.res, im->d_model, &of, ly->in.kp);
        break;
    }
    case AT_IN:
        if (!multiply(t, &ly->in, t->w.act, ly->in.kp, t->w.acc)) return 0;
        break;
    case AT_MIX:
        if (!affords(t, 4000 + 16 * im->rows + 50 * im->channels + 20 * im->d_inner)) return 0;
        mix(t, ly, layer);
        break;
    case AT_SCAN:
        if (!affords(t, scan_cost(im) + 20 * im->d_state + 2000)) return 0;
        if (!scan(t, ly, layer)) return 0;
        break;
    case AT_GATE: {
        if (!affords(t, 4000 + 65 * im->d_inner)) return 0;
        gate(im, ly, t->w.acc, t->w.acc + im->d_inner);
        const norm_of of = {AT(im, const i64 *, ly->gate_w), ly->eps_gate, ly->f_out_w, ly->f_out};
        normed(t, t->w.acc, im->d_inner, &of, ly->out.kp);
        break;
    }
    case AT_OUT:
        if (!multiply(t, &ly->out, t->w.act, ly->out.kp, t->w.acc)) return 0;
        break;
    default:
        if (!affords(t, 1000 + 25 * im->d_model)) return 0;
        requantize_add(t->w.res, t->w.acc, AT(im, const u32 *, ly->out.m), ly->out.shift, t->w.res + im->d_model);
        *RUN(t->run, layer) = (u8)(layer + 1);
        go(t, layer + 1 < im->layers ? AT_NORM : AT_CONTEXT);
        return 1;
    }
    go(t, stage + 1);
    return 1;
}

/* The matrix that is read next, from group *index on. */
NOINLINE const awm_matrix *upcoming(const Turn *t, u32 *index) {
    const awm_image *im = t->im;
    const u8 stage = *RUN(t->run, stage), layer = *RUN(t->run, layer);
    const bool inside = stage == AT_FRAME || stage == AT_LOW || stage == AT_IN || stage == AT_OUT || stage == AT_CTRL || stage == AT_HEADS;
    *index = inside ? ld32(RUN(t->run, index)) : 0;
    if (stage <= AT_LOW || stage == AT_NEXT) return &im->frame_proj;
    if (stage == AT_JOIN || stage == AT_HEADS) return &im->head;
    if (stage >= AT_CONTEXT) return *RUN(t->run, warmup) ? &im->frame_proj : &im->ctrl_proj;
    if (stage == AT_RESIDUAL) return &im->layer[0].in;
    if (stage <= AT_IN) return &im->layer[layer].in;
    if (stage <= AT_OUT) return &im->layer[layer].out;
    return layer + 1u < im->layers ? &im->layer[layer + 1].in : &im->ctrl_proj;
}

NOINLINE void tell_part(Turn *t) {
    u32 index;
    const awm_matrix *mx = upcoming(t, &index);
    *RUN(t->run, wants) = (u8)part_of(&t->parts, mx, index < mx->vecs ? index : mx->vecs - 1);
}

#ifdef PROFILE
extern u64 sol_log_compute_units_(void);
extern u64 sol_log_64_(u64, u64, u64, u64, u64);
#endif
NOINLINE void work_on(Turn *t) {
    u8 stage;
    do {
        stage = *RUN(t->run, stage);
#ifdef PROFILE
        sol_log_64_(stage, 0, 0, 0, 0);
        sol_log_compute_units_();
#endif
    } while (stage >= AT_NORM && stage <= AT_ADD ? layer_step(t, stage) : outer_step(t, stage));
    tell_part(t);
}
