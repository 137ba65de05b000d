#include "process/doctor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/callgrind.h"
#include "base/files.h"
#include "base/host.h"
#include "base/subprocess.h"
#include "base/util.h"
#include "config/arm.h"
#include "config/config_load.h"
#include "config/options.h"
#include "process/probe.h"
#include "record/machine_modes.h"
#include "stats/stats.h"

static void add(Doctor *doctor, const char *check, const char *level, char *finding, const char *advice)
{
    json_array_append_new(doctor->findings, json_pack("{s:s, s:s, s:s, s:s}", "check", check, "level", level, "finding",
                                                      finding, "advice", advice));
    free(finding);
}

static void warn(Doctor *doctor, const char *check, char *finding, const char *advice)
{
    doctor->warnings++;
    add(doctor, check, "warn", finding, advice);
}

static void fine(Doctor *doctor, const char *check, char *finding)
{
    add(doctor, check, "ok", finding, "");
}

static bool line_is(const char *path, const char *text)
{
    char *line = file_line(path);
    bool same = line && strcmp(line, text) == 0;
    free(line);
    return same;
}

static void check_cpus(Doctor *doctor)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus < 4)
        warn(doctor, "cpus", xfmt("%ld CPUs: two measured threads and hzb share them", cpus),
             "believe ratios, not figures; use a machine with four or more");
    else
        fine(doctor, "cpus", xfmt("%ld CPUs", cpus));
    if (line_is("/sys/devices/system/cpu/smt/active", "1"))
        warn(doctor, "smt", xstrdup("two threads may share one core"),
             "echo off > /sys/devices/system/cpu/smt/control");
}

static void check_virtual(Doctor *doctor)
{
    char *flags = cpuinfo_field("flags"), *product = file_line("/sys/class/dmi/id/product_name");
    if (flags && strstr(flags, " hypervisor"))
        warn(doctor, "virtual",
             xfmt("a virtual machine (%s): neighbours take CPU time and cache", product ? product : "?"),
             "measure on bare metal; look at steal_ticks in runs.csv");
    else
        fine(doctor, "virtual", xstrdup("no hypervisor seen"));
    free(flags);
    free(product);
}

static void check_frequency(Doctor *doctor)
{
    char *governor = file_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (governor && strcmp(governor, "performance") != 0)
        warn(doctor, "governor", xfmt("CPU frequency governor is '%s'", governor),
             "cpupower frequency-set -g performance");
    else
        fine(doctor, "governor", xfmt("CPU frequency governor: %s", governor ? governor : "not to be seen here"));
    free(governor);
    if (line_is("/sys/devices/system/cpu/intel_pstate/no_turbo", "0"))
        warn(doctor, "turbo", xstrdup("turbo is on: speed depends on how warm the machine is"),
             "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo");
    if (line_is("/sys/devices/system/cpu/cpufreq/boost", "1"))
        warn(doctor, "turbo", xstrdup("boost is on: speed depends on how warm the machine is"),
             "echo 0 > /sys/devices/system/cpu/cpufreq/boost");
}

static void check_clock(Doctor *doctor)
{
    char *clock = file_line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    bool fast = clock && (strcmp(clock, "tsc") == 0 || strcmp(clock, "kvm-clock") == 0 ||
                          strcmp(clock, "arch_sys_counter") == 0);
    if (clock && !fast)
        warn(doctor, "clock", xfmt("clock source is '%s': reading the time costs a system call", clock),
             "boot with clocksource=tsc");
    free(clock);
}

static void check_load(Doctor *doctor)
{
    double load = load1();
    if (load > 0.5)
        warn(doctor, "load", xfmt("load of the last minute is %.2f: something else is running", load),
             "stop it, or wait until it is done");
    else
        fine(doctor, "load", xfmt("load of the last minute is %.2f", load));
    CpuTicks ticks = cpu_ticks();
    double steal_pct = ticks.total ? 100.0 * (double)ticks.steal / (double)ticks.total : 0;
    if (steal_pct > 0.5)
        warn(doctor, "steal", xfmt("%.1f %% of CPU time since boot went to other guests", steal_pct),
             "samples above 2 % are measured again; expect a longer run");
    else
        fine(doctor, "steal", xfmt("%.2f %% of CPU time since boot went to other guests", steal_pct));
    if (psi_cpu_us() < 0)
        warn(doctor, "psi", xstrdup("no pressure stall information: waiting for a CPU goes unseen"),
             "boot with psi=1; psi_cpu_us in runs.csv stays empty");
}

static void check_memory(Doctor *doctor)
{
    int64_t total_kib = proc_value("/proc/meminfo", "MemTotal"), free_kib = proc_value("/proc/meminfo", "MemAvailable");
    int64_t swap_kib = proc_value("/proc/meminfo", "SwapTotal") - proc_value("/proc/meminfo", "SwapFree");
    char *text =
        xfmt("%.1f of %.1f GiB of memory are free", (double)free_kib / (1 << 20), (double)total_kib / (1 << 20));
    if (free_kib < total_kib / 2 || free_kib < 4 << 20)
        warn(doctor, "memory", text, "stop what holds it; the guard kills runs at 75 % of all memory");
    else
        fine(doctor, "memory", text);
    if (swap_kib > 0) warn(doctor, "swap", xfmt("%.0f MiB are swapped out", (double)swap_kib / 1024), "swapoff -a");
    char *limit = file_line("/sys/fs/cgroup/memory.max");
    if (limit && strcmp(limit, "max") != 0)
        warn(doctor, "cgroup", xfmt("memory of this control group is limited to %s bytes", limit),
             "the guard looks at the machine's memory, not at this limit");
    free(limit);
}

static void check_paging(Doctor *doctor)
{
    char *thp = sysfs_choice("/sys/kernel/mm/transparent_hugepage/enabled");
    if (thp && strcmp(thp, "always") == 0)
        warn(doctor, "thp", xstrdup("transparent huge pages are 'always': RSS comes and goes in pieces of 2 MiB"),
             "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
    else
        fine(doctor, "thp", xfmt("transparent huge pages: %s", thp ? thp : "none"));
    free(thp);
    if (line_is("/proc/sys/vm/overcommit_memory", "2"))
        warn(doctor, "overcommit", xstrdup("strict overcommit: large reservations fail"),
             "sysctl vm.overcommit_memory=0");
    if (!line_is("/proc/sys/kernel/randomize_va_space", "2"))
        warn(doctor, "aslr", xstrdup("address randomisation is not complete: all runs may share one lucky layout"),
             "sysctl kernel.randomize_va_space=2");
}

static void check_tools(Doctor *doctor)
{
    char *paranoid = file_line("/proc/sys/kernel/perf_event_paranoid"), *output;
    int64_t level;
    if (paranoid && parse_i64(paranoid, &level) && level > 2)
        warn(doctor, "perf", xfmt("perf_event_paranoid is %s: no hardware counters for ordinary users", paranoid),
             "sysctl kernel.perf_event_paranoid=1");
    free(paranoid);
    const char *argv[] = {"gnuplot", "--version", NULL};
    if (command_output(argv, STDERR_DROPPED, &output) == 0)
        fine(doctor, "gnuplot", xstrdup(output));
    else
        warn(doctor, "gnuplot", xstrdup("gnuplot cannot be run: no plots"), "make setup");
    free(output);
    char *valgrind = callgrind_version();
    if (valgrind)
        fine(doctor, "valgrind", xstrdup(valgrind));
    else
        warn(doctor, "valgrind", xstrdup("valgrind cannot be run: no workload can count its instructions"),
             "make setup");
    free(valgrind);
    if (access("/proc/self/clear_refs", W_OK) != 0)
        warn(doctor, "proc", xstrdup("/proc/self/clear_refs cannot be written: no peak RSS per phase"),
             "run outside of this container");
    if (getenv("LD_PRELOAD"))
        warn(doctor, "preload", xfmt("LD_PRELOAD is set here: %s", getenv("LD_PRELOAD")), "unset LD_PRELOAD");
}

enum { PROBES = 5 };

// How far apart the CPUs are now; the mode of a machine lasts for seconds at least.
static void check_probe(Doctor *doctor)
{
    double pp[PROBES], cpu[PROBES], mem[PROBES];
    unsigned known = 0;
    for (unsigned i = 0; i < PROBES; i++) {
        Probe probe = probe_machine();
        cpu[i] = probe.cpu_ns;
        mem[i] = probe.mem_ns;
        if (isfinite(probe.pp_ns)) pp[known++] = probe.pp_ns;
    }
    char *pairs = probe_pairs_text();
    char *distance = known > 0 ? xfmt("a line goes between CPUs %s and back in %.0f ns", pairs, stats_median(pp, known))
                               : xfmt("how far apart CPUs %s are is not known: one was never free", pairs);
    fine(doctor, "probe",
         xfmt("%s; a step of computing %.1f ns, of memory %.0f ns", distance, stats_median(cpu, PROBES),
              stats_median(mem, PROBES)));
    free(distance);
    free(pairs);
}

static void check_modes(Doctor *doctor, const char *results)
{
    Modes modes = machine_modes_before(results);
    char *text = xstrdup("");
    for (unsigned m = 0; m < modes.count; m++) {
        char *longer = xfmt("%s%s%.0f ns", text, m ? ", " : "", modes.items[m].median);
        free(text);
        text = longer;
    }
    if (modes.count > 1)
        warn(doctor, "modes", xfmt("earlier runs in %s saw %u modes of this machine: %s", results, modes.count, text),
             "hzb pairs samples of one mode; compare other figures within one mode, too");
    else if (modes.count == 1)
        fine(doctor, "modes", xfmt("earlier runs in %s saw one mode of this machine: %s", results, text));
    free(text);
    modes_free(&modes);
}

static bool check_allocators(Doctor *doctor, const Options *options)
{
    Config config;
    unsigned found = 0;
    if (!config_load(&config, options->config_dir, NULL)) return false;
    for (unsigned i = 0; i < config.allocators->allocators_count; i++) {
        Arm arm;
        arm_resolve(&config, options, &config.allocators->allocators[i], &arm);
        if (arm.missing && config.allocators->allocators[i].optional)
            fine(doctor, "allocator", xfmt("'%s' is not installed, and optional: %s", arm.name, arm.preload));
        else if (arm.missing)
            warn(doctor, "allocator", xfmt("library of '%s' is missing: %s", arm.name, arm.preload),
                 "make setup && make");
        else
            found++;
    }
    fine(doctor, "allocator", xfmt("%u allocators are ready", found));
    return true;
}

bool doctor_look(const Options *options, Doctor *doctor)
{
    *doctor = (Doctor){.findings = json_array()};
    check_cpus(doctor);
    check_virtual(doctor);
    check_frequency(doctor);
    check_clock(doctor);
    check_load(doctor);
    check_memory(doctor);
    check_paging(doctor);
    check_tools(doctor);
    check_probe(doctor);
    check_modes(doctor, options_output(options));
    return check_allocators(doctor, options);
}
