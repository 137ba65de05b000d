#include "process/protocol.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static bool u64_of(const StrList *fields, const char *key, uint64_t *value)
{
    const char *text = pairs_find(fields, key);
    return text && parse_u64(text, value);
}

static bool optional_percent(const StrList *fields, const char *key, bool *has, double *value)
{
    const char *text = pairs_find(fields, key);
    *has = text != NULL;
    return !text || parse_double(text, value);
}

static bool parse_final(const StrList *fields, ProtoFinal *final)
{
    const char *checksum = pairs_find(fields, "checksum");
    if (!checksum || strlen(checksum) != PROTO_CHECKSUM_DIGITS) return false;
    strcpy(final->checksum, checksum);
    return u64_of(fields, "ops", &final->ops) && u64_of(fields, "work_ns", &final->work_ns) &&
           u64_of(fields, "alloc_failed", &final->alloc_failed) &&
           u64_of(fields, "live_peak", &final->live_peak_bytes) &&
           u64_of(fields, "live_at_fail", &final->live_at_fail_bytes) &&
           optional_percent(fields, "fallback_pct", &final->has_fallback, &final->fallback_pct) &&
           optional_percent(fields, "actual_remote_pct", &final->has_remote, &final->actual_remote_pct);
}

static bool parse_phase(const StrList *fields, char phase[PROTO_PHASE_MAX])
{
    uint64_t t_ns;
    const char *name = pairs_find(fields, "phase");
    if (!name || !*name || strlen(name) >= PROTO_PHASE_MAX || !u64_of(fields, "t_ns", &t_ns)) return false;
    strcpy(phase, name);
    return true;
}

static bool parse_end(const StrList *fields, ProtoEnd *end)
{
    return u64_of(fields, "status", &end->wait_status) && u64_of(fields, "wall_ns", &end->wall_ns) &&
           u64_of(fields, "user_us", &end->user_us) && u64_of(fields, "sys_us", &end->sys_us) &&
           u64_of(fields, "maxrss_kib", &end->maxrss_kib) && u64_of(fields, "minflt", &end->minflt) &&
           u64_of(fields, "majflt", &end->majflt) && u64_of(fields, "nvcsw", &end->nvcsw) &&
           u64_of(fields, "nivcsw", &end->nivcsw);
}

ProtoMessage proto_parse(const char *line)
{
    assert(!strchr(line, '\n'));
    ProtoMessage message = {.kind = PROTO_BAD};
    StrList fields = list_split(line, ' ');
    if (fields.count >= 2 && strcmp(fields.items[0], "HZB1") == 0) {
        if (pair_value(fields.items[1], "ops"))
            message.kind = parse_final(&fields, &message.final) ? PROTO_FINAL : PROTO_BAD;
        else
            message.kind = parse_phase(&fields, message.phase) ? PROTO_PHASE : PROTO_BAD;
    }
    if (fields.count >= 2 && strcmp(fields.items[0], "HZBEND") == 0)
        message.kind = parse_end(&fields, &message.end) ? PROTO_END : PROTO_BAD;
    for (unsigned i = 0; i < fields.count; i++)
        free(fields.items[i]);
    free(fields.items);
    return message;
}
