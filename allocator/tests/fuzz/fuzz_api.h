// The fuzz target as libFuzzer and fuzz_storm.c drive it.
#ifndef HZ3_FUZZ_API_H
#define HZ3_FUZZ_API_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Calls so far that passed all of their checks.
extern _Atomic uint64_t fuzz_verified_calls;

#endif
