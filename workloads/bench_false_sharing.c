// Small blocks that are written again and again: do two threads' blocks lie on one cache line?
//
// It answers to cache-thrash (active) and cache-scratch (passive) of Hoard: E. Berger et al., "Hoard: A Scalable Memory
// Allocator for Multithreaded Applications" (ASPLOS 2000). Active: the allocator gives one line's blocks to several
// threads. Passive: the main thread got neighbouring blocks and gave them away; those who free them get them again.
#include "course.h"

typedef enum Mode { ACTIVE, PASSIVE } Mode;

static const char *const modes[] = {[ACTIVE] = "active", [PASSIVE] = "passive", NULL};

typedef struct Config {
    uint64_t threads, rounds, writes, size, mode;
    CommonOptions common;
} Config;

static Config config = {.writes = 1000, .size = 8, .mode = ACTIVE, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;

// Reads and writes: writes alone could wait in the store buffer. The stamp, for the check at its free, comes back last.
static void write_often(Worker *w, Block block)
{
    volatile uint64_t *word = block.ptr;
    for (uint64_t i = 0; i < config.writes; i++)
        *word = *word + 1;
    object_write(block, w->touch);
}

static void work(Worker *w)
{
    Block *block = w->blocks;
    for (uint64_t round = 0; round < config.rounds; round++) {
        if (block->ptr != NULL) worker_free(w, *block);
        worker_checksum_add(w, config.size);
        worker_alloc(w, block, (uint32_t)config.size, round);
        if (block->ptr != NULL) write_often(w, *block);
    }
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"rounds", 1, UINT64_C(1000000000), 1, &config.rounds, NULL, NULL},
        {"writes", 1, UINT64_C(1000000000), 1, &config.writes, NULL, NULL},
        {"size", 8, 1 << 20, 1, &config.size, NULL, NULL},
        {.name = "mode", .value = &config.mode, .words = modes},
    };
    const CommandLine line = {
        .doc =
            "Threads that write to a small block of their own.\v"
            "In each of `rounds` rounds a thread frees its block, allocates one of `size` bytes (8) and writes to its "
            "first word `writes` times (1000). mode is active (the default), or passive: then the first block of "
            "each thread is one that the main thread allocated.\n\n"
            "One op is one write.",
        .args_doc = "threads rounds [writes size mode]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 2,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, "");
}

static void take_neighbours(void)
{
    for (unsigned i = 0; config.mode == PASSIVE && i < crew.n_workers; i++)
        worker_alloc(&crew.workers[i], crew.workers[i].blocks, (uint32_t)config.size, 0);
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    return course_main(&crew, config.threads, config.threads, &config.common,
                       (Course){.prepare = take_neighbours, .work = work, .after = worker_free_all},
                       (HzbResult){.ops = config.threads * config.rounds * config.writes});
}
