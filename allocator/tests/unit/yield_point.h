// What the race builds call before each atomic operation.
#ifndef HZ3_UNIT_YIELD_POINT_H
#define HZ3_UNIT_YIELD_POINT_H

void unit_yield_point(void);

// Set: called instead of giving the CPU away. A test lets others act at any moment of what it does.
extern _Thread_local void (*unit_at_yield_point)(void);

#endif
