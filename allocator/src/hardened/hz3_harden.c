#include "hardened/hz3_harden.h"

#include <errno.h>
#include <string.h>

#include "base/hz3_harden_random.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "front/hz3_front.h"
#include "hardened/hz3_harden_quarantine.h"
#include "large/hz3_harden_guard.h"
#include "large/hz3_large.h"
#include "large/hz3_mapping.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"
#include "policy/hz3_mem_budget.h"
#include "process/hz3_init.h"

// A state: what it says of the place, and of a live block the bytes behind those that were asked for.
enum { NONE = 0, FREE = 1u << 14, LIVE = 2u << 14, HELD = 3u << 14, WHAT = 3u << 14, SLACK = (1u << 14) - 1 };

#define CANARY_MAX 64u

_Static_assert(2 * HZ3_PAGE_SIZE + 1 < SLACK,
               "a block of a class that is aligned to a page has less than two pages left");

// A live block as the tables describe it.
typedef struct Block {
    char *begin; // what the program has
    char *base;  // the block's first byte; before `begin` by the cache colour of a medium one
    char *end;   // behind its last byte
    size_t asked;
    uint32_t cls; // 0: a span or a mapping
} Block;

static Hz3BlockState *state_of(const void *p)
{
    return &hz3_arena.block_state[((uintptr_t)p - hz3_arena.base) / HZ3_MIN_ALIGN];
}

static uint32_t what_is_at(const void *p)
{
    return atomic_load_explicit(state_of(p), memory_order_acquire) & WHAT;
}

// --- what a block may hold -----------------------------------------------------------------------------------------

static size_t canary_bytes(const Block *b)
{
    size_t slack = (size_t)(b->end - b->begin) - b->asked;
    return !hz3_harden_has(HZ3_WORD_CANARY) ? 0 : slack < CANARY_MAX ? slack : CANARY_MAX;
}

// Never a character of ASCII and never zero: the ends of strings that programs write too far are all seen.
static uint8_t canary_of(const void *p)
{
    uint64_t mixed = (hz3_harden_secret() ^ (uintptr_t)p) * 0x9E3779B97F4A7C15ull;
    return (uint8_t)(mixed >> 56 | 0x80);
}

// The first byte that is not `value`, or `bytes`.
static size_t first_other(const char *at, uint8_t value, size_t bytes)
{
    if (bytes == 0 || ((uint8_t)at[0] == value && memcmp(at, at + 1, bytes - 1) == 0)) {
        return bytes;
    }
    size_t i = 0;
    while (i < bytes && (uint8_t)at[i] == value) {
        i++;
    }
    return i;
}

static void require_zero(const char *function, const Block *b)
{
    size_t bytes = (size_t)(b->end - b->base);
    size_t at = first_other(b->base, 0, bytes);
    hz3_require(at == bytes, function, b->begin,
                "write after free: byte %td of this free block of %zu bytes was written", b->base + at - b->begin,
                bytes);
}

// What the program may not write: behind what it asked for, and in front of a block with a cache colour.
static void require_edges(const char *function, const Block *b)
{
    size_t bytes = canary_bytes(b);
    size_t at = first_other(b->begin + b->asked, canary_of(b->begin), bytes);
    hz3_require(at == bytes, function, b->begin, "overflow: byte %zu of this block of %zu bytes was written",
                b->asked + at, b->asked);
    if (hz3_harden_has(HZ3_WORD_ZERO) && b->base != b->begin) {
        size_t before = (size_t)(b->begin - b->base);
        hz3_require(first_other(b->base, 0, before) == before, function, b->begin,
                    "underflow: bytes in front of this block of %zu bytes were written", b->asked);
    }
}

static size_t usable_bytes(const Block *b)
{
    return hz3_harden_has(HZ3_WORD_CANARY) ? b->asked : (size_t)(b->end - b->begin);
}

// --- finding a block -----------------------------------------------------------------------------------------------

static Block block_in_class(const void *p, uint32_t cls, size_t slack)
{
    char *begin = (char *)(uintptr_t)p;
    char *base = hz3_class_is_medium(cls) ? hz3_medium_base(p) : begin;
    char *end = base + hz3_classes[cls].size;
    return (Block){begin, base, end, (size_t)(end - begin) - slack, cls};
}

static bool lives_in_first_page(const void *p)
{
    const char *base = hz3_medium_base(p);
    bool lives = false;
    for (size_t at = 0; at < HZ3_PAGE_SIZE; at += HZ3_MIN_ALIGN) {
        lives |= what_is_at(base + at) == LIVE;
    }
    return lives;
}

// The tag says that the page is in use, the state that no live block begins at p.
static _Noreturn HZ3_COLD void die_not_live(const char *function, const void *p, Hz3Tag tag)
{
    bool is_free = strcmp(function, "free") == 0;
    bool is_aligned = (uintptr_t)p % HZ3_MIN_ALIGN == 0;
    // A block that began here was freed, and its page is in another block or of another class since.
    const char *began = is_aligned && what_is_at(p) == FREE ? is_free ? "double free or " : "use after free or " : "";
    if (tag > HZ3_TAG_CLASS_LAST) {
        bool is_start = tag == HZ3_TAG_SPAN && ((uintptr_t)p & (HZ3_PAGE_SIZE - 1)) == 0;
        hz3_require(!is_start, function, p, "double free: this block is free already");
        hz3_die(function, p, "%sinterior pointer: not the start of its block", began);
    }
    uint32_t bytes = hz3_classes[tag].size;
    hz3_require(is_aligned, function, p, "interior pointer: misaligned, inside a block of %u bytes", bytes);
    if (hz3_class_is_medium(tag) ? lives_in_first_page(p) : !hz3_object_starts_at(tag, p)) {
        hz3_die(function, p, "%sinterior pointer: not the start of a block of %u bytes", began, bytes);
    }
    if (what_is_at(p) == NONE) {
        hz3_die(function, p, "not allocated: a block of %u bytes that was never handed out", bytes);
    }
    hz3_die(function, p,
            is_free ? "double free: the block of %u bytes is free already"
                    : "use after free: the block of %u bytes is free already",
            bytes);
}

static Block find_mapping(const char *function, const void *p)
{
    size_t bytes = 0;
    size_t asked = 0;
    if (!hz3_mapping_find(p, &bytes, &asked)) {
        bool is_free = strcmp(function, "free") == 0;
        hz3_require(!hz3_mapping_is_freed(p), function, p, "%s: this block is free already, or begins elsewhere",
                    is_free ? "double free" : "use after free");
        hz3_die(function, p, "foreign pointer: not allocated by hz3, or unmapped since");
    }
    char *begin = (char *)(uintptr_t)p;
    return (Block){begin, begin, begin + bytes, asked, 0};
}

// The live block that begins at p; aborts with a message when there is none.
static Block find_block(const char *function, const void *p)
{
    if (!hz3_arena_owns(p)) {
        return find_mapping(function, p);
    }
    Hz3Tag tag = hz3_tag_of(hz3_page_of(p)); // first: it has memory behind it where the states may have none
    hz3_require(tag != HZ3_TAG_NONE, function, p, "%s or wild pointer: this page is not allocated",
                strcmp(function, "free") == 0 ? "double free" : "use after free");
    uint32_t state = atomic_load_explicit(state_of(p), memory_order_acquire);
    if ((uintptr_t)p % HZ3_MIN_ALIGN != 0 || (state & WHAT) != LIVE) {
        die_not_live(function, p, tag);
    }
    if (tag != HZ3_TAG_SPAN) {
        return block_in_class(p, tag, state & SLACK);
    }
    char *begin = (char *)(uintptr_t)p;
    return (Block){begin, begin, begin + hz3_span_usable_size(p), hz3_arena.run[hz3_page_of(p)].asked, 0};
}

// --- states --------------------------------------------------------------------------------------------------------

// Tells the tables what the program asked for.
static void note_asked(const Block *b)
{
    if (!hz3_arena_owns(b->begin)) {
        hz3_mapping_set_asked(b->begin, b->asked);
    } else if (b->cls == 0) {
        hz3_arena.run[hz3_page_of(b->begin)].asked = (uint32_t)b->asked;
    }
    memset(b->begin + b->asked, canary_of(b->begin), canary_bytes(b));
}

static uint16_t live_state(const Block *b)
{
    return (uint16_t)(LIVE | (b->cls == 0 ? 0 : (size_t)(b->end - b->begin) - b->asked));
}

// The block becomes the program's.
static void *hand_out(const Block *b)
{
    hz3_assert(b->base <= b->begin && b->begin + b->asked <= b->end);
    note_asked(b);
    if (hz3_arena_owns(b->begin)) {
        uint32_t before = atomic_exchange_explicit(state_of(b->begin), live_state(b), memory_order_acq_rel) & WHAT;
        hz3_require(before != LIVE && before != HELD, "malloc", b->begin,
                    "heap corrupted: this block was handed out twice");
    }
    return b->begin;
}

// From LIVE to another state, by one of all threads that try.
static void leave_live(const char *function, const Block *b, uint16_t next)
{
    uint16_t live = live_state(b);
    hz3_require(atomic_compare_exchange_strong_explicit(state_of(b->begin), &live, next, memory_order_acq_rel,
                                                        memory_order_relaxed),
                function, b->begin, "double free: another thread freed this block of %zu bytes just now", b->asked);
}

// --- alloc ---------------------------------------------------------------------------------------------------------

static uint32_t class_for(size_t bytes, size_t align)
{
    if (bytes > HZ3_MEDIUM_MAX || align > HZ3_PAGE_SIZE) {
        return 0;
    }
    return align <= HZ3_MIN_ALIGN ? hz3_class_of(bytes) : hz3_class_of_aligned(bytes, align);
}

static void *take_large(size_t bytes, size_t align, bool *is_zero)
{
    if (hz3_harden_has(HZ3_WORD_GUARD)) {
        hz3_mem_budget_charge(hz3_page_round_up(bytes) >> HZ3_PAGE_SHIFT);
        void *p = hz3_mapping_alloc_guarded(hz3_page_round_up(bytes), align, hz3_page_round_up(bytes));
        if (p != NULL) {
            *is_zero = true;
            return p;
        }
    }
    return hz3_large_alloc(bytes, align, is_zero);
}

static void *open_large(void *p, size_t asked, bool wants_zero, bool is_zero)
{
    size_t bytes = hz3_arena_owns(p) ? hz3_span_usable_size(p) : hz3_mapping_size(p);
    Block b = {p, p, (char *)p + bytes, asked, 0};
    if (hz3_arena_owns(p) && !is_zero && hz3_harden_has(HZ3_WORD_ZERO)) {
        require_zero("malloc", &b);
    } else if (wants_zero && !is_zero) {
        memset(p, 0, asked);
    }
    return hand_out(&b);
}

static void *open_object(void *object, uint32_t cls, size_t bytes, size_t align, size_t asked, bool wants_zero)
{
    if (!hz3_arena_owns(object)) { // what a full arena falls back to
        return open_large(object, asked, wants_zero, false);
    }
    if (hz3_class_is_medium(cls)) {
        object = align <= HZ3_MIN_ALIGN ? hz3_medium_place(object, bytes) : hz3_medium_base(object);
    }
    Block b = block_in_class(object, cls, 0);
    b.asked = asked;
    if (hz3_harden_has(HZ3_WORD_ZERO)) {
        require_zero("malloc", &b);
    } else if (wants_zero) {
        memset(b.begin, 0, asked);
    }
    return hand_out(&b);
}

static void *try_alloc(size_t size, size_t align, bool wants_zero)
{
    size_t bytes = size + hz3_harden_has(HZ3_WORD_CANARY);
    bytes += bytes == 0;
    uint32_t cls = class_for(bytes, align);
    if (cls != 0) {
        void *object = hz3_front_alloc(cls);
        return object != NULL ? open_object(object, cls, bytes, align, size, wants_zero) : NULL;
    }
    bool is_zero = false;
    void *p = take_large(bytes, align, &is_zero);
    return p != NULL ? open_large(p, size, wants_zero, is_zero) : hz3_alloc_failed();
}

static bool release_what_waits(void)
{
    bool has_drained = hz3_harden_drain();
    return hz3_guard_release() || has_drained;
}

// No bytes are the smallest block.
static size_t asked_for(size_t size)
{
    return size != 0 ? size : HZ3_MIN_ALIGN;
}

void *hz3_harden_alloc(size_t size, size_t align, bool is_zero)
{
    if (!HZ3_HARDENED || size > HZ3_REQUEST_MAX || align > HZ3_REQUEST_MAX) {
        return hz3_alloc_failed();
    }
    hz3_init(); // the words are known from there on
    size = asked_for(size);
    int saved_errno = errno;
    void *p = try_alloc(size, align, is_zero);
    if (HZ3_UNLIKELY(p == NULL) && release_what_waits()) {
        errno = saved_errno;
        p = try_alloc(size, align, is_zero);
    }
    return p;
}

// --- free ----------------------------------------------------------------------------------------------------------

// The last that this layer has to do with a block: it was cleared, and should still be so.
static void give_back(void *p)
{
    if (hz3_harden_has(HZ3_WORD_ZERO)) {
        Block b = block_in_class(p, hz3_tag_of(hz3_page_of(p)), 0);
        require_zero("free", &b);
    }
    atomic_store_explicit(state_of(p), FREE, memory_order_release);
    hz3_front_free(p);
}

static void give_back_all(void **objects, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        give_back(objects[i]);
    }
}

bool hz3_harden_drain(void)
{
    size_t bytes = hz3_quarantine_bytes(); // what others put in meanwhile is theirs to wait for
    size_t given = 0;
    void *left[HZ3_QUARANTINE_LEAVE_MAX];
    for (uint32_t n = 1; n != 0 && given < bytes;) {
        n = hz3_quarantine_take(left);
        for (uint32_t i = 0; i < n; i++) {
            given += hz3_classes[hz3_tag_of(hz3_page_of(left[i]))].size;
        }
        give_back_all(left, n);
    }
    return given != 0;
}

static void free_mapping(const Block *b)
{
    hz3_require(hz3_mapping_free(b->begin), "free", b->begin,
                "double free: another thread freed this block of %zu bytes just now", b->asked);
}

static void free_in_class(const Block *b)
{
    leave_live("free", b, HELD);
    if (hz3_harden_has(HZ3_WORD_ZERO)) {
        memset(b->base, 0, (size_t)(b->end - b->base));
    }
    if (!hz3_harden_has(HZ3_WORD_QUARANTINE)) {
        give_back(b->begin);
        return;
    }
    void *left[HZ3_QUARANTINE_LEAVE_MAX];
    give_back_all(left, hz3_quarantine_put(b->begin, b->cls, left));
}

static void free_block(const Block *b)
{
    require_edges("free", b);
    if (!hz3_arena_owns(b->begin)) {
        free_mapping(b);
    } else if (b->cls != 0) {
        free_in_class(b);
    } else {
        leave_live("free", b, FREE);
        if (hz3_harden_has(HZ3_WORD_ZERO)) {
            memset(b->begin, 0, (size_t)(b->end - b->begin));
        }
        hz3_span_free(b->begin);
    }
}

void hz3_harden_free(void *p)
{
    if (HZ3_HARDENED && p != NULL) {
        Block b = find_block("free", p);
        free_block(&b);
    }
}

void hz3_harden_free_sized(void *p, size_t size)
{
    if (HZ3_HARDENED && p != NULL) {
        Block b = find_block("free", p);
        hz3_require(b.asked == asked_for(size), "free", p, "wrong size: this block of %zu bytes is freed as one of %zu",
                    b.asked, size);
        free_block(&b);
    }
}

// --- realloc -------------------------------------------------------------------------------------------------------

// What a new block of this size would take.
static bool needs_same_block(const Block *b, size_t size)
{
    size_t bytes = size + hz3_harden_has(HZ3_WORD_CANARY);
    size_t has = (size_t)(b->end - b->begin);
    if (bytes > has) {
        return false;
    }
    return b->cls != 0 ? bytes <= HZ3_MEDIUM_MAX && hz3_class_of(bytes) == b->cls : bytes > has / 2;
}

static void resize_in_place(Block *b, size_t size)
{
    Block resized = *b;
    resized.asked = size;
    if (b->cls != 0) {
        leave_live("realloc", b, live_state(&resized));
    }
    note_asked(&resized);
}

// A large block that grows again and again must not be copied each time. Where it has guard pages it gets twice the
// addresses, else it grows into the pages behind it, or the kernel moves it. NULL: it takes another block.
static void *grow_large(const Block *b, size_t size)
{
    size_t bytes = hz3_page_round_up(size + hz3_harden_has(HZ3_WORD_CANARY));
    void *p = NULL;
    if (b->cls != 0 || bytes <= (size_t)(b->end - b->begin)) {
        return NULL;
    }
    hz3_mem_budget_charge((bytes - (size_t)(b->end - b->begin)) >> HZ3_PAGE_SHIFT);
    if (hz3_arena_owns(b->begin)) {
        p = bytes <= HZ3_SPAN_MAX && hz3_span_resize(b->begin, bytes) ? b->begin : NULL;
    } else if (hz3_mapping_grow_guarded(b->begin, bytes)) {
        p = b->begin;
    } else if (hz3_harden_has(HZ3_WORD_GUARD) &&
               (p = hz3_mapping_alloc_guarded(bytes, HZ3_MIN_ALIGN, 2 * bytes)) != NULL) {
        memcpy(p, b->begin, b->asked);
        free_mapping(b);
    } else if (!hz3_harden_has(HZ3_WORD_GUARD) && bytes > HZ3_SPAN_MAX) {
        p = hz3_mapping_resize(b->begin, bytes);
    }
    if (p != NULL) {
        size_t has = hz3_arena_owns(p) ? hz3_span_usable_size(p) : hz3_mapping_size(p);
        Block grown = {p, p, (char *)p + has, size, 0};
        note_asked(&grown);
    }
    return p;
}

void *hz3_harden_realloc(void *p, size_t size)
{
    if (!HZ3_HARDENED) {
        return NULL;
    }
    Block b = find_block("realloc", p);
    require_edges("realloc", &b);
    if (size == 0) {
        hz3_harden_free(p);
        return NULL;
    }
    if (size <= HZ3_REQUEST_MAX && needs_same_block(&b, size)) {
        resize_in_place(&b, size);
        return p;
    }
    void *grown = size <= HZ3_REQUEST_MAX ? grow_large(&b, size) : NULL;
    if (grown != NULL) {
        return grown;
    }
    int saved_errno = errno;
    size_t usable = usable_bytes(&b);
    void *moved = hz3_harden_alloc(size, HZ3_MIN_ALIGN, false);
    if (moved == NULL && size <= usable) { // a block that shrinks stays where it is
        errno = saved_errno;
        return p;
    }
    if (moved != NULL) {
        memcpy(moved, p, size < usable ? size : usable);
        hz3_harden_free(p);
    }
    return moved;
}

size_t hz3_harden_usable_size(const void *p)
{
    if (!HZ3_HARDENED) {
        return 0;
    }
    Block b = find_block("malloc_usable_size", p);
    return usable_bytes(&b);
}
