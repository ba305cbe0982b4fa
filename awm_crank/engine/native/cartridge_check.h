/* A cartridge's header and directory: the fields that an image takes from them, and the checks that make reading it and
 * shifting by its numbers safe. Included by image.c, and by the on-chain engine, which reads tensors out of several
 * accounts and so has its own AWM_TENSOR and check_weights. */
#ifndef AWM_CARTRIDGE_CHECK_H
#define AWM_CARTRIDGE_CHECK_H
#include "frame.h"

#define HEAD(f, c) GET(CartridgeHeader, f, c)
#define LAYER(f, b) GET(LayerBlock, f, b)
/* Entry k of the tensor directory. */
#define ENTRY(c, k) ((c) + sizeof(CartridgeHeader) + (k) * sizeof(TensorEntry))
#define BLOCK(c, l) ((c) + OFF(CartridgeHeader, layers) + (l) * sizeof(LayerBlock))

/* What follows from the flags (docs/numerics.md, 6.1 and 7): floats and controller features of one player, rows of the
 * heads, bytes of one player's extra feedback. */
typedef struct { u32 floats, controls, head_rows, extra_bytes; } awm_encoding;
AWM_FN awm_encoding encoding_of(u32 flags)
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

/* The values of the cartridge's header. */
static void header_fields(awm_image *im, const u8 *c)
{
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
    im->frame_proj.shift = (u32)HEAD(s_frame_proj, c);
    im->ctrl_proj.shift = (u32)HEAD(s_ctrl_proj, c);
    im->head.shift = (u32)HEAD(s_heads, c);
}

/* The values of one layer in the header. */
static void layer_fields(awm_layer *ly, const u8 *b)
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
    ly->in.shift = (u32)LAYER(s_in, b);
    ly->out.shift = (u32)LAYER(s_out, b);
}

#ifndef AWM_TENSOR
/* Returns `bytes` bytes of tensor `k`, which are readable until the next call. */
#define AWM_TENSOR(c, k, bytes) ((c) + GET(TensorEntry, offset, ENTRY(c, k)))
/* Checks that no weight of a matrix is -128. */
static i32 check_weights(const u8 *c, u32 k, u64 count)
{
    const u8 *w = AWM_TENSOR(c, k, count);
    u32 bad = 0;
    for (u64 i = 0; i < count; i++)
        bad |= w[i] == 0x80;
    return bad ? AWM_BAD_WEIGHT : AWM_OK;
}
#endif

/* Checks RMSNorm's shift for the smallest and the largest sum that can occur. */
static u32 norm_shifts_ok(u64 eps, u32 count, i32 fw, i32 fu)
{
    if (eps >> 56)
        return 0;
    const i32 up = (i32)bitlen64(((u64)count << 28) + eps) - 31;
    return 46 - 15 + fw - fu >= 1 && 46 + (up >> 1) + fw - fu <= 62;
}

#define CHECK(ok, why) do { if (!(ok)) return why; } while (0)
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

/* Checks that the directory holds the tensors of these dimensions, one after the other. */
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

#ifndef TRY
#define TRY(call) do { const i32 why_ = (call); if (why_ != AWM_OK) return why_; } while (0)
#endif

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
    TRY(check_weights(c, TENSOR_FRAME_PROJ, (u64)s.D * s.V));
    TRY(check_weights(c, TENSOR_CTRL_PROJ, (u64)s.D * s.K));
    TRY(check_weights(c, TENSOR_HEADS, (u64)s.W * s.D));
    for (u32 l = 0; l < layers; l++) {
        const u8 *b = BLOCK(c, l);
        const u32 first = TENSOR_COUNT + LAYER_COUNT * l;
        TRY(check_layer(b, AWM_TENSOR(c, first + LAYER_HS, s.H), s.H, s.I, s.N));
        const u32 gained = s.flags & FLAG_ROW_GAINS ? s.I : 0;
        const u8 *gains = AWM_TENSOR(c, first + LAYER_ROW_GAIN, gained);
        for (u32 k = 0; k < gained; k++)
            CHECK(gains[k] <= AWM_MAX_ROW_GAIN, AWM_BAD_SHIFT);
        CHECK(norm_shifts_ok(HEAD(eps_res, c), s.D, LAYER(f_in_w, b), LAYER(f_in, b)), AWM_BAD_SHIFT);
        TRY(check_weights(c, first + LAYER_IN_PROJ_W, (u64)s.R * s.D));
        TRY(check_weights(c, first + LAYER_OUT_PROJ_W, (u64)s.D * s.I));
    }
    return AWM_OK;
}

#endif
