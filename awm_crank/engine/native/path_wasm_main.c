/* The kernel as a WebAssembly module, one session: -DAWM_WASM_SIMD takes the SIMD128 path, else the plain one. The caller
 * lays out the memory behind __heap_base itself, everything aligned to 64. run_wasm.mjs shows how. */
#include "awm_engine.h"

#ifdef AWM_WASM_SIMD
#define PATH awm_path_wasm
#else
#define PATH awm_path_plain
#endif
#define EXPORT(name) __attribute__((export_name(#name)))

/* Bytes of the image, or -AWM_BAD_*. */
EXPORT(image_bytes) i32 image_bytes(const u8 *cartridge, u32 size)
{
    i32 why;
    const u64 bytes = awm_image_bytes(cartridge, size, &PATH, &why);
    return bytes ? (i32)bytes : -why;
}

EXPORT(image_build) void image_build(void *image, const u8 *cartridge) { awm_image_build(image, cartridge, &PATH); }
EXPORT(d_model) u32 d_model(const awm_image *image) { return image->d_model; }
EXPORT(block_bytes) u32 block_bytes(const awm_image *image) { return image->block_bytes; }
EXPORT(state_bytes) u32 state_bytes(const awm_image *image) { return image->state_bytes; }
EXPORT(serialized_bytes) u32 serialized_bytes(const awm_image *image) { return image->dump_bytes; }
EXPORT(scratch_bytes) u32 scratch_bytes(const awm_image *image) { return (u32)awm_scratch_bytes(image, 1); }
EXPORT(state_dump) void state_dump(const awm_image *image, const void *state, u8 *out) { awm_state_dump(image, state, out); }
EXPORT(state_load) void state_load(const awm_image *image, void *state, const u8 *in) { awm_state_load(image, state, in); }
EXPORT(block_check) u32 block_check(const u8 *block) { return awm_block_check(block); }

EXPORT(backbone) void backbone(const awm_image *image, void *state, const u8 *block, i16 *context, void *scratch)
{
    const awm_team alone = {0, 1, 0, 0};
    PATH.backbone(image, &state, &block, &context, 1, scratch, &alone);
}

EXPORT(heads)
void heads(const awm_image *image, const i16 *context, const u8 *block, const u8 *inputs, u8 *next, void *scratch)
{
    const awm_team alone = {0, 1, 0, 0};
    PATH.heads(image, &context, &block, &inputs, &next, 1, scratch, &alone);
}
