/* What the binding needs of the machine: which paths run here, and a team of threads. Not part of the kernel. */
#ifndef AWM_HOST_H
#define AWM_HOST_H
#include "awm_engine.h"

typedef struct {
    const char *name;
    const awm_path *path; /* NULL: not built for this kind of machine */
} awm_built;

extern const awm_built awm_paths[];
extern const u32 awm_path_count;

/* "" when this CPU (and system) runs the path, else the first feature that is missing. For amx it also asks the kernel
 * for the tile registers, once a process. */
const char *awm_missing(const awm_built *path);

typedef struct awm_pool awm_pool;
/* count threads in all, the caller's included; NULL when they cannot be had. */
awm_pool *awm_pool_new(u32 count);
void awm_pool_free(awm_pool *pool);
/* Runs work(arg, team) on every thread of the pool and returns when all are done. One caller at a time. */
void awm_pool_run(awm_pool *pool, void (*work)(void *arg, const awm_team *team), void *arg);

#endif
