# Throughput: a panel for each cell (cells differ by orders of magnitude), a dot for each allocator, the best one first;
# whiskers from the slowest to the fastest run. Dots need no zero, beside which a few per cent would not show. Whole
# programs have seconds instead of operations per second.
# CSV: workload_cell,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n
#  or: workload_cell,allocator,seconds_median,seconds_min,seconds_max,n
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

is_row(x) = strcol(1) ne "workload_cell" && strcol(2) ne ""
is_dot(x) = is_row(0) && valid(3) # a row without a figure had no valid run
low(x) = valid(4) ? $4 : $3
high(x) = valid(5) ? $5 : $3
cells = ""
longest = 0
is_time = 0
stats in_file using (strcol(3) eq "seconds_median" ? (is_time = 1) : 0) nooutput
unit = is_time ? "seconds, less is better" : "operations per second"
stats in_file using (is_row(0) ? (names = name_add(names, strcol(2)), cells = name_add(cells, strcol(1)), \
    longest = max(longest, strlen(strcol(2)))) : 0) nooutput
n_names = words(names)
n_cells = words(cells)
if (n_names == 0) { print sprintf("%s: '%s': no rows", script, in_file); exit status 65 }
eval looks_assign

# Two panels a row when there is room for names, bars and figures in each.
columns = n_cells > 1 && longest <= 20 && !is_narrow ? 2 : 1
width_px = page_width / columns
left_px = longest * text_width + 16
right_px = 24

name_rank(name, i) = i > n_names || word(names, i) eq name ? i : name_rank(name, i + 1)
rgb_of(name) = int("0x".look_rgb[name_rank(name, 1)][2:])

# Where an allocator stands in its panel: after all that are better, and without a valid run after all that have one.
array figure[n_names]
array has_figure[n_names]
is_better(a, b) = has_figure[a] != has_figure[b] ? has_figure[a] : \
    has_figure[a] && figure[a] != figure[b] ? (is_time ? figure[a] < figure[b] : figure[a] > figure[b]) : a < b
place(i) = 1 + (sum [k = 1:n_names] (k != i && is_better(k, i)))

# Three significant digits with an SI prefix.
scaled(x) = real(gprintf("%s", x))
short(x) = x < 1 ? sprintf("%.3f", x) : \
    sprintf(scaled(x) >= 100 ? "%.0f" : scaled(x) >= 10 ? "%.1f" : "%.2f", scaled(x)).gprintf("%c", x)

# A cell's name takes another line where it is too long for one.
limit = int((width_px - 20) / 8.0)
title_lines = 1
do for [c = 1:n_cells] { title_lines = max(title_lines, line_count(wrap(word(cells, c), limit))) }

panel_px = (n_names + title_lines + 3.2) * text_height
page_height = title_px + ((n_cells + columns - 1) / columns) * panel_px + 4
eval page_open

set multiplot title title_text font title_font
unset key
set border 1
set grid xtics ytics
set xtics font ",10"
set ytics scale 0
set xlabel unit offset 0, 0.7 font ",10"
do for [c = 1:n_cells] {
    cell = word(cells, c)
    is_mine(x) = is_row(0) && strcol(1) eq cell
    bottom = 0
    top_figure = 0
    set autoscale xy # else stats would leave out what is outside of the last panel
    do for [i = 1:n_names] {
        has_figure[i] = 0
        figure[i] = 0
        stats in_file using (is_mine(0) && is_dot(0) && strcol(2) eq word(names, i) ? (has_figure[i] = 1, figure[i] = $3, \
            bottom = bottom == 0 || low(0) < bottom ? low(0) : bottom, top_figure = max(top_figure, high(0))) : 0) nooutput
    }
    if (top_figure == 0) { top_figure = 1e6 }
    # Two per cent are the least to be told apart.
    span = max(top_figure - bottom, 0.02 * top_figure)
    set xrange [max(0, bottom - 0.12 * span):top_figure + 0.35 * span]
    set yrange [n_names + 0.6:0.4]
    set ytics ()
    do for [i = 1:n_names] { set ytics add (word(names, i) place(i)) }
    left = ((c - 1) % columns) * width_px
    top = page_height - title_px - ((c - 1) / columns) * panel_px
    set lmargin at screen (left + left_px) / page_width
    set rmargin at screen (left + width_px - right_px) / page_width
    set tmargin at screen (top - (title_lines + 0.3) * text_height) / page_height
    set bmargin at screen (top - panel_px + 2.5 * text_height) / page_height
    eval "set xtics ".tics(top_figure + 0.35 * span, round_step(1.47 * span / 3.0))
    set label 1 wrap(cell, limit) at screen (left + 10) / page_width, \
        screen (top - 0.5 * text_height) / page_height left font ",11"
    where(x) = is_mine(0) ? place(name_rank(strcol(2), 1)) : NaN
    do for [i = 1:n_names] {
        if (!has_figure[i]) { set label 1 + i "no valid run" at graph 0.02, first place(i) left font ",10" }
    }
    plot in_file using (is_mine(0) && is_dot(0) ? $3 : NaN):(where(0)):(low(0)):(high(0)): \
            (is_mine(0) ? rgb_of(strcol(2)) : 0) with xerrorbars pointtype 7 pointsize 0.8 linewidth 2 \
            linecolor rgb variable, \
        in_file using (is_mine(0) && is_dot(0) ? high(0) : NaN):(where(0)):(short($3)) \
            with labels left offset 0.8, 0 font ",10"
    unset label
}
unset multiplot
unset output
