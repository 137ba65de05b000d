# Throughput: a panel for each cell (cells differ by orders of magnitude), a bar for each allocator; whiskers from the
# slowest to the fastest run. Whole programs have seconds instead of operations per second.
# CSV: workload_cell,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n
#  or: workload_cell,allocator,seconds_median,seconds_min,seconds_max,n
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3

is_bar(x) = strcol(1) ne "workload_cell" && strcol(2) ne ""
median(x) = valid(3) ? $3 : 0 # 0 where no run was valid
low(x) = valid(4) ? $4 : median(0)
high(x) = valid(5) ? $5 : median(0)
cells = ""
longest = 0
unit = "operations per second"
stats in_file using (strcol(3) eq "seconds_median" ? strlen(unit = "seconds, less is better") : 0) nooutput
stats in_file using (is_bar(0) ? (names = name_add(names, strcol(2)), cells = name_add(cells, strcol(1)), \
    longest = max(longest, strlen(strcol(2)))) : 0) nooutput
n_names = words(names)
n_cells = words(cells)
if (n_names == 0) { print sprintf("%s: '%s': no rows", script, in_file); exit status 65 }
eval looks_assign

array fastest[n_cells]
do for [c = 1:n_cells] {
    top = 0
    stats in_file using (is_bar(0) && strcol(1) eq word(cells, c) ? (top = max(top, high(0))) : 0) nooutput
    fastest[c] = top > 0 ? top : 1e6
}

# Two panels a row when there is room for names, bars and figures in each.
columns = n_cells > 1 && longest <= 20 ? 2 : 1
width_px = page_width / columns
left_px = longest * text_width + 16
right_px = 24

name_rank(name, i) = i > n_names || word(names, i) eq name ? i : name_rank(name, i + 1)
rgb_of(name) = int("0x".look_rgb[name_rank(name, 1)][2:])

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
set style fill solid 1.0 noborder
set grid xtics noytics
set xtics font ",10"
set ytics scale 0 ()
do for [i = 1:n_names] { set ytics add (word(names, i) i) }
set yrange [n_names + 0.6:0.4]
set xlabel unit offset 0, 0.7 font ",10"
do for [c = 1:n_cells] {
    cell = word(cells, c)
    is_mine(x) = is_bar(0) && strcol(1) eq cell
    left = ((c - 1) % columns) * width_px
    top = page_height - title_px - ((c - 1) / columns) * panel_px
    set lmargin at screen (left + left_px) / page_width
    set rmargin at screen (left + width_px - right_px) / page_width
    set tmargin at screen (top - (title_lines + 0.3) * text_height) / page_height
    set bmargin at screen (top - panel_px + 2.5 * text_height) / page_height
    set xrange [0:fastest[c] * 1.25]
    eval "set xtics ".tics(fastest[c] * 1.25, round_step(fastest[c] / 3.0))
    set label 1 wrap(cell, limit) at screen (left + 10) / page_width, \
        screen (top - 0.5 * text_height) / page_height left font ",11"
    plot in_file using (is_mine(0) ? median(0) / 2 : NaN):(name_rank(strcol(2), 1)):(median(0) / 2):(0.37): \
            (is_mine(0) ? rgb_of(strcol(2)) : 0) with boxxyerror linecolor rgb variable, \
        in_file using (is_mine(0) ? median(0) : NaN):(name_rank(strcol(2), 1)):(low(0)):(high(0)) \
            with xerrorbars pointtype -1 linewidth 1.5 linecolor rgb "black", \
        in_file using (is_mine(0) ? high(0) : NaN):(name_rank(strcol(2), 1)): \
            (median(0) > 0 ? short(median(0)) : "no valid run") with labels left offset 0.5, 0 font ",10"
}
unset multiplot
unset output
