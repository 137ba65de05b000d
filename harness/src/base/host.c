#include "base/host.h"

#include <assert.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/files.h"
#include "base/util.h"

#define SYSFS_THP "/sys/kernel/mm/transparent_hugepage/enabled"
#define SYSFS_GOVERNOR "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"

int64_t proc_value(const char *path, const char *key)
{
    assert(!strchr(key, ':')); // it would be found nowhere
    int64_t value = -1;
    char *text = file_text(path);
    size_t length = strlen(key);
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0 || line[length] != ':') continue;
        if (sscanf(line + length + 1, "%" SCNd64, &value) != 1) value = -1;
        break;
    }
    free(text);
    return value;
}

char *sysfs_choice(const char *path)
{
    char *line = file_line(path);
    char *open = line ? strchr(line, '[') : NULL;
    char *word = open ? xfmt("%.*s", (int)strcspn(open + 1, "]"), open + 1) : NULL;
    free(line);
    return word;
}

char *cpuinfo_field(const char *key)
{
    char *text = file_text("/proc/cpuinfo"), *value = NULL;
    size_t length = strlen(key);
    for (char *line = text; line && !value; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0) continue;
        const char *start = line + length;
        start += strspn(start, " \t");
        if (*start++ != ':') continue;
        start += strspn(start, " ");
        value = xfmt("%.*s", (int)strcspn(start, "\n"), start);
    }
    free(text);
    return value;
}

CpuTicks cpu_ticks(void)
{
    CpuTicks ticks = {0};
    uint64_t field[8] = {0};
    char *line = file_line("/proc/stat");
    if (line &&
        sscanf(line, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &field[0], &field[1], &field[2], &field[3], &field[4], &field[5], &field[6], &field[7]) == 8)
        ticks.steal = field[7];
    for (unsigned i = 0; i < 8; i++)
        ticks.total += field[i];
    free(line);
    return ticks;
}

int64_t psi_cpu_us(void)
{
    int64_t total = -1;
    char *line = file_line("/proc/pressure/cpu");
    char *at = line && strncmp(line, "some", 4) == 0 ? strstr(line, "total=") : NULL;
    if (!at || sscanf(at, "total=%" SCNd64, &total) != 1) total = -1;
    free(line);
    return total;
}

double load1(void)
{
    double load;
    return getloadavg(&load, 1) == 1 ? load : -1;
}

static json_t *text_or_null(char *text)
{
    json_t *value = text && *text ? json_string(text) : json_null();
    free(text);
    return value;
}

static json_t *number_or_null(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

static json_t *line_number_or_null(const char *path)
{
    int64_t value = -1;
    char *line = file_line(path);
    if (!line || !parse_i64(line, &value)) value = -1;
    free(line);
    return number_or_null(value);
}

json_t *host_facts(void)
{
    struct utsname uts;
    uname(&uts);
    json_t *facts = json_object();
    json_object_set_new(facts, "hostname", json_string(uts.nodename));
    json_object_set_new(facts, "machine_id", text_or_null(file_line("/etc/machine-id")));
    json_object_set_new(facts, "kernel", json_string(uts.release));
    json_object_set_new(facts, "arch", json_string(uts.machine));
    json_object_set_new(facts, "libc", text_or_null(xfmt("glibc %s", gnu_get_libc_version())));
    json_object_set_new(facts, "cpu_model", text_or_null(cpuinfo_field("model name")));
    json_object_set_new(facts, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(facts, "page_size", json_integer(sysconf(_SC_PAGESIZE)));
    json_object_set_new(facts, "ram_kib", number_or_null(proc_value("/proc/meminfo", "MemTotal")));
    json_object_set_new(facts, "swap_kib", number_or_null(proc_value("/proc/meminfo", "SwapTotal")));
    json_object_set_new(facts, "thp", text_or_null(sysfs_choice(SYSFS_THP)));
    json_object_set_new(facts, "governor", text_or_null(file_line(SYSFS_GOVERNOR)));
    json_object_set_new(facts, "overcommit", line_number_or_null("/proc/sys/vm/overcommit_memory"));
    json_object_set_new(facts, "aslr", line_number_or_null("/proc/sys/kernel/randomize_va_space"));
    return facts;
}
