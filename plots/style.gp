# What all plots share: output, fonts, and one look for each allocator wherever it appears.
#
# A plot calls this file with its own name and arguments, fills `names` (quoted words, made by name_add) and evaluates
# `looks_assign`; allocator i then has look_rgb[i], look_dash[i] and look_point[i]. Colours are Okabe's and Ito's, which
# colour-blind readers can tell apart. The hz3 family is blue throughout; its members differ in shade, dash and point.

script = ARG1
in_file = ARG2
out_file = ARG3
plot_title = ARG4
plot_note = ARG5 # where, when and from how much: in the corner
if (in_file eq "" || out_file eq "") {
    print sprintf("usage: gnuplot -c %s IN.csv OUT.svg|OUT.png [TITLE [NOTE]]", script)
    exit status 64
}

ends_with(text, tail) = strlen(text) >= strlen(tail) && text[strlen(text) - strlen(tail) + 1:] eq tail
out_is_png = ends_with(out_file, ".png")
if (!out_is_png && !ends_with(out_file, ".svg")) {
    print sprintf("%s: '%s': expected a name that ends in .svg or .png", script, out_file)
    exit status 64
}

# Pictures are laid out in pixels of a 900 px wide page; PNG gets two dots for each, for print. What is called *.narrow.svg
# is for reports: half as wide, so that it stands on a phone as a whole, and two beside each other on a desk.
is_narrow = ends_with(out_file, ".narrow.svg")
page_width = is_narrow ? 480.0 : 900.0
note_label = 9999
page_open = "page_height = page_height + note_px; \
    if (out_is_png) { \
        set terminal pngcairo noenhanced size 2 * page_width, 2 * page_height font 'DejaVu Sans,11' \
            fontscale 2 linewidth 2 pointscale 1.8 background 'white' \
    } else { \
        set terminal svg noenhanced size page_width, page_height dynamic font 'DejaVu Sans,Verdana,sans-serif,11' \
            fontscale 1.33 linewidth 1 background 'white' \
    }; \
    set output out_file; \
    if (note_px > 0) { \
        set label note_label note_text at screen 1 - 8 / page_width, screen (note_px - 11) / page_height right font ',9' \
            textcolor rgb '#808080' }"

set datafile separator comma
set border 3 linecolor rgb "#606060"
set tics nomirror textcolor rgb "black"
set grid ytics linecolor rgb "#e0e0e0" linetype 1 linewidth 1
text_height = 18.0 # of a line, in pixels
text_width = 8.7   # of a letter

# Breaks a text at spaces into lines of at most `width` letters.
last_space(text, at) = at < 1 ? 0 : text[at:at] eq " " ? at : last_space(text, at - 1)
cut(text, width) = last_space(text, width + 1) > 0 ? last_space(text, width + 1) : width
wrap(text, width) = strlen(text) <= width ? text \
    : text[:cut(text, width)]."\n".wrap(text[cut(text, width) + 1:], width)
line_count(text) = strstrt(text, "\n") == 0 ? 1 : 1 + line_count(text[strstrt(text, "\n") + 1:])

note_text = wrap(plot_note, int(page_width / 6.8))
note_px = plot_note eq "" ? 0 : 18 + 14 * (line_count(note_text) - 1)

title_is_long = strlen(plot_title) > page_width / 16
title_font = title_is_long ? ",11" : ",15"
title_text = wrap(plot_title, int(page_width / 11))
title_px = plot_title eq "" ? 8 : (title_is_long ? 1.2 : 1.4) * text_height * line_count(title_text) + 14

# The roundest of 1, 2 and 5 times a power of ten near x: a step between tics.
power_of_ten(x) = 10.0 ** floor(log10(x))
round_step(x) = power_of_ten(x) * (x / power_of_ten(x) < 1.5 ? 1 : x / power_of_ten(x) < 3.5 ? 2 : \
    x / power_of_ten(x) < 7.5 ? 5 : 10)
max(a, b) = a > b ? a : b
min(a, b) = a < b ? a : b
# Tics up to `top`, labelled with SI prefixes and no more decimals than needed: eval "set ytics ".tics(top, step)
tic_label(x) = x < 1000 ? sprintf("%g", x) : sprintf("%g", real(gprintf("%s", x))).gprintf("%c", x)
tics_from(x, top, step) = x > top ? "" : sprintf(", '%s' %.12g", tic_label(x), x).tics_from(x + step, top, step)
tics(top, step) = "('0' 0".tics_from(step, top, step).")"

name_add(list, name) = strstrt(list, '"'.name.'"') > 0 || name eq "" ? list : list.' "'.name.'"'

letters = "abcdefghijklmnopqrstuvwxyz0123456789_-. ABCDEFGHIJKLMNOPQRSTUVWXYZ"
name_hash_from(name, i, sum) = \
    i > strlen(name) ? sum : name_hash_from(name, i + 1, (31 * sum + strstrt(letters, name[i:i])) % 10007)
name_hash(name) = name_hash_from(name, 1, 7)

# Looks 1..8 are the hz3 family's, 9..13 the known peers', 14..18 for whoever else comes along.
looks_rgb = "#0072b2 #56b4e9 #002f4d #3596a8 #4a7fd4 #00667a #7a9cc6 #1b3b8b \
    #707070 #d55e00 #009e73 #e69f00 #cc79a7 #8c4a00 #7a2a5f #a0a000 #4d4d00 #b03030"
looks_dash = "1 2 3 4 5 2 3 4  1 1 1 1 1 2 2 3 4 5"
looks_point = "7 5 9 11 13 15 5 9  6 4 8 10 12 1 2 3 14 6"
looks_hz3 = "scale fast arena16g depot64"
looks_peer = "glibc jemalloc mimalloc tcmalloc tbbmalloc"
set dashtype 2 (12, 4)
set dashtype 3 (4, 3)
set dashtype 4 (12, 3, 3, 3)
set dashtype 5 (8, 3, 2, 3, 2, 3)
set dashtype 6 (2, 2)
live_dash = 6

rank_in(list, name) = strstrt(" ".list." ", " ".name." ") > 0 ? words(list[1:strstrt(list." ", name." ")]) : 0
is_hz3(name) = name[1:3] eq "hz3"
hz3_variant(name) = strlen(name) > 4 ? name[5:] : "scale"

# The look a name would have if it were alone: known names always get theirs, others the next free one of their kind.
look_known(name) = is_hz3(name) ? rank_in(looks_hz3, hz3_variant(name)) \
    : rank_in(looks_peer, name) > 0 ? 8 + rank_in(looks_peer, name) : 0
look_hashed(name) = is_hz3(name) ? 5 + name_hash(name) % 4 : 14 + name_hash(name) % 5
look_next(look) = look == 8 ? 5 : look == 18 ? 14 : look + 1
look_free(look, tries) = tries == 0 || strstrt(looks_taken, sprintf("|%d|", look)) == 0 \
    ? look : look_free(look_next(look), tries - 1)

looks_assign = "\
    array look_rgb[words(names)]; array look_dash[words(names)]; array look_point[words(names)]; \
    looks_taken = ''; \
    do for [i = 1:words(names)] { \
        look = look_known(word(names, i)); \
        if (look == 0) { look = look_free(look_hashed(word(names, i)), 5) }; \
        looks_taken = looks_taken.sprintf('|%d|', look); \
        look_rgb[i] = word(looks_rgb, look); \
        look_dash[i] = int(word(looks_dash, look)); \
        look_point[i] = int(word(looks_point, look)); \
    }"

# A figure with a legend has six colours; whoever comes after them is grey and has its name beside its mark.
coloured = 6
grey = "#b0b0b0"
key_title(i) = i > coloured ? "" : word(names, i)
key_rgb(i) = i > coloured ? grey : look_rgb[i]

names = ""
