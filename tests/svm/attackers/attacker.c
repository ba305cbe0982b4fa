/* An attacker's program, in every role that BOLT has for a program. It forges the struct of the account that it is
 * given, with the byte at `position` flipped. Instruction data (after BOLT's discriminators where World calls): u16
 * position. */
#include "accounts.h"
#include "awm_layout.h"

#define MAX_ACCOUNTS 16
#define IX_ATTACK 0 /* top-level: CPI into the component's update */
#define IX_RELAY 1  /* top-level: CPI into World with the data that follows */

NOINLINE u64 forge_update(const Account *component, const Account *authority, const Account *sysvar, u64 position) {
    u8 data[12 + 512];
    u64 len = component->data_len - 8;
    REQUIRE(len <= 512, 1);
    st64(data, IX_UPDATE);
    st32(data + 8, len);
    copy(data + 12, component->data + 8, len);
    data[12 + position] ^= 1;
    Account infos[3] = {*component, *authority, *sysvar};
    Meta metas[3] = {{component->key, 1, 0}, {authority->key, 0, 1}, {sysvar->key, 0, 0}};
    Instruction ix = {component->owner, metas, 3, data, 12 + len};
    return call(&ix, infos, 3, 0);
}

/* As a system, returns every component's struct, with the first one's byte at `position` flipped. The components follow
 * the authority, and are the accounts with an owner, up to the count in the args. */
NOINLINE u64 forge_structs(const Account *accounts, const Input *input) {
    u8 out[1024], *p = out + 4;
    u64 position = ld16(input->data + 12), count = input->data[14], which = input->data[15];
    st32(out, count);
    for (u64 i = 0; i < count; i++) {
        const Account *a = &accounts[1 + i];
        bool log = a->data_len >= 8 && ld64(a->data) == DISC_FrameLog; /* without its ring */
        u64 len = i > 3 ? 0 : log ? sizeof(FrameLog) - 8 : a->data_len > 340 ? 104 : a->data_len - 8;
        st32(p, len);
        copy(p + 4, a->data + 8, len);
        if (i == which) p[4 + position] ^= 1;
        p += 4 + len;
    }
    sol_set_return_data(out, p - out);
    return 0;
}

/* At the top level, calls World with the accounts and flags that it was given; the last account is World itself. */
NOINLINE u64 relay(const Account *accounts, const Input *input) {
    Meta metas[MAX_ACCOUNTS];
    u64 n = input->n - 1;
    for (u64 i = 0; i < n; i++) metas[i] = (Meta){accounts[i].key, accounts[i].is_writable, accounts[i].is_signer};
    Instruction ix = {ID_WORLD, metas, n, input->data + 8, input->len - 8};
    return call(&ix, accounts, n, 0);
}

__attribute__((used)) u64 entrypoint(const u8 *in) {
    Account accounts[MAX_ACCOUNTS];
    Input input = parse_input(in, accounts, MAX_ACCOUNTS);
    u64 disc = ld64(input.data);
    if (disc == IX_BOLT_EXECUTE) return forge_structs(accounts, &input);
    if (disc == IX_UPDATE) return forge_update(&accounts[0], &accounts[1], &accounts[2], 20); /* as a pair's program */
    if (disc == IX_ATTACK) return forge_update(&accounts[0], &accounts[1], &accounts[2], ld16(input.data + 8));
    if (disc == IX_RELAY) return relay(accounts, &input);
    return 2;
}
