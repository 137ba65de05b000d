# Figures by mode of the machine: in the table and both reports the same, and nothing of them with one mode.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

run_matrix
dir=$out
# probed EXPRESSION: writes probes into the record, and figures that depend on them; $far says whether the CPUs are far apart.
probed() {
    perl -i -e '
        my $where = shift; my @names; while (<>) { chomp; my @v = split /,/, $_, -1; if (!@names) { @names = @v; print "$_\n"; next }
        my %f; @f{@names} = @v; my $far = eval $where;
        @f{qw(probe_pp_ns probe_pp_after_ns)} = $far ? (500, 510) : (56, 55);
        $f{ops_per_s} = ($far ? 1.5e6 : 4e6) * ($f{allocator} eq "a" ? 2 : 1);
        $f{peak_rss_kib} = 2048; print join(",", @f{@names}), "\n" }' "$1" "$dir/runs.csv"
}
figures() { run table "$dir"; table=$out; run table "$dir" --markdown; markdown=$out; run report "$dir" --scripts "$top/plots"; }
lines() { tr -s ' ' <<<"$1"; }

probed 0
perl -MJSON::PP -0 -i -ne '$m = decode_json($_); $m->{probes} = {made => 40, left_out => 2, spent_s => 0.5, of_s => 50}; print encode_json($m)' \
    "$dir/manifest.json"
figures
for page in report.html report.md; do
    like "$(<"$dir/$page")" '40 probes of the machine took 0.5 of 50 s \(1.0 %\); 2 were left out to keep it at that.' "$page says what probing cost"
done
is "$(grep -ci 'by mode' <<<"$table$markdown") $(grep -c '"modes"' "$dir/report.html") $(grep -ci 'by mode' "$dir/report.md")" '0 0 0' \
    'with one mode nothing is shown by mode'

probed '$f{cell_id} eq "one" && $f{round} > 1'
figures
like "$(lines "$table")" '
 By mode of the machine, told by a round trip between its CPUs:
 allocator metric at 56 ns at 505 ns
 a ops/s, M 8.00 \(33 %\) 3.00 \(67 %\)
 b ops/s, M 4.00 \(33 %\) 1.50 \(67 %\)
 plain ops/s, M 4.00 \(33 %\) 1.50 \(67 %\)
 a peak RSS, MiB 2.0 \(33 %\) 2.0 \(67 %\)' 'the table has medians and shares by mode, side by side'
is "$(grep -c 'By mode' <<<"$table")" 1 'of the cell that saw two modes, not of the other'
like "$markdown" '\| allocator \| metric \| at 56 ns \| at 505 ns \|
\|---\|---\|---:\|---:\|
\| a \| ops/s, M \| 8.00 \(33 %\) \| 3.00 \(67 %\) \|' 'so has the table for a README'

rows_by_mode=$(cut -d, -f2 "$dir/plots/modes_one.csv" | sort | uniq -c | awk '{print $2 "=" $1}' | paste -sd' ')
is "$rows_by_mode|$(ls "$dir/plots" | grep -c '^modes_.*svg')" '500=6 56=3 probe_pp_ns=1|2' \
    'a figure has its samples by the distance of the CPUs; of the other cell there is none'

# The rows of that table, blank-separated.
from_html() { grep -A99 'class="modes"' "$dir/report.html" | sed '/<\/table>/q' | grep -o '<tr>.*</tr>' | sed 's/<[^>]*>/ /g' | tr -s ' '; }
from_markdown() { sed -n '/^one by mode/,/^```$/p' "$dir/report.md" | sed '1,3d;$d' | tr -s ' '; }
is "$(from_html | sed 's/^ //; s/ $//' | tail -n +2)" "$(from_markdown | sed 's/^ //; s/ $//')" 'report.html and report.md have the same figures'
is "$(from_markdown | wc -l)" 6 'for each arm and metric'

sed -i '$d' "$dir/runs.csv"
figures
like "$(<"$dir/report.html")" '<p>[^/]*The record is not whole: 14 of 15 samples' 'report.html says that a record is not whole'
like "$(<"$dir/report.md")" 'The record is not whole: 14 of 15 samples' 'so does report.md'

# And so are the medians over all: report.md has "8.00M ±∞", report.html "8.00<small>".
medians() { grep -A99 "id=\"cell-$1\"" "$dir/report.html" | sed '/<\/table>/q' | grep -o '^<tr><td>.*' | sed 's/<small>[^<]*<\/small>//g; s/<\/td>/ /g; s/<[^>]*>//g' | cut -d' ' -f"$2" | paste -sd' '; }
for cell in one two; do
    is "$(grep "^ *$cell *ops/s" "$dir/report.md" | grep -oE '[0-9.]+M' | tr -d M | paste -sd' ')" "$(medians $cell 2)" \
        "report.md and report.html agree on the medians of cell $cell"
done

done_testing
