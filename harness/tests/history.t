# hzb history: many nights made of one, with a level that changes.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

run_matrix -a 'a|plain'
seed_dir=$work/seed
mv "$out" "$seed_dir"
rm "$results/latest"
# night NUMBER A-OPS PLAIN-OPS: the same run with another name, day, commit and figures; a's have some noise.
night() {
    local dir
    dir=$results/$(printf '202601%02dT000000Z_host_c%s_m' "$1" "$1")
    cp -r "$seed_dir" "$dir"
    perl -i -pe 's/"run_id": "[^"]*"/"run_id": "'"${dir##*/}"'"/; s/"dirty": true/"dirty": false/; s/"sha": "[^"]*"/"sha": "c'"$1"'"/;
        s/"created_utc": "[^"]*"/"created_utc": "'"$(printf '2026-01-%02dT00:00:00Z' "$1")"'"/' "$dir/manifest.json"
    perl -i -F, -lane 'if ($. > 1) {
        my $ops = $F[7] eq "a" ? '"$2"' * (1 + ('"$1"' * 7 % 5 - 2) / 1000) : '"$3"';
        s/,1000000,/,@{[int $ops]},/ } print' "$dir/runs.csv"
}
for i in {1..9}; do night $i 1000000 500000; done
# From the tenth night on a is 8 % slower; the machine is 30 % slower for the last two, which hits both alike.
for i in {10..12}; do night $i 920000 500000; done
for i in 13 14; do night $i 644000 350000; done
history() { run history "$@" -o "$results" --scripts "$top/plots"; }

history list
is "$rc" 74 'without a history there is nothing to show'
like "$err" "$results/history.sqlite: .*hzb history rebuild" 'which says how to make it'
history rebuild --reference plain
is "$rc" 0 'it is made from the result folders'
history
is "$(wc -l <<<"$out")" 14 'every run is listed'
like "$out" '^20260101T000000Z_host_c1_m +unjudged +10 of 10 ok' 'oldest first, with its verdict and samples'
if command -v sqlite3 >/dev/null; then
    is "$(sqlite3 "$results/history.sqlite" "SELECT DISTINCT round(ratio, 3) FROM ratios WHERE cell_id = 'one' AND
        allocator = 'a' AND metric = 'ops_per_s' AND run_id LIKE '%_c5_%'")" 1.996 'ratios are stored, not figures'
else
    skip 'ratios are stored, not figures' 'sqlite3 is not installed'
fi

history changes --metric ops_per_s -a a
is "$rc $(tail -1 <<<"$out")" '0 2 changes in 2 series' 'one change a series is found, though the machine changed too'
like "$out" 'm one, a, ops/s: -[78]\.[0-9]+ %, worse, since 20260110T000000Z_host_c10_m \(commit c10, after c9; p=0\.0' 'and the first bad run is named'
history changes --metric ops_per_s -a a -w two
like "$out" '1 change in 1 series' 'filters select'
history trend --metric ops_per_s -a a -w one
is "$rc" 0 'a trend is drawn'
svg=$results/history/m_one_a_ops_per_s.svg
like "$out" "$svg" 'its path is printed'
grep -q '>m one, a, ops/s, against plain, on ' "$svg" && grep -q '>c10<' "$svg"
ok $? 'with its title and the commit of the change'
history trend -w nowhere
is "$rc" 74 'a trend of nothing is an error'
history changes -w '('
is "$rc" 64 'a bad expression is an error'
history sideways
is "$rc" 64 'so is an unknown word'
like "$err" "'sideways': expected list, trend, changes, rebuild or add" 'which says what is known'

night 15 644000 350000
rm -r "$results/20260101T000000Z_host_c1_m"
last=$results/20260115T000000Z_host_c15_m
history add "$last"
history add "$last"
history
is "$(wc -l <<<"$out")" 15 'a run is added once, and older ones stay whose folders are gone'
mkdir "$results/20260116T000000Z_host_c16_m"
echo broken >"$results/20260116T000000Z_host_c16_m/manifest.json"
cp "$last/plan.csv" "$results/20260116T000000Z_host_c16_m/"
history rebuild
is "$rc" 0 'a broken folder does not cost the others'
like "$err" 'c16_m/manifest.json:1:.*c16_m: left out' 'it is named'
history
is "$(wc -l <<<"$out")" 14 'and left out'
done_testing
