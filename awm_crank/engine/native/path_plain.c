/* The plain path: what every other path must equal. Weights row-major as in the cartridge. */
#define AWM_PATH_NAME plain
#define AWM_PATH_ID AWM_PLAIN
#define AWM_PATH_IS_PLAIN
#define AWM_K_GROUP 0
#define AWM_K_PAD 1
#define AWM_PLANES 1
#define AWM_ACT_XOR 0
#include "elem_portable.h"

AWM_FN void mm(const awm_image *im, const awm_matrix *mx, i32 *out, u32 out_stride, const u8 *act, u32 act_stride, u32 v0,
               u32 v1, u32 sessions, u32 used)
{
    const i8 *w = AT(im, const i8 *, mx->w);
    const u32 end = MIN(16 * v1, mx->rows);
    for (u32 s = 0; s < sessions; s++)
        for (u32 r = 16 * v0; r < end; r++) {
            const i8 *row = w + (uptr)r * mx->kp;
            const i16 *x = AT(act, const i16 *, (uptr)s * act_stride);
            i32 sum = 0;
            for (u32 k = 0; k < used; k++)
                sum += row[k] * x[k];
            out[(uptr)s * out_stride + r] = sum;
        }
}

#include "step.h"
