// The other forms of operator new and delete, and C23's sized forms of free.
//
// The standard defines most forms by others: new[] is new, a delete with a size is one without. A program that replaces
// new and delete may rely on that and replace just these two. So what is defined by another operator calls it by its
// exported name. A nothrow form of hz3's is used only where the operator that it belongs to is hz3's, too; else the C++
// library's does it right.
//
// The size that comes with a delete is not used: with a wrong one, the object would get into the bin of another class.
// To find that, the tag of the page must be read, and that is all that the size could save. Lane hardened compares it
// with the size that was asked for.
#include <stdlib.h>

#include "api/hz3_api_new.h"
#include "hardened/hz3_harden.h"

// To a compiler two names are two functions. The empty instruction hides from it where the first address comes from.
static inline bool is_same(uintptr_t address, uintptr_t other)
{
    __asm__("" : "+r"(address));
    return address == other;
}

#define IS_OURS(exported, ours) is_same((uintptr_t)(exported), (uintptr_t)(ours))

// --- C23 -------------------------------------------------------------------------------------------------------------

HZ3_EXPORT void free_sized(void *p, size_t size);
void free_sized(void *p, size_t size)
{
    if (HZ3_HARDENED) {
        hz3_harden_free_sized(p, size);
        return;
    }
    free(p);
}

HZ3_EXPORT void free_aligned_sized(void *p, size_t align, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size)
{
    (void)align;
    free_sized(p, size);
}

// --- new, nothrow ----------------------------------------------------------------------------------------------------

// Without a C++ library nobody can have set a new_handler, and nothing is left to try.
static HZ3_COLD void *next_nothrow(const char *name, size_t size, const void *nothrow)
{
    void *(*next)(size_t, const void *) = (void *(*)(size_t, const void *))hz3_next_function(name);
    return next != NULL ? next(size, nothrow) : NULL;
}

static HZ3_COLD void *next_aligned_nothrow(const char *name, size_t size, size_t align, const void *nothrow)
{
    void *(*next)(size_t, size_t, const void *) = (void *(*)(size_t, size_t, const void *))hz3_next_function(name);
    return next != NULL ? next(size, align, nothrow) : NULL;
}

static bool new_is_ours(void)
{
    return IS_OURS(hz3_operator_new, hz3_new);
}

static bool new_aligned_is_ours(void)
{
    return IS_OURS(hz3_operator_new_aligned, hz3_new_aligned);
}

HZ3_EXPORT void *hz3_new_nothrow(size_t size, const void *nothrow) __asm__("_ZnwmRKSt9nothrow_t");
void *hz3_new_nothrow(size_t size, const void *nothrow)
{
    void *p = new_is_ours() ? malloc(size) : NULL;
    return HZ3_LIKELY(p != NULL) ? p : next_nothrow("_ZnwmRKSt9nothrow_t", size, nothrow);
}

HZ3_EXPORT void *hz3_new_array_nothrow(size_t size, const void *nothrow) __asm__("_ZnamRKSt9nothrow_t");
void *hz3_new_array_nothrow(size_t size, const void *nothrow)
{
    void *p = new_is_ours() && IS_OURS(hz3_operator_new_array, hz3_new_array) ? malloc(size) : NULL;
    return HZ3_LIKELY(p != NULL) ? p : next_nothrow("_ZnamRKSt9nothrow_t", size, nothrow);
}

HZ3_EXPORT void *hz3_new_aligned_nothrow(size_t size, size_t align,
                                         const void *nothrow) __asm__("_ZnwmSt11align_val_tRKSt9nothrow_t");
void *hz3_new_aligned_nothrow(size_t size, size_t align, const void *nothrow)
{
    void *p = new_aligned_is_ours() ? aligned_alloc(align, size) : NULL;
    return HZ3_LIKELY(p != NULL) ? p : next_aligned_nothrow("_ZnwmSt11align_val_tRKSt9nothrow_t", size, align, nothrow);
}

HZ3_EXPORT void *hz3_new_array_aligned_nothrow(size_t size, size_t align,
                                               const void *nothrow) __asm__("_ZnamSt11align_val_tRKSt9nothrow_t");
void *hz3_new_array_aligned_nothrow(size_t size, size_t align, const void *nothrow)
{
    bool is_ours = new_aligned_is_ours() && IS_OURS(hz3_operator_new_array_aligned, hz3_new_array_aligned);
    void *p = is_ours ? aligned_alloc(align, size) : NULL;
    return HZ3_LIKELY(p != NULL) ? p : next_aligned_nothrow("_ZnamSt11align_val_tRKSt9nothrow_t", size, align, nothrow);
}

// --- delete ----------------------------------------------------------------------------------------------------------

HZ3_EXPORT void hz3_delete_sized(void *p, size_t size) __asm__("_ZdlPvm");
void hz3_delete_sized(void *p, size_t size)
{
    if (HZ3_HARDENED && IS_OURS(hz3_operator_delete, hz3_delete)) {
        hz3_harden_free_sized(p, size);
        return;
    }
    hz3_operator_delete(p);
}

HZ3_EXPORT void hz3_delete_array_sized(void *p, size_t size) __asm__("_ZdaPvm");
void hz3_delete_array_sized(void *p, size_t size)
{
    if (HZ3_HARDENED && IS_OURS(hz3_operator_delete, hz3_delete) &&
        IS_OURS(hz3_operator_delete_array, hz3_delete_array)) {
        hz3_harden_free_sized(p, size);
        return;
    }
    hz3_operator_delete_array(p);
}

HZ3_EXPORT void hz3_delete_nothrow(void *p, const void *nothrow) __asm__("_ZdlPvRKSt9nothrow_t");
void hz3_delete_nothrow(void *p, const void *nothrow)
{
    (void)nothrow;
    hz3_operator_delete(p);
}

HZ3_EXPORT void hz3_delete_array_nothrow(void *p, const void *nothrow) __asm__("_ZdaPvRKSt9nothrow_t");
void hz3_delete_array_nothrow(void *p, const void *nothrow)
{
    (void)nothrow;
    hz3_operator_delete_array(p);
}

HZ3_EXPORT void hz3_delete_aligned_sized(void *p, size_t size, size_t align) __asm__("_ZdlPvmSt11align_val_t");
void hz3_delete_aligned_sized(void *p, size_t size, size_t align)
{
    (void)size;
    hz3_operator_delete_aligned(p, align);
}

HZ3_EXPORT void hz3_delete_array_aligned_sized(void *p, size_t size, size_t align) __asm__("_ZdaPvmSt11align_val_t");
void hz3_delete_array_aligned_sized(void *p, size_t size, size_t align)
{
    (void)size;
    hz3_operator_delete_array_aligned(p, align);
}

HZ3_EXPORT void hz3_delete_aligned_nothrow(void *p, size_t align,
                                           const void *nothrow) __asm__("_ZdlPvSt11align_val_tRKSt9nothrow_t");
void hz3_delete_aligned_nothrow(void *p, size_t align, const void *nothrow)
{
    (void)nothrow;
    hz3_operator_delete_aligned(p, align);
}

HZ3_EXPORT void hz3_delete_array_aligned_nothrow(void *p, size_t align,
                                                 const void *nothrow) __asm__("_ZdaPvSt11align_val_tRKSt9nothrow_t");
void hz3_delete_array_aligned_nothrow(void *p, size_t align, const void *nothrow)
{
    (void)nothrow;
    hz3_operator_delete_array_aligned(p, align);
}
