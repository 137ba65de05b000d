// The class table: what malloc and free take for granted about it.
#include "support.h"

#include "base/hz3_size_class.h"

// In the order of the list, so by size.
static const uint32_t list[][3] = {
#define HZ3_SMALL_CLASS(bytes, run_pages) {HZ3_CLASS_##bytes, bytes, run_pages},
#define HZ3_HALF_CLASS(bytes, run_pages) {HZ3_CLASS_##bytes, bytes, run_pages},
#define HZ3_MEDIUM_CLASS(bytes) {HZ3_CLASS_##bytes, bytes, (bytes) / HZ3_PAGE_SIZE},
#include "base/hz3_size_class.def"
};

// The place in the list.
static uint32_t search(size_t size)
{
    uint32_t at = 0;
    while (list[at][1] < size) {
        at++;
    }
    return at;
}

static void class_is_the_smallest_that_fits(void **state)
{
    (void)state;
    for (size_t size = 0; size <= HZ3_MEDIUM_MAX; size++) {
        uint32_t cls = hz3_class_of(size);
        assert_int_equal(cls, list[search(size)][0]);
        assert_true(hz3_classes[cls].size >= size);
    }
}

// 16 bytes to 128, then at most a quarter more than the class below, and whole pages above 16 KiB.
static void classes_are_spaced_closely(void **state)
{
    (void)state;
    for (uint32_t at = 1; at < COUNT_OF(list); at++) {
        uint32_t below = list[at - 1][1];
        uint32_t gap = list[at][1] - below;
        assert_true(list[at][1] > below);
        assert_int_equal(list[at][1] % HZ3_MIN_ALIGN, 0);
        if (below < 128) {
            assert_int_equal(gap, 16);
        } else if (below < 16384) {
            assert_true(gap <= below / 4);
        } else {
            assert_int_equal(gap, 4096);
        }
    }
    assert_int_equal(list[0][1], 16);
    assert_int_equal(list[COUNT_OF(list) - 1][1], HZ3_MEDIUM_MAX);
}

// Of the bytes that blocks of 4,097 to 16,384 bytes take, drawn evenly.
static void little_is_wasted_above_a_page(void **state)
{
    (void)state;
    uint64_t asked = 0;
    uint64_t taken = 0;
    for (size_t size = 4097; size <= 16384; size++) {
        asked += size;
        taken += hz3_classes[hz3_class_of(size)].size;
    }
    assert_true((taken - asked) * 100 <= asked * 13);
}

// The numbers follow the order of the list in both kinds, and every entry is in the table as the list has it.
static void classes_follow_their_list(void **state)
{
    (void)state;
    assert_int_equal(COUNT_OF(list), HZ3_CLASS_LAST);
    uint32_t last_of_kind[2] = {HZ3_CLASS_NONE, HZ3_CLASS_SMALL_LAST};
    for (uint32_t i = 0; i < COUNT_OF(list); i++) {
        uint32_t cls = list[i][0];
        uint32_t *last = &last_of_kind[hz3_class_is_medium(cls)];
        assert_int_equal(cls, *last + 1);
        assert_int_equal(hz3_classes[cls].size, list[i][1]);
        assert_int_equal(hz3_classes[cls].pages, list[i][2]);
        *last = cls;
    }
    assert_int_equal(last_of_kind[0], HZ3_CLASS_SMALL_LAST);
    assert_int_equal(last_of_kind[1], HZ3_CLASS_LAST);
}

// What bitmaps and packing take for granted.
static void small_runs_have_no_tail_and_fit_their_bitmaps(void **state)
{
    (void)state;
    uint32_t longest_medium = hz3_classes[HZ3_CLASS_LAST].pages;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_SMALL_LAST; cls++) {
        const Hz3Class *c = &hz3_classes[cls];
        assert_false(hz3_class_is_medium(cls));
        assert_int_equal((size_t)c->objs * c->size, c->pages * HZ3_PAGE_SIZE);
        assert_true(c->objs <= 512 && c->objs <= c->pages * HZ3_BITS_WORDS_PER_PAGE * 64);
        assert_true(c->pages <= longest_medium); // why: hz3_size_class.def
    }
}

static void medium_classes_are_whole_pages(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_MEDIUM_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        const Hz3Class *c = &hz3_classes[cls];
        uint32_t sc = cls - HZ3_CLASS_MEDIUM_FIRST;
        assert_int_equal(hz3_sc_to_pages(sc), sc + 1);
        assert_int_equal(c->pages, sc + 1);
        assert_int_equal(c->size, (sc + 1) * HZ3_PAGE_SIZE);
        assert_int_equal(c->objs, 1);
        assert_true(hz3_class_is_medium(cls));
    }
}

static void reciprocal_divides_every_offset_exactly(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        const Hz3Class *c = &hz3_classes[cls];
        for (uint32_t offset = 0; offset < c->pages * HZ3_PAGE_SIZE; offset++) {
            uint32_t index = (uint32_t)((uint64_t)offset * c->reciprocal >> 32);
            if (index != offset / c->size) {
                fail_msg("class %u: %u / %u = %u, not %u", cls, offset, c->size, offset / c->size, index);
            }
        }
    }
}

static bool all_objects_aligned(const Hz3Class *c, size_t align)
{
    for (uint32_t i = 0; i < c->objs; i++) {
        if ((size_t)i * c->size % align != 0) {
            return false;
        }
    }
    return true;
}

static void aligned_class_is_the_smallest_whose_objects_are_aligned(void **state)
{
    (void)state;
    for (size_t align = 1; align <= HZ3_PAGE_SIZE; align *= 2) {
        for (size_t size = 0; size <= HZ3_MEDIUM_MAX; size++) {
            uint32_t at = search(size);
            if (size % 16 > 1) {
                assert_int_equal(hz3_class_of_aligned(size, align), hz3_class_of_aligned(size - 1, align));
                continue;
            }
            while (at < COUNT_OF(list) && !all_objects_aligned(&hz3_classes[list[at][0]], align)) {
                at++;
            }
            assert_true(at < COUNT_OF(list)); // medium objects begin at pages
            assert_int_equal(hz3_class_of_aligned(size, align), list[at][0]);
        }
    }
}

static void large_sizes_waste_at_most_an_eighth(void **state)
{
    (void)state;
    size_t last_pages = 0;
    for (size_t size = HZ3_MEDIUM_MAX + 1; size <= (size_t)1 << 46; size += size < 2 * HZ3_SPAN_MAX ? 1 : size / 1000) {
        size_t pages = hz3_large_pages(size);
        size_t bytes = pages * HZ3_PAGE_SIZE;
        if (bytes < size || bytes - size > size / 8 || pages < last_pages || hz3_large_pages(bytes) != pages) {
            fail_msg("%zu bytes: %zu pages after %zu", size, pages, last_pages);
        }
        last_pages = pages;
    }
    assert_int_equal(hz3_large_pages(HZ3_SPAN_MAX), HZ3_SPAN_MAX / HZ3_PAGE_SIZE);
}

// A medium block begins somewhere in the first page of its run, by a multiple of 64 that its class has left over.
static void colour_never_leaves_the_run(void **state)
{
    (void)state;
    assert_int_equal(hz3_classes[HZ3_CLASS_3584].size, HZ3_SMALL_MAX);
    bool is_seen[64] = {false};
    for (uintptr_t base = 1ul << 40; base < (1ul << 40) + 1024 * HZ3_PAGE_SIZE; base += HZ3_PAGE_SIZE) {
        for (size_t size = HZ3_SMALL_MAX + 1; size <= HZ3_MEDIUM_MAX; size += size % 64 > 1 ? 62 : 1) {
            uint32_t cls = hz3_class_of(size);
            if (!hz3_class_is_medium(cls)) {
                continue; // a half-step block lies where its run has it
            }
            uintptr_t p = (uintptr_t)hz3_medium_place((void *)(base + 64), size); // wherever it lay before
            if (p < base || p + size > base + hz3_classes[cls].size || p % 64 != 0 || (p - base) >= HZ3_PAGE_SIZE ||
                ((p - base) & ~hz3_colour_of_run(base)) != 0) {
                fail_msg("%zu bytes at %lx of the run %lx", size, p, base);
            }
            assert_int_equal((uintptr_t)hz3_medium_base((void *)p), base);
        }
        is_seen[hz3_colour_of_run(base) / 64] = true;
    }
    for (uint32_t colour = 0; colour < COUNT_OF(is_seen); colour++) {
        assert_int_equal(is_seen[colour], colour <= HZ3_COLOUR_MASK / 64);
    }
}

static void capacities_keep_their_bounds(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        const Hz3Class *c = &hz3_classes[cls];
        assert_in_range(c->front_cap, HZ3_FRONT_CAP_MIN, HZ3_FRONT_CAP_MAX);
        assert_true(c->front_cap <= HZ3_FRONT_CAP_USUAL_MAX || c->front_cap * c->size <= HZ3_FRONT_SMALL_BYTES);
        assert_true(c->depot_cap >= c->front_cap / 2);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_DEPOT_BYTES=8T", NULL}); // no limit
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_is_the_smallest_that_fits),
        cmocka_unit_test(classes_are_spaced_closely),
        cmocka_unit_test(classes_follow_their_list),
        cmocka_unit_test(little_is_wasted_above_a_page),
        cmocka_unit_test(small_runs_have_no_tail_and_fit_their_bitmaps),
        cmocka_unit_test(medium_classes_are_whole_pages),
        cmocka_unit_test(reciprocal_divides_every_offset_exactly),
        cmocka_unit_test(aligned_class_is_the_smallest_whose_objects_are_aligned),
        cmocka_unit_test(large_sizes_waste_at_most_an_eighth),
        cmocka_unit_test(colour_never_leaves_the_run),
        cmocka_unit_test(capacities_keep_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
