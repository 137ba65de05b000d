# Sourced by the *.t scripts: TAP, a private folder $work, a configuration with fake allocators and a fake workload.
set -u
export LC_ALL=C
: "${BUILD:?the folder of hzb, as an absolute path}"
hzb=$BUILD/hzb
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/patience.bash"
work=$(mktemp -d)
memory_folder() { echo "/dev/shm/hzb-$UID-${1##*/}-$(stat -c %i "$1" 2>/dev/null)"; }
# A killed hzb that is never resumed leaves its folder for memory files behind.
clean_up() {
    for folder in "$work"/results/[0-9]*; do rm -rf "$(memory_folder "$folder")"; done
    rm -rf "$work"
}
trap clean_up EXIT
mkdir -p "$work/tmp" "$work/conf/matrix"
export TMPDIR=$work/tmp
test_count=0

ok() { # ok STATUS NAME
    test_count=$((test_count + 1))
    if (($1 == 0)); then echo "ok $test_count - $2"; else echo "not ok $test_count - $2"; fi
}
skip() { # skip NAME REASON
    test_count=$((test_count + 1))
    echo "ok $test_count - $1 # SKIP $2"
}
is() { # is GOT EXPECTED NAME
    [[ $1 == "$2" ]]
    ok $? "$3"
    [[ $1 == "$2" ]] || printf '#      got: %q\n# expected: %q\n' "$1" "$2"
}
like() { # like TEXT REGEX NAME
    [[ $1 =~ $2 ]]
    ok $? "$3"
    [[ $1 =~ $2 ]] || printf '#     text: %q\n#  pattern: %q\n' "$1" "$2"
}
done_testing() {
    ((test_count > 0)) || ok 1 'something is tested'
    echo "1..$test_count"
}

# alive PID: exists and is no zombie.
alive() { [[ -r /proc/$1/stat ]] && ! grep -q ') Z ' "/proc/$1/stat"; }

# csv_column FILE NAME: that column, one value a line.
csv_column() {
    perl -e '
        my ($file, $name) = @ARGV;
        open my $in, "<", $file or die "$file: $!";
        sub fields { map { s/^"(.*)"$/$1/sr =~ s/""/"/gr } $_[0] =~ /\G(?:^|,)("(?:[^"]|"")*"|[^,]*)/g }
        chomp(my $head = <$in>);
        my @names = fields($head);
        my ($at) = grep { $names[$_] eq $name } 0 .. $#names;
        die "$file: no column $name\n" unless defined $at;
        while (<$in>) { chomp; print((fields($_))[$at], "\n") }' "$1" "$2"
}
# set_figures COLUMN CELL/ALLOCATOR=VALUE...: in all rounds of the record $dir. VALUE;VALUE...: round by round.
set_figures() {
    perl -e '
        my ($file, $column, %value) = (shift, shift, map { split /=/, $_, 2 } @ARGV);
        open my $in, "<", $file or die; chomp(my @lines = <$in>);
        my @names = split /,/, $lines[0];
        my %at = map { $names[$_] => $_ } 0 .. $#names;
        for (@lines[1 .. $#lines]) {
            my @f = /\G(?:^|,)("(?:[^"]|"")*"|[^,]*)/g;
            my $key = "$f[$at{cell_id}]/$f[$at{allocator}]";
            my @by_round = split /;/, $value{$key} // "", -1;
            $f[$at{$column}] = $by_round[($f[$at{round}] - 1) % @by_round] if defined $value{$key} && @by_round;
            $f[$at{$column}] = "" if defined $value{$key} && !@by_round;
            $_ = join ",", @f;
        }
        open my $out, ">", $file or die; print $out map { "$_\n" } @lines' "$dir/runs.csv" "$@"
}
# statuses FILE: "allocator=status" of every row, in order, on one line.
statuses() { paste -d= <(csv_column "$1" allocator) <(csv_column "$1" status) | paste -sd' '; }

write_allocators() { cat >"$work/conf/allocators.yaml"; }
write_matrix() { cat >"$work/conf/matrix/m.yaml"; }

cat >"$work/conf/workloads.yaml" <<YAML
workloads:
  - name: fake
    bin: "{build}/tests/hzb_fake_workload"
    argv: ["{ms}", "{seed}"]
    params: [ms=60, unused=]
    test_params: [ms=1]
    metrics: [{name: ops_per_s, direction: up}, {name: peak_rss_kib, direction: down}]
    timeout_s: 20
YAML
write_allocators <<YAML
allocators:
  - name: plain
  - name: a
    preload: "{build}/tests/libhzbfake_a.so"
    stats_file_env: HZ3_STATS_FILE
  - name: b
    preload: "{build}/tests/libhzbfake_b.so"
YAML
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
arms: {cand: [a, b], refs: [plain]}
cells:
  - {id: one, workload: fake, rounds: 3, expect_s: 0.1}
  - {id: two, workload: fake, params: [ms=20], rounds: 2, expect_s: 0.1}
YAML

matrix=$work/conf/matrix/m.yaml
results=$work/results
# run ARGS...: sets rc, out, err.
run() {
    "$hzb" "$@" >"$work/out" 2>"$work/err"
    rc=$?
    out=$(<"$work/out") err=$(<"$work/err")
}
# start ARGS...: a run in the background; sets pid, and dir once the folder is there.
start() {
    : >"$work/out"
    "$hzb" run "$matrix" -o "$results" --lock "$work/lock" "$@" >"$work/out" 2>"$work/err" &
    pid=$!
    until_true 20 test -s "$work/out"
    dir=$(<"$work/out")
}
run_matrix() { run run "$matrix" -o "$results" --lock "$work/lock" "$@"; }
