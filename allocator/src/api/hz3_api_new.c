// operator new and delete as the compiler calls them for plain expressions; hz3_api_new_forms.c has the other forms.
//
// Only C++ can run the program's new_handler and throw std::bad_alloc. So a request without memory goes on to the
// operator of the C++ library, which calls malloc again and then does what the standard says.
#include "api/hz3_api_new.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "base/hz3_log.h"
#include "base/hz3_size_class.h"
#include "front/hz3_front.h"

void *hz3_next_function(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static HZ3_COLD void *new_failed(size_t size)
{
    void *(*next)(size_t) = (void *(*)(size_t))hz3_next_function("_Znwm");
    hz3_require(next != NULL, "operator new", NULL, "no memory for %zu bytes, and no C++ library to throw bad_alloc",
                size);
    return next(size);
}

static HZ3_COLD void *new_aligned_failed(size_t size, size_t align)
{
    void *(*next)(size_t, size_t) = (void *(*)(size_t, size_t))hz3_next_function("_ZnwmSt11align_val_t");
    hz3_require(next != NULL, "operator new", NULL,
                "no memory for %zu bytes aligned to %zu, and no C++ library to throw bad_alloc", size, align);
    return next(size, align);
}

static HZ3_NOINLINE void *new_by_malloc(size_t size)
{
    void *p = malloc(size);
    return HZ3_LIKELY(p != NULL) ? p : new_failed(size);
}

// The instructions of malloc.
HZ3_AT_CACHE_LINE void *hz3_new(size_t size)
{
    if (HZ3_HARDENED || HZ3_UNLIKELY(size >= hz3_limits.small_end)) {
        return new_by_malloc(size);
    }
    void *object = hz3_front_pop(hz3_class_of_small(size));
    return HZ3_LIKELY(object != NULL) ? object : new_by_malloc(size);
}

void *hz3_new_array(size_t size)
{
    return hz3_operator_new(size);
}

void *hz3_new_aligned(size_t size, size_t align)
{
    void *p = aligned_alloc(align, size);
    return HZ3_LIKELY(p != NULL) ? p : new_aligned_failed(size, align);
}

void *hz3_new_array_aligned(size_t size, size_t align)
{
    return hz3_operator_new_aligned(size, align);
}

void hz3_delete(void *p)
{
    free(p);
}

void hz3_delete_array(void *p)
{
    hz3_operator_delete(p);
}

void hz3_delete_aligned(void *p, size_t align)
{
    (void)align;
    free(p);
}

void hz3_delete_array_aligned(void *p, size_t align)
{
    hz3_operator_delete_aligned(p, align);
}

#define IS(function) __attribute__((alias(#function)))
void *hz3_operator_new(size_t size) IS(hz3_new);
void *hz3_operator_new_array(size_t size) IS(hz3_new_array);
void *hz3_operator_new_aligned(size_t size, size_t align) IS(hz3_new_aligned);
void *hz3_operator_new_array_aligned(size_t size, size_t align) IS(hz3_new_array_aligned);
void hz3_operator_delete(void *p) IS(hz3_delete);
void hz3_operator_delete_array(void *p) IS(hz3_delete_array);
void hz3_operator_delete_aligned(void *p, size_t align) IS(hz3_delete_aligned);
void hz3_operator_delete_array_aligned(void *p, size_t align) IS(hz3_delete_array_aligned);
