#include "pages/hz3_in_purging.h"

#include "base/hz3_log.h"

static _Atomic uint32_t in_purging;

// This thread's share, and whether the rest is that of threads which a fork's child does not have. Greater than the
// share in in_purging while a handler may have come in between, so that it settles when the share is 0 for certain.
static HZ3_TLS uint32_t own_in_purging;
static HZ3_TLS bool others_have_gone;

// Who has seen pages taken because of an hz3_in_purging_add() sees here that they are on their way: its fence and this
// one order the two words, whatever the claim and the search do themselves. On x86 neither is an instruction.
uint32_t hz3_in_purging_pages(void)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&in_purging, memory_order_acquire);
}

static void settle(void)
{
    if (own_in_purging == 0 && HZ3_UNLIKELY(others_have_gone)) {
        others_have_gone = false;
        atomic_store_explicit(&in_purging, 0, memory_order_relaxed);
    }
}

void hz3_in_purging_add(uint32_t pages)
{
    own_in_purging += pages;
    atomic_signal_fence(memory_order_seq_cst);
    atomic_fetch_add_explicit(&in_purging, pages, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

void hz3_in_purging_sub(uint32_t pages)
{
    hz3_assert(own_in_purging >= pages);
    atomic_fetch_sub_explicit(&in_purging, pages, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    own_in_purging -= pages;
    settle();
}

void hz3_in_purging_fork_child(void)
{
    others_have_gone = true;
    settle();
}
