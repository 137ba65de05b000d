# What a nightly needs beside the verdict: files and lines for CI systems, faults that are known, two baselines.
source "$(dirname "$0")/gated.bash"

# xml EXPRESSION: a value of XPath over junit.xml.
xml() { xmllint --xpath "$1" "$dir/junit.xml" 2>&1; }
suite() { xml 'concat(//testsuite/@tests, " ", //testsuite/@failures, " ", //testsuite/@errors, " ", //testsuite/@skipped)'; }

arms 'slow, equal' 'confirm: true'
gated --annotate
is "$rc" 10 'a slow candidate beside an equal one'
if command -v xmllint >/dev/null; then
    is "$(suite)" '4 1 0 0' 'junit.xml has a test case for each gated comparison'
    like "$(xml 'string(//testcase[failure]/@classname)') $(xml 'string(//testcase[failure]/@name)')" \
        '^m.one ops_per_s of slow against base$' 'a regression is a failure, named by cell, metric and allocators'
    like "$(xml 'string(//failure/@message)')" '^ops_per_s in one: -[45]\.[0-9]+ % .*REGRESSION, confirmed$' 'with the change'
    is "$(xml 'string(//property/@value)')" "${dir##*/}" 'the file says of which run it is'
else
    skip 'junit.xml' 'xmllint is not installed'
fi
like "$err" '^::error title=hzb m::ops_per_s in one: -[45]\.[0-9]+ %25 \(.* %25\), REGRESSION, confirmed \(slow against base\)$' \
    'a regression is one ::error::, with its percent signs escaped'
run gate "$dir"
is "$err" '' 'which only --annotate asks for'

arms equal
gated --annotate
is "$rc $err" '0 ' 'a clean gate has nothing to say'
sed -i '5,$d' "$dir/runs.csv"
run gate "$dir" --annotate
is "$rc" 11 'a blind gate'
if command -v xmllint >/dev/null; then
    is "$(suite) $(xml 'string(//error/@message)')" '3 0 1 1 verdict: inconclusive' 'is red in junit.xml, too'
fi
like "$err" '^::error title=hzb m::verdict: inconclusive, exit code 11.::warning title=hzb m::1 of 2 comparisons are inconclusive$' \
    'and on GitHub'
arms crashing
gated --annotate
like "$rc $err" '^12 ::error .*ops_per_s in one: .*failed \(crashing.*::warning title=hzb m::one, crashing: [0-9]+ signal ' 'what crashes is an error, and counted'
if command -v xmllint >/dev/null; then
    is "$(suite)" '2 0 2 0' 'in junit.xml, too'
fi

# A regression that somebody knows of.
arms slow 'confirm: true' 'known: [{cell: one, metric: ops_per_s, until: 2999-12-31, why: "locks, slower <by design>"}]'
cells=. gated --annotate
is "$rc" 10 'what is known in one cell is not known in another'
is "$(cell ops_per_s known one | tr -d '\n' | cut -c1-4) $(cell ops_per_s known two)" 'HASH null' 'verdict.json tells them apart'
like "$err" '::warning [^:]*::ops_per_s in one: .*regression, known until 2999-12-31: locks, slower <by design> ' \
    'a known one is a warning'
gated --strict --annotate
is "$rc $(json '$v->{overall}') $(cell ops_per_s verdict)" '0 clean regression' 'a regression that is known makes no night red'
is "$(json 'join "; ", @{$v->{cells}[0]{known}}{qw(until why)}')" '2999-12-31; locks, slower <by design>' \
    'verdict.json has its last day and the reason'
like "$out" 'regression, known until 2999-12-31: locks, slower <by design>' 'the table too'
run report "$dir" --scripts "$(dirname "$0")/../../plots"
like "$(<"$dir/report.md")" '1 regression \(1 confirmed\), 1 of them known.*! +one .* regression confirmed, known.*Known until 2999-12-31: ops_per_s in one. locks' \
    'report.md too'
like "$(<"$dir/report.html")" 'known until 2999-12-31: locks, slower &lt;by design&gt;' 'and report.html'
if command -v xmllint >/dev/null; then
    is "$(suite)" '2 0 0 1' 'in junit.xml it is skipped'
fi
perl -pi -e 's/"created_utc": "[^"]*"/"created_utc": "3000-01-01T00:00:00Z"/' "$dir/manifest.json"
run gate "$dir" --annotate
is "$rc" 10 'but red again when its last day has passed'
like "$out" 'No longer known, as their last day has passed:.  ops_per_s in one until 2999-12-31: locks' 'which is said'
like "$err" '::warning title=hzb m::no longer known: ops_per_s in one' 'and annotated'
run report "$dir" --scripts "$(dirname "$0")/../../plots"
like "$(<"$dir/report.md")" 'No longer known since 2999-12-31: ops_per_s in one. locks' 'and reported'
arms slow 'known: [{cell: one, metric: ops_per_s, until: 2999-02-30, why: x}]'
run_matrix
like "$rc $err" "^64 .*m.yaml:[0-9]+:[0-9]+: known '2999-02-30': expected a day, YYYY-MM-DD" 'a day that is none is an error'

# Two baselines: one that was pinned, one that advances.
baseline() { run baseline "$@" -o "$results" --config "$work/conf"; }
sha() { sha256sum "$BUILD/tests/libhzbfake_a.so" | cut -c1-12; }
two_bases() {
    arms "$1"
    sed -i 's/base: \[base\]/base: ["baseline:pinned", "baseline:last-good"]/' "$matrix"
}
of_base() { # of_base BASE KEY: of ops_per_s
    json "map { \$_->{$2} // 'null' } grep { \$_->{metric} eq 'ops_per_s' && \$_->{base} eq 'baseline:$1' } @{\$v->{cells}}"
}
baseline set pinned base
baseline set last-good base
two_bases equal
run_matrix -w one
dir=$out
baseline advance last-good equal
like "$rc $err" '^64 .* is not judged; first: hzb gate' 'what is not judged is no last good one'
run gate "$dir"
is "$rc $(json '$v->{overall}')" '0 clean' 'a clean night against both'
baseline advance last-good nobody "$dir"
like "$rc $err" "^64 .*allocator 'nobody' was not measured" 'only what was measured advances'
baseline advance last-good equal
like "$rc $out" "^0 last-good $(sha) " 'it becomes the last good one'
baseline list
like "$out" "last-good +equal +$(sha).pinned +base +" 'under its own name'
gated
is "$rc $(of_base last-good verdict) $(of_base last-good n)" '0 identical 0' 'the next night has nothing to compare with it'
is "$(of_base pinned verdict) $(of_base pinned n)" 'unchanged 10' 'but still with the pinned one'
two_bases slow
gated
is "$rc $(of_base last-good verdict) $(of_base pinned verdict)" '10 regression regression' 'a step is seen against both'
baseline advance last-good slow "$dir"
is "$rc $out" "0 last-good stays: the verdict of ${dir##*/} is regression" 'and does not advance'
baseline list
like "$out" 'last-good +equal ' 'the last good one'
two_bases equal
gated
perl -pi -e 's/"sha256": "[0-9a-f]{12}/"sha256": "000000000000/' "$dir/manifest.json"
baseline advance last-good equal "$dir"
like "$rc $err" '^13 .*is not the library that was measured \(sha256 000000000000\)' 'nor does a library that was built anew since'
done_testing
