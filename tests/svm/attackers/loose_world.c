/* A World that checks nothing, under World's own id. Components must refuse what it lets through. apply and
 * apply_with_session run no system: their args are u8 how (bit 0: update_with_session, the rest: which pair) and the
 * bytes to call it with. initialize_component and destroy_component call the account after the usual ones, where
 * there is one, instead of the component program. Flags are passed on unchanged. */
#include "accounts.h"

#define MAX_ACCOUNTS 20

INLINE Meta as_given(const Account *a) { return (Meta){a->key, a->is_writable, a->is_signer}; }

NOINLINE u64 update(const Account *a, const Input *input, u64 first) {
    u8 data[1024];
    const u8 *args = input->data + 12;
    u64 len = input->len - 13;
    bool session = args[0] & 1;
    first += 2 * (args[0] >> 1);
    st64(data, session ? IX_UPDATE_WITH_SESSION : IX_UPDATE);
    copy(data + 8, args + 1, len);
    Meta metas[4] = {as_given(&a[first + 1]), as_given(&a[1]), as_given(&a[2]), as_given(&a[4])};
    Instruction ix = {a[first].key, metas, session ? 4 : 3, data, 8 + len};
    return call(&ix, a, input->n, 0);
}

NOINLINE u64 initialize(const Account *a, const Input *input) {
    u8 data[8];
    st64(data, IX_INITIALIZE);
    Meta metas[6] = {as_given(&a[0]), as_given(&a[1]), as_given(&a[2]), as_given(&a[4]), as_given(&a[5]), as_given(&a[6])};
    Instruction ix = {input->n > 7 ? a[7].key : a[3].key, metas, 6, data, 8};
    return call(&ix, a, input->n, 0);
}

NOINLINE u64 destroy(const Account *a, const Input *input) {
    u8 data[8];
    st64(data, IX_DESTROY);
    Meta metas[7] = {as_given(&a[0]), as_given(&a[1]), as_given(&a[4]), as_given(&a[5]), as_given(&a[3]), as_given(&a[6]), as_given(&a[7])};
    Instruction ix = {input->n > 8 ? a[8].key : a[2].key, metas, 7, data, 8};
    return call(&ix, a, input->n, 0);
}

__attribute__((used)) u64 entrypoint(const u8 *in) {
    Account accounts[MAX_ACCOUNTS];
    Input input = parse_input(in, accounts, MAX_ACCOUNTS);
    u64 disc = ld64(input.data);
    if (disc == IX_APPLY) return update(accounts, &input, 4);
    if (disc == IX_APPLY_WITH_SESSION) return update(accounts, &input, 5);
    if (disc == IX_INITIALIZE_COMPONENT) return initialize(accounts, &input);
    if (disc == IX_DESTROY_COMPONENT) return destroy(accounts, &input);
    return 2;
}
