// Where the files are that the YAML files name.
#ifndef HZB_PATHS_H
#define HZB_PATHS_H

#include "config/config.h"
#include "config/options.h"

// The file of a matrix that is named by its path or, as "nightly", by its name beside the other files of YAML.
char *matrix_path(const Options *options, const char *word);
// {build}/x and /x as they are, x/y relative to the folder of the YAML file.
char *config_path(const char *yaml_path, const Options *options, const char *text);
// Absolute path of a file that can be read, or NULL.
char *readable_path(const char *path);
// Path of a program that PATH has, as it stands there: some act by the name that a link gives them. NULL if it has
// none.
char *program_in_path(const char *name);
// Is there such a program? A name is looked for in PATH; with a slash it is a path, which may have wildcards.
bool program_is_there(const char *name);
// Absolute path of a library as allocators.yaml names it, or NULL if there is none.
char *library_find(const Config *config, const Options *options, const char *preload);

#endif
