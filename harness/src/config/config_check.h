// What the schemas cannot say: names that must exist, be unique or be well formed.
#ifndef HZB_CONFIG_CHECK_H
#define HZB_CONFIG_CHECK_H

#include <stdbool.h>

#include "config/config.h"

// Names the first fault, with its place in the file, and returns false.
bool config_check(const Config *config);

#endif
