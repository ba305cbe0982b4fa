/* Cartridge to image: checks the structure, lays out offsets, copies and repacks. Built once, for every path. The same
 * walk runs twice: with memory NULL it only counts. */
#include "frame.h"

#define HEADER 2048u
#define LAYER_BLOCKS 1264u
#define MAX_K 2048u

typedef struct { const u8 *cart; const u8 *entry; u32 next; } reader; /* tensors in order */
typedef struct { u8 *base; u32 used; } writer;

static u32 get16(const u8 *p) { return (u32)load_u16(p); }
static u32 get32(const u8 *p) { return (u32)load_i32(p); }
static u64 get64(const u8 *p) { return get32(p) | (u64)get32(p + 4) << 32; }

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
    const u8 *at = in->cart + get32(in->entry);
    in->entry += 8;
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
    const u8 *m = t + AWM_ROUND(rows * cols, 64u);
    return put_matrix(out, path, t, m, m + 4 * rows, rows, cols, shift);
}

static const u32 EMBED_ROWS[9] = {400, 8, 33, 3, 3, 32, 64, 150, 33}, EMBED_WIDTH[9] = {32, 4, 8, 2, 2, 4, 8, 8, 4};

static void put_layer(writer *out, reader *in, const awm_path *path, const u8 *b, const awm_image *im, awm_layer *ly)
{
    ly->f_in = (i8)b[0];
    ly->f_in_w = (i8)b[1];
    ly->f_z = (i8)b[3];
    ly->f_x = (i8)b[4];
    ly->f_conv_w = (i8)b[5];
    ly->f_c = (i8)b[6];
    ly->sh_b = (i8)b[7];
    ly->f_y = (i8)b[8];
    ly->f_d = (i8)b[9];
    ly->f_out = (i8)b[10];
    ly->f_out_w = (i8)b[11];
    ly->eps_gate = get64(b + 16);
    ly->norm_w = put_values(out, tensor(in), im->d_model, 2);
    const u8 *w = tensor(in), *m = tensor(in);
    ly->in = put_matrix(out, path, w, m, 0, im->rows, im->d_model, b[2]);
    /* conv_w: taps apart, one row of channels for each */
    const u8 *cw = tensor(in);
    ly->conv_w = reserve(out, 8 * AWM_ROUND(im->channels, AWM_PAD));
    if (out->base) {
        i16 *to = (i16 *)(void *)(out->base + ly->conv_w);
        for (u32 c = 0; c < im->channels; c++)
            for (u32 tap = 0; tap < 4; tap++)
                to[tap * AWM_ROUND(im->channels, AWM_PAD) + c] = (i16)load_i16(cw + 8 * c + 2 * tap);
    }
    ly->conv_b = put_values(out, tensor(in), im->channels, 4);
    ly->dt_bias = put_values(out, tensor(in), im->heads, 4);
    ly->alpha = put_values(out, tensor(in), im->heads, 4);
    ly->d = put_values(out, tensor(in), im->heads, 2);
    ly->hs = put_values(out, tensor(in), im->heads, 1);
    ly->gate_w = put_values(out, tensor(in), im->d_inner, 2);
    w = tensor(in);
    m = tensor(in);
    ly->out = put_matrix(out, path, w, m, 0, im->d_model, im->d_inner, b[12]);
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

/* Fills `im` and, where out->base is set, the bytes behind it. */
static void layout(writer *out, const u8 *c, const awm_path *path, awm_image *im)
{
    reader in = {c, c + HEADER, 0};
    u8 *to = (u8 *)im;
    for (u32 i = 0; i < sizeof *im; i++)
        to[i] = 0;
    out->used = AWM_ROUND((u32)sizeof *im, 64u);
    im->magic = AWM_IMAGE_MAGIC;
    im->path = path->id;
    im->k_group = path->k_group;
    im->d_model = get16(c + 82);
    im->d_inner = get16(c + 84);
    im->d_state = get16(c + 86);
    im->layers = c[88];
    im->heads = c[89];
    im->headdim = get16(c + 90);
    im->flags = c[93];
    im->frame_dim = get16(c + 94);
    im->channels = im->d_inner + 2 * im->d_state;
    im->rows = im->d_inner + im->channels + im->heads;
    im->headdim_pad = AWM_ROUND(im->headdim, 16u);
    im->channels_pad = AWM_ROUND(im->channels, AWM_PAD);
    im->tail_offset = AWM_ROUND(2 * im->heads * im->headdim_pad * im->d_state, 64u);
    im->layer_bytes = im->tail_offset + 6 * im->channels_pad;
    im->state_bytes = im->layers * im->layer_bytes + 64;
    im->dump_bytes = 2 * im->layers * (im->d_inner * im->d_state + 3 * im->channels) + 4;
    im->f_frame = (i8)c[1200];
    im->s_frame = c[1201];
    im->f_ctrl = (i8)c[1202];
    im->s_ctrl = c[1203];
    im->f_res = (i8)c[1204];
    im->f_final = (i8)c[1205];
    im->f_final_w = (i8)c[1206];
    im->eps_res = get64(c + 1216);
    for (u32 i = 0; i < 24; i++)
        im->head_frac[i] = c[1224 + i];
    const u32 widest = MAX(MAX(im->d_model, im->d_inner), im->frame_dim);
    im->act_bytes = 2 * AWM_ROUND(widest, AWM_PAD);

    im->lut = put_values(out, c + 160, 1024, 1);
    im->sig_pairs = reserve(out, 512);
    im->zeros = reserve(out, 4 * AWM_ROUND(im->d_model, AWM_PAD));
    if (out->base) {
        i16 *pairs = (i16 *)(void *)(out->base + im->sig_pairs);
        for (u32 i = 0; i < 128; i++) {
            pairs[2 * i] = (i16)get16(c + 160 + 2 * i);
            pairs[2 * i + 1] = i < 127 ? (i16)(get16(c + 162 + 2 * i) - get16(c + 160 + 2 * i)) : 0;
        }
    }
    const u32 age = im->flags & FLAG_AGE_EMBED;
    im->feature_mul = put_values(out, tensor(&in), age ? 28 : 29, 4);
    im->ctrl_mul = put_values(out, tensor(&in), 13, 4);
    for (u32 i = 0; i < 9; i++)
        im->embed[i] = put_values(out, tensor(&in), (i == EMBED_AGE && !age ? 0 : EMBED_ROWS[i]) * EMBED_WIDTH[i], 2);
    im->frame_proj = put_biased(out, path, tensor(&in), im->d_model, im->frame_dim, c[1207]);
    im->final_w = put_values(out, tensor(&in), im->d_model, 2);
    im->ctrl_proj = put_biased(out, path, tensor(&in), im->d_model, 26, c[1208]);
    im->head = put_biased(out, path, tensor(&in), AWM_HEAD_ROWS, im->d_model, c[1209]);
    tensor(&in);
    for (u32 l = 0; l < im->layers; l++)
        put_layer(out, &in, path, c + LAYER_BLOCKS + 40 * l, im, &im->layer[l]);
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

static i32 check_layer(const u8 *b, const u8 *hs, u32 heads, u32 d, u32 i, u32 n)
{
    const i32 f_x = (i8)b[4], f_c = (i8)b[6], sh_b = (i8)b[7], f_y = (i8)b[8], f_d = (i8)b[9];
    i32 e = (i32)bitlen32(n - 1) - 1;
    e = MAX(e, 0);
    CHECK(WITHIN(b[2], 1, 32) && WITHIN(b[12], 1, 32), AWM_BAD_SHIFT);
    CHECK(WITHIN((i8)b[3], 5, 15) && WITHIN(f_c, 5, 15) && WITHIN(sh_b, 0, 10), AWM_BAD_SHIFT);
    CHECK(WITHIN(f_x + (i8)b[5] - f_c, 1, 30) && WITHIN(f_c + f_d - f_y, 1, 30), AWM_BAD_SHIFT);
    CHECK(norm_shifts_ok(get64(b + 16), i, (i8)b[11], (i8)b[10]), AWM_BAD_SHIFT);
    (void)d;
    for (u32 h = 0; h < heads; h++) {
        const i32 s = (i8)hs[h];
        CHECK(WITHIN(11 + 2 * f_c - s, 14, 30) && WITHIN(11 + 2 * f_c + sh_b - s, 14, 30) && WITHIN(s + f_c - e - f_y, 1, 30), AWM_BAD_SHIFT);
    }
    return AWM_OK;
}

static i32 check(const u8 *c, u64 size)
{
    static const u8 magic[8] = {'A', 'W', 'M', 'C', 'A', 'R', 'T', 0};
    CHECK(size >= HEADER && size < 0x7fffffffu, AWM_BAD_HEADER);
    for (u32 i = 0; i < 8; i++)
        CHECK(c[i] == magic[i], AWM_BAD_HEADER);
    CHECK(get16(c + 8) == 1 && get16(c + 10) == HEADER && get32(c + 12) == size, AWM_BAD_HEADER);
    const u32 d = get16(c + 82), i = get16(c + 84), n = get16(c + 86), layers = c[88], heads = c[89], p = get16(c + 90);
    const u32 flags = c[93], v = get16(c + 94), age = flags & FLAG_AGE_EMBED;
    CHECK(d && i && n && heads && p && WITHIN(layers, 1, 16) && c[92] == 4 && flags <= 3, AWM_BAD_SHAPE);
    CHECK(d <= MAX_K && i <= MAX_K && heads * p == i && n <= 256 && n % 2 == 0, AWM_BAD_SHAPE);
    CHECK(v == (age ? 196 : 182), AWM_BAD_SHAPE);
    const u32 ch = i + 2 * n, rows = i + ch + heads;
    u64 sizes[16 + 14 * AWM_MAX_LAYERS];
    u32 t = 0;
    sizes[t++] = 4 * (age ? 28 : 29);
    sizes[t++] = 4 * 13;
    for (u32 k = 0; k < 9; k++)
        sizes[t++] = k == EMBED_AGE && !age ? 0 : 2 * EMBED_ROWS[k] * EMBED_WIDTH[k];
    sizes[t++] = AWM_ROUND(d * v, 64u) + 8 * d;
    sizes[t++] = 2 * d;
    sizes[t++] = AWM_ROUND(d * 26, 64u) + 8 * d;
    sizes[t++] = AWM_ROUND(AWM_HEAD_ROWS * d, 64u) + 8 * AWM_HEAD_ROWS;
    sizes[t++] = 0;
    for (u32 l = 0; l < layers; l++) {
        const u64 one[14] = {2 * d, (u64)rows * d, 4 * rows, 8 * ch, 4 * ch, 4 * heads, 4 * heads, 2 * heads, heads, 2 * i,
                             (u64)d * i, 4 * d, flags & FLAG_ROW_GAINS ? i : 0, 0};
        for (u32 k = 0; k < 14; k++)
            sizes[t++] = one[k];
    }
    CHECK(get32(c + 1248) == t && get32(c + 1252) == HEADER && size >= HEADER + 8 * t, AWM_BAD_DIRECTORY);
    u64 at = AWM_ROUND(HEADER + 8 * t, 64u), end = at;
    for (u32 k = 0; k < t; k++) {
        const u8 *entry = c + HEADER + 8 * k;
        CHECK(get32(entry) == at && get32(entry + 4) == sizes[k] && at + sizes[k] <= size, AWM_BAD_DIRECTORY);
        end = at + sizes[k];
        at = AWM_ROUND(end, 64u);
    }
    CHECK(WITHIN(c[1201], 1, 30) && WITHIN(c[1203], 1, 30), AWM_BAD_SHIFT);
    CHECK(c[1207] <= 25, AWM_BAD_SHIFT);
    for (u32 k = 1207; k < 1210; k++)
        CHECK(WITHIN(c[k], 1, 32), AWM_BAD_SHIFT);
    for (u32 k = 0; k < 24; k++)
        CHECK(WITHIN(c[1224 + k], 1, 24), AWM_BAD_SHIFT);
    CHECK(norm_shifts_ok(get64(c + 1216), d, (i8)c[1206], (i8)c[1205]), AWM_BAD_SHIFT);
    const u8 *dir = c + HEADER;
    const u32 biased[3] = {11, 13, 14};
    const u64 counts[3] = {(u64)d * v, (u64)d * 26, (u64)AWM_HEAD_ROWS * d};
    for (u32 k = 0; k < 3; k++)
        CHECK(check_weights(c + get32(dir + 8 * biased[k]), counts[k]) == AWM_OK, AWM_BAD_WEIGHT);
    for (u32 l = 0; l < layers; l++) {
        const u8 *b = c + LAYER_BLOCKS + 40 * l, *entry = dir + 8 * (16 + 14 * l);
        const i32 why = check_layer(b, c + get32(entry + 8 * 8), heads, d, i, n);
        CHECK(why == AWM_OK, why);
        const u8 *gains = c + get32(entry + 8 * 12);
        for (u32 k = 0; k < (flags & FLAG_ROW_GAINS ? i : 0); k++)
            CHECK(gains[k] <= ROW_GAIN_MAX, AWM_BAD_SHIFT);
        CHECK(norm_shifts_ok(get64(c + 1216), d, (i8)b[1], (i8)b[0]), AWM_BAD_SHIFT);
        CHECK(check_weights(c + get32(entry + 8), (u64)rows * d) == AWM_OK, AWM_BAD_WEIGHT);
        CHECK(check_weights(c + get32(entry + 80), (u64)d * i) == AWM_OK, AWM_BAD_WEIGHT);
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

/* Where the value (head, row p, column n) stands in a layer's h: columns in pairs, rows in fours, so that 128 bits hold
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
    store32(low, *AT(state, const i32 *, im->layers * im->layer_bytes));
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
    *(i32 *)(void *)(bytes + im->layers * im->layer_bytes) = load_i32(low);
}

u32 awm_block_check(const u8 *b)
{
    for (u32 player = 0; player < 2; player++) {
        const u32 at = 32 * player, fb = BLOCK_FEEDBACK + 8 * player;
        const struct { u32 at; i32 value, low, high; } fields[] = {
            {at + PS_X, load_i32(b + at + PS_X), -(1 << 24), 1 << 24},
            {at + PS_Y, load_i32(b + at + PS_Y), -(1 << 24), 1 << 24},
            {at + PS_PERCENT, load_u16(b + at + PS_PERCENT), 0, 999},
            {at + PS_SHIELD, load_u16(b + at + PS_SHIELD), 0, 15360},
            {at + PS_STOCKS, b[at + PS_STOCKS], 0, 4},
            {at + PS_FACING, b[at + PS_FACING], 0, 1},
            {at + PS_GROUND, b[at + PS_GROUND], 0, 1},
            {at + PS_ACTION, load_u16(b + at + PS_ACTION), 0, 399},
            {at + PS_JUMPS, b[at + PS_JUMPS], 0, 7},
            {at + PS_CHARACTER, b[at + PS_CHARACTER], 0, 32},
            {fb + FB_INVULNERABLE, b[fb + FB_INVULNERABLE], 0, 1},
            {fb + FB_L_CANCEL, b[fb + FB_L_CANCEL], 0, 2},
            {fb + FB_HURTBOX, b[fb + FB_HURTBOX], 0, 2},
            {fb + FB_SURFACE, b[fb + FB_SURFACE], 0, 31},
            {fb + FB_ATTACK, b[fb + FB_ATTACK], 0, 63},
            {fb + FB_RESERVED, b[fb + FB_RESERVED], 0, 0},
        };
        for (u32 i = 0; i < sizeof fields / sizeof *fields; i++)
            if (fields[i].value < fields[i].low || fields[i].value > fields[i].high)
                return 1 + fields[i].at;
    }
    return b[BLOCK_STAGE] > 32 ? 1 + BLOCK_STAGE : 0;
}
