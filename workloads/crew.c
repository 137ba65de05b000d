#include "crew.h"

#include <inttypes.h>
#include <stdio.h>

void crew_make(Crew *crew, unsigned n_workers, uint64_t n_blocks, const CommonOptions *options)
{
    crew->live_page = live_open(n_workers);
    crew->n_workers = n_workers;
    crew->workers = pages_map(n_workers * sizeof(Worker), "the threads' state");
    pthread_barrier_init(&crew->barrier, NULL, n_workers + 1);
    for (unsigned i = 0; i < n_workers; i++) {
        Worker *w = &crew->workers[i];
        w->index = i;
        w->touch = options->touch;
        w->crew = crew;
        w->live = &crew->live_page->slots[i];
        w->n_blocks = n_blocks / n_workers + (i < n_blocks % n_workers);
        w->rng = rng_make(options->seed, i);
        if (LATENCY_LANE) w->latency = latency_make(options->every, options->seed, i);
        size_t bytes = (w->n_blocks + 1) * sizeof *w->blocks;
        w->blocks = pages_map(bytes, "the blocks' addresses");
        memset(w->blocks, 0, bytes); // takes the page faults before any clock runs
    }
}

void crew_start(Crew *crew, void *(*worker_main)(void *))
{
    for (unsigned i = 0; i < crew->n_workers; i++) {
        int error = pthread_create(&crew->workers[i].thread, NULL, worker_main, &crew->workers[i]);
        if (error != 0) die(EXIT_INTERNAL, "cannot start thread %u of %u: %s", i + 1, crew->n_workers, strerror(error));
    }
}

void crew_join(Crew *crew)
{
    for (unsigned i = 0; i < crew->n_workers; i++)
        pthread_join(crew->workers[i].thread, NULL);
}

void worker_in_new_thread(Worker *w, void *(*thread_main)(void *))
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, thread_main, w);
    if (error != 0) die(EXIT_INTERNAL, "cannot start a thread for worker %u: %s", w->index, strerror(error));
    pthread_join(thread, NULL);
}

void worker_timed(Worker *w, void (*work)(Worker *))
{
    crew_wait(w->crew);
    w->start_ns = clock_ns();
    work(w);
    w->end_ns = clock_ns();
    crew_wait(w->crew);
}

uint64_t crew_span_ns(const Crew *crew)
{
    uint64_t start_ns = UINT64_MAX, end_ns = 0;
    for (unsigned i = 0; i < crew->n_workers; i++) {
        const Worker *w = &crew->workers[i];
        if (w->start_ns < start_ns) start_ns = w->start_ns;
        if (w->end_ns > end_ns) end_ns = w->end_ns;
    }
    return end_ns - start_ns;
}

// The magic comes last: the harness reads the page once it is there.
static void latencies_publish(const Crew *crew)
{
    LatencyPage *page = live_latencies(crew->live_page);
    for (unsigned i = 0; i < crew->n_workers; i++)
        latency_merge(page, crew->workers[i].latency);
    latency_print(page);
    atomic_thread_fence(memory_order_release);
    memcpy(page->magic, "HZBLAT_2", sizeof page->magic);
}

void crew_account(const Crew *crew, HzbResult *result)
{
    uint64_t allocated = 0, freed = 0;
    int64_t live_bytes = 0;
    for (unsigned i = 0; i < crew->n_workers; i++) {
        const Worker *w = &crew->workers[i];
        allocated += w->allocated;
        freed += w->freed;
        live_bytes += w->live_bytes;
        result->alloc_failed += w->alloc_failed;
        result->checksum += rng_mix(w->checksum ^ rng_mix(i));
    }
    if (LATENCY_LANE) latencies_publish(crew);
    result->live_at_fail = atomic_load(&crew->live_at_fail);
    result->blocks = allocated;
    if (allocated != freed || live_bytes != 0)
        die(EXIT_INTERNAL, "%" PRIu64 " blocks allocated, %" PRIu64 " freed, %" PRId64 " bytes still count as live",
            allocated, freed, live_bytes);
}

void result_print(const HzbResult *result)
{
    printf("ops/s=%.0f\n", (double)result->ops * 1e9 / (double)result->work_ns);
    if (result->has_remote)
        printf("[EFFECTIVE_REMOTE] actual=%.2f%% fallback=%.2f%%\n", result->actual_remote_pct, result->fallback_pct);
    printf("blocks: %" PRIu64 "\n", result->blocks);
    printf("live peak: %.1f MiB\n", (double)result->live_peak / (1 << 20));
    if (result->alloc_failed > 0)
        printf("alloc failed: %" PRIu64 " (first at live=%" PRIu64 " bytes)\n", result->alloc_failed,
               result->live_at_fail);
    fflush(stdout);
}

__attribute__((cold)) void worker_note_failure(Worker *w)
{
    w->alloc_failed++;
    worker_publish_live(w);
    uint64_t none = 0;
    if (atomic_load(&w->crew->live_at_fail) == 0)
        atomic_compare_exchange_strong(&w->crew->live_at_fail, &none, live_sum(w->crew->live_page));
}
