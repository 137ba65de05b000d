// Course: the phases of a workload whose threads all work once and at the same time: setup, work, drain, post.
#ifndef WORKLOADS_COURSE_H
#define WORKLOADS_COURSE_H

#include "crew.h"

typedef struct Course {
    void (*work)(Worker *);  // timed
    void (*serve)(Worker *); // NULL, or what a worker that is done repeats until all are
    void (*after)(Worker *); // once all are done; frees what is left
} Course;

// Runs the crew's threads from start to join. Fills all of `result` but `ops` and what is remote.
// The peak of live bytes is sampled every millisecond while they work.
void course_run(Crew *crew, Course course, HzbResult *result);

#endif
