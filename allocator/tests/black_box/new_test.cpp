// operator new and delete in all of their twenty forms, as C++ programs meet them. A request without memory ends as the
// standard has it: by the program's new_handler, std::bad_alloc or a null pointer.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <new>

#define _Noreturn [[noreturn]]
#define _Thread_local thread_local
extern "C" {
#include "support.h"
}

typedef void *(*NewFunction)(size_t size, size_t align);
typedef void (*DeleteFunction)(void *block, size_t size, size_t align);

struct New {
    const char *symbol;
    NewFunction call;
    bool is_aligned;
    bool throws;
};

struct Delete {
    const char *symbol;
    DeleteFunction call;
    bool is_aligned;
};

#define NEW(call)                                                                                                      \
    [](size_t size, size_t align) -> void * {                                                                          \
        (void)align;                                                                                                   \
        return call;                                                                                                   \
    }
#define DELETE(call)                                                                                                   \
    [](void *block, size_t size, size_t align) {                                                                       \
        (void)size;                                                                                                    \
        (void)align;                                                                                                   \
        call;                                                                                                          \
    }
#define ALIGN std::align_val_t(align)

static const New news[] = {
    {"_Znwm", NEW(::operator new(size)), false, true},
    {"_Znam", NEW(::operator new[](size)), false, true},
    {"_ZnwmRKSt9nothrow_t", NEW(::operator new(size, std::nothrow)), false, false},
    {"_ZnamRKSt9nothrow_t", NEW(::operator new[](size, std::nothrow)), false, false},
    {"_ZnwmSt11align_val_t", NEW(::operator new(size, ALIGN)), true, true},
    {"_ZnamSt11align_val_t", NEW(::operator new[](size, ALIGN)), true, true},
    {"_ZnwmSt11align_val_tRKSt9nothrow_t", NEW(::operator new(size, ALIGN, std::nothrow)), true, false},
    {"_ZnamSt11align_val_tRKSt9nothrow_t", NEW(::operator new[](size, ALIGN, std::nothrow)), true, false},
};

static const Delete deletes[] = {
    {"_ZdlPv", DELETE(::operator delete(block)), false},
    {"_ZdaPv", DELETE(::operator delete[](block)), false},
    {"_ZdlPvm", DELETE(::operator delete(block, size)), false},
    {"_ZdaPvm", DELETE(::operator delete[](block, size)), false},
    {"_ZdlPvRKSt9nothrow_t", DELETE(::operator delete(block, std::nothrow)), false},
    {"_ZdaPvRKSt9nothrow_t", DELETE(::operator delete[](block, std::nothrow)), false},
    {"_ZdlPvSt11align_val_t", DELETE(::operator delete(block, ALIGN)), true},
    {"_ZdaPvSt11align_val_t", DELETE(::operator delete[](block, ALIGN)), true},
    {"_ZdlPvmSt11align_val_t", DELETE(::operator delete(block, size, ALIGN)), true},
    {"_ZdaPvmSt11align_val_t", DELETE(::operator delete[](block, size, ALIGN)), true},
    {"_ZdlPvSt11align_val_tRKSt9nothrow_t", DELETE(::operator delete(block, ALIGN, std::nothrow)), true},
    {"_ZdaPvSt11align_val_tRKSt9nothrow_t", DELETE(::operator delete[](block, ALIGN, std::nothrow)), true},
};

// More than any allocator has, in a form that no compiler warns of.
static size_t too_much()
{
    static volatile size_t bytes = SIZE_MAX / 4;
    return bytes;
}

static void expect_ours(const char *symbol)
{
    Dl_info info;
    NEEDS(preload_path() != nullptr, "nothing is preloaded");
    void *function = dlsym(RTLD_DEFAULT, symbol);
    EXPECT(function != nullptr && dladdr(function, &info) != 0, "%s is not found", symbol);
    EXPECT(strstr(info.dli_fname, "hakozuna_hz3") != nullptr, "%s is %s's", symbol, info.dli_fname);
}

static void every_form_is_exported(const void *)
{
    for (const New &form : news)
        expect_ours(form.symbol);
    for (const Delete &form : deletes)
        expect_ours(form.symbol);
}

static void check_pair(const New &form, const Delete &back, size_t size, size_t align)
{
    void *block = form.call(size, align);
    EXPECT(block != nullptr, "%s of %zu", form.symbol, size);
    EXPECT(is_aligned(block, align), "%s of %zu aligned to %zu: %p", form.symbol, size, align, block);
    EXPECT(malloc_usable_size(block) >= size, "%s of %zu", form.symbol, size);
    memset(block, 0xa5, size);
    back.call(block, size, align);
}

static void every_new_goes_with_every_delete(const void *)
{
    static const size_t sizes[] = {0, 1, 16, 100, 1024, 3584, 3585, 4500, 7000, 10000, 32768, 50000, MIB, 3 * MIB};
    for (const New &form : news)
        for (const Delete &back : deletes)
            for (size_t size : sizes)
                for (size_t align = 16; form.is_aligned == back.is_aligned && align <= (form.is_aligned ? 65536 : 16);
                     align *= 4)
                    check_pair(form, back, size, align);
    for (const Delete &back : deletes)
        back.call(nullptr, 8, 16);
}

static int handler_calls;

static void handler_that_gives_up()
{
    if (++handler_calls == 3) std::set_new_handler(nullptr);
}

static bool throws_bad_alloc(const New &form)
{
    try {
        EXPECT(form.call(too_much(), 64) == nullptr, "%s gave memory that nobody has", form.symbol);
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void new_handler_is_called_until_it_gives_up(const void *)
{
    for (const New &form : news) {
        handler_calls = 0;
        std::set_new_handler(handler_that_gives_up);
        EXPECT(throws_bad_alloc(form) == form.throws, "%s", form.symbol);
        EXPECT(handler_calls == 3, "%s: %d calls of the handler", form.symbol, handler_calls);
    }
}

static void without_a_handler_it_throws_or_is_null(const void *)
{
    for (const New &form : news)
        EXPECT(throws_bad_alloc(form) == form.throws, "%s", form.symbol);
}

struct OwnException {
    int value;
};

static void handler_that_throws()
{
    throw OwnException{42};
}

static void a_handler_may_throw_what_it_likes_to(const void *)
{
    std::set_new_handler(handler_that_throws);
    int caught = 0;
    try {
        news[0].call(too_much(), 0);
    } catch (const OwnException &exception) {
        caught = exception.value;
    }
    EXPECT(caught == 42, "%d", caught);
}

static void *reserve;

static void handler_that_frees_its_reserve()
{
    free(reserve);
    reserve = nullptr;
    handler_calls++;
    std::set_new_handler(nullptr);
}

// In an address space of 1 GiB.
static void a_handler_may_make_room(const void *)
{
    for (const New &form : news) {
        reserve = malloc(500 * MIB);
        EXPECT(reserve != nullptr, "reserve");
        handler_calls = 0;
        std::set_new_handler(handler_that_frees_its_reserve);
        void *block = form.call(500 * MIB, 4096);
        EXPECT(block != nullptr && handler_calls == 1, "%s: %d calls of the handler", form.symbol, handler_calls);
        free(block);
    }
}

static void an_alignment_of_no_power_of_two_throws(const void *)
{
    bool has_thrown = false;
    try {
        EXPECT(news[4].call(100, 48) == nullptr, "it gave a block");
    } catch (const std::bad_alloc &) {
        has_thrown = true;
    }
    EXPECT(has_thrown, "no bad_alloc");
    EXPECT(news[6].call(100, 48) == nullptr, "nothrow gave a block");
}

// The guest has operator new(size_t), operator delete(void *) and the aligned pair of its own, which put a header
// before each block. So a form that went past them would free what is no block.
static void forms_that_a_program_leaves_out_are_its_own(const void *)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/new_guest", program_dir());
    const char *const argv[] = {path, nullptr};
    ChildOptions options = {};
    ChildResult result = {};
    child_run(argv, &options, &result);
    EXPECT(!result.timed_out && result.status == 0, "new_guest: wait status 0x%x: %s%s", unsigned(result.status),
           result.out, result.err);
}

static TestCase plain(const char *name, void (*run)(const void *))
{
    TestCase test = {};
    test.name = name;
    test.run = run;
    return test;
}

int main(int argc, char **argv)
{
    TestCase cases[] = {
        plain("every_form_is_exported", every_form_is_exported),
        plain("every_new_goes_with_every_delete", every_new_goes_with_every_delete),
        plain("new_handler_is_called_until_it_gives_up", new_handler_is_called_until_it_gives_up),
        plain("without_a_handler_it_throws_or_is_null", without_a_handler_it_throws_or_is_null),
        plain("a_handler_may_throw_what_it_likes_to", a_handler_may_throw_what_it_likes_to),
        plain("a_handler_may_make_room", a_handler_may_make_room),
        plain("an_alignment_of_no_power_of_two_throws", an_alignment_of_no_power_of_two_throws),
        plain("forms_that_a_program_leaves_out_are_its_own", forms_that_a_program_leaves_out_are_its_own),
    };
    for (TestCase &test : cases)
        if (test.run == a_handler_may_make_room) test.child.as_limit = 1024 * MIB;
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
