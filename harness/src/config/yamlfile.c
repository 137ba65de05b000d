#include "config/yamlfile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/util.h"

// What libcyaml logs about a failed load: the reason, then a backtrace, innermost first.
typedef struct LoadLog {
    char *reason;
    unsigned line, column;             // of the innermost entry: the last event libcyaml had taken in
    unsigned entry_line, entry_column; // of the innermost list entry, 0 if there is none
    StrList fields;                    // names of the mapping fields on the way, innermost first
} LoadLog;

static void on_log(cyaml_log_t level, void *context, const char *format, va_list args)
{
    LoadLog *log = context;
    char *text = NULL, *place;
    (void)level;
    if (vasprintf(&text, format, args) < 0) return;
    text[strcspn(text, "\n")] = 0;
    if (!log->reason) {
        log->reason = xstrdup(strncmp(text, "Load: ", 6) == 0 ? text + 6 : text);
    } else if ((place = strstr(text, "(line: "))) {
        if (!log->line) sscanf(place, "(line: %u, column: %u)", &log->line, &log->column);
        if (!log->entry_line && strstr(text, "in sequence entry"))
            sscanf(place, "(line: %u, column: %u)", &log->entry_line, &log->entry_column);
        char *name = strstr(text, "in mapping field '");
        if (name) {
            name += strlen("in mapping field '");
            name[strcspn(name, "'")] = 0;
            list_add(&log->fields, name);
        }
    }
    free(text);
}

// A position in a YAML file, counted from 1; line 0 = not found. `problem`, a text of libyaml's own, is set if the
// file is not YAML.
typedef struct YamlPlace {
    size_t line, column;
    const char *problem;
} YamlPlace;

static size_t or_first(size_t line_or_column)
{
    return line_or_column ? line_or_column : 1;
}

// First scalar that reads `scalar` (NULL: any syntax error) at or after the given position.
static YamlPlace yaml_find(const char *path, const char *scalar, size_t from_line, size_t from_column)
{
    yaml_parser_t parser;
    yaml_event_t event;
    YamlPlace place = {0};
    FILE *file = fopen(path, "re");
    if (!file) return place;
    bool more = yaml_parser_initialize(&parser);
    yaml_parser_set_input_file(&parser, file);
    while (more) {
        if (!yaml_parser_parse(&parser, &event)) {
            place = (YamlPlace){parser.problem_mark.line + 1, parser.problem_mark.column + 1,
                                parser.problem ? parser.problem : "not YAML"};
            break;
        }
        size_t line = event.start_mark.line + 1, column = event.start_mark.column + 1;
        bool behind = line > from_line || (line == from_line && column >= from_column);
        if (scalar && behind && event.type == YAML_SCALAR_EVENT &&
            strcmp((const char *)event.data.scalar.value, scalar) == 0) {
            place = (YamlPlace){line, column, NULL};
        }
        more = !place.line && event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    fclose(file);
    return place;
}

void yaml_error_at(const char *path, const char *scalar, const char *format, ...)
{
    char *message = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&message, format, args);
    va_end(args);
    YamlPlace place = yaml_find(path, scalar, 0, 0);
    hzb_error("%s:%zu:%zu: %s", path, or_first(place.line), or_first(place.column), length < 0 ? "?" : message);
    free(message);
}

// The mapping that the backtrace ended in, by walking the schema along the field names.
static const cyaml_schema_field_t *fields_at(const cyaml_schema_value_t *value, const StrList *path)
{
    for (unsigned i = path->count; i > 0; i--) {
        const cyaml_schema_field_t *field = value->mapping.fields;
        while (field->key && strcmp(field->key, path->items[i - 1]) != 0)
            field++;
        if (!field->key) return NULL;
        value = &field->value;
        if (value->type == CYAML_SEQUENCE) value = value->sequence.entry;
        if (value->type != CYAML_MAPPING) return NULL;
    }
    return value->mapping.fields;
}

static void explain_unknown_key(const char *path, const cyaml_schema_value_t *schema, const LoadLog *log)
{
    const char *key = log->reason + strlen("Unexpected key: ");
    YamlPlace place = yaml_find(path, key, log->line, log->column);
    const cyaml_schema_field_t *field = fields_at(schema, &log->fields);
    char *expected = xstrdup("");
    for (; field && field->key; field++) {
        char *longer = xfmt("%s%s%s", expected, *expected ? ", " : "", field->key);
        free(expected);
        expected = longer;
    }
    hzb_error("%s:%zu:%zu: unknown key '%s', expected one of: %s", path, or_first(place.line), or_first(place.column),
              key, expected);
    free(expected);
}

// libcyaml notices at the end of a mapping; its beginning says more.
static void explain_missing_key(const char *path, const LoadLog *log)
{
    const char *key = log->reason + strlen("Missing required mapping field: ");
    hzb_error("%s:%u:%u: key '%s' is missing here", path, log->entry_line ? log->entry_line : 1,
              log->entry_line ? log->entry_column : 1, key);
}

static void log_free(LoadLog *log)
{
    free(log->reason);
    list_free(&log->fields);
}

static void explain(const char *path, const cyaml_schema_value_t *schema, const LoadLog *log, cyaml_err_t error)
{
    if (error == CYAML_ERR_FILE_OPEN) {
        hzb_error("%s: %s", path, strerror(errno));
    } else if (error == CYAML_ERR_INVALID_KEY) {
        explain_unknown_key(path, schema, log);
    } else if (error == CYAML_ERR_MAPPING_FIELD_MISSING) {
        explain_missing_key(path, log);
    } else if (error == CYAML_ERR_LIBYAML_PARSER) {
        YamlPlace place = yaml_find(path, NULL, 0, 0);
        hzb_error("%s:%zu:%zu: %s", path, or_first(place.line), or_first(place.column),
                  place.problem ? place.problem : "not YAML");
    } else {
        const char *field = log->fields.count ? log->fields.items[0] : "document";
        const char *reason = log->reason ? log->reason : cyaml_strerror(error);
        hzb_error("%s:%zu:%zu: %s (in '%s')", path, or_first(log->line), or_first(log->column), reason, field);
    }
}

// Stricter than libcyaml. That reads "3x" as 3, a leading 0 as octal, -1 as a large number, and most words as true.
static const char *scalar_fault(cyaml_type_e type, const char *text)
{
    uint64_t whole;
    double number;
    if (type == CYAML_UINT && !(parse_u64(text, &whole) && (text[0] != '0' || !text[1])))
        return "expected a whole number";
    if (type == CYAML_FLOAT && !parse_double(text, &number)) return "expected a number";
    if (type == CYAML_BOOL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) return "expected true or false";
    return NULL;
}

static bool check_scalars(const char *path, yaml_document_t *document, int at, const cyaml_schema_value_t *schema,
                          const char *key);

static bool check_pairs(const char *path, yaml_document_t *document, const yaml_node_t *node,
                        const cyaml_schema_field_t *fields)
{
    bool ok = true;
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; ok && pair < node->data.mapping.pairs.top;
         pair++) {
        const char *key = (const char *)yaml_document_get_node(document, pair->key)->data.scalar.value;
        const cyaml_schema_field_t *field = fields;
        while (strcmp(field->key, key) != 0) // libcyaml took the file, so it is there
            field++;
        ok = check_scalars(path, document, pair->value, &field->value, key);
    }
    return ok;
}

// Of a file that libcyaml took: its nodes are what the schema says.
static bool check_scalars(const char *path, yaml_document_t *document, int at, const cyaml_schema_value_t *schema,
                          const char *key)
{
    const yaml_node_t *node = yaml_document_get_node(document, at);
    if (schema->type == CYAML_MAPPING) return check_pairs(path, document, node, schema->mapping.fields);
    if (schema->type == CYAML_SEQUENCE) {
        for (const int *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
            if (!check_scalars(path, document, *item, schema->sequence.entry, key)) return false;
        return true;
    }
    const char *text = (const char *)node->data.scalar.value, *fault = scalar_fault(schema->type, text);
    if (fault)
        hzb_error("%s:%zu:%zu: %s '%s': %s", path, node->start_mark.line + 1, node->start_mark.column + 1, key, text,
                  fault);
    return !fault;
}

static bool values_are_whole(const char *path, const cyaml_schema_value_t *schema)
{
    yaml_parser_t parser;
    yaml_document_t document = {0};
    FILE *file = fopen(path, "re");
    yaml_parser_initialize(&parser);
    if (file) {
        yaml_parser_set_input_file(&parser, file);
        yaml_parser_load(&parser, &document);
        fclose(file);
    }
    bool there = yaml_document_get_root_node(&document) != NULL;
    if (!there) hzb_error("%s: cannot be read twice, expected a file", path);
    bool ok = there && check_scalars(path, &document, 1 /* the root */, schema, "document");
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return ok;
}

bool yaml_load(const char *path, const cyaml_schema_value_t *schema, void **data)
{
    LoadLog log = {0};
    const cyaml_config_t config = {
        .log_fn = on_log, .log_ctx = &log, .log_level = CYAML_LOG_WARNING, .mem_fn = cyaml_mem};
    *data = NULL;
    errno = 0;
    cyaml_err_t error = cyaml_load_file(path, &config, schema, data, NULL);
    bool ok = error == CYAML_OK && *data;
    if (error != CYAML_OK)
        explain(path, schema, &log, error);
    else if (!ok)
        hzb_error("%s: is empty, expected a key '%s'", path, schema->mapping.fields[0].key);
    log_free(&log);
    return ok && values_are_whole(path, schema);
}
