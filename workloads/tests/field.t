#!/usr/bin/env bash
# The workloads of the field, tiny: do their counts add up, do they ask for the same blocks in each run, and do they
# notice a block that was handed out twice?
set -u
build=${BUILD:-build}
. "$(dirname "$0")/support.bash"

# adds_up OPS BLOCKS PROGRAM ARGUMENTS...: so many ops, so many blocks (a regular expression) that were allocated and
# freed, none failed; the same checksum in the next run, and another one with another seed.
adds_up() {
    local ops=$1 blocks=$2 program=$build/$3 said line
    shift 3
    said=$(timeout 60 "$program" "$@" 2>&1)
    [ $? -eq 0 ] && grep -qxE "blocks: $blocks" <<<"$said" && grep -q "^\[BENCH_ARGS\] .* seed=1" <<<"$said"
    report $? "${program##*/} $*: $blocks blocks" "$said"
    line=$(final_line "$program" "$@")
    [[ $line == "HZB1 ops=$ops work_ns="[1-9]*" alloc_failed=0 live_peak="[0-9]*" live_at_fail=0"* ]]
    report $? "... $ops ops" "$line"
    same_checksum "... and the same again" "$(sed 's/.* checksum=\([^ ]*\).*/\1/' <<<"$line")" "$(checksum "$program" "$@")"
    [ "$(checksum "$program" "$@")" != "$(checksum "$program" "$@" --seed=2)" ]
    report $? "... other blocks from another seed" "$line"
}

# Larson's blocks are allocated once by the main thread, then replaced.
adds_up 24000 24200 bench_larson 2 100 8 1000 3000 4
caught "bench_larson finds a block that was handed out twice" "$build/bench_larson" 1 10 1000 1100 1000 2
refuses "argument threads is missing" "$build/bench_larson"

adds_up 60000 60000 bench_deep 2 30 1000
adds_up 90000 90000 bench_deep 3 30 1000 1 9 random 50
adds_up 60000 60000 bench_deep 2 30 1000 8 5000 fifo 100 --touch=all
# Each round but the first allocates again what the one before has freed, four fifths of a thousand.
adds_up 48400 48400 bench_deep 2 30 1000 1 256 most 0 100
adds_up 60000 60000 bench_deep 1 60 1000 16 64 halves 0 7 --touch=all
said=$("$build/bench_deep" 2 200 1000 16 64 lifo 50)
[[ $said =~ actual=(49|50)\.[0-9]*%" fallback=0.00%" ]]
report $? "bench_deep hands over the asked half" "$said"
caught "bench_deep finds a block that was handed out twice" "$build/bench_deep" 1 2 10 1000 1100 lifo
refuses "argument order: 'filo': expected fifo, lifo, random, turns, halves or most" "$build/bench_deep" 1 1 1 16 64 filo
refuses "argument remote_pct: '50': expected 0, as one thread" "$build/bench_deep" 1 1 1 16 64 fifo 50
refuses "argument remote_pct: '50': expected 0 with the order most" "$build/bench_deep" 2 1 1 16 64 most 50

adds_up 15000 15000 bench_producer_consumer 3 1 50 100 1 300
adds_up 5000 5000 bench_producer_consumer 1 3 50 100 16 2000 1
caught "bench_producer_consumer finds a block that was handed out twice" \
    "$build/bench_producer_consumer" 1 1 2 10 1000 1100

# Few slots and many exchanges: a block that two threads took out of one slot would be freed twice or never.
adds_up 120000 120000 bench_lifetimes 4 6 5000 16 4096 10 100 2
adds_up 40000 40000 bench_lifetimes 2 4 5000 --touch=all
caught "bench_lifetimes finds a block that was handed out twice" "$build/bench_lifetimes" 1 1 1000 1000 1100

adds_up 60 6000 bench_threads 2 30
adds_up 300 4500 bench_threads 3 100 15 1 100

# The size is the only thing that the seed could change.
for mode in active passive; do
    said=$("$build/bench_false_sharing" 2 50 20 8 $mode)
    [ $? -eq 0 ] && grep -qx "blocks: $([ $mode = passive ] && echo 102 || echo 100)" <<<"$said"
    report $? "bench_false_sharing $mode" "$said"
done

# So many blocks: where a block ends and a new one begins follows from the seed.
adds_up 20000 1619 bench_realloc 2 10000 double
adds_up 20000 402 bench_realloc 2 10000 linear 8192
adds_up 20000 1479 bench_realloc 2 10000 shrink 65536 50 --touch=all
adds_up 20000 286 bench_realloc 2 10000 vectors --touch=all
refuses "argument pattern: 'triple': expected double, linear, shrink or vectors" "$build/bench_realloc" 1 1 triple
caught "bench_realloc finds a block that lost its bytes in a move" "$build/bench_realloc" 1 50000 vectors 8192

adds_up 60 60 bench_large 2 30
caught "bench_large finds a block that was handed out twice" "$build/bench_large" 1 10 5 1000 1100

said=$("$build/bench_fragment" 2 4 3 64 10 0.01)
[ "$(grep -c '^\[RSS\] phase=.* live=4\.0 MiB ratio=[0-9]' <<<"$said")" -eq 3 ] && grep -q 'sizes=256\.\.511' <<<"$said"
report $? "bench_fragment fills 4 MiB in each phase, with twice the sizes of the one before" "$said"
adds_up 146888 73444 bench_fragment 2 4 3 64 10 0

# How many blocks the containers take is the C++ library's affair.
adds_up 20000 '[1-9][0-9]{4}' bench_string_map 2 10000 500
done_testing
