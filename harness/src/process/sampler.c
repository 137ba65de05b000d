#include "process/sampler.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/csvio.h"
#include "process/target.h"
#include "stats/spread.h"

static const char before_first_phase[] = "start";

// Of the fall: what is left when memory counts as returned; of the start: a fall that is worth the name.
enum { RETURN_PART = 10 };

void sampler_start(Sampler *sampler, int statm_fd, const LivePage *live, CounterFile *counters, uint64_t start_ns)
{
    *sampler = (Sampler){.live = live, .counters = counters, .statm_fd = statm_fd, .start_ns = start_ns};
    sampler_phase(sampler, before_first_phase);
}

void sampler_phase(Sampler *sampler, const char *name)
{
    for (unsigned i = 0; i < sampler->phases.count; i++) {
        if (strcmp(sampler->phases.items[i], name) != 0) continue;
        sampler->phase = i;
        return;
    }
    list_add(&sampler->phases, name);
    sampler->phase = sampler->phases.count - 1;
}

static uint64_t *values_of(const Sampler *sampler, unsigned index)
{
    assert(index >= sampler->first_counted);
    return sampler->values + (size_t)(index - sampler->first_counted) * sampler->counters->counter_count;
}

static void take_counters(Sampler *sampler)
{
    const CounterFile *file = sampler->counters;
    if (!file->map) {
        sampler->first_counted = sampler->count + 1;
        return;
    }
    size_t counted = sampler->count - sampler->first_counted + 1;
    sampler->values = xrealloc(sampler->values, counted * file->counter_count, sizeof *sampler->values);
    for (unsigned c = 0; c < file->counter_count; c++)
        values_of(sampler, sampler->count)[c] = counter_file_value(file, c);
}

int64_t sampler_take(Sampler *sampler)
{
    int64_t rss_kib = sampler->tree ? tree_rss_kib(sampler->tree) : target_rss_kib(sampler->statm_fd);
    if (rss_kib == 0) return 0;
    if (sampler->count == sampler->room) {
        sampler->room = sampler->room ? 2 * sampler->room : 512;
        sampler->samples = xrealloc(sampler->samples, sampler->room, sizeof *sampler->samples);
    }
    sampler->samples[sampler->count] =
        (Sample){monotonic_ns() - sampler->start_ns, sampler->phase, rss_kib, live_page_bytes(sampler->live)};
    assert(sampler->phase < sampler->phases.count);
    assert(sampler->count == 0 || sampler->samples[sampler->count - 1].t_ns <= sampler->samples[sampler->count].t_ns);
    take_counters(sampler);
    sampler->count++;
    return rss_kib;
}

static bool is_in_phase(const Sampler *sampler, unsigned index, const char *phase)
{
    return strcmp(sampler->phases.items[sampler->samples[index].phase], phase) == 0;
}

// The samples [start, end) of the last time that the phase lasted; false: it never did.
static bool last_time_in_phase(const Sampler *sampler, const char *phase, unsigned *start, unsigned *end)
{
    *end = sampler->count;
    while (*end > 0 && !is_in_phase(sampler, *end - 1, phase))
        --*end;
    *start = *end;
    while (*start > 0 && is_in_phase(sampler, *start - 1, phase))
        --*start;
    return *start != *end;
}

int64_t sampler_settled_rss_kib(const Sampler *sampler, const char *phase)
{
    unsigned start, end, n = 0;
    if (!last_time_in_phase(sampler, phase, &start, &end)) return -1;
    uint64_t half_ns = (sampler->samples[start].t_ns + sampler->samples[end - 1].t_ns) / 2;
    double *rss_kib = xcalloc(end - start, sizeof *rss_kib);
    for (unsigned i = start; i < end; i++)
        if (sampler->samples[i].t_ns >= half_ns) rss_kib[n++] = (double)sampler->samples[i].rss_kib;
    assert(n > 0); // the last one is never before the half
    double median = spread_of(rss_kib, n).median;
    free(rss_kib);
    return (int64_t)median;
}

double sampler_return_ms(const Sampler *sampler, const char *phase)
{
    int64_t settled_kib = sampler_settled_rss_kib(sampler, phase);
    unsigned start, end;
    if (!last_time_in_phase(sampler, phase, &start, &end)) return -1;
    const Sample *first = &sampler->samples[start];
    assert(first->rss_kib > 0 && settled_kib >= 0);
    int64_t fall_kib = first->rss_kib - settled_kib;
    if (fall_kib <= first->rss_kib / RETURN_PART) return -1;
    for (unsigned i = start; i < end; i++)
        if (sampler->samples[i].rss_kib <= settled_kib + fall_kib / RETURN_PART)
            return (double)(sampler->samples[i].t_ns - first->t_ns) / 1e6;
    return -1;
}

double sampler_rss_mib_s(const Sampler *sampler)
{
    double sum = 0;
    for (unsigned i = 1; i < sampler->count; i++) {
        const Sample *from = &sampler->samples[i - 1], *to = &sampler->samples[i];
        sum += (double)(from->rss_kib + to->rss_kib) / 2 / 1024 * (double)(to->t_ns - from->t_ns) / 1e9;
    }
    return sampler->count > 1 ? sum : -1;
}

static void write_sample(const Sampler *sampler, unsigned index, FILE *out)
{
    const Sample *sample = &sampler->samples[index];
    fprintf(out, "%.3f,", (double)sample->t_ns / 1e6);
    csv_put(out, sampler->phases.items[sample->phase]);
    fprintf(out, ",%" PRId64 ",", sample->rss_kib);
    if (!sampler->tree) fprintf(out, "%" PRId64, sample->live_bytes / 1024);
    for (unsigned c = 0; c < sampler->counters->counter_count; c++) {
        fputc(',', out);
        if (index >= sampler->first_counted) fprintf(out, "%" PRIu64, values_of(sampler, index)[c]);
    }
    fputc('\n', out);
}

bool sampler_write(const Sampler *sampler, const char *path)
{
    FILE *out = fopen(path, "we");
    if (!out) {
        hzb_error("%s: %s", path, strerror(errno));
        return false;
    }
    fputs("t_ms,phase,rss_kib,live_kib", out);
    for (unsigned c = 0; c < sampler->counters->counter_count; c++) {
        fputc(',', out);
        csv_put(out, sampler->counters->names[c]);
    }
    fputc('\n', out);
    for (unsigned i = 0; i < sampler->count; i++)
        write_sample(sampler, i, out);
    bool ok = !ferror(out) && fflush(out) == 0 && fsync(fileno(out)) == 0; // the row that counts comes after it
    ok = fclose(out) == 0 && ok;
    if (!ok) hzb_error("%s: %s", path, strerror(errno));
    return ok;
}

void sampler_free(Sampler *sampler)
{
    for (unsigned i = 0; i < sampler->phases.count; i++)
        free(sampler->phases.items[i]);
    free(sampler->phases.items);
    free(sampler->samples);
    free(sampler->values);
}
