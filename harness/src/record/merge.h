// The shards of one plan, measured anywhere, become one result folder.
#ifndef HZB_MERGE_H
#define HZB_MERGE_H

#include "base/util.h"

// Makes the new folder `target`. HZB_USAGE if the shards do not fit together, HZB_BAD_SAMPLES if samples are missing;
// says what and where in both cases.
HzbExit merge_folders(const StrList *dirs, const char *target);

#endif
