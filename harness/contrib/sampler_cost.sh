#!/usr/bin/env bash
# Does looking change what is seen? The same cells with the RSS sampler at its 10 ms and at one look in 10 s, which no
# cell lives to see, in turns. Prints the ratio of the ops/s, sampled over not sampled: the median over the rounds. And
# the CPU time that hzb itself takes a second while it samples, which no noise of the workload hides.
#     harness/contrib/sampler_cost.sh [ROUNDS]        31 rounds take about 4 minutes
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-31}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || { echo "$0: '$rounds' rounds, expected a number" >&2; exit 64; }
hzb=${BUILD:-build}/hzb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

matrix() { # matrix SAMPLE_MS NAME ITERS [THREADS]: a cell with one thread, one with two
    echo "{name: sampler, seed: 20261125, sample_ms: $1, arms: {cand: [hz3]}, cells: ["
    for threads in ${4:-1 2}; do
        echo "  {id: t$threads, workload: random_mixed, rounds: 1, expect_s: 1,"
        echo "   params: [threads=$threads, remote_pct=0, min=16, max=2048, iters=$3]},"
    done
    echo "]}"
} > "$work/$2.yaml"

matrix 10 10 40000000
matrix 10000 10000 40000000
matrix 10 long 1000000000 1

for ((round = 1; round <= rounds; round++)); do
    order=(10 10000)
    ((round % 2)) || order=(10000 10)
    for sample_ms in "${order[@]}"; do
        "$hzb" run "$work/$sample_ms.yaml" --config harness -o "$work/$sample_ms" > "$work/log" 2>&1 ||
            { cat "$work/log" >&2; exit 1; }
    done
done

for cell in t1 t2; do
    for sample_ms in 10 10000; do
        for runs in "$work/$sample_ms"/*_sampler/runs.csv; do
            awk -F, -v cell="$cell" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
                $at["cell_id"] == cell { print $at["ops_per_s"] }' "$runs"
        done > "$work/$cell.$sample_ms"
    done
    paste "$work/$cell.10" "$work/$cell.10000" | awk '{ print $1 / $2 }' | sort -g |
        awk -v cell="$cell" '{ v[NR] = $1 } END {
            printf "%s: %.4f of the ops/s without a sampler (%d rounds, quartiles %.4f and %.4f)\n", cell,
                   NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, NR, v[int((NR + 3) / 4)], v[int((3 * NR + 3) / 4)] }'
done

# It runs for about ten seconds.
"$hzb" run "$work/long.yaml" --config harness -o "$work/long" > "$work/log" 2>&1 &
sleep 2
began=$(cut -d' ' -f1 "/proc/$!/schedstat")
sleep 5
ended=$(cut -d' ' -f1 "/proc/$!/schedstat")
wait $! || { cat "$work/log" >&2; exit 1; }
echo "hzb itself: $(((ended - began) / 5000)) us of CPU time a second"
