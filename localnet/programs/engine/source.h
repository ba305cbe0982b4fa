/* Reads the cartridge from its shards: any bytes of it, wherever a shard ends. */
#pragma once
#include "layouts.h"

#define MAX_SHARDS 4

/* Stored at the start of the heap. */
typedef struct {
    u64 count;
    const u8 *data[MAX_SHARDS];
    u64 size[MAX_SHARDS];
} Source;

#define SOURCE ((Source *)HEAP)
#define CART (HEAP + 128)              /* the cartridge's header and directory */
#define CART_BYTES (2048 + 8 * (TENSOR_COUNT + LAYER_COUNT * AWM_MAX_LAYERS))
#define SCRATCH (HEAP + 128 + AWM_ROUND(CART_BYTES, 64))
#define SCRATCH_BYTES (HEAP_BYTES - 128 - AWM_ROUND(CART_BYTES, 64))
_Static_assert(SCRATCH_BYTES >= 10 * 2048, "a group of rows");

INLINE u64 source_size(void) {
    u64 size = 0;
    for (u64 i = 0; i < SOURCE->count; i++) size += SOURCE->size[i];
    return size;
}

/* Copies `len` bytes of the cartridge from `offset` on. Bytes beyond its end are zero. */
NOINLINE void fetch(u8 *to, u64 offset, u64 len) {
    for (u64 i = 0; i < SOURCE->count && len; i++) {
        const u64 size = SOURCE->size[i];
        if (offset >= size) {
            offset -= size;
            continue;
        }
        const u64 part = len < size - offset ? len : size - offset;
        copy(to, SOURCE->data[i] + offset, part);
        to += part;
        len -= part;
        offset = 0;
    }
    zero(to, len);
}

#define SHARD(account, field) ((account)->data + __builtin_offsetof(WeightShard, field))

/* Takes finalized shards, in order, and gives the cartridge's content: SHA-256 over each shard's Merkle root and size.
 * The weight-shard program has computed the roots from the bytes, and a finalized shard does not change. */
NOINLINE u64 open_source(const Account *shards, u64 count, u8 *content) {
    REQUIRE(count >= 1 && count <= MAX_SHARDS, ShardMismatch);
    Slice parts[2 * MAX_SHARDS];
    SOURCE->count = count;
    for (u64 i = 0; i < count; i++) {
        const Account *shard = &shards[i];
        REQUIRE(key_eq(shard->owner, ID_WEIGHT_SHARD) && shard->data_len > sizeof(WeightShard) &&
                    ld64(shard->data) == DISC_WeightShard,
                InvalidAccount);
        REQUIRE(*SHARD(shard, finalized) == 1, ShardIncomplete);
        const u64 size = ld32(SHARD(shard, data_size));
        REQUIRE(shard->data_len == sizeof(WeightShard) + size, ShardIncomplete);
        SOURCE->data[i] = shard->data + sizeof(WeightShard);
        SOURCE->size[i] = size;
        parts[2 * i].data = SHARD(shard, merkle_root);
        parts[2 * i].len = 32;
        parts[2 * i + 1].data = SHARD(shard, data_size);
        parts[2 * i + 1].len = 4;
    }
    sol_sha256(parts, 2 * count, content);
    fetch(CART, 0, CART_BYTES);
    return 0;
}
