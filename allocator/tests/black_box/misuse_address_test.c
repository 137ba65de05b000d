// Addresses at which no block begins, inside of one or outside of them all, are freed or used: hz3 ends the program
// with a message (misuse.h).
#include "misuse.h"

#include <malloc.h>
#include <stdlib.h>

#include "bad_input.h"

// One of these must stand in the message.
static const char *const interior_words[] = {"interior", "misaligned", "not allocated", NULL};
static const char *const foreign_words[] = {"foreign", "not allocated", "misaligned", NULL};
static const char *const unused_words[] = {"double free", "interior", "not allocated", NULL};

static void *pointer_plus(size_t size, size_t offset)
{
    return (char *)malloc(size) + offset;
}
static void *make_plus_1(size_t size)
{
    return pointer_plus(size, 1);
}
static void *make_plus_8(size_t size)
{
    return pointer_plus(size, 8);
}
static void *make_plus_16(size_t size)
{
    return pointer_plus(size, 16);
}
static void *make_half(size_t size)
{
    return pointer_plus(size, size / 2 & ~(size_t)15);
}
static void *make_second_page(size_t size)
{
    return pointer_plus(size, 4096);
}
static void *make_last_byte(size_t size)
{
    return pointer_plus(size, malloc_usable_size(opaque(malloc(size))) - 1);
}

// The place behind the last of a few fresh blocks: nobody was given it.
static void *make_never_given(size_t size)
{
    char *highest = malloc(size);
    for (int i = 0; i < 3; i++) {
        char *block = malloc(size);
        if (block > highest) highest = block;
    }
    return highest + malloc_usable_size(highest);
}

// Of no size: the number of the pointer takes its place.
static void *make_foreign(size_t number)
{
    return foreign_pointers[number].make();
}

static const Maker interior_makers[] = {
    {"block_plus_1", make_plus_1, NULL},          {"block_plus_8", make_plus_8, NULL},
    {"block_plus_16", make_plus_16, NULL},        {"middle_of_block", make_half, NULL},
    {"last_byte_of_block", make_last_byte, NULL}, {"second_page_of_block", make_second_page, NULL},
};
static const Maker unused_maker = {"place_never_given", make_never_given, NULL};

static void add_unused(void)
{
    static const size_t cached[] = {16, 100, 1000, 2048, 4097, 8192, 20000, 32768};
    for (size_t i = 0; i < COUNT_OF(cached); i++)
        add(&unused_maker, &action_free, cached[i], AT_TRIM, unused_words);
}

static void add_interior(void)
{
    static const size_t sizes[] = {100, 1000, 3000, 5000, 20000, 40000, 300000, 2 * MIB};
    for (size_t m = 0; m < COUNT_OF(interior_makers); m++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            if (sizes[i] <= 4096 && interior_makers[m].make == make_second_page) continue;
            for (size_t a = 0; a < COUNT_OF(actions); a++) {
                bool is_odd = interior_makers[m].make == make_plus_1 || interior_makers[m].make == make_plus_8;
                bool may_be_late = sizes[i] <= 32768 && actions[a].act == act_free && !is_odd;
                bool few = sizes[i] == 1000 || sizes[i] == 20000 || sizes[i] == 300000 || sizes[i] == 2 * MIB;
                if (a > 0 && !few) continue;
                add(&interior_makers[m], &actions[a], sizes[i], may_be_late ? AT_TRIM : AT_ONCE, interior_words);
                if (may_be_late && sizes[i] == 100)
                    add(&interior_makers[m], &actions[a], sizes[i], AT_EXIT_ELSEWHERE, interior_words);
            }
        }
    }
}

static void add_foreign(void)
{
    static Maker makers[N_FOREIGN];
    for (size_t m = 0; m < N_FOREIGN; m++) {
        makers[m] = (Maker){foreign_pointers[m].name, make_foreign, NULL};
        for (size_t a = 0; a < COUNT_OF(actions); a++) {
            add(&makers[m], &actions[a], m, AT_ONCE, foreign_words);
        }
    }
}

int main(int argc, char **argv)
{
    add_unused();
    add_interior();
    add_foreign();
    return misuse_main(argc, argv);
}
