#!/usr/bin/env bash
# The choice of the front: what HZ3_FRONT says, what the stats line tells, and both fronts under the same unit tests.
. "$(dirname "$0")/tap.bash"

front_of() { # front_of LANE [NAME=VALUE...]
    with_lane "$1" HZ3_STATS=1 "${@:2}" "$probe" rss 2>&1 > /dev/null | sed -n 's/^\[HZ3_BUILD\].* front=\([a-z]*\) .*/\1/p'
}

auto=$(front_of scale)
[[ $auto == cpu || $auto == thread ]]
report $? "the stats line names the front" "$auto"
is=$(front_of scale HZ3_FRONT=thread)
[ "$is" = thread ]
report $? "HZ3_FRONT=thread is obeyed" "$is"
is=$(front_of scale GLIBC_TUNABLES=glibc.pthread.rseq=0)
[ "$is" = thread ]
report $? "without the C library's registration the threads have the caches" "$is"
said=$(with_lane scale GLIBC_TUNABLES=glibc.pthread.rseq=0 HZ3_FRONT=cpu "$probe" rss 2>&1 > /dev/null)
[[ $said == "hz3: HZ3_FRONT=cpu: the C library has not registered restartable sequences"* ]]
report $? "a CPU front that cannot be had is said to be so" "$said"
said=$(with_lane fast HZ3_FRONT=cpu "$probe" rss 2>&1 > /dev/null)
[[ $said == "hz3: HZ3_FRONT=cpu: this build has none; the thread front is used" ]]
report $? "and so is a build without one" "$said"
said=$(with_lane scale HZ3_FRONT=gpu "$probe" rss 2>&1 > /dev/null)
[[ $said == "hz3: HZ3_FRONT=gpu (environment) is not one of auto|cpu|thread; the default auto stays" ]]
report $? "another word is refused" "$said"

for front in auto thread; do
    for test in unit_front_test unit_front_fork_test; do
        said=$(HZ3_FRONT=$front "$build/tests/$test" 2>&1)
        report $? "$test with HZ3_FRONT=$front" "$said"
    done
done
done_testing
