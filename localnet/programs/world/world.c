/* World: BOLT's world program, interface-compatible with the real 0.2.4 in both directions. Its own errors are
 * the real World's, and errors of account checks are Anchor's. It differs in two ways: add_authority by a stranger is
 * refused (the real one does nothing and succeeds), and remove_authority and remove_system return the rent. */
#include "accounts.h"
#include "anchor.h"
#include "awm_layout.h"

/* The authorities' keys, which follow their count. */
#define KEYS (OFF(World, authorities) + 4)
#define REGISTRY_SIZE sizeof(Registry)
#define WORLD_SIZE 33   /* no authorities, no systems */
#define ENTITY_SIZE 33
#define MAX_ACCOUNTS 64
#define MAX_DATA 2048   /* bytes of one CPI's data */

/* The 32 KiB heap holds what the stack has no room for. */
typedef struct {
    Account accounts[MAX_ACCOUNTS];
    Account infos[MAX_ACCOUNTS];
    Meta metas[MAX_ACCOUNTS];
    u8 data[MAX_DATA];
    u8 output[1024];
} Heap;
#define HEAP ((Heap *)0x300000000ULL)
_Static_assert(sizeof(Heap) <= 32768, "heap");

/* The offsets in a World account, whose vectors follow each other. */
typedef struct { u32 n_keys; u8 *keys, *permissionless; u32 systems_len; u8 *systems; } WorldView;

INLINE u64 view_world(const Account *world, WorldView *v) {
    TRY(check_typed(world, ID_WORLD, DISC_World, WORLD_SIZE));
    v->n_keys = ld32(world->data + OFF(World, authorities));
    v->keys = world->data + KEYS;
    u64 end = KEYS + 32 * (u64)v->n_keys;
    REQUIRE(end + 5 <= world->data_len, DidNotDeserialize);
    v->permissionless = world->data + end;
    v->systems_len = ld32(world->data + end + 1);
    v->systems = world->data + end + 5;
    REQUIRE(end + 5 + v->systems_len <= world->data_len, DidNotDeserialize);
    return 0;
}

/* Index of `key` among n keys, or n where it is missing. */
INLINE u64 find_key(const u8 *keys, u64 n, const u8 *key) {
    u64 i = 0;
    while (i < n && !key_eq(keys + 32 * i, key)) i++;
    return i;
}

/* Approved systems: a Borsh set, u32 count and sorted keys; nothing at all before the first approval. */
INLINE u64 n_systems(const WorldView *v) {
    u64 n = v->systems_len >= 4 ? ld32(v->systems) : 0;
    return 4 + 32 * n == v->systems_len ? n : 0;
}

INLINE u64 check_world_pda(const Account *world, u64 id) {
    u64 id_be = be64(id);
    u8 bump, pda[32];
    Slice seeds[2] = {LITERAL(SEED_WORLD), {(const u8 *)&id_be, 8}};
    sol_try_find_program_address(seeds, 2, ID_WORLD, pda, &bump);
    REQUIRE(key_eq(pda, world->key), ConstraintSeeds);
    return 0;
}

/* initialize_registry: registry w, payer ws, system_program. */
NOINLINE u64 initialize_registry(Account *a, const Input *input) {
    ACCOUNTS(3);
    TRY(check_payer(&a[1]));
    TRY(check_system_program(&a[2]));
    u8 bump, pda[32];
    Slice seeds[2] = {LITERAL(SEED_REGISTRY), {&bump, 1}};
    sol_try_find_program_address(seeds, 1, ID_WORLD, pda, &bump);
    REQUIRE(key_eq(pda, a[0].key), ConstraintSeeds);
    SignerSeeds signer = {seeds, 2};
    TRY(create(&a[1], &a[0], REGISTRY_SIZE, ID_WORLD, &signer));
    st64(a[0].data, DISC_Registry);
    return 0;
}

/* initialize_new_world: payer ws, world w, registry w, system_program. */
NOINLINE u64 initialize_new_world(Account *a, const Input *input) {
    ACCOUNTS(4);
    TRY(check_payer(&a[0]));
    TRY(check_system_program(&a[3]));
    Account *world = &a[1], *registry = &a[2];
    TRY(check_typed(registry, ID_WORLD, DISC_Registry, REGISTRY_SIZE));
    REQUIRE(registry->is_writable, ConstraintMut);
    u64 id = ld64(registry->data + 8), id_be = be64(id);
    u8 bump, pda[32];
    Slice seeds[3] = {LITERAL(SEED_WORLD), {(const u8 *)&id_be, 8}, {&bump, 1}};
    sol_try_find_program_address(seeds, 2, ID_WORLD, pda, &bump);
    REQUIRE(key_eq(pda, world->key), ConstraintSeeds);
    SignerSeeds signer = {seeds, 3};
    TRY(create(&a[0], world, WORLD_SIZE, ID_WORLD, &signer));
    st64(world->data, DISC_World);
    st64(world->data + OFF(World, id), id);
    world->data[KEYS] = 1; /* permissionless; no authorities come before it */
    st64(registry->data + 8, id + 1);
    return 0;
}

/* add_entity(extra_seed Option<bytes>): payer ws, entity w, world w, system_program. */
NOINLINE u64 add_entity(Account *a, const Input *input) {
    ACCOUNTS(4);
    TRY(check_payer(&a[0]));
    TRY(check_system_program(&a[3]));
    Account *entity = &a[1], *world = &a[2];
    TRY(check_typed(world, ID_WORLD, DISC_World, WORLD_SIZE));
    REQUIRE(world->is_writable, ConstraintMut);
    const u8 *args = input->data + 8;
    u64 len = input->len - 8;
    REQUIRE(len >= 1 && args[0] <= 1, DidNotDeserialize);
    bool extra = args[0];
    REQUIRE(!extra || (len >= 5 && ld32(args + 1) == len - 5), DidNotDeserialize);
    u64 id = ld64(world->data + OFF(World, id)), number = ld64(world->data + OFF(World, entities));
    REQUIRE(check_world_pda(world, id) == 0, WorldAccountMismatch);
    u64 id_be = be64(id), number_be = extra ? 0 : be64(number);
    u8 bump, pda[32];
    Slice seeds[5] = {LITERAL(SEED_ENTITY), {(const u8 *)&id_be, 8}, {(const u8 *)&number_be, 8}, {&bump, 1}};
    u64 n = 3;
    if (extra) {
        REQUIRE(len - 5 <= 32, ConstraintSeeds); /* a seed has at most 32 bytes */
        seeds[n++] = (Slice){args + 5, len - 5};
    }
    REQUIRE(sol_try_find_program_address(seeds, n, ID_WORLD, pda, &bump) == 0 && key_eq(pda, entity->key),
            ConstraintSeeds);
    seeds[n] = (Slice){&bump, 1};
    SignerSeeds signer = {seeds, n + 1};
    TRY(create(&a[0], entity, ENTITY_SIZE, ID_WORLD, &signer));
    st64(entity->data, DISC_Entity);
    st64(entity->data + 8, number);
    st64(world->data + OFF(World, entities), number + 1);
    return 0;
}

/* Moves everything from `from` on by `by` bytes (negative: down), at the end of the used part `used`. */
NOINLINE void shift(u8 *data, u64 from, u64 used, i64 by) {
    if (by > 0)
        for (u64 i = used; i-- > from;) data[i + by] = data[i];
    else
        for (u64 i = from; i < used; i++) data[i + by] = data[i];
}

INLINE u64 used_len(const Account *world, const WorldView *v) { return v->systems - world->data + v->systems_len; }

/* Checks that the authority signs and is listed. */
INLINE u64 check_listed(const Account *authority, const WorldView *v) {
    REQUIRE(authority->is_signer, WorldInvalidAuthority);
    REQUIRE(find_key(v->keys, v->n_keys, authority->key) < v->n_keys, WorldInvalidAuthority);
    return 0;
}

/* Resizes the world's account to `len`. The authority pays the rent of a growth, and gets that of a shrink. */
NOINLINE u64 fit_world(Account *authority, Account *world, u64 len) {
    if (len > world->data_len) return grow(authority, world, len);
    u64 minimum = rent_minimum(len);
    if (*world->lamports > minimum) {
        *authority->lamports += *world->lamports - minimum;
        *world->lamports = minimum;
    }
    resize(world, len);
    return 0;
}

/* add_authority / remove_authority (world_id u64): authority ws, the other, world w, system_program. */
NOINLINE u64 change_authority(Account *a, const Input *input, bool add) {
    ACCOUNTS(4);
    TRY(check_payer(&a[0]));
    TRY(check_system_program(&a[3]));
    Account *authority = &a[0], *world = &a[2];
    const u8 *other = a[1].key;
    WorldView v;
    TRY(view_world(world, &v));
    REQUIRE(world->is_writable, ConstraintMut);
    REQUIRE(input->len >= 16, DidNotDeserialize);
    TRY(check_world_pda(world, ld64(input->data + 8)));
    if (!add || v.n_keys) TRY(check_listed(authority, &v));
    u64 index = find_key(v.keys, v.n_keys, other), used = used_len(world, &v);
    u64 keys_end = v.keys - world->data + 32 * (u64)v.n_keys;
    if (add) {
        if (index < v.n_keys) return 0;
        REQUIRE(v.n_keys < MAX_AUTHORITIES, TooManyAuthorities);
        TRY(fit_world(authority, world, used + 32));
        shift(world->data, keys_end, used, 32);
        copy(world->data + keys_end, other, 32);
        st32(world->data + OFF(World, authorities), v.n_keys + 1);
        return 0;
    }
    REQUIRE(index < v.n_keys, AuthorityNotFound);
    shift(world->data, v.keys - world->data + 32 * (index + 1), used, -32);
    st32(world->data + OFF(World, authorities), v.n_keys - 1);
    return fit_world(authority, world, used - 32);
}

INLINE bool key_less(const u8 *a, const u8 *b) {
    for (u64 i = 0; i < 32; i++)
        if (a[i] != b[i]) return a[i] < b[i];
    return 0;
}

/* approve_system / remove_system: authority ws, world w, system, system_program. */
NOINLINE u64 change_system(Account *a, const Input *input, bool approve) {
    ACCOUNTS(4);
    TRY(check_payer(&a[0]));
    TRY(check_system_program(&a[3]));
    Account *authority = &a[0], *world = &a[1];
    const u8 *system = a[2].key;
    WorldView v;
    TRY(view_world(world, &v));
    REQUIRE(world->is_writable, ConstraintMut);
    TRY(check_listed(authority, &v));
    u64 n = *v.permissionless ? 0 : n_systems(&v), start = v.systems - world->data;
    u64 index = find_key(v.systems + 4, n, system);
    if (approve) {
        if (index == n) {
            TRY(fit_world(authority, world, start + 4 + 32 * (n + 1)));
            index = 0;
            while (index < n && key_less(world->data + start + 4 + 32 * index, system)) index++;
            u64 at = start + 4 + 32 * index;
            shift(world->data, at, start + 4 + 32 * n, 32);
            copy(world->data + at, system, 32);
            n++;
        }
        *v.permissionless = 0;
    } else {
        if (index < n) {
            shift(world->data, start + 4 + 32 * (index + 1), start + 4 + 32 * n, -32);
            n--;
        }
        if (n == 0) *v.permissionless = 1;
        TRY(fit_world(authority, world, start + 4 + 32 * n));
    }
    st32(world->data + start - 4, 4 + 32 * n);
    st32(world->data + start, n);
    return 0;
}

/* initialize_component: payer ws, data w, entity, component_program, authority, instructions_sysvar, system_program. */
NOINLINE u64 initialize_component(Account *a, const Input *input) {
    ACCOUNTS(7);
    TRY(check_payer(&a[0]));
    REQUIRE(a[1].is_writable, ConstraintMut);
    TRY(check_typed(&a[2], ID_WORLD, DISC_Entity, 16));
    TRY(check_sysvar(&a[5]));
    TRY(check_system_program(&a[6]));
    REQUIRE(a[4].is_signer || key_eq(a[4].key, ID_WORLD), WorldInvalidAuthority);
    u8 data[8];
    st64(data, IX_INITIALIZE);
    Meta metas[6] = {{a[0].key, 1, 1}, {a[1].key, 1, 0}, {a[2].key, 0, 0}, {a[4].key, 0, 0}, {a[5].key, 0, 0}, {a[6].key, 0, 0}};
    Instruction ix = {a[3].key, metas, 6, data, 8};
    return call(&ix, a, 7, 0);
}

/* destroy_component: authority ws, receiver w, component_program, component_program_data, entity, component w,
 * instructions_sysvar, system_program. */
NOINLINE u64 destroy_component(Account *a, const Input *input) {
    ACCOUNTS(8);
    TRY(check_payer(&a[0]));
    REQUIRE(a[1].is_writable && a[5].is_writable, ConstraintMut);
    TRY(check_typed(&a[4], ID_WORLD, DISC_Entity, 16));
    TRY(check_sysvar(&a[6]));
    TRY(check_system_program(&a[7]));
    u8 data[8];
    st64(data, IX_DESTROY);
    Meta metas[7] = {{a[0].key, 0, 1}, {a[1].key, 1, 0}, {a[4].key, 0, 0}, {a[5].key, 1, 0}, {a[3].key, 0, 0}, {a[6].key, 0, 0}, {a[7].key, 0, 0}};
    Instruction ix = {a[2].key, metas, 7, data, 8};
    return call(&ix, a, 8, 0);
}

/* Runs the system over the components and reads what it returned. Sets *pairs and checks Vec<bytes> against it. */
NOINLINE u64 execute_system(Account *a, const Input *input, u64 first, u64 *pairs) {
    Heap *heap = HEAP;
    const Account *system = &a[0];
    u64 n = 0, i = first;
    heap->infos[n] = a[1];
    heap->metas[n++] = (Meta){a[1].key, 0, 0};
    *pairs = 0;
    while (input->n - i >= 2) {
        bool delimiter = key_eq(a[i++].key, ID_WORLD);
        if (delimiter) break;
        heap->infos[n] = a[i];
        heap->metas[n++] = (Meta){a[i++].key, 0, 0};
        (*pairs)++;
    }
    for (; i < input->n; i++) { /* extra accounts: read-only, never as signers */
        heap->infos[n] = a[i];
        heap->metas[n++] = (Meta){a[i].key, 0, 0};
    }
    u64 len = input->len - 8;
    REQUIRE(len >= 4 && ld32(input->data + 8) == len - 4 && len <= MAX_DATA - 8, DidNotDeserialize);
    st64(heap->data, IX_BOLT_EXECUTE);
    copy(heap->data + 8, input->data + 8, len);
    Instruction ix = {system->key, heap->metas, n, heap->data, 8 + len};
    TRY(call(&ix, heap->infos, n, 0));

    u8 program[32], *p = heap->output;
    u64 size = sol_get_return_data(p, sizeof heap->output, program);
    REQUIRE(size >= 4 && size <= sizeof heap->output && key_eq(program, system->key), InvalidSystemOutput);
    REQUIRE(ld32(p) == *pairs, InvalidSystemOutput);
    const u8 *end = p + size;
    p += 4;
    for (u64 k = 0; k < *pairs; k++) {
        REQUIRE(end - p >= 4 && (u64)(end - p - 4) >= ld32(p), InvalidSystemOutput);
        p += 4 + ld32(p);
    }
    REQUIRE(p == end, InvalidSystemOutput);
    return 0;
}

/* apply(args bytes): bolt_system, authority s, instructions_sysvar, world; pairs (component_program, component w);
 * optionally the World id and extra accounts. apply_with_session: session_token follows world. */
NOINLINE u64 apply(Account *a, const Input *input, bool with_session) {
    u64 first = with_session ? 5 : 4, pairs;
    ACCOUNTS(first);
    REQUIRE(a[1].is_signer, AccountNotSigner);
    TRY(check_sysvar(&a[2]));
    WorldView v;
    TRY(view_world(&a[3], &v));
    if (with_session) TRY(check_typed(&a[4], ID_SESSION_KEYS, DISC_SessionToken, 112));
    if (!*v.permissionless) {
        u64 n = n_systems(&v);
        REQUIRE(find_key(v.systems + 4, n, a[0].key) < n, SystemNotApproved);
    }
    TRY(execute_system(a, input, first, &pairs));
    Heap *heap = HEAP;
    const u8 *p = heap->output + 4;
    st64(heap->data, with_session ? IX_UPDATE_WITH_SESSION : IX_UPDATE);
    for (u64 k = 0; k < pairs; k++) {
        u64 len = ld32(p) + 4;
        copy(heap->data + 8, p, len);
        p += len;
        const Account *component = &a[first + 2 * k + 1];
        heap->infos[0] = *component;
        heap->infos[1] = a[1];
        heap->infos[2] = a[2];
        heap->metas[0] = (Meta){component->key, 1, 0};
        heap->metas[1] = (Meta){a[1].key, 0, 1};
        heap->metas[2] = (Meta){a[2].key, 0, 0};
        if (with_session) {
            heap->infos[3] = a[4];
            heap->metas[3] = (Meta){a[4].key, 0, 0};
        }
        u64 n = with_session ? 4 : 3;
        Instruction ix = {a[first + 2 * k].key, heap->metas, n, heap->data, 8 + len};
        TRY(call(&ix, heap->infos, n, 0));
    }
    return 0;
}

__attribute__((used)) u64 entrypoint(const u8 *in) {
    Account *accounts = HEAP->accounts;
    Input input = parse_input(in, accounts, MAX_ACCOUNTS);
    REQUIRE(input.len >= 8, FallbackNotFound);
    u64 disc = ld64(input.data);
    if (disc == IX_APPLY) return apply(accounts, &input, 0);
    if (disc == IX_APPLY_WITH_SESSION) return apply(accounts, &input, 1);
    if (disc == IX_INITIALIZE_COMPONENT) return initialize_component(accounts, &input);
    if (disc == IX_ADD_ENTITY) return add_entity(accounts, &input);
    if (disc == IX_INITIALIZE_NEW_WORLD) return initialize_new_world(accounts, &input);
    if (disc == IX_INITIALIZE_REGISTRY) return initialize_registry(accounts, &input);
    if (disc == IX_DESTROY_COMPONENT) return destroy_component(accounts, &input);
    if (disc == IX_ADD_AUTHORITY) return change_authority(accounts, &input, 1);
    if (disc == IX_REMOVE_AUTHORITY) return change_authority(accounts, &input, 0);
    if (disc == IX_APPROVE_SYSTEM) return change_system(accounts, &input, 1);
    if (disc == IX_REMOVE_SYSTEM) return change_system(accounts, &input, 0);
    return FallbackNotFound;
}
