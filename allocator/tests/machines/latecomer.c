// CPUs that come online after the process started, and go again. Under LD_PRELOAD of a lane, as root:
//   one   the last CPU, offline when the process starts. There mallocs are served from a cache: at most one in a
//         hundred asks the middle layer. When it is gone, what it had cached does not stay there: epochs bring at least
//         three quarters back.
//   all   a visit to each CPU that is offline, one after the other. There too one in a hundred, of the process' memory
//         64 MiB of addresses at most for all of them, and 8 MiB resident when they are gone.
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../patience.h"
#include "../proc_kib.h"

enum { OPS = 20000, HELD = 8, CACHED = 2000, CACHED_BYTES = 500, EPOCHS = 20, BACK_MS = 5000 };

extern int hz3_stats_read(const char *name, uint64_t *value) __attribute__((weak));
extern void hz3_epoch_force(void) __attribute__((weak));

static bool has_failed;

static void check(bool is_so, const char *what, size_t is, size_t most)
{
    static int n;
    printf("%sok %d - %s: %zu, at most %zu\n", is_so ? "" : "not ", ++n, what, is, most);
    if (!is_so) {
        printf("FAILED: %s\n", what);
    }
    has_failed = has_failed || !is_so;
}

static _Noreturn void stop(const char *what, int cpu)
{
    fprintf(stderr, "latecomer: %s: CPU %d: %s\n", what, cpu, strerror(errno));
    exit(2);
}

// --- the CPU -----------------------------------------------------------------------------------------------------

static bool switch_cpu(int cpu, const char *to)
{
    char path[80];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/online", cpu);
    FILE *online = fopen(path, "w");
    if (online == NULL) {
        return false;
    }
    bool is_written = fputs(to, online) >= 0;
    return fclose(online) == 0 && is_written;
}

static bool is_offline(int cpu)
{
    char path[80], state = '1';
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/online", cpu);
    FILE *online = fopen(path, "r");
    if (online != NULL) {
        state = (char)fgetc(online);
        fclose(online);
    }
    return state == '0';
}

// The last of those that can be switched off; CPUs that are not there have no such file.
static int last_cpu(void)
{
    for (int cpu = (int)sysconf(_SC_NPROCESSORS_CONF) - 1; cpu > 0; cpu--) {
        if (switch_cpu(cpu, "0")) {
            return cpu;
        }
    }
    return 0;
}

static void move_to(int cpu)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0 || sched_getcpu() != cpu) {
        stop("cannot move there", cpu);
    }
}

// --- what is checked ---------------------------------------------------------------------------------------------

static void *allocate(size_t bytes)
{
    void *p = malloc(bytes);
    if (p == NULL) {
        stop("out of memory", sched_getcpu());
    }
    return p;
}

static uint64_t refills(void)
{
    uint64_t n;
    if (hz3_stats_read == NULL || hz3_stats_read("refills", &n) != 0) {
        fprintf(stderr, "latecomer: hz3 is not loaded\n");
        exit(2);
    }
    return n;
}

static void work(void)
{
    void *held[HELD] = {NULL};
    for (uint32_t i = 0; i < OPS; i++) {
        free(held[i % HELD]);
        held[i % HELD] = allocate(16 + i % 40 * 16);
    }
    for (uint32_t i = 0; i < HELD; i++) {
        free(held[i]);
    }
}

static size_t cached_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.fordblks - m.keepcost;
}

static void fill_cache(void)
{
    static void *block[CACHED];
    for (uint32_t i = 0; i < CACHED; i++) {
        block[i] = allocate(CACHED_BYTES);
    }
    for (uint32_t i = 0; i < CACHED; i++) {
        free(block[i]);
    }
}

// Returns how many of OPS mallocs there asked the middle layer.
static size_t visit(int cpu)
{
    if (!switch_cpu(cpu, "1")) {
        stop("cannot be switched on", cpu);
    }
    move_to(cpu);
    uint64_t before = refills();
    work();
    size_t asked = refills() - before;
    fill_cache();
    return asked;
}

static void leave(int cpu)
{
    move_to(0);
    if (!switch_cpu(cpu, "0")) {
        stop("cannot be switched off", cpu);
    }
}

static void visit_one(int cpu)
{
    work();
    size_t asked = visit(cpu);
    check(asked <= OPS / 100, "mallocs on a CPU that came later which found no cache", asked, OPS / 100);
    size_t then = cached_bytes(), now = then;
    leave(cpu);
    for (int i = 0; i < EPOCHS && now > then / 4; i++) {
        hz3_epoch_force();
        now = cached_bytes();
    }
    check(now <= then / 4, "bytes cached when that CPU is gone", now, then / 4);
    switch_cpu(cpu, "1");
}

static void visit_all(void)
{
    work();
    long addresses = proc_kib("/proc/self/status", "VmSize:"), resident = proc_resident_kib();
    size_t most = 0, visits = 0;
    for (int cpu = 1; cpu < (int)sysconf(_SC_NPROCESSORS_CONF); cpu++) {
        if (!is_offline(cpu)) {
            continue;
        }
        size_t asked = visit(cpu);
        most = asked > most ? asked : most;
        visits++;
        leave(cpu);
    }
    if (visits == 0) {
        fprintf(stderr, "latecomer: all: no CPU is offline: expected some that can be switched on\n");
        exit(2);
    }
    printf("# CPUs visited: %zu\n", visits);
    check(most <= OPS / 100, "mallocs on any of the CPUs which found no cache", most, OPS / 100);
    addresses = proc_kib("/proc/self/status", "VmSize:") - addresses;
    check(addresses <= 64 << 10, "KiB of addresses more", (size_t)addresses, 64 << 10);
    long then = proc_resident_kib() - resident, now = then;
    Patience patience = patience_of_ms(BACK_MS);
    for (; now > 8 << 10 && patience_lasts(&patience); now = proc_resident_kib() - resident) {
        usleep(100000);
        hz3_epoch_force();
    }
    printf("# KiB resident more after the last visit: %ld\n", then);
    check(now <= 8 << 10, "KiB resident more when they are gone", (size_t)(now > 0 ? now : 0), 8 << 10);
}

static _Noreturn void start_without_last(const char *self)
{
    int cpu = last_cpu();
    if (cpu == 0) {
        printf("1..0 # SKIP no CPU here can be switched off\n");
        exit(0);
    }
    char number[16];
    snprintf(number, sizeof number, "%d", cpu);
    execl(self, self, "one", number, (char *)NULL);
    stop("cannot start anew", cpu);
}

int main(int argc, char **argv)
{
    const char *part = argc >= 2 ? argv[1] : "";
    if (strcmp(part, "all") == 0) {
        visit_all();
    } else if (strcmp(part, "one") != 0) {
        fprintf(stderr, "latecomer: '%s': expected one or all\n", part);
        return 2;
    } else if (argc == 2) {
        start_without_last(argv[0]);
    } else {
        visit_one(atoi(argv[2]));
    }
    return has_failed ? 1 : 0;
}
