// A C++ program: hash maps and ordered maps of strings and vectors, filled, searched, walked and thinned out.
//
// It answers to what most C++ programs do, and to the node-based containers of larson with sized delete and of rocksdb
// in D. Leijen's mimalloc-bench. Stressed are operator new and delete with sizes, and nodes that come and go at random.
#include "course.h"
#include "string_map.h"

typedef struct Config {
    uint64_t threads, iters, keys;
    CommonOptions common;
} Config;

static Config config = {.keys = 20000, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;

static void on_live(void *worker, int64_t live_bytes)
{
    Worker *w = worker;
    w->live_bytes = live_bytes;
    worker_publish_live(w);
}

static void work(Worker *w)
{
    StringMapJob job = {.ops = config.iters, .keys = config.keys, .rng = w->rng, .on_live = on_live, .context = w};
    const char *fault = string_map_run(&job);
    if (fault != NULL) die(EXIT_INTERNAL, "thread %u: %s", w->index, fault);
    w->allocated = job.allocated;
    w->freed = job.freed;
    w->checksum = job.checksum;
    for (uint64_t i = 0; i < job.alloc_failed; i++)
        worker_note_failure(w);
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"iters", 1, UINT64_C(1000000000000), 1, &config.iters, NULL, NULL},
        {"keys", 1, UINT32_MAX, 1, &config.keys, NULL, NULL},
    };
    const CommandLine line = {
        .doc =
            "Puts, finds and removes strings in C++ containers.\v"
            "Each thread has an unordered_map from strings to vectors and a map from numbers to strings. In each of "
            "`iters` iterations it draws one of `keys` keys (20000). In half of all cases it puts the key into both "
            "and a number into its vector. In a quarter it removes the key; else it looks for it, or makes one string "
            "of the sixteen that follow.\n\n"
            "One op is one iteration. The time has the destruction of the containers in it.",
        .args_doc = "threads iters [keys]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 2,
        .no_touch = true,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, "");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    return course_main(&crew, config.threads, 0, &config.common, (Course){.work = work, .after = worker_free_all},
                       (HzbResult){.ops = config.threads * config.iters});
}
