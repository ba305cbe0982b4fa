/* Runs one of the on-chain programs natively, under AddressSanitizer and UndefinedBehaviorSanitizer, with changed inputs.
 *
 * tools/fuzz/programs.py compiles this together with a program's source, of which it replaces two things: the address of
 * the virtual machine's heap, and `resize`, which tells us here how far an account's data may be written.
 *
 * Each input describes accounts and an instruction. We serialize them as the loader does. The spare bytes behind each
 * account's data are poisoned, and the whole is exactly as long as malloc's block, so that a read or write beyond what
 * an account holds ends the run. What the runtime would answer (addresses, hashes, other programs) is taken from the
 * input, too: a check that passes with the right key is then passed now and then, and what lies behind it is reached.
 */
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_INPUT 4096
#define MOST_CORPUS 4096
#define MOST_EDGES (1u << 18)
#define BUDGET 2000000 /* edges: more than the compute units that a transaction has */

unsigned char fuzz_heap[32768] __attribute__((aligned(4096)));

#include PROGRAM_SOURCE
#include "awm_layout.h"

#ifndef MAX_INCREASE
#error "constants.h no longer says how much an account may grow"
#endif

/* ---- feedback: gcc calls this at each edge ---- */

static unsigned char seen[MOST_EDGES];
static unsigned long edges, steps, fresh;
static jmp_buf out_of_budget;

__attribute__((no_sanitize("address", "undefined"), no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void) {
    unsigned long at = ((unsigned long)__builtin_return_address(0) * 2654435761u >> 7) & (MOST_EDGES - 1);
    if (!seen[at]) {
        seen[at] = 1;
        edges++;
        fresh = 1;
    }
    if (++steps > BUDGET) longjmp(out_of_budget, 1);
}

/* ---- the input, read piece by piece ---- */

static const u8 *input_at;
static u64 input_left;

static u8 next(void) {
    if (!input_left) return 0;
    input_left--;
    return *input_at++;
}
static u64 next16(void) { u64 low = next(); return low | (u64)next() << 8; }
static void fill(u8 *to, u64 len) { for (u64 i = 0; i < len; i++) to[i] = next(); }

/* ---- the runtime ---- */

static u8 pool[24][32]; /* keys that occur in accounts, in their data and as addresses */
static u8 *data_of[64];
static u64 reserved[64];
static unsigned known;

static void limits(u8 *data, u64 len) {
    for (unsigned i = 0; i < known; i++)
        if (data_of[i] == data) {
            __asan_unpoison_memory_region(data, reserved[i]);
            if (len < reserved[i]) __asan_poison_memory_region(data + len, reserved[i] - len);
        }
}
void fuzz_resized(u8 *data, u64 len) { limits(data, len); }

static void read_all(const u8 *p, u64 len) {
    volatile u8 sum = 0;
    for (u64 i = 0; i < len; i++) sum ^= p[i];
}
u64 sol_memcpy_(void *to, const void *from, u64 len) { memmove(to, from, len); return 0; }
u64 sol_memset_(void *to, u8 value, u64 len) { memset(to, value, len); return 0; }
u64 sol_memcmp_(const void *a, const void *b, u64 len, i32 *result) { *result = memcmp(a, b, len); return 0; }
u64 sol_sha256(const Slice *parts, u64 n, u8 *out) {
    u64 hash = 14695981039346656037ULL;
    for (u64 i = 0; i < n; i++) {
        read_all(parts[i].data, parts[i].len);
        for (u64 j = 0; j < parts[i].len; j++) hash = (hash ^ parts[i].data[j]) * 1099511628211ULL;
    }
    memset(out, 0, 32);
    if (next() & 1) memcpy(out, pool[next() % 24], 32); else memcpy(out, &hash, 8);
    return 0;
}
static u64 address(const Slice *seeds, u64 n, u8 *out) {
    for (u64 i = 0; i < n; i++) read_all(seeds[i].data, seeds[i].len);
    memcpy(out, pool[next() % 24], 32);
    return 0;
}
u64 sol_try_find_program_address(const Slice *seeds, u64 n, const u8 *program, u8 *out, u8 *bump) {
    read_all(program, 32);
    *bump = 255 - next() % 3;
    return address(seeds, n, out);
}
u64 sol_create_program_address(const Slice *seeds, u64 n, const u8 *program, u8 *out) {
    read_all(program, 32);
    if (next() % 16 == 15) return 1;
    return address(seeds, n, out);
}
u64 sol_set_return_data(const u8 *data, u64 len) { read_all(data, len); return 0; }
u64 sol_get_return_data(u8 *data, u64 len, u8 *program_id) {
    u64 have = next16() % 2048;
    fill(data, have < len ? have : len);
    memcpy(program_id, pool[next() % 24], 32);
    return have;
}
u64 sol_get_rent_sysvar(u8 *out) {
    st64(out, 3480);
    st64(out + 8, 0x4000000000000000ULL);
    memset(out + 16, 0, 8);
    out[16] = 50;
    return 0;
}
u64 sol_get_clock_sysvar(u8 *out) { fill(out, 40); return 0; }
u64 sol_invoke_signed_c(const Instruction *ix, const Account *infos, int n, const SignerSeeds *signers, int m) {
    read_all(ix->program_id, 32);
    read_all(ix->data, ix->len);
    for (u64 i = 0; i < ix->n; i++) read_all(ix->metas[i].key, 32);
    for (int i = 0; i < m; i++)
        for (u64 j = 0; j < signers[i].n; j++) read_all(signers[i].seeds[j].data, signers[i].seeds[j].len);
    u8 what = next();
    if (what % 8 == 7) return 0x100000000ULL + what; /* the call fails */
    for (int i = 0; i < n; i++) {
        read_all(infos[i].key, 32);
        u64 len = ld64(infos[i].data - 8);
        for (unsigned k = 0; k < known; k++)
            if (data_of[k] == infos[i].data && len == 0 && ix->len >= 12 && !memcmp(ix->program_id, ID_SYSTEM_PROGRAM, 32)) {
                u32 kind = ld32(ix->data);
                u64 wanted = kind == 8 ? ld64(ix->data + 4) : kind == 0 && ix->len >= 52 ? ld64(ix->data + 12) : 0;
                if (wanted > MAX_INCREASE) return 1;
                st64(infos[i].data - 8, wanted);
                limits(infos[i].data, wanted);
            }
    }
    return 0;
}

/* ---- one input ---- */

static const u8 *const IDS[] = {
    ID_WORLD, ID_SESSION_STATE, ID_HIDDEN_STATE, ID_INPUT_BUFFER, ID_FRAME_LOG, ID_MODEL_MANIFEST, ID_WEIGHT_SHARD,
    ID_SESSION_LIFECYCLE, ID_SUBMIT_INPUT, ID_RUN_INFERENCE, ID_SYSTEM_PROGRAM, ID_INSTRUCTIONS_SYSVAR,
};
static const struct { u64 disc; u8 owner; u16 size; } KINDS[] = {
    {0, 10, 0}, {DISC_SessionState, 1, sizeof(SessionState)}, {DISC_HiddenState, 2, sizeof(HiddenState)},
    {DISC_InputBuffer, 3, sizeof(InputBuffer)}, {DISC_FrameLog, 4, sizeof(FrameLog) + sizeof(LogPayments)},
    {DISC_ModelManifest, 5, sizeof(ModelManifest)}, {DISC_WeightShard, 6, sizeof(WeightShard)},
    {DISC_Checkpoint, 2, sizeof(Checkpoint)}, {DISC_Deposit, 2, sizeof(Deposit)}, {DISC_Receipt, 2, sizeof(Receipt)},
    {DISC_Registry, 0, sizeof(Registry)}, {DISC_World, 0, 200}, {DISC_Entity, 0, sizeof(Entity)},
    {DISC_SessionToken, 0, 112}, {0, 11, 300}, {0, 10, 0},
};
static const u64 DISCS[] = {INSTRUCTION_DISCS};

#define SAME_KEY 12

/* With a plan, the first accounts are a player or writer and the four components of one match, in the systems' order. */
static int plan;

/* The instructions sysvar: the runtime writes it, so its form is right: one instruction to some program. */
static u64 put_instructions(u8 *data) {
    u64 n = next() % 16, size = 8 + next() % 16;
    u8 *p = data;
    memset(data, 0, 1024);
    st16(p, 1);
    st16(p + 2, 4);
    st16(p + 4, (u16)n);
    p += 6;
    for (u64 i = 0; i < n; i++, p += 33) {
        *p = next() % 4;
        memcpy(p + 1, pool[next() % 2 ? SAME_KEY : next() % 24], 32);
    }
    memcpy(p, pool[next() % 4 ? 0 : next() % 24], 32);
    st16(p + 32, (u16)size);
    st64(p + 34, DISCS[next() % (sizeof DISCS / sizeof *DISCS)]);
    return (u64)(p + 34 + size + 2 - data);
}

static u8 *put_account(u8 *p, unsigned index) {
    u8 flags = next(), key = next();
    int planned = plan && index < 5;
    if (planned) {
        flags = flags % 8 ? 1 : flags % 31;
        key = key % 8 ? SAME_KEY : key;
    }
    if (flags % 32 == 31 && index) {
        memset(p, 0, 8);
        *p = key % index;
        return p + 8;
    }
    unsigned kind = next() % (sizeof KINDS / sizeof *KINDS), odd = next();
    if (planned) {
        kind = index;
        odd = odd % 16 ? 0 : odd;
    }
    int instructions = !memcmp(pool[key % 24], ID_INSTRUCTIONS_SYSVAR, 32);
    u64 len = odd % 8 == 7 ? next16() % 1200 : KINDS[kind].size + (odd % 8 == 6 ? next16() % 600 : 0);
    p[0] = 0xff;
    p[1] = flags & 1 || flags & 2;
    p[2] = !(flags & 4 && flags & 8);
    p[3] = !!(flags & 16);
    memset(p + 4, 0, 4);
    memcpy(p + 8, pool[key % 24], 32);
    memcpy(p + 40, odd % 16 == 15 ? pool[next() % 24] : IDS[KINDS[kind].owner], 32);
    st64(p + 72, odd & 16 ? next16() : 1000000000);
    u8 *data = p + 88;
    if (instructions) len = put_instructions(data);
    st64(p + 80, len);
    u64 room = (len + MAX_INCREASE + 7) & ~7ULL;
    /* a key in the upper half of the pool repeats one byte 32 times, so data filled with that byte has this key in
     * every field */
    u8 base = planned ? 3 : next();
    if (!instructions) memset(data, 0, room); else memset(data + len, 0, room - len);
    if (base % 4 == 3 && !instructions) memset(data, 0x40 + 12 + base / 4 % 3, len);
    if (len >= 8 && !instructions) st64(data, KINDS[kind].disc);
    for (unsigned patches = next() % 24; patches && len > 8 && !instructions; patches--) {
        u64 at = next16() % len;
        u8 form = next();
        if (form % 2 && at + 32 <= len) memcpy(data + at, pool[next() % 24], 32);
        else data[at] = next();
    }
    if (index < 64) {
        data_of[known] = data;
        reserved[known++] = room;
        __asan_poison_memory_region(data + len, room - len);
    }
    st64(data + room, ~0ULL);
    return data + room + 8;
}

static const u8 *current;
static u64 current_len;

static void run_one(const u8 *bytes, u64 len) {
    static u8 *region;
    current = input_at = bytes;
    current_len = input_left = len;
    known = 0;
    steps = 0;
    memset(fuzz_heap, 0, sizeof fuzz_heap);
    for (unsigned i = 0; i < 24; i++) {
        memset(pool[i], 0x40 + i, 32);
        if (i < 12) memcpy(pool[i], IDS[i], 32);
    }
    unsigned n = 1 + next() % 14;
    plan = next() % 2;
    if (!region) region = malloc(1 << 20);
    __asan_unpoison_memory_region(region, 1 << 20);
    st64(region, n);
    u8 *p = region + 8;
    for (unsigned i = 0; i < n; i++) p = put_account(p, i);
    u8 form = next();
    u64 args = next16() % 900;
    u8 *ix = p + 8;
    st64(p, 8 + args);
    if (form % 16 == 15) fill(ix, 8); else st64(ix, DISCS[next() % (sizeof DISCS / sizeof *DISCS)]);
    memset(ix + 8, 0, args);
    if (form & 16) {
        u64 text = args < input_left ? args : input_left;
        memcpy(ix + 8, input_at, text);
    } else if (form & 32) {
        static const u16 SIZES[] = {sizeof(LifecycleArgs), sizeof(InputArgs), sizeof(FrameArgs)};
        u64 size = SIZES[form / 64 % 3];
        args = size + 4;
        st64(p, 8 + args);
        st64(ix, form & 1 ? IX_BOLT_EXECUTE : IX_EXECUTE);
        st32(ix + 8, (u32)size);
        memset(ix + 12, 0x40 + SAME_KEY, size);
        ix[12] = 1;
        for (unsigned patches = next() % 32; patches; patches--) {
            u64 at = next16() % size;
            ix[12 + at] = next();
        }
    } else fill(ix + 8, args < 64 ? args : 64);
    memcpy(ix + 8 + args, IDS[OWN_ID], 32);
    /* exactly as long as what the loader writes, so that a read behind it is seen */
    u64 size = (u64)(ix + 8 + args + 32 - region);
    __asan_poison_memory_region(region + size, (1 << 20) - size);
    if (!setjmp(out_of_budget)) entrypoint(region);
    __asan_unpoison_memory_region(region, 1 << 20);
}

/* ---- the loop ---- */

static u64 random_state;
static u64 draw(u64 below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return below ? (random_state * 2685821657736338717ULL >> 11) % below : 0;
}

static struct { u8 *bytes; u64 len; } corpus[MOST_CORPUS];
static unsigned corpus_len;
static const char *folder;

static void keep(const u8 *bytes, u64 len) {
    if (corpus_len == MOST_CORPUS) return;
    corpus[corpus_len].bytes = memcpy(malloc(len + 1), bytes, len);
    corpus[corpus_len++].len = len;
}

static u64 change(u8 *to) {
    unsigned from = (unsigned)draw(corpus_len);
    u64 len = corpus[from].len;
    memcpy(to, corpus[from].bytes, len);
    for (u64 times = 1 + draw(6); times; times--) {
        u64 at = draw(len + 1);
        switch (draw(6)) {
        case 0: case 1: if (at < len) to[at] = (u8)draw(256); break;
        case 2: if (at < len) to[at] ^= (u8)(1 << draw(8)); break;
        case 3: if (len < MOST_INPUT) { memmove(to + at + 1, to + at, len - at); to[at] = (u8)draw(256); len++; } break;
        case 4: { u64 cut = draw(9); if (at + cut <= len) { memmove(to + at, to + at + cut, len - at - cut); len -= cut; } break; }
        default: {
            unsigned other = (unsigned)draw(corpus_len);
            u64 start = draw(corpus[other].len + 1), piece = draw(corpus[other].len - start + 1);
            if (at + piece <= MOST_INPUT) { memcpy(to + at, corpus[other].bytes + start, piece); if (at + piece > len) len = at + piece; }
        }}
    }
    return len;
}

static void write_to(const char *name, const u8 *bytes, u64 len) {
    FILE *file = fopen(name, "wb");
    if (file) {
        fwrite(bytes, 1, len, file);
        fclose(file);
    }
}
static void on_death(void) {
    char name[600];
    snprintf(name, sizeof name, "%s/crash", folder);
    write_to(name, current, current_len);
}

/* Usage: harness FOLDER INPUTS SEED FILE... The files are the corpus; inputs that reach new code are written to FOLDER.
 */
int main(int argc, char **argv) {
    static u8 buffer[MOST_INPUT + 1];
    folder = argv[1];
    unsigned long inputs = strtoul(argv[2], 0, 10);
    random_state = strtoul(argv[3], 0, 10) * 0x9E3779B97F4A7C15ULL + 1;
    __sanitizer_set_death_callback(on_death);
    for (int i = 4; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) return 2;
        u64 len = fread(buffer, 1, MOST_INPUT, file);
        fclose(file);
        run_one(buffer, len);
        keep(buffer, len);
    }
    if (!corpus_len) {
        for (u64 i = 0; i < 512; i++) buffer[i] = (u8)draw(256);
        keep(buffer, 512);
    }
    for (unsigned long i = 0; i < inputs; i++) {
        u64 len = change(buffer);
        fresh = 0;
        run_one(buffer, len);
        if (fresh && len <= 1024) {
            char name[600];
            keep(buffer, len);
            snprintf(name, sizeof name, "%s/%06u", folder, corpus_len);
            write_to(name, buffer, len);
        }
    }
    printf("{\"inputs\":%lu,\"edges\":%lu,\"corpus\":%u}\n", inputs, edges, corpus_len);
    return 0;
}
