#!/usr/bin/env bash
# The workloads from the command line: bad arguments, checksums, remote shares, many threads, failing and broken
# allocators.
set -u
build=${BUILD:-build}
mixed=$build/bench_random_mixed_mt_remote_malloc
burst=$build/bench_burst_idle_v2
sleepers=$build/bench_sleepers
periodic=$build/bench_periodic
hz3=$(realpath "$build")/libhakozuna_hz3_scale.so
peer=$(/sbin/ldconfig -p | awk '/libjemalloc\.so\.2 / {print $NF; exit}')
. "$(dirname "$0")/support.bash"

refuses "argument threads: '0': expected a whole number from 1 to 1024" "$mixed" 0 10 10 16 64 0
refuses "argument threads: '1025': expected a whole number from 1 to 1024" "$mixed" 1025 10 10 16 64 0
refuses "argument iters: '-5': expected a whole number from 1 to" "$mixed" 1 -5 10 16 64 0
refuses "argument iters: '18446744073709551617': expected" "$mixed" 1 18446744073709551617 10 16 64 0
refuses "argument ws: '10x': expected" "$mixed" 1 10 10x 16 64 0
refuses "argument max: '8': expected a whole number from 16 to" "$mixed" 1 10 10 16 8 0
refuses "argument remote_pct: '101': expected a whole number from 0 to 100" "$mixed" 2 10 10 16 64 101
refuses "argument remote_pct: '50': expected 0" "$mixed" 1 10 10 16 64 50
refuses "argument remote_pct is missing" "$mixed" 2 10 10 16 64
refuses "argument 8: 'more': expected at most 7 arguments" "$mixed" 2 10 10 16 64 0 8 more
refuses "option --touch: 'most': expected none, page or all" "$mixed" 2 10 10 16 64 0 --touch=most
refuses "option --seed: '1e3': expected a whole number" "$mixed" 2 10 10 16 64 0 --seed=1e3
refuses "argument idle_s: '0.5s': expected a decimal number from 0 to 86400" "$burst" 10 0.5s 1 0 1
refuses "argument keep_pct: '': expected" "$burst" 10 0 1 "" 1
refuses "argument max: '4096': expected a whole number from 5000 to" "$burst" 10 0 1 0 1 5000
refuses "argument dump_mode: '3': expected a whole number from 0 to 2" "$burst" 10 0 1 0 1 16 64 1 0 3
refuses "unrecognized option '--matched'" "$burst" 10 0 1 0 1 --matched
refuses "argument threads: '1025': expected a whole number from 1 to 1024" "$sleepers" 1025
refuses "argument max: '8': expected a whole number from 16 to" "$sleepers" 10 10 16 8
refuses "argument mib: '0': expected a whole number from 1 to" "$periodic" 3 1 0 1 0
refuses "argument pause_ms is missing" "$periodic" 3 1 1 1
HZB_FD=x refuses "HZB_FD: 'x': expected the number of an open file descriptor" "$mixed" 1 10 10 16 64 0
HZB_LIVE_FD=77 refuses "HZB_LIVE_FD: '77': expected the number of an open" "$burst" 10 0 1 0 1

args=(4 20000 200 16 4096 50 1024)
first=$(checksum "$mixed" "${args[@]}")
same_checksum "random_mixed asks for the same blocks in each run" "$first" "$(checksum "$mixed" "${args[@]}")"
same_checksum "... and when a tiny ring makes other interleavings" "$first" "$(checksum "$mixed" "${args[@]:0:6}" 1)"
[ "$first" != "$(checksum "$mixed" "${args[@]}" --seed=2)" ]
report $? "... but not from another seed" "$first"
burst_first=$(checksum "$burst" 20000 0 2 30 4)
same_checksum "burst_idle keeps the same blocks whether its threads stay or end" "$(checksum "$burst" 20000 0 1 30 4)" \
    "$(checksum "$burst" 20000 0 1 30 4 256 4096 0)"
if [ -n "$peer" ]; then
    same_checksum "random_mixed under jemalloc asks for the same blocks" "$first" \
        "$(PRELOAD=$peer checksum "$mixed" "${args[@]}")"
    same_checksum "burst_idle under jemalloc asks for the same blocks" "$burst_first" \
        "$(PRELOAD=$peer checksum "$burst" 20000 0 2 30 4)"
else
    skip "checksums under jemalloc" "libjemalloc2 is not installed"
fi

said=$("$mixed" 4 50000 100 16 256 90 4 --matched)
share=$(sed -n 's/.*actual=\([0-9]*\)\.\([0-9]*\)% fallback=0\.00%/\1\2/p' <<<"$said")
[ "${share:-0}" -ge 8950 ] && [ "${share:-0}" -le 9050 ]
report $? "--matched hands over the asked 90 % through a ring of 4" "$said"
said=$("$mixed" 4 50000 100 16 256 90 4)
[ $? -eq 0 ] && grep -q 'fallback=' <<<"$said" && ! grep -q 'fallback=0\.00%' <<<"$said"
report $? "without --matched the same ring makes fallbacks" "$said"

said=$("$mixed" 64 4000 50 16 4096 80 --touch=all 2>&1)
report $? "64 threads, every byte written and checked" "$said"
said=$("$burst" 20000 0 2 10 64 1 9 0 --touch=all 2>&1)
report $? "burst_idle with 64 threads that end, blocks of 1 to 9 bytes" "$said"

said=$( (ulimit -v 600000 && "$mixed" 1 60000 40000 32768 32768 0) 2>&1)
[ $? -eq 0 ] && [[ $said =~ "alloc failed: "[1-9][0-9]*" (first at live="([0-9]+)" bytes)" ]] &&
    [ "${BASH_REMATCH[1]}" -gt 100000000 ]
report $? "failed mallocs are counted, with the live bytes at the first one, and the run goes on" "$said"

caught "random_mixed finds a block that was handed out twice" "$mixed" 2 1000 10 1000 1100 0
caught "random_mixed finds it when another thread frees it" "$mixed" 2 1000 10 1000 1100 100
caught "burst_idle finds a block that was handed out twice" "$burst" 100 0 1 0 1 1000 1100
caught "random_mixed finds blocks that overlap" "$mixed" 1 1000 10 2000 2100 0 --touch=all
said=$(LD_PRELOAD=$build/tests/liboverlapping_malloc.so "$mixed" 1 1000 10 1000 1100 0 --touch=none 2>&1)
report $? "--touch=none looks at nothing" "$said"

dump=$(mktemp)
said=$(S59_2_DUMP_PATH=$dump "$burst" 1000 0.01 1 0 1 256 4096 1 0 1)
[ "$(grep -c '^Rss:' "$dump")" -eq 4 ] && [ "$(grep -c '^# phase=' "$dump")" -eq 4 ]
report $? "dump_mode 1 appends smaps_rollup for baseline, burst, free, idle" "$(cat "$dump")"
rm -f "$dump"

said=$("$burst" 1000 1.05 1 50 2)
[[ $said == *"[RSS] baseline="* ]] &&
    [[ $said =~ "cycle=1 peak="[0-9.]+" after_free="[0-9.]+" after_1s="[0-9.]+" idle_end=" ]]
report $? "burst_idle prints RSS at baseline, peak, after free, 1 s later and at the end" "$said"

same_checksum "sleepers asks for the same blocks in each run" "$(checksum "$sleepers" 20 50 16 2048 0)" \
    "$(checksum "$sleepers" 20 50 16 2048 0.01)"
caught "sleepers finds a block that was handed out twice" "$sleepers" 2 100 1000 1100 0
same_checksum "periodic asks for the same blocks in each run" "$(checksum "$periodic" 3 2 1 2 0)" \
    "$(checksum "$periodic" 3 2 1 2 5)"
caught "periodic finds a block that was handed out twice" "$periodic" 1 1 1 1 0 1000 1100

# Without epochs by themselves, which drain those that wait for the last. KiB above the baseline, in the order in which
# they are printed: baseline, cached, after the epochs, after the trim.
sleepers_kib() { # sleepers_kib FRONT
    HZ3_EPOCH_TICK_MS=0 HZ3_STATS=1 HZ3_FRONT=$1 LD_PRELOAD=$hz3 "$sleepers" 1000 64 1024 1024 0 2>&1 |
        awk -F'[= ]' '/above_baseline/ {printf "%d ", 1024 * $5} /HZ3_BUILD/ {print $5}'
}
read -r _ cached _ trimmed front <<<"$(sleepers_kib thread)"
[ "$front" = thread ] && [ "${cached:-0}" -ge 60000 ] && [ "${trimmed:-99999}" -le $((cached / 8)) ]
report $? "1000 sleepers keep 64 KiB each in the thread front, until somebody else drains them" "$cached $trimmed KiB, $front"
read -r _ cpu_cached _ cpu_trimmed front <<<"$(sleepers_kib auto)"
if [ "$front" = cpu ]; then
    [ "$cpu_cached" -le $((cached / 10)) ] && [ "$cpu_trimmed" -le 4096 ]
    report $? "... in the CPU front a tenth of it at most, and 4 MiB after the drain" "$cpu_cached $cpu_trimmed KiB"
else
    skip "... less in the CPU front" "no restartable sequences here"
fi

done_testing
