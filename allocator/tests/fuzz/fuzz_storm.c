// The fuzz target without libFuzzer, for a number of calls that a guided search does not reach: random inputs, hz3
// optimised as it is shipped.
//
//     fuzz_storm SECONDS [CALLS [SEED]]    until that time is over or that many calls have passed their checks
//
// An input that fails is found again by the seed and the number that are printed before it runs.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../black_box/support.h"
#include "fuzz_api.h"

#define INPUT_BYTES ((size_t)64 * KIB)
#define REPORT_EVERY 512 // inputs

// The number that begins the text and ends it; the program ends with a message when there is none.
static uint64_t number(const char *name, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value < 1e19)) {
        fprintf(stderr, "fuzz_storm: %s is '%s', expected a number such as 600 or 1e9\n", name, text);
        exit(2);
    }
    return (uint64_t)value;
}

// One thread, three at once, and now and then three in turns, which mostly wait for each other.
static void run_input(uint64_t seed, uint64_t index, uint8_t *bytes)
{
    uint64_t state = seed + index * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < INPUT_BYTES; i += 8) {
        uint64_t word = random_next(&state);
        for (size_t b = 0; b < 8; b++) {
            bytes[i + b] = (uint8_t)(word >> (8 * b));
        }
    }
    bytes[0] = (uint8_t)(index % 64 == 1 ? 1 : index % 2 * 2);
    LLVMFuzzerTestOneInput(bytes, INPUT_BYTES);
}

static void report(uint64_t seed, uint64_t next_input)
{
    printf("seed %llu, next input %llu: %llu verified calls\n", (unsigned long long)seed,
           (unsigned long long)next_input, (unsigned long long)fuzz_verified_calls);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: fuzz_storm SECONDS [CALLS [SEED]]\n");
        return 2;
    }
    time_t end = time(NULL) + (time_t)number("SECONDS", argv[1]);
    uint64_t calls = argc > 2 ? number("CALLS", argv[2]) : UINT64_MAX;
    uint64_t seed = argc > 3 ? number("SEED", argv[3]) : (uint64_t)time(NULL);
    static uint8_t bytes[INPUT_BYTES];
    uint64_t index = 0;
    do {
        if (index % REPORT_EVERY == 0) report(seed, index);
        run_input(seed, index++, bytes);
    } while (time(NULL) < end && fuzz_verified_calls < calls);
    report(seed, index);
    return 0;
}
