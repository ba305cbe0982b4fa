/* Handing a component over to a rollup and taking it back, as MagicBlock's delegation program demands. Included by the
 * four components of a session. Player 1 hands over while nobody has joined, so that player 2 can see where the match
 * will be played. A player or the writer takes back what has ended. */
#pragma once
#include "session.h"

#define MAGIC_COMMIT_AND_UNDELEGATE 2 /* ScheduleCommitAndUndelegate of the rollup's Magic program, bincode u32 */

/* Checks that `other` is the session's component of `program`, even while it is delegated. If the delegation program
 * owns the account at that address, only `program` itself can have handed it over. */
NOINLINE u64 check_sibling_anywhere(const Account *other, const u8 *program, u64 disc, u64 size, const u8 *entity) {
    REQUIRE((key_eq(other->owner, program) || key_eq(other->owner, ID_DELEGATION)) && other->data_len >= size &&
                ld64(other->data) == disc,
            InvalidAccount);
    u8 bump, pda[32];
    Slice seed = {entity, 32};
    sol_try_find_program_address(&seed, 1, program, pda, &bump);
    REQUIRE(key_eq(pda, other->key), EntityMismatch);
    return 0;
}

/* The PDA of the running program's component, and its bump. */
NOINLINE u64 component_bump(const Account *component, const u8 *entity, u8 *bump) {
    u8 pda[32];
    Slice seed = {entity, 32};
    sol_try_find_program_address(&seed, 1, COMPONENT_ID, pda, bump);
    REQUIRE(key_eq(pda, component->key), InvalidAccount);
    return 0;
}

/* Checks that no account of the writer's, and no deposit, depends on the session here. While session or hidden state
 * are in a rollup, only the validator that player 1 chose could return a checkpoint or ring. */
NOINLINE u64 check_nothing_stranded(const Account *hidden, const Account *log, const u8 *entity) {
    TRY(check_sibling_anywhere(hidden, ID_HIDDEN_STATE, DISC_HiddenState, sizeof(HiddenState), entity));
    TRY(check_sibling_anywhere(log, ID_FRAME_LOG, DISC_FrameLog, LOG_WITHOUT_RING, entity));
    REQUIRE(key_eq(hidden->owner, ID_DELEGATION) || (hidden->data[OFF(HiddenState, holds)] & 15) == 0, StillOpen);
    REQUIRE(key_eq(log->owner, ID_DELEGATION) || log->data_len == LOG_WITHOUT_RING, StillOpen);
    return 0;
}

/* Stores who paid for the component where no validator can change it, and checks that this is `payer`. */
NOINLINE u64 write_receipt(const Account *payer, const Account *component, Account *receipt) {
    u8 key[32], bump, pda[32];
    TRY(read_payer(component, receipt, key));
    REQUIRE(key_eq(key, payer->key), PayerMismatch);
    if (has_receipt(receipt)) return 0;
    const u8 *entity = component->data + ENTITY;
    Slice seeds[3] = RECEIPT_SEEDS(entity);
    sol_try_find_program_address(seeds, 2, COMPONENT_ID, pda, &bump);
    SignerSeeds signer = {seeds, 3};
    TRY(create(payer, receipt, sizeof(Receipt), COMPONENT_ID, &signer));
    st64(receipt->data, DISC_Receipt);
    copy(receipt->data + OFF(Receipt, entity), entity, 32);
    copy(receipt->data + OFF(Receipt, payer), key, 32);
    return 0;
}

/* delegate(commit_frequency_ms u32, validator Option<Pubkey>): payer ws, entity, account w, owner_program, buffer w,
 * delegation_record w, delegation_metadata w, delegation_program, system_program, session_state, hidden_state,
 * frame_log, receipt w. */
NOINLINE u64 delegate(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 13, InvalidAccount);
    REQUIRE(input->len == 13 ? input->data[12] == 0 : input->len == 45 && input->data[12] == 1, InvalidArguments);
    Account *payer = &accounts[0], *component = &accounts[2], *buffer = &accounts[4];
    const Account *session = &accounts[9];
    TRY(check_signer(payer));
    TRY(check_component(component));
    u8 entity[32];
    copy(entity, component->data + ENTITY, 32);
    REQUIRE(key_eq(accounts[1].key, entity), EntityMismatch);
    REQUIRE(key_eq(accounts[3].key, COMPONENT_ID) && key_eq(accounts[7].key, ID_DELEGATION), InvalidAccount);
    REQUIRE(component->data_len == COMPONENT_SIZE, StillOpen);
    TRY(check_sibling_anywhere(session, ID_SESSION_STATE, DISC_SessionState, sizeof(SessionState), entity));
    REQUIRE(session_status(session) == STATUS_WAITING_PLAYERS, NotWaiting);
    REQUIRE(key_eq(session->data + OFF(SessionState, player1), payer->key), NotAPlayer);
    TRY(check_nothing_stranded(&accounts[10], &accounts[11], entity));
    TRY(write_receipt(payer, component, &accounts[12]));
    u8 bump, buffer_bump, pda[32];
    TRY(component_bump(component, entity, &bump));
    Slice seeds[2] = {{entity, 32}, {&bump, 1}};
    SignerSeeds signer = {seeds, 2};
    Slice buffer_seeds[3] = {LITERAL(SEED_BUFFER), {component->key, 32}, {&buffer_bump, 1}};
    sol_try_find_program_address(buffer_seeds, 2, COMPONENT_ID, pda, &buffer_bump);
    REQUIRE(key_eq(pda, buffer->key), InvalidAccount);
    SignerSeeds buffer_signer = {buffer_seeds, 3};

    TRY(create(payer, buffer, COMPONENT_SIZE, COMPONENT_ID, &buffer_signer));
    copy(buffer->data, component->data, COMPONENT_SIZE);
    /* from here on, the receipt holds the payer. At the return, the delegation program accepts the account only with
     * exactly the bytes that the rollup committed, so the payer field is zero in the rollup and when the account
     * returns */
    zero(PAYER(buffer), 32);
    /* only an empty account can be given away; the delegation program fills it again from the buffer */
    zero(component->data, COMPONENT_SIZE);
    copy(component->owner, ID_SYSTEM_PROGRAM, 32);
    u8 assign[36];
    st32(assign, 1);
    copy(assign + 4, ID_DELEGATION, 32);
    Meta metas[7] = {{component->key, 1, 1}};
    Instruction ix = {ID_SYSTEM_PROGRAM, metas, 1, assign, sizeof assign};
    TRY(call(&ix, component, 1, &signer));

    /* u64 0 (Delegate), then Borsh: commit_frequency_ms u32, seeds Vec<bytes> without bump, validator Option<Pubkey> */
    u8 data[89];
    zero(data, 8);
    st32(data + 8, ld32(input->data + 8));
    st32(data + 12, 1);
    st32(data + 16, 32);
    copy(data + 20, entity, 32);
    copy(data + 52, input->data + 12, input->len - 12);
    for (u64 i = 0; i < 7; i++) {
        /* payer, account, owner program, buffer, record, metadata, system program */
        u64 at = i == 0 ? 0 : i < 6 ? i + 1 : 8;
        metas[i].key = accounts[at].key;
        metas[i].is_writable = i != 2 && i != 6;
        metas[i].is_signer = i < 2;
    }
    ix.program_id = ID_DELEGATION;
    ix.n = 7;
    ix.data = data;
    ix.len = 52 + input->len - 12;
    TRY(call(&ix, accounts, 9, &signer));
    return close_account(buffer, payer);
}

/* Resets fields that a component cannot keep when it comes back from a rollup. Each component defines it. */
static void returned(Account *component);

/* process_undelegation(seeds Vec<bytes>): account w, buffer ws, payer ws, system_program. The delegation
 * program calls it on the base chain. Its buffer, for which nobody else can sign, holds what the rollup committed. */
NOINLINE u64 process_undelegation(Account *accounts, const Input *input) {
    REQUIRE(input->n >= 4, InvalidAccount);
    Account *component = &accounts[0];
    const Account *buffer = &accounts[1], *payer = &accounts[2];
    TRY(check_signer(buffer));
    u8 bump, pda[32];
    Slice seeds[2] = {LITERAL(SEED_UNDELEGATE_BUFFER), {component->key, 32}};
    sol_try_find_program_address(seeds, 2, ID_DELEGATION, pda, &bump);
    REQUIRE(key_eq(pda, buffer->key) && key_eq(buffer->owner, ID_DELEGATION), InvalidCaller);
    REQUIRE(input->len == 48 && ld32(input->data + 8) == 1 && ld32(input->data + 12) == 32, InvalidArguments);
    const u8 *entity = input->data + 16;
    REQUIRE(buffer->data_len == COMPONENT_SIZE && ld64(buffer->data) == COMPONENT_DISC &&
                key_eq(buffer->data + ENTITY, entity),
            InvalidAccount);
    TRY(component_bump(component, entity, &bump));
    seeds[0] = slice(entity, 32);
    seeds[1] = slice(&bump, 1);
    SignerSeeds signer = {seeds, 2};
    /* the delegation program demands that `payer` paid exactly the rent-exempt minimum */
    REQUIRE(*component->lamports == 0, AlreadyCreated);
    TRY(create(payer, component, COMPONENT_SIZE, COMPONENT_ID, &signer));
    copy(component->data, buffer->data, COMPONENT_SIZE);
    /* The validator wrote these bytes, so they must not say who owns the lamports (the receipt does). Nobody owns a
     * match, and nothing depends on the component, since nothing did when it was handed over. */
    zero(PAYER(component), 32);
    copy(component->data + METADATA, ID_WORLD, 32);
    returned(component);
    return 0;
}

/* Checks who undelegates: a player or the writer after the challenge time, or player 1 if the match never began. */
NOINLINE u64 check_taking_back(const Account *signer, const Account *session, const Account *hidden, const u8 *entity) {
    TRY(check_signer(signer));
    TRY(check_sibling_anywhere(session, ID_SESSION_STATE, DISC_SessionState, sizeof(SessionState), entity));
    TRY(check_sibling_anywhere(hidden, ID_HIDDEN_STATE, DISC_HiddenState, sizeof(HiddenState), entity));
    bool player1 = key_eq(signer->key, SS(session, player1));
    if (session_status(session) != STATUS_WAITING_PLAYERS || !player1) TRY(check_settled(session));
    REQUIRE(player1 || key_eq(signer->key, SS(session, player2)) ||
                key_eq(signer->key, hidden->data + OFF(HiddenState, writer)),
            NotAPlayer);
    return 0;
}

/* undelegate: payer ws, account w, magic_context w, magic_program, session_state, hidden_state; in the rollup. The
 * account goes to the base chain as it is now, and belongs to the delegation program until it arrives there. */
NOINLINE u64 undelegate(Account *accounts, const Input *input) {
    NEED(6, 0);
    Account *payer = &accounts[0], *component = &accounts[1];
    TRY(check_component(component));
    TRY(check_taking_back(payer, &accounts[4], &accounts[5], component->data + ENTITY));
    REQUIRE(component->data_len == COMPONENT_SIZE, StillOpen);
    REQUIRE(key_eq(accounts[2].key, ID_MAGIC_CONTEXT) && key_eq(accounts[3].key, ID_MAGIC_PROGRAM), InvalidAccount);
    u8 data[4];
    st32(data, MAGIC_COMMIT_AND_UNDELEGATE);
    Meta metas[3] = {{payer->key, 1, 1}, {accounts[2].key, 1, 0}, {component->key, 1, 0}};
    Instruction ix = {ID_MAGIC_PROGRAM, metas, 3, data, sizeof data};
    return call(&ix, accounts, 4, 0);
}

#define DELEGATION_INSTRUCTIONS(disc) \
    if ((disc) == IX_DELEGATE) return delegate(accounts, input); \
    if ((disc) == IX_PROCESS_UNDELEGATION) return process_undelegation(accounts, input)
