# Throughput against peak memory, one point an allocator; the steps bound what no allocator here reaches.
# CSV: allocator,ops_per_s_median,peak_rss_mib_median
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

# A row without both figures is an allocator that failed: it has no place here.
is_point(n) = strcol(1) ne "allocator" && valid(2) && valid(3)
stats in_file using (is_point(0) ? strlen(names = name_add(names, strcol(1))) : 0) nooutput
if (words(names) == 0) { print sprintf("%s: '%s': no rows with figures", script, in_file); exit status 65 }
eval looks_assign

n = words(names)
array ops[n]
array rss[n]
ops_max = 0
rss_max = 0
do for [i = 1:n] {
    stats in_file using (is_point(0) && strcol(1) eq word(names, i) ? (ops_now = $2, rss_now = $3) : 0) nooutput
    ops[i] = ops_now
    rss[i] = rss_now
    ops_max = ops[i] > ops_max ? ops[i] : ops_max
    rss_max = rss[i] > rss_max ? rss[i] : rss_max
}
ops_max = ops_max > 0 ? ops_max : 1

# The steps: from the least memory up, each allocator that is faster than all with less.
steps = ""
best = 0
at = -1
do for [round = 1:n] {
    next_i = 0
    do for [i = 1:n] {
        if (ops[i] > best && (next_i == 0 || rss[i] < rss[next_i] || rss[i] == rss[next_i] && ops[i] > ops[next_i])) {
            next_i = i
        }
    }
    if (next_i > 0) {
        steps = steps.sprintf(" %d", next_i)
        best = ops[next_i]
    }
}
set print $frontier
do for [k = 1:words(steps)] {
    i = int(word(steps, k))
    print sprintf("%g,%g", rss[i], k == 1 ? 0 : ops[int(word(steps, k - 1))])
    print sprintf("%g,%g", rss[i], ops[i])
}
print sprintf("%g,%g", rss_max * 1.08, best)
unset print

# The legend stands beside the points, or below them where there is no room.
key_px = 1.5 * text_height * ((min(n, coloured) + 2) / 2)
page_height = (is_narrow ? 360 + key_px : 510) + title_px
eval page_open
set title title_text font title_font
if (note_px > 0) { set bmargin 5 }
set xrange [0:rss_max * 1.08]
set yrange [0:ops_max * 1.12]
set xlabel "peak RSS (MiB), less is better"
set ylabel "operations per second, more is better"
set format x "%g"
eval "set ytics ".tics(ops_max * 1.12, round_step(ops_max / 6.0))
set grid xtics ytics
if (is_narrow) {
    set lmargin 9
    set bmargin at screen (note_px + key_px + 2.8 * text_height) / page_height
    set key at screen 0.5, screen (note_px + 4) / page_height center bottom horizontal maxcols 2 Left reverse \
        spacing 1.5 samplen 1 width 3
} else {
    set key outside right top Left reverse spacing 1.5 samplen 1 width 3
}
plot $frontier using 1:2 with lines linewidth 1.5 dashtype 3 linecolor rgb "#909090" title "Pareto front", \
    for [i = 1:n] in_file using (is_point(0) && strcol(1) eq word(names, i) ? $3 : NaN):2 with points \
        pointtype look_point[i] pointsize 1.6 linewidth 2 linecolor rgb key_rgb(i) title key_title(i), \
    for [i = coloured + 1:n] in_file using (is_point(0) && strcol(1) eq word(names, i) ? $3 : NaN):2:(word(names, i)) \
        with labels right offset -1, 0 font ",9" textcolor rgb "#606060" notitle
unset output
