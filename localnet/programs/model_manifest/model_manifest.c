/* Component model-manifest: what a cartridge is, and where its shards are. */
#include "awm_layout.h"
#define COMPONENT ModelManifest
#define COMPONENT_ID ID_MODEL_MANIFEST
#define COMPONENT_DISC DISC_ModelManifest
#define METADATA OFF(ModelManifest, bolt_metadata)
#define PAYER(account) ((account)->data + OFF(ModelManifest, authority))
#include "cartridge_component.h"

#define MM(account, field) ((account)->data + OFF(ModelManifest, field))

NOINLINE u64 check_authority(const Account *authority, const Account *manifest) {
    TRY(check_component(manifest));
    TRY(check_signer(authority));
    REQUIRE(key_eq(MM(manifest, authority), authority->key), InvalidAuthority);
    return 0;
}

INLINE bool inside(u64 offset, u64 end, u64 first, u64 last) { return offset >= first && end <= last; }

/* manifest_write(offset u16, bytes): authority s, manifest w. Refuses authority, ready, entity and metadata. */
NOINLINE u64 manifest_write(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 2, InvalidAccount);
    REQUIRE(input->len >= 14, InvalidArguments);
    Account *manifest = &accounts[1];
    u64 offset = ld16(ARGS), len = ld32(ARGS + 2), end = offset + len;
    REQUIRE(input->len == 14 + len, InvalidArguments);
    TRY(check_authority(&accounts[0], manifest));
    REQUIRE(!*MM(manifest, ready), ManifestReady);
    REQUIRE(inside(offset, end, OFF(ModelManifest, name), OFF(ModelManifest, authority)) ||
                inside(offset, end, OFF(ModelManifest, total_params), OFF(ModelManifest, entity)) ||
                inside(offset, end, OFF(ModelManifest, cartridge_hash), OFF(ModelManifest, bolt_metadata)),
            OutOfRange);
    copy(manifest->data + offset, ARGS + 6, len);
    return 0;
}

/* manifest_finalize: authority s, manifest w, then num_shards shards. */
NOINLINE u64 manifest_finalize(Account *accounts, const Input *input) {
    NEED(2, 0);
    Account *manifest = &accounts[1];
    TRY(check_authority(&accounts[0], manifest));
    REQUIRE(!*MM(manifest, ready), ManifestReady);
    u64 n = *MM(manifest, num_shards);
    REQUIRE(n >= 1 && n <= 4 && *MM(manifest, extra_size) <= MAX_EXTRA_SIZE, OutOfRange);
    REQUIRE(input->n >= 2 + n, InvalidAccount);
    for (u64 i = 0; i < n; i++) {
        const Account *shard = &accounts[2 + i];
        TRY(check_foreign(shard, ID_WEIGHT_SHARD, DISC_WeightShard, sizeof(WeightShard)));
        REQUIRE(shard->data[OFF(WeightShard, finalized)] == 1, ShardIncomplete);
        REQUIRE(key_eq(shard->key, MM(manifest, shard_keys) + 32 * i) &&
                    ld32(shard->data + OFF(WeightShard, data_size)) == ld32(MM(manifest, shard_sizes) + 4 * i),
                ShardMismatch);
    }
    *MM(manifest, ready) = 1;
    return 0;
}

/* manifest_close: authority ws, manifest w. */
NOINLINE u64 manifest_close(Account *accounts, const Input *input) {
    NEED(2, 0);
    TRY(check_authority(&accounts[0], &accounts[1]));
    return close_account(&accounts[1], &accounts[0]);
}

static u64 direct(u64 disc, Account *accounts, const Input *input) {
    if (disc == IX_MANIFEST_WRITE) return manifest_write(accounts, input);
    if (disc == IX_MANIFEST_FINALIZE) return manifest_finalize(accounts, input);
    if (disc == IX_MANIFEST_CLOSE) return manifest_close(accounts, input);
    return InstructionUnknown;
}
