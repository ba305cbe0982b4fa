/* Cartridge to image: checks the structure, lays out offsets, copies and repacks. Built once, for every path. The same
 * walk runs twice: with memory NULL it only counts. */
#include "frame.h"

#define HEAD(f, c) GET(CartridgeHeader, f, c)
#define LAYER(f, b) GET(LayerBlock, f, b)
/* Entry k of the directory. */
#define ENTRY(c, k) ((c) + sizeof(CartridgeHeader) + (k) * sizeof(TensorEntry))
#define BLOCK(c, l) ((c) + OFF(CartridgeHeader, layers) + (l) * sizeof(LayerBlock))

typedef struct { const u8 *cart; const u8 *entry; } reader; /* tensors in order */
typedef struct { u8 *base; u32 used; } writer;

static const u8 *tensor_at(const u8 *c, u32 k) { return c + GET(TensorEntry, offset, ENTRY(c, k)); }

static u32 reserve(writer *out, u32 bytes)
{
    const u32 at = out->used;
    out->used += AWM_ROUND(bytes, 64u);
    return at;
}

/* `count` values of `width` bytes with zeros behind them up to the padding. */
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
    ly->f_in = LAYER(f_in, b);
    ly->f_in_w = LAYER(f_in_w, b);
    ly->f_z = LAYER(f_z, b);
    ly->f_x = LAYER(f_x, b);
    ly->f_conv_w = LAYER(f_conv_w, b);
    ly->f_c = LAYER(f_c, b);
    ly->sh_b = LAYER(sh_b, b);
    ly->f_y = LAYER(f_y, b);
    ly->f_d = LAYER(f_d, b);
    ly->f_out = LAYER(f_out, b);
    ly->f_out_w = LAYER(f_out_w, b);
    ly->eps_gate = LAYER(eps_gate, b);
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

/* What follows from the flags (docs/numerics.md, 6.1 and 7): floats and controller features of one player, rows of the
 * heads, bytes of one player's extra feedback. */
typedef struct { u32 floats, controls, head_rows, extra_bytes; } awm_encoding;
static awm_encoding encoding_of(u32 flags)
{
    const u32 bits = flags & FLAG_STATE_FLAGS ? AWM_STATE_FLAGS : 0, hitstun = flags & FLAG_HITSTUN ? 1 : 0;
    const u32 projectiles = flags & FLAG_PROJECTILES ? AWM_PROJECTILE_VALUES : 0;
    awm_encoding e;
    e.floats = AWM_PLAYER_FLOATS - (flags & FLAG_STATE_AGE_AS_EMBED ? 1 : 0) + hitstun + projectiles + bits;
    e.controls = AWM_PLAYER_CONTROLS + (flags & FLAG_PRESS_EVENTS ? AWM_BUTTONS : 0) +
                 (flags & FLAG_CTRL_THRESHOLD_FEATURES ? AWM_AXES : 0);
    e.head_rows = AWM_HEAD_ROWS + 2 * hitstun + 2 * bits;
    e.extra_bytes = bits / 8 + hitstun + 2 * projectiles;
    return e;
}

/* Fills `im` and, where out->base is set, the bytes behind it. */
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
    im->d_model = (u32)HEAD(d_model, c);
    im->d_inner = (u32)HEAD(d_inner, c);
    im->d_state = (u32)HEAD(d_state, c);
    im->layers = (u32)HEAD(num_layers, c);
    im->heads = (u32)HEAD(num_heads, c);
    im->headdim = (u32)HEAD(headdim, c);
    im->flags = (u32)HEAD(flags, c);
    im->frame_dim = (u32)HEAD(frame_dim, c);
    const awm_encoding encoding = encoding_of(im->flags);
    im->floats = encoding.floats;
    im->controls = encoding.controls;
    im->head_rows = encoding.head_rows;
    im->extra_bytes = encoding.extra_bytes;
    im->block_bytes = AWM_BLOCK + 2 * im->extra_bytes;
    im->stick_range = HEAD(stick_range, c);
    im->channels = im->d_inner + 2 * im->d_state;
    im->rows = im->d_inner + im->channels + im->heads;
    im->headdim_pad = AWM_ROUND(im->headdim, 16u);
    im->channels_pad = AWM_ROUND(im->channels, AWM_PAD);
    im->tail_offset = AWM_ROUND(2 * im->heads * im->headdim_pad * im->d_state, 64u);
    im->layer_bytes = im->tail_offset + 6 * im->channels_pad;
    im->state_bytes = im->layers * im->layer_bytes + 64;
    im->dump_bytes = 2 * im->layers * (im->d_inner * im->d_state + 3 * im->channels) + 4;
    im->f_frame = HEAD(f_frame, c);
    im->s_frame = (u32)HEAD(s_frame, c);
    im->f_ctrl = HEAD(f_ctrl, c);
    im->s_ctrl = (u32)HEAD(s_ctrl, c);
    im->f_res = HEAD(f_res, c);
    im->f_final = HEAD(f_final, c);
    im->f_final_w = HEAD(f_final_w, c);
    im->eps_res = HEAD(eps_res, c);
    for (u32 i = 0; i < REGRESSION_ROWS; i++)
        im->head_frac[i] = c[OFF(CartridgeHeader, head_frac) + i];
    for (u32 i = 0; i < 2; i++)
        im->hitstun_frac[i] = c[OFF(CartridgeHeader, hitstun_frac) + i];
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
    /* a vector load may begin at the last value */
    out->used += 4 * AWM_PAD;
    im->bytes = out->used;
}

static i32 check_weights(const u8 *w, u64 count)
{
    u32 bad = 0;
    for (u64 i = 0; i < count; i++)
        bad |= w[i] == 0x80;
    return bad ? AWM_BAD_WEIGHT : AWM_OK;
}

/* RMSNorm's shift for the smallest and largest sum that can occur. */
static u32 norm_shifts_ok(u64 eps, u32 count, i32 fw, i32 fu)
{
    if (eps >> 56)
        return 0;
    const i32 up = (i32)bitlen64(((u64)count << 28) + eps) - 31;
    return 46 - 15 + fw - fu >= 1 && 46 + (up >> 1) + fw - fu <= 62;
}

#define CHECK(ok, why) do { if (!(ok)) return why; } while (0)
#define WITHIN(v, low, high) ((i32)(v) >= (low) && (i32)(v) <= (high))
#define WITHIN_(v, limits) WITHIN(v, limits)
#define HEAD_OK(f, c) WITHIN_(HEAD(f, c), LIMITS_CartridgeHeader_##f)
#define LAYER_OK(f, b) WITHIN_(LAYER(f, b), LIMITS_LayerBlock_##f)

static i32 check_layer(const u8 *b, const u8 *hs, u32 heads, u32 i, u32 n)
{
    const i32 f_x = LAYER(f_x, b), f_c = LAYER(f_c, b), sh_b = LAYER(sh_b, b), f_y = LAYER(f_y, b), f_d = LAYER(f_d, b);
    i32 e = (i32)bitlen32(n - 1) - 1;
    e = MAX(e, 0);
    CHECK(LAYER_OK(s_in, b) && LAYER_OK(s_out, b), AWM_BAD_SHIFT);
    CHECK(LAYER_OK(f_z, b) && LAYER_OK(f_c, b) && LAYER_OK(sh_b, b), AWM_BAD_SHIFT);
    CHECK(WITHIN(f_x + LAYER(f_conv_w, b) - f_c, 1, 30) && WITHIN(f_c + f_d - f_y, 1, 30), AWM_BAD_SHIFT);
    CHECK(norm_shifts_ok(LAYER(eps_gate, b), i, LAYER(f_out_w, b), LAYER(f_out, b)), AWM_BAD_SHIFT);
    for (u32 h = 0; h < heads; h++) {
        const i32 s = (i8)hs[h];
        CHECK(WITHIN(11 + 2 * f_c - s, 14, 30) && WITHIN(11 + 2 * f_c + sh_b - s, 14, 30) && WITHIN(s + f_c - e - f_y, 1, 30), AWM_BAD_SHIFT);
    }
    return AWM_OK;
}

/* The directory holds the tensors of these dimensions, one after the other. */
static i32 check_directory(const u8 *c, u64 size, const awm_dims *s, u32 layers)
{
    u64 sizes[TENSOR_COUNT + LAYER_COUNT * AWM_MAX_LAYERS], *end = awm_tensor_bytes(s, sizes);
    for (u32 l = 0; l < layers; l++)
        end = awm_layer_tensor_bytes(s, end);
    const u32 count = (u32)(end - sizes), directory = (u32)(sizeof(CartridgeHeader) + count * sizeof(TensorEntry));
    CHECK(HEAD(tensor_count, c) == count && HEAD(directory_offset, c) == IS_DIRECTORY_OFFSET && size >= directory, AWM_BAD_DIRECTORY);
    u64 at = AWM_ROUND(directory, AWM_ALIGN);
    for (u32 k = 0; k < count; k++) {
        const u8 *entry = ENTRY(c, k);
        CHECK(GET(TensorEntry, offset, entry) == at && GET(TensorEntry, size, entry) == sizes[k] && at + sizes[k] <= size,
              AWM_BAD_DIRECTORY);
        at = AWM_ROUND(at + sizes[k], (u64)AWM_ALIGN);
    }
    return AWM_OK;
}

/* Frame vector: both players' floats and embeddings, then the stage's. */
static u32 frame_dim_of(u32 floats, u32 age)
{
    u32 each = floats;
    for (u32 k = 0; k < EMBED_COUNT; k++)
        if (k != EMBED_STAGE && (k != EMBED_STATE_AGE || age))
            each += EMBED_WIDTH[k];
    return 2 * each + EMBED_WIDTH[EMBED_STAGE];
}

static i32 check_shape(const u8 *c, awm_dims *s)
{
    const u32 d = (u32)HEAD(d_model, c), i = (u32)HEAD(d_inner, c), n = (u32)HEAD(d_state, c), heads = (u32)HEAD(num_heads, c);
    const u32 p = (u32)HEAD(headdim, c), flags = (u32)HEAD(flags, c), v = (u32)HEAD(frame_dim, c);
    const u32 age = flags & FLAG_STATE_AGE_AS_EMBED;
    CHECK(d && i && n && heads && p && HEAD_OK(num_layers, c) && HEAD_OK(d_conv, c) && HEAD_OK(flags, c), AWM_BAD_SHAPE);
    CHECK(d <= AWM_MAX_COLUMNS && i <= AWM_MAX_COLUMNS && heads * p == i && n <= AWM_MAX_STATE && n % 2 == 0, AWM_BAD_SHAPE);
    const awm_encoding e = encoding_of(flags);
    CHECK(v == frame_dim_of(e.floats, age) && HEAD(extra_size, c) == (i32)e.extra_bytes && HEAD_OK(stick_range, c), AWM_BAD_SHAPE);
    const u32 columns = i + 2 * n, rows = 2 * i + 2 * n + heads;
    *s = (awm_dims){d, v, i, n, heads, columns, rows, e.floats, e.controls, 2 * e.controls, e.head_rows, flags};
    return AWM_OK;
}

static i32 check_shifts(const u8 *c, u32 d, u32 flags)
{
    CHECK(HEAD_OK(s_frame, c) && HEAD_OK(s_ctrl, c), AWM_BAD_SHIFT);
    CHECK(HEAD_OK(s_frame_proj, c) && HEAD_OK(s_ctrl_proj, c) && HEAD_OK(s_heads, c), AWM_BAD_SHIFT);
    for (u32 k = 0; k < REGRESSION_ROWS; k++)
        CHECK(WITHIN_(c[OFF(CartridgeHeader, head_frac) + k], LIMITS_CartridgeHeader_head_frac), AWM_BAD_SHIFT);
    for (u32 k = 0; k < 2; k++) {
        const u8 frac = c[OFF(CartridgeHeader, hitstun_frac) + k];
        CHECK(flags & FLAG_HITSTUN ? WITHIN_(frac, LIMITS_CartridgeHeader_head_frac) : frac == 0, AWM_BAD_SHIFT);
    }
    CHECK(norm_shifts_ok(HEAD(eps_res, c), d, HEAD(f_final_w, c), HEAD(f_final, c)), AWM_BAD_SHIFT);
    return AWM_OK;
}

#define TRY(call) do { const i32 why_ = (call); if (why_ != AWM_OK) return why_; } while (0)

static i32 check(const u8 *c, u64 size)
{
    static const u8 magic[8] = {'A', 'W', 'M', 'C', 'A', 'R', 'T', 0};
    CHECK(size >= sizeof(CartridgeHeader) && size < 0x7fffffffu, AWM_BAD_HEADER);
    for (u32 i = 0; i < 8; i++)
        CHECK(c[i] == magic[i], AWM_BAD_HEADER);
    CHECK(HEAD_OK(format_version, c) && HEAD_OK(header_size, c) && HEAD(file_size, c) == size, AWM_BAD_HEADER);
    awm_dims s;
    TRY(check_shape(c, &s));
    const u32 layers = (u32)HEAD(num_layers, c);
    TRY(check_directory(c, size, &s, layers));
    TRY(check_shifts(c, s.D, s.flags));
    TRY(check_weights(tensor_at(c, TENSOR_FRAME_PROJ), (u64)s.D * s.V));
    TRY(check_weights(tensor_at(c, TENSOR_CTRL_PROJ), (u64)s.D * s.K));
    TRY(check_weights(tensor_at(c, TENSOR_HEADS), (u64)s.W * s.D));
    for (u32 l = 0; l < layers; l++) {
        const u8 *b = BLOCK(c, l);
        const u32 first = TENSOR_COUNT + LAYER_COUNT * l;
        TRY(check_layer(b, tensor_at(c, first + LAYER_HS), s.H, s.I, s.N));
        const u8 *gains = tensor_at(c, first + LAYER_ROW_GAIN);
        for (u32 k = 0; k < (s.flags & FLAG_ROW_GAINS ? s.I : 0); k++)
            CHECK(gains[k] <= AWM_MAX_ROW_GAIN, AWM_BAD_SHIFT);
        CHECK(norm_shifts_ok(HEAD(eps_res, c), s.D, LAYER(f_in_w, b), LAYER(f_in, b)), AWM_BAD_SHIFT);
        TRY(check_weights(tensor_at(c, first + LAYER_IN_PROJ_W), (u64)s.R * s.D));
        TRY(check_weights(tensor_at(c, first + LAYER_OUT_PROJ_W), (u64)s.D * s.I));
    }
    return AWM_OK;
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

u32 awm_block_check(const u8 *b)
{
    for (u32 player = 0; player < 2; player++) {
        const u32 ps = OFF(FrameBlock, players) + player * (u32)sizeof(PlayerState);
        const u32 fb = OFF(FrameBlock, feedback) + player * (u32)sizeof(Feedback);
#define PLAYER_FIELD(T, f, low, high) {ps + OFF(T, f), GET(T, f, b + ps), low, high},
#define FEEDBACK_FIELD(T, f, low, high) {fb + OFF(T, f), GET(T, f, b + fb), low, high},
        const struct { u32 at; i32 value, low, high; } fields[] = {
            PLAYER_STATE_RANGES(PLAYER_FIELD)
            FEEDBACK_RANGES(FEEDBACK_FIELD)
        };
        for (u32 i = 0; i < sizeof fields / sizeof *fields; i++)
            if (fields[i].value < fields[i].low || fields[i].value > fields[i].high)
                return 1 + fields[i].at;
    }
    return WITHIN_(GET(FrameBlock, stage, b), LIMITS_FrameBlock_stage) ? 0 : 1 + OFF(FrameBlock, stage);
}
