#include "middle/hz3_magazine.h"

#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_shard.h"
#include "pages/hz3_arena.h"

#define PER_BLOCK ((uint32_t)(HZ3_MAGAZINE_BLOCK_BYTES / HZ3_MAGAZINE_BYTES))
#define WORDS (PER_BLOCK / 64)
#define PER_PAGE ((uint32_t)(HZ3_PAGE_SIZE / HZ3_MAGAZINE_BYTES))
#define PAGE_BITS ((1ull << PER_PAGE) - 1)
// Pages that one lock hold claims for the kernel.
#define PURGE_BATCH 32u

// A pointer needs half of the smallest block's bytes, so a program that frees many small blocks at once would need half
// as much again for magazines. They may have an eighth of the open segments, and that many bytes in any case.
#define HEAP_SHARE 8u
#define BYTES_ALWAYS_ALLOWED ((size_t)4 << 20)

// The first magazine of a block is taken by this. Under the lock of the pool.
typedef struct Block {
    struct Block *next; // in the pool's list of blocks that have a free magazine; those with nothing in use come last
    struct Block *prev;
    uint64_t free[WORDS];  // bit set: in nobody's hands
    uint64_t clean[WORDS]; // of free ones: never used or purged
    uint32_t free_count;   // bits of `free`
    uint32_t shard;        // constant
} Block;
_Static_assert(sizeof(Block) <= HZ3_MAGAZINE_BYTES, "a block's header is its first magazine");

typedef struct Pool {
    _Alignas(64) Hz3Lock lock;
    uint32_t free_count; // magazines of all its blocks
    uint32_t low;        // lowest free_count since the last trim
    Block list;          // head of the ring; only the links are used
} Pool;

static Pool pools[HZ3_SHARDS_MAX];
static _Atomic size_t block_bytes;

#define FOR_EACH_POOL(pool) for (Pool *pool = pools; pool < pools + hz3_shard_count(); pool++)

void hz3_magazine_init(void)
{
    FOR_EACH_POOL(pool)
    {
        pool->lock.rank = HZ3_RANK_LEAF;
        pool->list.next = &pool->list;
        pool->list.prev = &pool->list;
    }
}

size_t hz3_magazine_block_bytes(void)
{
    return atomic_load_explicit(&block_bytes, memory_order_relaxed);
}

static Block *block_of(const Hz3Magazine *magazine)
{
    return (Block *)((uintptr_t)magazine & ~(HZ3_MAGAZINE_BLOCK_BYTES - 1));
}

static void link_before(Block *block, Block *at)
{
    block->next = at;
    block->prev = at->prev;
    at->prev->next = block;
    at->prev = block;
}

static void unlink_block(Block *block)
{
    block->prev->next = block->next;
    block->next->prev = block->prev;
}

static bool nothing_is_in_use(const Block *block)
{
    return block->free_count == PER_BLOCK - 1;
}

// --- blocks ------------------------------------------------------------------------------------------------------

static _Atomic bool are_enough; // the process ends

void hz3_magazine_open_no_more(void)
{
    atomic_store_explicit(&are_enough, true, memory_order_relaxed);
}

static bool may_have_another_block(void)
{
    size_t bytes = atomic_fetch_add_explicit(&block_bytes, HZ3_MAGAZINE_BLOCK_BYTES, memory_order_relaxed);
    size_t open = hz3_arena_slots_open();
    size_t always = BYTES_ALWAYS_ALLOWED + hz3_shard_count() * HZ3_MAGAZINE_BLOCK_BYTES;
    return bytes + HZ3_MAGAZINE_BLOCK_BYTES <= always + (open << HZ3_SEG_SHIFT) / HEAP_SHARE &&
           !atomic_load_explicit(&are_enough, memory_order_relaxed);
}

static Block *open_block(uint32_t shard)
{
    Block *block = may_have_another_block() ? hz3_os_map_own(HZ3_MAGAZINE_BLOCK_BYTES, HZ3_MAGAZINE_BLOCK_BYTES) : NULL;
    if (block == NULL) {
        atomic_fetch_sub_explicit(&block_bytes, HZ3_MAGAZINE_BLOCK_BYTES, memory_order_relaxed);
        return NULL;
    }
    block->shard = shard;
    block->free_count = PER_BLOCK - 1;
    for (uint32_t w = 0; w < WORDS; w++) {
        block->free[w] = UINT64_MAX;
        block->clean[w] = UINT64_MAX;
    }
    block->free[0] &= ~1ull;
    return block;
}

static void close_block(Block *block)
{
    if (hz3_os_unmap(block, HZ3_MAGAZINE_BLOCK_BYTES)) {
        atomic_fetch_sub_explicit(&block_bytes, HZ3_MAGAZINE_BLOCK_BYTES, memory_order_relaxed);
    }
}

// --- get and put; under the pool's lock --------------------------------------------------------------------------

static Hz3Magazine *get_from_list(Pool *pool)
{
    Block *block = pool->list.next;
    if (block == &pool->list) {
        return NULL;
    }
    uint32_t w = 0;
    while (block->free[w] == 0) {
        w++;
    }
    hz3_assert(w < WORDS && block->free_count != 0);
    uint64_t lowest = block->free[w] & -block->free[w];
    block->free[w] &= ~lowest;
    block->clean[w] &= ~lowest;
    if (--block->free_count == 0) {
        unlink_block(block);
    }
    pool->free_count--;
    pool->low = pool->free_count < pool->low ? pool->free_count : pool->low;
    return (Hz3Magazine *)block + (w * 64 + (uint32_t)__builtin_ctzll(lowest));
}

// A block that has one free magazine is the first to be used up again, one that is free as a whole the last.
static void note_freed(Pool *pool, Block *block, uint32_t n)
{
    bool was_listed = block->free_count != 0;
    block->free_count += n;
    pool->free_count += n;
    if (was_listed && nothing_is_in_use(block)) {
        unlink_block(block);
    }
    if (nothing_is_in_use(block)) {
        link_before(block, &pool->list);
    } else if (!was_listed) {
        link_before(block, pool->list.next);
    }
}

static void put_into_list(Pool *pool, Hz3Magazine *magazine)
{
    Block *block = block_of(magazine);
    uint32_t at = (uint32_t)(magazine - (Hz3Magazine *)block);
    hz3_assert(at != 0 && magazine->count == 0 && (block->free[at / 64] >> (at % 64) & 1) == 0);
    block->free[at / 64] |= 1ull << (at % 64);
    note_freed(pool, block, 1);
}

// --- for the depots ----------------------------------------------------------------------------------------------

Hz3Magazine *hz3_magazine_get(uint32_t shard)
{
    Pool *pool = &pools[shard];
    hz3_lock_acquire(&pool->lock);
    Hz3Magazine *magazine = get_from_list(pool);
    hz3_lock_release(&pool->lock);
    if (HZ3_UNLIKELY(magazine == NULL)) {
        Block *block = open_block(shard);
        if (block == NULL) {
            return NULL;
        }
        hz3_lock_acquire(&pool->lock);
        link_before(block, pool->list.next);
        pool->free_count += block->free_count;
        magazine = get_from_list(pool);
        hz3_lock_release(&pool->lock);
    }
    magazine->count = 0; // its page may be fresh: the fault comes here, and not under the central's lock
    return magazine;
}

void hz3_magazine_put(Hz3Magazine *list)
{
    while (list != NULL) {
        Pool *pool = &pools[block_of(list)->shard];
        hz3_lock_acquire(&pool->lock);
        do {
            Hz3Magazine *next = list->below;
            put_into_list(pool, list);
            list = next;
        } while (list != NULL && &pools[block_of(list)->shard] == pool);
        hz3_lock_release(&pool->lock);
    }
}

// --- trim --------------------------------------------------------------------------------------------------------

// Takes blocks out of which nothing is in use, at most `max` magazines. Under the lock.
static Block *take_free_blocks(Pool *pool, uint32_t max)
{
    Block *taken = NULL;
    for (Block *block = pool->list.prev; block != &pool->list && nothing_is_in_use(block) && max >= PER_BLOCK - 1;) {
        Block *before = block->prev;
        unlink_block(block);
        pool->free_count -= block->free_count;
        max -= block->free_count;
        block->next = taken;
        taken = block;
        block = before;
    }
    return taken;
}

// Claims pages of the block that are free as a whole and were used: they look as if they were in somebody's hands.
// Under the lock.
static uint32_t claim_pages(Pool *pool, Block *block, uint32_t max, void **page)
{
    uint32_t n = 0;
    for (uint32_t at = 0; at < PER_BLOCK && n < max; at += PER_PAGE) {
        uint64_t bits = PAGE_BITS << (at % 64);
        bool is_free = (block->free[at / 64] & bits) == bits;
        if (is_free && (block->clean[at / 64] & bits) != bits) {
            block->free[at / 64] &= ~bits;
            page[n++] = (Hz3Magazine *)block + at;
        }
    }
    if (n != 0) {
        block->free_count -= n * PER_PAGE;
        pool->free_count -= n * PER_PAGE;
        if (block->free_count == 0) {
            unlink_block(block);
        }
    }
    return n;
}

static void publish_page(Pool *pool, Hz3Magazine *page, bool is_clean)
{
    Block *block = block_of(page);
    uint32_t at = (uint32_t)(page - (Hz3Magazine *)block);
    uint64_t bits = PAGE_BITS << (at % 64);
    hz3_assert((block->free[at / 64] & bits) == 0); // nobody else has had it since the claim
    block->free[at / 64] |= bits;
    block->clean[at / 64] |= is_clean ? bits : 0;
    note_freed(pool, block, PER_PAGE);
}

// Returns the magazines that went to the kernel.
static uint32_t purge_some(Pool *pool, uint32_t max)
{
    void *page[PURGE_BATCH];
    bool is_clean[PURGE_BATCH];
    uint32_t n = 0;
    uint32_t max_pages = max / PER_PAGE < PURGE_BATCH ? max / PER_PAGE : PURGE_BATCH;
    hz3_lock_acquire(&pool->lock);
    for (Block *block = pool->list.prev, *before; block != &pool->list && n < max_pages; block = before) {
        before = block->prev;
        n += claim_pages(pool, block, max_pages - n, page + n);
    }
    hz3_lock_release(&pool->lock);
    for (uint32_t i = 0; i < n; i++) {
        is_clean[i] = hz3_os_purge(page[i], HZ3_PAGE_SIZE);
    }
    uint32_t purged = 0;
    hz3_lock_acquire(&pool->lock);
    for (uint32_t i = 0; i < n; i++) {
        publish_page(pool, page[i], is_clean[i]);
        purged += is_clean[i] ? PER_PAGE : 0;
    }
    hz3_lock_release(&pool->lock);
    return purged;
}

static void trim_pool(Pool *pool, bool all)
{
    hz3_lock_acquire(&pool->lock);
    uint32_t left = all ? pool->free_count : pool->low;
    Block *blocks = take_free_blocks(pool, left);
    hz3_lock_release(&pool->lock);
    while (blocks != NULL) {
        Block *next = blocks->next;
        left -= blocks->free_count;
        close_block(blocks);
        blocks = next;
    }
    for (uint32_t purged; left >= PER_PAGE && (purged = purge_some(pool, left)) != 0;) {
        left -= purged < left ? purged : left;
    }
    hz3_lock_acquire(&pool->lock);
    pool->low = pool->free_count;
    hz3_lock_release(&pool->lock);
}

void hz3_magazine_trim(bool all)
{
    FOR_EACH_POOL(pool)
    {
        trim_pool(pool, all);
    }
}

// --- fork --------------------------------------------------------------------------------------------------------

bool hz3_magazine_fork_prepare(void)
{
    FOR_EACH_POOL(pool)
    {
        if (!hz3_lock_fork_prepare(&pool->lock)) {
            return false;
        }
    }
    return true;
}

void hz3_magazine_fork_parent(void)
{
    FOR_EACH_POOL(pool)
    {
        hz3_lock_fork_parent(&pool->lock);
    }
}

void hz3_magazine_fork_child(void)
{
    FOR_EACH_POOL(pool)
    {
        hz3_lock_fork_child(&pool->lock);
    }
}
