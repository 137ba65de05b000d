// fork(): every lock is taken in rank order before and given back after, except locks that the forking thread itself
// holds (fork inside a signal handler that interrupted a slow path).
#ifndef HZ3_FORK_H
#define HZ3_FORK_H

void hz3_fork_register(void);

#endif
