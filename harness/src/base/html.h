// Writing HTML: text that cannot break out, and figures put into the page.
#ifndef HZB_HTML_H
#define HZB_HTML_H

#include <stdio.h>

void html_text(FILE *out, const char *text);
// printf, escaped as a whole.
void html_fmt(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Puts the picture of an SVG file of gnuplot's into the page; `number` tells its ids from those of other pictures.
// Without such a file nothing is put.
void html_svg_figure(FILE *out, const char *path, unsigned number, const char *label);

#endif
