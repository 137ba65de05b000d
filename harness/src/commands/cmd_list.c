// `hzb list`: allocators, workloads and the cells of a matrix.
#include <stdio.h>
#include <stdlib.h>

#include "commands/commands.h"
#include "config/config_load.h"
#include "config/experiment.h"

static void print_texts(const char *title, char *const *items, unsigned count)
{
    if (count == 0) return;
    printf("    %s:", title);
    for (unsigned i = 0; i < count; i++)
        printf(" %s", items[i]);
    putchar('\n');
}

static void list_allocators(const Config *config, const Options *options)
{
    printf("Allocators (%s)\n", config->allocators_path);
    for (unsigned i = 0; i < config->allocators->allocators_count; i++) {
        const CfgAllocator *allocator = &config->allocators->allocators[i];
        Arm arm;
        bool can_run = arm_resolve(config, options, allocator, &arm); // without its library if that is optional
        printf("  %-16s %s%s%s\n", arm.name, arm.build_defs ? "built with " : "",
               arm.preload      ? arm.preload
               : arm.build_defs ? arm.build_defs
                                : "no library is preloaded",
               !arm.missing ? ""
               : can_run    ? "   not installed, optional"
                            : "   MISSING");
        print_texts("env", arm.env.items, arm.env.count);
        char *build = arm_build(&arm);
        print_texts("build", &build, *build ? 1 : 0);
        free(build);
    }
}

static void list_workloads(const Config *config, const Options *options)
{
    printf("\nWorkloads (%s)\n", config->workloads_path);
    for (unsigned i = 0; i < config->workloads->workloads_count; i++) {
        const CfgWorkload *workload = &config->workloads->workloads[i];
        printf("  %-16s %s\n", workload->name, workload_path(config, options, workload));
        print_texts("params", workload->params, workload->params_count);
        print_texts("fixed", workload->fixed, workload->fixed_count);
        printf("    metrics:");
        for (unsigned m = 0; m < workload->metrics_count; m++)
            printf(" %s (%s is better)", workload->metrics[m].name,
                   workload->metrics[m].direction == DIRECTION_UP ? "more" : "less");
        putchar('\n');
    }
}

static void list_cells(const Config *config)
{
    printf("\nCells (%s)\n", config->matrix_path);
    for (unsigned i = 0; i < config->matrix->cells_count; i++) {
        const CfgCell *cell = &config->matrix->cells[i];
        printf("  %-16s %s, %u round%s\n", cell->id, cell->workload, cell->rounds, cell->rounds == 1 ? "" : "s");
        print_texts("params", cell->params, cell->params_count);
    }
    print_texts("base", config->matrix->arms.base, config->matrix->arms.base_count);
    print_texts("cand", config->matrix->arms.cand, config->matrix->arms.cand_count);
    print_texts("refs", config->matrix->arms.refs, config->matrix->arms.refs_count);
    print_texts("aa", config->matrix->arms.aa, config->matrix->arms.aa_count);
    for (unsigned i = 0; i < config->matrix->gates_count; i++) {
        const CfgGate *gate = &config->matrix->gates[i];
        if (gate->exact)
            printf("    gate: %s, exact\n", gate->metric);
        else
            printf("    gate: %s, %g %%\n", gate->metric, gate->threshold_pct);
    }
}

HzbExit command_list(const Options *options)
{
    Config config;
    if (!config_load(&config, options->config_dir, options->target)) return HZB_USAGE;
    list_allocators(&config, options);
    list_workloads(&config, options);
    if (config.matrix) list_cells(&config);
    return HZB_OK;
}
