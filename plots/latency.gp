# How long single calls take: a panel for each kind of call, a line for each allocator. A line says which share of the calls
# took longer than so many nanoseconds; both axes by powers of ten, so that the rare ones are seen.
# CSV: kind,allocator,ns,share_above
here(path) = path eq "" || path[strlen(path):] eq "/" ? path : here(path[:strlen(path) - 1])
call here(ARG0)."style.gp" ARG0 ARG1 ARG2 ARG3 ARG4

is_row(x) = strcol(1) ne "kind" && valid(3) && valid(4)
kinds = ""
least = 1e-3
stats in_file using (is_row(0) ? (names = name_add(names, strcol(2)), kinds = name_add(kinds, strcol(1)), \
    least = $4 > 0 && $4 < least ? $4 : least) : 0) nooutput
n_names = words(names)
n_kinds = words(kinds)
if (n_names == 0) { print sprintf("%s: '%s': no rows", script, in_file); exit status 65 }
eval looks_assign

key_columns = is_narrow ? 3 : n_names
legend_px = (0.6 + (n_names + key_columns - 1) / key_columns) * text_height
panel_px = 15.0 * text_height
page_height = title_px + legend_px + n_kinds * panel_px
eval page_open

set multiplot title title_text font title_font
set logscale xy
set xrange [8:*]
set yrange [least / 2:1]
set format x "10^{%T}"
set xtics font ",10" ("10 ns" 10, "100 ns" 100, "1 us" 1e3, "10 us" 1e4, "100 us" 1e5, "1 ms" 1e6, "10 ms" 1e7, "100 ms" 1e8, \
    "1 s" 1e9)
set ytics font ",10" ("all" 1, "1 in 10" 0.1, "1 in 100" 0.01, "1 in 1,000" 1e-3, "1 in 10,000" 1e-4, "1 in 100,000" 1e-5, \
    "1 in a million" 1e-6)
set grid xtics ytics
set lmargin at screen 130 / page_width
set rmargin at screen (page_width - 24) / page_width
do for [k = 1:n_kinds] {
    kind = word(kinds, k)
    top = page_height - title_px - legend_px - (k - 1) * panel_px
    set tmargin at screen (top - 1.6 * text_height) / page_height
    set bmargin at screen (top - panel_px + 2.4 * text_height) / page_height
    set label 1 "share of calls of ".kind." that took longer" at screen 10 / page_width, \
        screen (top - 0.7 * text_height) / page_height left font ",11"
    if (k == 1) {
        set key at screen 0.5, screen (page_height - title_px) / page_height center top horizontal samplen 2 font ",10" \
            maxcols key_columns
    } else {
        unset key
        unset label note_label
    }
    plot for [i = 1:n_names] in_file using \
        (is_row(0) && strcol(1) eq kind && strcol(2) eq word(names, i) ? $3 : NaN):4 \
        with steps linewidth 2 dashtype look_dash[i] linecolor rgb look_rgb[i] title word(names, i)
}
unset multiplot
unset output
