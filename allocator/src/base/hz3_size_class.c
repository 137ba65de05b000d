#include "base/hz3_size_class.h"

#include "base/hz3_knobs.h"

Hz3Class hz3_classes[HZ3_CLASS_COUNT] = {
#define HZ3_SMALL_CLASS(cls, bytes, run_pages)                                                                         \
    [cls] = {.size = (bytes),                                                                                          \
             .pages = (run_pages),                                                                                     \
             .objs = (run_pages)*4096u / (bytes),                                                                      \
             .reciprocal = (uint32_t)(((1ull << 32) + (bytes)-1) / (bytes))},
#include "base/hz3_size_class.def"
#undef HZ3_SMALL_CLASS
#define MEDIUM_CLASS(sc)                                                                                               \
    [HZ3_CLASS_MEDIUM_FIRST + (sc)] = {.size = ((sc) + 1) * 4096u,                                                     \
                                       .pages = (sc) + 1,                                                              \
                                       .objs = 1,                                                                      \
                                       .reciprocal = (uint32_t)((1ull << 32) / (((sc) + 1) * 4096u) + 1)},
    MEDIUM_CLASS(0) MEDIUM_CLASS(1) MEDIUM_CLASS(2) MEDIUM_CLASS(3) MEDIUM_CLASS(4) MEDIUM_CLASS(5) MEDIUM_CLASS(6)
        MEDIUM_CLASS(7)
#undef MEDIUM_CLASS
};

#define HZ3_SMALL_CLASS(cls, bytes, run_pages)                                                                         \
    _Static_assert((bytes) % HZ3_MIN_ALIGN == 0, "objects are 16-aligned");                                            \
    _Static_assert((run_pages)*4096u % (bytes) == 0, "a run has no tail");                                             \
    _Static_assert((run_pages)*4096u / (bytes) <= 512, "the bitmap of a run has at most 8 words");                     \
    _Static_assert((run_pages) <= HZ3_SMALL_RUN_PAGES_MAX, "and as many pages; packing is exact to twice of that");
#include "base/hz3_size_class.def"
#undef HZ3_SMALL_CLASS

// Ranges of 16-byte units: (previous class's size / 16, own size / 16]. GNU range designators keep it one line a class.
#define UNITS(cls, previous_bytes, bytes) [(previous_bytes) / 16 + 1 ...(bytes) / 16] = (cls)
const uint8_t hz3_class_of_units[HZ3_SMALL_MAX / 16 + 1] = {
    [0] = 1,
    UNITS(1, 0, 16),
    UNITS(2, 16, 32),
    UNITS(3, 32, 48),
    UNITS(4, 48, 64),
    UNITS(5, 64, 80),
    UNITS(6, 80, 96),
    UNITS(7, 96, 112),
    UNITS(8, 112, 128),
    UNITS(9, 128, 160),
    UNITS(10, 160, 192),
    UNITS(11, 192, 224),
    UNITS(12, 224, 256),
    UNITS(13, 256, 320),
    UNITS(14, 320, 384),
    UNITS(15, 384, 448),
    UNITS(16, 448, 512),
    UNITS(17, 512, 640),
    UNITS(18, 640, 768),
    UNITS(19, 768, 896),
    UNITS(20, 896, 1024),
    UNITS(21, 1024, 1280),
    UNITS(22, 1280, 1536),
    UNITS(23, 1536, 1792),
    UNITS(24, 1792, 2048),
    UNITS(25, 2048, 2560),
    UNITS(26, 2560, 3072),
    UNITS(27, 3072, 3584),
};

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
        cls->front_cap = clamp(hz3_knobs.FRONT_BYTES / cls->size, HZ3_FRONT_CAP_MIN, HZ3_FRONT_CAP_MAX);
        cls->transfer_cap = clamp(hz3_knobs.TRANSFER_BYTES / cls->size, 0, HZ3_TRANSFER_CAP_MAX);
    }
}

uint32_t hz3_class_of_aligned(size_t size, size_t align)
{
    for (uint32_t c = hz3_class_of(size); c <= HZ3_CLASS_LAST; c++) {
        if (hz3_classes[c].size % align == 0) {
            return c;
        }
    }
    return 0;
}
