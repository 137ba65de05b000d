// Library version: which release of an allocator a library is, as its package or whoever built it says.
#ifndef HZB_LIBRARY_VERSION_H
#define HZB_LIBRARY_VERSION_H

// "" if nobody says. Without a path: the C library's.
char *library_version(const char *path);

#endif
