#include "live.h"

#include "hzb_client.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

_Static_assert(sizeof(LivePage) == 64 && sizeof(LiveSlot) == 64, "layout shared with the harness");

static size_t mapped_bytes; // of the page that the harness shares
static const char live_magic[8] = {'H', 'Z', 'B', 'L', 'I', 'V', 'E', '1'};

static size_t live_bytes(uint32_t n_slots)
{
    return sizeof(LivePage) + n_slots * sizeof(LiveSlot);
}

static LivePage *live_map_shared(int fd)
{
    struct stat file;
    if (fstat(fd, &file) != 0) die(EXIT_USAGE, "HZB_LIVE_FD: %d: %s", fd, strerror(errno));
    size_t bytes = (size_t)file.st_size;
    if (bytes < sizeof(LivePage)) die(EXIT_USAGE, "HZB_LIVE_FD: %d: %zu bytes are too few for a live page", fd, bytes);
    LivePage *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) die(EXIT_USAGE, "HZB_LIVE_FD: %d: %s", fd, strerror(errno));
    if (memcmp(page->magic, live_magic, sizeof live_magic) != 0 || page->version != 1)
        die(EXIT_USAGE, "HZB_LIVE_FD: %d: expected a live page of version 1", fd);
    if (live_bytes(page->n_slots) > bytes)
        die(EXIT_USAGE, "HZB_LIVE_FD: %d: %u slots do not fit in %zu bytes", fd, page->n_slots, bytes);
    mapped_bytes = bytes;
    return page;
}

static LivePage *live_map_private(void)
{
    LivePage *page = pages_map(live_bytes(LIVE_SLOTS), "the live page");
    memcpy(page->magic, live_magic, sizeof live_magic);
    page->version = 1;
    page->n_slots = LIVE_SLOTS;
    return page;
}

LivePage *live_open(unsigned threads)
{
    int fd = hzb_inherited_fd("HZB_LIVE_FD");
    LivePage *page = fd < 0 ? live_map_private() : live_map_shared(fd);
    if (threads > page->n_slots)
        die(EXIT_USAGE, "argument threads: '%u': the live page has only %u slots", threads, page->n_slots);
    page->n_slots = threads; // the sampler reads no others
    return page;
}

LatencyPage *live_latencies(const LivePage *page)
{
    if (mapped_bytes < live_bytes(LIVE_SLOTS) + sizeof(LatencyPage))
        return pages_map(sizeof(LatencyPage), "the latencies");
    return (LatencyPage *)((char *)page + live_bytes(LIVE_SLOTS));
}

uint64_t live_sum(const LivePage *page)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < page->n_slots; i++)
        sum += atomic_load_explicit(&page->slots[i].bytes, memory_order_relaxed);
    // Threads are read one after the other, so a block on its way between two of them may be seen as freed only.
    return sum < 0 ? 0 : (uint64_t)sum;
}
