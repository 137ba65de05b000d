#!/usr/bin/env bash
# The latency lane: it times the share of calls that it was asked for, sees a stall, and is no part of other programs.
set -u
build=${BUILD:-build}
. "$(dirname "$0")/support.bash"

# counted KIND: n of that kind, from what was said.
counted() { sed -n "s/^\[LATENCY\] $1 n=\([0-9]*\) .*/\1/p" <<<"$said"; }

said=$("$build/bench_larson_timed" 2 100 8 1000 5000 4 --every=1)
[ "$(counted malloc)" = 40200 ] && [ "$(counted free)" = 40200 ] && [ -z "$(counted remote_free)" ]
report $? "with --every=1 all calls are timed" "$said"
said=$("$build/bench_larson_timed" 2 100 8 1000 50000 4 --every=20)
[ "$(counted malloc)" -gt 19000 ] && [ "$(counted malloc)" -lt 21000 ]
report $? "with --every=20 one of twenty is, of some 400,000" "$said"
said=$("$build/bench_deep_timed" 2 20 1000 16 64 fifo 100 --every=1)
[ "$(counted remote_free)" = 40000 ]
report $? "a block that another thread allocated is freed remotely" "$said"
for program in larson deep producer_consumer lifetimes random_mixed_mt_remote_malloc; do
    case $program in larson) args=(2) ;; producer_consumer) args=(1 1 20) ;; lifetimes) args=(2 3 1000) ;;
    random*) args=(2 20000 100 16 512 50) ;; *) args=(2 20) ;; esac
    same_checksum "bench_${program}_timed asks for the same blocks as bench_$program" \
        "$(checksum "$build/bench_$program" "${args[@]}")" "$(checksum "$build/bench_${program}_timed" "${args[@]}" --every=7)"
    ! nm "$build/obj/workloads/bench_$program.o" | grep -q latency &&
        nm "$build/obj/workloads_timed/bench_$program.o" | grep -q latency_malloc
    report $? "... which has nothing of the lane in it"
done
said=$(LD_PRELOAD=$build/tests/libstalling_malloc.so "$build/bench_larson_timed" 1 10 8 1000 2000 1 --every=1)
[[ $said =~ malloc\ n=2010\ p50=([0-9]+)\ p99=[0-9]+\ p999=([0-9]+)\ max=([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -lt 1000000 ] &&
    [ "${BASH_REMATCH[2]}" -ge 4500000 ] && [ "${BASH_REMATCH[3]}" -ge 5000000 ]
report $? "a stall of 5 ms in one call of 200 is seen at p99.9, and the median is not" "$said"
refuses "option --every: '0': expected a whole number from 1 to 1000000000" "$build/bench_larson_timed" 1 --every=0
refuses "option --every: only the programs named *_timed have it" "$build/bench_larson" 1 --every=2
done_testing
