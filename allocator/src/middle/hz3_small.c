#include "middle/hz3_small.h"

#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"

#define HZ3_SMALL_CLASS(bytes, run_pages)                                                                              \
    _Static_assert(HZ3_PAGE_SIZE * (run_pages) / (bytes) <= 64 * HZ3_RUN_WORDS_MAX, "a run's bitmap has its words");   \
    _Static_assert((run_pages) <= 8 * sizeof((Hz3RunMeta){0}.purged), "and `purged` a bit for every page");            \
    _Static_assert((run_pages) <= HZ3_WORD_RUN_MAX, "packing is exact for a run, and finds it inside a word");
#define HZ3_HALF_CLASS HZ3_SMALL_CLASS
#include "base/hz3_size_class.def"

_Atomic uint8_t hz3_run_time;

static uint64_t *bitmap_of(uint32_t run)
{
    return hz3_arena.bits[run].word;
}

static uint32_t bitmap_words(uint32_t cls)
{
    return (hz3_classes[cls].objs + 63) / 64;
}

static uint32_t offset_in_run(uint32_t run, const void *object)
{
    return (uint32_t)((uintptr_t)object - (uintptr_t)hz3_page_addr(run));
}

void hz3_run_create(uint32_t page, uint32_t cls, uint32_t shard)
{
    const Hz3Class *c = &hz3_classes[cls];
    hz3_assert(!hz3_class_is_medium(cls) && shard < hz3_shard_count());
    for (uint32_t i = 0; i < c->pages; i++) {
        hz3_arena.run[page + i].head_delta = (uint8_t)i;
    }
    Hz3RunMeta *meta = &hz3_arena.run[page];
    meta->next = HZ3_PAGE_NONE;
    meta->prev = HZ3_PAGE_NONE;
    meta->free_objs = (uint16_t)c->objs;
    meta->purged = 0;
    meta->touched = HZ3_RUN_LOOKED_AT;
    meta->shard = (uint8_t)shard;
    meta->is_partial = 0;
    uint64_t *bits = bitmap_of(page);
    for (uint32_t i = 0; i < bitmap_words(cls); i++) {
        uint32_t left = c->objs - i * 64;
        bits[i] = left >= 64 ? UINT64_MAX : (1ull << left) - 1;
    }
    // Last: from here on free() of an address in these pages takes it for an object of the class.
    hz3_tag_set(page, c->pages, (Hz3Tag)cls);
    hz3_assert_slow(hz3_run_is_valid(page, cls));
}

// Objects [*first, *end) of a run lie in its page, wholly or in part.
static void objects_of_page(uint32_t cls, uint32_t page, uint32_t *first, uint32_t *end)
{
    uint32_t size = hz3_classes[cls].size;
    uint32_t from = page * (uint32_t)HZ3_PAGE_SIZE;
    *first = from / size;
    *end = (from + (uint32_t)HZ3_PAGE_SIZE - 1) / size + 1;
    if (*end > hz3_classes[cls].objs) {
        *end = hz3_classes[cls].objs;
    }
}

// The pages of objects just taken are no longer known to be purged.
static HZ3_COLD void note_touched(uint32_t run, uint32_t cls, void *const *object, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = offset_in_run(run, object[i]);
        uint32_t to = from + hz3_classes[cls].size - 1;
        uint32_t touched = (2u << (to >> HZ3_PAGE_SHIFT)) - (1u << (from >> HZ3_PAGE_SHIFT));
        hz3_arena.run[run].purged &= (uint16_t)~touched;
    }
}

#define CACHE_LINE 64u

// 1, 2 or 4.
static uint32_t objects_on_a_line(uint32_t cls)
{
    uint32_t size = hz3_classes[cls].size;
    return size >= CACHE_LINE ? 1 : size > CACHE_LINE / 4 ? 2 : 4;
}

// Every stride-th object of a word, from the first on.
static uint64_t every(uint32_t stride)
{
    return stride == 1 ? UINT64_MAX : stride == 2 ? 0x5555555555555555 : 0x1111111111111111;
}

// n of a word's objects, all of whose chosen ones are free. Returns what is left of them.
static uint64_t take_in_order(char *object, size_t step, uint32_t stride, uint64_t word, void **out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, object += step) {
        out[i] = object;
    }
    return n * stride < 64 ? word & UINT64_MAX << (n * stride) : 0;
}

// The lowest free objects among every stride-th of a word, from the first on. In most words all of them are free.
static uint32_t take_chosen(uint32_t run, uint32_t cls, uint32_t stride, uint32_t first, void **out, uint32_t n)
{
    const uint64_t chosen = every(stride) << first;
    const uint32_t n_chosen = 64 / stride;
    char *base = hz3_page_addr(run);
    uint64_t *bits = bitmap_of(run);
    uint32_t size = hz3_classes[cls].size;
    uint32_t taken = 0;
    for (uint32_t w = 0; w < bitmap_words(cls) && taken < n; w++) {
        uint64_t word = bits[w] & chosen;
        uint64_t passed_over = bits[w] & ~chosen;
        if (word == chosen) {
            uint32_t some = n_chosen < n - taken ? n_chosen : n - taken;
            char *object = base + (size_t)(w * 64 + first) * size;
            bits[w] = passed_over | take_in_order(object, (size_t)stride * size, stride, word, out + taken, some);
            taken += some;
            continue;
        }
        while (word != 0 && taken < n) {
            out[taken++] = base + (size_t)(w * 64 + (uint32_t)__builtin_ctzl(word)) * size;
            word &= word - 1;
        }
        bits[w] = word | passed_over;
    }
    return taken;
}

// Objects that share a cache line are not taken one after the other. A program may give them to several threads, each
// of which gets its own again and again from the bin that it frees it to; they would take the line from each other.
uint32_t hz3_run_take(uint32_t run, uint32_t cls, void **out, uint32_t n)
{
    hz3_assert_slow(hz3_run_is_valid(run, cls));
    hz3_assert(n >= 1);
    uint32_t stride = objects_on_a_line(cls);
    uint32_t taken = 0;
    for (uint32_t first = 0; first < stride && taken < n; first++) {
        taken += take_chosen(run, cls, stride, first, out + taken, n - taken);
    }
    Hz3RunMeta *meta = &hz3_arena.run[run];
    hz3_assert(taken <= n && taken <= meta->free_objs);
    meta->free_objs = (uint16_t)(meta->free_objs - taken);
    if (meta->touched != HZ3_RUN_LOOKED_AT) {
        meta->touched = hz3_run_now();
    }
    if (HZ3_UNLIKELY(meta->purged != 0)) {
        note_touched(run, cls, out, taken);
    }
    return taken;
}

ptrdiff_t hz3_run_step(uint32_t cls)
{
    return (ptrdiff_t)objects_on_a_line(cls) * hz3_classes[cls].size;
}

// How many of n objects follow each other at this step and have their bits in one word, which has `bits` bits and of
// them the first object's at `at`; and the bits of all of them.
static uint32_t chain_of(void *const *objects, uint32_t n, ptrdiff_t step, uint32_t stride, uint32_t at, uint32_t bits,
                         uint64_t *mask)
{
    uint32_t most = step > 0 ? (bits - at + stride - 1) / stride : at / stride + 1;
    most = most < n ? most : n;
    uint32_t chain = 1;
    while (chain < most && (char *)objects[chain] - (char *)objects[chain - 1] == step) {
        chain++;
    }
    uint32_t last = (chain - 1) * stride;
    *mask = (every(stride) & UINT64_MAX >> (63 - last)) << (step > 0 ? at : at - last);
    return chain;
}

// Names the first of them that cannot go back.
_Noreturn static HZ3_COLD void refuse_one_of(uint32_t run, uint32_t cls, void *const *objects, uint32_t n)
{
    for (uint32_t i = 0;; i++) {
        uint32_t remainder;
        uint32_t index = hz3_index_of(&hz3_classes[cls], offset_in_run(run, objects[i]), &remainder);
        if (i == n - 1 || remainder != 0 || (bitmap_of(run)[index / 64] >> (index % 64) & 1) != 0) {
            hz3_run_refuse(cls, objects[i], remainder);
        }
    }
}

uint32_t hz3_run_put_in_order(uint32_t run, uint32_t cls, void *const *objects, uint32_t n)
{
    const Hz3Class *class = &hz3_classes[cls];
    if (HZ3_UNLIKELY(hz3_tag_of(hz3_page_of(objects[0])) != cls)) {
        hz3_run_refuse(cls, objects[0], 0);
    }
    hz3_assert_slow(hz3_run_is_valid(run, cls));
    char *base = hz3_page_addr(run);
    uint64_t *bits = bitmap_of(run);
    uint32_t stride = objects_on_a_line(cls);
    ptrdiff_t step = (char *)objects[1] - (char *)objects[0];
    uint32_t put = 0;
    size_t offset = (size_t)((char *)objects[0] - base);
    do {
        uint32_t remainder;
        uint32_t index = hz3_index_of(class, (uint32_t)offset, &remainder);
        uint32_t left = class->objs - index / 64 * 64;
        uint64_t mask;
        uint32_t chain = chain_of(objects + put, n - put, step, stride, index % 64, left < 64 ? left : 64, &mask);
        if (HZ3_UNLIKELY(remainder != 0 || (bits[index / 64] & mask) != 0)) {
            refuse_one_of(run, cls, objects + put, chain);
        }
        bits[index / 64] |= mask;
        put += chain;
        offset = put < n ? (size_t)((char *)objects[put] - base) : SIZE_MAX;
    } while (offset < class->pages * HZ3_PAGE_SIZE);
    hz3_assert(hz3_arena.run[run].free_objs + put <= class->objs);
    hz3_arena.run[run].free_objs = (uint16_t)(hz3_arena.run[run].free_objs + put);
    return put;
}

HZ3_COLD void hz3_run_refuse(uint32_t cls, const void *object, uint32_t remainder)
{
    hz3_require(remainder == 0, "free", object, "interior pointer: %u bytes inside a block of %u bytes", remainder,
                hz3_classes[cls].size);
    hz3_die("free", object, "double free: the block of %u bytes is free already", hz3_classes[cls].size);
}

static uint64_t bits_between(uint32_t w, uint32_t first, uint32_t end)
{
    uint32_t from = first > w * 64 ? first - w * 64 : 0;
    if (from >= 64 || end <= w * 64) {
        return 0;
    }
    uint64_t below_end = end >= (w + 1) * 64 ? UINT64_MAX : (1ull << (end - w * 64)) - 1;
    return below_end & (UINT64_MAX << from);
}

// The objects of these pages as bits, each once.
static void objects_of_pages(uint32_t cls, uint32_t pages, uint64_t bits[HZ3_RUN_WORDS_MAX])
{
    for (uint32_t w = 0; w < HZ3_RUN_WORDS_MAX; w++) {
        bits[w] = 0;
    }
    for (; pages != 0; pages &= pages - 1) {
        uint32_t first;
        uint32_t end;
        objects_of_page(cls, (uint32_t)__builtin_ctz(pages), &first, &end);
        for (uint32_t w = first / 64; w <= (end - 1) / 64; w++) {
            bits[w] |= bits_between(w, first, end);
        }
    }
}

static bool page_is_free(uint32_t run, uint32_t cls, uint32_t page)
{
    uint32_t first;
    uint32_t end;
    objects_of_page(cls, page, &first, &end);
    for (uint32_t w = first / 64; w <= (end - 1) / 64; w++) {
        uint64_t wanted = bits_between(w, first, end);
        if ((bitmap_of(run)[w] & wanted) != wanted) {
            return false;
        }
    }
    return true;
}

uint32_t hz3_run_claim_free_pages(uint32_t run, uint32_t cls)
{
    hz3_assert_slow(hz3_run_is_valid(run, cls));
    Hz3RunMeta *meta = &hz3_arena.run[run];
    uint32_t pages = 0;
    for (uint32_t i = 0; i < hz3_classes[cls].pages; i++) {
        if ((meta->purged >> i & 1) == 0 && page_is_free(run, cls, i)) {
            pages |= 1u << i;
        }
    }
    uint64_t claimed[HZ3_RUN_WORDS_MAX];
    objects_of_pages(cls, pages, claimed);
    for (uint32_t w = 0; w < bitmap_words(cls); w++) {
        bitmap_of(run)[w] &= ~claimed[w];
        meta->free_objs = (uint16_t)(meta->free_objs - (uint32_t)__builtin_popcountl(claimed[w]));
    }
    hz3_assert_slow(hz3_run_is_valid(run, cls));
    return pages;
}

void hz3_run_publish_pages(uint32_t run, uint32_t cls, uint32_t pages, uint32_t purged)
{
    hz3_assert(pages != 0 && pages >> hz3_classes[cls].pages == 0 && (purged & ~pages) == 0);
    Hz3RunMeta *meta = &hz3_arena.run[run];
    uint64_t claimed[HZ3_RUN_WORDS_MAX];
    objects_of_pages(cls, pages, claimed);
    for (uint32_t w = 0; w < bitmap_words(cls); w++) {
        uint64_t twice = bitmap_of(run)[w] & claimed[w];
        hz3_require(twice == 0, "free", hz3_page_addr(run),
                    "double free: a block of %u bytes in this run is free already", hz3_classes[cls].size);
        bitmap_of(run)[w] |= claimed[w];
        meta->free_objs = (uint16_t)(meta->free_objs + (uint32_t)__builtin_popcountl(claimed[w]));
    }
    meta->purged |= (uint16_t)purged;
    hz3_assert_slow(hz3_run_is_valid(run, cls));
}

bool hz3_object_starts_at(uint32_t cls, const void *object)
{
    if (hz3_class_is_medium(cls)) {
        uintptr_t base = (uintptr_t)hz3_medium_base(object);
        return (((uintptr_t)object - base) & ~hz3_colour_of_run(base)) == 0;
    }
    uint32_t remainder;
    hz3_index_of(&hz3_classes[cls], offset_in_run(hz3_run_of_page(hz3_page_of(object)), object), &remainder);
    return remainder == 0;
}

void hz3_object_require(uint32_t cls, const void *object)
{
    // The run may have been retired since the object came here: only a second free of the same object does that.
    hz3_require(hz3_tag_of(hz3_page_of(object)) == cls, "free", object,
                "double free: the block of %u bytes is free already", hz3_classes[cls].size);
    hz3_require(hz3_object_starts_at(cls, object), "free", object,
                "interior pointer: not the start of a block of %u bytes", hz3_classes[cls].size);
}

bool hz3_run_is_valid(uint32_t run, uint32_t cls)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    const Hz3RunMeta *meta = &hz3_arena.run[run];
    const Hz3SegMeta *seg = &hz3_arena.seg[run / HZ3_PAGES_PER_SEG];
    uint32_t pages = hz3_classes[cls].pages;
    uint32_t objs = hz3_classes[cls].objs;
    if (run % HZ3_PAGES_PER_SEG + pages > HZ3_PAGES_PER_SEG ||
        hz3_segment_any_free(seg, run % HZ3_PAGES_PER_SEG, pages) || meta->shard >= hz3_shard_count() ||
        meta->is_partial > 1 || meta->purged >> pages != 0) {
        return false;
    }
    uint32_t set = 0;
    for (uint32_t w = 0; w < bitmap_words(cls); w++) {
        set += (uint32_t)__builtin_popcountl(bitmap_of(run)[w]);
    }
    bool has_only_objects = objs % 64 == 0 || bitmap_of(run)[objs / 64] >> (objs % 64) == 0;
    bool tags_match = true;
    for (uint32_t i = 0; i < pages; i++) {
        tags_match = tags_match && hz3_tag_of(run + i) == cls && hz3_arena.run[run + i].head_delta == i;
    }
    return tags_match && has_only_objects && set == meta->free_objs;
}
