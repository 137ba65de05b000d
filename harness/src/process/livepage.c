#include "process/livepage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

enum { LIVE_SLOTS = 1024, COUNTER_NAME_BYTES = 32, COUNTERS_MAX = 4096, STRIPES_MAX = 65536 };

typedef struct LiveHeader {
    char magic[8];
    uint32_t version;
    _Atomic uint32_t n_slots; // the workload may lower it: each slot that is read is a line taken from its writer
    char rest[48];
} LiveHeader;

typedef struct LiveSlot {
    _Atomic int64_t live_bytes;
    char rest[56];
} LiveSlot;

typedef struct CounterHeader {
    char magic[8];
    uint32_t version;
    uint32_t n_counters;
    uint32_t n_stripes;
    uint32_t stripe_bytes;
    uint32_t names_off;
    uint32_t data_off;
} CounterHeader;

_Static_assert(sizeof(LiveHeader) == 64 && sizeof(LiveSlot) == 64, "layout shared with the workloads");

#define SLOTS_END (sizeof(LiveHeader) + LIVE_SLOTS * sizeof(LiveSlot))
#define LIVE_BYTES (SLOTS_END + sizeof(LatencyPage))

bool live_page_open(LivePage *page)
{
    *page = (LivePage){.fd = memfd_create("hzb-live", MFD_CLOEXEC), .map = MAP_FAILED};
    if (page->fd >= 0 && ftruncate(page->fd, (off_t)LIVE_BYTES) == 0)
        page->map = mmap(NULL, LIVE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);
    if (page->map == MAP_FAILED) {
        hzb_error("live page of %zu bytes: %s", LIVE_BYTES, strerror(errno));
        if (page->fd >= 0) close(page->fd);
        return false;
    }
    LiveHeader *header = page->map;
    memcpy(header->magic, "HZBLIVE1", sizeof header->magic);
    header->version = 1;
    header->n_slots = LIVE_SLOTS;
    return true;
}

void live_page_close(LivePage *page)
{
    munmap(page->map, LIVE_BYTES);
    close(page->fd);
}

const LatencyPage *live_page_latencies(const LivePage *page)
{
    return (const LatencyPage *)((const char *)page->map + SLOTS_END);
}

int64_t live_page_bytes(const LivePage *page)
{
    const LiveHeader *header = page->map;
    const LiveSlot *slots = (const LiveSlot *)(header + 1);
    uint32_t n_slots = atomic_load_explicit(&header->n_slots, memory_order_relaxed);
    int64_t sum = 0;
    for (unsigned i = 0; i < n_slots && i < LIVE_SLOTS; i++)
        sum += atomic_load_explicit(&slots[i].live_bytes, memory_order_relaxed);
    return sum;
}

// The file comes from another program: nothing in it is believed that would lead outside of it.
static bool header_is_sound(const CounterHeader *header, size_t size_bytes)
{
    if (header->version != 1 || header->n_counters > COUNTERS_MAX || header->n_stripes > STRIPES_MAX) return false;
    size_t names_end = header->names_off + (size_t)header->n_counters * COUNTER_NAME_BYTES;
    size_t data_end = header->data_off + (size_t)header->n_stripes * header->stripe_bytes;
    return header->n_counters * sizeof(uint64_t) <= header->stripe_bytes && header->data_off % sizeof(uint64_t) == 0 &&
           header->stripe_bytes % sizeof(uint64_t) == 0 && names_end <= size_bytes && data_end <= size_bytes;
}

static void take_header(CounterFile *file, const unsigned char *map, const CounterHeader *header)
{
    file->map = map;
    file->counter_count = header->n_counters;
    file->stripe_count = header->n_stripes;
    file->stripe_bytes = header->stripe_bytes;
    file->data_offset = header->data_off;
    file->names = xcalloc(header->n_counters, sizeof *file->names);
    for (unsigned i = 0; i < header->n_counters; i++) {
        const char *name = (const char *)map + header->names_off + (size_t)i * COUNTER_NAME_BYTES;
        file->names[i] = xfmt("%.*s", COUNTER_NAME_BYTES, name);
    }
}

bool counter_file_open(CounterFile *file, const char *path)
{
    struct stat st;
    CounterHeader header;
    if (file->map) return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool complete = pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
                    memcmp(header.magic, "HZ3STAT1", sizeof header.magic) == 0 && fstat(fd, &st) == 0 &&
                    header_is_sound(&header, (size_t)st.st_size);
    if (complete) {
        file->size_bytes = (size_t)st.st_size;
        void *map = mmap(NULL, file->size_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) take_header(file, map, &header);
    }
    close(fd);
    return file->map != NULL;
}

void counter_file_close(CounterFile *file)
{
    if (!file->map) return;
    munmap((void *)(uintptr_t)file->map, file->size_bytes);
    for (unsigned i = 0; i < file->counter_count; i++)
        free(file->names[i]);
    free(file->names);
    *file = (CounterFile){0};
}

uint64_t counter_file_value(const CounterFile *file, unsigned counter)
{
    assert(file->map && counter < file->counter_count);
    uint64_t sum = 0;
    for (unsigned s = 0; s < file->stripe_count; s++) {
        const unsigned char *at = file->map + file->data_offset + (size_t)s * file->stripe_bytes + counter * 8u;
        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)at, memory_order_relaxed);
    }
    return sum;
}
