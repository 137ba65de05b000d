// What the kernel is asked for, and how its answers are taken.
#include "support.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hz3_os.h"

// A process may begin on one CPU and spread later: then each of the others has a number of its own as well.
static void cpus_beside_the_affinity_are_counted(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    uint32_t last = CPU_SETSIZE;
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        last = CPU_ISSET(cpu, &all) ? cpu : last;
    }
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    static uint16_t index[HZ3_OS_CPUS_MAX];
    static Hz3OsNodes nodes;
    hz3_os_nodes(&nodes, 1);
    uint32_t count = hz3_os_cpu_index(&nodes, index);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(count, sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(index[last], 0);
    bool is_taken[HZ3_OS_CPUS_MAX] = {false};
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        assert_in_range(index[cpu], 0, count - 1);
        assert_false(CPU_ISSET(cpu, &all) && is_taken[index[cpu]]);
        is_taken[index[cpu]] = is_taken[index[cpu]] || CPU_ISSET(cpu, &all);
    }
}

static const char *const *planted; // path, text, path, text ... NULL

bool __real_hz3_os_read_file(const char *path, char *text, size_t text_bytes);
bool __wrap_hz3_os_read_file(const char *path, char *text, size_t text_bytes);
bool __wrap_hz3_os_read_file(const char *path, char *text, size_t text_bytes)
{
    if (planted == NULL) {
        return __real_hz3_os_read_file(path, text, text_bytes);
    }
    const char *const *file = planted;
    while (*file != NULL && strcmp(*file, path) != 0) {
        file += 2;
    }
    if (*file != NULL) {
        strncpy(text, file[1], text_bytes);
    }
    return *file != NULL;
}

#define NODES "/sys/devices/system/node/"

static void nodes_are_read(void **state)
{
    (void)state;
    static Hz3OsNodes nodes;
    static uint16_t index[HZ3_OS_CPUS_MAX];
    planted = (const char *const[]){NODES "has_cpu",
                                    "0,2-4,7\n",
                                    NODES "node0/cpulist",
                                    "700-701\n",
                                    NODES "node2/cpulist",
                                    "\n",
                                    NODES "node4/cpulist",
                                    "600,602-604,1023-2000\n",
                                    NODES "node7/cpulist",
                                    "650\n",
                                    NULL};
    hz3_os_nodes(&nodes, 0); // node 3 cannot be read, node 2 has lost its CPUs
    assert_int_equal(nodes.count, 4);
    assert_int_equal(nodes.of_cpu[601], 0); // of none of them
    assert_int_equal(nodes.of_cpu[700], 0);
    assert_int_equal(nodes.of_cpu[600], 2);
    assert_int_equal(nodes.of_cpu[603], 2);
    assert_int_equal(nodes.of_cpu[1023], 2);
    assert_int_equal(nodes.of_cpu[650], 3);
    assert_int_equal(nodes.cpus[2], 5);
    uint32_t most = hz3_os_cpu_index(&nodes, index);
    assert_in_range(most, 5, HZ3_OS_CPUS_MAX);
    assert_int_equal(index[600], 0); // each node counts for itself
    assert_int_equal(index[602], 1);
    assert_int_equal(index[650], 0);

    planted = (const char *const[]){NODES "has_cpu", "0\n", NODES "node0/cpulist", "0-3\n", NULL};
    hz3_os_nodes(&nodes, 0);
    assert_int_equal(nodes.count, 1);
    assert_int_equal(nodes.cpus[0], sysconf(_SC_NPROCESSORS_ONLN));
    planted = (const char *const[]){NULL};
    hz3_os_nodes(&nodes, 0);
    assert_int_equal(nodes.count, 1);
    planted = NULL;
}

static void places_are_taken_once(void **state)
{
    (void)state;
    char *place = (char *)((uintptr_t)45 << 40);
    size_t bytes = 4 * HZ3_PAGE_SIZE;
    errno = 4321;
    assert_int_equal(hz3_os_map_at(place, bytes, HZ3_OS_WRITE, false), HZ3_OS_DONE);
    memset(place, 0xA5, bytes);
    assert_int_equal(hz3_os_map_at(place, bytes, HZ3_OS_WRITE, false), HZ3_OS_OCCUPIED);
    assert_int_equal(hz3_os_map_at(place - HZ3_PAGE_SIZE, bytes, HZ3_OS_READ, false), HZ3_OS_OCCUPIED);
    assert_int_equal(place[bytes - 1], (char)0xA5);
    assert_int_equal(hz3_os_map_at(place, bytes, HZ3_OS_READ, true), HZ3_OS_DONE);
    assert_int_equal(place[bytes - 1], 0);
    assert_true(hz3_os_commit(place, bytes));
    assert_true(hz3_os_unmap(place, bytes));
    assert_int_equal(hz3_os_map_at((void *)((uintptr_t)1 << 60), bytes, HZ3_OS_WRITE, false), HZ3_OS_REFUSED);
    assert_int_equal(errno, 4321);
}

static void locked_memory_can_be_purged(void **state)
{
    (void)state;
    char *page = mmap(NULL, HZ3_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    if (mlock(page, HZ3_PAGE_SIZE) != 0) {
        skip();
    }
    page[7] = 1;
    assert_true(hz3_os_purge(page, HZ3_PAGE_SIZE));
    assert_int_equal(page[7], 0);
    munmap(page, HZ3_PAGE_SIZE);
}

int main(void)
{
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpus_beside_the_affinity_are_counted),
        cmocka_unit_test(nodes_are_read),
        cmocka_unit_test(places_are_taken_once),
        cmocka_unit_test(locked_memory_can_be_purged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
