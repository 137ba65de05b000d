// Course: the phases of a workload whose threads all work once and at the same time: setup, work, drain, post.
#ifndef WORKLOADS_COURSE_H
#define WORKLOADS_COURSE_H

#include "crew.h"

typedef struct Course {
    void (*prepare)(void);        // NULL, or what the main thread does in phase setup, when the crew is made
    void (*work)(Worker *);       // timed
    void (*serve)(Worker *);      // NULL, or what a worker that is done repeats until all are
    void (*after)(Worker *);      // once all are done; frees what is left
    void (*account)(HzbResult *); // NULL, or what the result has beside speed and blocks
} Course;

// The whole run, for main's return: `threads` workers that have `blocks` places together, from phase setup to the lines
// that are printed. The peak of live bytes is sampled every millisecond while they work.
int course_main(Crew *crew, uint64_t threads, uint64_t blocks, const CommonOptions *options, Course course,
                HzbResult result);

#endif
