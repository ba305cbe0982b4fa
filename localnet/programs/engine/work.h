/* What a run's account holds behind EngineRun: the block, then vectors of 64-bit integers, then the recurrent state.
 *
 * The state is not as docs/numerics.md serializes it: h is packed as scan.h says, [layer][head][pair of rows][column], and
 * the last three inputs of the convolution are a ring, [layer][3][channel], whose oldest is (step mod 3). */
#pragma once
#include "image.h"

#define BLOCK_SLOT 256
_Static_assert(sizeof(FrameBlock) + 2 * (AWM_STATE_FLAGS / 8 + 1 + 2 * AWM_PROJECTILE_VALUES) <= BLOCK_SLOT, "any world's block");
#define QUEUE 16 /* how many frames of inputs a run holds */
#define RUN(run, field) ((run) + __builtin_offsetof(EngineRun, field))

typedef struct {
    u8 *block;
    i64 *res, *context, *act, *low, *acc, *acc_low, *b_shift;
    u64 *h;
    i64 *tail;
    u64 size; /* size of the whole account */
} Work;

/* Columns of frame_proj that read the floats' low bits. */
INLINE u64 low_columns(const awm_image *im) { return AWM_ROUND(2 * im->floats, (u32)COLUMN_STEP); }
INLINE u64 layer_words(const awm_image *im) { return (u64)im->heads * ((im->headdim + 1) / 2) * im->d_state; }
INLINE u64 rounded_rows(u64 rows) { return (rows + GROUP_ROWS - 1) / GROUP_ROWS * GROUP_ROWS; }

NOINLINE void map_work(Work *w, const awm_image *im, u8 *run) {
    const u64 columns = MAX(MAX(im->frame_proj.kp, im->head.kp), im->layer[0].out.kp);
    const u64 rows = rounded_rows(MAX(MAX(im->rows, im->head_rows), im->d_model));
    i64 *at = (i64 *)(run + sizeof(EngineRun) + BLOCK_SLOT);
    w->block = run + sizeof(EngineRun);
    w->res = at;
    w->context = at += im->d_model;
    w->act = at += im->d_model;
    w->low = at += MAX(columns, im->ctrl_proj.kp);
    w->acc = at += low_columns(im);
    w->acc_low = at += rows;
    w->b_shift = at += rounded_rows(im->d_model);
    w->h = (u64 *)(at + 1);
    w->tail = (i64 *)(w->h + im->layers * layer_words(im));
    w->size = (u64)((u8 *)(w->tail + 3ULL * im->layers * im->channels) - run);
}
