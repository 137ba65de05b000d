// The shapes of hz3, in one place. Glossary, from the outside in; allocator/doc/glossary.md has the other words too:
//
//   object          what malloc returns: a block of one size class, a page span, or a mapping
//   slab            one front cache: for each class a bin; belongs to a CPU or a thread
//   bin             an array stack of pointers to free objects of one class
//   shard           a slice of the middle layer; the CPU of the moment chooses it, never the thread
//   node            memory that is near some CPUs (NUMA): those of some shards
//   central         what a shard has for one class: a depot, partial runs
//   depot           objects on their way between CPUs or threads
//   magazine        an array of pointers; a depot is a chain of them
//   run             contiguous pages that hold objects of one class; a medium run is one object
//   span            the pages of one object between 32 KiB and 1 MiB
//   page            4096 bytes: the unit that is taken, released and given to the kernel
//   segment         512 pages, 2 MiB, in one slot of the arena
//   arena           one range of addresses, cut into slots
//   ledger          the segments that may hold free dirty pages, waiting for an epoch
//   epoch           one round in which each layer gives up what it did not need and free pages go to the kernel
//   mapping         an object with an mmap of its own: above 1 MiB or aligned to more, or because the arena is full;
//                   in lane hardened those with guard pages, above 32 KiB
//
// Page numbers count from the arena's base over all segments, in 32 bits: an arena is smaller than 16 TiB. Nothing here
// lives in memory that a user can reach.
#ifndef HZ3_TYPES_H
#define HZ3_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hz3_config.h"

#define HZ3_LIKELY(x) __builtin_expect(!!(x), 1)
#define HZ3_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HZ3_COLD __attribute__((noinline, cold))
// The functions that the library exports; everything else is hidden. hz3.map lists the same names.
#define HZ3_EXPORT __attribute__((visibility("default")))
// Declarations of data that the hot path reads: found relative to the instruction, not through a table of addresses.
#define HZ3_HIDDEN __attribute__((visibility("hidden")))
// For malloc and free: from one place in a cache line to another a pair of them differs by 7 % on Zen 1.
#define HZ3_AT_CACHE_LINE __attribute__((aligned(64)))
#define HZ3_NOINLINE __attribute__((noinline))
#define HZ3_TLS _Thread_local __attribute__((tls_model("initial-exec")))

#define HZ3_PAGE_NONE UINT32_MAX

static inline size_t hz3_page_round_up(size_t bytes)
{
    return (bytes + HZ3_PAGE_SIZE - 1) & ~(HZ3_PAGE_SIZE - 1);
}

static inline uint32_t hz3_round_up_power_of_two(uint32_t n)
{
    return n <= 1 ? 1 : 1u << (32 - (uint32_t)__builtin_clz(n - 1));
}

// Size classes, numbered from 1 on in the order of their list, but those whose runs hold several objects come first: a
// class's kind is one comparison. A class is also the tag of its pages and the index of its bin, so 0 is never a class.
enum {
    HZ3_CLASS_NONE = 0,
#define HZ3_SMALL_CLASS(bytes, run_pages) HZ3_CLASS_##bytes,
#define HZ3_HALF_CLASS HZ3_SMALL_CLASS
#include "base/hz3_size_class.def"
#define HZ3_MEDIUM_CLASS(bytes) HZ3_CLASS_##bytes,
#include "base/hz3_size_class.def"
    HZ3_CLASS_COUNT, // the index 0 included
    HZ3_CLASS_FIRST = HZ3_CLASS_NONE + 1,
    HZ3_CLASS_LAST = HZ3_CLASS_COUNT - 1,
    HZ3_CLASS_MEDIUM_FIRST = HZ3_CLASS_4096,           // a page is the smallest medium class
    HZ3_CLASS_SMALL_LAST = HZ3_CLASS_MEDIUM_FIRST - 1, // the last whose runs hold several objects
};

// A page's tag is what free() reads: the class of the object that begins there, or why no object can be freed there.
// Small classes tag every page of the run; a medium run tags its first page with the class, the rest MEDIUM_CONT.
typedef uint8_t Hz3Tag;
enum {
    HZ3_TAG_NONE = HZ3_CLASS_NONE, // not handed out
    HZ3_TAG_CLASS_FIRST = HZ3_CLASS_FIRST,
    HZ3_TAG_CLASS_LAST = HZ3_CLASS_LAST,
    HZ3_TAG_MEDIUM_CONT,
    HZ3_TAG_SPAN,
    HZ3_TAG_SPAN_CONT,
    HZ3_TAG_END,
    HZ3_TAG_COUNT = (HZ3_TAG_END + 7) & ~7, // arrays by tag are whole words, whatever their elements
};

// Page states, one bit a page. The only truth about who owns a page:
//   free_bits=1 dirty_bits=0   free, never used or purged: reads as zero
//   free_bits=1 dirty_bits=1   free, resident
//   free_bits=0                taken: by a run, a span, or by the purger between claim and publish
// Anyone may take free pages by clearing their bits with a CAS; only whoever took a page may set its bit again.
// The dirty bit of a taken page still says whether it was used before it was taken; the release sets it.
// young_bits=1: released since the epoch that looked at the segment last, so a busy program may still want the page.
typedef struct Hz3SegMeta {
    _Atomic uint64_t free_bits[HZ3_WORDS_PER_SEG];
    _Atomic uint64_t dirty_bits[HZ3_WORDS_PER_SEG];
    _Atomic uint64_t young_bits[HZ3_WORDS_PER_SEG]; // set with dirty_bits by the owner; cleared by the epoch
    _Atomic uint32_t is_queued;                     // the ledger's generation: the segment is in it (hz3_ledger_list.h)
    _Atomic uint32_t next_queued;                   // by whoever set is_queued or took the list
    _Atomic uint32_t due_epoch;                     // by the epoch only: its turn in the ledger
    _Atomic uint32_t purged_epoch;                  // by the epoch only: when it last gave pages back,
    _Atomic uint16_t purged_pages; // how many, 0: the program has come back to them, or has not in time,
    _Atomic uint16_t used_pages;   // and how many were left that are taken or dirty
    _Atomic uint32_t kept_epoch;   // until when its pages are kept, should it come into the ledger anew
    uint32_t unused[10];
} Hz3SegMeta;

// One per page of the arena, meaningful in the first page of a run or span; head_delta in every page of a small run.
// The layout by page number makes finding it arithmetic, and it needs no allocator of its own.
typedef struct Hz3RunMeta {
    union {
        uint32_t next;  // neighbours in the owner's list of partial runs; under the owner's central lock
        uint32_t asked; // of a span in the hardened lane: the bytes that the program asked for; by its owner
    };
    uint32_t prev;      // same
    uint16_t free_objs; // same; the number of set bits in the run's bitmap
    union {
        uint16_t pages;  // of a span: constant while it lives
        uint16_t purged; // of a small run: bit i = page i went back to the kernel and no object of it was taken since;
                         // under the owner's central lock
    };
    uint8_t head_delta; // pages back to the run's first page; constant while the run lives
    uint8_t touched;    // when an object was last taken or put (hz3_run_now), or HZ3_RUN_LOOKED_AT; the same lock
    uint8_t shard;      // owner; constant while the run lives
    uint8_t is_partial; // on the owner's partial list; under the owner's central lock
} Hz3RunMeta;

// Object bitmap: 256 bits for every page, enough for 16-byte objects. Bit set = object in the run, free.
// Under the central lock of the run's owner.
#define HZ3_BITS_WORDS_PER_PAGE 4u
typedef struct Hz3PageBits {
    uint64_t word[HZ3_BITS_WORDS_PER_PAGE];
} Hz3PageBits;

// Hardened lane: what is known of each 16 bytes of the arena, asked and changed by each malloc and free (hz3_harden.c).
typedef _Atomic uint16_t Hz3BlockState;

// Why pages come back. The boundary checks it and names it when a range is wrong.
typedef enum Hz3ReleaseReason {
    HZ3_RELEASE_SMALL_RUN_RETIRE,
    HZ3_RELEASE_MEDIUM_RUN_RECLAIM,
    HZ3_RELEASE_LARGE,
    HZ3_RELEASE_REASON_COUNT,
} Hz3ReleaseReason;

_Static_assert(HZ3_TAG_END <= UINT8_MAX, "a tag is a byte");
_Static_assert(sizeof(Hz3SegMeta) == 256, "four cache lines, never across a page");
_Static_assert(sizeof(Hz3RunMeta) == 16, "run metadata is 0.4 % of the heap");
_Static_assert(sizeof(Hz3PageBits) * 8 * HZ3_MIN_ALIGN == HZ3_PAGE_SIZE, "one bit for every 16 bytes");

#endif
