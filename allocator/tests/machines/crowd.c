// What many CPUs cost. Under LD_PRELOAD of a lane:
//   start     a process that has used nothing, against the same one without a library: at most 64 MiB more addresses
//   and
//             2 MiB more resident
//   sleepers  1,000 threads on all CPUs have allocated, freed and gone to sleep: at most 8 MiB more resident than
//   before
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../patience.h"
#include "../proc_kib.h"

enum { THREADS = 1000, BLOCKS = 40, STACK_BYTES = 64 << 10, BACK_S = 30 };

static bool has_failed;

static void check(bool is_so, const char *what, long is_kib, long most_kib)
{
    static int n;
    printf("%sok %d - %s: %ld KiB, at most %ld\n", is_so ? "" : "not ", ++n, what, is_kib, most_kib);
    has_failed = has_failed || !is_so;
}

static long addresses_kib(void)
{
    return proc_kib("/proc/self/status", "VmSize:");
}

// --- start -------------------------------------------------------------------------------------------------------

static void figures_without(const char *self, long *addresses, long *resident)
{
    char command[512];
    snprintf(command, sizeof command, "LD_PRELOAD= %s figures", self);
    FILE *said = popen(command, "r");
    if (said == NULL || fscanf(said, "%ld %ld", addresses, resident) != 2 || pclose(said) != 0) {
        fprintf(stderr, "crowd: '%s' says no figures\n", command);
        exit(1);
    }
}

static void start(const char *self)
{
    long addresses = addresses_kib(), resident = proc_resident_kib(), addresses_then, resident_then;
    figures_without(self, &addresses_then, &resident_then);
    printf("# CPUs %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    check(addresses - addresses_then <= 64 << 10, "addresses that a process has at its start because of the library",
          addresses - addresses_then, 64 << 10);
    check(resident - resident_then <= 2 << 10, "what is resident of it", resident - resident_then, 2 << 10);
}

// --- sleepers ----------------------------------------------------------------------------------------------------

static pthread_barrier_t all_are_there, may_work, all_sleep, may_end;

// The stacks' pages are the program's.
static void touch_stack(void)
{
    volatile char page[16 << 10];
    for (size_t i = 0; i < sizeof page; i += 1024) {
        page[i] = 1;
    }
}

static void *sleeper(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg;
    touch_stack();
    char *block[BLOCKS];
    pthread_barrier_wait(&all_are_there);
    pthread_barrier_wait(&may_work);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        random = random * 1103515245 + 12345;
        size_t bytes = 16 + random % ((size_t)64 << (i % 8));
        block[i] = malloc(bytes);
        if (block[i] == NULL) {
            fprintf(stderr, "crowd: out of memory\n");
            exit(1);
        }
        memset(block[i], 1, bytes);
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        free(block[i]);
    }
    pthread_barrier_wait(&all_sleep);
    pthread_barrier_wait(&may_end);
    return NULL;
}

static void sleepers(void)
{
    static pthread_t thread[THREADS];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_barrier_t *const barriers[] = {&all_are_there, &may_work, &all_sleep, &may_end};
    for (uint32_t i = 0; i < sizeof barriers / sizeof barriers[0]; i++) {
        pthread_barrier_init(barriers[i], NULL, THREADS + 1);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        if (pthread_create(&thread[i], &attr, sleeper, (void *)(uintptr_t)(i + 1)) != 0) {
            fprintf(stderr, "crowd: thread %u cannot be created\n", i);
            exit(1);
        }
    }
    pthread_barrier_wait(&all_are_there);
    long before = proc_resident_kib();
    pthread_barrier_wait(&may_work);
    pthread_barrier_wait(&all_sleep);
    long then = proc_resident_kib(), now = then;
    Patience patience = patience_of_ms(BACK_S * 1000);
    while ((now = proc_resident_kib()) - before > 8 << 10 && patience_lasts(&patience)) {
        usleep(100000);
    }
    printf("# resident when the last one went to sleep: %ld KiB more\n", then - before);
    check(now - before <= 8 << 10, "resident while 1,000 threads sleep, more than before", now - before, 8 << 10);
    pthread_barrier_wait(&may_end);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
}

int main(int argc, char **argv)
{
    const char *part = argc == 2 ? argv[1] : "";
    if (strcmp(part, "figures") == 0) {
        printf("%ld %ld\n", addresses_kib(), proc_resident_kib());
    } else if (strcmp(part, "start") == 0) {
        start(argv[0]);
    } else if (strcmp(part, "sleepers") == 0) {
        sleepers();
    } else {
        fprintf(stderr, "crowd: '%s': expected start or sleepers\n", part);
        return 2;
    }
    return has_failed ? 1 : 0;
}
