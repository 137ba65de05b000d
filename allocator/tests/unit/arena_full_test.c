// Who finds no page in the whole arena, while somebody has some for a moment.
#include "support.h"

#include <pthread.h>
#include <unistd.h>

#include "pages/hz3_arena.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "policy/hz3_mem_budget.h"
#include "release/hz3_release_boundary.h"

#define SHARD 0
#define ARENA_PAGES (8 * HZ3_PAGES_PER_SEG)

static uint32_t held[ARENA_PAGES + 1];

static pthread_barrier_t purge_begins;
static uint32_t purged_page;

static void *purge_for_a_while(void *arg)
{
    pthread_barrier_wait(&purge_begins);
    hz3_in_purging_add(1);
    pthread_barrier_wait(&purge_begins);
    usleep(20000);
    hz3_segment_publish(&hz3_arena.seg[purged_page / HZ3_PAGES_PER_SEG], purged_page % HZ3_PAGES_PER_SEG, 1);
    hz3_pack_on_free(purged_page / HZ3_PAGES_PER_SEG, purged_page % HZ3_PAGES_PER_SEG, 1);
    hz3_in_purging_sub(1);
    return arg;
}

static bool must_begin;

static void let_a_purge_begin(void)
{
    must_begin = false;
    pthread_barrier_wait(&purge_begins);
    pthread_barrier_wait(&purge_begins);
}

uint32_t __real_hz3_pack_claim_unhinted(uint32_t shard, uint32_t pages, uint32_t align_pages);
uint32_t __wrap_hz3_pack_claim_unhinted(uint32_t shard, uint32_t pages, uint32_t align_pages);
uint32_t __wrap_hz3_pack_claim_unhinted(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    if (must_begin) {
        let_a_purge_begin();
    }
    return __real_hz3_pack_claim_unhinted(shard, pages, align_pages);
}

// All pages look taken when the search comes by, and one is on its way back: no time to say that the arena is full.
static void a_purge_that_begins_in_the_search_is_waited_for(void **state)
{
    (void)state;
    pthread_t purger;
    pthread_barrier_init(&purge_begins, NULL, 2);
    assert_int_equal(pthread_create(&purger, NULL, purge_for_a_while, NULL), 0);
    uint32_t n = 0;
    while ((held[n] = hz3_mem_budget_claim(SHARD, 1, 1, 0)) != HZ3_PAGE_NONE) { // what caches hold, too
        n++;
    }
    assert_true(n > 0);
    hz3_release_pages(held[n - 1], 1, HZ3_RELEASE_LARGE); // something has moved since that failure
    purged_page = hz3_pack_claim(SHARD, 1, 1);
    assert_int_equal(purged_page, held[n - 1]);
    must_begin = true;
    uint32_t page = hz3_mem_budget_claim(SHARD, 1, 1, 0);
    assert_false(must_begin);
    pthread_join(purger, NULL);
    for (uint32_t i = 0; i < (page == purged_page ? n : n - 1); i++) {
        hz3_release_pages(held[i], 1, HZ3_RELEASE_LARGE);
    }
    assert_int_equal(page, purged_page);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=16M", "HZ3_SHARDS=1", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purge_that_begins_in_the_search_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
