# How much each candidate differs from its base: a panel for each metric, a row for each comparison; the dot is the
# ratio, the bar its 95 % interval, the band what the gate lets pass.
# CSV: metric,direction,cell_id,base,cand,ratio,ci_lo,ci_hi,threshold,verdict
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

is_row(x) = strcol(1) ne "metric" && valid(6)
# Narrow figures have the candidate below its cell.
label(x) = strcol(3).(is_narrow ? "\n" : ", ").strcol(5)
label_width(x) = is_narrow ? max(strlen(strcol(3)), strlen(strcol(5))) : strlen(label(0))
row_px = (is_narrow ? 2.1 : 1.0) * text_height
metrics = ""
longest = 0
farthest = 0.01
reach(x) = max(max(abs($6 - 1), valid(7) ? abs($7 - 1) : 0), max(valid(8) ? abs($8 - 1) : 0, valid(9) ? 1.5 * $9 : 0))
stats in_file using (is_row(0) ? (metrics = name_add(metrics, strcol(1)), names = name_add(names, strcol(5)), \
    longest = max(longest, label_width(0)), farthest = max(farthest, reach(0))) : 0) nooutput
n_metrics = words(metrics)
if (n_metrics == 0) { print sprintf("%s: '%s': no rows with a ratio", script, in_file); exit status 65 }
eval looks_assign
# Farther than half as much again is drawn at the edge: it would squeeze all the others.
farthest = farthest > 0.5 ? 0.5 : farthest

array rows[n_metrics]
array better[n_metrics]
total = 0
do for [m = 1:n_metrics] {
    n = 0
    way = ""
    stats in_file using (is_row(0) && strcol(1) eq word(metrics, m) ? (n = n + 1, way = strcol(2)) : 0) nooutput
    rows[m] = n
    better[m] = way eq "up" ? "more is better" : "less is better"
    total = total + n
}

left_px = longest * text_width + 16
right_px = 24
panel_head = 1.6
panel_tail = 2.6
page_height = title_px + total * row_px + n_metrics * (panel_head + panel_tail) * text_height + 6
eval page_open

name_rank(name, i) = i > words(names) || word(names, i) eq name ? i : name_rank(name, i + 1)
rgb_of(name) = int("0x".look_rgb[name_rank(name, 1)][2:])
inside(x) = x < 1 - farthest ? 1 - farthest : x > 1 + farthest ? 1 + farthest : x
is_outside(x) = x != inside(x)
# What is drawn at the edge lies beyond it: an arrow says so, and the figure how far.
percent(x) = (is_outside(x) && x < 1 ? "◀ " : "").sprintf(abs(x - 1) < 1 ? "%+.1f %%" : "%+.0f %%", 100 * (x - 1)) \
    .(is_outside(x) && x > 1 ? " ▶" : "")

set multiplot title title_text font title_font
unset key
set border 1
set grid xtics noytics
set xtics font ",10"
set style fill solid 1.0 noborder
set xrange [1 - farthest * 1.1:1 + farthest * 1.3]
step = round_step(farthest / 2.5)
set format x "%g"
set xtics 1 - 10 * step, step
top = page_height - title_px
do for [m = 1:n_metrics] {
    metric = word(metrics, m)
    is_mine(x) = is_row(0) && strcol(1) eq metric
    set lmargin at screen left_px / page_width
    set rmargin at screen (page_width - right_px) / page_width
    set tmargin at screen (top - panel_head * text_height) / page_height
    bottom = top - panel_head * text_height - rows[m] * row_px
    set bmargin at screen bottom / page_height
    set label 1 metric.", candidate / base (".better[m].")" at screen 10 / page_width, \
        screen (top - 0.7 * text_height) / page_height left font ",11"
    set yrange [rows[m] + 0.5:0.5]
    unset ytics
    set arrow 1 from 1, 0.5 to 1, rows[m] + 0.5 nohead front linecolor rgb "#606060" linewidth 1
    # The row's number, counted anew by each of the following plots.
    place(x) = is_mine(0) ? (at = at + 1, at) : NaN
    band(x) = valid(9) ? $9 : 0
    low(x) = inside(valid(7) ? $7 : $6)
    high(x) = inside(valid(8) ? $8 : $6)
    plot at = 0, in_file using (1.0):(place(0)):(inside(1 - band(0))):(inside(1 + band(0))):(at - 0.5):(at + 0.5) \
            with boxxyerror linecolor rgb "#d0d8e0", \
        at = 0, in_file using (inside($6)):(place(0)):(low(0)):(high(0)):(is_mine(0) ? rgb_of(strcol(5)) : 0) \
            with xerrorbars pointtype 7 pointsize 0.7 linewidth 2 linecolor rgb variable, \
        at = 0, in_file using (1 - farthest * 1.1):(place(0)):(label(0)) with labels right offset -1, (is_narrow ? 0.4 : 0) font ",10", \
        at = 0, in_file using (max(high(0), inside($6))):(place(0)):(percent($6)) \
            with labels left offset 0.8, 0 font ",9"
    top = bottom - panel_tail * text_height
    unset label note_label
}
unset multiplot
unset output
