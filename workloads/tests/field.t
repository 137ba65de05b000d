#!/usr/bin/env bash
# The workloads of the field, tiny: do their counts add up, do they ask for the same blocks in each run, and do they
# notice a block that was handed out twice?
set -u
build=${BUILD:-build}
. "$(dirname "$0")/support.bash"

# adds_up OPS BLOCKS PROGRAM ARGUMENTS...: so many ops, so many blocks that were allocated and freed, none failed; the
# same checksum in the next run, and another one with another seed.
adds_up() {
    local ops=$1 blocks=$2 program=$build/$3 said line
    shift 3
    said=$(timeout 60 "$program" "$@" 2>&1)
    [ $? -eq 0 ] && grep -qx "blocks: $blocks" <<<"$said" && grep -q "^\[BENCH_ARGS\] .* seed=1" <<<"$said"
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
said=$("$build/bench_deep" 2 200 1000 16 64 lifo 50)
[[ $said =~ actual=(49|50)\.[0-9]*%" fallback=0.00%" ]]
report $? "bench_deep hands over the asked half" "$said"
caught "bench_deep finds a block that was handed out twice" "$build/bench_deep" 1 2 10 1000 1100 lifo
refuses "argument order: 'filo': expected fifo, lifo, random or turns" "$build/bench_deep" 1 1 1 16 64 filo
refuses "argument remote_pct: '50': expected 0" "$build/bench_deep" 1 1 1 16 64 fifo 50

adds_up 15000 15000 bench_producer_consumer 3 1 50 100 1 300
adds_up 5000 5000 bench_producer_consumer 1 3 50 100 16 2000 1
caught "bench_producer_consumer finds a block that was handed out twice" \
    "$build/bench_producer_consumer" 1 1 2 10 1000 1100

done_testing
