// The pools of magazines: their blocks on their way from the kernel and back. The program's mallocs stay on shard 0
// (hz3_os_cpu is replaced).
#include "support.h"

#include <string.h>

#include "arena_support.h"
#include "middle/hz3_magazine.h"
#include "policy/hz3_epoch.h"

#define SHARD 1u
#define PER_BLOCK (HZ3_MAGAZINE_BLOCK_BYTES / HZ3_MAGAZINE_BYTES - 1)

uint32_t __wrap_hz3_os_cpu(void);
uint32_t __wrap_hz3_os_cpu(void)
{
    return 0;
}

static bool kernel_refuses;
static size_t purged_bytes;

void *__real_hz3_os_map_own(size_t bytes, size_t align);
void *__wrap_hz3_os_map_own(size_t bytes, size_t align);
void *__wrap_hz3_os_map_own(size_t bytes, size_t align)
{
    return kernel_refuses ? NULL : __real_hz3_os_map_own(bytes, align);
}

bool __real_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes)
{
    purged_bytes += kernel_refuses ? 0 : bytes;
    return !kernel_refuses && __real_hz3_os_purge(addr, bytes);
}

static int set_up(void **state)
{
    (void)state;
    kernel_refuses = false;
    hz3_epoch_trim_all();
    hz3_epoch_trim_all();
    purged_bytes = 0;
    assert_int_equal(hz3_magazine_block_bytes(), 0);
    return 0;
}

static Hz3Magazine *held[64 * PER_BLOCK];
static uint32_t n_held;

static void get(uint32_t shard, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        held[n_held] = hz3_magazine_get(shard);
        assert_non_null(held[n_held]);
        assert_int_equal((uintptr_t)held[n_held] % HZ3_MAGAZINE_BYTES, 0);
        assert_int_equal(held[n_held]->count, 0);
        memset(held[n_held]->object, 0x5a, sizeof held[n_held]->object);
        n_held++;
    }
}

static void put_one(uint32_t at)
{
    held[at]->below = NULL;
    hz3_magazine_put(held[at]);
    held[at] = held[--n_held];
}

static void put_all(void)
{
    Hz3Magazine *list = NULL;
    while (n_held > 0) {
        held[--n_held]->below = list;
        list = held[n_held];
    }
    hz3_magazine_put(list); // from several pools
}

static void magazines_are_distinct(void **state)
{
    (void)state;
    static bool is_seen[64 * PER_BLOCK];
    memset(is_seen, 0, sizeof is_seen);
    uint64_t rng = 3;
    for (int round = 0; round < 4; round++) {
        get(SHARD, 2 * PER_BLOCK + 10);
        get(SHARD + 1, PER_BLOCK);
        for (uint32_t i = 0; i < n_held; i++) {
            assert_int_equal(held[i]->count, 0);
            held[i]->count = 1 + i; // of nobody else
        }
        for (uint32_t i = 0; i < n_held; i++) {
            assert_int_equal(held[i]->count, 1 + i);
            held[i]->count = 0;
        }
        for (uint32_t i = 0; i < PER_BLOCK; i++) {
            put_one(unit_random_below(&rng, n_held));
        }
    }
    put_all();
    hz3_magazine_trim(true);
    assert_int_equal(hz3_magazine_block_bytes(), 0);
}

static void blocks_without_use_are_unmapped(void **state)
{
    (void)state;
    get(SHARD, 3 * PER_BLOCK);
    assert_int_equal(hz3_magazine_block_bytes(), 3 * HZ3_MAGAZINE_BLOCK_BYTES);
    hz3_magazine_trim(true);
    assert_int_equal(hz3_magazine_block_bytes(), 3 * HZ3_MAGAZINE_BLOCK_BYTES); // all in use
    Hz3Magazine *last = held[--n_held];
    put_all();
    hz3_magazine_trim(true);
    assert_int_equal(hz3_magazine_block_bytes(), HZ3_MAGAZINE_BLOCK_BYTES);
    held[n_held++] = last;
    put_all();
    hz3_magazine_trim(true);
    assert_int_equal(hz3_magazine_block_bytes(), 0);
}

// What a pool needs again and again stays; what it did not need between two trims goes.
static void trim_takes_what_was_not_needed(void **state)
{
    (void)state;
    get(SHARD, 3 * PER_BLOCK);
    put_all();
    hz3_magazine_trim(false); // the mark was 0 until now
    assert_int_equal(hz3_magazine_block_bytes(), 3 * HZ3_MAGAZINE_BLOCK_BYTES);
    get(SHARD, PER_BLOCK + 1);
    put_all();
    hz3_magazine_trim(false);
    size_t bytes = hz3_magazine_block_bytes();
    assert_int_equal(bytes, 2 * HZ3_MAGAZINE_BLOCK_BYTES);
    purged_bytes = 0;
    get(SHARD, 2 * PER_BLOCK);
    put_all();
    hz3_magazine_trim(false);
    assert_int_equal(hz3_magazine_block_bytes(), bytes);
    assert_int_equal(purged_bytes, 0);
}

// A page of a block goes when its four magazines are free, and comes back as an empty one.
static void free_pages_of_used_blocks_are_purged(void **state)
{
    (void)state;
    get(SHARD, PER_BLOCK);
    uint32_t kept = 0;
    for (uint32_t i = n_held; i-- > 0;) {
        uint32_t at = (uint32_t)((uintptr_t)held[i] % HZ3_MAGAZINE_BLOCK_BYTES / HZ3_MAGAZINE_BYTES);
        if (at / 4 % 2 == 0) {
            kept++;
        } else {
            put_one(i);
        }
    }
    size_t free_pages = (PER_BLOCK - kept) / 4;
    kernel_refuses = true;
    hz3_magazine_trim(true);
    kernel_refuses = false;
    assert_int_equal(purged_bytes, 0);
    hz3_magazine_trim(true);
    assert_int_equal(purged_bytes, free_pages * HZ3_PAGE_SIZE);
    hz3_magazine_trim(true);
    assert_int_equal(purged_bytes, free_pages * HZ3_PAGE_SIZE); // they are clean
    get(SHARD, 1);
    put_one(n_held - 1);
    hz3_magazine_trim(true);
    assert_int_equal(purged_bytes, (free_pages + 1) * HZ3_PAGE_SIZE);
    get(SHARD, PER_BLOCK - kept);
    assert_int_equal(hz3_magazine_block_bytes(), HZ3_MAGAZINE_BLOCK_BYTES);
    put_all();
    hz3_magazine_trim(true);
}

static void kernel_without_memory_gives_no_magazine(void **state)
{
    (void)state;
    kernel_refuses = true;
    assert_null(hz3_magazine_get(SHARD));
    assert_int_equal(hz3_magazine_block_bytes(), 0);
    kernel_refuses = false;
    get(SHARD, 1);
    put_all();
}

static void magazines_keep_to_their_share(void **state)
{
    (void)state;
    size_t share = (size_t)open_slots() * HZ3_SEG_SIZE / 8;
    Hz3Magazine *magazine;
    while ((magazine = hz3_magazine_get(SHARD)) != NULL) {
        assert_true(n_held < COUNT_OF(held));
        held[n_held++] = magazine;
    }
    size_t bytes = hz3_magazine_block_bytes();
    assert_in_range(bytes, ((size_t)4 << 20) + share, ((size_t)6 << 20) + share);
    assert_null(hz3_magazine_get(SHARD));
    assert_int_equal(hz3_magazine_block_bytes(), bytes);
    put_all();
    get(SHARD, 1);
    put_all();
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(magazines_are_distinct, set_up),
        cmocka_unit_test_setup(blocks_without_use_are_unmapped, set_up),
        cmocka_unit_test_setup(trim_takes_what_was_not_needed, set_up),
        cmocka_unit_test_setup(free_pages_of_used_blocks_are_purged, set_up),
        cmocka_unit_test_setup(kernel_without_memory_gives_no_magazine, set_up),
        cmocka_unit_test_setup(magazines_keep_to_their_share, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
