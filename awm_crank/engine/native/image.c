/* Cartridge to image: checks the structure, lays out offsets, copies and repacks. Built once, for every path. The same
 * walk runs twice: with memory NULL it only counts. */
#include "block_check.h"
#include "cartridge_check.h"

typedef struct { const u8 *cart; const u8 *entry; } reader; /* the tensors, in order */
typedef struct { u8 *base; u32 used; } writer;

static u32 reserve(writer *out, u32 bytes)
{
    const u32 at = out->used;
    out->used += AWM_ROUND(bytes, 64u);
    return at;
}

/* Copies `count` values of `width` bytes, and fills the padding with zeros. */
static u32 put_values(writer *out, const u8 *from, u32 count, u32 width)
{
    const u32 at = reserve(out, AWM_ROUND(count, AWM_PAD) * width);
    if (out->base)
        for (u32 i = 0; i < count * width; i++)
            out->base[at + i] = from[i];
    return at;
}

static const u8 *tensor(reader *in)
{
    const u8 *at = in->cart + GET(TensorEntry, offset, in->entry);
    in->entry += sizeof(TensorEntry);
    return at;
}

/* Packed: groups of up to 4 vectors of 16 rows, each [column / k_group][rows][k_group]; row-major where k_group is 0. */
static void pack(i8 *to, i32 *corr, const i8 *w, const awm_matrix *mx, u32 k_group)
{
    if (!k_group) {
        for (u32 r = 0; r < mx->rows; r++)
            for (u32 k = 0; k < mx->cols; k++)
                to[r * mx->kp + k] = w[r * mx->cols + k];
        return;
    }
    for (u32 g = 0; g < mx->vecs; g += 4) {
        const u32 rows = 16 * MIN(4u, mx->vecs - g);
        for (u32 k = 0; k < mx->kp; k += k_group)
            for (u32 r = 0; r < rows; r++)
                for (u32 j = 0; j < k_group; j++) {
                    const u32 row = 16 * g + r, col = k + j;
                    *to++ = row < mx->rows && col < mx->cols ? w[row * mx->cols + col] : 0;
                }
    }
    for (u32 r = 0; r < mx->rows; r++) {
        i32 sum = 0;
        for (u32 k = 0; k < mx->cols; k++)
            sum += w[r * mx->cols + k];
        corr[r] = -128 * sum;
    }
}

static awm_matrix put_matrix(writer *out, const awm_path *path, const u8 *w, const u8 *m, const u8 *bias, u32 rows, u32 cols,
                             u32 shift)
{
    awm_matrix mx = {0};
    mx.rows = rows;
    mx.cols = cols;
    mx.vecs = (rows + 15) / 16;
    mx.kp = AWM_ROUND(cols, path->k_pad);
    mx.shift = shift;
    mx.w = reserve(out, (path->k_group ? 16 * mx.vecs : rows) * mx.kp);
    mx.corr = reserve(out, path->k_group ? 4 * AWM_ROUND(rows, AWM_PAD) : 0);
    mx.m = put_values(out, m, rows, 4);
    mx.bias = bias ? put_values(out, bias, rows, 4) : 0;
    if (out->base)
        pack((i8 *)out->base + mx.w, (i32 *)(void *)(out->base + mx.corr), (const i8 *)w, &mx, path->k_group);
    return mx;
}

static awm_matrix put_biased(writer *out, const awm_path *path, const u8 *t, u32 rows, u32 cols, u32 shift)
{
    const u8 *m = t + AWM_ROUND(rows * cols, AWM_ALIGN);
    return put_matrix(out, path, t, m, m + 4 * rows, rows, cols, shift);
}

static void put_layer(writer *out, reader *in, const awm_path *path, const u8 *b, const awm_image *im, awm_layer *ly)
{
    layer_fields(ly, b);
    ly->norm_w = put_values(out, tensor(in), im->d_model, 2);
    const u8 *w = tensor(in), *m = tensor(in);
    ly->in = put_matrix(out, path, w, m, 0, im->rows, im->d_model, (u32)LAYER(s_in, b));
    /* conv_w: taps apart, one row of channels for each */
    const u8 *cw = tensor(in);
    ly->conv_w = reserve(out, 8 * AWM_ROUND(im->channels, AWM_PAD));
    if (out->base) {
        i16 *to = (i16 *)(void *)(out->base + ly->conv_w);
        for (u32 c = 0; c < im->channels; c++)
            for (u32 tap = 0; tap < IS_D_CONV; tap++)
                to[tap * AWM_ROUND(im->channels, AWM_PAD) + c] = (i16)get_i16(cw + 2 * (IS_D_CONV * c + tap));
    }
    ly->conv_b = put_values(out, tensor(in), im->channels, 4);
    ly->dt_bias = put_values(out, tensor(in), im->heads, 4);
    ly->alpha = put_values(out, tensor(in), im->heads, 4);
    ly->d = put_values(out, tensor(in), im->heads, 2);
    ly->hs = put_values(out, tensor(in), im->heads, 1);
    ly->gate_w = put_values(out, tensor(in), im->d_inner, 2);
    w = tensor(in);
    m = tensor(in);
    ly->out = put_matrix(out, path, w, m, 0, im->d_model, im->d_inner, (u32)LAYER(s_out, b));
    const u8 *gains = tensor(in);
    tensor(in);
    if (im->flags & FLAG_ROW_GAINS) {
        ly->row_mul = reserve(out, 2 * AWM_ROUND(im->d_inner, AWM_PAD));
        ly->row_gain = reserve(out, 2 * AWM_ROUND(im->d_inner, AWM_PAD));
        if (out->base)
            for (u32 i = 0; i < im->d_inner; i++) {
                ((i16 *)(void *)(out->base + ly->row_mul))[i] = (i16)(1 << gains[i]);
                ((i16 *)(void *)(out->base + ly->row_gain))[i] = gains[i];
            }
    }
}

/* Fills `im` and, if out->base is set, the bytes behind it. */
static void layout(writer *out, const u8 *c, const awm_path *path, awm_image *im)
{
    reader in = {c, ENTRY(c, 0)};
    u8 *to = (u8 *)im;
    for (u32 i = 0; i < sizeof *im; i++)
        to[i] = 0;
    out->used = AWM_ROUND((u32)sizeof *im, 64u);
    im->magic = AWM_IMAGE_MAGIC;
    im->path = path->id;
    im->k_group = path->k_group;
    header_fields(im, c);
    im->headdim_pad = AWM_ROUND(im->headdim, 16u);
    im->channels_pad = AWM_ROUND(im->channels, AWM_PAD);
    im->tail_offset = AWM_ROUND(2 * im->heads * im->headdim_pad * im->d_state, 64u);
    im->layer_bytes = im->tail_offset + 6 * im->channels_pad;
    im->state_bytes = im->layers * im->layer_bytes + 64;
    im->dump_bytes = 2 * im->layers * (im->d_inner * im->d_state + 3 * im->channels) + 4;
    const u32 widest = MAX(MAX(im->d_model, im->d_inner), im->frame_dim);
    im->act_bytes = 2 * AWM_ROUND(widest, AWM_PAD);

    const u8 *luts = c + OFF(CartridgeHeader, luts);
    im->lut = put_values(out, luts, sizeof ((CartridgeHeader *)0)->luts, 1);
    im->sig_pairs = reserve(out, 512);
    im->zeros = reserve(out, 4 * AWM_ROUND(im->d_model, AWM_PAD));
    if (out->base) {
        i16 *pairs = (i16 *)(void *)(out->base + im->sig_pairs);
        for (u32 i = 0; i < 128; i++) {
            pairs[2 * i] = (i16)get_u16(luts + 2 * i);
            pairs[2 * i + 1] = i < 127 ? (i16)(get_u16(luts + 2 * i + 2) - get_u16(luts + 2 * i)) : 0;
        }
    }
    const u32 age = im->flags & FLAG_STATE_AGE_AS_EMBED;
    im->feature_mul = put_values(out, tensor(&in), im->floats, 4);
    im->ctrl_mul = put_values(out, tensor(&in), im->controls, 4);
    for (u32 i = 0; i < EMBED_COUNT; i++)
        im->embed[i] = put_values(out, tensor(&in), (i == EMBED_STATE_AGE && !age ? 0 : EMBED_ROWS[i]) * EMBED_WIDTH[i], 2);
    im->frame_proj = put_biased(out, path, tensor(&in), im->d_model, im->frame_dim, (u32)HEAD(s_frame_proj, c));
    im->final_w = put_values(out, tensor(&in), im->d_model, 2);
    im->ctrl_proj = put_biased(out, path, tensor(&in), im->d_model, 2 * im->controls, (u32)HEAD(s_ctrl_proj, c));
    im->head = put_biased(out, path, tensor(&in), im->head_rows, im->d_model, (u32)HEAD(s_heads, c));
    tensor(&in);
    for (u32 l = 0; l < im->layers; l++)
        put_layer(out, &in, path, BLOCK(c, l), im, &im->layer[l]);
    /* padding: a vector load may begin at the last value */
    out->used += 4 * AWM_PAD;
    im->bytes = out->used;
}

u64 awm_image_bytes(const u8 *cartridge, u64 size, const awm_path *path, i32 *why)
{
    awm_image im;
    writer out = {0, 0};
    *why = check(cartridge, size);
    if (*why != AWM_OK)
        return 0;
    layout(&out, cartridge, path, &im);
    return im.bytes;
}

void awm_image_build(void *memory, const u8 *cartridge, const awm_path *path)
{
    awm_image im;
    writer out = {0, 0};
    layout(&out, cartridge, path, &im);
    out.base = memory;
    for (u32 i = 0; i < im.bytes; i++)
        out.base[i] = 0;
    layout(&out, cartridge, path, memory);
}

/* Where the value (head, row p, column n) is in a layer's h: columns in pairs, rows in fours, so that 128 bits hold
 * 4 rows of an even column, then the same of the odd one. Every path's vectors are multiples of that. */
static u32 state_index(const awm_image *im, u32 head, u32 p, u32 n)
{
    return (head * im->d_state + (n & ~1u)) * im->headdim_pad + (p & ~3u) * 2 + (n & 1) * 4 + (p & 3);
}

void awm_state_dump(const awm_image *im, const void *state, u8 *out)
{
    const u32 plane = (im->dump_bytes - 4) / 2;
    u8 *high = out, *low = out + plane;
    for (u32 l = 0; l < im->layers; l++) {
        const i16 *h = AT(state, const i16 *, l * im->layer_bytes);
        for (u32 head = 0; head < im->heads; head++)
            for (u32 p = 0; p < im->headdim; p++)
                for (u32 n = 0; n < im->d_state; n++) {
                    const i16 v = h[state_index(im, head, p, n)];
                    *high++ = (u8)(v >> 8);
                    *low++ = (u8)v;
                }
        const i16 *tail = AT(state, const i16 *, l * im->layer_bytes + im->tail_offset);
        for (u32 row = 0; row < 3; row++)
            for (u32 ch = 0; ch < im->channels; ch++) {
                const i16 v = tail[row * im->channels_pad + ch];
                *high++ = (u8)(v >> 8);
                *low++ = (u8)v;
            }
    }
    put_32(low, *AT(state, const i32 *, im->layers * im->layer_bytes));
}

void awm_state_load(const awm_image *im, void *state, const u8 *in)
{
    const u32 plane = (im->dump_bytes - 4) / 2;
    const u8 *high = in, *low = in + plane;
    u8 *bytes = state;
    for (u32 i = 0; i < im->state_bytes; i++)
        bytes[i] = 0;
    for (u32 l = 0; l < im->layers; l++) {
        i16 *h = (i16 *)(void *)(bytes + l * im->layer_bytes);
        for (u32 head = 0; head < im->heads; head++)
            for (u32 p = 0; p < im->headdim; p++)
                for (u32 n = 0; n < im->d_state; n++)
                    h[state_index(im, head, p, n)] = (i16)(u16)(*high++ << 8 | *low++);
        i16 *tail = (i16 *)(void *)(bytes + l * im->layer_bytes + im->tail_offset);
        for (u32 row = 0; row < 3; row++)
            for (u32 ch = 0; ch < im->channels; ch++)
                tail[row * im->channels_pad + ch] = (i16)(u16)(*high++ << 8 | *low++);
    }
    *(i32 *)(void *)(bytes + im->layers * im->layer_bytes) = get_i32(low);
}

u32 awm_block_check(const u8 *b) { return block_check(b); }
