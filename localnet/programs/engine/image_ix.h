/* The instructions that make an image. */
#pragma once
#include "work.h"

#define MIN_PART_WORDS 65536 /* units: more than the largest group of rows costs */
#define MAX_PART_WORDS 1310000

INLINE bool is_engine(const Account *a, u64 disc, u64 size, const u8 *program) {
    return key_eq(a->owner, program) && a->data_len >= size && ld64(a->data) == disc;
}

NOINLINE u64 check_image(const Account *image, u8 part, const u8 *program) {
    REQUIRE(is_engine(image, DISC_EngineImage, sizeof(EngineImage), program) && *IM(image, part) == part, InvalidAccount);
    return 0;
}

/* An image that another payer made of the same content may be incomplete. */
INLINE bool is_part_of(const Account *part, const Account *image) {
    return key_eq(IM(part, content), IM(image, content)) && key_eq(IM(part, payer), IM(image, payer));
}

INLINE awm_image *image_of(const Account *image) { return (awm_image *)(image->data + sizeof(EngineImage)); }

/* Checks `signer` and that `key` is the PDA of these seeds; adds the bump as the last seed. */
NOINLINE u64 check_pda(Slice *seeds, u64 n, const u8 *key, const u8 *program, u8 *bump) {
    u8 pda[32];
    sol_try_find_program_address(seeds, n, program, pda, bump);
    REQUIRE(key_eq(pda, key), InvalidAccount);
    seeds[n].data = bump;
    seeds[n].len = 1;
    return 0;
}

/* An image's address depends on its payer, so that nobody can begin another's image, or block it. */
NOINLINE u64 create_part(const Account *payer, Account *part, const u8 *content, u8 number, const Input *input) {
    u8 bump;
    Slice seeds[5] = {LITERAL(SEED_IMAGE), {content, 32}, {payer->key, 32}, {&number, 1}};
    TRY(check_pda(seeds, 4, part->key, input->program_id, &bump));
    SignerSeeds signer = {seeds, 5};
    REQUIRE(part->data_len == 0, AlreadyCreated);
    TRY(create(payer, part, MAX_INCREASE, input->program_id, &signer));
    st64(part->data, DISC_EngineImage);
    copy(IM(part, content), content, 32);
    copy(IM(part, payer), payer->key, 32);
    *IM(part, part) = number;
    return 0;
}

/* Header, directory and shifts are what reading the cartridge relies on. Weights are checked as they are packed. */
NOINLINE u64 check_cartridge(void) {
    return check(CART, source_size()) == AWM_OK ? 0 : CartridgeRefused;
}

/* image_open(part_words u32): payer ws, image w, system_program, shards. */
NOINLINE u64 image_open(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 4, InvalidAccount);
    REQUIRE(input->len == 12, InvalidArguments);
    const u32 part_words = ld32(input->data + 8);
    REQUIRE(part_words >= MIN_PART_WORDS && part_words <= MAX_PART_WORDS, OutOfRange);
    REQUIRE(accounts[0].is_signer, MissingSignature);
    u8 content[32];
    TRY(open_source(accounts + 3, input->n - 3, content));
    TRY(check_cartridge());
    Account *image = &accounts[1];
    TRY(create_part(&accounts[0], image, content, 0, input));
    Walk w;
    zero((u8 *)&w, sizeof w);
    w.part_words = part_words;
    walk(&w, image_of(image));
    REQUIRE(w.words <= (MAX_PARTS - 1) * (u64)part_words, CartridgeRefused);
    *IM(image, shards) = (u8)SOURCE->count;
    st32(IM(image, size), w.used);
    st32(IM(image, words), w.words);
    st32(IM(image, part_words), part_words);
    return 0;
}

/* Bytes of an image's part; 0 = the part does not exist. */
NOINLINE u64 part_bytes(const Account *image, u8 part) {
    const u64 words = ld32(IM(image, words)), each = ld32(IM(image, part_words));
    if (part == 0) return sizeof(EngineImage) + ld32(IM(image, size));
    const u64 before = (part - 1) * each;
    if (before >= words) return 0;
    return sizeof(EngineImage) + 8 * MIN(each, words - before);
}

/* image_grow(part u8): payer ws, image, part w, system_program. */
NOINLINE u64 image_grow(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 4, InvalidAccount);
    REQUIRE(input->len == 9, InvalidArguments);
    const Account *payer = &accounts[0], *image = &accounts[1];
    Account *part = &accounts[2];
    const u8 number = input->data[8];
    REQUIRE(payer->is_signer, MissingSignature);
    TRY(check_image(image, 0, input->program_id));
    REQUIRE(key_eq(IM(image, payer), payer->key), PayerMismatch);
    REQUIRE(!*IM(image, complete), ImageComplete);
    const u64 target = part_bytes(image, number);
    REQUIRE(target, OutOfRange);
    if (part->data_len == 0) return create_part(payer, part, IM(image, content), number, input);
    TRY(check_image(part, number, input->program_id));
    REQUIRE(is_part_of(part, image), ImageMismatch);
    return part->data_len < target ? grow(payer, part, next_len(part->data_len, target)) : 0;
}

/* Enters parts of `image` among the accounts into the map; stops at the first account that is none. */
NOINLINE u64 map_parts(Parts *parts, const Account *image, const Account *accounts, u64 n, const u8 *program) {
    zero((u8 *)parts, sizeof *parts);
    parts->part_words = ld32(IM(image, part_words));
    for (const Account *end = accounts + n; accounts != end; accounts++) {
        REQUIRE(is_engine(accounts, DISC_EngineImage, sizeof(EngineImage), program), InvalidAccount);
        REQUIRE(is_part_of(accounts, image), ImageMismatch);
        const u8 number = *IM(accounts, part);
        REQUIRE(number && number < MAX_PARTS, InvalidAccount);
        REQUIRE(accounts->data_len >= part_bytes(image, number), ImageIncomplete);
        parts->words[number] = accounts->data + sizeof(EngineImage);
    }
    return 0;
}

/* The units that an instruction still has for its work, given the argument that limits them. */
INLINE u64 granted(const Input *input) {
    const u64 units = ld32(input->data + 8), own = 6000 + 800 * input->n;
    return units > own ? units - own : 0;
}

/* image_build(units u32): image w, shards, parts w. */
NOINLINE u64 image_build(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 2 && accounts[0].is_writable, InvalidAccount);
    REQUIRE(input->len == 12, InvalidArguments);
    Account *image = &accounts[0];
    TRY(check_image(image, 0, input->program_id));
    REQUIRE(!*IM(image, complete), ImageComplete);
    REQUIRE(!*IM(image, refused), CartridgeRefused);
    const u64 shards = *IM(image, shards);
    REQUIRE(image->data_len == part_bytes(image, 0), ImageIncomplete);
    REQUIRE(input->n >= 1 + shards, InvalidAccount);
    u8 content[32];
    TRY(open_source(accounts + 1, shards, content));
    REQUIRE(key_eq(content, IM(image, content)), ShardMismatch);
    Parts parts;
    TRY(map_parts(&parts, image, accounts + 1 + shards, input->n - 1 - shards, input->program_id));
    for (u64 i = 1 + shards; i < input->n; i++) REQUIRE(accounts[i].is_writable, InvalidAccount);
    Walk w;
    zero((u8 *)&w, sizeof w);
    w.base = (u8 *)image_of(image);
    w.parts = &parts;
    w.part_words = ld32(IM(image, part_words));
    w.due = ld32(IM(image, job));
    w.group = ld32(IM(image, group));
    w.left = granted(input);
    w.left = w.left > 60000 ? w.left - 60000 : 0; /* the walk itself */
    const u32 due = w.due, group = w.group;
    walk(&w, image_of(image));
    if (!w.stop) *IM(image, complete) = 1;
    *IM(image, refused) = (u8)w.why;
    st32(IM(image, job), w.due);
    st32(IM(image, group), w.group);
    REQUIRE(!w.stop || w.why || w.due != due || w.group != group, PartMissing);
    return 0;
}

/* image_close: payer ws, image, part w. Part 0 goes first, or a new part with other words could take a part's place in
 * an image that says it is complete. */
NOINLINE u64 image_close(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 3, InvalidAccount);
    Account *part = &accounts[2];
    REQUIRE(accounts[0].is_signer, MissingSignature);
    REQUIRE(is_engine(part, DISC_EngineImage, sizeof(EngineImage), input->program_id), InvalidAccount);
    REQUIRE(key_eq(IM(part, payer), accounts[0].key), PayerMismatch);
    if (*IM(part, part)) {
        u8 bump, zero_part = 0;
        Slice seeds[5] = {LITERAL(SEED_IMAGE), {IM(part, content), 32}, {accounts[0].key, 32}, {&zero_part, 1}};
        TRY(check_pda(seeds, 4, accounts[1].key, input->program_id, &bump));
        REQUIRE(accounts[1].data_len == 0, StillOpen);
    }
    return close_account(part, &accounts[0]);
}
