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
like "$rc $err" '^12 ::error .*ops_per_s in one: .*failed \(crashing.*::warning title=hzb m::one, crashing: 10 signal ' 'what crashes is an error, and counted'
if command -v xmllint >/dev/null; then
    is "$(suite)" '2 0 2 0' 'in junit.xml, too'
fi
done_testing
