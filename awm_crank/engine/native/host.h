/* What the binding needs from the machine: the list of paths that run here, and a team of threads. It is not part of
 * the kernel. */
#ifndef AWM_HOST_H
#define AWM_HOST_H
#include "awm_engine.h"

typedef struct {
    const char *name;
    const awm_path *path; /* NULL if the path is not built for this kind of machine */
} awm_built;

extern const awm_built awm_paths[];
extern const u32 awm_path_count;

/* "" when this CPU (and system) runs the path, else the first feature that is missing. For amx it also asks the kernel
 * for the tile registers, once a process. */
const char *awm_missing(const awm_built *path);

typedef struct awm_pool awm_pool;
/* Starts `count` threads, including the caller's. Returns NULL if they cannot be started. */
awm_pool *awm_pool_new(u32 count);
void awm_pool_free(awm_pool *pool);
/* Runs work(arg, team) on every thread of the pool, and returns when all are done. Only one caller at a time. */
void awm_pool_run(awm_pool *pool, void (*work)(void *arg, const awm_team *team), void *arg);

#endif
