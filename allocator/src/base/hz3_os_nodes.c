// Which CPUs are near which memory: /sys/devices/system/node (sysfs-devices-node in the kernel's Documentation/ABI).
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hz3_os.h"

#define FOLDER "/sys/devices/system/node"
#define TEXT_BYTES 4096 // every other one of 1024 CPUs takes half of it

// Calls `each` for every number of a list like 0-3,8,10-11.
static void for_each_of(const char *list, void (*each)(uint32_t number, Hz3OsNodes *nodes), Hz3OsNodes *nodes)
{
    while (*list >= '0' && *list <= '9') {
        char *end;
        unsigned long first = strtoul(list, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        for (unsigned long i = first; i <= last && i < HZ3_OS_CPUS_MAX; i++) {
            each((uint32_t)i, nodes);
        }
        list = *end == ',' ? end + 1 : end;
    }
}

// Of the node that is counted last. A machine of more than HZ3_NODES_MAX nodes has some that count as one.
static void add_cpu(uint32_t cpu, Hz3OsNodes *nodes)
{
    uint32_t node = (nodes->count - 1) % HZ3_NODES_MAX;
    nodes->of_cpu[cpu] = (uint8_t)node;
    nodes->cpus[node]++;
}

static void add_node(uint32_t number, Hz3OsNodes *nodes)
{
    char path[sizeof FOLDER + 32];
    char cpus[TEXT_BYTES];
    snprintf(path, sizeof path, FOLDER "/node%u/cpulist", number);
    if (hz3_os_read_file(path, cpus, sizeof cpus)) {
        nodes->count++;
        for_each_of(cpus, add_cpu, nodes);
    }
}

static void ask_kernel(Hz3OsNodes *nodes)
{
    char numbers[256];
    if (hz3_os_read_file(FOLDER "/has_cpu", numbers, sizeof numbers) && strpbrk(numbers, ",-") != NULL) {
        for_each_of(numbers, add_node, nodes);
    }
    nodes->count = nodes->count < HZ3_NODES_MAX ? nodes->count : HZ3_NODES_MAX;
}

void hz3_os_nodes(Hz3OsNodes *nodes, uint32_t as_if)
{
    *nodes = (Hz3OsNodes){0};
    if (as_if == 0) {
        ask_kernel(nodes);
    }
    if (nodes->count > 1) {
        return;
    }
    int saved_errno = errno;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    errno = saved_errno;
    uint32_t cpus = online > 0 && online < HZ3_OS_CPUS_MAX ? (uint32_t)online : HZ3_OS_CPUS_MAX;
    nodes->count = as_if > HZ3_NODES_MAX ? HZ3_NODES_MAX : as_if > 1 ? as_if : 1;
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        nodes->of_cpu[cpu] = (uint8_t)(cpu % nodes->count);
    }
    for (uint32_t node = 0; node < nodes->count; node++) {
        nodes->cpus[node] = (uint16_t)((cpus + nodes->count - 1) / nodes->count);
    }
}
