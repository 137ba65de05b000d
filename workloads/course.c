#include "course.h"

enum { SAMPLE_PERIOD_NS = 1000000 };

static Crew *on_course;
static Course course_parts;
static _Atomic unsigned workers_done;

static void *worker_main(void *argument)
{
    Worker *w = argument;
    crew_wait(on_course); // all are ready
    crew_wait(on_course);
    w->start_ns = clock_ns();
    course_parts.work(w);
    w->end_ns = clock_ns();
    atomic_fetch_add(&workers_done, 1);
    while (course_parts.serve != NULL && atomic_load(&workers_done) < on_course->n_workers)
        course_parts.serve(w);
    crew_wait(on_course); // nobody hands over blocks any more
    crew_wait(on_course);
    course_parts.after(w);
    return NULL;
}

static uint64_t sample_live_peak(void)
{
    uint64_t peak = 0;
    uint64_t at_ns = clock_ns();
    bool done;
    do {
        done = atomic_load(&workers_done) == on_course->n_workers;
        uint64_t live = live_sum(on_course->live_page);
        if (live > peak) peak = live;
        if (!done) sleep_until_ns(at_ns += SAMPLE_PERIOD_NS);
    } while (!done);
    return peak;
}

static void run(Crew *crew, Course course, HzbResult *result)
{
    on_course = crew;
    course_parts = course;
    crew_start(crew, worker_main);
    crew_wait(crew);
    hzb_phase("work", 0);
    crew_wait(crew);
    result->live_peak = sample_live_peak();
    crew_wait(crew);
    hzb_phase("drain", 0);
    crew_wait(crew);
    crew_join(crew);
    hzb_phase("post", 0);
    result->work_ns = crew_span_ns(crew);
    crew_account(crew, result);
}

int course_main(Crew *crew, uint64_t threads, uint64_t blocks, const CommonOptions *options, Course course,
                HzbResult result)
{
    hzb_open();
    hzb_phase("setup", 0);
    crew_make(crew, (unsigned)threads, blocks, options);
    if (course.prepare != NULL) course.prepare();
    run(crew, course, &result);
    if (course.account != NULL) course.account(&result);
    result_print(&result);
    hzb_finish(&result);
    return 0;
}
