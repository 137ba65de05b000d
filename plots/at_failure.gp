# How full an arena is when its first request fails: a row of bars for each range of sizes, a bar for each variant.
# gnuplot -c plots/at_failure.gp IN.csv OUT.svg      CSV: cell,variant,live_per_arena_at_failure
in_file = ARG1
set datafile separator ","
cells = ""
names = ""
add(list, item) = strstrt(" ".list." ", " ".item." ") > 0 ? list : list eq "" ? item : list." ".item
is_row(x) = strcol(1) ne "cell"
stats in_file using (is_row(0) ? (cells = add(cells, strcol(1)), names = add(names, strcol(2)), 0) : 0) nooutput
rank(name, i) = i > words(names) || word(names, i) eq name ? i : rank(name, i + 1)
set terminal svg size 860, 80 + words(cells) * words(names) * 18 + words(cells) * 60 font "sans-serif,11" background "white"
set output ARG2
set multiplot layout words(cells), 1
unset key
set style fill solid 1.0 noborder
set xrange [0:1.12]
set xtics 0.1
set grid xtics
set xlabel "live usable bytes / arena bytes at the first failure (no bar: none failed)"
set yrange [words(names) + 0.6:0.4]
set ytics scale 0 ()
do for [i = 1:words(names)] { set ytics add (word(names, i) i) }
do for [c = 1:words(cells)] {
    set title word(cells, c) noenhanced
    set ytics noenhanced
    plot in_file using (strcol(1) eq word(cells, c) && valid(3) ? $3 / 2 : NaN):(rank(strcol(2), 1)):($3 / 2):(0.36) \
        with boxxyerror lc rgb "#4878a8", \
        "" using (strcol(1) eq word(cells, c) && valid(3) ? $3 : NaN):(rank(strcol(2), 1)):(sprintf(" %.3f", $3)) \
        with labels left
}
unset multiplot
