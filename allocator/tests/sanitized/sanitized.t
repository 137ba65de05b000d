#!/usr/bin/env bash
# What takes arguments: the storm on either front, the stress test, an arena that runs dry, all with hz3 linked and
# under AddressSanitizer and UndefinedBehaviorSanitizer. SANITIZED_S=60 for a long run.
. "$(dirname "$0")/../unit/tap.bash"
seconds=${SANITIZED_S:-1}

check() { # check NAME WORD COMMAND...: passed if it said the word and skipped nothing
    local name=$1 word=$2 said status
    shift 2
    said=$(.ci/within $((seconds * 10 + 110)) "$@" 2>&1)
    status=$?
    if [ $status -eq 0 ] && { [[ $said != *$word* ]] || grep -v '^ok 1 ' <<< "$said" | grep -q '# SKIP'; }; then
        skip "$name" "not all of it is to be had here"
        printf '%s\n' "$said" | sed 's/^/# /'
    else
        report $status "$name" "$said"
    fi
}

for front in cpu thread; do
    check "storm, HZ3_FRONT=$front" "front=$front" env HZ3_EPOCH_TICK_MS=0 HZ3_ARENA_SIZE=256M HZ3_FRONT=$front \
        "$build/tests/front_stress_asan" "$seconds"
done
export TESTS_ANY_MALLOC=1 # hz3 is in the program and not beside it
check "stress" stress_64_threads env STRESS_S="$seconds" "$build/tests/stress_test_asan"
check "a full arena" default_policy "$build/tests/exhaustion_test_asan" default_policy
done_testing
