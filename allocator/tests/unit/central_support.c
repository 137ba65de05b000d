#include "central_support.h"

#include "arena_support.h"
#include "base/hz3_size_class.h"
#include "policy/hz3_epoch.h"

uint32_t cpu_now;

uint32_t __wrap_hz3_os_cpu(void);
uint32_t __wrap_hz3_os_cpu(void)
{
    return cpu_now;
}

static uint32_t depot_cap[HZ3_CLASS_COUNT];

void *objects[OBJECTS_MAX];
uint32_t n_objects;
uint32_t taken_before;

void drain_all(void)
{
    hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
}

static void settle_bulk_frees(void)
{
    for (uint32_t shard = 0, cls; shard < SHARD_COUNT; shard++) {
        while ((cls = hz3_bulk_class(shard)) != 0) {
            hz3_bulk_settle_waiting(shard, cls);
        }
    }
}

int central_remember_classes(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        depot_cap[cls] = hz3_classes[cls].depot_cap;
    }
    return 0;
}

int central_set_up(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        hz3_classes[cls].depot_cap = depot_cap[cls];
    }
    n_objects = 0;
    cpu_now = 0;
    settle_bulk_frees();
    hz3_epoch_trim_all();
    hz3_epoch_trim_all();
    taken_before = taken_pages();
    return 0;
}

void take(uint32_t shard, uint32_t cls, uint32_t n)
{
    while (n > 0) {
        uint32_t want = n < HZ3_BATCH_MAX ? n : HZ3_BATCH_MAX;
        uint32_t got = hz3_central_take(shard, cls, objects + n_objects, want);
        assert_in_range(got, 1, want);
        n_objects += got;
        n -= got;
    }
}

void give(uint32_t shard, uint32_t cls, uint32_t n)
{
    while (n > 0) {
        uint32_t batch = n < HZ3_BATCH_MAX ? n : HZ3_BATCH_MAX;
        n_objects -= batch;
        n -= batch;
        hz3_central_give(shard, cls, objects + n_objects, batch);
    }
}
