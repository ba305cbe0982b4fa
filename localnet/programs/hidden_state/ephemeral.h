/* Checkpoints that exist in a rollup only, and the way back from it. Included by hidden_state.c. */
#pragma once

#define MAGIC_CREATE 12 /* CreateEphemeralAccount {data_len u32} of the rollup's Magic program, bincode u32 */
#define MAGIC_RESIZE 13 /* ResizeEphemeralAccount {data_len u32} */
#define MAGIC_CLOSE 14  /* CloseEphemeralAccount */

/* Calls the Magic program for a checkpoint that exists in the rollup only. The hidden state pays 32 lamports for each
 * byte, and gets them back at the end. accounts: hidden_state w, checkpoint w, vault w, magic_program. */
NOINLINE u64 magic(Account *accounts, u8 side, u32 instruction, u32 len) {
    Account *hidden = &accounts[0], *checkpoint = &accounts[1];
    REQUIRE(hidden->is_writable && checkpoint->is_writable, InvalidAccount);
    REQUIRE(key_eq(accounts[2].key, ID_MAGIC_VAULT) && key_eq(accounts[3].key, ID_MAGIC_PROGRAM), InvalidAccount);
    u8 bump, pda[32], data[8];
    Slice seeds[4] = {LITERAL(SEED_CHECKPOINT), {HS(hidden, entity), 32}, {&side, 1}, {&bump, 1}};
    sol_try_find_program_address(seeds, 3, COMPONENT_ID, pda, &bump);
    REQUIRE(key_eq(pda, checkpoint->key), InvalidAccount);
    u8 payer_bump;
    TRY(component_bump(hidden, HS(hidden, entity), &payer_bump));
    Slice payer_seeds[2] = {{HS(hidden, entity), 32}, {&payer_bump, 1}};
    SignerSeeds signers[2] = {{payer_seeds, 2}, {seeds, 4}};
    st32(data, instruction);
    st32(data + 4, len);
    Meta metas[3] = {{hidden->key, 1, 1}, {checkpoint->key, 1, 1}, {accounts[2].key, 1, 0}};
    Instruction ix = {ID_MAGIC_PROGRAM, metas, 3, data, instruction == MAGIC_CLOSE ? 4 : 8};
    return sol_invoke_signed_c(&ix, accounts, 4, signers, 2);
}

/* checkpoint_create_ephemeral(side u8, data_size u32): writer s, hidden_state w, checkpoint w, vault w,
 * magic_program. */
NOINLINE u64 checkpoint_create_ephemeral(Account *accounts, const Input *input) {
    NEED(5, 5);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_creation(hidden, checkpoint, ARGS[0], ld32(ARGS + 1)));
    TRY(magic(accounts + 1, ARGS[0], MAGIC_CREATE, next_len(0, checkpoint_bytes(hidden, ld32(ARGS + 1)))));
    checkpoint->data_len = ld64(checkpoint->data - 8);
    begin_checkpoint(hidden, checkpoint, hidden->key, ARGS[0], ld32(ARGS + 1));
    return 0;
}

/* checkpoint_grow_ephemeral(side u8): writer s, hidden_state w, checkpoint w, vault w, magic_program. */
NOINLINE u64 checkpoint_grow_ephemeral(Account *accounts, const Input *input) {
    NEED(5, 1);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    if (is_full(checkpoint, hidden)) return 0;
    u64 len = next_len(checkpoint->data_len, full_size(checkpoint, hidden));
    return magic(accounts + 1, ARGS[0], MAGIC_RESIZE, len);
}

/* checkpoint_close_ephemeral(side u8): signer s, hidden_state w, checkpoint w, vault w, magic_program, session_state. */
NOINLINE u64 checkpoint_close_ephemeral(Account *accounts, const Input *input) {
    NEED(6, 1);
    Account *hidden = &accounts[1], *checkpoint = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_taking_back(&accounts[0], &accounts[5], hidden, hidden->data + ENTITY));
    TRY(check_checkpoint(checkpoint, hidden, ARGS[0]));
    *HS(hidden, holds) &= ~HOLDS_CHECKPOINT(ARGS[0]);
    return magic(accounts + 1, ARGS[0], MAGIC_CLOSE, 0);
}

/* undelegate: accounts as for all components, then checkpoint A and B. Both must be gone, or nobody would own them. */
NOINLINE u64 undelegate_hidden(Account *accounts, const Input *input) {
    NEED(8, 0);
    Account *hidden = &accounts[1];
    TRY(check_component(hidden));
    TRY(check_checkpoints_gone(accounts + 6, hidden));
    *HS(hidden, holds) &= ~HOLDS; /* a rollup that was restarted has lost them */
    return undelegate(accounts, input);
}
