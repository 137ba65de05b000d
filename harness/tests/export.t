# What comes from hyperfine, and what goes out to benchstat and others.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$work" || exit 1

measured() { # measured NAME TIMES [EXIT-CODES]: a file as hyperfine --export-json writes it
    echo "{\"results\": [{\"command\": \"$1\", \"mean\": 1, \"times\": [$2], \"exit_codes\": [${3-0}]}]}"
}
measured sqlite3/hz3 0.5 >1.json
measured sqlite3/glibc 0.75 >2.json
measured sqlite3/hz3 0.7,0.6 0,0 >3.json
import() { run import-hyperfine "$@" --scripts "$top/plots"; }
import 1.json 2.json 3.json -o joined
is "$rc" 0 'files of hyperfine are joined'
is "$(<joined/hyperfine.csv)" 'workload_cell,allocator,seconds_median,seconds_min,seconds_max,n
sqlite3,hz3,0.6,0.5,0.7,3
sqlite3,glibc,0.75,0.75,0.75,1' 'by program and allocator'
like "$out" 'sqlite3 +hz3 +0\.600 s +\(0\.500 \.\. 0\.700, n=3\)' 'and printed'
grep -q '>seconds, less is better<' joined/hyperfine.svg && grep -q '>0.600<' joined/hyperfine.svg
ok $? 'and drawn'
is "$(perl -MJSON::PP -0ne 'print scalar @{decode_json($_)->{results}}' joined/hyperfine.json)" 3 'and kept as they were'

refused() { # refused REGEX NAME FILE
    import "$3" -o none
    is "$rc" 74 "$2"
    like "$err" "$1" '... saying where'
    [[ ! -e none ]]
    ok $? '... and makes no folder'
}
measured 'sleep 1' 1 >bad.json
refused "bad.json: results\[0\]\.command: 'sleep 1', expected a name program/allocator" 'a command without a name is refused' bad.json
measured a/b 1 2 >bad.json
refused 'bad.json: results\[0\]\.exit_codes\[0\]: 2, expected 0' 'a program that failed is refused' bad.json
measured a/b 1 null >bad.json
refused 'bad.json: results\[0\]\.exit_codes\[0\]: null, expected 0' 'so is one that a signal ended' bad.json
measured a/b 1,-1 0,0 >bad.json
refused 'bad.json: results\[0\]\.times\[1\]: expected a number of seconds' 'a time below 0 is refused' bad.json
measured 'a\nb/c' 1 >bad.json
refused 'bad.json: results\[0\]\.command: .*expected a name program/allocator' 'a name that breaks a CSV file is refused' bad.json
measured a/b '' >bad.json
refused 'bad.json: results\[0\]\.times: expected a list of seconds' 'a result without times is refused' bad.json
echo '{"result": []}' >bad.json
refused 'bad.json: results: expected a list' 'what is not from hyperfine is refused' bad.json
echo '{"results": []}' >bad.json
refused 'bad.json: results: expected a list of at least one' 'a file without results is refused' bad.json
run import-hyperfine 1.json -o none --scripts "$work"
is "$rc" 74 'figures that cannot be drawn are exit code 74'
[[ ! -e none ]]
ok $? '... and leave no folder'
echo '{' >bad.json
refused 'bad.json:[0-9]+:[0-9]+: ' 'broken JSON is refused' bad.json
import 1.json -o joined
is "$rc" 74 'a folder that is there is refused'
like "$err" 'joined: File exists, expected a new folder' '... saying so'

run_matrix --rounds 2 -w two
dir=$out
sed -i '2s/,ok,/,failed,/' "$dir/runs.csv"
run export "$dir"
is "$rc $(grep -cE '^Benchmark/cell=two/allocator=(a|b|plain) 1 1000000 ops/s [0-9]+ peak_rss_kib ' <<<"$out")" '0 5' \
    'samples that count go out as Go benchmarks'
sed -i '3s/,1000000,/,0.83,/' "$dir/runs.csv"
run export "$dir"
is "$rc $(grep -c ' 1 0.83 ops/s ' <<<"$out")" '0 1' 'with fractions of an operation a second'
sed -i '3s/,0.83,/,1000000,/' "$dir/runs.csv"
run export "$dir" --json
is "$(perl -MJSON::PP -e 'local $/; my $rows = decode_json(<STDIN>); my $r = $rows->[1];
    print join " ", scalar @$rows, $r->{cell_id}, $r->{ops_per_s}, defined $r->{signal} ? "?" : "null", length $r->{checksum}' <<<"$out")" \
    '6 two 1000000 null 16' 'and all of them as JSON'

run_matrix --rounds 3 -w two
dir=$out
# Operations a second by allocator and round; a sample without one failed.
perl -i -F, -e 'my %mops = (a => [2, 6, 4], b => [undef, 3, 5], plain => [1, 2, 4]);
    if ($. > 1) { my $value = $mops{$F[7]}[$F[2] - 1]; $F[12] = "failed" if !$value; $F[22] = ($value // 9) * 1e6 }
    print join ",", @F' "$dir/runs.csv"
speeds() { # speeds ARGS...: the lines of `hzb export --summary` about operations a second
    run export "$dir" --summary "$@"
    grep ,ops_per_s, <<<"$out"
}
speeds >/dev/null
is "$rc $(head -1 <<<"$out")" '0 cell_id,allocator,role,column,n,median,min,max,ci_lo,ci_hi' 'a summary is CSV'
is "$(grep -cE ',(wall_s|peak_rss_kib|minflt),' <<<"$out") $(grep -cE ',(seq|seed|checksum),' <<<"$out")" '9 0' \
    '... of every figure, and of nothing that only names samples'
is "$(speeds)" 'two,a,cand,ops_per_s,3,4000000,2000000,6000000,,
two,b,cand,ops_per_s,2,4000000,3000000,5000000,,
two,plain,ref,ops_per_s,3,2000000,1000000,4000000,,' '... over the samples that count'
is "$(speeds --reference plain)" 'two,a,cand,ops_per_s,3,2,1,3,,
two,b,cand,ops_per_s,2,1.375,1.25,1.5,,
two,plain,ref,ops_per_s,3,1,1,1,,' '... or of the ratio to one allocator within each round'
misused() { # misused REGEX NAME ARGS...
    run export "$dir" "${@:3}"
    is "$rc" 64 "$2"
    like "$err" "$1" '... saying why'
}
misused "--reference 'none': expected an allocator of " 'a reference that did not run is refused' --summary --reference none
misused "--reference 'a': expected --summary" 'so is one without a summary' --reference a
misused '--summary --json: expected one of them' 'two formats at once are refused' --summary --json
done_testing
