// A workload that misbehaves on demand. Arguments: milliseconds to run, seed. What it does wrong is chosen by the
// environment, so that the arms of one block can differ: FAKE_MODE, FAKE_CHECKSUM, FAKE_FALLBACK, FAKE_DLOPEN. For the
// gate it reports a time that is FAKE_SLOW_PCT longer, and FAKE_ALLOC_FAILED failed allocations. Up to 1 % of that time
// is noise, which depends on seed and FAKE_NOISE alone.
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EAT_STEP = 4 << 20, LIVE_BYTES = 3 << 20, SLOT_OFFSET = 64 };

static int fd;

static void say(const char *line)
{
    if (write(fd, line, strlen(line)) < 0) exit(70);
}

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void phase(const char *name)
{
    char line[128];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(line, sizeof line, "HZB1 phase=%s cycle=0 t_ns=%lld\n", name,
             (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    say(line);
}

static void publish_live(void)
{
    const char *text = getenv("HZB_LIVE_FD");
    struct stat st;
    if (!text || fstat(atoi(text), &st) != 0) exit(70);
    char *page = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(text), 0);
    if (page == MAP_FAILED || memcmp(page, "HZBLIVE1", 8) != 0) exit(70);
    *(volatile int64_t *)(void *)(page + SLOT_OFFSET) = LIVE_BYTES;
}

static void hang(void)
{
    const char *note = getenv("FAKE_GRANDCHILD");
    FILE *out = note ? fopen(note, "w") : NULL;
    if (out) {
        pid_t grandchild = fork();
        if (grandchild == 0)
            for (;;)
                pause();
        fprintf(out, "%d\n", (int)grandchild);
        fclose(out);
    }
    for (;;)
        pause();
}

static void eat(void)
{
    for (;;) {
        char *block = mmap(NULL, EAT_STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) exit(70);
        memset(block, 1, EAT_STEP);
        sleep_ms(5);
    }
}

static double number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? atof(text) : 0;
}

// The time that is reported: the same in every run, whatever the machine does.
static long long work_ns(const char *seed)
{
    const char *own = getenv("FAKE_NOISE");
    uint64_t hash = strtoull(seed, NULL, 10) + (own ? strtoull(own, NULL, 10) * 1000003 : 0);
    for (int i = 0; own && i < 3; i++)
        hash = (hash ^ hash >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    double noise = own ? (double)(hash >> 40) / (double)(1 << 24) / 100 : 0;
    return (long long)(1e6 * (1 + noise) * (1 + number_of("FAKE_SLOW_PCT") / 100));
}

static void misbehave(const char *mode)
{
    if (strcmp(mode, "hang") == 0) hang();
    if (strcmp(mode, "eat") == 0) eat();
    if (strcmp(mode, "crash") == 0) raise(SIGSEGV);
    if (strcmp(mode, "nofinal") == 0) exit(0);
    if (strcmp(mode, "exit3") == 0) exit(3);
    if (strcmp(mode, "complain") == 0) {
        fputs("no room for the ring: 7 of 9\nand more\n", stderr);
        exit(3);
    }
    if (strcmp(mode, "garbage") == 0) {
        say("hello\n");
        pause();
    }
}

int main(int argc, char **argv)
{
    char line[512], byte;
    const char *text = getenv("HZB_FD"), *mode = getenv("FAKE_MODE"), *checksum = getenv("FAKE_CHECKSUM");
    const char *fallback = getenv("FAKE_FALLBACK"), *library = getenv("FAKE_DLOPEN");
    if (argc < 3 || !text || getenv("HZB_PAD") == NULL) return 64;
    fd = atoi(text);
    if (library && !dlopen(library, RTLD_NOW)) return 70;
    printf("fake: %s ms, seed %s\n", argv[1], argv[2]);
    fflush(stdout);
    phase("work");
    publish_live();
    sleep_ms(atol(argv[1]));
    if (mode) misbehave(mode);
    phase("idle");
    sleep_ms(30);
    phase("post");
    snprintf(line, sizeof line,
             "HZB1 ops=1000 work_ns=%lld checksum=%016llx alloc_failed=%.0f live_peak=%d live_at_fail=0%s%s\n",
             work_ns(argv[2]), strtoull(checksum ? checksum : argv[2], NULL, 10), number_of("FAKE_ALLOC_FAILED"),
             LIVE_BYTES, fallback ? " fallback_pct=" : "", fallback ? fallback : "");
    say(line);
    return read(fd, &byte, 1) == 1 ? 0 : 70;
}
