/* The account checks that Anchor makes for the real World, with the numbers of its errors. */
#ifndef AWM_WORLD_ANCHOR_H
#define AWM_WORLD_ANCHOR_H

#include "accounts.h"

enum AnchorError {
    FallbackNotFound = 101,
    DidNotDeserialize = 102,
    ConstraintMut = 2000,
    ConstraintSeeds = 2006,
    DiscriminatorMismatch = 3002,
    NotEnoughAccounts = 3005,
    OwnedByWrongProgram = 3007,
    InvalidProgramId = 3008,
    AccountNotSigner = 3010,
    SysvarMismatch = 3015,
};

#define ACCOUNTS(count) REQUIRE(input->n >= (count), NotEnoughAccounts)

INLINE u64 check_payer(const Account *a) {
    REQUIRE(a->is_signer, AccountNotSigner);
    REQUIRE(a->is_writable, ConstraintMut);
    return 0;
}

INLINE u64 check_system_program(const Account *a) {
    REQUIRE(key_eq(a->key, ID_SYSTEM_PROGRAM), InvalidProgramId);
    return 0;
}

INLINE u64 check_sysvar(const Account *a) {
    REQUIRE(key_eq(a->key, ID_INSTRUCTIONS_SYSVAR), SysvarMismatch);
    return 0;
}

INLINE u64 check_typed(const Account *a, const u8 *owner, u64 disc, u64 size) {
    REQUIRE(key_eq(a->owner, owner), OwnedByWrongProgram);
    REQUIRE(a->data_len >= size && ld64(a->data) == disc, DiscriminatorMismatch);
    return 0;
}

#endif
