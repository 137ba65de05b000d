#include "config/config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/util.h"

#define TEXT_MAX 4096
#define STRING(key, flags, type, member)                                                                               \
    CYAML_FIELD_STRING_PTR(key, (flags) | CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define STRINGS(key, flags, type, member)                                                                              \
    CYAML_FIELD_SEQUENCE(key, (flags) | CYAML_FLAG_POINTER, type, member, &string_value, 0, CYAML_UNLIMITED)
#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL

static const cyaml_schema_value_t string_value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TEXT_MAX)};

static const cyaml_schema_field_t allocator_fields[] = {
    STRING("name", REQUIRED, CfgAllocator, name),
    STRING("inherits", OPTIONAL, CfgAllocator, inherits),
    STRING("preload", OPTIONAL, CfgAllocator, preload),
    STRING("stats_file_env", OPTIONAL, CfgAllocator, stats_file_env),
    STRING("build_defs", OPTIONAL, CfgAllocator, build_defs),
    STRINGS("env", OPTIONAL, CfgAllocator, env),
    CYAML_FIELD_BOOL("optional", OPTIONAL, CfgAllocator, optional),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t allocator_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgAllocator, allocator_fields)};
static const cyaml_schema_field_t allocators_fields[] = {
    CYAML_FIELD_SEQUENCE("allocators", CYAML_FLAG_POINTER, CfgAllocators, allocators, &allocator_value, 1,
                         CYAML_UNLIMITED),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t allocators_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, CfgAllocators, allocators_fields)};

static const cyaml_strval_t direction_names[] = {{"up", DIRECTION_UP}, {"down", DIRECTION_DOWN}};
static const cyaml_schema_field_t metric_fields[] = {
    STRING("name", REQUIRED, CfgMetric, name),
    CYAML_FIELD_ENUM("direction", CYAML_FLAG_STRICT, CfgMetric, direction, direction_names,
                     CYAML_ARRAY_LEN(direction_names)),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t metric_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgMetric, metric_fields)};
static const cyaml_schema_field_t workload_fields[] = {
    STRING("name", REQUIRED, CfgWorkload, name),
    STRING("bin", REQUIRED, CfgWorkload, bin),
    STRINGS("argv", REQUIRED, CfgWorkload, argv),
    STRINGS("params", OPTIONAL, CfgWorkload, params),
    STRINGS("fixed", OPTIONAL, CfgWorkload, fixed),
    STRINGS("test_params", OPTIONAL, CfgWorkload, test_params),
    CYAML_FIELD_SEQUENCE("metrics", CYAML_FLAG_POINTER, CfgWorkload, metrics, &metric_value, 1, CYAML_UNLIMITED),
    CYAML_FIELD_FLOAT("timeout_s", REQUIRED, CfgWorkload, timeout_s),
    CYAML_FIELD_BOOL("allow_fallback", OPTIONAL, CfgWorkload, allow_fallback),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t workload_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgWorkload, workload_fields)};
static const cyaml_schema_field_t workloads_fields[] = {
    CYAML_FIELD_SEQUENCE("workloads", CYAML_FLAG_POINTER, CfgWorkloads, workloads, &workload_value, 1, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t workloads_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, CfgWorkloads, workloads_fields)};

static const cyaml_schema_field_t cell_fields[] = {
    STRING("id", REQUIRED, CfgCell, id),
    STRING("workload", REQUIRED, CfgCell, workload),
    STRINGS("params", OPTIONAL, CfgCell, params),
    CYAML_FIELD_UINT("rounds", REQUIRED, CfgCell, rounds),
    CYAML_FIELD_FLOAT("expect_s", REQUIRED, CfgCell, expect_s),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t cell_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgCell, cell_fields)};
static const cyaml_schema_field_t arms_fields[] = {
    STRINGS("base", OPTIONAL, CfgArms, base),
    STRINGS("cand", OPTIONAL, CfgArms, cand),
    STRINGS("refs", OPTIONAL, CfgArms, refs),
    STRINGS("aa", OPTIONAL, CfgArms, aa),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t gate_fields[] = {
    STRING("metric", REQUIRED, CfgGate, metric),
    CYAML_FIELD_FLOAT("threshold_pct", OPTIONAL, CfgGate, threshold_pct),
    CYAML_FIELD_BOOL("exact", OPTIONAL, CfgGate, exact),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t gate_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgGate, gate_fields)};
static const cyaml_schema_field_t matrix_fields[] = {
    STRING("name", REQUIRED, CfgMatrix, name),
    CYAML_FIELD_UINT("seed", REQUIRED, CfgMatrix, seed),
    CYAML_FIELD_MAPPING("arms", REQUIRED, CfgMatrix, arms, arms_fields),
    CYAML_FIELD_UINT("sample_ms", OPTIONAL, CfgMatrix, sample_ms),
    CYAML_FIELD_FLOAT("mem_guard_pct", OPTIONAL, CfgMatrix, mem_guard_pct),
    CYAML_FIELD_FLOAT("steal_max_pct", OPTIONAL, CfgMatrix, steal_max_pct),
    CYAML_FIELD_SEQUENCE("gates", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, CfgMatrix, gates, &gate_value, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_UINT("rounds_max", OPTIONAL, CfgMatrix, rounds_max),
    CYAML_FIELD_FLOAT("budget_s", OPTIONAL, CfgMatrix, budget_s),
    CYAML_FIELD_BOOL("confirm", OPTIONAL, CfgMatrix, confirm),
    CYAML_FIELD_SEQUENCE("cells", CYAML_FLAG_POINTER, CfgMatrix, cells, &cell_value, 1, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t matrix_schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, CfgMatrix, matrix_fields)};

/* What libcyaml logs about a failed load: the reason, then a backtrace, innermost first. */
typedef struct {
    char *reason;
    unsigned line, column;             /* of the innermost entry: the last event libcyaml had taken in */
    unsigned entry_line, entry_column; /* of the innermost list entry, 0 if there is none */
    StrList fields;                    /* names of the mapping fields on the way, innermost first */
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

/* A position in a YAML file, counted from 1; line 0 = not found. `problem`, a text of libyaml's own, is set if the
   file is not YAML. */
typedef struct {
    size_t line, column;
    const char *problem;
} YamlPlace;

static size_t or_first(size_t line_or_column)
{
    return line_or_column ? line_or_column : 1;
}

/* First scalar that reads `scalar` (NULL: any syntax error) at or behind the given position. */
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

void config_error_at(const char *path, const char *scalar, const char *format, ...)
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

/* The mapping that the backtrace ended in, by walking the schema along the field names. */
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

/* libcyaml notices at the end of a mapping; its beginning says more. */
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

/* Stricter than libcyaml, which takes a number for what it begins with, a leading 0 for octal, a whole number below 0
   for a large one, and any word but a few for true. */
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
        while (strcmp(field->key, key) != 0) /* libcyaml took the file, so it is there */
            field++;
        ok = check_scalars(path, document, pair->value, &field->value, key);
    }
    return ok;
}

/* Of a file that libcyaml took: its nodes are what the schema says. */
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

static bool load(const char *path, const cyaml_schema_value_t *schema, void **data)
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

/* harness/matrix/x.yaml -> harness */
static char *default_config_dir(const char *matrix_path)
{
    if (!matrix_path) return xfmt("%s/../harness", program_dir());
    char *copy = xstrdup(matrix_path), *dir = dirname(copy);
    char *parent = xstrdup(strcmp(dir, ".") == 0 ? ".." : dirname(dir));
    free(copy);
    return parent;
}

bool config_load(Config *config, const char *config_dir, const char *matrix_path)
{
    char *dir = config_dir ? xstrdup(config_dir) : default_config_dir(matrix_path);
    *config = (Config){.allocators_path = xfmt("%s/allocators.yaml", dir),
                       .workloads_path = xfmt("%s/workloads.yaml", dir),
                       .matrix_path = matrix_path ? xstrdup(matrix_path) : NULL};
    free(dir);
    void *allocators = NULL, *workloads = NULL, *matrix = NULL;
    bool ok = (!matrix_path || load(matrix_path, &matrix_schema, &matrix)) &&
              load(config->allocators_path, &allocators_schema, &allocators) &&
              load(config->workloads_path, &workloads_schema, &workloads);
    config->allocators = allocators;
    config->workloads = workloads;
    config->matrix = matrix;
    return ok && config_check(config);
}

void config_free(Config *config)
{
    const cyaml_config_t memory = {.mem_fn = cyaml_mem};
    cyaml_free(&memory, &allocators_schema, config->allocators, 0);
    cyaml_free(&memory, &workloads_schema, config->workloads, 0);
    cyaml_free(&memory, &matrix_schema, config->matrix, 0);
    free(config->allocators_path);
    free(config->workloads_path);
    free(config->matrix_path);
    *config = (Config){0};
}

const CfgAllocator *config_allocator(const Config *config, const char *name)
{
    for (unsigned i = 0; i < config->allocators->allocators_count; i++)
        if (strcmp(config->allocators->allocators[i].name, name) == 0) return &config->allocators->allocators[i];
    return NULL;
}

const CfgWorkload *config_workload(const Config *config, const char *name)
{
    for (unsigned i = 0; i < config->workloads->workloads_count; i++)
        if (strcmp(config->workloads->workloads[i].name, name) == 0) return &config->workloads->workloads[i];
    return NULL;
}
