#!/usr/bin/env bash
# What takes arguments: the storm on either front, the stress test, an arena that runs dry, all with hz3 linked and under
# AddressSanitizer and UndefinedBehaviorSanitizer. SANITIZED_S=60 for a long run.
. "$(dirname "$0")/../unit/tap.bash"
seconds=${SANITIZED_S:-1}

check() { # check NAME COMMAND...
    local name=$1 said
    shift
    said=$(timeout $((seconds * 10 + 110)) "$@" 2>&1)
    report $? "$name" "$said"
}

for front in cpu thread; do
    check "storm, HZ3_FRONT=$front" env HZ3_EPOCH_TICK_MS=0 HZ3_ARENA_SIZE=256M HZ3_FRONT=$front \
        "$build/tests/front_stress_asan" "$seconds"
done
export TESTS_ANY_MALLOC=1 # hz3 is in the program and not beside it
check "stress" env STRESS_S="$seconds" "$build/tests/stress_test_asan"
check "a full arena" "$build/tests/exhaustion_test_asan" default_policy
done_testing
