/* Component weight-shard: bytes of a cartridge, written in chunks, hashed in steps, then frozen. */
#include "awm_layout.h"
#define COMPONENT WeightShard
#define COMPONENT_ID ID_WEIGHT_SHARD
#define COMPONENT_DISC DISC_WeightShard
#define METADATA OFF(WeightShard, bolt_metadata)
#define PAYER(account) ((account)->data + OFF(WeightShard, authority))
#include "cartridge_component.h"

#define WS(account, field) ((account)->data + OFF(WeightShard, field))

NOINLINE u64 check_authority(const Account *authority, const Account *shard) {
    TRY(check_component(shard));
    TRY(check_signer(authority));
    REQUIRE(key_eq(WS(shard, authority), authority->key), InvalidAuthority);
    return 0;
}

/* Checks that the bytes may still change; hashing freezes them, leaf by leaf. */
INLINE u64 check_open(const Account *shard) {
    REQUIRE(!*WS(shard, finalized) && ld16(WS(shard, leaves_hashed)) == 0, ShardFinalized);
    return 0;
}

/* shard_grow(shard_index u8, data_size u32): authority ws, shard w, system_program. */
NOINLINE u64 shard_grow(Account *accounts, const Input *input) {
    NEED(3, 5);
    Account *authority = &accounts[0], *shard = &accounts[1];
    TRY(check_authority(authority, shard));
    TRY(check_open(shard));
    u64 target = sizeof(WeightShard) + ld32(ARGS + 1);
    REQUIRE(ARGS[0] < 4 && target > sizeof(WeightShard) && target <= MAX_ACCOUNT_BYTES && shard->data_len <= target,
            OutOfRange);
    *WS(shard, shard_index) = ARGS[0];
    st32(WS(shard, data_size), ld32(ARGS + 1));
    return grow(authority, shard, next_len(shard->data_len, target));
}

/* shard_write(offset u32, bytes): authority s, shard w. */
NOINLINE u64 shard_write(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 2, InvalidAccount);
    REQUIRE(input->len >= 16, InvalidArguments);
    Account *shard = &accounts[1];
    u64 offset = ld32(ARGS), len = ld32(ARGS + 4);
    REQUIRE(input->len == 16 + len, InvalidArguments);
    TRY(check_authority(&accounts[0], shard));
    TRY(check_open(shard));
    REQUIRE(offset + len <= shard->data_len - sizeof(WeightShard), OutOfRange);
    copy(shard->data + sizeof(WeightShard) + offset, ARGS + 8, len);
    return 0;
}

INLINE u64 leaves(const Account *shard) { return (ld32(WS(shard, data_size)) + LEAF_BYTES - 1) / LEAF_BYTES; }

INLINE u64 check_full(const Account *shard) {
    u32 size = ld32(WS(shard, data_size));
    REQUIRE(size && shard->data_len == sizeof(WeightShard) + size, ShardIncomplete);
    return 0;
}

/* RFC 6962 node: SHA-256(0x01 ‖ left ‖ right). */
INLINE void node(const u8 *left, const u8 *right, u8 *out) {
    u8 prefix = 1;
    Slice parts[3] = {{&prefix, 1}, {left, 32}, {right, 32}};
    sol_sha256(parts, 3, out);
}

/* Hashes leaf `index` and merges it into the frontier, which works like a binary counter with carries: slot k holds the
 * root of a perfect subtree of 2^k leaves. */
NOINLINE void add_leaf(const Account *shard, u64 index) {
    u64 offset = index * LEAF_BYTES, rest = ld32(WS(shard, data_size)) - offset;
    u8 prefix = 0, *frontier = WS(shard, frontier), hash[32], merged[32];
    Slice parts[2] = {{&prefix, 1}, {shard->data + sizeof(WeightShard) + offset, rest < LEAF_BYTES ? rest : LEAF_BYTES}};
    sol_sha256(parts, 2, hash);
    while (index & 1) {
        node(frontier, hash, merged);
        copy(hash, merged, 32);
        zero(frontier, 32);
        frontier += 32;
        index >>= 1;
    }
    copy(frontier, hash, 32);
}

/* shard_hash_leaves(count u16): authority s, shard w. Hashes at most as many as are left. */
NOINLINE u64 shard_hash_leaves(Account *accounts, const Input *input) {
    NEED(2, 2);
    Account *shard = &accounts[1];
    TRY(check_authority(&accounts[0], shard));
    REQUIRE(!*WS(shard, finalized), ShardFinalized);
    TRY(check_full(shard));
    u64 total = leaves(shard), done = ld16(WS(shard, leaves_hashed)), count = ld16(ARGS);
    REQUIRE(count && done < total, OutOfRange);
    u64 stop = done + count < total ? done + count : total;
    while (done < stop) add_leaf(shard, done++);
    st16(WS(shard, leaves_hashed), done);
    if (done < total) return 0;
    /* The root joins the perfect subtrees, beginning with the smallest, which is the rightmost. */
    u8 root[32], joined[32], *frontier = WS(shard, frontier);
    bool any = 0;
    for (u64 bits = done; bits; bits >>= 1, frontier += 32) {
        if (!(bits & 1)) continue;
        if (any) {
            node(frontier, root, joined);
            copy(root, joined, 32);
        } else copy(root, frontier, 32);
        any = 1;
    }
    copy(WS(shard, merkle_root), root, 32);
    return 0;
}

/* shard_finalize(data_hash 32): authority s, shard w. */
NOINLINE u64 shard_finalize(Account *accounts, const Input *input) {
    NEED(2, 32);
    Account *shard = &accounts[1];
    TRY(check_authority(&accounts[0], shard));
    REQUIRE(!*WS(shard, finalized), ShardFinalized);
    TRY(check_full(shard));
    REQUIRE(ld16(WS(shard, leaves_hashed)) == leaves(shard), ShardIncomplete);
    u32 size = ld32(WS(shard, data_size));
    if (size <= MAX_HASHED_BYTES) {
        u8 hash[32];
        Slice part = {shard->data + sizeof(WeightShard), size};
        sol_sha256(&part, 1, hash);
        REQUIRE(key_eq(hash, ARGS), HashMismatch);
    }
    copy(WS(shard, data_hash), ARGS, 32);
    *WS(shard, finalized) = 1;
    return 0;
}

/* shard_close: authority ws, shard w. */
NOINLINE u64 shard_close(Account *accounts, const Input *input) {
    NEED(2, 0);
    TRY(check_authority(&accounts[0], &accounts[1]));
    return close_account(&accounts[1], &accounts[0]);
}

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_SHARD_WRITE) return shard_write(accounts, input);
    if (disc == IX_SHARD_GROW) return shard_grow(accounts, input);
    if (disc == IX_SHARD_HASH_LEAVES) return shard_hash_leaves(accounts, input);
    if (disc == IX_SHARD_FINALIZE) return shard_finalize(accounts, input);
    if (disc == IX_SHARD_CLOSE) return shard_close(accounts, input);
    return InstructionUnknown;
}
