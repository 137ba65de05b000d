# The gate over a workload that reports what it is told: flags, confirmations, rounds, exit codes and files.
source "$(dirname "$0")/gated.bash"

arms equal
gated --strict
is "$rc" 0 'equal libraries are clean'
is "$(json '$v->{version}, $v->{overall}, $v->{exit_code}')" 1clean0 'and so says verdict.json'
is "$(cell ops_per_s verdict) $(cell alloc_failed verdict)" 'unchanged unchanged' 'cell by cell'
is "$(head -1 "$dir/stats.csv")" \
    cell_id,workload,params,metric,direction,base,cand,n,base_median,cand_median,ratio,ci_lo,ci_hi,p,p_holm,threshold,visible,verdict,threshold_from \
    'stats.csv has its columns'
is "$(csv_column "$dir/stats.csv" n | paste -sd' ')" '10 10' 'pairs are counted'
is "$(csv_column "$dir/stats.csv" threshold | paste -sd' ')" '0.03 ' 'a threshold is a share, or unknown'
first=$(<"$dir/stats.csv")
run stats "$dir"
is "$rc $(<"$dir/stats.csv")" "0 $first" 'the same record gives the same figures'

arms slow 'confirm: true'
cells=. gated
is "$rc" 10 'a slow candidate is a regression'
is "$(cell ops_per_s verdict)$(cell ops_per_s confirmed)" regression1 'which a second set confirms'
is "$(cell alloc_failed verdict)" unchanged 'other metrics are not touched by it'
like "$(cell ops_per_s ratio)" '^0\.95' 'by about 5 %'
is "$(csv_column "$dir/runs.csv" round | sort -n | tail -1)" 20 'the second set are other rounds'
is "$(csv_column "$dir/runs.csv" seed | sort -u | wc -l)" 40 'with other seeds'
like "$out" 'REGRESSION, confirmed' 'the table says it'

rows() { (($(wc -l <"$dir/runs.csv") > $1)); }
start -w one
until_true 20 rows 15
kill -9 "$pid"
wait "$pid" 2>/dev/null
run resume "$dir" --lock "$work/lock"
# 12: the machine may disturb a sample at any time, which the gate does not mind.
like "$rc $(wc -l <"$dir/runs.csv")" "^(0|12) $(wc -l <"$dir/plan.csv")\$" 'a run that was killed is completed'
run gate "$dir"
is "$rc $(cell ops_per_s confirmed)" '10 1' 'and decided alike'

sed -i 's/FAKE_SLOW_PCT=5/FAKE_SLOW_PCT=1/' "$work/conf/allocators.yaml"
gated
is "$rc $(cell ops_per_s verdict)" '0 unchanged' 'a change inside the threshold is none'
is "$(csv_column "$dir/runs.csv" invalid_reason | sort | uniq -c | sed 's/^ *//')" \
    $'20 \n20 gate: nothing to confirm' 'and there is nothing to confirm'
sed -i 's/FAKE_SLOW_PCT=1/FAKE_SLOW_PCT=5/' "$work/conf/allocators.yaml"

cells=. run_matrix --rounds 6 --dry-run
like "$err" "cell 'two': 6 rounds can flag nothing among 2 comparisons; it takes 7" 'too few rounds to flag anything are named'
cells=. run_matrix --rounds 6 --dry-run --shard 1/2
like "$err" "cell 'two': 6 rounds can flag nothing among 2 comparisons; it takes 7" 'also those of a slice, which is judged with the others'

# A first set that flags by chance: its rows are made slow in the record, the second set's stay what they are.
arms equal 'confirm: true'
run_matrix -w one
dir=$out
like "$err" 'round 11  one  skipped   ETA' 'a block that is not needed is said to be skipped, not to be bad'
perl -i -pe 's/gate: nothing to confirm//; s/,skipped,/,ok,/' "$dir/runs.csv"
perl -MList::Util=first -i -e '
    my @names; while (<>) { chomp; my @f = split /,/, $_, -1; if (!@names) { @names = @f; print "$_\n"; next }
    my %at; @at{@names} = 0 .. $#names; my $slow = $f[$at{allocator}] eq "equal" && $f[$at{round}] <= 10 ? 0.9 : 1;
    $f[$at{ops_per_s}] = int(1e6 * $slow * (1 + $f[$at{round}] / 1e4)); $f[$at{alloc_failed}] = 0; print join(",", @f), "\n" }' "$dir/runs.csv"
run gate "$dir"
is "$rc $(cell ops_per_s verdict)$(cell ops_per_s confirmed)" '0 regression0' 'a flag that is not confirmed is no regression'
run gate "$dir" --strict
is "$rc" 11 'but inconclusive'

# rewrite CONDITION COLUMN VALUE: in the rows for which a perl expression over %f holds, a row's fields by their names.
rewrite() {
    perl -i -e '
        my ($condition, $column, $value) = splice @ARGV, 0, 3;
        my @names; while (<>) { chomp; my @v = split /,/, $_, -1; if (!@names) { @names = @v; print "$_\n"; next }
        my %f; @f{@names} = @v; $f{$column} = $value if eval $condition; print join(",", @f{@names}), "\n" }' \
        "$1" "$2" "$3" "$dir/runs.csv"
}

arms equal
gated
rewrite '$f{round} == 1' status invalid
rewrite '$f{round} == 1' invalid_reason 'block: base: steal: 9.0 % of CPU time went to other guests'
run gate "$dir"
is "$rc $(cell ops_per_s verdict) $(cell ops_per_s n)" '0 unchanged 9' 'what the machine did to a block is no failure of the candidate'
rewrite '$f{round} == 1' invalid_reason 'block: checksum: base has 1; equal has 2'
run gate "$dir"
is "$rc $(cell ops_per_s verdict)" '12 failed' 'unequal work is'

rewrite 1 status invalid
rewrite 1 invalid_reason 'block: base: steal: 9.0 % of CPU time went to other guests'
run gate "$dir"
is "$rc $(cell ops_per_s verdict)" '11 inconclusive' 'a run of which nothing counts says that it is blind'

arms equal
gated
rewrite '$f{allocator} eq "equal" && $f{round} <= 3' ops_per_s ''
run gate "$dir" --strict
is "$rc $(cell ops_per_s verdict) $(cell ops_per_s missing)" '11 inconclusive 3' 'rounds without a value are not passed over'

# A time to give memory back: the base takes 50 ms, the candidate gives none back and holds more, or less.
arms equal
sed -i 's/metric: ops_per_s, threshold_pct: 3/metric: idle_return_ms, threshold_pct: 5/' "$matrix"
sed -i 's/metrics: .*/metrics: [{name: ops_per_s, direction: up}, {name: idle_return_ms, direction: down}]/' "$work/conf/workloads.yaml"
gated
rewrite '$f{allocator} eq "base"' idle_return_ms 50
rewrite '$f{allocator} eq "base"' idle_rss_kib 1000
rewrite '$f{allocator} eq "equal"' idle_rss_kib 2000
run gate "$dir"
is "$rc $(cell idle_return_ms verdict) $(cell idle_return_ms missing)" '10 regression 10' 'memory that is not given back is a regression'
like "$out" 'REGRESSION \(in 10 rounds only base has a value\)' 'which the table says'
run report "$dir" --scripts "$(dirname "$0")/../../plots"
like "$(<"$dir/report.md")" 'gone in 10 rounds' 'and the report'
rewrite '$f{allocator} eq "equal"' idle_rss_kib 900
run gate "$dir"
is "$rc $(cell idle_return_ms verdict)" '0 inconclusive' 'but not if it was given back before'
rewrite '$f{allocator} eq "base"' idle_return_ms ''
rewrite '$f{allocator} eq "equal"' idle_return_ms 50
run gate "$dir"
is "$rc $(cell idle_return_ms verdict)" '0 inconclusive' 'nor has a candidate failed that is the first to give memory back'
like "$out" 'inconclusive \(base has no value\)' 'which the table says'
sed -i 's/metrics: .*/metrics: [{name: ops_per_s, direction: up}]/' "$work/conf/workloads.yaml"

arms equal
sed -i 's/rounds: 10/rounds: 5/' "$matrix"
gated --strict
is "$rc $(cell ops_per_s verdict) $(cell ops_per_s ci_lo)" '11 inconclusive null' 'five rounds have no interval'
run_matrix -a equal -w one
run gate "$out" --strict
is "$rc" 11 'a gate without its base says nothing'

arms slow 'rounds_max: 30'
sed -i 's/rounds: 10/rounds: 4/' "$matrix"
gated
is "$rc $(cell ops_per_s verdict) $(cell ops_per_s n)" '10 regression 6' 'rounds go on until a p can be small enough'
run_matrix --shard 1/2
dir=$out
run gate "$dir"
is "$(cell ops_per_s n)" 7 'among the comparisons of all slices'

arms slow 'confirm: true'
gated
sed -i '22,$d' "$dir/runs.csv"
run gate "$dir"
is "$rc $(cell ops_per_s verdict)$(cell ops_per_s confirmed)" '11 regression0' 'a flag whose second set is not measured is not confirmed, and the gate says that it is blind'

arms quick
gated
is "$rc $(cell ops_per_s verdict)" '0 improved' 'a faster candidate is improved'

arms failing 'confirm: true'
gated
run report "$dir" --scripts "$(dirname "$0")/../../plots"
like "$(<"$dir/report.md")" 'alloc_failed .* 0 -> 1 ' 'report.md says what a count that was 0 became'
like "$(<"$dir/report.html")" '<td>0 -&gt; 1<' 'so does report.html'
run gate "$dir"
is "$rc" 10 'one more failed allocation is a regression'
is "$(cell alloc_failed verdict)$(cell alloc_failed confirmed)$(cell alloc_failed p)" regression1null 'without statistics'

arms crashing
gated
is "$rc $(json '$v->{overall}')" '12 failed' 'a candidate that crashes has failed'
is "$(cell ops_per_s verdict) $(cell ops_per_s n) $(cell ops_per_s ratio)" 'failed 0 null' 'with numbers that are unknown, not 0'
# A program that dies before its libraries are looked up is invalid instead; all of them are counted.
is "$(json 'join " ", (sort map { $_->{allocator} } @{$v->{failures}})[0], eval join "+", map { $_->{count} } @{$v->{failures}}')" \
    'crashing 10' 'and is named'

arms copy
gated
is "$rc $(cell ops_per_s verdict) $(cell ops_per_s n)" '0 identical 0' 'the same library and environment is identical'
is "$(csv_column "$dir/runs.csv" status | sort -u)" skipped 'and not run, nor is the base'

arms 'equal, copy' 'confirm: true'
sed -i 's/cand: \[equal, copy\]/cand: [copy], aa: [base, equal]/' "$matrix"
gated
is "$rc $(cell ops_per_s cand | tr -d '\n')" '0 copyaa:base' 'an A/A arm is run and compared, with its own library and environment'

arms slow 'rounds_max: 30' 'confirm: true'
gated
is "$rc" 10 'more rounds than the least may be planned'
is "$(csv_column "$dir/runs.csv" invalid_reason | sort -u)" $'\ngate: the interval is narrow enough' 'but are not run in vain'
is "$(csv_column "$dir/runs.csv" status | grep -c ok)" 40 'in either set'

# Noise that no threshold of 0.05 % can see through: all rounds are run, or the budget ends them.
arms equal 'rounds_max: 14'
sed -i 's/threshold_pct: 3/threshold_pct: 0.05/' "$matrix"
gated --strict
is "$rc $(cell ops_per_s verdict) $(cell ops_per_s n)" '11 inconclusive 14' 'a wide interval gets more rounds'
arms equal 'rounds_max: 14' 'budget_s: 0.001'
sed -i 's/threshold_pct: 3/threshold_pct: 0.05/' "$matrix"
gated
is "$rc $(cell ops_per_s verdict) $(cell ops_per_s n)" '0 inconclusive 10' 'within the budget, and only with --strict an exit code'

# Rounds drawn from a record in the place of processes.
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
gates: [{metric: ops_per_s, threshold_pct: 3}]
arms: {base: [base], cand: [equal, slow]}
cells: [{id: one, workload: fake, rounds: 10, expect_s: 0.1}]
YAML
run_matrix --rounds 24
pool=$out
sed -i 's/^gates/confirm: true\nrounds_max: 12\ngates/; s/cand: .*/cand: [slow]}/' "$matrix"
run selftest-gate "$matrix" --pool "$pool" --rounds 5
is "$rc" 0 'a pool is drawn from'
like "$out" '^slow +planted: of 5 runs 5 flagged, 5 confirmed \(.*, 5 within 600 s\); median [0-9]+ s' 'a planted slowdown is always found'
sed -i 's/cand: .*/cand: [equal]}/' "$matrix"
run selftest-gate "$matrix" --pool "$pool" --rounds 5
like "$out" 'of 5 runs 0 flagged, 0 confirmed' 'and nothing where there is nothing'
sed -i 's/rounds_max: 12/rounds_max: 30/; s/threshold_pct: 3/threshold_pct: 0.01/' "$matrix"
run selftest-gate "$matrix" --pool "$pool" --rounds 1
like "$rc $err" "^74 .*the pool has 24 rounds of 'base' in cell 'one'; a run needs round 25" 'no block is drawn twice'
sed -i 's/rounds_max: 30/rounds_max: 12/; s/threshold_pct: 0.01/threshold_pct: 3/' "$matrix"

# The whole way, with processes: the exit codes of the gate are looked at.
sed -i 's/cand: .*/cand: [same, slow]}/' "$matrix"
echo '  - {name: same, inherits: base, env: [FAKE_NOISE=7]}' >>"$work/conf/allocators.yaml"
run selftest-gate "$matrix" -o "$results" --lock "$work/lock"
is "$rc" 0 'a gate that finds what is planted passes its own test'
like "$out" 'same: the gate exits 0, expected 0.*slow: the gate exits 10, expected 10' 'and says what it found'
sed -i 's/FAKE_SLOW_PCT=5/FAKE_SLOW_PCT=0/' "$work/conf/allocators.yaml"
run selftest-gate "$matrix" -o "$results" --lock "$work/lock" -a slow
is "$rc" 10 'one that finds nothing fails it'
like "$out" 'slow: the gate exits 0, expected 10   WRONG' 'by name'
sed -i 's/FAKE_SLOW_PCT=0/FAKE_SLOW_PCT=5/' "$work/conf/allocators.yaml"

# The host's own A/A figures widen a threshold.
arms slow
gated
is "$rc" 10 'a slow candidate'
nights_of() { # nights_of RATIO: five nights whose A/A arm seemed to be so much slower
for night in 1 2 3 4 5; do
    folder=$results/merged_$night
    mkdir -p "$folder"
    night=$night perl -MJSON::PP -0ne '$m = decode_json($_); $m->{created_utc} = "2000-01-0$ENV{night}T00:00:00Z";
        $_->{role} = "aa" for grep { $_->{name} eq "slow" } @{$m->{allocators}};
        print encode_json($m)' "$dir/manifest.json" >"$folder/manifest.json"
    cp "$dir/plan.csv" "$folder"
    {
        head -1 "$dir/stats.csv"
        echo one,w,ms=1,ops_per_s,up,base,slow,10,1,$1,$1,,,,,,,,
        echo one,w,ms=1,ops_per_s,up,base,other,10,1,0.5,0.5,,,,,,,,
    } >"$folder/stats.csv"
done
}
nights_of 0.96
run gate "$dir"
like "$(cell ops_per_s threshold) $(cell ops_per_s threshold_from)" '^0\.0416.* aa$' 'what five nights of A/A showed is the threshold'
nights_of 0.9
run gate "$dir"
is "$rc $(cell ops_per_s threshold) $(cell ops_per_s threshold_from)" '0 0.06 aa capped' 'but no more than twice the gate'
like "$out" '6\.0 % A/A, capped' 'which is marked'
rm "$results"/merged_[45]/stats.csv # one more is the record of the A/A arm above
run gate "$dir"
is "$rc" 10 'four nights are too few'

arms equal
sed -i '/^gates/,/exact/d' "$matrix"
gated
like "$rc $err" '^64 .*has no gates' 'a matrix without gates cannot be decided'
[[ -s $dir/stats.csv ]]
ok $? 'but compared'
done_testing
