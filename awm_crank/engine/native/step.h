/* The step itself, included by each path_*.c behind that path's matrix loop (`mm`) and elementwise parts (`e_*`).
 *
 * Sessions go through a layer side by side: what is a session's own is done session by session, shared out over the team;
 * each projection is one pass over its weights for all sessions, its rows shared out over the team. */
#include "frame.h"

/* Scratch of a call: for every session accumulators and activation (twice, for the frame vector's parts) and residual; for
 * every thread that has sessions a work
 * area, small enough to stay in the first cache. */
typedef struct {
    i32 *acc;
    u8 *act;
    i32 *res;
    u8 *work;
    u32 acc_stride, act_stride, res_stride, work_stride;
} scratch_map;

/* One thread's work area. */
typedef struct {
    i16 *zx, *k, *y, *u, *b, *row_x, *row_y;
    i32 *dt, *g;
} work_map;

AWM_FN u32 work_bytes(const awm_image *im)
{
    const u32 wide = AWM_ROUND(MAX(MAX(im->d_model, im->d_inner), im->frame_dim), AWM_PAD) + AWM_PAD;
    const u32 zx = AWM_ROUND(im->rows, AWM_PAD) + AWM_PAD;
    return 2 * (zx + im->channels_pad + 2 * wide + AWM_ROUND(im->d_state, AWM_PAD) + 2 * AWM_ROUND(im->headdim_pad, AWM_PAD)) +
           4 * (AWM_ROUND(im->heads, AWM_PAD) + AWM_PAD + wide);
}

AWM_FN work_map work_at(const awm_image *im, const scratch_map *sc, u32 thread)
{
    const u32 wide = AWM_ROUND(MAX(MAX(im->d_model, im->d_inner), im->frame_dim), AWM_PAD) + AWM_PAD;
    i16 *at = (i16 *)(void *)(sc->work + (uptr)thread * sc->work_stride);
    work_map w;
    w.zx = at;
    w.k = at += AWM_ROUND(im->rows, AWM_PAD) + AWM_PAD;
    w.y = at += im->channels_pad;
    w.u = at += wide;
    w.b = at += wide;
    w.row_x = at += AWM_ROUND(im->d_state, AWM_PAD);
    w.row_y = at += AWM_ROUND(im->headdim_pad, AWM_PAD);
    w.dt = (i32 *)(void *)(at + AWM_ROUND(im->headdim_pad, AWM_PAD));
    w.g = w.dt + AWM_ROUND(im->heads, AWM_PAD) + AWM_PAD;
    return w;
}

AWM_FN scratch_map scratch_at(const awm_image *im, void *memory, u32 sessions)
{
    scratch_map sc;
    sc.acc_stride = AWM_ROUND(MAX(MAX(im->rows, im->head_rows), im->d_model), AWM_PAD) + AWM_PAD;
    sc.act_stride = AWM_ROUND(im->act_bytes, 64u) + 64; /* not a multiple of 4,096: sessions would share cache sets */
    sc.res_stride = AWM_ROUND(im->d_model, AWM_PAD);
    sc.work_stride = AWM_ROUND(work_bytes(im), 64u);
    sc.acc = memory;
    sc.res = sc.acc + 2 * (uptr)sessions * sc.acc_stride;
    sc.act = (u8 *)(sc.res + (uptr)sessions * sc.res_stride);
    sc.work = sc.act + 2 * (uptr)sessions * sc.act_stride;
    return sc;
}

#ifdef AWM_PATH_IS_PLAIN
u64 awm_scratch_bytes(const awm_image *im, u32 sessions)
{
    const scratch_map sc = scratch_at(im, (void *)0, sessions);
    return (u64)(uptr)sc.work + (u64)sessions * sc.work_stride + 1024; /* a vector load may begin at the last value */
}
#endif

#ifdef AWM_SBF
#define AWM_ALONE 1
#else
#define AWM_ALONE 0
#endif
AWM_INLINE void meet(const awm_team *team)
{
    if (team->count > 1 && !AWM_ALONE)
        team->barrier(team->arg);
}

/* acc[s] = GEMV(mx, act[s]) for `count` slots from `first` on, over the first `used` columns; this thread's groups of 64
 * rows. Wants a meeting before and after. */
AWM_FN void project_part(const awm_image *im, const awm_matrix *mx, const scratch_map *sc, u32 first, u32 count, u32 used,
                         const awm_team *team)
{
    const u32 groups = (mx->vecs + 3) / 4;
    const u32 g0 = groups * team->id / team->count, g1 = groups * (team->id + 1) / team->count;
    const u32 v0 = 4 * g0, v1 = MIN(4 * g1, mx->vecs);
    if (v0 < v1)
        mm(im, mx, sc->acc + (uptr)first * sc->acc_stride, sc->acc_stride, sc->act + (uptr)first * sc->act_stride,
           sc->act_stride, v0, v1, count, used);
}

AWM_FN void project(const awm_image *im, const awm_matrix *mx, const scratch_map *sc, u32 sessions, const awm_team *team)
{
    project_part(im, mx, sc, 0, sessions, mx->kp, team);
}

/* 6.3: small rows of x are scaled up, so that their state uses as many bits as that of large rows. */
AWM_FN void row_gains(i16 *AWM_RESTRICT x, const i16 *AWM_RESTRICT mul, u32 n)
{
    for (u32 i = 0; i < n; i++)
        x[i] = (i16)sat16(x[i] * mul[i]);
}

/* From in_proj's accumulators to out_proj's activation (6.2 to 6.6). */
AWM_FN void layer_inside(const awm_image *im, const awm_layer *ly, u8 *state, const i32 *acc, u8 *act, const work_map *w,
                         const dither *di)
{
    const u32 inner = im->d_inner, n = im->d_state, zxbc = inner + im->channels, p = im->headdim, pad = im->headdim_pad;
    const i32 *m = AT(im, const i32 *, ly->in.m);
    e_rq16(w->zx, acc, m, ly->in.shift, zxbc);
    e_rq(w->dt, acc + zxbc, m + zxbc, ly->in.shift, im->heads);
    e_conv(im, ly, (i16 *)(void *)(state + im->tail_offset), w->zx + inner, w->k);
    if (ly->row_mul)
        row_gains(w->k, AT(im, const i16 *, ly->row_mul), inner);
    const i16 *b = w->k + inner, *c = b + n;
    i32 largest = 0;
    for (u32 i = 0; i < n; i++)
        largest = MAX(largest, b[i] < 0 ? -b[i] : b[i]);
    const u32 sh = MIN((u32)ly->sh_b, 15 - bitlen32((u32)largest));
    for (u32 i = 0; i < n; i++)
        w->b[i] = (i16)(b[i] * (1 << sh));
    i16 *h = (i16 *)(void *)state;
    for (u32 head = 0; head < im->heads; head++) {
        const head_step hd = head_scalars(im, ly, head, w->dt[head], di->da, sh);
        i16 *of_head = h + (uptr)head * n * pad;
        if (p == pad) {
            e_scan(of_head, w->k + head * p, w->b, c, w->y + head * p, &hd, di, p, pad, n);
            continue;
        }
        for (u32 i = 0; i < pad; i++)
            w->row_x[i] = i < p ? w->k[head * p + i] : 0;
        e_scan(of_head, w->row_x, w->b, c, w->row_y, &hd, di, p, pad, n);
        for (u32 i = 0; i < p; i++)
            w->y[head * p + i] = w->row_y[i];
    }
    for (u32 i = inner; i < AWM_ROUND(inner, AWM_PAD); i++)
        w->y[i] = 0;
    e_gate(im, ly, w->g, w->y, w->zx, inner);
    e_norm(im, w->u, w->g, ly->gate_w, ly->eps_gate, ly->f_out_w, ly->f_out, inner, AWM_GATE_ORDER);
    e_act(act, w->u, inner, ly->out.kp);
}

#define SESSIONS_OF(team, s) for (u32 s = (team)->id; s < sessions; s += (team)->count)

AWM_FN void backbone(const awm_image *im, void *const *states, const u8 *const *blocks, i16 *const *contexts, u32 sessions,
                     void *memory, const awm_team *team)
{
    const scratch_map sc = scratch_at(im, memory, sessions);
    const work_map w = work_at(im, &sc, MIN(team->id, sessions - 1));
    const u32 d = im->d_model;
    /* the low parts of the frame vectors go through frame_proj's first columns as if they were more sessions */
    const u32 low_columns = AWM_ROUND(2 * im->floats, (u32)AWM_K_PAD);
    awm_matrix low_proj = im->frame_proj;
    low_proj.corr = im->zeros;
    SESSIONS_OF(team, s) {
        frame_vector(im, blocks[s], w.u, w.y);
        if (AWM_ACT_XOR) /* `corr` is for whole rows: here the high plane shall be 0 with its offset */
            for (u32 i = 0; i < low_columns; i++)
                w.y[i] = (i16)(w.y[i] - 128 * 128);
        e_act(sc.act + (uptr)s * sc.act_stride, w.u, im->frame_dim, im->frame_proj.kp);
        e_act(sc.act + (uptr)(sessions + s) * sc.act_stride, w.y, low_columns, low_columns);
    }
    meet(team);
    project(im, &im->frame_proj, &sc, sessions, team);
    project_part(im, &low_proj, &sc, sessions, sessions, low_columns, team);
    meet(team);
    SESSIONS_OF(team, s) {
        i32 *res = sc.res + (uptr)s * sc.res_stride;
        for (u32 i = d; i < sc.res_stride; i++)
            res[i] = 0;
        e_rq_bias(res, sc.acc + (uptr)s * sc.acc_stride, AT(im, const i32 *, im->frame_proj.bias),
                  AT(im, const i32 *, im->frame_proj.m), im->frame_proj.shift, d);
        e_rq_add(res, sc.acc + (uptr)(sessions + s) * sc.acc_stride, AT(im, const i32 *, im->frame_proj.m),
                 im->frame_proj.shift + 7, d);
    }
    for (u32 l = 0; l < im->layers; l++) {
        const awm_layer *ly = &im->layer[l];
        SESSIONS_OF(team, s) {
            e_norm(im, w.u, sc.res + (uptr)s * sc.res_stride, ly->norm_w, im->eps_res, ly->f_in_w, ly->f_in, d, 0);
            e_act(sc.act + (uptr)s * sc.act_stride, w.u, d, ly->in.kp);
        }
        meet(team);
        project(im, &ly->in, &sc, sessions, team);
        meet(team);
        SESSIONS_OF(team, s) {
            u8 *state = states[s];
            const dither di = dither_at(*AT(state, const u32 *, im->layers * im->layer_bytes));
            layer_inside(im, ly, state + (uptr)l * im->layer_bytes, sc.acc + (uptr)s * sc.acc_stride,
                         sc.act + (uptr)s * sc.act_stride, &w, &di);
        }
        meet(team);
        project(im, &ly->out, &sc, sessions, team);
        meet(team);
        SESSIONS_OF(team, s)
            e_rq_add(sc.res + (uptr)s * sc.res_stride, sc.acc + (uptr)s * sc.acc_stride, AT(im, const i32 *, ly->out.m),
                     ly->out.shift, d);
    }
    SESSIONS_OF(team, s) {
        e_norm(im, contexts[s], sc.res + (uptr)s * sc.res_stride, im->final_w, im->eps_res, im->f_final_w, im->f_final, d, 0);
        ++*(u32 *)(void *)((u8 *)states[s] + (uptr)im->layers * im->layer_bytes);
    }
}

AWM_FN void heads(const awm_image *im, const i16 *const *contexts, const u8 *const *blocks, const u8 *const *inputs,
                  u8 *const *next, u32 sessions, void *memory, const awm_team *team)
{
    const scratch_map sc = scratch_at(im, memory, sessions);
    const work_map w = work_at(im, &sc, MIN(team->id, sessions - 1));
    const u32 d = im->d_model;
    SESSIONS_OF(team, s) {
        controller_vector(im, blocks[s], inputs[s], w.u);
        e_act(sc.act + (uptr)s * sc.act_stride, w.u, 2 * im->controls, im->ctrl_proj.kp);
    }
    meet(team);
    project(im, &im->ctrl_proj, &sc, sessions, team);
    meet(team);
    SESSIONS_OF(team, s) {
        i32 *acc = sc.acc + (uptr)s * sc.acc_stride, *o = sc.res + (uptr)s * sc.res_stride;
        e_rq_bias(o, acc, AT(im, const i32 *, im->ctrl_proj.bias), AT(im, const i32 *, im->ctrl_proj.m), im->ctrl_proj.shift, d);
        for (u32 i = 0; i < d; i++)
            w.u[i] = (i16)clamp32(contexts[s][i] + clamp32(o[i], -65536, 65536), -16383, 16383);
        e_act(sc.act + (uptr)s * sc.act_stride, w.u, d, im->head.kp);
    }
    meet(team);
    project(im, &im->head, &sc, sessions, team);
    meet(team);
    SESSIONS_OF(team, s) {
        i32 *o = sc.acc + (uptr)s * sc.acc_stride;
        e_rq_bias(o, o, AT(im, const i32 *, im->head.bias), AT(im, const i32 *, im->head.m), im->head.shift, im->head_rows);
        next_block(im, o, blocks[s], inputs[s], next[s]);
    }
}

/* Runs the parts alone, on whatever scratch holds. States advance, so pass copies. */
AWM_FN void bare(const awm_image *im, void *const *states, u32 sessions, void *memory, u32 what, const awm_team *team)
{
    const scratch_map sc = scratch_at(im, memory, sessions);
    const work_map w = work_at(im, &sc, MIN(team->id, sessions - 1));
    const dither di = dither_at(1);
    const u32 n = im->d_state;
    for (u32 l = 0; l < im->layers; l++) {
        const awm_layer *ly = &im->layer[l];
        if (what & AWM_RUN_MATMUL) {
            project(im, &ly->in, &sc, sessions, team);
            project(im, &ly->out, &sc, sessions, team);
        }
        SESSIONS_OF(team, s) {
            u8 *state = (u8 *)states[s] + (uptr)l * im->layer_bytes;
            i32 *res = sc.res + (uptr)s * sc.res_stride, *acc = sc.acc + (uptr)s * sc.acc_stride;
            u8 *act = sc.act + (uptr)s * sc.act_stride;
            if (what & AWM_RUN_NORM) {
                e_norm(im, w.u, res, ly->norm_w, im->eps_res, ly->f_in_w, ly->f_in, im->d_model, 0);
                e_act(act, w.u, im->d_model, ly->in.kp);
                e_norm(im, w.u, w.g, ly->gate_w, ly->eps_gate, ly->f_out_w, ly->f_out, im->d_inner, AWM_GATE_ORDER);
                e_act(act, w.u, im->d_inner, ly->out.kp);
            }
            if (what & AWM_RUN_REQUANT) {
                e_rq16(w.zx, acc, AT(im, const i32 *, ly->in.m), ly->in.shift, im->d_inner + im->channels);
                e_rq_add(res, acc, AT(im, const i32 *, ly->out.m), ly->out.shift, im->d_model);
            }
            if (what & AWM_RUN_CONV)
                e_conv(im, ly, (i16 *)(void *)(state + im->tail_offset), w.zx + im->d_inner, w.k);
            if (what & AWM_RUN_GATE)
                e_gate(im, ly, w.g, w.y, w.zx, im->d_inner);
            if (what & AWM_RUN_SCAN) { /* the tail is recurrent state too: it moves on */
                const u32 stride = im->channels_pad;
                i16 *AWM_RESTRICT t0 = (i16 *)(void *)(state + im->tail_offset), *AWM_RESTRICT t1 = t0 + stride;
                i16 *AWM_RESTRICT t2 = t1 + stride;
                const i16 *AWM_RESTRICT newest = w.k;
                for (u32 c = 0; c < stride; c++) {
                    const i16 a = t1[c], b = t2[c];
                    t0[c] = a;
                    t1[c] = b;
                    t2[c] = newest[c];
                }
            }
            for (u32 h = 0; h < im->heads; h++) {
                if (what & AWM_RUN_SCALARS) {
                    const head_step hd = head_scalars(im, ly, h, (i32)(h << 16), di.da, 0);
                    w.dt[h] = hd.a + hd.dtm;
                }
                if (what & AWM_RUN_SCAN) {
                    const head_step hd = {32000, 1000, 100, 20, 3, 8, 8};
                    e_scan((i16 *)(void *)state + (uptr)h * n * im->headdim_pad, w.k, w.b, w.k, w.y, &hd, &di, im->headdim,
                           im->headdim_pad, n);
                }
            }
        }
    }
}

#ifndef AWM_PATH_NO_TABLE
#define AWM_JOIN2(a, b) a##b
#define AWM_JOIN(a, b) AWM_JOIN2(a, b)
#define AWM_STRING2(a) #a
#define AWM_STRING(a) AWM_STRING2(a)
const awm_path AWM_JOIN(awm_path_, AWM_PATH_NAME) = {
    AWM_STRING(AWM_PATH_NAME), AWM_PATH_ID, AWM_K_GROUP, AWM_K_PAD, AWM_PLANES, AWM_ACT_XOR, backbone, heads, bare,
};
#endif
