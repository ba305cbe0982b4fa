/* Runs a script of frames through one path, from standard input to standard output: for the paths of machines that are
 * emulated (qemu-user), for the emulated AMX tiles, and under the sanitizers. Little-endian machines.
 *
 * in:  u32 cartridge size, cartridge, u32 sessions, u32 frames, sessions x serialized state,
 *      frames x sessions x (block_bytes, inputs 16)
 * out: frames x sessions x (context d_model x i16, next block), sessions x serialized state
 * Exit status: 2 the input ends early, 3 no such path here, 10 + AWM_BAD_* the cartridge is refused, 20 a block is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "awm_engine.h"

static const struct { const char *name; const awm_path *path; } paths[] = {
    {"plain", &awm_path_plain},
#if defined(RUNNER_PATH)
#define RUNNER_STRING2(x) #x
#define RUNNER_STRING(x) RUNNER_STRING2(x)
#define RUNNER_JOIN2(a, b) a##b
#define RUNNER_JOIN(a, b) RUNNER_JOIN2(a, b)
    {RUNNER_STRING(RUNNER_PATH), &RUNNER_JOIN(awm_path_, RUNNER_PATH)},
#endif
};

static void *read_bytes(size_t size)
{
    void *data = aligned_alloc(64, AWM_ROUND(size, 64u) + 64);
    if (!data || fread(data, 1, size, stdin) != size)
        exit(2);
    return data;
}

static u32 read_u32(void)
{
    u32 value;
    if (fread(&value, 4, 1, stdin) != 1)
        exit(2);
    return value;
}

int main(int argc, char **argv)
{
    const awm_path *path = 0;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (argc > 1 && strcmp(argv[1], paths[i].name) == 0)
            path = paths[i].path;
    if (!path)
        return 3;
    const u32 size = read_u32();
    u8 *cartridge = read_bytes(size);
    i32 why;
    const u64 bytes = awm_image_bytes(cartridge, size, path, &why);
    if (!bytes)
        return 10 + why;
    awm_image *image = aligned_alloc(64, AWM_ROUND(bytes, 64u));
    awm_image_build(image, cartridge, path);
    free(cartridge);
    const u32 n = read_u32(), frames = read_u32();
    if (n < 1 || n > 4096)
        return 2;
    void **states = calloc(n, sizeof *states);
    const u8 **blocks = calloc(n, sizeof *blocks), **inputs = calloc(n, sizeof *inputs);
    u8 **next = calloc(n, sizeof *next);
    i16 **contexts = calloc(n, sizeof *contexts);
    for (u32 s = 0; s < n; s++) {
        u8 *data = read_bytes(image->dump_bytes);
        states[s] = aligned_alloc(64, AWM_ROUND(image->state_bytes, 64u));
        awm_state_load(image, states[s], data);
        free(data);
        contexts[s] = aligned_alloc(64, 2 * AWM_ROUND(image->d_model, AWM_PAD));
        next[s] = malloc(image->block_bytes);
    }
    const u64 scratch_bytes = awm_scratch_bytes(image, n);
    void *scratch = aligned_alloc(64, AWM_ROUND(scratch_bytes, 64u));
    memset(scratch, 0, scratch_bytes);
    const awm_team alone = {0, 1, 0, 0};
    for (u32 f = 0; f < frames; f++) {
        u8 *data = read_bytes((size_t)n * (image->block_bytes + AWM_INPUTS));
        for (u32 s = 0; s < n; s++) {
            blocks[s] = data + (size_t)s * (image->block_bytes + AWM_INPUTS);
            inputs[s] = blocks[s] + image->block_bytes;
            if (awm_block_check(blocks[s]))
                return 20;
        }
        path->backbone(image, states, blocks, contexts, n, scratch, &alone);
        path->heads(image, (const i16 *const *)contexts, blocks, inputs, next, n, scratch, &alone);
        for (u32 s = 0; s < n; s++) {
            fwrite(contexts[s], 2, image->d_model, stdout);
            fwrite(next[s], 1, image->block_bytes, stdout);
        }
        free(data);
    }
    for (u32 s = 0; s < n; s++) {
        u8 *data = malloc(image->dump_bytes);
        awm_state_dump(image, states[s], data);
        fwrite(data, 1, image->dump_bytes, stdout);
        free(data);
        free(states[s]);
        free(contexts[s]);
        free(next[s]);
    }
    free(states);
    free(blocks);
    free(inputs);
    free(next);
    free(contexts);
    free(scratch);
    free(image);
    return 0;
}
