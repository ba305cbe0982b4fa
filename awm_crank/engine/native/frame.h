/* Frame block to frame vector (6.1), outputs to frame block (7), range of a block (9). Plain C: a few hundred values. */
#ifndef AWM_FRAME_H
#define AWM_FRAME_H
#include "scalar.h"

#define PLAYERS(block) ((block) + OFF(FrameBlock, players))
#define FEEDBACKS(block) ((block) + OFF(FrameBlock, feedback))
/* The five speeds of a PlayerState are stored one after the other. */
#define SPEED(ps, i) ((ps) + OFF(PlayerState, speed_air_x) + 2 * (i))
_Static_assert(OFF(PlayerState, state_age) - OFF(PlayerState, speed_air_x) == 2 * OUT_VELOCITY_EACH, "speeds");

/* One player's extra feedback, at the block's end: state flags, hitstun, projectiles, each only with its flag. */
#define EXTRAS(im, block, player) ((block) + AWM_BLOCK + (im)->extra_bytes * (player))
#define HITSTUN_AT(im) ((im)->flags & FLAG_STATE_FLAGS ? AWM_STATE_FLAGS / 8 : 0)

/* A stick axis as 0..255, or as 0..2 * range; more than a full tilt counts as a full tilt. */
AWM_INLINE i32 stick_raw(i32 v, i32 range) { return range ? clamp32(v, -range, range) + range : v + 128; }

/* The 13 raw controller features. */
AWM_INLINE i32 *controller_raw(i32 *to, const u8 *input, i32 range)
{
    *to++ = stick_raw(GET(ControllerInput, stick_x, input), range);
    *to++ = stick_raw(GET(ControllerInput, stick_y, input), range);
    *to++ = stick_raw(GET(ControllerInput, c_stick_x, input), range);
    *to++ = stick_raw(GET(ControllerInput, c_stick_y, input), range);
    *to++ = MAX(GET(ControllerInput, trigger_l, input), GET(ControllerInput, trigger_r, input));
    const i32 buttons = GET(ControllerInput, buttons, input), ext = GET(ControllerInput, buttons_ext, input);
    for (int i = 0; i < 5; i++) /* A B X Y Z */
        *to++ = buttons >> i & 1;
    *to++ = ext >> 2 & 1; /* L */
    *to++ = ext >> 3 & 1; /* R */
    *to++ = ext & 1; /* D-up */
    return to;
}

AWM_INLINE i16 *embed_row(i16 *to, const awm_image *im, u32 table, i32 row)
{
    const u32 width = EMBED_WIDTH[table];
    const i16 *from = AT(im, const i16 *, im->embed[table]) + (u32)row * width;
    for (u32 i = 0; i < width; i++)
        *to++ = from[i];
    return to;
}

/* hi: frame_dim int16; lo: the next seven bits of the floats, which come first, then 0 up to the padding. */
AWM_FN void frame_vector(const awm_image *im, const u8 *block, i16 *hi, i16 *lo)
{
    for (u32 i = 0; i < AWM_ROUND(2 * im->floats, AWM_PAD); i++)
        lo[i] = 0;
    const i32 *mul = AT(im, const i32 *, im->feature_mul);
    const u32 age_embed = im->flags & FLAG_STATE_AGE_AS_EMBED;
    for (u32 player = 0; player < 2; player++) {
        const u8 *ps = PLAYERS(block) + player * sizeof(PlayerState), *fb = FEEDBACKS(block) + player * sizeof(Feedback);
        const u8 *extra = EXTRAS(im, block, player);
        i32 raw[AWM_PLAYER_FLOATS + 1 + AWM_PROJECTILE_VALUES + AWM_STATE_FLAGS], *r = raw;
        *r++ = GET(PlayerState, percent, ps) * 256 + GET(Feedback, percent_frac, fb);
        *r++ = GET(PlayerState, x, ps);
        *r++ = GET(PlayerState, y, ps);
        *r++ = GET(PlayerState, shield_strength, ps);
        for (u32 i = 0; i < OUT_VELOCITY_EACH; i++)
            *r++ = get_i16(SPEED(ps, i));
        if (!age_embed)
            *r++ = GET(PlayerState, state_age, ps);
        *r++ = GET(PlayerState, hitlag, ps);
        *r++ = GET(PlayerState, stocks, ps);
        if (im->flags & FLAG_HITSTUN)
            *r++ = extra[HITSTUN_AT(im)];
        *r++ = GET(Feedback, combo_count, fb);
        if (im->flags & FLAG_PROJECTILES)
            for (u32 i = 0; i < AWM_PROJECTILE_VALUES; i++)
                *r++ = get_i16(extra + im->extra_bytes - 2 * (AWM_PROJECTILE_VALUES - i));
        *r++ = GET(PlayerState, facing, ps);
        *r++ = GET(Feedback, invulnerable, fb);
        *r++ = GET(PlayerState, on_ground, ps);
        if (im->flags & FLAG_STATE_FLAGS)
            for (u32 i = 0; i < AWM_STATE_FLAGS; i++)
                *r++ = extra[i / 8] >> (i % 8) & 1;
        r = controller_raw(r, block + OFF(FrameBlock, inputs) + player * sizeof(ControllerInput), im->stick_range);
        const u32 count = (u32)(r - raw);
        for (u32 i = 0; i < count; i++) {
            const i32 wide = (i32)clamp64(rs64((i64)raw[i] * mul[i], im->s_frame), -16383 * 128, 16383 * 128 + 127);
            *hi++ = (i16)(wide >> 7);
            *lo++ = (i16)(wide & 127);
        }
    }
    for (u32 player = 0; player < 2; player++) {
        const u8 *ps = PLAYERS(block) + player * sizeof(PlayerState), *fb = FEEDBACKS(block) + player * sizeof(Feedback);
        hi = embed_row(hi, im, EMBED_ACTION, GET(PlayerState, action_state, ps));
        hi = embed_row(hi, im, EMBED_JUMPS, GET(PlayerState, jumps_left, ps));
        hi = embed_row(hi, im, EMBED_CHARACTER, GET(PlayerState, character, ps));
        hi = embed_row(hi, im, EMBED_L_CANCEL, GET(Feedback, l_cancel, fb));
        hi = embed_row(hi, im, EMBED_HURTBOX, GET(Feedback, hurtbox, fb));
        hi = embed_row(hi, im, EMBED_GROUND, GET(Feedback, ground, fb));
        hi = embed_row(hi, im, EMBED_LAST_ATTACK, GET(Feedback, last_attack, fb));
        if (age_embed)
            hi = embed_row(hi, im, EMBED_STATE_AGE, MIN(GET(PlayerState, state_age, ps), (i32)EMBED_ROWS[EMBED_STATE_AGE] - 1));
    }
    embed_row(hi, im, EMBED_STAGE, GET(FrameBlock, stage, block));
}

/* cv: 2 * controls int16 (section 7), in groups of both players: the controllers, which buttons are down now and were not
 * in `block`, which axes are tilted by more than three tenths of their span. */
AWM_FN void controller_vector(const awm_image *im, const u8 *block, const u8 *inputs, i16 *cv)
{
    const i32 *mul = AT(im, const i32 *, im->ctrl_mul);
    i32 raw[2][AWM_PLAYER_CONTROLS];
    for (u32 player = 0; player < 2; player++) {
        controller_raw(raw[player], inputs + player * sizeof(ControllerInput), im->stick_range);
        for (u32 i = 0; i < AWM_PLAYER_CONTROLS; i++)
            *cv++ = (i16)sat15(rs64((i64)raw[player][i] * mul[i], im->s_ctrl));
    }
    mul += AWM_PLAYER_CONTROLS;
    if (im->flags & FLAG_PRESS_EVENTS) {
        for (u32 player = 0; player < 2; player++) {
            i32 before[AWM_PLAYER_CONTROLS];
            controller_raw(before, block + OFF(FrameBlock, inputs) + player * sizeof(ControllerInput), 0);
            for (u32 i = 0; i < AWM_BUTTONS; i++) {
                const i32 pressed = raw[player][AWM_AXES + i] & ~before[AWM_AXES + i];
                *cv++ = (i16)sat15(rs64((i64)pressed * mul[i], im->s_ctrl));
            }
        }
        mul += AWM_BUTTONS;
    }
    if (im->flags & FLAG_CTRL_THRESHOLD_FEATURES)
        for (u32 player = 0; player < 2; player++)
            for (u32 i = 0; i < AWM_AXES; i++) {
                const i32 span = i < AWM_AXES - 1 && im->stick_range ? 2 * im->stick_range : 255;
                *cv++ = (i16)sat15(rs64(10 * raw[player][i] > 3 * span ? mul[i] : 0, im->s_ctrl));
            }
}

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

/* Limits `value` to the field's range. */
#define CLAMPED(T, f, value) (i32)CLAMPED_((i64)(value), CLAMP_##T##_##f)
#define CLAMPED_(value, limits) clamp64(value, limits)

/* What is predicted of one player's extra feedback; nothing predicts projectiles. o: the rows behind every world's. */
AWM_FN void next_extra(const awm_image *im, const i32 *o, u32 player, u8 *extra)
{
    if (im->flags & FLAG_HITSTUN) {
        extra[HITSTUN_AT(im)] = (u8)clamp32(rs32(o[player], im->hitstun_frac[player]), 0, 255);
        o += 2;
    }
    if (im->flags & FLAG_STATE_FLAGS) {
        for (u32 i = 0; i < AWM_STATE_FLAGS / 8; i++)
            extra[i] = 0;
        for (u32 i = 0; i < AWM_STATE_FLAGS; i++)
            extra[i / 8] |= (u8)((o[AWM_STATE_FLAGS * player + i] > 0) << (i % 8));
    }
}

/* o: head_rows int32 in the order of section 7. */
AWM_FN void next_block(const awm_image *im, const i32 *o, const u8 *block, const u8 *inputs, u8 *next)
{
    u8 out[AWM_BLOCK + 2 * MAX_OF(LIMITS_CartridgeHeader_extra_size)];
    for (u32 i = 0; i < im->block_bytes; i++)
        out[i] = block[i];
    i32 delta[REGRESSION_ROWS];
    for (u32 i = 0; i < REGRESSION_ROWS; i++)
        delta[i] = rs32(o[i], im->head_frac[i]);
    for (u32 player = 0; player < 2; player++) {
        u8 *ps = PLAYERS(out) + player * sizeof(PlayerState), *fb = FEEDBACKS(out) + player * sizeof(Feedback);
        const i32 *move = delta + OUT_CONTINUOUS + OUT_CONTINUOUS_EACH * player;
        const i32 *speed = delta + OUT_VELOCITY + OUT_VELOCITY_EACH * player;
        const i32 *dynamics = delta + OUT_DYNAMICS + OUT_DYNAMICS_EACH * player;
        const i32 *binary = o + OUT_BINARY + OUT_BINARY_EACH * player, *choice = o + OUT_CHOICE + OUT_CHOICE_EACH * player;
        const i64 percent = GET(PlayerState, percent, ps) * 256 + GET(Feedback, percent_frac, fb);
        const i32 hurt = (i32)clamp64(percent + move[0], 0, MAX_OF(LIMITS_PlayerState_percent) * 256);
        PUT(PlayerState, percent, ps, hurt >> 8);
        PUT(Feedback, percent_frac, fb, hurt);
        PUT(PlayerState, x, ps, CLAMPED(PlayerState, x, (i64)GET(PlayerState, x, ps) + move[1]));
        PUT(PlayerState, y, ps, CLAMPED(PlayerState, y, (i64)GET(PlayerState, y, ps) + move[2]));
        PUT(PlayerState, shield_strength, ps,
            CLAMPED(PlayerState, shield_strength, (i64)GET(PlayerState, shield_strength, ps) + move[3]));
        for (u32 i = 0; i < OUT_VELOCITY_EACH; i++)
            put_16(SPEED(ps, i), (i32)clamp64((i64)get_i16(SPEED(ps, i)) + speed[i], -32768, 32767));
        PUT(PlayerState, hitlag, ps, CLAMPED(PlayerState, hitlag, dynamics[0]));
        PUT(PlayerState, stocks, ps, CLAMPED(PlayerState, stocks, dynamics[1]));
        PUT(Feedback, combo_count, fb, CLAMPED(Feedback, combo_count, dynamics[2]));
        PUT(PlayerState, facing, ps, binary[0] > 0);
        PUT(Feedback, invulnerable, fb, binary[1] > 0);
        PUT(PlayerState, on_ground, ps, binary[2] > 0);
        const i32 action = (i32)argmax(choice + CHOICE_ACTION, CLASSES_ACTION);
        const i32 before = GET(PlayerState, action_state, ps), age = GET(PlayerState, state_age, ps);
        PUT(PlayerState, action_state, ps, action);
        PUT(PlayerState, state_age, ps, action == before ? MIN(65535, age + 1) : 0);
        PUT(PlayerState, jumps_left, ps, (i32)argmax(choice + CHOICE_JUMPS, CLASSES_JUMPS));
        PUT(Feedback, l_cancel, fb, (i32)argmax(choice + CHOICE_L_CANCEL, CLASSES_L_CANCEL));
        PUT(Feedback, hurtbox, fb, (i32)argmax(choice + CHOICE_HURTBOX, CLASSES_HURTBOX));
        PUT(Feedback, ground, fb, (i32)argmax(choice + CHOICE_GROUND, CLASSES_GROUND));
        PUT(Feedback, last_attack, fb, (i32)argmax(choice + CHOICE_LAST_ATTACK, CLASSES_LAST_ATTACK));
        PUT(Feedback, reserved, fb, 0);
        next_extra(im, o + AWM_HEAD_ROWS, player, EXTRAS(im, out, player));
    }
    for (u32 i = 0; i < AWM_INPUTS; i++)
        out[OFF(FrameBlock, inputs) + i] = inputs[i];
    for (u32 i = 0; i < im->block_bytes; i++)
        next[i] = out[i];
}

#endif
