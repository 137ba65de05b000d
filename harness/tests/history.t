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
for i in {1..11}; do night $i 1000000 500000; done
# From the twelfth night on a is 8 % slower; the machine is 30 % slower for the last two, which hits both alike.
for i in {12..14}; do night $i 920000 500000; done
for i in 15 16; do night $i 644000 350000; done
history() { run history "$@" -o "$results" --scripts "$top/plots"; }

history list
is "$rc" 74 'without a history there is nothing to show'
like "$err" "$results/history.sqlite: .*hzb history rebuild" 'which says how to make it'
history rebuild --reference plain
is "$rc" 0 'it is made from the result folders'
history
is "$(wc -l <<<"$out")" 16 'every run is listed'
like "$out" '^20260101T000000Z_host_c1_m +unjudged +10 of 10 ok' 'oldest first, with its verdict and samples'
if command -v sqlite3 >/dev/null; then
    is "$(sqlite3 "$results/history.sqlite" "SELECT DISTINCT round(ratio, 3) FROM ratios WHERE cell_id = 'one' AND
        allocator = 'a' AND metric = 'ops_per_s' AND run_id LIKE '%_c5_%'")" 1.996 'ratios are stored, not figures'
else
    skip 'ratios are stored, not figures' 'sqlite3 is not installed'
fi

history changes --metric ops_per_s -a a
is "$rc $(tail -1 <<<"$out")" '10 2 changes in 2 series; 2 of the newest 30 runs for the worse, and still so (!)' \
    'one change a series is found, though the machine changed too, and the exit code says so'
like "$out" '! m one, a, ops/s: -[78]\.[0-9]+ %, worse, since 20260112T000000Z_host_c12_m \(commit c12, after c11; p=0\.000' 'and the first bad run is named'
history changes --metric ops_per_s -a a -w two
like "$out" '1 change in 1 series' 'filters select'
history changes --metric ops_per_s -a a --least 9
is "$rc $(tail -1 <<<"$out")" '0 0 changes in 2 series; 0 of the newest 30 runs for the worse, and still so (!)' 'a change has a least size'
history changes --metric ops_per_s -a a --newest 4
is "$rc $(head -1 <<<"$out" | cut -c1-10)" '0   m one, a' 'what began before the newest runs is shown, and wakes nobody'
history changes --least 0
like "$rc $err" "^64 .*--least '0': expected a number above 0 and below 100" 'a least size of nothing is an error'
history changes --newest x
like "$rc $err" "^64 .*--newest 'x': expected a whole number" 'so is a number that is none'
history trend --metric ops_per_s -a a -w one
is "$rc" 0 'a trend is drawn'
svg=$results/history/m_one_a_ops_per_s.svg
like "$out" "$svg" 'its path is printed'
grep -q '>m one, a, ops/s, against plain, on ' "$svg" && grep -q '>c12<' "$svg" && grep -q '>2026-01-13<' "$svg"
ok $? 'with its title, the commit of the change, and dates'
history trend --metric ops_per_s -a a
page=$results/history/trend.html
is "$(tail -1 <<<"$out")" "$page" 'all figures are on one page'
is "$(grep -c '<figure>' "$page") $(grep -c '<li><a href="#s[12]">m .*worse, since 20260112' "$page")" '2 2' \
    'which begins with what got worse, and links to it'
like "$(<"$page")" '<p class="dim">16 runs, 2026-01-01 to 2026-01-16, commits c1 to c16; more is better.</p>' \
    'and says what each figure is made of'
history trend -w nowhere
is "$rc" 74 'a trend of nothing is an error'
history changes -w '('
is "$rc" 64 'a bad expression is an error'
history sideways
is "$rc" 64 'so is an unknown word'
like "$err" "'sideways': expected list, trend, changes, rebuild or add" 'which says what is known'

night 17 644000 350000
rm -r "$results/20260101T000000Z_host_c1_m"
last=$results/20260117T000000Z_host_c17_m
history add "$last"
history add "$last"
history
is "$(wc -l <<<"$out")" 17 'a run is added once, and older ones stay whose folders are gone'
mkdir "$results/20260118T000000Z_host_c18_m"
echo broken >"$results/20260118T000000Z_host_c18_m/manifest.json"
cp "$last/plan.csv" "$results/20260118T000000Z_host_c18_m/"
history rebuild
is "$rc" 0 'a broken folder does not cost the others'
like "$err" 'c18_m/manifest.json:1:.*c18_m: left out' 'it is named'
history
is "$(wc -l <<<"$out")" 16 'and left out'
rm -r "$results/20260118T000000Z_host_c18_m"
for i in {18..26}; do night $i 1100000 500000; done
history rebuild --reference plain
history changes --metric ops_per_s -a a -w one
is "$rc $(grep -c ', worse, since' <<<"$out")" '0 1' 'a level that has come back, and more, is no alarm, but it is told'
done_testing
