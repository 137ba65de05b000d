// The least LD_AUDIT library. It is loaded first, into a name space of its own with a C library of its own.
#include <link.h>
#include <stdlib.h>

static _Thread_local char thread_local_bytes[200];

unsigned la_version(unsigned version)
{
    thread_local_bytes[version % sizeof thread_local_bytes] = 1;
    free(malloc(1000));
    return version;
}

unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie)
{
    (void)map;
    (void)id;
    (void)cookie;
    free(calloc(10, 100));
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}
