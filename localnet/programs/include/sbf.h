/* The SBF virtual machine as C sees it: entry input, accounts, syscalls, CPI. No libc, no writable globals. */
#pragma once
#include "constants.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef _Bool bool;

typedef u16 __attribute__((may_alias)) u16_any;
typedef u32 __attribute__((may_alias)) u32_any;
typedef u64 __attribute__((may_alias)) u64_any;

#define INLINE static inline __attribute__((always_inline, unused))
#define NOINLINE static __attribute__((noinline, unused))
#define TRY(expression) do { u64 error_ = (expression); if (error_) return error_; } while (0)
#define REQUIRE(condition, error) do { if (!(condition)) return (error); } while (0)

/* Plain loads and stores: the VM allows unaligned access, but clang would split packed fields into bytes. */
INLINE u16 ld16(const u8 *p) { return *(const u16_any *)p; }
INLINE u32 ld32(const u8 *p) { return *(const u32_any *)p; }
INLINE u64 ld64(const u8 *p) { return *(const u64_any *)p; }
INLINE void st16(u8 *p, u16 v) { *(u16_any *)p = v; }
INLINE void st32(u8 *p, u32 v) { *(u32_any *)p = v; }
INLINE void st64(u8 *p, u64 v) { *(u64_any *)p = v; }

INLINE u64 be64(u64 v) { return __builtin_bswap64(v); }

/* Same struct as SolAccountInfo, so an array of these is what sol_invoke_signed_c takes. */
typedef struct {
    u8 *key;
    u64 *lamports;
    u64 data_len;
    u8 *data;
    u8 *owner;
    u64 rent_epoch;
    bool is_signer;
    bool is_writable;
    bool executable;
} Account;

typedef struct { const u8 *key; bool is_writable; bool is_signer; } Meta;
typedef struct { const u8 *program_id; const Meta *metas; u64 n; const u8 *data; u64 len; } Instruction;
typedef struct { const u8 *data; u64 len; } Slice;
typedef struct { const Slice *seeds; u64 n; } SignerSeeds;

/* A string literal as a slice. This is a call, because a plain initializer becomes a constant that holds a pointer,
 * which the linker refuses. */
INLINE Slice slice(const void *data, u64 len) {
    Slice s = {data, len};
    return s;
}
#define LITERAL(text) slice((text), sizeof(text) - 1)

extern u64 sol_memcpy_(void *to, const void *from, u64 len);
extern u64 sol_memset_(void *to, u8 value, u64 len);
extern u64 sol_memcmp_(const void *a, const void *b, u64 len, i32 *result);
extern u64 sol_sha256(const Slice *parts, u64 n, u8 *out32);
extern u64 sol_invoke_signed_c(const Instruction *ix, const Account *infos, int n, const SignerSeeds *signers, int m);
extern u64 sol_set_return_data(const u8 *data, u64 len);
extern u64 sol_get_return_data(u8 *data, u64 len, u8 *program_id);
extern u64 sol_try_find_program_address(const Slice *seeds, u64 n, const u8 *program_id, u8 *out32, u8 *bump);
extern u64 sol_get_rent_sysvar(u8 *out24);
extern u64 sol_get_clock_sysvar(u8 *out40);

INLINE void copy(u8 *to, const u8 *from, u64 len) { sol_memcpy_(to, from, len); }
INLINE void zero(u8 *to, u64 len) { sol_memset_(to, 0, len); }
INLINE bool same(const u8 *a, const u8 *b, u64 len) {
    i32 result;
    sol_memcmp_(a, b, len, &result);
    return result == 0;
}
INLINE bool key_eq(const u8 *a, const u8 *b) {
    return ld64(a) == ld64(b) && ld64(a + 8) == ld64(b + 8) && ld64(a + 16) == ld64(b + 16) && ld64(a + 24) == ld64(b + 24);
}
INLINE bool key_zero(const u8 *a) { return (ld64(a) | ld64(a + 8) | ld64(a + 16) | ld64(a + 24)) == 0; }

INLINE i64 unix_time(void) {
    u8 clock[40];
    sol_get_clock_sysvar(clock);
    return (i64)ld64(clock + 32);
}

#define CLOCK_AHEAD_S 3600

/* Seconds since that moment, by the chain's clock. A rollup's clock may be ahead, so the answer can be a little below
 * zero. A moment that no clock can have shown counts as long ago: a validator wrote it, and nothing may wait for it. */
NOINLINE i64 seconds_since(i64 moment) {
    i64 now = unix_time();
    return moment < 0 || moment > now + CLOCK_AHEAD_S ? now : now - moment;
}

/* What the loader hands to the entry point. */
typedef struct {
    u64 n;            /* accounts stored in the caller's array */
    const u8 *data;   /* instruction data */
    u64 len;
    const u8 *program_id;
} Input;

/* Reads the input region into `accounts` (at most `max`; further ones are skipped). Layout: reference of the
 * loader's aligned serialization: per account dup u8, signer, writable, executable, 4 spare, key, owner, lamports,
 * data_len, data, MAX_INCREASE spare, padding to 8, rent_epoch; a duplicate is its index and 7 bytes. */
INLINE Input parse_input(const u8 *in, Account *accounts, u64 max) {
    Input input;
    u64 total = ld64(in);
    const u8 *p = in + 8;
    input.n = total < max ? total : max;
    for (u64 i = 0; i < total; i++) {
        if (*p != 0xff) {
            if (i < max) accounts[i] = accounts[*p < i ? *p : 0];
            p += 8;
            continue;
        }
        u64 data_len = ld64(p + 80);
        const u8 *end = p + 88 + ((data_len + MAX_INCREASE + 7) & ~7ULL);
        if (i < max) {
            Account *a = &accounts[i];
            a->is_signer = p[1] != 0;
            a->is_writable = p[2] != 0;
            a->executable = p[3] != 0;
            a->key = (u8 *)p + 8;
            a->owner = (u8 *)p + 40;
            a->lamports = (u64 *)(p + 72);
            a->data_len = data_len;
            a->data = (u8 *)p + 88;
            a->rent_epoch = ld64(end);
        }
        p = end + 8;
    }
    input.len = ld64(p);
    input.data = p + 8;
    input.program_id = p + 8 + input.len;
    return input;
}

/* Sets an account's data length; new bytes are zero. At most MAX_INCREASE above its length at entry. */
INLINE void resize(Account *a, u64 len) {
    a->data_len = len;
    st64(a->data - 8, len);
}
