// Knob values: hz3_knobs.NAME, constant after hz3_knobs_read().
#ifndef HZ3_KNOBS_H
#define HZ3_KNOBS_H

#include "base/hz3_types.h"

typedef bool Hz3KnobBOOL;
typedef uint64_t Hz3KnobCOUNT;
typedef uint64_t Hz3KnobBYTES;
typedef uint64_t Hz3KnobCHOICE; // the place in the list of choices
typedef uint64_t Hz3KnobFLAGS;  // bit i: the word at place i of the list
typedef const char *Hz3KnobPATH;

typedef struct Hz3Knobs {
#define HZ3_KNOB(name, type, default_value, min, max, meaning) Hz3Knob##type name;
#include "base/hz3_knobs.def"
#undef HZ3_KNOB
} Hz3Knobs;

extern Hz3Knobs hz3_knobs;

// Sets every knob from its default and then from the environment. A bad value is reported and the default stays.
// Called once, before the arena exists.
void hz3_knobs_read(void);
void hz3_knobs_print(void);

#endif
