#include "config/config_load.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/util.h"
#include "config/config_check.h"
#include "config/yamlfile.h"

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
static const cyaml_strval_t protocol_names[] = {{"HZB1", PROTOCOL_HZB1}, {"none", PROTOCOL_NONE}};
static const cyaml_schema_field_t workload_fields[] = {
    STRING("name", REQUIRED, CfgWorkload, name),
    STRING("bin", REQUIRED, CfgWorkload, bin),
    CYAML_FIELD_ENUM("protocol", CYAML_FLAG_STRICT | CYAML_FLAG_OPTIONAL, CfgWorkload, protocol, protocol_names,
                     CYAML_ARRAY_LEN(protocol_names)),
    STRING("prepare", OPTIONAL, CfgWorkload, prepare),
    STRING("stdin", OPTIONAL, CfgWorkload, stdin_path),
    STRING("ready", OPTIONAL, CfgWorkload, ready),
    STRING("client", OPTIONAL, CfgWorkload, client),
    STRING("check", OPTIONAL, CfgWorkload, check),
    STRINGS("needs", OPTIONAL, CfgWorkload, needs),
    CYAML_FIELD_BOOL("optional", OPTIONAL, CfgWorkload, optional),
    STRINGS("argv", REQUIRED, CfgWorkload, argv),
    STRINGS("params", OPTIONAL, CfgWorkload, params),
    STRINGS("fixed", OPTIONAL, CfgWorkload, fixed),
    STRINGS("test_params", OPTIONAL, CfgWorkload, test_params),
    CYAML_FIELD_SEQUENCE("metrics", CYAML_FLAG_POINTER, CfgWorkload, metrics, &metric_value, 1, CYAML_UNLIMITED),
    CYAML_FIELD_FLOAT("timeout_s", REQUIRED, CfgWorkload, timeout_s),
    CYAML_FIELD_BOOL("allow_fallback", OPTIONAL, CfgWorkload, allow_fallback),
    CYAML_FIELD_BOOL("instructions", OPTIONAL, CfgWorkload, instructions),
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
    CYAML_FIELD_UINT("least", OPTIONAL, CfgCell, least),
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
static const cyaml_schema_field_t known_fields[] = {
    STRING("cell", REQUIRED, CfgKnown, cell), STRING("metric", REQUIRED, CfgKnown, metric),
    STRING("arm", OPTIONAL, CfgKnown, arm),   STRING("until", REQUIRED, CfgKnown, until),
    STRING("why", REQUIRED, CfgKnown, why),   CYAML_FIELD_END,
};
static const cyaml_schema_value_t known_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgKnown, known_fields)};
static const cyaml_schema_field_t derived_fields[] = {
    STRING("name", REQUIRED, CfgDerived, name),
    STRING("expr", REQUIRED, CfgDerived, expr),
    CYAML_FIELD_ENUM("direction", CYAML_FLAG_STRICT, CfgDerived, direction, direction_names,
                     CYAML_ARRAY_LEN(direction_names)),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t derived_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgDerived, derived_fields)};
#define NUMBER_PTR(key, type, member) CYAML_FIELD_FLOAT_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member)
static const cyaml_schema_field_t claim_fields[] = {
    STRING("cell", REQUIRED, CfgClaim, cell),
    STRING("arm", REQUIRED, CfgClaim, arm),
    STRING("metric", REQUIRED, CfgClaim, metric),
    STRING("vs", OPTIONAL, CfgClaim, vs),
    NUMBER_PTR("at_least", CfgClaim, at_least),
    NUMBER_PTR("at_most", CfgClaim, at_most),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t claim_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, CfgClaim, claim_fields)};
static const cyaml_schema_field_t matrix_fields[] = {
    STRING("name", REQUIRED, CfgMatrix, name),
    CYAML_FIELD_UINT("seed", REQUIRED, CfgMatrix, seed),
    CYAML_FIELD_MAPPING("arms", REQUIRED, CfgMatrix, arms, arms_fields),
    CYAML_FIELD_UINT("sample_ms", OPTIONAL, CfgMatrix, sample_ms),
    CYAML_FIELD_FLOAT("mem_guard_pct", OPTIONAL, CfgMatrix, mem_guard_pct),
    CYAML_FIELD_FLOAT("steal_max_pct", OPTIONAL, CfgMatrix, steal_max_pct),
    CYAML_FIELD_BOOL_PTR("probe", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, CfgMatrix, probe),
    CYAML_FIELD_SEQUENCE("gates", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, CfgMatrix, gates, &gate_value, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_UINT("rounds_max", OPTIONAL, CfgMatrix, rounds_max),
    CYAML_FIELD_FLOAT("budget_s", OPTIONAL, CfgMatrix, budget_s),
    CYAML_FIELD_BOOL("confirm", OPTIONAL, CfgMatrix, confirm),
    CYAML_FIELD_SEQUENCE("known", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, CfgMatrix, known, &known_value, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("derived", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, CfgMatrix, derived, &derived_value, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("claims", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, CfgMatrix, claims, &claim_value, 0,
                         CYAML_UNLIMITED),
    STRINGS("ranking", OPTIONAL, CfgMatrix, ranking),
    CYAML_FIELD_SEQUENCE("cells", CYAML_FLAG_POINTER, CfgMatrix, cells, &cell_value, 1, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t matrix_schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, CfgMatrix, matrix_fields)};

// harness/matrix/x.yaml -> harness
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
    bool ok = (!matrix_path || yaml_load(matrix_path, &matrix_schema, &matrix)) &&
              yaml_load(config->allocators_path, &allocators_schema, &allocators) &&
              yaml_load(config->workloads_path, &workloads_schema, &workloads);
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
