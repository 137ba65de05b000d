# Throughput over the number of threads: a panel for each set of parameters, a line for each allocator; whiskers from the
# slowest to the fastest run.
# CSV: set,threads,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n; an allocator's rows of a set in one piece
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

is_row(x) = valid(2) && strcol(3) ne ""
# As a function, for gnuplot skips an expression as a whole when a $4 in it is empty. A gap where no run was valid.
figure(column_number) = valid(column_number) ? column(column_number) : NaN
sets = ""
longest = 0
stats in_file using (is_row(0) ? (names = name_add(names, strcol(3)), sets = name_add(sets, strcol(1)), \
    longest = max(longest, strlen(strcol(3)))) : 0) nooutput
n_names = words(names)
n_sets = words(sets)
if (n_names == 0) { print sprintf("%s: '%s': no rows", script, in_file); exit status 65 }
eval looks_assign

columns = n_sets > 1 && !is_narrow ? 2 : 1
width_px = page_width / columns
left_px = 78
right_px = 14
limit = int((width_px - 20) / 9.0)
title_lines = 1
do for [s = 1:n_sets] { title_lines = max(title_lines, line_count(wrap(word(sets, s), limit))) }
panel_px = 280 + title_lines * text_height

# The key stands above the panels, in as many rows as the names take; gnuplot's own is no wider than one panel.
key_item_px = longest * text_width + 60
n_keys = min(n_names, coloured)
key_columns = max(1, min(n_keys, int(page_width / key_item_px)))
key_rows = (n_keys + key_columns - 1) / key_columns
key_px = (key_rows + 0.6) * text_height
page_height = title_px + key_px + ((n_sets + columns - 1) / columns) * panel_px + 4
eval page_open

# Lines are set a little beside each other, so that no whisker hides another.
beside(i) = 2 ** ((i - (n_names + 1) / 2.0) * 0.035)

set multiplot title title_text font title_font
set border 3
set logscale x 2
set xlabel "threads" offset 0, 0.5 font ",10"
set ylabel "operations per second" offset -0.4, 0 font ",10"
set tics font ",10"
set grid xtics ytics
unset key
do for [i = 1:n_keys] {
    x = (page_width - key_columns * key_item_px) / 2 + ((i - 1) % key_columns) * key_item_px + 24
    y = (page_height - title_px - ((i - 1) / key_columns + 0.5) * text_height) / page_height
    set arrow from screen (x - 18) / page_width, screen y to screen (x + 18) / page_width, screen y nohead \
        linecolor rgb look_rgb[i] dashtype look_dash[i] linewidth 1.5
    set label word(names, i) at screen x / page_width, screen y left offset 3, -0.2 font ",11" \
        point pointtype look_point[i] pointsize 0.8 linecolor rgb look_rgb[i]
}
do for [s = 1:n_sets] {
    top = page_height - title_px - key_px - ((s - 1) / columns) * panel_px
    left = ((s - 1) % columns) * width_px
    set lmargin at screen (left + left_px) / page_width
    set rmargin at screen (left + width_px - right_px) / page_width
    set tmargin at screen (top - (title_lines + 0.6) * text_height) / page_height
    set bmargin at screen (top - panel_px + 2.8 * text_height) / page_height
    is_mine(x) = is_row(0) && strcol(1) eq word(sets, s)
    fastest = 0
    fewest = 0
    most = 1
    thread_tics = ""
    stats in_file using (is_mine(0) ? (thread_tics = name_add(thread_tics, strcol(2)), most = max(most, $2), \
        fewest = fewest == 0 || $2 < fewest ? $2 : fewest, fastest = valid(6) ? max(fastest, figure(6)) : fastest) : 0) nooutput
    if (fastest == 0) { fastest = 1e6 }
    set xrange [fewest / 1.3:most * 1.3]
    set yrange [0:fastest * 1.08]
    set xtics ()
    do for [t in thread_tics] { set xtics add (t int(t)) }
    eval "set ytics ".tics(fastest * 1.08, round_step(fastest / 5.0))
    set label 1000 wrap(word(sets, s), limit) at screen (left + 10) / page_width, \
        screen (top - 0.5 * text_height) / page_height left font ",11"
    plot for [i = 1:n_names] in_file using (is_mine(0) && strcol(3) eq word(names, i) ? $2 * beside(i) : NaN): \
        (figure(4)):(figure(5)):(figure(6)) with yerrorlines notitle \
        linecolor rgb key_rgb(i) dashtype look_dash[i] pointtype look_point[i] pointsize 0.8 linewidth 1.5, \
        for [i = coloured + 1:n_names] in_file using (is_mine(0) && strcol(3) eq word(names, i) && $2 == most && valid(4) ? \
        $2 : NaN):(figure(4)):(word(names, i)) with labels right offset -0.8, 0.5 font ",9" textcolor rgb "#606060" notitle
    unset arrow
    unset label
}
unset multiplot
unset output
