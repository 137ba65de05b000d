# How far each allocator is from the best one of each cell: a row for each cell, a dot for each allocator, a bar from its
# best to its worst round, the axis by doublings. The geometric means come first. Six allocators have colours, in the
# order of the file; the others are grey.
# CSV: cell,allocator,ratio,low,high
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

is_row(x) = strcol(1) ne "cell" && valid(3)
cells = ""
longest = 0
farthest = 1.5
stats in_file using (is_row(0) ? (names = name_add(names, strcol(2)), cells = name_add(cells, strcol(1)), \
    longest = max(longest, strlen(strcol(1))), farthest = max(farthest, $3)) : 0) nooutput
n_names = words(names)
n_cells = words(cells)
if (n_names == 0) { print sprintf("%s: '%s': no rows with a ratio", script, in_file); exit status 65 }
eval looks_assign
n_coloured = n_names < coloured ? n_names : coloured
# What is farther stands at the edge, with its figures: it would squeeze all the others.
edge = farthest > 8 ? 8.0 : farthest

cell_rank(cell, i) = i > n_cells || word(cells, i) eq cell ? i : cell_rank(cell, i + 1)
array far[n_cells] # the figures of a cell that are beyond the edge, in the file's order
do for [c = 1:n_cells] { far[c] = "" }
note_far(c, ratio) = (far[c] = far[c].(far[c] eq "" ? "" : ", ").sprintf("%.1f", ratio), strlen(far[c]))
longest_far = 0
stats in_file using (is_row(0) && $3 > edge ? \
    (longest_far = max(longest_far, note_far(cell_rank(strcol(1), 1), $3))) : 0) nooutput

left_px = longest * text_width + 24
right_px = max(40, longest_far * text_width)
n_keys = n_names > n_coloured ? n_coloured + 1 : n_coloured
key_columns = is_narrow ? 3 : n_keys
legend_px = (0.8 + (n_keys + key_columns - 1) / key_columns) * text_height
row_px = 1.25 * text_height
page_height = title_px + legend_px + n_cells * row_px + 2.8 * text_height
eval page_open

inside(x) = x > edge ? edge : x < 1 ? 1 : x
is_of(i) = is_row(0) && strcol(2) eq word(names, i)
# Dots of one row lie apart, so that equal ones are all seen.
shift(i) = n_names == 1 ? 0 : 0.56 * ((i - 1.0) / (n_names - 1) - 0.5)
point_of(i) = i > n_coloured ? 7 : look_point[i]
size_of(i) = i > n_coloured ? 0.5 : 0.9
rgb_of(i) = i > n_coloured ? "#b8b8b8" : look_rgb[i]

set label 1 title_text at screen 10 / page_width, screen (page_height - 0.9 * text_height) / page_height left \
    font title_font
set logscale x 2
set xrange [0.97:edge * 1.12]
set yrange [n_cells + 0.6:0.4]
set xtics font ",10" (1, 1.5, 2, 3, 4, 6, 8)
if (!is_narrow) { set xtics add (1.25) }
set xlabel "times the best of the cell, less is better" font ",10"
set grid xtics noytics
set border 1
set ytics scale 0 ()
do for [c = 1:n_cells] { set ytics add (word(cells, c) c) }
set arrow 1 from 1, 0.4 to 1, n_cells + 0.6 nohead back linecolor rgb "#606060"
if (n_cells > 1) { set arrow 2 from 0.97, 1.5 to edge * 1.12, 1.5 nohead back linecolor rgb "#c0c0c0" }
do for [c = 1:n_cells] { set label 100 + c far[c] at edge, c left offset 1, 0 font ",9" }
set lmargin at screen left_px / page_width
set rmargin at screen (page_width - right_px) / page_width
set tmargin at screen (page_height - title_px - legend_px) / page_height
set bmargin at screen (2.8 * text_height + note_px) / page_height
set key at screen 0.5, screen (page_height - title_px - 0.3 * legend_px) / page_height center horizontal \
    samplen 1 font ",10" maxcols key_columns
plot for [i = n_names:1:-1] in_file using (is_of(i) ? inside($3) : NaN):(cell_rank(strcol(1), 1) + shift(i)): \
        (valid(4) ? inside($4) : inside($3)):(valid(5) ? inside($5) : inside($3)) \
        with xerrorbars pointtype -1 linewidth 1 linecolor rgb rgb_of(i) notitle, \
    for [i = n_names:1:-1] in_file using (is_of(i) ? inside($3) : NaN):(cell_rank(strcol(1), 1) + shift(i)) \
        with points pointtype point_of(i) pointsize size_of(i) linewidth 1.5 linecolor rgb rgb_of(i) notitle, \
    for [i = 1:n_keys] keyentry with points pointtype point_of(i) pointsize size_of(i) linewidth 1.5 \
        linecolor rgb rgb_of(i) title (i > n_coloured ? "others" : word(names, i))
unset output
