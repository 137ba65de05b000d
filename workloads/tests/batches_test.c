// The queues of batches between threads. Also built with ThreadSanitizer, which must find nothing.
#include "batches.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MAKERS = 3, USERS = 2, BATCHES = 8, BLOCKS = 16, ROUNDS = 2000 };

static BatchQueue full, empty;

static void test_first_in_first_out(void **state)
{
    (void)state;
    BatchQueue queue;
    Batch *batches = batches_make(3, 1);
    batch_queue_make(&queue);
    assert_null(batch_queue_take(&queue));
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < 3; i++)
            batch_queue_put(&queue, &batches[i]);
        assert_ptr_equal(batch_queue_take(&queue), &batches[0]);
        assert_ptr_equal(batch_queue_wait(&queue), &batches[1]);
        assert_ptr_equal(batch_queue_take(&queue), &batches[2]);
        assert_null(batch_queue_take(&queue));
    }
}

static void test_closed_gives_what_is_left(void **state)
{
    (void)state;
    BatchQueue queue;
    Batch *batches = batches_make(1, 1);
    batch_queue_make(&queue);
    batch_queue_put(&queue, &batches[0]);
    batch_queue_close(&queue);
    assert_ptr_equal(batch_queue_wait(&queue), &batches[0]);
    assert_null(batch_queue_wait(&queue));
}

static void *maker_main(void *argument)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        Batch *batch = batch_queue_wait(&empty);
        for (batch->count = 0; batch->count < BLOCKS; batch->count++)
            sum += (batch->blocks[batch->count] = (Block){.size = i, .tag = (uint32_t)batch->count}).size;
        batch_queue_put(&full, batch);
    }
    *(uint64_t *)argument = sum;
    return NULL;
}

static void *user_main(void *argument)
{
    uint64_t sum = 0;
    Batch *batch;
    while ((batch = batch_queue_wait(&full)) != NULL) {
        for (uint64_t i = 0; i < batch->count; i++)
            sum += batch->blocks[i].size;
        batch_queue_put(&empty, batch);
    }
    *(uint64_t *)argument = sum;
    return NULL;
}

// Eight batches for 6,000 rounds: each is reused many times, and both sides have to sleep.
static void test_all_that_is_made_is_used_once(void **state)
{
    (void)state;
    pthread_t threads[MAKERS + USERS];
    uint64_t sums[MAKERS + USERS];
    Batch *batches = batches_make(BATCHES, BLOCKS);
    batch_queue_make(&full);
    batch_queue_make(&empty);
    for (unsigned i = 0; i < BATCHES; i++)
        batch_queue_put(&empty, &batches[i]);
    for (unsigned i = 0; i < MAKERS + USERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < MAKERS ? maker_main : user_main, &sums[i]), 0);
    for (unsigned i = 0; i < MAKERS; i++)
        pthread_join(threads[i], NULL);
    batch_queue_close(&full);
    for (unsigned i = MAKERS; i < MAKERS + USERS; i++)
        pthread_join(threads[i], NULL);
    uint64_t made = 0, used = 0;
    for (unsigned i = 0; i < MAKERS + USERS; i++)
        *(i < MAKERS ? &made : &used) += sums[i];
    assert_int_equal(made, (uint64_t)MAKERS * BLOCKS * ROUNDS * (ROUNDS - 1) / 2);
    assert_int_equal(used, made);
    for (unsigned i = 0; i < BATCHES; i++)
        assert_non_null(batch_queue_take(&empty));
    assert_null(batch_queue_take(&empty));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_closed_gives_what_is_left),
        cmocka_unit_test(test_all_that_is_made_is_used_once),
    };
    return cmocka_run_group_tests_name("batches", tests, NULL, NULL);
}
