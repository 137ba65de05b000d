# hzb report: what it says with and without verdicts, what it refuses, and that a browser shows it.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

run_matrix
dir=$out
has() { # has FILE TEXT NAME
    grep -qF -- "$2" "$dir/$1"
    ok $? "$3"
    grep -qF -- "$2" "$dir/$1" || head -c 3000 "$dir/$1" | sed 's/^/# /'
}
has_not() { # has_not FILE REGEX NAME
    [[ -s $dir/$1 ]] && ! grep -qE -- "$2" "$dir/$1"
    ok $? "$3"
    grep -oE -- "$2" "$dir/$1" | head -3 | sed 's/^/# /'
}
report() { run report "$dir" --scripts "$top/plots"; }

report
is "$rc" 0 'a run that nobody judged has a report'
like "$(<"$dir/report.md")" '- one: [ab]l?a?i?n? is fastest \(1.00 M ops/s\); ' 'which begins with who wins, and by how much'
has report.html '<div class="overall unjudged">' 'which says that there is no verdict'
has report.html '<td>1.00<small>1.00..1.00</small></td>' 'and shows the medians with the least and the most'
like "$(tr -s ' ' <"$dir/report.md")" '
 one ops/s 1.00M ±∞ 1.00M ±∞ 1.00M ±∞
' 'report.md has medians, without an interval below six values'
has report.md '±∞: fewer than 6 samples have no interval' 'and says why'
has report.md '15 of 15 samples recorded, 0 of them do not count' 'and says how many samples there are'
run stats "$dir"
report
like "$(tr -s ' ' <"$dir/report.md")" '
 one ops/s 1.00M ±∞ 1.00M ±∞ 1.00M ±∞
' 'it still has them once its arms were compared without a gate'

columns=cell_id,workload,params,metric,direction,base,cand,n,base_median,cand_median,ratio,ci_lo,ci_hi,p,p_holm,threshold,verdict
cat >"$dir/stats.csv" <<CSV
$columns
one,fake,ms=60,peak_rss_kib,down,plain,a,3,1000,1001,1.001,0.99,1.01,0.7,1,0.03,unchanged
one,fake,ms=60,ops_per_s,up,plain,a,3,1000000,900000,0.9,0.88,0.92,0.001,0.004,0.03,regression
two,fake,ms=20,ops_per_s,up,plain,a,2,1000000,1200000,1.2,1.1,1.3,0.002,0.004,0.03,improved
two,fake,ms=20,peak_rss_kib,down,plain,b,2,1000,,,,,,,0.03,identical
two,fake,ms=20,wall_s,down,plain,a,2,1,1.5,1.5,1.4,1.6,0.2,,,
two,fake,ms=20,peak_rss_kib,down,plain,a,2,1000,1030,1.03,0.95,1.1,0.2,0.4,0.03,inconclusive
CSV
verdict() { # verdict JSON-OF-CELLS [VERSION] [OVERALL]
    cat >"$dir/verdict.json" <<JSON
{"version": ${2-1}, "exit_code": 10, "overall": "${3-regression}", "cells": [
$1],
"failures": [{"cell_id": "one", "allocator": "b", "status": "timeout", "count": 2, "reason": "took <b>&long</b>"}]}
JSON
}
cell() { # cell KEY JSON-VALUE: the regression, confirmed, with that key changed
    perl -MJSON::PP -e '
        my %cell = (cell_id => "one", metric => "ops_per_s", direction => "up", base => "plain", cand => "a", n => 3,
            base_median => 1e6, cand_median => 9e5, ratio => 0.9, ci_lo => 0.88, ci_hi => 0.92, p => 0.001,
            p_holm => 0.004, threshold => 0.03, verdict => "regression", confirmed => JSON::PP::true);
        $cell{$ARGV[0]} = JSON::PP->new->allow_nonref->decode($ARGV[1]) if @ARGV;
        print encode_json(\%cell)' "$@"
}
verdict "$(cell)"
report
is "$rc" 0 'a run that was judged has a report'
has report.html '<div class="overall regression"><b>regression</b>' 'the verdict comes first'
has report.html '<li>a is 10 % slower than plain in one, confirmed</li>' 'in words'
has report.md '- a is 20 % faster than plain in two' 'report.md begins with words, too'
has report.html '<p>6 comparisons: 1 regression (1 confirmed), 1 inconclusive, 1 improved, 1 unchanged, 1 identical, 1 ungated. Failures: 1.' \
    'whose first words are the verdict'
is "$(grep -oE 'id="(verdicts|plots|cells|failures|invalid|environment)"' "$dir/report.html" | paste -sd' ')" \
    'id="verdicts" id="plots" id="cells" id="failures" id="invalid" id="environment"' 'then come verdicts, plots, cells, failures, machine'
is "$(grep -oE 'class="v-[a-z]+">[a-z]+' "$dir/report.html" | cut -d'>' -f2 | paste -sd' ')" \
    'regression inconclusive improved unchanged identical ungated' 'the worst verdict comes first'
has report.html '-10.00 %<small>-12.0 .. -8.0</small>' 'a change has its interval'
has report.html 'took &lt;b&gt;&amp;long&lt;/b&gt;' 'what programs said is text, not markup'
has report.html '<span class="v-regression">regression</span><small>confirmed</small>' 'confirmed is said'
# Six figures: two curves and two clouds by cell, throughput, forest.
is "$(grep -o '<figure>' "$dir/report.html" | wc -l)" 6 'all figures are in the page'
is "$(grep -oE ' id=["'\''][^"'\'']+' "$dir/report.html" | sort | uniq -d | wc -l)" 0 'no id is there twice'
has_not report.html '(src|href)="?https?:|<script|<link|@import' 'nothing is loaded and no script is needed'
has plots/forest.svg '-10.0 %' 'the forest plot names the change'
like "$(tr -s ' ' <"$dir/report.md")" '- one ops/s plain -> a 1.00M ±∞ 1.00M ±∞ -10.00 % \(p=0.001 n=3\) regression confirmed' 'report.md: worse is -'
has report.md '+ two   ops/s     plain -> a' 'better is +'
has report.md '! two   peak RSS  plain -> a' 'undecided is !'
grep -qE '^  one   peak RSS  plain -> a .* ~ \(p=0\.700 n=3\)  unchanged$' "$dir/report.md"
ok $? 'unchanged is ~'

refused() { # refused REGEX NAME
    report
    is "$rc" 74 "$2"
    like "$err" "$1" '... saying where and what'
}
has_not report.md 'wall time' 'what is not gated is not in report.md'
has_not plots/forest.csv 'wall time' '... nor in the forest plot'

verdict "$(cell verdict '"worse"')"
refused "verdict.json: cells\[0\]\.verdict: 'worse', expected one of: regression, failed," 'an unknown verdict is refused'
verdict "$(cell p '"low"')"
refused 'verdict.json: cells\[0\]\.p: expected a number or null' 'a number that is none is refused'
verdict "$(cell)" 2
refused 'verdict.json: version: expected 1' 'another version is refused'
verdict '{'
refused "$dir/verdict.json:[0-9]+:[0-9]+: " 'broken JSON is refused'
rm "$dir/verdict.json"
sed -i 's/^two,fake,ms=20,ops_per_s,up/two,fake,ms=20,ops_per_s,sideways/' "$dir/stats.csv"
refused "stats.csv: row 4, direction: 'sideways', expected one of: up, down" 'an unknown direction is refused'
sed -i '2,$d; s/ratio/ration/' "$dir/stats.csv"
refused "stats.csv: row 1: no column 'ratio'" 'a missing column is refused'

{
    echo $columns
    for i in {1..300}; do echo "c$i,fake,ms=60,ops_per_s,up,plain,a,3,1,2,2,1.9,2.1,0.001,0.004,0.03,regression"; done
} >"$dir/stats.csv"
report
is "$rc" 0 '300 comparisons have a report'
is "$(( $(wc -l <"$dir/report.md") < 100))" 1 'report.md stays below 100 lines'
has report.md '240 more rows' 'and says how many it leaves out'

rm "$dir/stats.csv"
sed -i '2s/,ok,/,timeout,/; 3s/,ok,/,invalid,/' "$dir/runs.csv"
sed -n '2s/,timeout,[^,]*/,invalid,steal: 5 % of CPU time/p' "$dir/runs.csv" >>"$dir/rejected.csv"
report
is "$(perl -0ne 'print join " ", /id="failures".*?>(timeout)<.*id="invalid".*?>steal<\/td><td>(\d)<\/td><td>(\d)</s' "$dir/report.html")" \
    'timeout 0 1' 'failures, and what made samples invalid, are counted'

is "$(grep -c ',2$' "$dir/plots/throughput.csv") $(grep -c ',3$' "$dir/plots/throughput.csv")" '5 1' \
    'figures that are older than the samples are drawn again'

if ! command -v chromium >/dev/null; then
    for name in 'no error on the console' 'tables and pictures are there' 'a phone scrolls in one direction only' \
        'a phone shows verdicts, changes and whole pictures' 'a desk shows verdicts, changes and whole pictures' \
        'light and dark are both drawn'; do
        skip "$name" 'chromium is not installed'
    done
    done_testing
    exit
fi
browse() { # browse ARGS...: stdout of the browser; its console on $work/console
    rm -rf "$work/profile"
    "$(dirname "$0")/../../.ci/within" 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage \
        --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
        --user-data-dir="$work/profile" --enable-logging=stderr --allow-file-access-from-files "$@" 2>"$work/console"
}
cat >"$dir/stats.csv" <<CSV
$columns
one,fake,ms=60,ops_per_s,up,plain,a,3,1000000,900000,0.9,0.88,0.92,0.001,0.004,0.03,regression
two,fake,ms=20,ops_per_s,up,plain,a,2,1000000,1200000,1.2,1.1,1.3,0.002,0.004,0.03,improved
CSV
report
page=file://$dir/report.html
dom=$(browse --dump-dom "$page")
! grep -q CONSOLE "$work/console"
ok $? 'no error on the console'
is "$(grep -o '<table' <<<"$dom" | wc -l) $(grep -c '<path' <<<"$(grep -o '<path' <<<"$dom" | head -1)")" \
    "$(grep -o '<table' "$dir/report.html" | wc -l) 1" 'tables and pictures are there'
in_frame() { # in_frame WIDTH EXPRESSION: its value in the page, shown in a frame of that width
    printf '<iframe src="%s" width="%s" height="800" onload="const d = contentDocument, e = d.documentElement;
        const beyond = s => [...d.querySelectorAll(s)].filter(x => x.getBoundingClientRect().right > e.clientWidth).length;
        document.title = %s"></iframe>' "$page" "$1" "$2" >"$work/frame.html"
    browse --virtual-time-budget=5000 --dump-dom "file://$work/frame.html" | sed -n 's,.*<title>\(.*\)</title>.*,\1,p'
}
is "$(in_frame 360 "e.scrollWidth + ' ' + e.clientWidth")" '360 360' 'a phone scrolls in one direction only'
# Of all that is in the first view of a table: the change and the verdict; of a figure: all of it.
for width in 390 1280; do
    ((width == 390)) && on='a phone' || on='a desk'
    is "$(in_frame $width "[beyond('.headlines li'), beyond('#verdicts + p + .wide td:nth-child(-n+3)'), beyond('figure svg'),
        d.querySelectorAll('#verdicts + p + .wide td').length > 0, d.querySelectorAll('figure svg').length].join(' ')")" \
        "0 0 0 true $(grep -c '<figure>' "$dir/report.html")" "$on shows verdicts, changes and whole pictures"
done
shoot() { browse --window-size=900,700 "--blink-settings=preferredColorScheme=$1" --screenshot="$work/$1.png" "$page"; }
shoot 0 && shoot 1
[[ -s $work/0.png && -s $work/1.png ]] && ! cmp -s "$work/0.png" "$work/1.png"
ok $? 'light and dark are both drawn'
done_testing
