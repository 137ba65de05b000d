#include "config/config.h"

#include <assert.h>
#include <string.h>

bool config_name_is_plain(const char *name)
{
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(name) &&
           name[0] != '.' && name[0] != '-';
}

const CfgAllocator *config_allocator(const Config *config, const char *name)
{
    assert(config->allocators);
    for (unsigned i = 0; i < config->allocators->allocators_count; i++)
        if (strcmp(config->allocators->allocators[i].name, name) == 0) return &config->allocators->allocators[i];
    return NULL;
}

const CfgWorkload *config_workload(const Config *config, const char *name)
{
    assert(config->workloads);
    for (unsigned i = 0; i < config->workloads->workloads_count; i++)
        if (strcmp(config->workloads->workloads[i].name, name) == 0) return &config->workloads->workloads[i];
    return NULL;
}
