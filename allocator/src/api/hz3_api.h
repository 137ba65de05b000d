// Marks the functions that the library exports; everything else is hidden. hz3.map lists the same names.
#ifndef HZ3_API_H
#define HZ3_API_H

#define HZ3_EXPORT __attribute__((visibility("default")))

#endif
