# hzb prune: which folders go, and which never.
source "$(dirname "$0")/lib.bash"

# folder NAME MATRIX DAYS [RUN_ID]: a result folder that old, as far as prune looks into it.
folder() {
    mkdir -p "$results/$1/logs"
    head -c 300000 /dev/urandom >"$results/$1/logs/1.out"
    : >"$results/$1/plan.csv"
    printf '{"run_id": "%s", "matrix": "%s", "created_utc": "%s"}\n' "${4:-$1}" "$2" \
        "$(date -u -d "$3 days ago" +%Y-%m-%dT%H:%M:%SZ)" >"$results/$1/manifest.json"
}
left() { ls "$results" | paste -sd' '; }
prune() { run prune -o "$results" "$@"; }

for i in 1 2 3 4 5; do folder "n$i" nightly $((60 - 10 * i)); done
folder q1 quick 90
folder merged nightly 95 n0
mkdir -p "$results/baselines/host/nightly"
ln -s n1 "$results/latest"

prune
like "$rc $err" '^64 .*prune: expected --keep N, --days D or both' 'a rule is needed'
prune --keep 2
is "$rc" 0 'without --yes'
like "$out" "^$results/n2  0\.3 MiB.$results/n3  0\.3 MiB.2 folders, 0\.6 MiB would be removed; --yes does it$" \
    'what is old is listed with its size, each matrix by itself'
is "$(left)" 'baselines latest merged n1 n2 n3 n4 n5 q1' 'and nothing is removed'
prune --days 25 --yes
like "$rc $out" "^0 $results/q1 .*$results/n2 .*$results/n3 .*3 folders, 0\.9 MiB removed$" 'by age, the oldest first'
is "$(left)" 'baselines latest merged n1 n4 n5' \
    'what latest points to stays, what somebody named, and what baselines hold'
prune --keep 1 --days 25
is "$out" '0 folders, 0.0 MiB' 'a folder stays that either rule keeps'
echo broken >"$results/n4/manifest.json"
prune --keep 1 --yes
is "$(left)" 'baselines latest merged n1 n4 n5' 'a folder that cannot be read stays'
like "$err" 'n4/manifest.json:1:' 'and is named'
run prune -o "$work/nowhere" --keep 1
is "$rc" 74 'no results are an error'
done_testing
