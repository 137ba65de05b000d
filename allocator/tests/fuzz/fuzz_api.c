// libFuzzer target: bytes become calls of the whole malloc API, checked against a shadow model that knows of each live
// object its place, its size, its alignment and its content.
//
// The first byte chooses who calls: one thread; three that take turns, as an input says, over one set of objects; three
// at the same time, each with a third of the bytes, that hand objects to each other.
//
// At the end it prints how many calls passed their checks: those that returned a block (its place, size, alignment and,
// for realloc and calloc, its content), frees (content until then, errno), and absurd sizes that were refused.
//
// malloc here is hz3's, renamed by fuzz.mk; libFuzzer and the C library keep their own.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../black_box/support.h"
#include "fuzz_api.h"
#include "hz3.h"

#define SLOTS 128
#define PLAYERS 3
#define LIVE_BYTES_MAX (64 * MIB)
#define LARGE_EDGE ((size_t)4096)

typedef struct Object {
    unsigned char *start; // NULL: no object
    size_t bytes;         // as asked for
    size_t usable;
    uint64_t seed; // of the pattern that fills it
} Object;

typedef struct Table {
    Object objects[SLOTS];
    size_t live_bytes;
} Table;

typedef struct Player {
    const uint8_t *next, *end;
    Table *table;
    sem_t turn; // only where players take turns
    pthread_t thread;
} Player;

static Table tables[PLAYERS];
static Player players[PLAYERS];
static sem_t turn_is_over;
static _Atomic uint64_t next_seed;
_Atomic uint64_t fuzz_verified_calls;

static struct {
    pthread_mutex_t lock;
    Object object;
} on_its_way = {.lock = PTHREAD_MUTEX_INITIALIZER};

// What the tests' support reports to; libFuzzer keeps the input of a program that aborts.
_Thread_local unsigned long expect_count;

void expect_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: %s: ", file, line, condition);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    abort();
}

static void require(bool condition, const char *what, const Object *object)
{
    if (condition) return;
    expect_failed(__FILE__, __LINE__, what, "%p, %zu bytes, usable %zu", (void *)object->start, object->bytes,
                  object->usable);
}

static void count_verified(void)
{
    atomic_fetch_add_explicit(&fuzz_verified_calls, 1, memory_order_relaxed);
}

static void print_verified(void)
{
    fprintf(stderr, "fuzz_api: %llu verified calls\n", (unsigned long long)fuzz_verified_calls);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return atexit(print_verified);
}

// ---- bytes ----

static uint8_t take_byte(Player *player)
{
    return player->next < player->end ? *player->next++ : 0;
}

// Spread over the powers of two up to 32 KiB, now and then up to 4 MiB, and exact around them.
static size_t take_size(Player *player)
{
    unsigned choice = take_byte(player);
    unsigned shift = choice % 15;
    if (choice == 0) { // a fault a page: as dear as hundreds of small ones
        choice = take_byte(player);
        shift = choice % 16 == 0 ? 15 + choice / 16 % 8 : 0;
    }
    size_t below = take_byte(player);
    size_t size = ((size_t)1 << shift) + (shift > 8 ? below << (shift - 8) : below & (((size_t)1 << shift) - 1));
    return size + take_byte(player) % 17 - 1;
}

// ---- objects ----

static size_t head_of(const Object *object)
{
    return object->bytes > 2 * LARGE_EDGE ? LARGE_EDGE : object->bytes;
}

// All of a small object, both ends of a large one; and whatever the allocator says may be written behind it.
static void object_fill(Object *object)
{
    object->seed = atomic_fetch_add(&next_seed, 1);
    pattern_fill(object->start, head_of(object), object->seed);
    if (head_of(object) < object->bytes) {
        pattern_fill(object->start + object->bytes - LARGE_EDGE, LARGE_EDGE, ~object->seed);
    }
    memset(object->start + object->bytes, 0xA5, object->usable - object->bytes);
}

static void object_verify(const Object *object)
{
    require(pattern_mismatch(object->start, head_of(object), object->seed) == head_of(object), "content changed",
            object);
    if (head_of(object) < object->bytes) {
        const unsigned char *tail = object->start + object->bytes - LARGE_EDGE;
        require(pattern_mismatch(tail, LARGE_EDGE, ~object->seed) == LARGE_EDGE, "content changed at the end", object);
    }
    require(malloc_usable_size(object->start) == object->usable, "usable size changed", object);
}

static void table_verify(const Table *table)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (table->objects[i].start != NULL) object_verify(&table->objects[i]);
    }
}

static void require_apart(const Table *table, const Object *object)
{
    for (size_t i = 0; i < SLOTS; i++) {
        const Object *other = &table->objects[i];
        if (other->start == NULL || other == object) continue;
        require(object->start + object->usable <= other->start || other->start + other->usable <= object->start,
                "overlaps a live object", object);
    }
}

// Takes what a call returned for `bytes` into the table. False: it returned NULL, for which the kernel must be the
// reason.
static bool object_set(Table *table, Object *object, void *start, size_t bytes, size_t align)
{
    if (start == NULL) {
        require(errno == ENOMEM, "NULL without ENOMEM", object);
        return false;
    }
    *object = (Object){.start = start, .bytes = bytes, .usable = malloc_usable_size(start)};
    require(object->usable >= bytes, "usable size is less than was asked for", object);
    require(is_aligned(start, align), "misaligned", object);
    require_apart(table, object);
    table->live_bytes += bytes;
    object_fill(object);
    count_verified();
    return true;
}

static void object_free(Table *table, Object *object)
{
    if (object->start == NULL) return;
    object_verify(object);
    errno = EXDEV;
    free(object->start);
    require(errno == EXDEV, "free changed errno", object);
    count_verified();
    table->live_bytes -= object->bytes;
    *object = (Object){0};
}

// ---- calls ----

static void call_calloc(Table *table, Object *object, size_t bytes)
{
    size_t each = bytes % 7 + 1;
    unsigned char *start = calloc(bytes / each, each);
    bytes = bytes / each * each;
    if (start != NULL) require(nonzero_offset(start, bytes) == bytes, "calloc's memory is not zero", object);
    object_set(table, object, start, bytes, 16);
}

static void call_aligned(Table *table, Object *object, size_t bytes, unsigned how)
{
    size_t align = (size_t)16 << how / 4 % 14;
    void *start = NULL;
    switch (how % 4) {
    case 0:
        errno = posix_memalign(&start, align, bytes);
        break;
    case 1:
        start = aligned_alloc(align, bytes);
        break;
    case 2:
        start = memalign(align, bytes);
        break;
    case 3:
        align = 4096;
        start = how & 4 ? valloc(bytes) : pvalloc(bytes);
        break;
    }
    object_set(table, object, start, bytes, align);
}

static void call_realloc(Table *table, Object *object, size_t bytes, bool as_array)
{
    if (object->start != NULL) object_verify(object);
    if (bytes == 0 && object->start != NULL) return; // realloc(p, 0) frees: call_free does that
    Object old = *object;
    unsigned char *start = as_array ? reallocarray(old.start, bytes, 1) : realloc(old.start, bytes);
    if (start == NULL) {
        require(errno == ENOMEM, "NULL without ENOMEM", object);
        return;
    }
    size_t kept = head_of(&old) < bytes ? head_of(&old) : bytes;
    require(pattern_mismatch(start, kept, old.seed) == kept, "realloc lost content", &old);
    if (head_of(&old) < old.bytes && bytes >= old.bytes) {
        require(pattern_mismatch(start + old.bytes - LARGE_EDGE, LARGE_EDGE, ~old.seed) == LARGE_EDGE,
                "realloc lost content at the end", &old);
    }
    table->live_bytes -= old.bytes;
    *object = (Object){0};
    object_set(table, object, start, bytes, 16);
}

// Sizes that no computer has: NULL and ENOMEM, and a block to be resized stays as it was.
static void call_absurd(const Object *object, uint8_t how)
{
    volatile size_t huge = SIZE_MAX - how;
    volatile size_t many = SIZE_MAX / 2 + how;
    void *start = NULL;
    errno = 0;
    switch (how % 5) {
    case 0:
        start = malloc(huge);
        break;
    case 1:
        start = calloc(many, 4);
        break;
    case 2:
        start = realloc(object->start, huge);
        break;
    case 3:
        start = reallocarray(object->start, many, 4);
        break;
    case 4:
        errno = posix_memalign(&start, 64, huge);
        break;
    }
    require(start == NULL && errno == ENOMEM, "an absurd size was served", object);
    if (object->start != NULL) object_verify(object);
    count_verified();
}

// Gives the object to whoever comes next, and takes what lay there.
static void call_hand_over(Table *table, Object *object)
{
    pthread_mutex_lock(&on_its_way.lock);
    Object taken = on_its_way.object;
    on_its_way.object = *object;
    pthread_mutex_unlock(&on_its_way.lock);
    table->live_bytes = table->live_bytes - object->bytes + taken.bytes;
    *object = taken;
    if (taken.start != NULL) {
        require_apart(table, object);
        object_verify(object);
    }
}

static void call_rare(const Table *table, const Object *object, uint8_t how, uint8_t how_rare)
{
    if (how % 5 < 3 && how_rare % 64 != 0) return; // each costs as much as a thousand calls
    switch (how % 5) {
    case 0:
        hz3_epoch_force();
        break;
    case 1:
        malloc_trim(how);
        break;
    case 2:
        table_verify(table);
        break;
    default:
        call_absurd(object, how);
        break;
    }
}

static void play_once(Player *player)
{
    Table *table = player->table;
    uint8_t call = take_byte(player);
    Object *object = &table->objects[take_byte(player) % SLOTS];
    if (call % 16 < 4) {
        object_free(table, object);
        return;
    }
    if (call % 16 == 4) {
        call_hand_over(table, object);
        return;
    }
    if (call % 16 == 5) {
        call_rare(table, object, call / 16, take_byte(player));
        return;
    }
    size_t bytes = take_size(player);
    if (table->live_bytes + bytes > LIVE_BYTES_MAX) return;
    if (call % 16 < 8) {
        call_realloc(table, object, bytes, call & 16);
        return;
    }
    object_free(table, object);
    if (call % 16 < 10) {
        call_calloc(table, object, bytes);
    } else if (call % 16 < 12) {
        call_aligned(table, object, bytes, take_byte(player));
    } else {
        object_set(table, object, malloc(bytes), bytes, 16);
    }
}

// ---- who calls ----

static void *play_all(void *arg)
{
    Player *player = arg;
    while (player->next < player->end) {
        play_once(player);
    }
    return NULL;
}

// Player 0 holds the bytes.
static void *play_in_turns(void *arg)
{
    Player *player = arg;
    for (;;) {
        sem_wait(&player->turn);
        if (players[0].next == players[0].end) return NULL;
        play_once(&players[0]);
        sem_post(&turn_is_over);
    }
}

static void start_all(void *(*run)(void *))
{
    for (size_t i = 0; i < PLAYERS; i++) {
        if (pthread_create(&players[i].thread, NULL, run, &players[i]) != 0) abort();
    }
}

static void join_all(void)
{
    for (size_t i = 0; i < PLAYERS; i++) {
        pthread_join(players[i].thread, NULL);
    }
}

static void run_in_turns(void)
{
    sem_init(&turn_is_over, 0, 0);
    for (size_t i = 0; i < PLAYERS; i++) {
        sem_init(&players[i].turn, 0, 0);
    }
    start_all(play_in_turns);
    while (players[0].next < players[0].end) {
        sem_post(&players[players[0].next[0] / 16 % PLAYERS].turn);
        sem_wait(&turn_is_over);
    }
    for (size_t i = 0; i < PLAYERS; i++) {
        sem_post(&players[i].turn);
    }
    join_all();
}

static void run_together(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < PLAYERS; i++) {
        players[i].next = data + size * i / PLAYERS;
        players[i].end = data + size * (i + 1) / PLAYERS;
        players[i].table = &tables[i];
    }
    start_all(play_all);
    join_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    players[0].next = data + 1;
    players[0].end = data + size;
    players[0].table = &tables[0];
    switch (data[0] % 3) {
    case 0:
        play_all(&players[0]);
        break;
    case 1:
        run_in_turns();
        break;
    case 2:
        run_together(data + 1, size - 1);
        break;
    }
    Object left = {0};
    call_hand_over(&tables[0], &left);
    object_free(&tables[0], &left);
    for (size_t t = 0; t < PLAYERS; t++) {
        table_verify(&tables[t]);
        for (size_t i = 0; i < SLOTS; i++) {
            object_free(&tables[t], &tables[t].objects[i]);
        }
    }
    return 0;
}
