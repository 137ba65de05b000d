# The latencies that a workload of the latency lane leaves: columns, a file, a picture.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

cat >"$work/conf/workloads.yaml" <<YAML
workloads:
  - name: larson_timed
    bin: "{build}/bench_larson_timed"
    argv: ["2", "100", "8", "1000", "{iters}", "2", --every=3, "--seed={seed}"]
    params: [iters=20000]
    metrics: [{name: malloc_p999_ns, direction: down}]
    timeout_s: 60
YAML
sed -i 's/^cells:/cells: [{id: one, workload: larson_timed, rounds: 2, expect_s: 0.1}]/; /^  - {id/d; s/^arms.*/arms: {refs: [plain]}/' "$matrix"
run_matrix
dir=$out
is "$rc $(statuses "$dir/runs.csv")" '0 plain=ok plain=ok' 'a timed workload runs'
for kind in malloc free; do
    figures=$(for q in p50 p99 p999 max; do csv_column "$dir/runs.csv" ${kind}_${q}_ns | head -1; done | paste -sd' ')
    perl -e 'exit !(@ARGV == 4 && $ARGV[0] > 0 && "@ARGV" eq join " ", sort { $a <=> $b } @ARGV)' $figures
    ok $? "$kind has p50 <= p99 <= p99.9 <= the greatest: $figures ns"
done
is "$(csv_column "$dir/runs.csv" remote_free_p50_ns | paste -sd,)" ',' 'what did not happen has no figure'
sum=$(awk -F, '$1 == "malloc" {n += $3} END {print n}' "$dir/rss/1.latency.csv")
((sum > 24000 && sum < 29500))
ok $? "the histogram has a third of 80,200 calls: $sum"
run plot "$dir" --scripts "$top/plots"
is "$rc" 0 'it is drawn'
[[ -s $dir/plots/latency_one.svg ]]
ok $? 'as a picture of its own'
first=$(sed -n 's/^malloc,plain,//p' "$dir/plots/latency_one.csv" | head -1)
last=$(sed -n 's/^malloc,plain,//p' "$dir/plots/latency_one.csv" | tail -1)
perl -e 'exit !($ARGV[0] < 1 && $ARGV[0] > 0 && $ARGV[1] == 0)' "${first#*,}" "${last#*,}"
ok $? "from nearly all calls down to none: $first .. $last"

# Every 200th malloc of a thread takes 5 ms; a third of them is timed.
cat >>"$work/conf/allocators.yaml" <<YAML
  - {name: stalling, preload: "{build}/tests/libstalling_malloc.so"}
YAML
sed -i 's/^arms.*/arms: {cand: [stalling], refs: [plain]}/; s/rounds: 2/params: [iters=2000], rounds: 1/' "$matrix"
run_matrix --build "$BUILD"
dir=$out
seq=$(paste -d, <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" seq) | sed -n 's/^stalling,//p')
stalls=$dir/rss/$seq.stalls.csv
is "$rc $(head -1 "$stalls")" '0 t_ms,kind,ns' 'stalls have a file'
long=$(awk -F, '$2 == "malloc" && $3 >= 5000000' "$stalls" | wc -l)
((long >= 5 && long <= 44))
ok $? "a third of the 44 stalls is in it: $long"
end=$(tail -1 "$dir/rss/$seq.csv" | cut -d, -f1)
is "$(sed 1d "$stalls" | awk -F, -v end="$end" '$1 < last || $1 > end {n++} {last = $1} END {print n + 0}')" 0 'in order, within the run'
run plot "$dir" --scripts "$top/plots"
is "$rc" 0 'they are drawn'
is "$(head -1 "$dir/plots/rss_curve_one.csv" | tr , '\n' | tail -1) $(grep -c '^stalling,[^,]*,,,,[0-9.]*,.*[0-9]$' "$dir/plots/rss_curve_one.csv")" \
    "stall_ms $(sed 1d "$stalls" | wc -l)" 'all of them, beside the curve'
like "$(<"$dir/plots/rss_curve_one.svg")" 'triangles: timed calls that took 1 ms or more' 'and named'
done_testing
