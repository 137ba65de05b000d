// Pointers that no allocator gave out.
#ifndef HZ3_TESTS_BAD_INPUT_H
#define HZ3_TESTS_BAD_INPUT_H

#define N_FOREIGN 16

typedef struct ForeignPointer {
    const char *name;
    void *(*make)(void);
} ForeignPointer;
extern const ForeignPointer foreign_pointers[N_FOREIGN];

#endif
