// Stands for an allocator: it is mapped, and it counts if it is told where.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct counter_file {
    char magic[8];
    uint32_t version, n_counters, n_stripes, stripe_bytes, names_off, data_off;
    char rest[32];
    char names[2][32];
    uint64_t stripes[2][8];
};

__attribute__((constructor)) static void count(void)
{
    const char *path = getenv("HZ3_STATS_FILE");
    const struct counter_file file = {.magic = {'H', 'Z', '3', 'S', 'T', 'A', 'T', '1'},
                                      .version = 1,
                                      .n_counters = 2,
                                      .n_stripes = 2,
                                      .stripe_bytes = 64,
                                      .names_off = 64,
                                      .data_off = 128,
                                      .names = {"reclaim_pages", "own_counter"},
                                      .stripes = {{40, 1}, {2, 1}}};
    FILE *out = path ? fopen(path, "wx") : NULL;
    if (!out) return;
    fwrite(&file, sizeof file, 1, out);
    fclose(out);
}

// The build line at exit, with what the environment chose.
__attribute__((destructor)) static void say_build(void)
{
    const char *front = getenv("FAKE_FRONT");
    if (getenv("HZ3_STATS")) fprintf(stderr, "[HZ3_BUILD] lane=fake front=%s defs=-DX=1 -DY\n", front ? front : "auto");
    if (getenv("HZ3_STATS")) fputs("[HZ3_STATS] own_counter=2\n", stderr);
}

// So that the two libraries built from this differ.
const char *FAKE_NAME(void);
const char *FAKE_NAME(void)
{
    return __func__;
}
