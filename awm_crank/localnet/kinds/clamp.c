/* Preloaded into a program that insists on a higher limit of open files than this process may set: the limit becomes
 * the highest one allowed, and the call reports that the program got what it asked for. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int clamp(unsigned resource, const void *wanted) {
    unsigned long long limit[2] = {((const unsigned long long *)wanted)[0], ((const unsigned long long *)wanted)[1]};
    if (resource == RLIMIT_NOFILE) {
        unsigned long long allowed[2];
        if (syscall(SYS_prlimit64, 0, resource, (void *)0, allowed)) return -1;
        for (int i = 0; i < 2; i++)
            if (limit[i] > allowed[1]) limit[i] = allowed[1];
    }
    return (int)syscall(SYS_prlimit64, 0, resource, limit, (void *)0);
}

/* Both take two 64-bit words on 64-bit systems. */
_Static_assert(sizeof(struct rlimit) == 16, "a 64-bit system");
#undef setrlimit
#undef setrlimit64
int setrlimit(__rlimit_resource_t resource, const struct rlimit *wanted) { return clamp(resource, wanted); }
int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *wanted) { return clamp(resource, wanted); }
