// Shared by the parts of contract_test: the entry points as tables, and what every block must be.
#ifndef HZ3_TESTS_CONTRACT_H
#define HZ3_TESTS_CONTRACT_H

#include "support_check.h"

#define TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

typedef struct Entry {
    const char *call; // with one %zu for the size, or two for alignment and size
    void *(*allocate)(size_t alignment, size_t size);
    size_t alignment; // that it promises; 0: that it is asked for
} Entry;

// Every way to get a block, as one shape.
enum { N_PLAIN = 8, N_ALIGNED = 3, N_SIZES = 21, N_FEW_SIZES = 7, N_HUGE_SIZES = 7, N_NOT_POWERS = 18 };
extern const Entry contract_plain[N_PLAIN];
extern const Entry contract_aligned[N_ALIGNED];

extern const size_t contract_sizes[N_SIZES];
extern const size_t contract_few_sizes[N_FEW_SIZES];
extern const size_t contract_huge_sizes[N_HUGE_SIZES];
extern const size_t contract_not_powers[N_NOT_POWERS];

Call call_entry(const Entry *entry, size_t alignment, size_t size);

// Checks a block got with errno = ERRNO_MARK, and frees it.
void check_block(const Call *call, void *block, size_t size, size_t alignment, int errno_after);

// Groups of contract_refusals.c.
void too_large_is_enomem(void);
void product_overflow_is_enomem(void);
void posix_memalign_refuses_and_touches_nothing(void);
void aligned_alloc_refuses_what_is_no_power_of_two(void);
void memalign_rounds_its_alignment_up(void);
void refused_realloc_keeps_the_block(void);

#endif
