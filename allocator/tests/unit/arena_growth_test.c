// An arena that has addresses for far more than it uses: its tables grow with it, others' mappings are left alone, and
// what is closed in between costs the process few mappings.
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "arena_support.h"
#include "base/hz3_knobs.h"
#include "base/hz3_os.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"
#include "release/hz3_release_ledger.h"

#define SHARD 0
#define SLOTS_MAX 12288
#define BLOCK_SLOTS 64

static uint32_t held[SLOTS_MAX]; // whole segments, by slot as they came

static uint32_t hold(uint32_t from, uint32_t to)
{
    while (from < to && (held[from] = hz3_pack_claim(SHARD, HZ3_PAGES_PER_SEG, 1)) != HZ3_PAGE_NONE) {
        from++;
    }
    return from;
}

static void let_go(uint32_t from, uint32_t to, uint32_t step)
{
    for (uint32_t i = from; i < to; i += step) {
        hz3_release_pages(held[i], HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
    }
    hz3_release_purge_all();
}

static size_t described_slots(void)
{
    return hz3_arena.size >> HZ3_SEG_SHIFT;
}

static void tables_grow_with_the_arena(void **state)
{
    (void)state;
    assert_int_equal(hz3_arena.slots, SLOTS_MAX);
    assert_int_equal(described_slots(), BLOCK_SLOTS);
    void *beyond = (void *)(hz3_arena.base + BLOCK_SLOTS * HZ3_SEG_SIZE);
    assert_false(hz3_arena_owns(beyond));
    assert_int_equal(hold(0, 3 * BLOCK_SLOTS), 3 * BLOCK_SLOTS);
    assert_int_equal(described_slots(), 4 * BLOCK_SLOTS); // this program's own blocks have a slot, too
    assert_true(hz3_arena_owns(beyond));
    for (uint32_t i = 0; i < 3 * BLOCK_SLOTS; i++) {
        memset(hz3_page_addr(held[i] + 511), 0xA5, HZ3_PAGE_SIZE);
        hz3_arena.run[held[i] + 511].pages = 7;
        hz3_arena.bits[held[i] + 511].word[3] = 7;
    }
    let_go(0, 3 * BLOCK_SLOTS, 1);
    assert_int_equal(described_slots(), 4 * BLOCK_SLOTS);
    for (uint32_t i = 0; i < 3 * BLOCK_SLOTS; i++) { // closed ones can be read, by whoever is late
        assert_int_equal(hz3_arena.run[held[i] + 511].pages, 0);
        assert_int_equal(hz3_arena.bits[held[i] + 511].word[3], 0);
    }
}

static bool is_held(uint32_t slot, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (held[i] / HZ3_PAGES_PER_SEG == slot) {
            return true;
        }
    }
    return false;
}

static void other_mappings_are_left_alone(void **state)
{
    (void)state;
    enum { SLOT = 10 * BLOCK_SLOTS + 5, UP_TO = 11 * BLOCK_SLOTS };
    char *page = (char *)hz3_arena.base + SLOT * HZ3_SEG_SIZE + 77 * HZ3_PAGE_SIZE;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    assert_ptr_equal(mmap(page, HZ3_PAGE_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0), page);
    memset(page, 0x77, HZ3_PAGE_SIZE);
    uint32_t left = hz3_arena_slots_left();
    assert_int_equal(hold(0, UP_TO), UP_TO);
    assert_false(is_held(SLOT, UP_TO));
    assert_true(is_held(SLOT - 1, UP_TO) && is_held(SLOT + 1, UP_TO));
    assert_int_equal(page[0], 0x77);
    assert_int_equal(page[HZ3_PAGE_SIZE - 1], 0x77);
    let_go(0, UP_TO, 1);
    assert_int_equal(hz3_arena_slots_left(), left - 1);
    munmap(page, HZ3_PAGE_SIZE);
}

static uint32_t mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    uint32_t lines = 0;
    assert_non_null(maps);
    for (int c; (c = fgetc(maps)) != EOF;) {
        lines += c == '\n';
    }
    fclose(maps);
    return lines;
}

// 5,900 of them, each of three ranges of addresses; the kernel allows a process 65,530 mappings.
static void closed_slots_leave_the_program_its_mappings(void **state)
{
    (void)state;
    uint32_t before = mappings();
    uint32_t n = hold(0, SLOTS_MAX - 400);
    assert_int_equal(n, SLOTS_MAX - 400);
    let_go(0, n, 2);
    uint32_t now = mappings();
    assert_in_range(now, before + 3 * 3000, before + 6 * 4200);
    for (uint32_t i = 1; i < n; i += 2) {
        hz3_release_pages(held[i], HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
    }
    hz3_release_purge_all();
    assert_in_range(mappings(), before, before + 6 * 4200);
    assert_int_equal(hold(0, n), n);
    let_go(0, n, 1);
}

static void huge_segments_go_as_a_whole(void **state)
{
    (void)state;
    hz3_release_purge_all();
    hz3_knobs.HUGE_SEGMENTS = true;
    uint32_t page = hz3_pack_claim(SHARD, HZ3_PAGES_PER_SEG, 1);
    uint32_t slots = open_slots();
    memset(hz3_page_addr(page), 0xA5, HZ3_SEG_SIZE);
    hz3_release_pages(page, 300, HZ3_RELEASE_LARGE);
    assert_int_equal(hz3_release_purge_all(), 0);
    assert_int_equal(*(unsigned char *)hz3_page_addr(page + 299), 0xA5);
    hz3_release_pages(page + 300, HZ3_PAGES_PER_SEG - 300, HZ3_RELEASE_LARGE);
    assert_int_equal(hz3_release_purge_all(), HZ3_PAGES_PER_SEG);
    assert_int_equal(open_slots(), slots - 1);
    hz3_knobs.HUGE_SEGMENTS = false;
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=24G", "HZ3_SHARDS=1", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_grow_with_the_arena),
        cmocka_unit_test(other_mappings_are_left_alone),
        cmocka_unit_test(closed_slots_leave_the_program_its_mappings),
        cmocka_unit_test(huge_segments_go_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
