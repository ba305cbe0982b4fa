/* Frame block to frame vector (6.1), outputs to frame block (7), range of a block (9). Plain C: a few hundred values. */
#ifndef AWM_FRAME_H
#define AWM_FRAME_H
#include "scalar.h"

enum { /* offsets in a PlayerState of 32 bytes, a Feedback of 8, a block */
    PS_X = 0, PS_Y = 4, PS_PERCENT = 8, PS_SHIELD = 10, PS_SPEEDS = 12, PS_AGE = 22, PS_HITLAG = 24, PS_STOCKS = 25,
    PS_FACING = 26, PS_GROUND = 27, PS_ACTION = 28, PS_JUMPS = 30, PS_CHARACTER = 31,
    FB_FRAC = 0, FB_INVULNERABLE = 1, FB_COMBO = 2, FB_L_CANCEL = 3, FB_HURTBOX = 4, FB_SURFACE = 5, FB_ATTACK = 6,
    FB_RESERVED = 7, BLOCK_FEEDBACK = 64, BLOCK_INPUTS = 80, BLOCK_STAGE = 96,
};
enum { EMBED_ACTION, EMBED_JUMPS, EMBED_CHARACTER, EMBED_L_CANCEL, EMBED_HURTBOX, EMBED_SURFACE, EMBED_ATTACK, EMBED_AGE,
       EMBED_STAGE };
#define FLAG_AGE_EMBED 1u
#define FLAG_ROW_GAINS 2u
#define ROW_GAIN_MAX 10u

/* The 13 controller features, raw. */
AWM_INLINE i32 *controller_raw(i32 *to, const u8 *input)
{
    for (int i = 0; i < 4; i++)
        *to++ = (i8)input[i] + 128;
    *to++ = MAX(input[4], input[5]);
    for (int i = 0; i < 5; i++)
        *to++ = input[6] >> i & 1;
    *to++ = input[7] >> 2 & 1;
    *to++ = input[7] >> 3 & 1;
    *to++ = input[7] & 1;
    return to;
}

AWM_INLINE i16 *embed_row(i16 *to, const awm_image *im, u32 table, u32 row, u32 width)
{
    const i16 *from = AT(im, const i16 *, im->embed[table]) + row * width;
    for (u32 i = 0; i < width; i++)
        *to++ = from[i];
    return to;
}

/* hi: frame_dim int16; lo: the next seven bits of the floats, which come first, then 0 up to the padding. */
AWM_FN void frame_vector(const awm_image *im, const u8 *block, i16 *hi, i16 *lo)
{
    for (u32 i = 0; i < AWM_PAD; i++)
        lo[i] = 0;

    const i32 *mul = AT(im, const i32 *, im->feature_mul);
    const u32 age_embed = im->flags & FLAG_AGE_EMBED;
    for (u32 player = 0; player < 2; player++) {
        const u8 *ps = block + 32 * player, *fb = block + BLOCK_FEEDBACK + 8 * player;
        i32 raw[29], *r = raw;
        *r++ = load_u16(ps + PS_PERCENT) * 256 + fb[FB_FRAC];
        *r++ = load_i32(ps + PS_X);
        *r++ = load_i32(ps + PS_Y);
        *r++ = load_u16(ps + PS_SHIELD);
        for (u32 i = 0; i < 5; i++)
            *r++ = load_i16(ps + PS_SPEEDS + 2 * i);
        if (!age_embed)
            *r++ = load_u16(ps + PS_AGE);
        *r++ = ps[PS_HITLAG];
        *r++ = ps[PS_STOCKS];
        *r++ = fb[FB_COMBO];
        *r++ = ps[PS_FACING];
        *r++ = fb[FB_INVULNERABLE];
        *r++ = ps[PS_GROUND];
        r = controller_raw(r, block + BLOCK_INPUTS + 8 * player);
        const u32 count = (u32)(r - raw);
        for (u32 i = 0; i < count; i++) {
            const i32 wide = (i32)clamp64(rs64((i64)raw[i] * mul[i], im->s_frame), -16383 * 128, 16383 * 128 + 127);
            *hi++ = (i16)(wide >> 7);
            *lo++ = (i16)(wide & 127);
        }
    }
    for (u32 player = 0; player < 2; player++) {
        const u8 *ps = block + 32 * player, *fb = block + BLOCK_FEEDBACK + 8 * player;
        hi = embed_row(hi, im, EMBED_ACTION, (u32)load_u16(ps + PS_ACTION), 32);
        hi = embed_row(hi, im, EMBED_JUMPS, ps[PS_JUMPS], 4);
        hi = embed_row(hi, im, EMBED_CHARACTER, ps[PS_CHARACTER], 8);
        hi = embed_row(hi, im, EMBED_L_CANCEL, fb[FB_L_CANCEL], 2);
        hi = embed_row(hi, im, EMBED_HURTBOX, fb[FB_HURTBOX], 2);
        hi = embed_row(hi, im, EMBED_SURFACE, fb[FB_SURFACE], 4);
        hi = embed_row(hi, im, EMBED_ATTACK, fb[FB_ATTACK], 8);
        if (age_embed)
            hi = embed_row(hi, im, EMBED_AGE, (u32)MIN(load_u16(ps + PS_AGE), 149), 8);
    }
    embed_row(hi, im, EMBED_STAGE, block[BLOCK_STAGE], 4);
}

/* cv: 26 int16. */
AWM_FN void controller_vector(const awm_image *im, const u8 *inputs, i16 *cv)
{
    const i32 *mul = AT(im, const i32 *, im->ctrl_mul);
    for (u32 player = 0; player < 2; player++) {
        i32 raw[13];
        controller_raw(raw, inputs + 8 * player);
        for (u32 i = 0; i < 13; i++)
            *cv++ = (i16)sat15(rs64((i64)raw[i] * mul[i], im->s_ctrl));
    }
}

AWM_INLINE void store16(u8 *p, i32 v) { p[0] = (u8)v; p[1] = (u8)(v >> 8); }
AWM_INLINE void store32(u8 *p, i32 v) { store16(p, v); store16(p + 2, v >> 16); }

AWM_INLINE u32 argmax(const i32 *o, u32 n)
{
    i32 best = o[0];
    for (u32 i = 1; i < n; i++)
        best = MAX(best, o[i]);
    u32 at = 0;
    while (o[at] != best)
        at++;
    return at;
}

/* o: 1,050 int32 in the order of section 7. */
AWM_FN void next_block(const awm_image *im, const i32 *o, const u8 *block, const u8 *inputs, u8 *next)
{
    u8 out[AWM_BLOCK];
    for (u32 i = 0; i < AWM_BLOCK; i++)
        out[i] = block[i];
    i32 delta[24];
    for (u32 i = 0; i < 24; i++)
        delta[i] = rs32(o[i], im->head_frac[i]);
    for (u32 player = 0; player < 2; player++) {
        u8 *ps = out + 32 * player, *fb = out + BLOCK_FEEDBACK + 8 * player;
        const i32 *move = delta + 4 * player, *speed = delta + 8 + 5 * player, *dynamics = delta + 18 + 3 * player;
        const i32 *binary = o + 24 + 3 * player, *choice = o + 30 + 510 * player;
        const i64 percent = load_u16(ps + PS_PERCENT) * 256 + fb[FB_FRAC];
        const i32 hurt = (i32)clamp64(percent + move[0], 0, 999 * 256);
        store16(ps + PS_PERCENT, hurt >> 8);
        fb[FB_FRAC] = (u8)hurt;
        store32(ps + PS_X, (i32)clamp64((i64)load_i32(ps + PS_X) + move[1], -76800, 76800));
        store32(ps + PS_Y, (i32)clamp64((i64)load_i32(ps + PS_Y) + move[2], -51200, 76800));
        store16(ps + PS_SHIELD, (i32)clamp64((i64)load_u16(ps + PS_SHIELD) + move[3], 0, 15360));
        for (u32 i = 0; i < 5; i++)
            store16(ps + PS_SPEEDS + 2 * i, (i32)clamp64((i64)load_i16(ps + PS_SPEEDS + 2 * i) + speed[i], -32768, 32767));
        ps[PS_HITLAG] = (u8)clamp32(dynamics[0], 0, 50);
        ps[PS_STOCKS] = (u8)clamp32(dynamics[1], 0, 4);
        fb[FB_COMBO] = (u8)clamp32(dynamics[2], 0, 50);
        ps[PS_FACING] = binary[0] > 0;
        fb[FB_INVULNERABLE] = binary[1] > 0;
        ps[PS_GROUND] = binary[2] > 0;
        const i32 action = (i32)argmax(choice, 400), before = load_u16(ps + PS_ACTION), age = load_u16(ps + PS_AGE);
        store16(ps + PS_ACTION, action);
        store16(ps + PS_AGE, action == before ? MIN(65535, age + 1) : 0);
        ps[PS_JUMPS] = (u8)argmax(choice + 400, 8);
        fb[FB_L_CANCEL] = (u8)argmax(choice + 408, 3);
        fb[FB_HURTBOX] = (u8)argmax(choice + 411, 3);
        fb[FB_SURFACE] = (u8)argmax(choice + 414, 32);
        fb[FB_ATTACK] = (u8)argmax(choice + 446, 64);
        fb[FB_RESERVED] = 0;
    }
    for (u32 i = 0; i < AWM_INPUTS; i++)
        out[BLOCK_INPUTS + i] = inputs[i];
    for (u32 i = 0; i < AWM_BLOCK; i++)
        next[i] = out[i];
}

#endif
