#include "middle/hz3_inbox.h"

#include <string.h>

#include "base/hz3_log.h"
#include "pages/hz3_arena.h"

bool hz3_inbox_is_valid(const Hz3Inbox *inbox)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    uint32_t count = atomic_load_explicit(&inbox->count, memory_order_relaxed);
    bool is_valid = hz3_lock_is_held(&inbox->lock) && count <= HZ3_INBOX_CAP;
    for (uint32_t i = 0; i < count && is_valid; i++) {
        is_valid = hz3_arena_owns(inbox->object[i]) && (uintptr_t)inbox->object[i] % HZ3_MIN_ALIGN == 0;
    }
    return is_valid;
}

uint32_t hz3_inbox_give(Hz3Inbox *inbox, void *const *objects, uint32_t n)
{
    hz3_lock_acquire(&inbox->lock);
    uint32_t count = atomic_load_explicit(&inbox->count, memory_order_relaxed);
    uint32_t given = n < HZ3_INBOX_CAP - count ? n : HZ3_INBOX_CAP - count;
    memcpy(inbox->object + count, objects, given * sizeof *objects);
    atomic_store_explicit(&inbox->count, count + given, memory_order_relaxed);
    hz3_assert_slow(hz3_inbox_is_valid(inbox));
    hz3_lock_release(&inbox->lock);
    return given;
}

uint32_t hz3_inbox_take_all(Hz3Inbox *inbox, void **out)
{
    if (atomic_load_explicit(&inbox->count, memory_order_relaxed) == 0) {
        return 0;
    }
    hz3_lock_acquire(&inbox->lock);
    hz3_assert_slow(hz3_inbox_is_valid(inbox));
    uint32_t count = atomic_load_explicit(&inbox->count, memory_order_relaxed);
    memcpy(out, inbox->object, count * sizeof *out);
    atomic_store_explicit(&inbox->count, 0, memory_order_relaxed);
    hz3_lock_release(&inbox->lock);
    return count;
}
