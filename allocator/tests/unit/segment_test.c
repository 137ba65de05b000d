// The page map of one segment against a model that is two arrays of bool.
#include "support.h"

#include <string.h>

#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"

#define PAGES HZ3_PAGES_PER_SEG

typedef struct Model {
    Hz3SegMeta *meta; // of the arena's last slot, which nobody opens
    bool free[PAGES];
    bool dirty[PAGES];
} Model;

static void model_reset(Model *m)
{
    memset(m, 0, sizeof *m);
    m->meta = &hz3_arena.seg[hz3_arena.slots - 1];
    memset(m->meta, 0, sizeof *m->meta);
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        atomic_store(&m->meta->free_bits[w], UINT64_MAX);
    }
    memset(m->free, true, sizeof m->free);
}

static bool bit(const _Atomic uint64_t *words, uint32_t page)
{
    return (atomic_load(&words[page / 64]) >> (page % 64) & 1) != 0;
}

static void assert_maps_match(const Model *m)
{
    for (uint32_t page = 0; page < PAGES; page++) {
        if (bit(m->meta->free_bits, page) != m->free[page]) {
            fail_msg("page %u is %s in the map", page, m->free[page] ? "taken" : "free");
        }
        if (m->free[page] && bit(m->meta->dirty_bits, page) != m->dirty[page]) {
            fail_msg("free page %u is %s in the map", page, m->dirty[page] ? "clean" : "dirty");
        }
    }
}

static bool is_run(const Model *m, uint32_t page, uint32_t pages, bool dirty_only)
{
    if (page + pages > PAGES) {
        return false;
    }
    for (uint32_t i = page; i < page + pages; i++) {
        if (!m->free[i] || (dirty_only && !m->dirty[i])) {
            return false;
        }
    }
    return true;
}

static uint32_t model_lowest(const Model *m, uint32_t pages, uint32_t align, bool in_word, bool dirty_only)
{
    for (uint32_t page = 0; page < PAGES; page += align) {
        bool fits_word = page / 64 == (page + pages - 1) / 64;
        if ((!in_word || fits_word) && is_run(m, page, pages, dirty_only)) {
            return page;
        }
    }
    return HZ3_PAGE_NONE;
}

// Inside one word: resident runs first, lowest first.
static uint32_t model_find_in_word(const Model *m, uint32_t pages, uint32_t align)
{
    uint32_t page = model_lowest(m, pages, align, true, true);
    return page != HZ3_PAGE_NONE ? page : model_lowest(m, pages, align, true, false);
}

// Short runs inside one word if there is one; else, and for long runs, the lowest.
static uint32_t model_find(const Model *m, uint32_t pages, uint32_t align)
{
    bool is_short = pages <= HZ3_WORD_RUN_MAX && align <= 64;
    uint32_t page = is_short ? model_find_in_word(m, pages, align) : HZ3_PAGE_NONE;
    return page != HZ3_PAGE_NONE ? page : model_lowest(m, pages, align, false, false);
}

static void model_set_free(Model *m, uint32_t page, uint32_t pages, bool is_free)
{
    memset(m->free + page, is_free, pages);
}

static uint32_t claim_and_check(Model *m, uint32_t pages, uint32_t align)
{
    uint32_t expected = model_find(m, pages, align);
    bool rolled_back = false;
    uint32_t page = hz3_segment_claim(m->meta, pages, align, &rolled_back);
    assert_false(rolled_back); // nobody took a page meanwhile
    if (page != expected) {
        fail_msg("%u pages aligned to %u: page %d, expected %d", pages, align, (int)page, (int)expected);
    }
    if (page != HZ3_PAGE_NONE) {
        model_set_free(m, page, pages, false);
    }
    return page;
}

static void publish_and_check(Model *m, uint32_t page, uint32_t pages, bool dirty)
{
    if (dirty) {
        hz3_segment_mark_dirty(m->meta, page, pages);
        memset(m->dirty + page, true, pages);
    }
    assert_false(hz3_segment_any_free(m->meta, page, pages));
    hz3_segment_publish(m->meta, page, pages);
    model_set_free(m, page, pages, true);
}

static void claim_whole_and_check(const Model *m)
{
    bool rolled_back = false;
    assert_true(hz3_segment_claim_whole(m->meta, &rolled_back));
    assert_false(rolled_back);
}

// --- tests -------------------------------------------------------------------------------------------------------

static void every_length_and_alignment_fills_the_segment(void **state)
{
    (void)state;
    static Model m;
    model_reset(&m);
    for (uint32_t align = 1; align <= 256; align *= 2) {
        for (uint32_t pages = 1; pages <= PAGES; pages++) {
            uint32_t held[PAGES + 1];
            uint32_t n = 0;
            while ((held[n] = claim_and_check(&m, pages, align)) != HZ3_PAGE_NONE) {
                assert_int_equal(held[n] % align, 0);
                n++;
            }
            bool is_short = pages <= HZ3_WORD_RUN_MAX && align <= 64;
            uint32_t step = (pages + align - 1) / align * align;
            uint32_t area = is_short ? 64 : PAGES;
            uint32_t expected = (area / step + (area % step >= pages)) * (PAGES / area);
            assert_int_equal(n, expected);
            while (n > 0) {
                publish_and_check(&m, held[--n], pages, false);
            }
            claim_whole_and_check(&m);
            hz3_segment_publish(m.meta, 0, PAGES);
        }
    }
    assert_maps_match(&m);
}

typedef struct Held {
    uint32_t page;
    uint32_t pages;
} Held;

static void check_queries(const Model *m, uint64_t *rng)
{
    uint32_t page = unit_random_below(rng, PAGES);
    uint32_t pages = 1 + unit_random_below(rng, PAGES - page);
    bool any_free = false;
    bool clean = true;
    for (uint32_t i = page; i < page + pages; i++) {
        any_free |= m->free[i];
        clean &= !bit(m->meta->dirty_bits, i);
    }
    assert_int_equal(hz3_segment_any_free(m->meta, page, pages), any_free);
    assert_int_equal(hz3_segment_is_clean(m->meta, page, pages), clean);
    uint32_t from = page;
    uint32_t to = page;
    while (m->free[page] && from > 0 && m->free[from - 1]) {
        from--;
    }
    while (to < PAGES && m->free[to]) {
        to++;
    }
    assert_int_equal(hz3_segment_free_run_around(m->meta, page), m->free[page] ? to - from : 0);
    uint32_t free_pages = 0;
    for (uint32_t i = 0; i < PAGES; i++) {
        free_pages += m->free[i];
    }
    assert_int_equal(hz3_segment_free_pages(m->meta), free_pages);
}

static uint32_t random_length(uint64_t *rng)
{
    uint32_t bits = unit_random_below(rng, 10);
    uint32_t pages = 1 + unit_random_below(rng, 1u << bits);
    return pages <= PAGES ? pages : PAGES;
}

// Gives back a whole run or a part of it; what the purger cleans is clean again.
static void release_some(Model *m, Held *h, uint64_t *rng)
{
    uint32_t part = unit_random_below(rng, 2) ? h->pages : 1 + unit_random_below(rng, h->pages);
    if (unit_random_below(rng, 4) == 0) {
        HZ3_FOR_EACH_WORD(w, h->page, part)
        {
            atomic_fetch_and(&m->meta->dirty_bits[w], ~hz3_word_mask(w, h->page, part));
        }
        memset(m->dirty + h->page, false, part);
    }
    publish_and_check(m, h->page, part, unit_random_below(rng, 2) != 0);
    h->page += part;
    h->pages -= part;
}

static void random_sequences_match_the_model(void **state)
{
    (void)state;
    static Model m;
    model_reset(&m);
    static Held held[PAGES];
    uint32_t n = 0;
    uint64_t rng = 1;
    for (int step = 0; step < 100000; step++) {
        if (unit_random_below(&rng, 2) == 0) {
            uint32_t pages = random_length(&rng);
            uint32_t align = unit_random_below(&rng, 3) != 0 ? 1 : 1u << unit_random_below(&rng, 10);
            uint32_t page = claim_and_check(&m, pages, align);
            if (page != HZ3_PAGE_NONE) {
                held[n++] = (Held){page, pages};
            }
        } else if (n > 0) {
            uint32_t i = unit_random_below(&rng, n);
            release_some(&m, &held[i], &rng);
            if (held[i].pages == 0) {
                held[i] = held[--n];
            }
        }
        check_queries(&m, &rng);
        if (step % 64 == 0) {
            assert_maps_match(&m);
        }
    }
}

static void claim_many_takes_what_single_claims_would(void **state)
{
    (void)state;
    static Model m;
    uint64_t rng = 2;
    for (int round = 0; round < 2000; round++) {
        model_reset(&m);
        for (uint32_t page = 0; page < PAGES; page++) {
            uint32_t kind = unit_random_below(&rng, 6);
            if (kind == 0) {
                m.free[page] = false;
                atomic_fetch_and(&m.meta->free_bits[page / 64], ~(1ull << (page % 64)));
            } else if (kind <= 2) {
                m.dirty[page] = true;
                hz3_segment_mark_dirty(m.meta, page, 1);
            }
        }
        uint32_t pages = 1 + unit_random_below(&rng, HZ3_WORD_RUN_MAX);
        uint32_t want = 1 + unit_random_below(&rng, 32);
        uint32_t got[32];
        uint32_t n = hz3_segment_claim_many(m.meta, pages, got, want);
        assert_true(n <= want);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(got[i], model_find_in_word(&m, pages, 1));
            model_set_free(&m, got[i], pages, false);
        }
        assert_true(n == want || model_find_in_word(&m, pages, 1) == HZ3_PAGE_NONE);
        assert_maps_match(&m);
    }
}

// A claim of the whole segment takes word after word; one page that is missing in the last gives all of them back.
static void failed_claim_of_the_whole_rolls_back(void **state)
{
    (void)state;
    static Model m;
    model_reset(&m);
    for (uint32_t page = 0; page < PAGES; page++) {
        atomic_fetch_and(&m.meta->free_bits[page / 64], ~(1ull << (page % 64)));
        m.free[page] = false;
        bool rolled_back = false;
        assert_false(hz3_segment_claim_whole(m.meta, &rolled_back));
        assert_int_equal(rolled_back, page >= 64); // else the first word was refused, and nothing taken
        assert_maps_match(&m);
        publish_and_check(&m, page, 1, false);
    }
    claim_whole_and_check(&m);
    assert_int_equal(hz3_segment_free_pages(m.meta), 0);
}

// The only free run lies over a border of words and is just long enough.
static void run_across_words_is_found_when_it_just_fits(void **state)
{
    (void)state;
    static Model m;
    model_reset(&m);
    claim_whole_and_check(&m);
    model_set_free(&m, 0, PAGES, false);
    for (uint32_t border = 64; border < PAGES; border += 64) {
        for (uint32_t pages = 2; pages <= HZ3_WORD_RUN_MAX; pages++) {
            for (uint32_t below = 1; below < pages; below++) {
                publish_and_check(&m, border - below, pages, false);
                assert_int_equal(claim_and_check(&m, pages, 1), border - below);
            }
        }
    }
}

static void publish_twice(void *arg)
{
    Model *m = arg;
    hz3_segment_publish(m->meta, 60, 8);
}

// The shortest free run that holds the pages, the lowest of equals; *longest: the longest run once they are taken.
static uint32_t model_find_tightest(const Model *m, uint32_t pages, uint32_t align, uint32_t *longest)
{
    uint32_t best = HZ3_PAGE_NONE, best_length = UINT32_MAX;
    for (uint32_t from = 0, end; from < PAGES; from = end + 1) {
        for (end = from; end < PAGES && m->free[end]; end++) {
        }
        uint32_t start = (from + align - 1) / align * align;
        if (end > from && start + pages <= end && end - from < best_length) {
            best = start;
            best_length = end - from;
        }
    }
    *longest = 0;
    for (uint32_t page = 0, run = 0; page < PAGES; page++) {
        bool is_taken = best != HZ3_PAGE_NONE && page >= best && page < best + pages;
        run = m->free[page] && !is_taken ? run + 1 : 0;
        *longest = run > *longest ? run : *longest;
    }
    return best;
}

static void tightest_claim_takes_the_shortest_run(void **state)
{
    (void)state;
    uint64_t rng = 45;
    for (uint32_t round = 0; round < 20000; round++) {
        static Model m;
        model_reset(&m);
        for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
            uint64_t word = unit_random(&rng) | unit_random(&rng) | (round % 2 ? unit_random(&rng) : 0);
            word = unit_random_below(&rng, 4) == 0 ? UINT64_MAX : word;
            atomic_store(&m.meta->free_bits[w], word);
            for (uint32_t bit_no = 0; bit_no < 64; bit_no++) {
                m.free[w * 64 + bit_no] = (word >> bit_no & 1) != 0;
            }
        }
        uint32_t pages = 1 + unit_random_below(&rng, round % 10 == 0 ? 100 : 12);
        uint32_t align = 1u << (round % 3 == 0 ? unit_random_below(&rng, 5) : 0);
        uint32_t expected_longest, longest;
        bool rolled_back = false;
        uint32_t expected = model_find_tightest(&m, pages, align, &expected_longest);
        assert_int_equal(hz3_segment_claim_tightest(m.meta, pages, align, &longest, &rolled_back), expected);
        assert_false(rolled_back);
        assert_int_equal(longest, expected_longest);
        for (uint32_t i = 0; expected != HZ3_PAGE_NONE && i < pages; i++) {
            m.free[expected + i] = false;
        }
        assert_maps_match(&m);
        assert_int_equal(hz3_segment_longest_run(m.meta), longest);
    }
}

static void publishing_a_free_page_aborts(void **state)
{
    (void)state;
    static Model m;
    model_reset(&m);
    atomic_fetch_and(&m.meta->free_bits[0], ~(1ull << 63));
    unit_expect_abort(publish_twice, &m, "internal error");
}

static void validator_sees_what_is_wrong(void **state)
{
    (void)state;
    static Model m;
    model_reset(&m);
    bool rolled_back = false;
    assert_int_equal(hz3_segment_claim(m.meta, 100, 1, &rolled_back), 0);
    uint32_t first = (uint32_t)(m.meta - hz3_arena.seg) * PAGES;
    assert_true(hz3_segment_is_valid(m.meta, 0, 100));
    assert_false(hz3_segment_is_valid(m.meta, 0, 101)); // that one is free
    assert_false(hz3_segment_is_valid(m.meta, 10, 0));
    assert_int_equal(hz3_segment_claim(m.meta, PAGES - 100, 1, &rolled_back), 100);
    assert_false(hz3_segment_is_valid(m.meta, PAGES - 10, 11));
    assert_false(hz3_segment_is_valid(&hz3_arena.seg[hz3_arena.slots], 0, 1));
    UNIT_EXPECT_SEEN(m.meta->free_bits[1], 1ull << 35, hz3_segment_is_valid(m.meta, 0, 100));
    UNIT_EXPECT_SEEN(m.meta->is_queued, UINT32_MAX, hz3_segment_is_valid(m.meta, 0, 100));
    UNIT_EXPECT_SEEN(m.meta->next_queued, hz3_arena.slots, hz3_segment_is_valid(m.meta, 0, 100));
    UNIT_EXPECT_SEEN(hz3_arena.sc_tag[first + 99], HZ3_TAG_SPAN_CONT, hz3_segment_is_valid(m.meta, 0, 100));
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=126M", NULL}); // whose last slot has its tables
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_and_alignment_fills_the_segment),
        cmocka_unit_test(random_sequences_match_the_model),
        cmocka_unit_test(claim_many_takes_what_single_claims_would),
        cmocka_unit_test(failed_claim_of_the_whole_rolls_back),
        cmocka_unit_test(run_across_words_is_found_when_it_just_fits),
        cmocka_unit_test(tightest_claim_takes_the_shortest_run),
        cmocka_unit_test(publishing_a_free_page_aborts),
        cmocka_unit_test(validator_sees_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
