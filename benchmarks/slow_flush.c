/* A disk whose flush is not free: under LD_PRELOAD every fsync and fdatasync takes
   SLOW_FLUSH_US microseconds more. bench_ledger.py compiles it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int descriptor)
{
    const char *more = getenv("SLOW_FLUSH_US");
    if (more != NULL)
        usleep((useconds_t)atol(more));
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(descriptor);
}

int fsync(int descriptor) { return slowly("fsync", descriptor); }
int fdatasync(int descriptor) { return slowly("fdatasync", descriptor); }
