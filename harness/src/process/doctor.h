// What about this machine makes figures doubtful.
#ifndef HZB_DOCTOR_H
#define HZB_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "config/options.h"

// Each finding is an object: check, level (ok or warn), finding, advice.
typedef struct Doctor {
    json_t *findings;
    unsigned warnings;
} Doctor;

// Looks at the machine and at the allocators of allocators.yaml. Says so and returns false if that cannot be read.
bool doctor_look(const Options *options, Doctor *doctor);

#endif
