// The result folders that lie side by side in one folder.
#ifndef HZB_FOLDERS_H
#define HZB_FOLDERS_H

#include "base/util.h"

// Paths of the result folders in `parent`, by name. Not `latest`, which is another name of one of them; and no slice of
// a plan, for the merged whole is there or will be. Says so and returns false if `parent` cannot be read.
bool folders_list(const char *parent, StrList *folders);

#endif
