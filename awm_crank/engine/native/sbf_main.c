/* The kernel as an on-chain program: one session, the plain path, the image built by the host. Accounts: 0 the image, 1
 * the work area (writable): state, context, next block in 128 bytes, scratch; each rounded up to 64. Instruction data: mode, block (block_bytes), inputs (16).
 *
 * Modes: 0 a whole frame, 1 backbone, 2 heads, 3 the projections' matrix loop alone, 4 nothing. Programs have at most 5 arguments to a call, which is why everything is inlined here (AWM_SBF). */
#define AWM_SBF
#define AWM_PATH_NO_TABLE
#include "path_plain.c"

typedef struct { u8 *data; u64 size; } account;

AWM_INLINE u64 get(const u8 *p) { return *(const u64 *)(const void *)p; }

__attribute__((visibility("default"))) u64 entrypoint(const u8 *input)
{
    account accounts[2];
    const u64 count = get(input);
    const u8 *at = input + 8;
    if (count != 2)
        return 1;
    for (u64 i = 0; i < count; i++) {
        if (*at != 0xff)
            return 2;
        accounts[i].size = get(at + 80);
        accounts[i].data = (u8 *)(uptr)(at + 88);
        at += 88 + AWM_ROUND(accounts[i].size, 8) + 10240 + 8;
    }
    const u8 *data = at + 8;
    const awm_image *im = (const awm_image *)(const void *)accounts[0].data;
    if (im->magic != AWM_IMAGE_MAGIC || im->path != AWM_PLAIN || accounts[0].size < im->bytes)
        return 4;
    if (get(at) != 1 + im->block_bytes + AWM_INPUTS)
        return 3;
    u8 *work = accounts[1].data;
    void *state = work;
    i16 *context = (i16 *)(void *)(work + AWM_ROUND(im->state_bytes, 64u));
    u8 *next = (u8 *)context + 2 * AWM_ROUND(im->d_model, AWM_PAD), *scratch = next + 128;
    if ((u64)(scratch - work) + awm_scratch_bytes(im, 1) > accounts[1].size)
        return 5;
    const awm_team alone = {0, 1, 0, 0};
    const u8 *block = data + 1, *inputs = block + im->block_bytes;
    const i16 *read = context;
    const u8 mode = *data;
    if (mode < 2)
        backbone(im, &state, &block, &context, 1, scratch, &alone);
    if (mode == 0 || mode == 2)
        heads(im, &read, &block, &inputs, &next, 1, scratch, &alone);
    if (mode == 3)
        bare(im, &state, 1, scratch, AWM_RUN_MATMUL, &alone);
    return 0;
}
