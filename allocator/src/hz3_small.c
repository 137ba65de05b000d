#include "hz3_small.h"

#include "hz3_arena.h"
#include "hz3_log.h"
#include "hz3_size_class.h"

static uint64_t *bitmap_of(uint32_t run)
{
    return hz3_arena.bits[run].word;
}

static uint32_t bitmap_words(uint32_t class)
{
    return (hz3_classes[class].objs + 63) / 64;
}

uint32_t hz3_run_of_page(uint32_t page)
{
    return page - hz3_arena.run[page].head_delta;
}

// Byte offset inside a run → index; the remainder is zero only at the start of an object.
static uint32_t index_of(uint32_t class, uint32_t offset, uint32_t *remainder)
{
    uint32_t index = (uint32_t)(((uint64_t)offset * hz3_classes[class].reciprocal) >> 32);
    *remainder = offset - index * hz3_classes[class].size;
    return index;
}

static uint32_t offset_in_run(uint32_t run, const void *object)
{
    return (uint32_t)((uintptr_t)object - (uintptr_t)hz3_page_addr(run));
}

void hz3_run_create(uint32_t page, uint32_t class, uint32_t shard)
{
    const Hz3Class *c = &hz3_classes[class];
    for (uint32_t i = 0; i < c->pages; i++) {
        hz3_arena.run[page + i].head_delta = (uint16_t)i;
    }
    Hz3RunMeta *meta = &hz3_arena.run[page];
    meta->next = HZ3_PAGE_NONE;
    meta->prev = HZ3_PAGE_NONE;
    meta->free_objs = (uint16_t)c->objs;
    meta->pages = (uint16_t)c->pages;
    meta->shard = (uint8_t)shard;
    meta->is_partial = 0;
    uint64_t *bits = bitmap_of(page);
    for (uint32_t i = 0; i < bitmap_words(class); i++) {
        uint32_t left = c->objs - i * 64;
        bits[i] = left >= 64 ? UINT64_MAX : (1ull << left) - 1;
    }
    // Last: from here on free() of an address in these pages takes it for an object of the class.
    hz3_tag_set(page, c->pages, (Hz3Tag) class);
    hz3_assert_slow(hz3_run_is_valid(page, class));
}

uint32_t hz3_run_take(uint32_t run, uint32_t class, void **out, uint32_t n)
{
    hz3_assert_slow(hz3_run_is_valid(run, class));
    char *base = hz3_page_addr(run);
    uint64_t *bits = bitmap_of(run);
    uint32_t size = hz3_classes[class].size;
    uint32_t taken = 0;
    for (uint32_t w = 0; w < bitmap_words(class) && taken < n; w++) {
        uint64_t word = bits[w];
        while (word != 0 && taken < n) {
            out[taken++] = base + (size_t)(w * 64 + (uint32_t)__builtin_ctzl(word)) * size;
            word &= word - 1;
        }
        bits[w] = word;
    }
    hz3_arena.run[run].free_objs = (uint16_t)(hz3_arena.run[run].free_objs - taken);
    return taken;
}

void hz3_run_put(uint32_t run, uint32_t class, void *object)
{
    hz3_assert_slow(hz3_run_is_valid(run, class));
    uint32_t remainder;
    uint32_t index = index_of(class, offset_in_run(run, object), &remainder);
    hz3_require(remainder == 0, "free", object, "interior pointer: %u bytes inside a block of %u bytes", remainder,
                hz3_classes[class].size);
    uint64_t bit = 1ull << (index % 64);
    hz3_require((bitmap_of(run)[index / 64] & bit) == 0, "free", object,
                "double free: the block of %u bytes is free already", hz3_classes[class].size);
    bitmap_of(run)[index / 64] |= bit;
    hz3_arena.run[run].free_objs++;
}

bool hz3_object_starts_at(uint32_t class, const void *object)
{
    if (hz3_class_is_medium(class)) {
        uintptr_t base = (uintptr_t)hz3_medium_base(object);
        return (((uintptr_t)object - base) & ~hz3_colour_of_run(base)) == 0;
    }
    uint32_t remainder;
    index_of(class, offset_in_run(hz3_run_of_page(hz3_page_of(object)), object), &remainder);
    return remainder == 0;
}

void hz3_object_require(uint32_t class, const void *object)
{
    // The run may have been retired since the object came here: only a second free of the same object does that.
    Hz3Tag tag = hz3_tag_of(hz3_page_of(object));
    hz3_require(tag <= HZ3_TAG_CLASS_LAST && hz3_class_of_tag(tag) == class, "free", object,
                "double free: the block of %u bytes is free already", hz3_classes[class].size);
    hz3_require(hz3_object_starts_at(class, object), "free", object,
                "interior pointer: not the start of a block of %u bytes", hz3_classes[class].size);
}

bool hz3_run_is_valid(uint32_t run, uint32_t class)
{
    const Hz3RunMeta *meta = &hz3_arena.run[run];
    uint32_t set = 0;
    for (uint32_t w = 0; w < bitmap_words(class); w++) {
        set += (uint32_t)__builtin_popcountl(bitmap_of(run)[w]);
    }
    bool tags_match = true;
    for (uint32_t i = 0; i < hz3_classes[class].pages; i++) {
        tags_match = tags_match && hz3_tag_of(run + i) == class && hz3_arena.run[run + i].head_delta == i;
    }
    return tags_match && set == meta->free_objs && meta->pages == hz3_classes[class].pages;
}
