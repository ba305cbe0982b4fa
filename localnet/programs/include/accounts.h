/* Rent, creation, growth and closing of accounts. */
#pragma once
#include "constants.h"
#include "discriminators.h"
#include "errors.h"
#include "ids.h"
#include "sbf.h"

/* The chain hash of frame 0 with the cartridge in it: SHA-256("awm:genesis:v2" ‖ hash ‖ cartridge's SHA-256). */
INLINE void genesis_of_cartridge(u8 *chain_hash, const u8 *cartridge) {
    u8 hash[32];
    Slice parts[3] = {LITERAL(TAG_CARTRIDGE), {chain_hash, 32}, {cartridge, 32}};
    sol_sha256(parts, 3, hash);
    copy(chain_hash, hash, 32);
}

#define ACCOUNT_OVERHEAD 128 /* bytes that rent adds to every account */

/* Lamports that make an account of `len` bytes rent-exempt: (128 + len) × lamports per byte-year × threshold. The
 * threshold is a double; its exponent and the top 20 bits of its mantissa are all that known clusters use. */
NOINLINE u64 rent_minimum(u64 len) {
    u8 rent[24];
    sol_get_rent_sysvar(rent);
    u64 threshold = ld64(rent + 8);
    u64 exponent = (threshold >> 52) & 0x7ff;
    u64 mantissa = ((threshold >> 32) & 0xfffff) | 0x100000;
    return ((len + ACCOUNT_OVERHEAD) * ld64(rent) * mantissa) >> (20 + 1023 - exponent);
}

NOINLINE u64 call(const Instruction *ix, const Account *infos, u64 n, const SignerSeeds *signer) {
    return sol_invoke_signed_c(ix, infos, (int)n, signer, signer ? 1 : 0);
}

/* System program's Transfer. InsufficientFunds where `from` has less. */
NOINLINE u64 transfer(const Account *from, const Account *to, u64 lamports) {
    REQUIRE(*from->lamports >= lamports, InsufficientFunds);
    u8 data[12];
    st32(data, 2);
    st64(data + 4, lamports);
    Account infos[2] = {*from, *to};
    Meta metas[2] = {{from->key, 1, 1}, {to->key, 1, 0}};
    Instruction ix = {ID_SYSTEM_PROGRAM, metas, 2, data, sizeof data};
    return call(&ix, infos, 2, 0);
}

/* Gives `account`, which already holds the rent, to `owner`, with `len` bytes. `beside` is passed along, because an
 * account of the running program whose lamports changed in this instruction must be in every call. */
NOINLINE u64 create_paid(const Account *beside, Account *account, u64 len, const u8 *owner, const SignerSeeds *seeds) {
    u8 data[36];
    Account infos[2] = {*account, *beside};
    Meta metas[2] = {{account->key, 1, 1}, {beside->key, 1, 0}};
    Instruction ix = {ID_SYSTEM_PROGRAM, metas, 2, data, 12};
    st32(data, 8); /* Allocate */
    st64(data + 4, len);
    TRY(call(&ix, infos, 2, seeds));
    st32(data, 1); /* Assign */
    copy(data + 4, owner, 32);
    ix.len = 36;
    TRY(call(&ix, infos, 2, seeds));
    account->data_len = ld64(account->data - 8);
    return 0;
}

/* Creates `account`, the PDA of `owner` that `seeds` (bump included) sign for. An account that already holds lamports
 * is topped up, allocated and assigned instead, so that nobody can block an address by funding it. */
NOINLINE u64 create(const Account *payer, Account *account, u64 len, const u8 *owner, const SignerSeeds *seeds) {
    u8 data[52];
    u64 minimum = rent_minimum(len);
    Account infos[2] = {*payer, *account};
    Meta metas[2] = {{payer->key, 1, 1}, {account->key, 1, 1}};
    Instruction ix = {ID_SYSTEM_PROGRAM, metas, 2, data, 52};
    if (*account->lamports == 0 || !key_eq(account->owner, ID_SYSTEM_PROGRAM)) {
        REQUIRE(*payer->lamports >= minimum, InsufficientFunds);
        st32(data, 0);
        st64(data + 4, minimum);
        st64(data + 12, len);
        copy(data + 20, owner, 32);
        TRY(call(&ix, infos, 2, seeds));
    } else {
        if (*account->lamports < minimum) TRY(transfer(payer, account, minimum - *account->lamports));
        ix.metas = metas + 1;
        ix.n = 1;
        st32(data, 8); /* Allocate */
        st64(data + 4, len);
        ix.len = 12;
        TRY(call(&ix, infos + 1, 1, seeds));
        st32(data, 1); /* Assign */
        copy(data + 4, owner, 32);
        ix.len = 36;
        TRY(call(&ix, infos + 1, 1, seeds));
    }
    account->data_len = ld64(account->data - 8);
    return 0;
}

/* `payer`, which signs, pays what an account of the running program lacks to be `len` bytes long. */
NOINLINE u64 pay_rent(const Account *payer, const Account *account, u64 len) {
    REQUIRE(account->is_writable, InvalidAccount);
    u64 minimum = rent_minimum(len);
    return *account->lamports < minimum ? transfer(payer, account, minimum - *account->lamports) : 0;
}

/* Grows an account of the running program to `len`. `payer`, which signs, pays the rent. */
INLINE u64 grow(const Account *payer, Account *account, u64 len) {
    TRY(pay_rent(payer, account, len));
    resize(account, len);
    return 0;
}

/* The next length on the way to `target`: at most MAX_INCREASE more. */
INLINE u64 next_len(u64 len, u64 target) { return target - len > MAX_INCREASE ? len + MAX_INCREASE : target; }

/* Moves lamports out of an account of the running program. */
INLINE void move(const Account *from, const Account *to, u64 lamports) {
    *from->lamports -= lamports;
    *to->lamports += lamports;
}

/* Closes an account of the running program: all lamports to `receiver`, no data, back to the system program. */
NOINLINE u64 close_account(Account *account, const Account *receiver) {
    REQUIRE(account->is_writable && receiver->is_writable && !key_eq(account->key, receiver->key), InvalidAccount);
    *receiver->lamports += *account->lamports;
    *account->lamports = 0;
    resize(account, 0);
    copy(account->owner, ID_SYSTEM_PROGRAM, 32);
    return 0;
}
