// Faults planted into hz3, to see whether the gate finds them. It is linked with hz3's own objects, in which malloc and
// madvise have other names, so nothing but the plant differs. Without these variables it does nothing:
//
// PLANT_SLOW_PCT    a thread that allocates takes so much longer
// PLANT_EXTRA       so many instructions more for each malloc
// PLANT_RSS_PCT     more pages are resident, this share of those that are
// PLANT_FAIL_AT     one malloc, a thread's N-th, fails
// PLANT_IDLE_PCT    memory goes back so much later
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CALLS_PER_LOOK = 1024, GAP_MAX_NS = 10000000, RETURN_GAP_MAX_NS = 1000000000, PAGE_BYTES = 4096 };

void *planted_real_malloc(size_t size);

static struct {
    double slow, rss, idle; // shares
    double extra;
    uint64_t fail_at;
    int statm;
} plant = {.statm = -1};
static atomic_bool has_failed;
static atomic_flag ballast_busy = ATOMIC_FLAG_INIT;
static size_t ballast_pages;
static _Atomic uint64_t last_return_ns;
static _Thread_local uint64_t calls, last_look_ns;

static double share_of(const char *name)
{
    const char *text = getenv(name);
    return text ? atof(text) / 100 : 0;
}

__attribute__((constructor)) static void read_plant(void)
{
    const char *fail_at = getenv("PLANT_FAIL_AT");
    plant.slow = share_of("PLANT_SLOW_PCT");
    plant.extra = share_of("PLANT_EXTRA") * 100;
    plant.rss = share_of("PLANT_RSS_PCT");
    plant.idle = share_of("PLANT_IDLE_PCT");
    plant.fail_at = fail_at ? strtoull(fail_at, NULL, 10) : 0;
    if (plant.rss > 0) plant.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void lose_time(void)
{
    uint64_t now = now_ns(), gap = now - last_look_ns;
    if (last_look_ns == 0) gap = 0;
    if (gap > GAP_MAX_NS) gap = GAP_MAX_NS; // a thread that slept did no work that could have been slower
    uint64_t until = now + (uint64_t)((double)gap * plant.slow);
    while (now < until)
        now = now_ns();
    last_look_ns = now;
}

// A turn of the loop is three instructions.
static void lose_instructions(void)
{
    for (long turns = (long)(plant.extra * CALLS_PER_LOOK / 3); turns > 0; turns--)
        __asm__ volatile("nop");
}

static size_t resident_pages(void)
{
    char text[128];
    unsigned long size, resident;
    ssize_t got = pread(plant.statm, text, sizeof text - 1, 0);
    if (got <= 0) return 0;
    text[got] = 0;
    return sscanf(text, "%lu %lu", &size, &resident) == 2 ? resident : 0;
}

static void grow_ballast(void)
{
    if (atomic_flag_test_and_set(&ballast_busy)) return;
    size_t resident = resident_pages(), own = ballast_pages;
    size_t wanted = resident > own ? (size_t)((double)(resident - own) * plant.rss) : 0;
    if (wanted > own) {
        size_t bytes = (wanted - own) * PAGE_BYTES;
        char *fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (fresh != MAP_FAILED) ballast_pages = wanted;
    }
    atomic_flag_clear(&ballast_busy);
}

void *malloc(size_t size)
{
    if (++calls == plant.fail_at && !atomic_exchange(&has_failed, 1)) {
        errno = ENOMEM;
        return NULL;
    }
    if (calls % CALLS_PER_LOOK == 0) {
        if (plant.slow > 0) lose_time();
        if (plant.extra > 0) lose_instructions();
        if (plant.rss > 0) grow_ballast();
    }
    return planted_real_malloc(size);
}

int planted_madvise(void *addr, size_t bytes, int advice);

int planted_madvise(void *addr, size_t bytes, int advice)
{
    if (plant.idle > 0 && advice == MADV_DONTNEED) {
        uint64_t gap = now_ns() - atomic_load(&last_return_ns);
        if (gap > RETURN_GAP_MAX_NS) gap = RETURN_GAP_MAX_NS;
        const struct timespec pause = {0, (long)((double)gap * plant.idle)};
        nanosleep(&pause, NULL);
        atomic_store(&last_return_ns, now_ns());
    }
    return madvise(addr, bytes, advice);
}
