#include "pages/hz3_window.h"

#include "base/hz3_log.h"

// Of the lower half of x86-64's 47 bits. Above lie the kernel's own choices, below what programs and sanitizers take.
#define MIDDLE_BEGIN ((uintptr_t)16 << 40)
#define MIDDLE_END ((uintptr_t)40 << 40)

#define GAP HZ3_SEG_SIZE

static struct {
    uintptr_t base;
    uintptr_t end;
    uintptr_t next_part;
    bool is_reserved;
} window;

static uint64_t draw(uint64_t n)
{
    uint64_t z = hz3_os_random_seed() + n * 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

static void set(uintptr_t base, size_t bytes, bool is_reserved)
{
    hz3_assert(base % HZ3_SEG_SIZE == 0);
    window.base = base;
    window.end = base + bytes;
    window.next_part = base + GAP;
    window.is_reserved = is_reserved;
}

// Sanitizers whose shadow lies in the middle, and who leave programs the ends of the address space.
__attribute__((weak)) void __tsan_init(void);
__attribute__((weak)) void __msan_init(void);

bool hz3_window_choose(size_t bytes, uint32_t nth_try)
{
    if (bytes > MIDDLE_END - MIDDLE_BEGIN || __tsan_init != NULL || __msan_init != NULL) {
        return false;
    }
    uint64_t places = (MIDDLE_END - MIDDLE_BEGIN - bytes) >> HZ3_SEG_SHIFT;
    set(MIDDLE_BEGIN + (uintptr_t)(draw(nth_try) % (places + 1) << HZ3_SEG_SHIFT), bytes, false);
    return true;
}

bool hz3_window_reserve(size_t bytes)
{
    void *base = hz3_os_reserve(bytes, HZ3_SEG_SIZE);
    if (base == NULL) {
        return false;
    }
    set((uintptr_t)base, bytes, true);
    return true;
}

void hz3_window_give_up(void)
{
    if (window.is_reserved) {
        hz3_os_unmap((void *)window.base, window.end - window.base);
    }
    set(0, 0, false);
}

void hz3_window_keep_metadata_in(void *part, size_t bytes)
{
    hz3_os_map_in(part, bytes, window.is_reserved);
}

size_t hz3_window_part_bytes(size_t bytes)
{
    return ((bytes + HZ3_SEG_SIZE - 1) & ~(HZ3_SEG_SIZE - 1)) + GAP;
}

void *hz3_window_part(size_t bytes)
{
    uintptr_t part = window.next_part;
    window.next_part += hz3_window_part_bytes(bytes);
    hz3_assert(part >= window.base + GAP && window.next_part <= window.end);
    return (void *)part;
}

Hz3OsPlace hz3_window_map(void *addr, size_t bytes, Hz3OsAccess access)
{
    hz3_assert((uintptr_t)addr >= window.base && (uintptr_t)addr + bytes <= window.end);
    return hz3_os_map_at(addr, bytes, access, window.is_reserved);
}

bool hz3_window_unmap(void *addr, size_t bytes)
{
    hz3_assert((uintptr_t)addr >= window.base && (uintptr_t)addr + bytes <= window.end);
    return window.is_reserved ? hz3_os_seal(addr, bytes) : hz3_os_unmap(addr, bytes);
}
