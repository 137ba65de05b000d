// Reads the three YAML files.
#ifndef HZB_CONFIG_LOAD_H
#define HZB_CONFIG_LOAD_H

#include <stdbool.h>

#include "config/config.h"

// Loads `config_dir`/{allocators,workloads}.yaml and, unless NULL, the matrix. `config_dir` NULL: the parent folder of
// the matrix's folder, or harness/ beside the program's folder. Says what is wrong and returns false.
bool config_load(Config *config, const char *config_dir, const char *matrix_path);

// Of one that config_load() was asked for, whatever it answered. A command needs none of it.
void config_free(Config *config);

#endif
