// Preloaded behind the library, and so initialised before it: FAULT_FORBID=number:errno is refused from before the
// first allocation on.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support.h"

__attribute__((constructor)) static void forbid_from_the_start(void)
{
    const char *text = getenv("FAULT_FORBID");
    int number, error;
    if (text && sscanf(text, "%d:%d", &number, &error) == 2 && !forbid_calls(&number, 1, error)) _exit(EXIT_SKIPPED);
}
