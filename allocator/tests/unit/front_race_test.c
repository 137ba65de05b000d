// The thread front step by step: a drain at each moment of an operation, and an operation at each moment of a drain.
// front_stress meets these moments by chance; here each is met once. Afterwards no block may be handed out twice and
// none may be lost.
#include "support.h"

#include <pthread.h>

#include "front/hz3_front.h"
#include "front/hz3_front_cpu.h"
#include "front/hz3_front_drain.h"
#include "front/hz3_front_thread.h"
#include "pages/hz3_arena.h"
#include "yield_point.h"

#define BLOCK_BYTES 64
#define PRIMED 8         // blocks free before an operation begins: the bin is neither empty nor full
#define TAKEN 64         // blocks looked at after it, more than can be free
#define MOMENTS_INSIDE 3 // an operation passes at least as many while in_op is 1
#define MOMENTS_MAX 10000

void *hz3_unit_malloc(size_t size);
void hz3_unit_free(void *p);
int hz3_unit_malloc_trim(size_t pad);

// --- taking turns: one of the two threads acts, the other waits ---

typedef enum Actor { DRAINER, OWNER } Actor;

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_passed = PTHREAD_COND_INITIALIZER;
static Actor turn;
static _Thread_local Actor self = DRAINER;

static void wait_for_turn(void)
{
    pthread_mutex_lock(&turn_lock);
    while (turn != self) {
        pthread_cond_wait(&turn_passed, &turn_lock);
    }
    pthread_mutex_unlock(&turn_lock);
}

static void pass_turn(void)
{
    pthread_mutex_lock(&turn_lock);
    turn = self == OWNER ? DRAINER : OWNER;
    pthread_cond_signal(&turn_passed);
    pthread_mutex_unlock(&turn_lock);
}

static void let_the_other_act(void)
{
    pass_turn();
    wait_for_turn();
}

// --- stopping at a moment: just before an atomic operation (yield_atomics.h says which) ---

static _Thread_local int moments_left;
static _Thread_local bool counts_inside_only; // moments while in_op is 1, when an owner holds no lock

static void at_moment(void)
{
    if (counts_inside_only && atomic_load(&hz3_self.in_op) == 0) {
        return;
    }
    if (--moments_left == 0) {
        unit_at_yield_point = NULL;
        let_the_other_act();
    }
}

static void stop_at(int moment, bool inside_only)
{
    moments_left = moment;
    counts_inside_only = inside_only;
    unit_at_yield_point = at_moment;
}

static bool was_stopped(void)
{
    bool is_met = unit_at_yield_point == NULL;
    unit_at_yield_point = NULL;
    return is_met;
}

// --- the owner of a slab, a new thread each time ---

typedef struct Trial {
    bool is_malloc;    // the operation, else a free
    bool within_drain; // it begins in the middle of a drain, and is stopped inside
    int moment;        // at which it is stopped
    bool was_met;
    bool is_over;
    const void *twice; // handed out while it was in use
} Trial;

static void take(void **block, int n)
{
    for (int i = 0; i < n; i++) {
        block[i] = hz3_unit_malloc(BLOCK_BYTES);
    }
}

static void give(void *const *block, int n)
{
    for (int i = 0; i < n; i++) {
        hz3_unit_free(block[i]);
    }
}

static const void *find_twice(void *const *block, int n)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++) {
            if (block[i] == block[j]) {
                return block[i];
            }
        }
    }
    return NULL;
}

static void *own(void *arg)
{
    Trial *trial = arg;
    self = OWNER;
    wait_for_turn();
    void *block[TAKEN];
    take(block, 2 * PRIMED);
    give(block + PRIMED, PRIMED);
    int n = PRIMED;
    if (trial->within_drain) {
        let_the_other_act();
    }
    stop_at(trial->moment, trial->within_drain);
    if (trial->is_malloc) {
        block[n] = hz3_unit_malloc(BLOCK_BYTES);
        n++;
    } else {
        n--;
        hz3_unit_free(block[n]);
    }
    trial->was_met = was_stopped();
    take(block + n, TAKEN - n);
    trial->twice = find_twice(block, TAKEN);
    if (trial->twice == NULL) {
        give(block, TAKEN);
    }
    trial->is_over = true;
    pass_turn();
    return NULL;
}

static void assert_nothing_lost(void)
{
    hz3_unit_malloc_trim(0);
    assert_int_equal(hz3_front_cached_bytes(), 0);
    assert_int_equal(atomic_load(&hz3_arena.slots_touched), hz3_arena_slots_closed());
}

// The drain stops at its own moment, if that is not 0, and at the end of its turn the owner goes on.
static bool run_trial(Trial *trial, int drains_moment)
{
    pthread_t owner;
    assert_int_equal(pthread_create(&owner, NULL, own, trial), 0);
    let_the_other_act();
    stop_at(drains_moment, false);
    if (!trial->is_over) {
        hz3_front_drain(HZ3_FRONT_ALL);
    }
    bool is_met = was_stopped();
    while (!trial->is_over) {
        let_the_other_act();
    }
    pthread_join(owner, NULL);
    assert_ptr_equal(trial->twice, NULL);
    assert_nothing_lost();
    return is_met;
}

static void a_drain_at_each_moment_of_an_operation(void **state)
{
    (void)state;
    for (int is_malloc = 0; is_malloc <= 1; is_malloc++) {
        int moment = 0;
        bool was_met = true;
        while (was_met) {
            moment++;
            assert_in_range(moment, 1, MOMENTS_MAX);
            Trial trial = {.is_malloc = is_malloc != 0, .moment = moment};
            run_trial(&trial, 0);
            was_met = trial.was_met;
        }
        print_message("# moments of a %s: %d\n", is_malloc != 0 ? "malloc" : "free", moment - 1);
        assert_true(moment > MOMENTS_INSIDE);
    }
}

static void an_operation_at_each_moment_of_a_drain(void **state)
{
    (void)state;
    for (int inside = 1; inside <= MOMENTS_INSIDE; inside++) {
        int moment = 0;
        bool was_met = true;
        while (was_met) {
            moment++;
            assert_in_range(moment, 1, MOMENTS_MAX);
            Trial trial = {.is_malloc = true, .within_drain = true, .moment = inside};
            was_met = run_trial(&trial, moment);
            assert_true(trial.was_met);
        }
        print_message("# moments of a drain: %d\n", moment - 1);
        assert_true(moment > MOMENTS_INSIDE);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_FRONT=thread", "HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=2",
                                              "HZ3_EPOCH_TICK_MS=0", NULL}); // no drains but the tests' own
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_at_each_moment_of_an_operation),
        cmocka_unit_test(an_operation_at_each_moment_of_a_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
