# Operations per second against the distance between the CPUs in the same moment: one point a sample. Where the machine has
# modes the points of an allocator lie in groups, and only within a group do allocators compare.
# CSV: allocator,probe_pp_ns,ops_per_s
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

is_point(n) = strcol(1) ne "allocator" && valid(2) && valid(3)
ops_max = 1
pp_min = 1e9
pp_max = 1
stats in_file using (is_point(0) ? (names = name_add(names, strcol(1)), ops_max = $3 > ops_max ? $3 : ops_max, \
    pp_min = $2 < pp_min ? $2 : pp_min, pp_max = $2 > pp_max ? $2 : pp_max) : 0) nooutput
n = words(names)
if (n == 0) { print sprintf("%s: '%s': no rows with figures", script, in_file); exit status 65 }
eval looks_assign

# The legend stands below the points.
key_columns = min(n, is_narrow ? 2 : 4)
key_px = 1.5 * text_height * ((n + key_columns - 1) / key_columns)
page_height = (is_narrow ? 380 : 460) + key_px + title_px
eval page_open
set title title_text font title_font
set logscale x
set xrange [pp_min / 1.3:pp_max * 1.3]
set yrange [0:ops_max * 1.1]
set xtics ("20" 20, "50" 50, "100" 100, "200" 200, "500" 500, "1000" 1000, "2000" 2000)
set xlabel "round trip of a cache line between the CPUs (ns)"
set ylabel "operations per second, more is better"
eval "set ytics ".tics(ops_max * 1.1, round_step(ops_max / 6.0))
set grid xtics ytics
set bmargin at screen (note_px + key_px + 3.2 * text_height) / page_height
set key at screen 0.5, screen (note_px + 4) / page_height center bottom horizontal maxcols key_columns Left reverse \
    spacing 1.5 samplen 1 width 3
plot for [i = 1:n] in_file using (is_point(0) && strcol(1) eq word(names, i) ? $2 : NaN):3 with points \
    pointtype look_point[i] pointsize 1.1 linewidth 1.5 linecolor rgb look_rgb[i] title word(names, i)
unset output
