// Workload protocol HZB1: ASCII lines that a workload writes to $HZB_FD. A program that knows nothing of it is started
// by hzb-launch, which writes one line at the end.
#ifndef HZB_PROTOCOL_H
#define HZB_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

enum { PROTO_LINE_MAX = 1024, PROTO_PHASE_MAX = 32, PROTO_CHECKSUM_DIGITS = 16 };

// The one line at the end.
typedef struct ProtoFinal {
    uint64_t ops;
    uint64_t work_ns;
    uint64_t alloc_failed;
    uint64_t live_peak_bytes;
    uint64_t live_at_fail_bytes; // 0: no allocation failed
    char checksum[PROTO_CHECKSUM_DIGITS + 1];
    bool has_fallback;
    double fallback_pct;
    bool has_remote;
    double actual_remote_pct;
} ProtoFinal;

// What hzb-launch reports of a program that has ended.
typedef struct ProtoEnd {
    uint64_t wait_status, wall_ns, user_us, sys_us, maxrss_kib, minflt, majflt, nvcsw, nivcsw;
} ProtoEnd;

typedef enum ProtoKind { PROTO_BAD, PROTO_PHASE, PROTO_FINAL, PROTO_END } ProtoKind;

typedef struct ProtoMessage {
    ProtoKind kind;
    char phase[PROTO_PHASE_MAX];
    ProtoFinal final;
    ProtoEnd end;
} ProtoMessage;

// `line` without its newline. Unknown keys are legal, missing ones are not.
ProtoMessage proto_parse(const char *line);

#endif
