# Memory over time: what each process holds (RSS) against what its program has allocated (live); below it, on the same
# time axis, what the allocators that count it have given back.
# CSV: allocator,t_ms,phase,rss_mib,live_mib,COUNTER...; the rows of one allocator stand together.
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3

is_sample(x) = strcol(1) ne "allocator" && valid(2) && valid(4)
t_max = 0.0
rss_max = 0.0
stats in_file using (is_sample(0) ? (names = name_add(names, strcol(1)), t_max = max(t_max, $2 / 1e3), \
    rss_max = max(rss_max, max($4, valid(5) ? $5 : 0))) : 0) nooutput
n_names = words(names)
if (n_names == 0) { print sprintf("%s: '%s': no samples", script, in_file); exit status 65 }
eval looks_assign
t_max = t_max > 0 ? t_max : 1
rss_max = rss_max > 0 ? rss_max : 1

# Phase starts: the first allocator's become lines with names, the others' marks on their curves.
who = ""
phase = ""
is_start(x) = is_sample(0) && (strcol(1) ne who || strcol(3) ne phase) ? (who = strcol(1), phase = strcol(3), 1) : 0
n_starts = 0
starts_t = ""
starts_name = ""
stats in_file using (is_start(0) && who eq word(names, 1) ? (n_starts = n_starts + 1, \
    starts_t = starts_t.sprintf(" %g", $2 / 1e3), starts_name = starts_name.' "'.phase.'"') : 0) nooutput

# The counters worth a panel: pages given back, and the calls that took. A counter that never moved is left out.
counters = "reclaim_pages purged_pages reclaim_calls madvise_calls alloc_failed"
panels = "pages calls"
array panel_of[5] = [1, 1, 2, 2, 2]
array dash_of[5] = [1, 3, 3, 1, 2]
array column_of[5]
array top_of[2] = [0, 0]
header = ""
stats in_file using (1) nooutput
do for [c = 1:int(STATS_columns)] {
    stats in_file using (strcol(1) eq "allocator" ? strlen(header = header.' "'.strcol(c).'"') : 0) nooutput
}
do for [k = 1:5] {
    column_of[k] = 0
    do for [c = 6:words(header)] { if (word(header, c) eq word(counters, k)) { column_of[k] = c } }
    if (column_of[k] == 0) { continue }
    top = 0
    stats in_file using (is_sample(0) && valid(column_of[k]) ? (top = max(top, column(column_of[k]))) : 0) nooutput
    if (top == 0) { column_of[k] = 0 } else { top_of[panel_of[k]] = max(top_of[panel_of[k]], top) }
}

# Where things stand, in pixels from the top.
longest = 0
do for [i = 1:n_names] { longest = max(longest, strlen(word(names, i))) }
key_columns = int((page_width - 90) / (max(longest, 12) * text_width + 50))
key_px = ceil((n_names + 1.0) / key_columns) * text_height
label_rows = 3
label_px = 15.0
curve_top = title_px + key_px + label_rows * label_px + 10
curve_px = 290
panel_gap = 2.2 * text_height
panel_px = 100
page_height = curve_top + curve_px + ((top_of[1] > 0) + (top_of[2] > 0)) * (panel_gap + panel_px) + 3 * text_height
eval page_open

left_margin = 86
right_margin = 18
t_right = t_max * 1.01
px_of(t) = left_margin + (page_width - left_margin - right_margin) * t / t_right
y_screen(px) = (page_height - px) / page_height

set multiplot title title_text font title_font
set lmargin at screen left_margin / page_width
set rmargin at screen 1 - right_margin / page_width
set xrange [0:t_right]
set grid xtics ytics
set xtics font ",10"
set ytics font ",10"

# A phase's name goes into the first row where it does not run into the one before; if there is none, it is left out.
array row_end[label_rows]
do for [r = 1:label_rows] { row_end[r] = -1e9 }
do for [k = 1:n_starts] {
    t = real(word(starts_t, k))
    name = word(starts_name, k)
    set arrow k from t, graph 0 to t, graph 1 nohead linewidth 0.8 linecolor rgb "#a0a0a0" back
    do for [r = 1:label_rows] {
        if (px_of(t) > row_end[r] + 4) {
            end = px_of(t) + strlen(name) * 7.0 + 4
            row_end[r] = end
            if (end <= page_width) {
                set label k name at t, graph 1 left font ",9" textcolor rgb "#505050" \
                    offset character 0.2, 0.45 + (r - 1) * label_px / text_height
            }
            break
        }
    }
}

set tmargin at screen y_screen(curve_top)
set bmargin at screen y_screen(curve_top + curve_px)
set yrange [0:rss_max * 1.05]
set ylabel "memory (MiB)" offset -0.3, 0
set format y "%g"
time_label = sprintf("time (s). Lines: phases of %s. Dots: each allocator's own phase starts.", word(names, 1))
is_last = top_of[1] == 0 && top_of[2] == 0
set format x (is_last ? "%g" : "")
set xlabel (is_last ? time_label : "")
set key at screen 0.5, screen y_screen(title_px) center top horizontal maxcols key_columns Left reverse \
    samplen 3 width 1 font ",10"
is_of(i) = is_sample(0) && strcol(1) eq word(names, i)
plot for [i = 1:n_names] in_file using (is_of(i) ? $2 / 1e3 : NaN):4 with lines linewidth 1.8 \
        linecolor rgb look_rgb[i] dashtype look_dash[i] title word(names, i), \
    for [i = 1:n_names] in_file using (is_of(i) && valid(5) ? $2 / 1e3 : NaN):5 with lines linewidth 1.3 \
        linecolor rgb look_rgb[i] dashtype live_dash notitle, \
    for [i = 1:n_names] in_file using (is_start(0) && is_of(i) ? $2 / 1e3 : NaN):4 with points pointtype 7 \
        pointsize 0.35 linecolor rgb look_rgb[i] notitle, \
    NaN with lines linewidth 1.3 linecolor rgb "black" dashtype live_dash title "live bytes"

unset label
top = curve_top + curve_px
do for [p = 1:2] {
    if (top_of[p] == 0) { continue }
    top = top + panel_gap
    set tmargin at screen y_screen(top)
    set bmargin at screen y_screen(top + panel_px)
    is_last = p == 2 || top_of[2] == 0
    set format x (is_last ? "%g" : "")
    set xlabel (is_last ? time_label : "")
    set ylabel word(panels, p) offset -0.3, 0
    set yrange [0:top_of[p] * 1.1]
    eval "set ytics ".tics(top_of[p] * 1.1, round_step(top_of[p] / 3.0))
    set key at graph 0, graph 1.03 left bottom horizontal Left reverse samplen 3 font ",10" maxcols 3
    plot for [k = 1:5] for [i = 1:n_names] in_file \
            using (panel_of[k] == p && column_of[k] > 0 && is_of(i) && valid(column_of[k]) ? $2 / 1e3 : NaN): \
            (column(max(column_of[k], 1))) with lines linewidth 1.5 linecolor rgb look_rgb[i] \
            dashtype dash_of[k] notitle, \
        for [k = 1:5] NaN with lines linewidth 1.5 linecolor rgb "black" dashtype dash_of[k] \
            title (panel_of[k] == p && column_of[k] > 0 ? word(counters, k) : "")
    top = top + panel_px
}
unset multiplot
unset output
