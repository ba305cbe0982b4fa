/* Section 9: the range of every field of a frame block. */
#ifndef AWM_BLOCK_CHECK_H
#define AWM_BLOCK_CHECK_H
#include "frame.h"

/* Returns 0, or 1 + the offset in the block of the first field that is out of range. */
AWM_FN u32 block_check(const u8 *b)
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

#endif
