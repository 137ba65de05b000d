// Objects that central_test, bulk_free_test and node_test take from the middle layer and give back. The program's
// mallocs stay on shard 0 (hz3_os_cpu is replaced, see unit.mk); the tests use the others.
#ifndef HZ3_UNIT_CENTRAL_SUPPORT_H
#define HZ3_UNIT_CENTRAL_SUPPORT_H

#include "support.h"

#include "middle/hz3_bulk_free.h"
#include "middle/hz3_central.h"
#include "middle/hz3_small.h" // before `objects`, a name of parameters there (-Wshadow)

#define SHARD_COUNT 4
#define OBJECTS_MAX 4096

extern void *objects[OBJECTS_MAX]; // that the test holds
extern uint32_t n_objects;

extern uint32_t cpu_now; // what hz3_os_cpu() says, 0 at first

void take(uint32_t shard, uint32_t cls, uint32_t n);
// The last n of the array.
void give(uint32_t shard, uint32_t cls, uint32_t n);
void drain_all(void);

// Tests may set hz3_classes[cls].depot_cap. Once before them all; then each begins with the old ones.
int central_remember_classes(void **state);
// Every test begins with nothing cached and ends with nothing held.
int central_set_up(void **state);
extern uint32_t taken_before; // pages

#endif
