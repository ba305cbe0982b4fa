/* Checks that the direct instructions of a session's components share. */
#pragma once
#include "component.h"

/* `other` belongs to the entity whose key stands at `entity`. */
INLINE u64 check_sibling(const Account *other, const u8 *owner, u64 disc, u64 size, u64 entity_offset, const u8 *entity) {
    TRY(check_foreign(other, owner, disc, size));
    REQUIRE(key_eq(other->data + entity_offset, entity), EntityMismatch);
    return 0;
}
#define SIBLING(account, T, ID, entity_key) \
    check_sibling((account), (ID), DISC_##T, sizeof(T), OFF(T, entity), (entity_key))

INLINE u8 session_status(const Account *session) { return session->data[OFF(SessionState, status)]; }

/* Player 1 signs and the session is over, or nobody joined it yet. */
INLINE u64 check_closing(const Account *player, const Account *session) {
    TRY(check_signer(player));
    REQUIRE(key_eq(session->data + OFF(SessionState, player1), player->key), NotAPlayer);
    u8 status = session_status(session);
    REQUIRE(status == STATUS_ENDED || status == STATUS_WAITING_PLAYERS, NotEnded);
    return 0;
}

/* The session is over and the signer is its writer or a player of it: who may give the writer's rent back to it. */
INLINE u64 check_returning(const Account *signer, const Account *hidden, const Account *session, const Account *writer) {
    TRY(check_signer(signer));
    REQUIRE(session_status(session) == STATUS_ENDED, NotEnded);
    const u8 *key = hidden->data + OFF(HiddenState, writer);
    REQUIRE(key_eq(writer->key, key), WriterMismatch);
    REQUIRE(key_eq(signer->key, key) || key_eq(signer->key, session->data + OFF(SessionState, player1)) ||
                key_eq(signer->key, session->data + OFF(SessionState, player2)),
            NotAPlayer);
    return 0;
}

/* The bound writer of the session signs. */
INLINE u64 check_writer(const Account *writer, const Account *hidden) {
    TRY(check_signer(writer));
    REQUIRE(key_eq(hidden->data + OFF(HiddenState, writer), writer->key), WriterMismatch);
    return 0;
}

/* `account` is the PDA of `owner` for `seeds` and that program no longer owns it. */
NOINLINE u64 check_gone(const Account *account, const u8 *owner, const Slice *seeds, u64 n) {
    u8 bump, pda[32];
    sol_try_find_program_address(seeds, n, owner, pda, &bump);
    REQUIRE(key_eq(account->key, pda), InvalidAccount);
    REQUIRE(!key_eq(account->owner, owner), StillOpen);
    return 0;
}
