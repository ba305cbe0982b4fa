/* The deposit: what player 1 puts aside for the match's accounts and, by the frame, for the writer's fees. It is the PDA
 * ["deposit", entity] of hidden-state, and all of it is player 1's until a frame is written. Included by
 * hidden_state.c. */
#pragma once

#define DP(account, field) ((account)->data + OFF(Deposit, field))

/* Checks that the account is this session's deposit. */
NOINLINE u64 check_deposit(const Account *account, const Account *hidden) {
    TRY(check_foreign(account, COMPONENT_ID, DISC_Deposit, sizeof(Deposit)));
    REQUIRE(key_eq(DP(account, entity), hidden->data + ENTITY), EntityMismatch);
    REQUIRE(account->is_writable, InvalidAccount);
    return 0;
}

/* The price of the frames since the last payment, at most what the deposit holds beyond its own rent. */
NOINLINE u64 owed(const Account *account, const Account *hidden) {
    u64 frames = ld32(HS(hidden, frame)) - ld32(DP(account, paid_frames)), price = ld64(DP(account, frame_lamports));
    u64 free = *account->lamports - rent_minimum(sizeof(Deposit));
    return price && frames > free / price ? free : frames * price;
}

/* deposit(lamports u64, frame_lamports u64): depositor ws, hidden_state w, session_state, deposit w, system_program.
 * Player 1 puts lamports aside and sets the price of a frame. Another call with the same price adds lamports. */
NOINLINE u64 deposit(Account *accounts, const Input *input) {
    NEED(5, 16);
    Account *depositor = &accounts[0], *hidden = &accounts[1], *account = &accounts[3];
    const Account *session = &accounts[2];
    TRY(check_signer(depositor));
    TRY(check_component(hidden));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    u8 status = session_status(session);
    REQUIRE(status == STATUS_WAITING_PLAYERS || status == STATUS_ACTIVE, NotActive);
    REQUIRE(key_eq(depositor->key, SS(session, player1)), NotAPlayer);
    REQUIRE(!key_zero(HS(hidden, writer)), WriterMismatch);
    REQUIRE(hidden->is_writable && ld64(ARGS + 8) <= MAX_FRAME_PRICE, OutOfRange);
    if (!(*HS(hidden, holds) & HOLDS_DEPOSIT)) {
        u8 bump, pda[32];
        Slice seeds[3] = {LITERAL(SEED_DEPOSIT), {hidden->data + ENTITY, 32}, {&bump, 1}};
        sol_try_find_program_address(seeds, 2, COMPONENT_ID, pda, &bump);
        REQUIRE(key_eq(pda, account->key), InvalidAccount);
        SignerSeeds signer = {seeds, 3};
        TRY(create(depositor, account, sizeof(Deposit), COMPONENT_ID, &signer));
        st64(account->data, DISC_Deposit);
        copy(DP(account, entity), hidden->data + ENTITY, 32);
        copy(DP(account, depositor), depositor->key, 32);
        st64(DP(account, frame_lamports), ld64(ARGS + 8));
        st32(DP(account, paid_frames), ld32(HS(hidden, frame)));
        *HS(hidden, holds) |= HOLDS_DEPOSIT;
    }
    TRY(check_deposit(account, hidden));
    REQUIRE(ld64(DP(account, frame_lamports)) == ld64(ARGS + 8), OutOfRange);
    return transfer(depositor, account, ld64(ARGS));
}

/* Tops `account` up to `lamports` from the deposit, without touching what the writer has earned. */
NOINLINE u64 take(const Account *from, const Account *hidden, const Account *account, u64 lamports) {
    if (*account->lamports >= lamports) return 0;
    u64 missing = lamports - *account->lamports, kept = rent_minimum(sizeof(Deposit)) + owed(from, hidden);
    REQUIRE(*from->lamports >= kept && *from->lamports - kept >= missing, InsufficientFunds);
    move(from, account, missing);
    return 0;
}

/* checkpoint_create_deposited(side u8, data_size u32): writer s, hidden_state w, session_state, checkpoint w, deposit w,
 * system_program. Like checkpoint_create, but the deposit pays, and the lamports stay the depositor's. */
NOINLINE u64 checkpoint_create_deposited(Account *accounts, const Input *input) {
    NEED(6, 5);
    Account *writer = &accounts[0], *hidden = &accounts[1], *checkpoint = &accounts[3], *account = &accounts[4];
    TRY(check_component(hidden));
    TRY(check_writer(writer, hidden));
    TRY(SIBLING(&accounts[2], SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    TRY(check_deposit(account, hidden));
    u8 side = ARGS[0];
    u32 data_size = ld32(ARGS + 1);
    TRY(check_creation(hidden, checkpoint, side, data_size));
    REQUIRE(checkpoint->is_writable && key_eq(checkpoint->owner, ID_SYSTEM_PROGRAM), InvalidAccount);
    TRY(take(account, hidden, checkpoint, rent_minimum(checkpoint_bytes(hidden, data_size))));
    TRY(make_checkpoint(account, hidden, checkpoint, side, data_size));
    begin_checkpoint(hidden, checkpoint, DP(account, depositor), side, data_size);
    return 0;
}

/* ring_fund(capacity u16): writer s, hidden_state, session_state, deposit w, frame_log w. The deposit pays for a ring of
 * that capacity, so that ring_grow finds it paid. The log's lamports belong to its payer, who is the depositor. */
NOINLINE u64 ring_fund(Account *accounts, const Input *input) {
    NEED(5, 2);
    Account *hidden = &accounts[1], *account = &accounts[3], *log = &accounts[4];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(SIBLING(&accounts[2], SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    TRY(check_deposit(account, hidden));
    TRY(SIBLING(log, FrameLog, ID_FRAME_LOG, hidden->data + ENTITY));
    REQUIRE(log->is_writable, InvalidAccount);
    REQUIRE(log->data_len >= LOG_WITHOUT_RING, InvalidAccount);
    REQUIRE(key_eq(PAYMENTS(log, payer), DP(account, depositor)), PayerMismatch);
    return take(account, hidden, log, rent_minimum(log_bytes(hidden, ld16(ARGS))));
}

/* Pays the writer for the frames since the last payment. Where the writer's account would stay below its rent, nothing
 * is paid, and the lamports stay the depositor's. */
NOINLINE u64 pay_writer(const Account *account, const Account *hidden, const Account *writer) {
    REQUIRE(key_eq(writer->key, HS(hidden, writer)), WriterMismatch);
    REQUIRE(writer->is_writable && !key_eq(writer->key, account->key), InvalidAccount);
    u64 lamports = owed(account, hidden);
    if (*writer->lamports + lamports < rent_minimum(writer->data_len)) return 0;
    move(account, writer, lamports);
    copy(DP(account, paid_frames), HS(hidden, frame), 4);
    return 0;
}

/* deposit_draw: writer s w, hidden_state, deposit w. */
NOINLINE u64 deposit_draw(Account *accounts, const Input *input) {
    NEED(3, 0);
    Account *hidden = &accounts[1], *account = &accounts[2];
    TRY(check_component(hidden));
    TRY(check_writer(&accounts[0], hidden));
    TRY(check_deposit(account, hidden));
    return pay_writer(account, hidden, &accounts[0]);
}

/* deposit_close: signer s, hidden_state w, session_state, deposit w, depositor w, writer w. Only after the
 * session's end: the writer is paid for its last frames, and the depositor gets the rest. */
NOINLINE u64 deposit_close(Account *accounts, const Input *input) {
    NEED(6, 0);
    Account *hidden = &accounts[1], *account = &accounts[3], *depositor = &accounts[4];
    const Account *session = &accounts[2];
    TRY(check_signer(&accounts[0]));
    TRY(check_component(hidden));
    TRY(SIBLING(session, SessionState, ID_SESSION_STATE, hidden->data + ENTITY));
    REQUIRE(session_status(session) == STATUS_ENDED, NotEnded);
    TRY(check_deposit(account, hidden));
    REQUIRE(key_eq(depositor->key, DP(account, depositor)), PayerMismatch);
    REQUIRE(hidden->is_writable, InvalidAccount);
    TRY(pay_writer(account, hidden, &accounts[5]));
    *HS(hidden, holds) &= ~HOLDS_DEPOSIT;
    return close_account(account, depositor);
}
