#include "config/columns.h"

#include <string.h>

#define X(name) #name,
const char *const run_column_names[RUN_COLUMN_COUNT] = {RUN_COLUMNS(X)};
#undef X

int run_column(const char *name)
{
    for (int i = 0; i < RUN_COLUMN_COUNT; i++)
        if (strcmp(run_column_names[i], name) == 0) return i;
    return -1;
}
