# One figure over the runs of a matrix, as a ratio to the reference allocator: dots by date, the level that holds, and a
# line where it changed, with the commit of the first run of the new level.
# CSV: allocator,created_utc,run_id,commit,ratio,level,change
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

day = 86400.0
is_point(x) = strcol(1) ne "allocator" && valid(5)
date(x) = strptime("%Y-%m-%dT%H:%M:%SZ", strcol(2))
lowest(value, x) = value == 0 ? x : x < value ? x : value
bottom = 0
top = 0
first = 0
last = 0
stats in_file using (is_point(0) ? (names = name_add(names, strcol(1)), bottom = lowest(bottom, $5), \
    top = max(top, $5), first = lowest(first, date(0)), last = max(last, date(0))) : 0) nooutput
if (words(names) == 0) { print sprintf("%s: '%s': no points", script, in_file); exit status 65 }
eval looks_assign

page_height = title_px + 22 * text_height
eval page_open
set title title_text font title_font
if (note_px > 0) { set bmargin 5 }
unset key
set xlabel "date of the run, UTC"
set ylabel "ratio to the reference"
span = max(last - first, day)
set xrange [first - 0.03 * span:last + 0.03 * span]
# Whole days apart, from the midnight before the first run.
set xtics day * floor(first / day), day * max(1, round_step(span / day / (is_narrow ? 3 : 6))), last + day
set xtics time format "%Y-%m-%d"
unset mxtics
set rmargin 7 # for half of the last date
# Dots need no zero, and a change of a few per cent would not show beside one. Two per cent are the least to be seen.
room = max(0.3 * (top - bottom), top > 0 ? 0.02 * top : 1)
set yrange [bottom - room:top + 1.6 * room]
set format y "%g"
set ytics round_step((top - bottom + 2.6 * room) / 5)
is_change(x) = is_point(0) && $7 == 1
colour = look_rgb[1]
plot in_file using (is_change(0) ? date(0) : NaN):(bottom - room):(0):(top - bottom + 2.1 * room) \
        with vectors nohead linecolor rgb "#b3261e" dashtype 3, \
    in_file using (is_change(0) ? date(0) : NaN):(top + 1.35 * room):4 with labels font ",10" textcolor rgb "#b3261e", \
    in_file using (is_point(0) ? date(0) : NaN):6 with steps linewidth 2 linecolor rgb colour, \
    in_file using (is_point(0) ? date(0) : NaN):5 with points pointtype 7 pointsize 0.7 linecolor rgb colour
unset output
