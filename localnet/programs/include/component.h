/* What all components share: initialize, update, update_with_session and destroy as World calls them, and the checks
 * of direct instructions. A component defines, before it includes this:
 *   COMPONENT       its struct, COMPONENT_ID its program id, COMPONENT_DISC its account discriminator
 *   METADATA        offset of BOLT's metadata
 *   PAYER(account)  address of the key that paid the account's rent, and gets its lamports back
 *   TRAILER         (optional) the struct in the account's last bytes, where PAYER is then
 *   SESSION_COMPONENT  (optional) for a component of a match: World alone is its authority
 * and, after it, policy(): what a listed system may do, check_unused(): whether destroy() may take the component, and
 * direct(): its own instructions. Delegation to a rollup is in delegation.h. */
#pragma once
#include "accounts.h"
#include "awm_layout.h"

typedef enum { SYSTEM_NONE, SYSTEM_LIFECYCLE, SYSTEM_INPUT, SYSTEM_INFERENCE } System;

#define STRUCT_SIZE sizeof(COMPONENT)
#ifdef TRAILER
#define COMPONENT_SIZE (STRUCT_SIZE + sizeof(TRAILER))
#else
#define COMPONENT_SIZE STRUCT_SIZE
#endif
#define ENTITY OFF(COMPONENT, entity)

/* The last bytes of a frame-log, and how long one without a ring is. */
#define PAYMENTS(account, field) ((account)->data + (account)->data_len - sizeof(LogPayments) + OFF(LogPayments, field))
#define LOG_WITHOUT_RING (sizeof(FrameLog) + sizeof(LogPayments))

/* Bytes of both players' extra feedback in this match: 0 for most worlds. */
INLINE u64 extra_bytes(const Account *hidden) { return 2 * (hidden->data[OFF(HiddenState, holds)] >> 4); }

/* Bytes of a record of this match, and of its frame-log with a ring of so many. */
INLINE u64 record_bytes(const Account *hidden) { return sizeof(FrameRecord) + extra_bytes(hidden); }
INLINE u64 log_bytes(const Account *hidden, u64 capacity) { return LOG_WITHOUT_RING + capacity * record_bytes(hidden); }

/* Checks that the account is an initialized one of this component. */
INLINE u64 check_component(const Account *a) {
    REQUIRE(key_eq(a->owner, COMPONENT_ID) && a->data_len >= COMPONENT_SIZE && ld64(a->data) == COMPONENT_DISC,
            InvalidAccount);
    return 0;
}

/* Checks that the account is another program's, with this discriminator and at least `size` bytes. */
INLINE u64 check_foreign(const Account *a, const u8 *owner, u64 disc, u64 size) {
    REQUIRE(key_eq(a->owner, owner) && a->data_len >= size && ld64(a->data) == disc, InvalidAccount);
    return 0;
}

INLINE u64 check_signer(const Account *a) {
    REQUIRE(a->is_signer, MissingSignature);
    return 0;
}

/* The transaction's current top-level instruction, from the instructions sysvar: u16 count, u16 offsets; at an offset
 * u16 account count, per account u8 flags and key, program id, u16 data length, data; the last u16 is the index. */
typedef struct { const u8 *metas; u64 n; const u8 *program_id; u64 disc; } Top;

INLINE const u8 *top_key(const Top *top, u64 i) { return top->metas + 33 * i + 1; }

INLINE u64 top_instruction(const Account *sysvar, Top *top) {
    REQUIRE(key_eq(sysvar->key, ID_INSTRUCTIONS_SYSVAR) && sysvar->data_len >= 8, InvalidCaller);
    u64 index = ld16(sysvar->data + sysvar->data_len - 2);
    const u8 *p = sysvar->data + ld16(sysvar->data + 2 + 2 * index);
    top->n = ld16(p);
    top->metas = p + 2;
    top->program_id = top->metas + 33 * top->n;
    REQUIRE(key_eq(top->program_id, ID_WORLD) && ld16(top->program_id + 32) >= 8, InvalidCaller);
    top->disc = ld64(top->program_id + 34);
    return 0;
}

/* Which of our systems the top-level World apply runs. World calls whatever programs the pairs name, and such a
 * program could call update() with a struct of its own. So the pairs must be ours too; then only World and our own
 * programs run in this instruction. */
NOINLINE u64 applied_system(const Account *sysvar, bool with_session, System *system) {
    Top top;
    TRY(top_instruction(sysvar, &top));
    REQUIRE(top.disc == (with_session ? IX_APPLY_WITH_SESSION : IX_APPLY), InvalidCaller);
    u64 first = with_session ? 5 : 4;
    const u8 *id = top_key(&top, 0);
    *system = key_eq(id, ID_RUN_INFERENCE)       ? SYSTEM_INFERENCE
              : key_eq(id, ID_SUBMIT_INPUT)      ? SYSTEM_INPUT
              : key_eq(id, ID_SESSION_LIFECYCLE) ? SYSTEM_LIFECYCLE
                                                 : SYSTEM_NONE;
    REQUIRE(*system != SYSTEM_NONE, SystemNotAllowed);
    bool two = *system == SYSTEM_INPUT;
    REQUIRE(top.n >= first + (two ? 4 : 8) && key_eq(top_key(&top, first), ID_SESSION_STATE) &&
                key_eq(top_key(&top, first + 2), two ? ID_INPUT_BUFFER : ID_HIDDEN_STATE),
            InvalidCaller);
    REQUIRE(two || (key_eq(top_key(&top, first + 4), ID_INPUT_BUFFER) &&
                    key_eq(top_key(&top, first + 6), ID_FRAME_LOG)),
            InvalidCaller);
    return 0;
}

/* Limits what one of our systems may change. Each component defines it. `data` is the new struct without its
 * discriminator. */
static u64 policy(Account *component, System system, const u8 *data, u64 len);

/* 0 if nothing depends on the component, so that destroy() may take it: defined by each component. */
static u64 check_unused(const Account *component);

/* Replaces the struct. A system must not change entity, payer and metadata. */
INLINE u64 replace(Account *component, const u8 *data) {
    REQUIRE(key_eq(component->data + ENTITY, data + ENTITY - 8) &&
                key_eq(component->data + METADATA, data + METADATA - 8),
            StructChanged);
#ifndef TRAILER
    REQUIRE(key_eq(PAYER(component), data + (PAYER(component) - component->data) - 8), StructChanged);
#endif
    copy(component->data + 8, data, STRUCT_SIZE - 8);
    return 0;
}

/* update: component w, authority s, instructions sysvar. update_with_session: also the session token. */
NOINLINE u64 update(Account *accounts, const Input *input, bool with_session) {
    REQUIRE(input->n >= (with_session ? 4 : 3), InvalidAccount);
    Account *component = &accounts[0];
    const Account *authority = &accounts[1];
    TRY(check_component(component));
    const u8 *metadata = component->data + METADATA;
    if (with_session) {
        /* SessionToken of the session-keys program: authority, target program, session signer, valid_until i64 */
        const Account *token = &accounts[3];
        TRY(check_foreign(token, ID_SESSION_KEYS, DISC_SessionToken, 112));
        REQUIRE(authority->is_signer && key_eq(token->data + 72, authority->key) && key_eq(token->data + 40, ID_WORLD) &&
                    unix_time() < (i64)ld64(token->data + 104),
                InvalidAuthority);
        REQUIRE(key_eq(metadata, ID_WORLD) || key_eq(metadata, token->data + 8), InvalidAuthority);
    } else {
        REQUIRE(key_eq(metadata, ID_WORLD) || (authority->is_signer && key_eq(metadata, authority->key)),
                InvalidAuthority);
    }
    System system;
    TRY(applied_system(&accounts[2], with_session, &system));
    REQUIRE(input->len >= 12 && ld32(input->data + 8) == input->len - 12, InvalidArguments);
    return policy(component, system, input->data + 12, input->len - 12);
}

#ifdef SESSION_COMPONENT
/* Only World may be the authority: a key could destroy a match's component, or refuse the crank's frames. */
#define CHECK_AUTHORITY(authority) REQUIRE(key_eq((authority)->key, ID_WORLD), InvalidAuthority)
#else
#define CHECK_AUTHORITY(authority) (void)(authority)
#endif

/* initialize: payer ws, data w, entity, authority, instructions sysvar, system program. */
NOINLINE u64 initialize(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 6, InvalidAccount);
    Account *payer = &accounts[0], *data = &accounts[1], *entity = &accounts[2];
    TRY(check_signer(payer));
    CHECK_AUTHORITY(&accounts[3]);
    Top top;
    TRY(top_instruction(&accounts[4], &top));
    REQUIRE(top.disc == IX_INITIALIZE_COMPONENT && top.n >= 4 && key_eq(top_key(&top, 3), COMPONENT_ID) &&
                key_eq(top_key(&top, 1), data->key),
            InvalidCaller);
    TRY(check_foreign(entity, ID_WORLD, DISC_Entity, 16));
    u8 bump, pda[32];
    Slice seeds[2] = {{entity->key, 32}, {&bump, 1}};
    sol_try_find_program_address(seeds, 1, COMPONENT_ID, pda, &bump);
    REQUIRE(key_eq(pda, data->key), InvalidAccount);
    SignerSeeds signer = {seeds, 2};
    TRY(create(payer, data, COMPONENT_SIZE, COMPONENT_ID, &signer));
    st64(data->data, COMPONENT_DISC);
    copy(data->data + ENTITY, entity->key, 32);
    copy(data->data + METADATA, accounts[3].key, 32);
    copy(PAYER(data), payer->key, 32);
    return 0;
}

/* destroy: authority s, receiver w, entity, component w, program data, instructions sysvar, system program. Only the
 * metadata authority or the program's upgrade authority may call it, and only while nothing depends on the component.
 * The receiver must be the payer. */
NOINLINE u64 destroy(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 7, InvalidAccount);
    const Account *authority = &accounts[0], *entity = &accounts[2], *program_data = &accounts[4];
    Account *component = &accounts[3];
    TRY(check_component(component));
    REQUIRE(key_eq(component->data + ENTITY, entity->key), EntityMismatch);
    u8 bump, pda[32];
    Slice seed = slice(COMPONENT_ID, 32);
    sol_try_find_program_address(&seed, 1, ID_UPGRADEABLE_LOADER, pda, &bump);
    REQUIRE(key_eq(pda, program_data->key), InvalidAuthority);
    /* ProgramData: u32 variant 3, u64 slot, Option<Pubkey> upgrade authority */
    const u8 *p = program_data->data;
    bool upgrader = program_data->data_len >= 45 && ld32(p) == 3 && p[12] == 1 && key_eq(p + 13, authority->key);
    REQUIRE(authority->is_signer && (upgrader || key_eq(component->data + METADATA, authority->key)), InvalidAuthority);
    Top top;
    TRY(top_instruction(&accounts[5], &top));
    REQUIRE(top.disc == IX_DESTROY_COMPONENT && top.n >= 6 && key_eq(top_key(&top, 2), COMPONENT_ID), InvalidCaller);
    TRY(check_unused(component));
    REQUIRE(key_eq(accounts[1].key, PAYER(component)), PayerMismatch);
    return close_account(component, &accounts[1]);
}

/* Runs the component's direct instruction. Refuses with InstructionUnknown if none has this discriminator. */
static u64 direct(u64 disc, Account *accounts, const Input *input);

#define MAX_ACCOUNTS 16

__attribute__((used)) u64 entrypoint(const u8 *in) {
    Account accounts[MAX_ACCOUNTS];
    Input input = parse_input(in, accounts, MAX_ACCOUNTS);
    REQUIRE(input.len >= 8, InstructionUnknown);
    u64 disc = ld64(input.data);
    if (disc == IX_UPDATE) return update(accounts, &input, 0);
    if (disc == IX_UPDATE_WITH_SESSION) return update(accounts, &input, 1);
    if (disc == IX_INITIALIZE) return initialize(accounts, &input);
    if (disc == IX_DESTROY) return destroy(accounts, &input);
    return direct(disc, accounts, &input);
}

/* The arguments of a direct instruction, which follow the discriminator. */
#define ARGS (input->data + 8)
#define NEED(n_accounts, args_len) \
    REQUIRE(input->n >= (n_accounts), InvalidAccount); \
    REQUIRE(input->len == 8 + (u64)(args_len), InvalidArguments)
