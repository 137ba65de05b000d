# Memory over time, a panel for each allocator: what its process holds (RSS), what its program has allocated (live), and
# behind them, in grey, what the peers hold. Below, on the same axis, what the allocators that count it have given back.
# CSV: allocator,t_ms,phase,rss_mib,live_mib,aligned_ms,COUNTER...; the rows of one allocator stand together. Where
# aligned_ms differs from t_ms, each phase is drawn as long as it is on average. Rows without memory that have a stall_ms
# are calls that took that long, and stand as triangles under the curve.
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

is_sample(x) = strcol(1) ne "allocator" && valid(2) && valid(4)
seconds(x) = $6 / 1e3
stretched = 0
t_max = 0.0
rss_max = 0.0
stats in_file using (is_sample(0) ? (names = name_add(names, strcol(1)), t_max = max(t_max, seconds(0)), \
    stretched = stretched || abs($6 - $2) > 1e-3, \
    rss_max = max(rss_max, max($4, valid(5) ? $5 : 0))) : 0) nooutput
n_names = words(names)
if (n_names == 0) { print sprintf("%s: '%s': no samples", script, in_file); exit status 65 }
eval looks_assign
t_max = t_max > 0 ? t_max : 1
rss_max = rss_max > 0 ? rss_max : 1

# Phase starts, of the first allocator; the others' are the same where phases are aligned.
who = ""
phase = ""
is_start(x) = is_sample(0) && (strcol(1) ne who || strcol(3) ne phase) ? (who = strcol(1), phase = strcol(3), 1) : 0
n_starts = 0
starts_t = ""
starts_name = ""
stats in_file using (is_start(0) && who eq word(names, 1) ? (n_starts = n_starts + 1, \
    starts_t = starts_t.sprintf(" %g", seconds(0)), starts_name = starts_name.' "'.phase.'"') : 0) nooutput

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
    do for [c = 7:words(header)] { if (word(header, c) eq word(counters, k)) { column_of[k] = c } }
    if (column_of[k] == 0) { continue }
    top = 0
    stats in_file using (is_sample(0) && valid(column_of[k]) ? (top = max(top, column(column_of[k]))) : 0) nooutput
    if (top == 0) { column_of[k] = 0 } else { top_of[panel_of[k]] = max(top_of[panel_of[k]], top) }
}

stall_column = 0
do for [c = 7:words(header)] { if (word(header, c) eq "stall_ms") { stall_column = c } }
is_stall(x) = stall_column > 0 && valid(2) && !valid(4) && valid(max(stall_column, 1))
array stalls[n_names]
array stall_max[n_names]
n_stalls = 0
stall_rgb = "#b3261e"
do for [i = 1:n_names] {
    n = 0
    longest = 0
    stats in_file using (is_stall(0) && strcol(1) eq word(names, i) ? (n = n + 1, longest = max(longest, column(stall_column))) : 0) \
        nooutput
    stalls[i] = n
    stall_max[i] = longest
    n_stalls = n_stalls + n
}

# The peak of each, and the peers that stand behind: six at most, for more would be a hairball.
array peak[n_names]
do for [i = 1:n_names] {
    top = 0
    stats in_file using (is_sample(0) && strcol(1) eq word(names, i) ? (top = max(top, $4)) : 0) nooutput
    peak[i] = top
}
behind = ""
do for [i = 1:n_names] { if (!is_hz3(word(names, i)) && words(behind) < 6) { behind = behind.sprintf(" %d", i) } }
if (behind eq "") { do for [i = 1:min(n_names, 6)] { behind = behind.sprintf(" %d", i) } }

# Where things stand, in pixels from the top.
columns = n_names == 1 || is_narrow ? 1 : n_names > 8 ? 3 : 2
grid_rows = (n_names + columns - 1) / columns
left_margin = 66.0
right_margin = 14.0
column_px = page_width / columns
label_rows = 3
label_px = 13.0
curve_px = n_names == 1 ? 290 : is_narrow ? 90 : 120
row_px = curve_px + 2.2 * text_height
curve_top = title_px + label_rows * label_px + 14
panel_gap = 2.4 * text_height
panel_px = 90
n_panels = (top_of[1] > 0) + (top_of[2] > 0)
counters_top = curve_top + grid_rows * row_px + (n_stalls > 0 ? text_height : 0)
page_height = counters_top + 1.4 * text_height + n_panels * (panel_gap + panel_px) + (n_panels > 0 ? 1.5 * text_height : 0)
eval page_open

t_right = t_max * 1.01
y_screen(px) = (page_height - px) / page_height
px_of(t) = (column_px - left_margin - right_margin) * t / t_right

set multiplot title title_text font title_font
set xrange [0:t_right]
set grid xtics ytics
set tics font ",9"
unset key

# A phase's name goes into the first row where it does not run into the one before; if there is none, it is left out.
array row_end[label_rows]
name_px = 24 * 7.4 # of the panel's name, in the lowest row
array row_of[max(n_starts, 1)]
do for [r = 1:label_rows] { row_end[r] = -1e9 }
do for [k = 1:n_starts] {
    t = real(word(starts_t, k))
    row_of[k] = 0
    set arrow k from t, graph 0 to t, graph 1 nohead linewidth 0.8 linecolor rgb "#c8c8c8" back
    do for [r = 1:label_rows] {
        end = px_of(t) + strlen(word(starts_name, k)) * 6.4 + 4
        if (row_of[k] == 0 && px_of(t) > row_end[r] + 4 && end <= column_px - left_margin - (r == 1 ? name_px : 0)) {
            row_end[r] = end
            row_of[k] = r
        }
    }
}

time_label = stretched ? "time (s); each phase is as long as it is on average" : "time (s)"
is_of(i) = is_sample(0) && strcol(1) eq word(names, i)
set yrange [0:rss_max * 1.05]
set format y "%g"
eval "set ytics ".tics(rss_max * 1.05, round_step(rss_max / 3.0))
legend = "solid: RSS; dotted: live bytes of the program; grey: RSS of peers"
if (n_stalls > 0) { legend = legend."\ntriangles: timed calls that took 1 ms or more" }
set label 1002 legend at screen left_margin / page_width, \
    screen y_screen(counters_top + (n_stalls > 0 ? -0.3 : 0.7) * text_height) left font ",9" textcolor rgb "#606060"
do for [i = 1:n_names] {
    row = (i - 1) / columns
    left = ((i - 1) % columns) * column_px
    top = curve_top + row * row_px
    is_lowest = i + columns > n_names
    set lmargin at screen (left + left_margin) / page_width
    set rmargin at screen (left + column_px - right_margin) / page_width
    set tmargin at screen y_screen(top)
    set bmargin at screen y_screen(top + curve_px)
    set format x (is_lowest ? "%g" : "")
    set xlabel (is_lowest ? time_label : "") font ",9" offset 0, 0.8
    set ylabel ((i - 1) % columns == 0 ? "memory (MiB)" : "") font ",9" offset 0.6, 0
    do for [k = 1:n_starts] {
        if (row == 0 && row_of[k] > 0) {
            set label k word(starts_name, k) at real(word(starts_t, k)), graph 1 left font ",8" textcolor rgb "#606060" \
                offset character 0.1, 0.5 + (row_of[k] - 1) * label_px / text_height
        } else { unset label k }
    }
    set label 1000 sprintf("%s, peak %.0f MiB", word(names, i), peak[i]) at graph 1, graph 1 right font ",10" \
        offset 0, character 0.5 textcolor rgb look_rgb[i]
    unset label 1001
    if (stalls[i] > 0) {
        set label 1001 sprintf(stalls[i] == 1 ? "%d call, %.3g ms" : "%d calls, up to %.3g ms", stalls[i], stall_max[i]) \
            at graph 0.99, graph 0.88 right font ",9" textcolor rgb stall_rgb
    }
    plot for [b in behind] in_file using (is_of(int(b)) ? seconds(0) : NaN):4 with lines linewidth 1 \
            linecolor rgb "#b8b8b8" notitle, \
        in_file using (is_of(i) && valid(5) ? seconds(0) : NaN):5 with lines linewidth 1.3 \
            linecolor rgb "#303030" dashtype live_dash notitle, \
        in_file using (is_of(i) ? seconds(0) : NaN):4 with lines linewidth 2 linecolor rgb look_rgb[i] notitle, \
        in_file using (is_stall(0) && strcol(1) eq word(names, i) ? seconds(0) : NaN):(0) with points pointtype 9 \
            pointsize 0.8 linecolor rgb stall_rgb notitle
    unset label note_label
    unset label 1002
}

unset label
set lmargin at screen left_margin / page_width
set rmargin at screen 1 - right_margin / page_width
top = counters_top + text_height
do for [p = 1:2] {
    if (top_of[p] == 0) { continue }
    top = top + panel_gap
    set tmargin at screen y_screen(top)
    set bmargin at screen y_screen(top + panel_px)
    is_last = p == 2 || top_of[2] == 0
    set format x (is_last ? "%g" : "")
    set xlabel (is_last ? time_label : "")
    set ylabel word(panels, p) offset 0.6, 0
    set yrange [0:top_of[p] * 1.1]
    eval "set ytics ".tics(top_of[p] * 1.1, round_step(top_of[p] / 3.0))
    set key at graph 0, graph 1.03 left bottom horizontal Left reverse samplen 3 font ",9" maxcols 3
    plot for [k = 1:5] for [i = 1:n_names] in_file \
            using (panel_of[k] == p && column_of[k] > 0 && is_of(i) && valid(column_of[k]) ? seconds(0) : NaN): \
            (column(max(column_of[k], 1))) with lines linewidth 1.5 linecolor rgb look_rgb[i] \
            dashtype dash_of[k] notitle, \
        for [k = 1:5] NaN with lines linewidth 1.5 linecolor rgb "black" dashtype dash_of[k] \
            title (panel_of[k] == p && column_of[k] > 0 ? word(counters, k) : "")
    top = top + panel_px
    unset label
}
unset multiplot
unset output
