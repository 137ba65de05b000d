#include "process/quiet.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"

// A look takes so long, unless less time is left.
enum { LOOK_S = 5, NS_PER_S = 1000000000 };
static const double load_max = 0.5, steal_max_pct = 1, psi_max_pct = 5;

Bustle bustle_now(void)
{
    return (Bustle){monotonic_ns(), load1(), cpu_ticks(), psi_cpu_us()};
}

char *bustle_between(const Bustle *before, const Bustle *after)
{
    assert(after->at_ns > before->at_ns);
    double ticks = (double)(after->ticks.total - before->ticks.total);
    double steal_pct = ticks > 0 ? 100 * (double)(after->ticks.steal - before->ticks.steal) / ticks : 0;
    double psi_pct = 0;
    if (before->psi_cpu_us >= 0 && after->psi_cpu_us >= 0)
        psi_pct = 1e5 * (double)(after->psi_cpu_us - before->psi_cpu_us) / (double)(after->at_ns - before->at_ns);
    if (steal_pct > steal_max_pct)
        return xfmt("%.1f %% of CPU time goes to other guests, limit %g %%", steal_pct, steal_max_pct);
    if (psi_pct > psi_max_pct)
        return xfmt("tasks wait for a CPU %.0f %% of the time, limit %g %%", psi_pct, psi_max_pct);
    return after->load1 > load_max ? xfmt("load of the last minute is %.2f, limit %g", after->load1, load_max) : NULL;
}

bool quiet_wait(unsigned seconds_max)
{
    assert(seconds_max > 0);
    const uint64_t begin_ns = monotonic_ns();
    bool said = false;
    for (unsigned waited_s = 0;;) {
        unsigned look_s = seconds_max - waited_s < LOOK_S ? seconds_max - waited_s : LOOK_S;
        Bustle before = bustle_now();
        sleep(look_s);
        Bustle after = bustle_now();
        char *why = bustle_between(&before, &after);
        waited_s = (unsigned)((after.at_ns - begin_ns) / NS_PER_S);
        if (!why) {
            hzb_note("the machine is quiet after %u s", waited_s);
            return true;
        }
        if (waited_s >= seconds_max) {
            hzb_note("not quiet after %u s (%s); measuring all the same", waited_s, why);
            free(why);
            return false;
        }
        if (!said) hzb_note("waiting for a quiet machine, at most %u s: %s", seconds_max, why);
        said = true;
        free(why);
    }
}
