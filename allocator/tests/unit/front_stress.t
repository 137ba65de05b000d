#!/usr/bin/env bash
# The front under a preemption storm, and the same storm over a CPU front with one planted fault, which must be found.
# Faults of the thread front's protocol need more luck than that; unit_front_race_test finds them without.
# FRONT_STRESS_S=600 for a long run.
. "$(dirname "$0")/tap.bash"
seconds=${FRONT_STRESS_S:-4}

storm() { # storm PROGRAM FRONT
    # No epochs by themselves: one that is under way at the end has pages in its hands.
    HZ3_EPOCH_TICK_MS=0 HZ3_ARENA_SIZE=256M HZ3_FRONT=$2 .ci/within $((seconds * 5 + 60)) "$build/tests/$1" "$seconds" 2>&1
}

while read -r program front; do
    said=$(storm $program $front)
    status=$?
    if [ $status -eq 0 ] && [[ $said != *front=$front* ]]; then
        skip "storm on the $front front" "not to be had here: $said"
    else
        report $status "storm: $program, $said" "$said"
    fi
done << 'EOT'
front_stress cpu
front_stress thread
front_stress_thread thread
EOT
said=$(storm front_stress_tsan thread)
report $? "storm on the thread front under ThreadSanitizer" "$said"

while read -r fault front; do
    for _ in 1 2 3; do
        said=$(storm "front_stress_$fault" $front)
        status=$?
        [ $status -eq 0 ] || break
    done
    if [ $status -eq 0 ] && [[ $said != *front=$front* ]]; then
        skip "the storm finds $fault" "not to be had here"
    else # it says so itself, hz3 does, or it hangs or dies of a signal
        [[ $said == *FAILED* || $said =~ 'hz3: '('internal error'|[a-z0-9_]+'(') ||
            $status -eq 124 || $status -gt 128 ]]
        report $? "the storm finds $fault: ${said##*$'\n'}" "exit code $status: $said"
    fi
done << 'EOT'
commit_behind_the_section cpu
abort_goes_on_with_the_commit cpu
EOT
done_testing
