/* Checks that the direct instructions of a session's components share: who may close what, when, and for whom. */
#pragma once
#include "component.h"

/* Checks that `other` belongs to the entity whose key is at `entity`. */
INLINE u64 check_sibling(const Account *other, const u8 *owner, u64 disc, u64 size, u64 entity_offset, const u8 *entity) {
    TRY(check_foreign(other, owner, disc, size));
    REQUIRE(key_eq(other->data + entity_offset, entity), EntityMismatch);
    return 0;
}
#define SIBLING(account, T, ID, entity_key) \
    check_sibling((account), (ID), DISC_##T, sizeof(T), OFF(T, entity), (entity_key))

#define SS(account, field) ((account)->data + OFF(SessionState, field))

/* The session's status. A validator can have written one that does not exist, which counts as ended: the delegation
 * program demands that a component comes back from a rollup without any change, so nothing can correct it there. */
INLINE u8 session_status(const Account *session) {
    u8 status = *SS(session, status);
    return status > STATUS_ENDED ? STATUS_ENDED : status;
}

/* Checks that the session has ended, and that its challenge time, in which anybody can read result and log, is over. A
 * match without a frame has no result, and so no challenge time. */
NOINLINE u64 check_settled(const Account *session) {
    REQUIRE(session_status(session) == STATUS_ENDED, NotEnded);
    if (ld32(SS(session, frame)) == 0) return 0;
    REQUIRE(seconds_since((i64)ld64(SS(session, last_update))) >= ld16(SS(session, challenge_s)), ChallengeOpen);
    return 0;
}

/* Checks that the session is over. Anybody may then return the lamports to their owners. */
INLINE u64 check_returning(const Account *signer, const Account *session) {
    TRY(check_signer(signer));
    return check_settled(session);
}

/* Checks that the session's bound writer signs. */
INLINE u64 check_writer(const Account *writer, const Account *hidden) {
    TRY(check_signer(writer));
    REQUIRE(key_eq(hidden->data + OFF(HiddenState, writer), writer->key), WriterMismatch);
    return 0;
}

NOINLINE u64 check_pda(const Account *account, const u8 *owner, const Slice *seeds, u64 n) {
    u8 bump, pda[32];
    sol_try_find_program_address(seeds, n, owner, pda, &bump);
    REQUIRE(key_eq(account->key, pda), InvalidAccount);
    return 0;
}

/* Checks that `account` is the PDA of `owner` for `seeds`, and that this program no longer owns it. */
NOINLINE u64 check_gone(const Account *account, const u8 *owner, const Slice *seeds, u64 n) {
    TRY(check_pda(account, owner, seeds, n));
    REQUIRE(!key_eq(account->owner, owner), StillOpen);
    return 0;
}

/* Like check_gone, and no other program may own it either, since a component in a rollup comes back. */
NOINLINE u64 check_closed(const Account *account, const u8 *owner, const u8 *entity) {
    Slice seed = {entity, 32};
    TRY(check_pda(account, owner, &seed, 1));
    REQUIRE(key_eq(account->owner, ID_SYSTEM_PROGRAM), StillOpen);
    return 0;
}

/* The receipt stores the payer of a component that was in a rollup, where the validator could have written another key.
 * It is the PDA ["payer", entity] of the component's program. */
#define RECEIPT_SEEDS(entity_key) {LITERAL(SEED_RECEIPT), {(entity_key), 32}, {&bump, 1}}

INLINE bool has_receipt(const Account *receipt) {
    return key_eq(receipt->owner, COMPONENT_ID) && receipt->data_len == sizeof(Receipt) &&
           ld64(receipt->data) == DISC_Receipt;
}

/* Copies the key that paid for a component into `payer`. */
NOINLINE u64 read_payer(const Account *component, const Account *receipt, u8 *payer) {
    const u8 *entity = component->data + ENTITY;
    Slice seeds[2] = {LITERAL(SEED_RECEIPT), {entity, 32}};
    TRY(check_pda(receipt, COMPONENT_ID, seeds, 2));
    bool written = has_receipt(receipt);
    const u8 *key = PAYER(component);
    REQUIRE(written || !key_zero(key), InvalidAccount);
    copy(payer, written ? receipt->data + OFF(Receipt, payer) : key, 32);
    return 0;
}

/* Checks that the signer may close a component for `payer`, who paid for it. Before CREATE, or where no session is
 * left, only that key may; while player 2 is awaited, player 1; afterwards anybody. */
NOINLINE u64 check_closing(const Account *signer, const Account *component, const Account *session,
                           const Account *payer, const Account *receipt) {
    u8 key[32];
    TRY(check_signer(signer));
    TRY(read_payer(component, receipt, key));
    REQUIRE(key_eq(payer->key, key), PayerMismatch);
    Slice seed = {component->data + ENTITY, 32};
    TRY(check_pda(session, ID_SESSION_STATE, &seed, 1));
    u8 status = STATUS_CREATED;
    if (!key_eq(session->owner, ID_SYSTEM_PROGRAM)) {
        TRY(SIBLING(session, SessionState, ID_SESSION_STATE, component->data + ENTITY));
        status = session_status(session);
    }
    if (status == STATUS_CREATED) REQUIRE(key_eq(signer->key, key), PayerMismatch);
    else if (status == STATUS_WAITING_PLAYERS) REQUIRE(key_eq(signer->key, SS(session, player1)), NotAPlayer);
    else TRY(check_settled(session));
    return 0;
}

/* Closes a component and its receipt. All lamports go to the key that paid them. */
NOINLINE u64 close_component(Account *component, const Account *payer, Account *receipt) {
    if (has_receipt(receipt)) TRY(close_account(receipt, payer));
    return close_account(component, payer);
}
