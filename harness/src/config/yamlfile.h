// A YAML file read by a libcyaml schema, more strictly than libcyaml does, and messages that name the place.
#ifndef HZB_YAMLFILE_H
#define HZB_YAMLFILE_H

#include <cyaml/cyaml.h>
#include <stdbool.h>

// Says what is wrong, with line and column, and returns false. Frees with cyaml_free().
bool yaml_load(const char *path, const cyaml_schema_value_t *schema, void **data);

// Prints `path:line:column: message`, the place being the first scalar of the file that reads `scalar`.
void yaml_error_at(const char *path, const char *scalar, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
