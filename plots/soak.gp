# A soak run: resident memory and live bytes over time, above; below, on the same axis, how far RSS/live of each cycle
# is from what it is over the whole run, with the line whose slope the verdict is about.
# IN.csv: t_s,cycle,phase,rss_mib,live_mib; beside it IN.cycles.csv: t_s,off_pct,fit_pct.
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

cycles_file = in_file[:strlen(in_file) - 4].".cycles.csv"
is_sample(x) = strcol(1) ne "t_s" && valid(1) && valid(4) && valid(5)
n_samples = 0
t_max = 0.0
mib_max = 0.0
stats in_file using (is_sample(0) ? (n_samples = n_samples + 1, t_max = max(t_max, $1), \
    mib_max = max(mib_max, max($4, $5))) : 0) nooutput
if (n_samples == 0 || t_max == 0) { print sprintf("%s: '%s': no samples", script, in_file); exit status 65 }
off_max = 0.1
stats cycles_file using (valid(2) && valid(3) ? (off_max = max(off_max, max(abs($2), abs($3)))) : 0) nooutput

unit_s = t_max < 180 ? 1.0 : t_max < 3 * 3600 ? 60.0 : 3600.0
unit = unit_s == 1 ? "s" : unit_s == 60 ? "minutes" : "hours"
top = title_px + 2 * text_height
curve_px = 260
gap_px = 2.4 * text_height
cycles_px = 130
page_height = top + curve_px + gap_px + cycles_px + 3 * text_height
eval page_open
y_screen(px) = (page_height - px) / page_height

set multiplot title title_text font title_font
set lmargin at screen 86 / page_width
set rmargin at screen 1 - 18 / page_width
set xrange [0:t_max / unit_s]
set grid xtics ytics
set xtics font ",10"
set ytics font ",10"

set tmargin at screen y_screen(top)
set bmargin at screen y_screen(top + curve_px)
set yrange [0:mib_max * 1.05]
set ylabel "memory (MiB)" offset -0.3, 0
set format x ""
set key at screen 0.5, screen y_screen(title_px) center top horizontal maxcols 2 Left reverse samplen 3 font ",10"
plot in_file using (is_sample(0) ? $1 / unit_s : NaN):4 with lines linewidth 1.2 linecolor rgb "#0072b2" title "RSS", \
    in_file using (is_sample(0) ? $1 / unit_s : NaN):5 with lines linewidth 0.8 linecolor rgb "#d55e00" \
        title "live bytes"

set tmargin at screen y_screen(top + curve_px + gap_px)
set bmargin at screen y_screen(top + curve_px + gap_px + cycles_px)
set yrange [-off_max * 1.15:off_max * 1.15]
set ylabel "RSS/live (%)" offset -0.3, 0
set format x "%g"
set xlabel "time (".unit.")"
set key at graph 0.5, graph 1.04 center bottom horizontal Left reverse samplen 3 font ",10" maxcols 2
plot cycles_file using (valid(2) ? $1 / unit_s : NaN):2 with points pointtype 7 pointsize 0.5 linecolor rgb "#0072b2" \
        title "a cycle against the median cycle", \
    cycles_file using (valid(3) ? $1 / unit_s : NaN):3 with lines linewidth 1.8 linecolor rgb "black" \
        title "Theil-Sen slope"
unset multiplot
unset output
