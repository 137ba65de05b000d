# One figure over the runs of a matrix, as a ratio to the reference allocator: dots, the level that holds, and a line
# where it changed, with the commit of the first run of the new level.
# CSV: allocator,number,run_id,commit,ratio,level,change
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3

is_point(x) = strcol(1) ne "allocator" && valid(5)
top = 0
last = 0
stats in_file using (is_point(0) ? (names = name_add(names, strcol(1)), top = max(top, $5), last = max(last, $2)) : 0) \
    nooutput
if (words(names) == 0) { print sprintf("%s: '%s': no points", script, in_file); exit status 65 }
eval looks_assign

page_height = title_px + 22 * text_height
eval page_open
set title title_text font title_font
unset key
set xlabel "run"
set ylabel "ratio to the reference"
set xrange [0.5:last + 0.5]
set xtics max(1, round_step(last / 8.0))
set yrange [0:top * 1.25]
eval "set ytics ".tics(top * 1.25, round_step(top / 4.0))
is_change(x) = is_point(0) && $7 == 1
colour = look_rgb[1]
plot in_file using (is_change(0) ? $2 - 0.5 : NaN):(0):(0):(top * 1.12) \
        with vectors nohead linecolor rgb "#b3261e" dashtype 3, \
    in_file using (is_change(0) ? $2 - 0.5 : NaN):(top * 1.18):4 with labels font ",10" textcolor rgb "#b3261e", \
    in_file using (is_point(0) ? $2 : NaN):6 with steps linewidth 2 linecolor rgb colour, \
    in_file using (is_point(0) ? $2 : NaN):5 with points pointtype 7 pointsize 0.7 linecolor rgb colour
unset output
