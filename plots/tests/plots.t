#!/usr/bin/env bash
# The plots drawn from small figures: what must be on them is on them, an allocator looks the same on each, and nothing
# is left behind when there is nothing to draw. Also run_matrix.sh's own arguments.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
. "$top/.ci/tap.bash"

draw() { gnuplot -c "$top/plots/$1.gp" "${@:2}"; }

has() { # has FILE TEXT...: each stands in the SVG as a text of its own
    local text missing=''
    for text in "${@:2}"; do grep -qF ">$text<" "$1" || missing+="'$text' "; done
    [ -z "$missing" ]
    report $? "$1 says: ${*:2}" "missing: $missing"
}

colour() { # colour FILE R G B: used in the SVG
    grep -q "rgb( *$2, *$3, *$4)" "$1"
    report $? "$1 uses the colour $2,$3,$4"
}

cat >throughput.csv <<'TXT'
workload_cell,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n
mixed_t2,hz3,17300000,16000000,18000000,5
mixed_t2,hz3_new_variant,15000000,14000000,16000000,5
mixed_t2,jemalloc,9850000,9000000,9900000,5
burst,hz3,908000,900000,950000,5
burst,jemalloc,,,,0
TXT
cat >pareto.csv <<'TXT'
allocator,ops_per_s_median,peak_rss_mib_median
hz3,17300000,80
hz3_new_variant,15000000,90
jemalloc,9850000,190
broken_one,,
TXT
{
    echo set,threads,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n
    for name in hz3 hz3_new_variant jemalloc; do
        for threads in 1 4 64; do echo "mixed: remote_pct=0,$threads,$name,17300000,16000000,18000000,3"; done
        echo "mixed: remote_pct=50,2,$name,908000,900000,950000,3"
        echo "mixed: remote_pct=50,16,$name,,,,0"
    done
} >scaling.csv
{
    echo allocator,t_ms,phase,rss_mib,live_mib,aligned_ms,refills,purged_pages,madvise_calls,reclaim_pages
    awk 'BEGIN {
        for (a = 0; a < 3; a++) {
            for (t = 0; t < 3000; t += 10) {
                phase = t < 300 ? "burst" : t < 500 ? "free" : "idle"
                given_back = t > 700 ? 1500 : 0
                name = a == 0 ? "hz3" : a == 1 ? "hz3_new_variant" : "jemalloc"
                printf("%s,%d,%s,%d,%d,%d,", name, t, phase, t > 700 && a < 2 ? 20 : 400, t < 300 ? t : 4, t)
                print (a < 2 ? "7," given_back "," given_back / 10 ",0" : ",,,")
            }
            if (a < 2) print "\n"
        }
    }'
} >rss_curve.csv

cat >forest.csv <<'TXT'
metric,direction,cell_id,base,cand,ratio,ci_lo,ci_hi,threshold,verdict
ops/s,up,mixed_t2,jemalloc,hz3,0.93,0.90,0.95,0.03,regression
ops/s,up,burst_1,jemalloc,hz3_new_variant,1.01,0.99,1.03,0.03,unchanged
peak RSS,down,mixed_t2,hz3,jemalloc,4.2,4,4.4,,regression
TXT
cat >trend.csv <<'TXT'
allocator,created_utc,run_id,commit,ratio,level,change
hz3,2026-11-28T02:00:00Z,r1,c1,2.0,2.0,0
hz3,2026-11-29T02:00:00Z,r2,c2,2.1,2.0,0
hz3,2026-12-08T02:00:00Z,r3,c3_bad,1.9,1.9,1
TXT
sed 's/ops_per_s/seconds/g; s/17300000,16000000,18000000/0.25,0.2,0.3/' throughput.csv >seconds.csv

cat >ranking.csv <<'TXT'
cell,allocator,ratio,low,high
geometric_mean,hz3,1.2,,
geometric_mean,jemalloc,1.1,,
geometric_mean,other_1,1.5,,
geometric_mean,other_2,,,
geometric_mean,other_3,1.7,,
geometric_mean,other_4,1.8,,
geometric_mean,other_5,1.8,,
geometric_mean,grey_one,1.9,,
cell_one,hz3,1,1,1
cell_one,jemalloc,2,1.8,2.2
cell_one,grey_one,13.5,12,14
TXT
cat >latency.csv <<'TXT'
kind,allocator,ns,share_above
malloc,hz3,10,0.5
malloc,hz3,1000,0.0001
malloc,hz3,2000,0
free,jemalloc,30,0.1
free,jemalloc,5000000,0
TXT
cat >modes.csv <<'TXT'
allocator,probe_pp_ns,ops_per_s
hz3,80,12e6
jemalloc,82,9e6
hz3,431,6e6
jemalloc,,7e6
TXT
for plot in throughput pareto rss_curve scaling forest trend ranking latency modes; do
    said=$(draw $plot $plot.csv $plot.svg "title_with_underscores: a=1" 2>&1 && draw $plot $plot.csv $plot.png "" 2>&1)
    code=$?
    [ $code -eq 0 ] && [ -z "$said" ] && [ "$(head -c 4 $plot.png | tail -c 3)" = PNG ] && grep -q '</svg>' $plot.svg
    report $? "$plot draws SVG and PNG without a warning" "exit $code: $said"
    has $plot.svg "title_with_underscores: a=1"
    colour $plot.svg 0 114 178
    [ $plot = trend ] || colour $plot.svg 213 94 0
    said=$(draw $plot $plot.csv $plot.narrow.svg "$(printf 'word %.0s' {1..30})" "$(printf 'note %.0s' {1..30})" 2>&1)
    [ -z "$said" ] && grep -q 'viewBox="0 0 480 ' $plot.narrow.svg && [ "$(grep -c 'note note' $plot.narrow.svg)" -eq 3 ]
    report $? "$plot draws a narrow SVG, whose note has as many lines as it takes" "$said"
done
has forest.svg "ops/s, candidate / base (more is better)" "peak RSS, candidate / base (less is better)" \
    "mixed_t2, hz3" "burst_1, hz3_new_variant" "-7.0 %" "+1.0 %" "+320 % ▶"
grep -q 'd0d8e0\|208, 216, 224' forest.svg
report $? "forest has the threshold's band"
sed 's/0.93,0.90,0.95/8.63,8,9/; s/1.01,0.99,1.03/0.2,0.1,0.3/' forest.csv >far.csv
draw forest far.csv far.svg T
has far.svg "+763 % ▶" "◀ -80.0 %"
for plot in throughput pareto rss_curve scaling forest trend ranking latency modes; do
    draw $plot $plot.csv noted.svg T "2026-11-30, commit c0ffee, n = 5"
    [ "$(grep -c '>2026-11-30, commit c0ffee, n = 5<' noted.svg)" -eq 1 ]
    report $? "$plot says once where and when it was measured, and how often"
done
has ranking.svg hz3 jemalloc cell_one geometric_mean "times the best of the cell, less is better" 13.5 others
colour ranking.svg 184 184 184
[ -s ranking.svg ] && ! grep -q '>grey_one<' ranking.svg
report $? "ranking names six allocators and no more"
has latency.svg hz3 jemalloc "share of calls of malloc that took longer" "1 in 10,000" "1 ms"
has modes.svg hz3 jemalloc "round trip of a cache line between the CPUs (ns)" 100 500
has trend.svg c3_bad "ratio to the reference" "date of the run, UTC" 2026-11-28 2026-12-08 1.9
! grep -q '>0<' trend.svg
report $? "trend has no zero, beside which a few per cent would not show"
[ -s trend.svg ] && ! grep -q '>c2<' trend.svg
report $? "trend names the commit of a change and no other"
draw throughput seconds.csv seconds.svg "" >/dev/null 2>&1
has seconds.svg "seconds, less is better" 0.250
has throughput.svg hz3 hz3_new_variant jemalloc mixed_t2 burst 17.3M 9.85M 908k "no valid run" "operations per second"
order=$(grep -oE '>(hz3|jemalloc|hz3_new_variant)<' throughput.svg | head -3 | tr -d '<>' | paste -sd' ')
[ "$order" = 'hz3 hz3_new_variant jemalloc' ]
report $? "throughput has the best first" "$order"
has pareto.svg hz3 hz3_new_variant jemalloc "Pareto front" "peak RSS (MiB), less is better" 0
[ -s pareto.svg ] && ! grep -q broken_one pareto.svg
report $? "pareto leaves out an allocator without figures"
sed 's/17300000\|15000000\|9850000/0/' pareto.csv >stuck.csv
said=$(draw pareto stuck.csv stuck.svg T 2>&1) && [ -z "$said" ] && grep -q '</svg>' stuck.svg
report $? "pareto draws allocators that did no operation" "$said"
has rss_curve.svg "hz3, peak 400 MiB" "hz3_new_variant, peak 400 MiB" "jemalloc, peak 400 MiB" "memory (MiB)" burst free idle \
    "solid: RSS; dotted: live bytes of the program; grey: RSS of peers" "time (s)"
grep -q 'rgb(184, 184, 184)' rss_curve.svg
report $? "rss_curve has the peers in grey behind each panel"
awk -F, 'BEGIN {OFS = ","} NF > 5 && NR > 1 {$6 = $6 * 1.5} {print}' rss_curve.csv >stretched.csv
draw rss_curve stretched.csv stretched.svg T
has stretched.svg "time (s); each phase is as long as it is on average"
has rss_curve.svg purged_pages madvise_calls 1.5k 0
[ -s rss_curve.svg ] && ! grep -q 'reclaim_pages\|refills' rss_curve.svg
report $? "rss_curve leaves out counters that never moved and those nobody asked for"

for plot in pareto scaling; do
    {
        head -1 $plot.csv
        for name in hz3 a b c d e f g; do grep hz3, $plot.csv | sed "s/hz3,/$name,/"; done
    } >many.csv
    said=$(draw $plot many.csv many.svg T 2>&1)
    report $? "$plot draws more than six allocators" "$said"
    has many.svg hz3 a b c d e f g
    [ -z "$said" ] && grep -q '#b0b0b0\|rgb(176, 176, 176)' many.svg
    report $? "$plot has six colours, and the others in grey" "$said"
done

has scaling.svg hz3 hz3_new_variant jemalloc "mixed: remote_pct=0" "mixed: remote_pct=50" threads \
    "operations per second" 1 4 64 2 16 15M 800k 0

look_among() { # look_among NAME...: the look of hz3_new_variant in a plot of these
    {
        echo "call '$top/plots/style.gp' 'x' 'in.csv' 'out.svg' ''"
        printf "names = name_add(names, '%s')\n" "$@"
        echo 'eval looks_assign'
        echo 'do for [i = 1:words(names)] {'
        echo '    if (word(names, i) eq "hz3_new_variant") { print look_rgb[i], look_dash[i] }'
        echo '}'
    } >look.gp
    gnuplot look.gp 2>&1
}
alone=$(look_among hz3_new_variant)
among=$(look_among hz3_fast jemalloc hz3_new_variant hz3_depot64 glibc)
[[ $alone == \#* ]] && [ "$alone" = "$among" ]
report $? "a variant that no list knows keeps its look in other company" "alone $alone, among others $among"
all=$(look_among hz3_new_variant hz3_a hz3_b hz3_c hz3_new_variant)
[ "$all" = "$alone" ]
report $? "... and among variants that no list knows either" "$all"

fails() { # fails CODE TEXT PLOT ARGUMENTS...: says so and leaves no file
    local said code
    rm -f none.svg none.pdf
    said=$(draw "${@:3}" 2>&1)
    code=$?
    [ $code -eq "$1" ] && [[ $said == *"$2"* ]] && [ ! -e none.svg ] && [ ! -e none.pdf ]
    report $? "${*:3}: exit $1, $2" "exit $code: $said"
}
head -1 throughput.csv >header.csv
fails 65 "'header.csv': no rows" throughput header.csv none.svg T
fails 65 "'header.csv': no rows" scaling header.csv none.svg T
fails 65 "'missing.csv': no rows" pareto missing.csv none.svg T
fails 65 "'header.csv': no rows with a ratio" forest header.csv none.svg T
fails 65 "'header.csv': no rows with figures" modes header.csv none.svg T
fails 65 "'header.csv': no rows" latency header.csv none.svg T
fails 65 "'header.csv': no rows with a ratio" ranking header.csv none.svg T
fails 65 "'header.csv': no points" trend header.csv none.svg T
fails 65 "'header.csv': no samples" rss_curve header.csv none.svg T
fails 64 "expected a name that ends in .svg or .png" rss_curve rss_curve.csv none.pdf T
fails 64 "usage: gnuplot -c" pareto pareto.csv

said=$("$top/run_matrix.sh" no_such 2>&1)
[ $? -eq 64 ] && [[ $said == *"'no_such': there is no such matrix; expected one of: "*quick* ]]
report $? "run_matrix.sh names a matrix that is not there, and those that are" "$said"
said=$("$top/run_matrix.sh" ../quick 2>&1)
[ $? -eq 64 ]
report $? "run_matrix.sh takes no other path than that of a matrix" "$said"
said=$("$top/run_matrix.sh" --help)
[ $? -eq 0 ] && [[ $said == *"Matrices: "*quick* ]]
report $? "run_matrix.sh --help lists the matrices" "$said"

done_testing
