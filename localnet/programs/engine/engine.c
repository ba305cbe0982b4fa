/* The engine program: computes the frames of a world on chain, from a cartridge's finalized shards, bit for bit what the
 * native engine computes. docs/onchain-engine.md describes it. */
#include "layouts.h"
#define AWM_TENSOR(c, k, bytes) tensor_read(k, bytes)
static const u8 *tensor_read(unsigned k, unsigned long long bytes);
#define check_weights(c, k, count) AWM_OK /* pack_group checks each row's sum */
#include "cartridge_check.h"
#include "run_ix.h"

static const u8 *tensor_read(unsigned k, u64 bytes) {
    fetch(SCRATCH, GET(TensorEntry, offset, CART + sizeof(CartridgeHeader) + k * sizeof(TensorEntry)), bytes);
    return SCRATCH;
}

__attribute__((visibility("default"))) u64 entrypoint(const u8 *in) {
    Account accounts[2 + MAX_SHARDS + MAX_PARTS];
    Input input = parse_input(in, accounts, sizeof accounts / sizeof *accounts);
    REQUIRE(input.len >= 8, InvalidArguments);
    const u64 disc = ld64(input.data);
    if (disc == IX_RUN_TURN) return run_turn(accounts, &input);
    if (disc == IX_RUN_FEED) return run_feed(accounts, &input);
    if (disc == IX_RUN_OPEN) return run_open(accounts, &input);
    if (disc == IX_RUN_GROW) return run_grow(accounts, &input);
    if (disc == IX_RUN_CLOSE) return run_close(accounts, &input);
    if (disc == IX_IMAGE_BUILD) return image_build(accounts, &input);
    if (disc == IX_IMAGE_GROW) return image_grow(accounts, &input);
    if (disc == IX_IMAGE_OPEN) return image_open(accounts, &input);
    if (disc == IX_IMAGE_CLOSE) return image_close(accounts, &input);
    return InstructionUnknown;
}
