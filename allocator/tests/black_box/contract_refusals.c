// Requests that must be refused, and what a refusal leaves untouched.
#include "contract.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

static void check_refused(const Call *call, void *block, int expected, int got)
{
    check_equal(call, "is NULL", true, block == NULL);
    check_equal(call, "errno after the refusal", (size_t)expected, (size_t)got);
    free(block);
}

void too_large_is_enomem(void)
{
    for (size_t s = 0; s < N_HUGE_SIZES; s++) {
        for (size_t e = 0; e < N_PLAIN; e++) {
            Call call = call_entry(&contract_plain[e], 0, contract_huge_sizes[s]);
            errno = ERRNO_MARK;
            void *block = contract_plain[e].allocate(0, contract_huge_sizes[s]);
            check_refused(&call, block, ENOMEM, errno);
        }
        for (size_t e = 0; e < N_ALIGNED; e++) {
            for (size_t alignment = 8; alignment <= MIB; alignment *= 4) {
                Call call = call_entry(&contract_aligned[e], alignment, contract_huge_sizes[s]);
                errno = ERRNO_MARK;
                void *block = contract_aligned[e].allocate(alignment, contract_huge_sizes[s]);
                check_refused(&call, block, ENOMEM, errno);
            }
        }
    }
}

void product_overflow_is_enomem(void)
{
    static const size_t pairs[][2] = {{SIZE_MAX, 2},
                                      {SIZE_MAX / 2 + 1, 2},
                                      {SIZE_MAX / 3 + 1, 3},
                                      {SIZE_MAX / 16 + 1, 16},
                                      {SIZE_MAX / 16 + 2, 16},
                                      {(size_t)1 << 32, (size_t)1 << 32},
                                      {((size_t)1 << 32) + 1, (size_t)1 << 32},
                                      {SIZE_MAX, SIZE_MAX},
                                      {SIZE_MAX / 7, 8},
                                      {TOO_LARGE / 2, 2},
                                      {TOO_LARGE / 64, 65},
                                      {(size_t)1 << 60, 17}};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        for (size_t turn = 0; turn < 2; turn++) {
            size_t count = pairs[i][turn], size = pairs[i][1 - turn];
            Call call = call_of("calloc(%zu, %zu)", count, size);
            errno = ERRNO_MARK;
            void *block = calloc(count, size);
            check_refused(&call, block, ENOMEM, errno);
            call = call_of("reallocarray(NULL, %zu, %zu)", count, size);
            errno = ERRNO_MARK;
            block = reallocarray(NULL, count, size);
            check_refused(&call, block, ENOMEM, errno);
        }
    }
}

static void check_posix_memalign(size_t alignment, size_t size, int expected)
{
    char untouched;
    void *block = &untouched;
    Call call = call_of("posix_memalign(&p, %zu, %zu)", alignment, size);
    errno = ERRNO_MARK;
    int error = posix_memalign(&block, alignment, size);
    int errno_after = errno;
    check_equal(&call, "returned error", (size_t)expected, (size_t)error);
    check_equal(&call, "p untouched by the refusal", true, block == &untouched);
    check_equal(&call, "errno, which is not for the error", ERRNO_MARK, (size_t)errno_after);
}

void posix_memalign_refuses_and_touches_nothing(void)
{
    for (size_t s = 0; s < N_FEW_SIZES; s++) {
        for (size_t a = 0; a < N_NOT_POWERS; a++)
            check_posix_memalign(contract_not_powers[a], contract_few_sizes[s], EINVAL);
        for (size_t alignment = 1; alignment < sizeof(void *); alignment *= 2)
            check_posix_memalign(alignment, contract_few_sizes[s], EINVAL);
    }
    for (size_t s = 0; s < N_HUGE_SIZES; s++) {
        for (size_t alignment = 8; alignment <= (size_t)1 << 62; alignment *= 8)
            check_posix_memalign(alignment, contract_huge_sizes[s], ENOMEM);
    }
    check_posix_memalign((size_t)1 << 62, 100, ENOMEM);
    check_posix_memalign((size_t)1 << 63, 100, ENOMEM);
}

void aligned_alloc_refuses_what_is_no_power_of_two(void)
{
    for (size_t s = 0; s < N_FEW_SIZES; s++) {
        for (size_t a = 0; a < N_NOT_POWERS; a++) {
            Call call = call_of("aligned_alloc(%zu, %zu)", contract_not_powers[a], contract_few_sizes[s]);
            errno = ERRNO_MARK;
            void *block = aligned_alloc(contract_not_powers[a], contract_few_sizes[s]);
            check_refused(&call, block, EINVAL, errno);
        }
    }
}

void memalign_rounds_its_alignment_up(void)
{
    for (size_t s = 0; s < N_FEW_SIZES; s++) {
        for (size_t a = 0; a < N_NOT_POWERS; a++) {
            size_t alignment = contract_not_powers[a], rounded = 16;
            while (rounded < alignment && rounded != 0)
                rounded *= 2;
            Call call = call_of("memalign(%zu, %zu)", alignment, contract_few_sizes[s]);
            errno = ERRNO_MARK;
            void *block = memalign(alignment, contract_few_sizes[s]);
            if (alignment > TOO_LARGE) {
                check_refused(&call, block, alignment > SIZE_MAX / 2 + 1 ? EINVAL : ENOMEM, errno);
            } else {
                check_block(&call, block, contract_few_sizes[s], rounded, errno);
            }
        }
    }
}

void refused_realloc_keeps_the_block(void)
{
    for (size_t f = 1; f < N_FEW_SIZES; f++) {
        size_t from = contract_few_sizes[f];
        void *block = malloc(from);
        pattern_fill(block, from, f);
        for (size_t s = 0; s < N_HUGE_SIZES; s++) {
            Call call = call_of("realloc(malloc(%zu), %zu)", from, contract_huge_sizes[s]);
            errno = ERRNO_MARK;
            void *moved = opaque(realloc(opaque(block), contract_huge_sizes[s]));
            check_refused(&call, moved, ENOMEM, errno);
            check_equal(&call, "bytes kept", from, pattern_mismatch(opaque(block), from, f));
            call = call_of("reallocarray(malloc(%zu), %zu, 3)", from, contract_huge_sizes[s]);
            errno = ERRNO_MARK;
            moved = opaque(reallocarray(opaque(block), contract_huge_sizes[s], 3));
            check_refused(&call, moved, ENOMEM, errno);
            check_equal(&call, "bytes kept", from, pattern_mismatch(opaque(block), from, f));
        }
        free(opaque(block));
    }
}
