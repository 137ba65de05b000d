// Config variants by build definitions: hz3 built once for each into {build}/variants/<hash>/.
#ifndef HZB_VARIANT_H
#define HZB_VARIANT_H

// Path of the library with these definitions, built if it is older than its sources. NULL with a message.
char *variant_build(const char *build_dir, const char *defs);

#endif
