# Messages and exit codes of the command line.
source "$(dirname "$0")/lib.bash"

run
is "$rc" 64 'no command is a usage error'
like "$err" 'Usage: hzb COMMAND' 'that shows the usage'
run --help
is "$rc" 0 'help is not'
for command in plan run resume list doctor plot table stats gate baseline selftest-gate; do
    like "$out" "  $command " "help names $command"
    "$hzb" $command --help >/dev/null
    ok $? "$command --help"
done
run fly
is "$rc $err" "64 hzb: no command 'fly'; see hzb --help" 'an unknown command is named'
run run
is "$rc" 64 'run without a matrix is a usage error'
run plan "$matrix" --frob
is "$rc" 64 'an unknown option is a usage error'
run plan "$matrix" -a '('
is "$rc $err" "64 hzb: -a '(': not a regular expression" 'a bad pattern is named'
run plan "$matrix" -a zzz
is "$rc $err" "64 hzb: -a 'zzz': matches no arm of the matrix" 'a pattern that matches no arm is named'
run plan "$matrix" -a 'a|plai'
is "$(cut -d, -f7 <<<"$out" | sort -u | paste -sd' ')" 'a allocator' 'a pattern stands for whole names, not for all that contain it'
(cd "$work/conf/matrix" && "$hzb" plan m --config "$work/conf") >"$work/out" 2>&1
is "$? $(head -1 "$work/out" | cut -d, -f1-3)" '0 seq,round,slot' 'a matrix can be named by its name'
run plan "$matrix" -w zzz
is "$rc $err" '64 hzb: the filters -w, -p leave no cell of the matrix, which has: one, two' 'filters that leave nothing are an error'
run plan "$matrix" -p ms
like "$rc $err" "^64 .*-p 'ms': expected key=value" 'a bad -p is named'
run plan "$matrix" --rounds 0
like "$rc $err" "^64 .*--rounds '0': expected a whole number from 1 to 10000" 'bad rounds are named'
run plan "$matrix" --allocator "x=$work/none.so"
is "$rc $err" "64 hzb: --allocator 'x': no readable library '$work/none.so'" 'a missing --allocator is named'
run plan "$matrix" --allocator x
is "$rc $err" "64 hzb: --allocator 'x': expected name=/path/lib.so" 'a bad --allocator is named'
run plan "$matrix" --allocator "a,b=$BUILD/tests/libhzbfake_b.so"
is "$rc $err" "64 hzb: --allocator 'a,b': expected a name of letters, digits, '_', '.', '-'" 'so is a name that files cannot take'
mkdir "$work/my code" && cp "$BUILD/tests/libhzbfake_b.so" "$work/my code/lib.so"
run plan "$matrix" --allocator "text=$matrix"
is "$rc $err" "64 hzb: --allocator 'text': '$matrix' is no ELF file, expected a shared library" 'a text is no library'
run plan "$matrix" --allocator "x=$work/my code/lib.so"
is "$rc $err" "64 hzb: allocator 'x': '$work/my code/lib.so': LD_PRELOAD takes no path with a blank or a colon; put it elsewhere" \
    'and a path that LD_PRELOAD cannot take'
run plan "$work/none.yaml" --config "$work/conf"
is "$rc $err" "64 hzb: $work/none.yaml: No such file or directory" 'a missing matrix is named'
run run "$matrix" --build "$work" -o "$results"
is "$rc" 64 'a missing program is a usage error'
[[ ! -e $results ]]
ok $? 'that leaves nothing behind'

run plan "$matrix"
is "$rc" 0 'plan exits 0'
is "$(wc -l <"$work/out")" 16 'a plan has a line for each process'
like "$err" '15 processes, 3 allocators, about' 'plan says how long'
sed -i 's/rounds: 3/rouds: 3/' "$matrix"
run plan "$matrix"
is "$rc $err" "64 hzb: $matrix:7:31: unknown key 'rouds', expected one of: id, workload, params, rounds, least, expect_s" \
    'an unknown key is named with its line and column'
sed -i 's/rouds: 3/rounds: 3/' "$matrix"

run list "$matrix" --config "$work/conf"
is "$rc" 0 'list exits 0'
like "$out" "a +$BUILD/tests/libhzbfake_a.so.*fake +$BUILD/tests/hzb_fake_workload.*two +fake, 2 rounds" 'list shows what there is'
like "$out" 'build: lane=fake front=auto defs=-DX=1 -DY' 'and what a library says of its build'
run doctor --config "$work/conf"
is "$rc" 0 'doctor exits 0 with warnings'
like "$out" 'allocator +3 allocators are ready' 'doctor looks for the allocators'
like "$out" 'probe +.*CPUs.*; a step of computing [0-9.]+ ns, of memory [0-9]+ ns' 'and at the distance of the CPUs'
mkdir -p "$work/seen/one"
touch "$work/seen/one/plan.csv"
machine=$(cat /etc/machine-id 2>/dev/null) || machine=
printf '{"host": {"machine_id": %s}, "modes": [%s, %s]}' "${machine:+\"}${machine:-null}${machine:+\"}" \
    '{"pp_median_ns": 55.0, "pp_lo_ns": 54.0, "pp_hi_ns": 58.0, "probes": 9}' \
    '{"pp_median_ns": 512.0, "pp_lo_ns": 480.0, "pp_hi_ns": 590.0, "probes": 3}' >"$work/seen/one/manifest.json"
run doctor --config "$work/conf" -o "$work/seen"
like "$out" 'saw 2 modes of this machine: 55 ns, 512 ns' 'doctor names the modes that earlier runs saw'
run doctor --config "$work/conf" --json
is "$(perl -MJSON::PP -0ne 'my $f = decode_json($_); print scalar grep { !$_->{check} || $_->{level} !~ /^(ok|warn)$/ || !$_->{finding} } @$f' "$work/out")" \
    0 'doctor speaks JSON'
run table "$work/none"
is "$rc" 74 'a missing result folder is exit code 74'
run plot "$work/none"
is "$rc" 74 'for plot too'

run_matrix -w two --rounds 1
dir=$out
run plot "$dir" --scripts plots # $BUILD may be anywhere
is "$rc" 0 'plot exits 0'
for figure in throughput rss_curve_two pareto_two; do
    like "$(head -c 400 "$dir/plots/$figure.svg")" '<svg' "$figure.svg is drawn"
    is "$(head -c 4 "$dir/plots/$figure.png" | tail -c 3)" PNG "$figure.png is drawn"
done
is "$(head -1 "$dir/plots/rss_curve_two.csv")" allocator,t_ms,phase,rss_mib,live_mib,aligned_ms,reclaim_pages,own_counter 'curves have the counters of all arms'
is "$(grep -c '^$' "$dir/plots/rss_curve_two.csv")" 4 'curves are separated by two empty lines'
is "$(head -1 "$dir/plots/throughput.csv")" workload_cell,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n 'throughput has its columns'
like "$(<"$dir/plots/throughput.csv")" 'two,plain,1000000,1000000,1000000,1' 'and its figures'
is "$(head -1 "$dir/plots/pareto_two.csv")" allocator,ops_per_s_median,peak_rss_mib_median 'pareto has its columns'
[[ ! -e $dir/plots/scaling.csv ]]
ok $? 'there is no scaling without thread counts'
sed -i 's/,1000000,/,0.83,/' "$dir/runs.csv"
: >"$dir/rss/1.csv"
run plot "$dir" --scripts plots
is "$rc" 0 'a curve that is empty stops no figure'
like "$err" "$dir/rss/1.csv: is empty, expected a header line.*$dir/rss/1.csv: left out of the figure" 'it is named'
is "$(cut -d, -f1 "$dir/plots/rss_curve_two.csv" | sort -u | grep -c 'a\|b\|plain')" 3 'and left out' # with the header, two arms
printf '%s\n' t_ms,phase 1,work >"$dir/rss/1.csv"
run plot "$dir" --scripts plots
like "$rc $err" "^0 .*$dir/rss/1.csv: row 1: 2 columns, expected t_ms.*: left out of the figure" 'so is one of other columns'
like "$(<"$dir/plots/throughput.csv")" 'two,plain,0.83,0.83,0.83,1' 'fractions of an operation a second are kept'
like "$(<"$dir/plots/pareto_two.csv")" 'plain,0.83,' '... in every figure'
run plot "$dir" --scripts "$work"
is "$rc" 74 'missing scripts are exit code 74'

cat >>"$work/conf/workloads.yaml" <<YAML
  - name: scaled
    bin: "{build}/tests/hzb_fake_workload"
    argv: ["{ms}", "{seed}"]
    params: [ms=1, threads=1, share=0, option=]
    metrics: [{name: ops_per_s, direction: up}]
    timeout_s: 20
YAML
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
arms: {cand: [a], refs: [plain]}
cells:
  - {id: four, workload: scaled, params: [threads=4], rounds: 1, expect_s: 0.1}
  - {id: two, workload: scaled, params: [threads=2], rounds: 1, expect_s: 0.1}
  - {id: eight, workload: scaled, params: [threads=8], rounds: 1, expect_s: 0.1}
  - {id: other, workload: scaled, params: [threads=8, share=50], rounds: 1, expect_s: 0.1}
YAML
run_matrix
dir=$out
run plot "$dir" --scripts plots
is "$rc" 0 'plot draws cells that differ in threads'
row() { echo "scaled: ms=1 share=0,$1,1000000,1000000,1000000,1"; }
is "$(<"$dir/plots/scaling.csv")" "set,threads,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n
$(row 2,a)
$(row 4,a)
$(row 8,a)
$(row 2,plain)
$(row 4,plain)
$(row 8,plain)" 'scaling has the cells of one set by threads, an allocator at a time, and no cell that stands alone'
like "$(head -c 400 "$dir/plots/scaling.svg")" '<svg' 'scaling.svg is drawn'
done_testing
