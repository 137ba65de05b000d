#include "base/hz3_size_class.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"

Hz3Class hz3_classes[HZ3_CLASS_COUNT] = {
#define HZ3_SMALL_CLASS(bytes, run_pages)                                                                              \
    [HZ3_CLASS_##bytes] = {.size = (bytes),                                                                            \
                           .pages = (run_pages),                                                                       \
                           .objs = HZ3_PAGE_SIZE * (run_pages) / (bytes),                                              \
                           .reciprocal = UINT32_MAX / (bytes) + 1},
#define HZ3_HALF_CLASS HZ3_SMALL_CLASS
#define HZ3_MEDIUM_CLASS(bytes)                                                                                        \
    [HZ3_CLASS_##bytes] = {                                                                                            \
        .size = (bytes), .pages = (bytes) / HZ3_PAGE_SIZE, .objs = 1, .reciprocal = (1ull << 32) / (bytes) + 1},
#include "base/hz3_size_class.def"
};

// GNU range designators keep it one line a class.
const uint8_t hz3_class_of_units[HZ3_UNIT_COUNT] = {
#define HZ3_SMALL_CLASS(bytes, run_pages) [HZ3_UNIT_FIRST_##bytes... HZ3_UNIT_LAST_##bytes] = HZ3_CLASS_##bytes,
#include "base/hz3_size_class.def"
};

const uint8_t hz3_class_of_steps[HZ3_STEP_COUNT] = {
#define HZ3_MEDIUM_CLASS(bytes) [HZ3_STEP_FIRST_##bytes... HZ3_STEP_LAST_##bytes] = HZ3_CLASS_##bytes,
#define HZ3_HALF_CLASS(bytes, run_pages) HZ3_MEDIUM_CLASS(bytes)
#include "base/hz3_size_class.def"
};

#define HZ3_SMALL_CLASS(bytes, run_pages)                                                                              \
    _Static_assert((bytes) % HZ3_MIN_ALIGN == 0, "objects are 16-aligned");                                            \
    _Static_assert(HZ3_UNIT_FIRST_##bytes <= HZ3_UNIT_LAST_##bytes, "small classes ascend");                           \
    HZ3_CHECK_RUN(bytes, run_pages)
#define HZ3_HALF_CLASS(bytes, run_pages)                                                                               \
    HZ3_CHECK_STEP(bytes)                                                                                              \
    HZ3_CHECK_RUN(bytes, run_pages)
#define HZ3_CHECK_STEP(bytes)                                                                                          \
    _Static_assert((bytes) % (1 << HZ3_STEP_SHIFT) == 0, "a class's sizes end with a step");                           \
    _Static_assert(HZ3_STEP_FIRST_##bytes <= HZ3_STEP_LAST_##bytes, "half-step and medium classes ascend");
#define HZ3_CHECK_RUN(bytes, run_pages)                                                                                \
    _Static_assert(HZ3_CLASS_##bytes <= HZ3_CLASS_SMALL_LAST, "runs of several objects come before the medium ones");  \
    _Static_assert(HZ3_PAGE_SIZE * (run_pages) % (bytes) == 0, "a run has no tail");                                   \
    _Static_assert((run_pages) <= HZ3_SMALL_RUN_PAGES_MAX, "a run is no longer than the longest medium one");
#define HZ3_MEDIUM_CLASS(bytes)                                                                                        \
    HZ3_CHECK_STEP(bytes)                                                                                              \
    _Static_assert(HZ3_PAGE_SIZE * (HZ3_CLASS_##bytes - HZ3_CLASS_MEDIUM_FIRST + 1) == (bytes),                        \
                   "a medium class is a page longer than the one before it");
#include "base/hz3_size_class.def"

_Static_assert(HZ3_SMALL_MAX < HZ3_PAGE_SIZE, "medium sizes begin with a page");
_Static_assert(HZ3_COLOUR_MASK < HZ3_PAGE_SIZE, "the colour moves a block inside the first page of its run");
_Static_assert(HZ3_FRONT_CAP_MIN >= 1 && HZ3_FRONT_CAP_MIN <= HZ3_FRONT_CAP_USUAL_MAX &&
                   HZ3_FRONT_CAP_USUAL_MAX <= HZ3_FRONT_CAP_MAX,
               "every bin has room for an object, and small ones are not worse off");

static uint32_t clamp(uint64_t n, uint32_t min, uint32_t max)
{
    return n < min ? min : n > max ? max : (uint32_t)n;
}

Hz3Limits hz3_limits;

void hz3_size_class_open(void)
{
    __atomic_store_n(&hz3_limits.small_end, HZ3_SMALL_MAX + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&hz3_limits.medium_max, HZ3_MEDIUM_MAX, __ATOMIC_RELEASE); // last: it admits small sizes too
}

void hz3_size_class_init(void)
{
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        Hz3Class *cls = &hz3_classes[c];
        uint32_t most = clamp(HZ3_FRONT_SMALL_BYTES / cls->size, HZ3_FRONT_CAP_USUAL_MAX, HZ3_FRONT_CAP_MAX);
        cls->front_cap = clamp(hz3_knobs.FRONT_BYTES / cls->size, HZ3_FRONT_CAP_MIN, most);
        cls->depot_cap = clamp(hz3_knobs.DEPOT_BYTES / cls->size, 0, UINT32_MAX);
    }
}

uint32_t hz3_class_of_aligned(size_t size, size_t align)
{
    hz3_assert(size <= HZ3_MEDIUM_MAX && align <= HZ3_PAGE_SIZE && align != 0 && (align & (align - 1)) == 0);
    while (size <= HZ3_MEDIUM_MAX) {
        uint32_t c = hz3_class_of(size);
        if (hz3_classes[c].size % align == 0) {
            return c;
        }
        size = hz3_classes[c].size + 1;
    }
    return 0;
}

// Runs begin on pages, so a small object's address is a multiple of the power of two in its size.
uint16_t hz3_class_never_set(uint32_t cls)
{
    uint32_t size = hz3_classes[cls].size;
    uintptr_t low_bits = hz3_class_is_medium(cls) ? ~HZ3_COLOUR_MASK : (size & -size) - 1;
    return (uint16_t)(low_bits & (HZ3_PAGE_SIZE - 1));
}
