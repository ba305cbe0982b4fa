/* CPU features, and a pool of threads that spin for a while before they sleep: a step has a barrier every few tens of
 * microseconds. */
#define _GNU_SOURCE
#include "host.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__x86_64__)
#define X86(p) &p
#define ARM(p) 0
#elif defined(__aarch64__)
#define X86(p) 0
#define ARM(p) &p
#else
#define X86(p) 0
#define ARM(p) 0
#endif
/* The best path is last; the default is the last one that can run. */
const awm_built awm_paths[] = {
    {"plain", &awm_path_plain},       {"avx2", X86(awm_path_avx2)}, {"avx512bw", X86(awm_path_avx512bw)},
    {"vnni", X86(awm_path_vnni)},     {"amx", X86(awm_path_amx)},   {"neon", ARM(awm_path_neon)},
    {"neondot", ARM(awm_path_neondot)},
};
const u32 awm_path_count = sizeof awm_paths / sizeof *awm_paths;

#if defined(__x86_64__)
static const char *amx_missing(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return "amx_tile";
    if (!(d >> 24 & 1))
        return "amx_tile";
    if (!(d >> 25 & 1))
        return "amx_int8";
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? "" : "permission for tile data (arch_prctl)";
#else
    return "an operating system that grants tile data";
#endif
}

static const char *missing_here(const awm_path *path)
{
    __builtin_cpu_init();
    if (path->id == AWM_PLAIN)
        return "";
    if (!__builtin_cpu_supports("avx2"))
        return "avx2";
    if (!__builtin_cpu_supports("bmi2"))
        return "bmi2";
    if (path->id == AWM_AVX2)
        return "";
    if (!__builtin_cpu_supports("avx512f"))
        return "avx512f";
    if (!__builtin_cpu_supports("avx512bw"))
        return "avx512bw";
    if (!__builtin_cpu_supports("avx512dq"))
        return "avx512dq";
    if (!__builtin_cpu_supports("avx512vl"))
        return "avx512vl";
    if (path->id == AWM_AVX512BW)
        return "";
    if (!__builtin_cpu_supports("avx512vnni"))
        return "avx512_vnni";
    return path->id == AWM_AMX ? amx_missing() : "";
}
#elif defined(__aarch64__)
static const char *missing_here(const awm_path *path)
{
    if (path->id != AWM_NEONDOT)
        return "";
#if defined(__linux__)
    return getauxval(AT_HWCAP) >> 20 & 1 ? "" : "asimddp";
#elif defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, 0, 0) == 0 && has ? "" : "FEAT_DotProd";
#else
    return "asimddp";
#endif
}
#else
static const char *missing_here(const awm_path *path)
{
    (void)path;
    return "";
}
#endif

const char *awm_missing(const awm_built *path)
{
    return path->path ? missing_here(path->path) : "another kind of processor";
}

typedef struct {
    awm_pool *pool;
    u32 id;
    pthread_t thread;
} worker;

struct awm_pool {
    u32 count, started;
    worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic u32 round;             /* a counter that grows by one with every run */
    _Atomic u32 arrived, released; /* the barrier: how many threads have arrived, and how often all have arrived */
    _Atomic u32 stop;
    void (*work)(void *, const awm_team *);
    void *arg;
};

#define SPINS 20000
static void relax(u32 spins)
{
    if (spins > SPINS / 10)
        sched_yield();
#if defined(__x86_64__)
    else
        __builtin_ia32_pause();
#endif
}

static void barrier(void *arg)
{
    awm_pool *pool = arg;
    const u32 before = atomic_load(&pool->released);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 == pool->count) {
        atomic_store(&pool->arrived, 0);
        atomic_store(&pool->released, before + 1);
        return;
    }
    for (u32 spins = 0; atomic_load(&pool->released) == before; spins++)
        relax(spins);
}

static void *serve(void *arg)
{
    worker *me = arg;
    awm_pool *pool = me->pool;
    for (u32 seen = 0;;) {
        for (u32 spins = 0; spins < SPINS && atomic_load(&pool->round) == seen; spins++)
            relax(spins);
        if (atomic_load(&pool->round) == seen) {
            pthread_mutex_lock(&pool->lock);
            while (atomic_load(&pool->round) == seen)
                pthread_cond_wait(&pool->wake, &pool->lock);
            pthread_mutex_unlock(&pool->lock);
        }
        if (atomic_load(&pool->stop))
            return 0;
        seen = atomic_load(&pool->round);
        const awm_team team = {me->id, pool->count, barrier, pool};
        pool->work(pool->arg, &team);
        barrier(pool);
    }
}

static void next_round(awm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->round, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

void awm_pool_run(awm_pool *pool, void (*work)(void *arg, const awm_team *team), void *arg)
{
    const awm_team team = {0, pool->count, barrier, pool};
    if (pool->count > 1) {
        pool->work = work;
        pool->arg = arg;
        next_round(pool);
    }
    work(arg, &team);
    if (pool->count > 1)
        barrier(pool);
}

awm_pool *awm_pool_new(u32 count)
{
    awm_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return 0;
    pool->count = count;
    pool->workers = calloc(count, sizeof *pool->workers);
    pthread_mutex_init(&pool->lock, 0);
    pthread_cond_init(&pool->wake, 0);
    for (u32 i = 1; pool->workers && i < count; i++) {
        worker *w = &pool->workers[i];
        w->pool = pool;
        w->id = i;
        if (pthread_create(&w->thread, 0, serve, w) != 0)
            break;
        pool->started++;
    }
    if (pool->workers && pool->started == count - 1)
        return pool;
    awm_pool_free(pool);
    return 0;
}

void awm_pool_free(awm_pool *pool)
{
    atomic_store(&pool->stop, 1);
    next_round(pool);
    for (u32 i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, 0);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    free(pool->workers);
    free(pool);
}
