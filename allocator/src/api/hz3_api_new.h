// The forms of operator new and delete that the other ones are made of. The exported names are those that C++ compilers
// use where size_t is unsigned long. A call by such a name finds the program's own function if it has one; the hidden
// name beside it is always hz3's.
#ifndef HZ3_API_NEW_H
#define HZ3_API_NEW_H

#include "base/hz3_types.h"

HZ3_EXPORT void *hz3_operator_new(size_t size) __asm__("_Znwm");
HZ3_EXPORT void *hz3_operator_new_array(size_t size) __asm__("_Znam");
HZ3_EXPORT void *hz3_operator_new_aligned(size_t size, size_t align) __asm__("_ZnwmSt11align_val_t");
HZ3_EXPORT void *hz3_operator_new_array_aligned(size_t size, size_t align) __asm__("_ZnamSt11align_val_t");
HZ3_EXPORT void hz3_operator_delete(void *p) __asm__("_ZdlPv");
HZ3_EXPORT void hz3_operator_delete_array(void *p) __asm__("_ZdaPv");
HZ3_EXPORT void hz3_operator_delete_aligned(void *p, size_t align) __asm__("_ZdlPvSt11align_val_t");
HZ3_EXPORT void hz3_operator_delete_array_aligned(void *p, size_t align) __asm__("_ZdaPvSt11align_val_t");

void *hz3_new(size_t size);
void *hz3_new_array(size_t size);
void *hz3_new_aligned(size_t size, size_t align);
void *hz3_new_array_aligned(size_t size, size_t align);
void hz3_delete(void *p);
void hz3_delete_array(void *p);
void hz3_delete_aligned(void *p, size_t align);
void hz3_delete_array_aligned(void *p, size_t align);

// The function of this name that hz3's hides: libstdc++'s or libc++'s. NULL: there is none.
void *hz3_next_function(const char *name);

#endif
