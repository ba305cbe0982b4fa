/* The instructions of a run. */
#pragma once
#include "image_ix.h"
#include "turn.h"
#include "block_check.h"

#define RA(account, field) RUN((account)->data, field)

NOINLINE u64 check_complete(const Account *image, const u8 *program) {
    TRY(check_image(image, 0, program));
    REQUIRE(*IM(image, complete), ImageIncomplete);
    return 0;
}

NOINLINE u64 check_run(const Account *run, const Account *image, const u8 *program) {
    REQUIRE(is_engine(run, DISC_EngineRun, sizeof(EngineRun), program) && run->is_writable, InvalidAccount);
    if (image) {
        TRY(check_complete(image, program));
        REQUIRE(key_eq(RA(run, content), IM(image, content)), ImageMismatch);
    }
    return 0;
}

NOINLINE u64 run_bytes(const Account *image, u8 *run) {
    Work w;
    map_work(&w, image_of(image), run);
    return w.size;
}

NOINLINE u32 bad_block(const u8 *block) { return block_check(block); }

/* run_open(id u64, block bytes): authority ws, run w, image, system_program. */
NOINLINE u64 run_open(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 4, InvalidAccount);
    REQUIRE(input->len >= 20 + AWM_BLOCK, InvalidArguments);
    const Account *authority = &accounts[0], *image = &accounts[2];
    Account *run = &accounts[1];
    const u8 *id = input->data + 8, *block = id + 12;
    REQUIRE(authority->is_signer, MissingSignature);
    TRY(check_complete(image, input->program_id));
    const u64 size_of_block = image_of(image)->block_bytes;
    REQUIRE(ld32(id + 8) == size_of_block && input->len == 20 + size_of_block, InvalidArguments);
    REQUIRE(!bad_block(block), InvalidPlayerState);
    u8 bump;
    Slice seeds[4] = {LITERAL(SEED_RUN), {authority->key, 32}, {id, 8}};
    TRY(check_pda(seeds, 3, run->key, input->program_id, &bump));
    SignerSeeds signer = {seeds, 4};
    REQUIRE(run->data_len == 0, AlreadyCreated);
    const u64 size = run_bytes(image, run->data);
    TRY(create(authority, run, MIN(size, (u64)MAX_INCREASE), input->program_id, &signer));
    st64(run->data, DISC_EngineRun);
    copy(RA(run, content), IM(image, content), 32);
    copy(RA(run, authority), authority->key, 32);
    st64(RA(run, id), ld64(id));
    *RA(run, warmup) = 9;
    copy(run->data + sizeof(EngineRun), block, size_of_block);
    return 0;
}

/* run_grow: authority ws, run w, image, system_program. */
NOINLINE u64 run_grow(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 4, InvalidAccount);
    Account *run = &accounts[1];
    TRY(check_run(run, &accounts[2], input->program_id));
    REQUIRE(accounts[0].is_signer, MissingSignature);
    REQUIRE(key_eq(RA(run, authority), accounts[0].key), InvalidAuthority);
    const u64 size = run_bytes(&accounts[2], run->data);
    return run->data_len < size ? grow(&accounts[0], run, next_len(run->data_len, size)) : 0;
}

/* run_feed(frame u32, inputs 16): authority s, run w. */
NOINLINE u64 run_feed(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 2, InvalidAccount);
    REQUIRE(input->len == 12 + AWM_INPUTS, InvalidArguments);
    Account *run = &accounts[1];
    TRY(check_run(run, 0, input->program_id));
    REQUIRE(accounts[0].is_signer, MissingSignature);
    REQUIRE(key_eq(RA(run, authority), accounts[0].key), InvalidAuthority);
    const u32 frame = ld32(input->data + 8);
    REQUIRE(frame == ld32(RA(run, fed)) + 1 && frame - ld32(RA(run, frame)) <= QUEUE, FrameMismatch);
    copy(RA(run, queue) + frame % QUEUE * AWM_INPUTS, input->data + 12, AWM_INPUTS);
    st32(RA(run, fed), frame);
    return 0;
}

/* run_turn(units u32): run w, image, parts. */
NOINLINE u64 run_turn(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 2, InvalidAccount);
    REQUIRE(input->len == 12, InvalidArguments);
    Account *run = &accounts[0], *image = &accounts[1];
    TRY(check_run(run, image, input->program_id));
    Turn t;
    t.im = image_of(image);
    t.run = run->data;
    t.left = granted(input);
    map_work(&t.w, t.im, run->data);
    REQUIRE(run->data_len == t.w.size, RunIncomplete);
    TRY(map_parts(&t.parts, image, accounts + 2, input->n - 2, input->program_id));
    work_on(&t);
    return 0;
}

/* run_close: authority ws, run w. */
NOINLINE u64 run_close(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 2, InvalidAccount);
    TRY(check_run(&accounts[1], 0, input->program_id));
    REQUIRE(accounts[0].is_signer, MissingSignature);
    REQUIRE(key_eq(RA(&accounts[1], authority), accounts[0].key), InvalidAuthority);
    return close_account(&accounts[1], &accounts[0]);
}
