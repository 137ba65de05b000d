// The contract of every entry point, from tables: calls x sizes x alignments x what the result and errno must be.
//
// `contract_test --count` prints one line with how many checks were made and how many failed, of whatever malloc is
// loaded; with CONTRACT_VERBOSE=1 also which. Rules where the standards leave a choice are hz3's (hz3(3), "Semantics"),
// which are glibc's but for aligned_alloc and memalign with an alignment that is no power of two, and errno, which hz3
// keeps on success.
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

#define CHECKS_MIN 8000

// ---- blocks ----

static void every_entry_at_every_size(void)
{
    for (size_t e = 0; e < N_PLAIN; e++) {
        for (size_t s = 0; s < N_SIZES; s++) {
            Call call = call_entry(&contract_plain[e], 0, contract_sizes[s]);
            errno = ERRNO_MARK;
            void *block = contract_plain[e].allocate(0, contract_sizes[s]);
            check_block(&call, block, contract_sizes[s], contract_plain[e].alignment, errno);
        }
    }
}

static void every_power_of_two_aligns(void)
{
    for (size_t e = 0; e < N_ALIGNED; e++) {
        for (size_t alignment = 8; alignment <= 16 * MIB; alignment *= 2) {
            for (size_t s = 0; s < N_FEW_SIZES; s++) {
                Call call = call_entry(&contract_aligned[e], alignment, contract_few_sizes[s]);
                errno = ERRNO_MARK;
                void *block = contract_aligned[e].allocate(alignment, contract_few_sizes[s]);
                check_block(&call, block, contract_few_sizes[s], alignment < 16 ? 16 : alignment, errno);
            }
        }
    }
}

static void pvalloc_gives_whole_pages(void)
{
    for (size_t s = 0; s < N_SIZES; s++) {
        Call call = call_of("pvalloc(%zu)", contract_sizes[s]);
        void *block = pvalloc(contract_sizes[s]);
        check_at_least(&call, "usable bytes, whole pages", (contract_sizes[s] + PAGE - 1) / PAGE * PAGE,
                       malloc_usable_size(block));
        free(block);
    }
}

static void size_0_gives_a_unique_block(void)
{
    void *blocks[2 * (N_PLAIN + N_ALIGNED)];
    size_t n = 0;
    for (int round = 0; round < 2; round++) {
        for (size_t e = 0; e < N_PLAIN; e++)
            blocks[n++] = contract_plain[e].allocate(0, 0);
        for (size_t e = 0; e < N_ALIGNED; e++)
            blocks[n++] = contract_aligned[e].allocate(64, 0);
    }
    for (size_t i = 0; i < n; i++) {
        size_t e = i % (n / 2);
        bool is_plain = e < N_PLAIN;
        Call call = call_of("%s of 0 bytes, block %zu",
                            is_plain ? contract_plain[e].call : contract_aligned[e - N_PLAIN].call, i);
        size_t same = 0;
        for (size_t j = 0; j < n; j++)
            same += j != i && blocks[j] == blocks[i];
        check_equal(&call, "live blocks at the same address", 0, same);
    }
    for (size_t i = 0; i < n; i++)
        free(blocks[i]);
}

// ---- calloc ----

static void calloc_zeroes_what_was_used_before(void)
{
    static const size_t counts[] = {1, 2, 7, 64};
    for (size_t s = 0; s < N_SIZES; s++) {
        for (size_t c = 0; c < COUNT_OF(counts); c++) {
            size_t size = contract_sizes[s] / counts[c], bytes = counts[c] * size;
            Call call = call_of("calloc(%zu, %zu)", counts[c], size);
            void *used[4];
            for (size_t i = 0; i < COUNT_OF(used); i++) {
                used[i] = malloc(bytes);
                memset(used[i], 0xa5, bytes);
            }
            for (size_t i = 0; i < COUNT_OF(used); i++)
                free(used[i]);
            void *block = calloc(counts[c], size);
            check_equal(&call, "zero bytes of used memory", bytes, nonzero_offset(block, bytes));
            memset(block, 0x5a, bytes);
            free(block);
            malloc_trim(0);
            block = calloc(counts[c], size);
            check_equal(&call, "zero bytes after malloc_trim", bytes, nonzero_offset(block, bytes));
            free(block);
        }
    }
}

// ---- realloc ----

// Frees the new block.
static void check_moved(const Call *call, void *block, size_t kept, size_t size, uint64_t seed, int errno_after)
{
    check_equal(call, "is NULL", false, block == NULL);
    check_equal(call, "errno after success", ERRNO_MARK, (size_t)errno_after);
    if (block == NULL) return;
    check_equal(call, "bytes beyond its alignment", 0, (uintptr_t)block % 16);
    check_at_least(call, "usable bytes", size, malloc_usable_size(block));
    check_equal(call, "bytes kept", kept, pattern_mismatch(block, kept, seed));
    memset(block, 0, size);
    free(block);
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void realloc_keeps_the_content(void)
{
    static const size_t ends[] = {1, 16, 100, 1000, 4096, 20000, 32769, 200000, MIB + 1, 4 * MIB};
    for (size_t from = 0; from < COUNT_OF(ends); from++) {
        for (size_t to = 0; to < COUNT_OF(ends); to++) {
            size_t kept = lesser(ends[from], ends[to]);
            void *block = malloc(ends[from]);
            pattern_fill(block, ends[from], from);
            Call call = call_of("realloc(malloc(%zu), %zu)", ends[from], ends[to]);
            errno = ERRNO_MARK;
            void *moved = realloc(block, ends[to]);
            check_moved(&call, moved, kept, ends[to], from, errno);
        }
    }
}

static void realloc_of_aligned_blocks_keeps_the_content(void)
{
    static const size_t ends[] = {24, 5000, 100000, 2 * MIB};
    for (size_t alignment = 32; alignment <= 2 * MIB; alignment *= 8) {
        for (size_t from = 0; from < COUNT_OF(ends); from++) {
            for (size_t to = 0; to < COUNT_OF(ends); to++) {
                void *block = memalign(alignment, ends[from]);
                pattern_fill(block, ends[from], from);
                Call call = call_of("reallocarray(memalign(%zu, %zu), 2, %zu)", alignment, ends[from], ends[to] / 2);
                errno = ERRNO_MARK;
                void *moved = reallocarray(block, 2, ends[to] / 2);
                check_moved(&call, moved, lesser(ends[from], ends[to]), ends[to], from, errno);
            }
        }
    }
}

static void realloc_to_0_frees(void)
{
    for (size_t s = 0; s < N_SIZES; s++) {
        Call call = call_of("realloc(malloc(%zu), 0)", contract_sizes[s]);
        size_t rss_before = 0;
        for (size_t round = 0; round < 40; round++) {
            void *block = malloc(contract_sizes[s]);
            memset(block, 1, contract_sizes[s]);
            if (round == 8) rss_before = rss_bytes();
            errno = ERRNO_MARK;
            void *nothing = opaque(realloc(block, 0));
            if (round == 0) check_equal(&call, "is NULL", true, nothing == NULL);
            if (round == 0) check_equal(&call, "errno after success", ERRNO_MARK, (size_t)errno);
        }
        // 32 rounds that leaked would have kept all of what they touched.
        check_equal(&call, "is a leak", false, rss_bytes() > rss_before + 16 * contract_sizes[s] + MIB);
    }
}

// ---- many blocks at once ----

typedef struct Range {
    uintptr_t from, to;
} Range;

static int compare_ranges(const void *left, const void *right)
{
    const Range *l = left, *r = right;
    return (l->from > r->from) - (l->from < r->from);
}

// By every entry; the blocks of two entries lie beside each other.
static void blocks_do_not_overlap(void)
{
    enum { ROUNDS = 24, FORMS = N_PLAIN + N_ALIGNED };
    static Range ranges[ROUNDS * FORMS];
    for (size_t s = 0; s < N_SIZES; s++) {
        size_t n = 0;
        for (size_t round = 0; round < ROUNDS; round++) {
            for (size_t e = 0; e < FORMS; e++) {
                const Entry *entry = e < N_PLAIN ? &contract_plain[e] : &contract_aligned[e - N_PLAIN];
                void *block = entry->allocate((size_t)8 << (round % 10), contract_sizes[s]);
                uintptr_t from = (uintptr_t)block;
                ranges[n++] = (Range){from, from + malloc_usable_size(block)};
            }
        }
        qsort(ranges, n, sizeof *ranges, compare_ranges);
        Call call = call_of("%zu blocks of %zu bytes by all entry points", n, contract_sizes[s]);
        size_t overlaps = 0;
        for (size_t i = 1; i < n; i++)
            overlaps += ranges[i - 1].to > ranges[i].from;
        check_equal(&call, "blocks that overlap the next", 0, overlaps);
        for (size_t i = 0; i < n; i++)
            free((void *)ranges[i].from);
    }
}

// ---- the rest of the API ----

static void null_is_no_block(void)
{
    Call call = call_of("malloc_usable_size(NULL)");
    check_equal(&call, "bytes", 0, malloc_usable_size(NULL));
    call = call_of("free(NULL)");
    errno = ERRNO_MARK;
    free(NULL);
    check_equal(&call, "errno", ERRNO_MARK, (size_t)errno);
}

static void mallopt_knows_the_keys(void)
{
    static const int keys[] = {M_MXFAST,   M_TRIM_THRESHOLD, M_TOP_PAD,    M_MMAP_THRESHOLD,
                               M_MMAP_MAX, M_CHECK_ACTION,   M_ARENA_TEST, M_ARENA_MAX};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        Call call = call_of("mallopt(%d, 64)", keys[i]);
        check_equal(&call, "answer", 1, (size_t)mallopt(keys[i], 64));
    }
    Call call = call_of("malloc(100000) after every mallopt");
    errno = ERRNO_MARK;
    void *block = malloc(100000);
    check_block(&call, block, 100000, 16, errno);
}

static void trim_and_info_answer(void)
{
    for (size_t pad = 0; pad <= MIB; pad += MIB / 2) {
        Call call = call_of("malloc_trim(%zu)", pad);
        errno = ERRNO_MARK;
        check_equal(&call, "is neither 0 nor 1", false, (unsigned)malloc_trim(pad) > 1);
        check_equal(&call, "errno", ERRNO_MARK, (size_t)errno);
    }
    char text[8192] = "";
    FILE *stream = fmemopen(text, sizeof text - 1, "w");
    Call call = call_of("malloc_info(0, stream)");
    check_equal(&call, "answer", 0, (size_t)malloc_info(0, stream));
    fclose(stream);
    check_equal(&call, "begins with <malloc", true, strncmp(text, "<malloc", 7) == 0);
    check_equal(&call, "holds </malloc>", true, strstr(text, "</malloc>") != NULL);
    call = call_of("malloc_info(1, stderr)");
    check_equal(&call, "is refused", true, malloc_info(1, stderr) != 0);
}

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd; // what is mapped counts in one of them or in both
}

static void mallinfo2_sees_what_is_allocated(void)
{
    static const size_t ends[] = {100, 3000, 20000, 100000, 3 * MIB};
    for (size_t s = 0; s < COUNT_OF(ends); s++) {
        enum { BLOCKS_MAX = 400 };
        void *blocks[BLOCKS_MAX];
        size_t n = lesser(BLOCKS_MAX, 32 * MIB / ends[s]);
        Call call = call_of("mallinfo2() around %zu blocks of %zu", n, ends[s]);
        size_t before = bytes_in_use();
        for (size_t i = 0; i < n; i++)
            blocks[i] = malloc(ends[s]);
        size_t held = bytes_in_use();
        check_at_least(&call, "bytes in use, more than before", before + n * ends[s], held);
        for (size_t i = 0; i < n; i++)
            free(blocks[i]);
        check_equal(&call, "bytes in use after the frees are fewer", true, bytes_in_use() < held);
    }
}

// ---- all of them ----

typedef struct Group {
    const char *name;
    void (*run)(void);
} Group;

#define GROUP(function)                                                                                                \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const Group groups[] = {
    GROUP(every_entry_at_every_size),
    GROUP(every_power_of_two_aligns),
    GROUP(pvalloc_gives_whole_pages),
    GROUP(size_0_gives_a_unique_block),
    GROUP(too_large_is_enomem),
    GROUP(product_overflow_is_enomem),
    GROUP(posix_memalign_refuses_and_touches_nothing),
    GROUP(aligned_alloc_refuses_what_is_no_power_of_two),
    GROUP(memalign_rounds_its_alignment_up),
    GROUP(calloc_zeroes_what_was_used_before),
    GROUP(realloc_keeps_the_content),
    GROUP(realloc_of_aligned_blocks_keeps_the_content),
    GROUP(refused_realloc_keeps_the_block),
    GROUP(realloc_to_0_frees),
    GROUP(blocks_do_not_overlap),
    GROUP(null_is_no_block),
    GROUP(mallopt_knows_the_keys),
    GROUP(trim_and_info_answer),
    GROUP(mallinfo2_sees_what_is_allocated),
};

static CheckSum sum;

static void group_run(const void *arg)
{
    const Group *group = arg;
    group->run();
    checks_note();
}

static void group_judge(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)arg;
    unsigned long failed_before = sum.failed;
    checks_add(result, &sum);
    if (result->status != 0) {
        snprintf(why, why_bytes, "ended with wait status 0x%x", (unsigned)result->status);
    } else if (sum.failed != failed_before) {
        snprintf(why, why_bytes, "%lu checks failed", sum.failed - failed_before);
    }
}

static void nothing_run(const void *arg)
{
    (void)arg;
}

static void number_judge(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)result;
    (void)arg;
    if (sum.made < CHECKS_MIN) snprintf(why, why_bytes, "%lu checks, expected at least %d", sum.made, CHECKS_MIN);
}

static int count_only(const TestCase *cases, size_t n)
{
    static ChildResult result;
    for (size_t i = 0; i < n; i++) {
        child_run((const char *const[]){"/proc/self/exe", "--case", cases[i].name, NULL}, &cases[i].child, &result);
        checks_add(&result, &sum);
        if (result.status != 0) printf("%s ended with wait status 0x%x\n", cases[i].name, (unsigned)result.status);
        if (getenv("CONTRACT_VERBOSE")) printf("%s%s", result.err, result.err[0] ? "\n" : "");
    }
    printf("%lu checks, %lu failed, %u groups ended early\n", sum.made, sum.failed, sum.ended_early);
    return 0;
}

int main(int argc, char **argv)
{
    static TestCase cases[COUNT_OF(groups) + 1];
    for (size_t i = 0; i < COUNT_OF(groups); i++)
        cases[i] = (TestCase){.name = groups[i].name, .run = group_run, .arg = &groups[i], .judge = group_judge};
    cases[COUNT_OF(groups)] = (TestCase){.name = "enough_checks_were_made", .run = nothing_run, .judge = number_judge};
    if (argc == 2 && strcmp(argv[1], "--count") == 0) return count_only(cases, COUNT_OF(groups));
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
