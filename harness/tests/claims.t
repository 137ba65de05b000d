# Derived metrics and claims: what a matrix says about its figures, and whether the record bears it out.
source "$(dirname "$0")/lib.bash"

sed -i '/^cells:/,$d' "$matrix"
cat >>"$matrix" <<YAML
derived:
  - {name: rss_per_live, expr: peak_rss_kib / live_peak_kib, direction: down}
claims:
  - {cell: one, arm: a, metric: ops_per_s, vs: plain, at_least: 0.9}
  - {cell: one, arm: a, metric: ops_per_s, vs: best_ref, at_least: 1.2}
  - {cell: one, arm: b, metric: rss_per_live, at_most: 2}
  - {cell: one, arm: b, metric: rss_per_live, vs: plain, at_least: 0.9, at_most: 1.1}
  - {cell: two, arm: a, metric: alloc_failed, at_most: 0}
  - {cell: two, arm: b, metric: idle_return_ms, at_most: 5}
cells:
  - {id: one, workload: fake, rounds: 3, expect_s: 0.1}
  - {id: two, workload: fake, params: [ms=20], rounds: 6, expect_s: 0.1}
YAML
cp "$matrix" "$work/good.yaml"
run_matrix
dir=$out
set_figures ops_per_s one/plain=1000 'one/a=1000;1300;1400'
set_figures peak_rss_kib one/plain=3000 'one/b=6000;6600;6900'
set_figures live_peak_kib one/plain=3000 one/b=3000
set_figures alloc_failed 'two/a=0;0;0;0;0;7'
set_figures idle_return_ms 'two/b=1;2;3;4;5;9'

run claims "$dir"
is "$rc" 10 'a claim that fails is a regression'
like "$(tr -s ' ' <<<"$out")" '
 holds one a ops_per_s plain at least 0.9 1.3 1 1.4
 open one a ops_per_s plain at least 1.2 1.3 1 1.4
 open one b rss_per_live - at most 2 2.2 2 2.3
 fails one b rss_per_live plain 0.9 to 1.1 2.2 2 2.3
 open two a alloc_failed - at most 0 0 0 7
 open two b idle_return_ms - at most 5 3.5 1 9' 'each has its figure with the range of the rounds, and what comes of it'
like "$out" '1 of 6 claims hold, 4 are open, 1 fail' 'and they are counted'
set_figures peak_rss_kib one/b=3000
set_figures alloc_failed two/a=0
run claims "$dir"
is "$rc" 0 'open ones are none'
like "$(tr -s ' ' <<<"$out")" ' holds two a alloc_failed - at most 0 0 0 0' 'a count may have no range'
run claims --strict "$dir"
is "$rc" 11 'but with --strict'
run claims --markdown "$dir"
like "$out" '\| holds \| one \| b \| rss_per_live \| plain \| 0.9 to 1.1 \| 1 \| 1 \| 1 \|' 'a README can have them'
run export --summary "$dir"
like "$out" 'one,b,cand,rss_per_live,3,1,1,1,,' 'an export has the derived metrics'
run report "$dir" --scripts "$(dirname "$0")/../../plots"
like "$(<"$dir/report.html")" '<h2 id="claims">Claims</h2>' 'the report has them, too'
like "$(<"$dir/report.md")" '5 of 6 claims hold, 1 are open, 0 fail|4 of 6 claims hold, 2 are open, 0 fail' 'and report.md their number'
set_figures live_peak_kib one/plain= one/b=0
run claims "$dir"
like "$(tr -s ' ' <<<"$out")" ' open one b rss_per_live plain 0.9 to 1.1 - - -' 'without a figure a claim is open'

refused() { # refused SED-SCRIPT MESSAGE
    sed "$1" "$work/good.yaml" >"$matrix"
    run plan "$matrix"
    like "$rc $err" "^64 .*m.yaml:[0-9]+:.*$2" "refused: $2"
}
refused 's/cell: two, arm: a/cell: three, arm: a/' "claim 'three': no cell of that id"
refused 's/arm: b, metric: idle/arm: c, metric: idle/' "claim 'c': no arm of that name"
refused 's/metric: idle_return_ms/metric: idle_return/' "claim 'idle_return': expected a column of runs.csv or a derived"
refused 's/vs: best_ref/vs: best/' "claim 'best': expected best_ref or an arm"
refused 's/, at_most: 5}/}/' "claim 'two': expected at_least or at_most"
refused 's/peak_rss_kib . live/peak_rss \/ live/' "derived metric 'rss_per_live' .*: expected columns of runs.csv"
refused 's/peak_rss_kib . live/peak_rss_kib % live/' "derived metric 'rss_per_live' .*: expected columns, numbers"
refused 's/name: rss_per_live/name: ops/; s/metric: rss_per_live/metric: ops/; s/name: ops,/name: wall_s,/' 'is a column of runs.csv'
sed '/^claims:/,/^cells:/{/^cells:/!d}' "$work/good.yaml" >"$matrix"
run_matrix
run claims "$out"
is "$rc" 64 'a matrix without claims has none to look at'
done_testing
