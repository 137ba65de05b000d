// The ring with many producers and one consumer. Also built with ThreadSanitizer, which must find nothing.
#include "ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

enum { PRODUCERS = 4, BLOCKS_EACH = 20000, BLOCKS_EACH_WHERE_MOST_WAIT = 2000 };

static Block block_make(uint32_t producer, uint32_t count)
{
    return (Block){.ptr = (void *)(uintptr_t)(count + 1), .size = (count * 7 + producer) & INT32_MAX, .tag = producer};
}

// A sleep and no yield: on a busy machine a yield gives every other task its slice before the ring moves on.
static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

static bool push_one(Ring *ring, Block block)
{
    return ring_push(ring, &block, 1);
}

typedef struct Expected {
    uint32_t next[PRODUCERS]; // what each producer's next block must be
    uint64_t taken;
} Expected;

static void take_in_order(void *context, Block block)
{
    Expected *expected = context;
    assert_in_range(block.tag, 0, PRODUCERS - 1);
    Block wanted = block_make(block.tag, expected->next[block.tag]++);
    assert_ptr_equal(block.ptr, wanted.ptr);
    assert_int_equal(block.size, wanted.size);
    expected->taken++;
}

static void test_holds_exactly_its_capacity(void **state)
{
    (void)state;
    for (uint32_t capacity = 1; capacity <= 9; capacity++) {
        Ring *ring = ring_make(capacity);
        Expected expected = {0};
        for (uint32_t lap = 0; lap < 5; lap++) {
            for (uint32_t i = 0; i < capacity; i++)
                assert_true(push_one(ring, block_make(0, lap * capacity + i)));
            assert_false(push_one(ring, block_make(0, 0)));
            assert_int_equal(ring_drain(ring, capacity + 5, take_in_order, &expected), capacity);
            assert_int_equal(ring_drain(ring, 1, take_in_order, &expected), 0);
        }
    }
}

static void test_a_batch_goes_in_whole_or_not_at_all(void **state)
{
    (void)state;
    Ring *ring = ring_make(5);
    Expected expected = {0};
    Block blocks[5];
    for (uint32_t i = 0; i < 5; i++)
        blocks[i] = block_make(0, i);
    assert_true(ring_push(ring, blocks, 3));
    assert_false(ring_push(ring, blocks + 3, 3));
    assert_true(ring_push(ring, blocks + 3, 2));
    assert_int_equal(ring_drain(ring, 10, take_in_order, &expected), 5);
}

static void test_drain_stops_at_its_limit(void **state)
{
    (void)state;
    Ring *ring = ring_make(8);
    Expected expected = {0};
    for (uint32_t i = 0; i < 8; i++)
        assert_true(push_one(ring, block_make(0, i)));
    assert_int_equal(ring_drain(ring, 3, take_in_order, &expected), 3);
    assert_int_equal(ring_drain(ring, 8, take_in_order, &expected), 5);
}

static void test_keeps_the_largest_size_and_tag(void **state)
{
    (void)state;
    Ring *ring = ring_make(1);
    Block largest = {.ptr = ring, .size = INT32_MAX, .tag = UINT32_MAX};
    assert_true(push_one(ring, largest));
    uint64_t word = ring->slots[0].word;
    assert_int_equal(word >> 32, UINT32_MAX);
    assert_int_equal((uint32_t)word >> 1, INT32_MAX);
}

typedef struct Producer {
    Ring *ring;
    uint32_t index;
    uint32_t blocks;
    uint64_t refused;
} Producer;

static void *producer_main(void *argument)
{
    Producer *p = argument;
    unsigned n = 0;
    for (uint32_t i = 0; i < p->blocks; i += n) {
        Block blocks[3];
        n = 1 + i % 3;
        if (n > p->blocks - i) n = p->blocks - i;
        if (n > p->ring->capacity) n = 1;
        for (uint32_t k = 0; k < n; k++)
            blocks[k] = block_make(p->index, i + k);
        while (!ring_push(p->ring, blocks, n)) {
            p->refused++;
            wait_a_moment();
        }
    }
    return NULL;
}

static uint64_t produce_and_consume(uint64_t capacity, uint32_t blocks_each)
{
    Ring *ring = ring_make(capacity);
    pthread_t threads[PRODUCERS];
    Producer producers[PRODUCERS];
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (Producer){.ring = ring, .index = i, .blocks = blocks_each};
        assert_int_equal(pthread_create(&threads[i], NULL, producer_main, &producers[i]), 0);
    }
    Expected expected = {0};
    while (expected.taken < (uint64_t)PRODUCERS * blocks_each)
        if (ring_drain(ring, 16, take_in_order, &expected) == 0) wait_a_moment();
    uint64_t refused = 0;
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        refused += producers[i].refused;
        assert_int_equal(expected.next[i], blocks_each);
    }
    assert_int_equal(ring_drain(ring, 1, take_in_order, &expected), 0);
    return refused;
}

static void test_many_producers_lose_nothing_and_keep_order(void **state)
{
    (void)state;
    assert_true(produce_and_consume(5, BLOCKS_EACH_WHERE_MOST_WAIT) > 0); // so small that it was full at times
    produce_and_consume(1, BLOCKS_EACH_WHERE_MOST_WAIT);
    assert_int_equal(produce_and_consume((uint64_t)PRODUCERS * BLOCKS_EACH, BLOCKS_EACH), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_exactly_its_capacity),
        cmocka_unit_test(test_a_batch_goes_in_whole_or_not_at_all),
        cmocka_unit_test(test_drain_stops_at_its_limit),
        cmocka_unit_test(test_keeps_the_largest_size_and_tag),
        cmocka_unit_test(test_many_producers_lose_nothing_and_keep_order),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
