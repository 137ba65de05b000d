# Instructions as a metric: counted by valgrind, gated, and in every file and page that shows a metric.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

cp "$top/harness/workloads.yaml" "$top/harness/allocators.yaml" "$work/conf/"
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
arms: {base: [plant_none], cand: [plant_same, plant_extra1]}
gates: [{metric: instructions, threshold_pct: 0.3}]
confirm: true
cells:
  - {id: count, workload: mixed_instructions, params: [iters=20000], rounds: 3, expect_s: 0.5}
  - {id: timed, workload: random_mixed, params: [threads=1, remote_pct=0, iters=2000], rounds: 1, expect_s: 0.1}
YAML

mkdir "$work/bin"
for tool in env sha256sum git; do ln -s "$(command -v $tool)" "$work/bin/"; done
PATH=$work/bin run_matrix -w count
is "$rc" 64 'without valgrind nothing is measured'
like "$err" "workload 'mixed_instructions' of cell 'count' counts instructions, and valgrind is not installed: make setup" 'and hzb says what is missing'
PATH=$work/bin run doctor --config "$work/conf"
like "$out" 'valgrind cannot be run' 'doctor says it, too'
PATH=$work/bin run_matrix -w timed --dry-run
is "$rc" 0 'cells that need no valgrind can be measured without it'

if ! command -v valgrind >/dev/null; then
    skip 'instructions are counted' 'valgrind is not installed'
    done_testing
    exit
fi
run_matrix --test -w count
is "$rc" 0 'a test run works under valgrind, too'
like "$err" '3 samples: 3 ok' 'with the allocators that were asked for'

run_matrix
dir=$out
is "$rc" 0 'the matrix is measured'
column() { paste -d' ' <(csv_column "$dir/runs.csv" cell_id) <(csv_column "$dir/runs.csv" "$1") | grep "^$2 " | cut -d' ' -f2; }
is "$(column instructions count | grep -c '^[1-9][0-9]*$') $(column ops_per_s count | grep -c .)" '18 0' \
    'each process has a count, and no speed of valgrind'
is "$(column instructions timed | grep -c .) $(column ops_per_s timed | grep -c .)" '0 3' 'elsewhere it is the other way around'
is "$(column seed count | sort -u | wc -l)" 2 'the rounds of a set repeat one seed'
is "$(paste -d' ' <(csv_column "$dir/runs.csv" cell_id) <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" seed) \
    <(csv_column "$dir/runs.csv" instructions) | grep '^count .*[0-9]$' | sort -u | wc -l)" 6 'and count the same each time'
run gate "$dir"
is "$rc" 10 'one percent of instructions more is a regression'
like "$out" 'instructions +plant_same : plant_none +3 .* unchanged' 'the same library is not'
like "$out" 'instructions +plant_extra1 : plant_none +3 +\+[01]\.[0-9]+ %.*REGRESSION, confirmed' 'three runs are enough, and three confirm it'
like "$(<"$dir/junit.xml")" 'instructions' 'junit.xml has it'
is "$(csv_column "$dir/stats.csv" metric | grep -c instructions)" 2 'so has stats.csv'
run table "$dir"
like "$out" 'M instructions' 'the table shows counts'
run report "$dir" --scripts "$top/plots"
like "$(<"$dir/report.html")" 'instructions of plant_extra1' 'the page shows them'
like "$(<"$dir/report.md")" 'instructions' 'the comment, too'
run history rebuild --reference plant_none -o "$results"
run history trend --metric instructions -o "$results" --scripts "$top/plots"
is "$rc" 0 'history knows the metric'
sed -i 's/valgrind-[0-9.]*/valgrind-0.1/' "$dir/manifest.json"
run resume "$dir" --lock "$work/lock"
is "$rc" 13 'another valgrind would count otherwise: no resume'
like "$err" "workload 'mixed_instructions': valgrind-0.1 counted, here is valgrind-" 'which says both'

# A variant that is built for its count: hz3 without the low-water marks of depots, as in the shipped matrix.
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
arms: {cand: [s45_mark_alone, s45_no_mark]}
cells:
  - {id: mark_instructions, workload: deep_instructions, rounds: 1, expect_s: 2}
YAML
run_matrix --build "$BUILD"
dir=$out
read -r with without <<<"$(paste -d' ' <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" instructions) |
    sort | cut -d' ' -f2 | paste -sd' ')"
grep -q '"build": "[^"]* -DHZ3_DEPOT_MARK=0' "$dir/manifest.json"
ok $? 'the library without marks says so'
# A busy machine disturbs either count by more than a mark costs.
((rc == 0 && with * 1000 > without * 999 && with * 1000 < without * 1001))
ok $? "a mark costs less than one instruction in a thousand: $with, $without without"
done_testing
