#include "base/html.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/util.h"

void html_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\t':
        case '\n':
            fputc(*text, out);
            break;
        default: // XML knows no other control characters
            fputc((unsigned char)*text < ' ' ? '?' : *text, out);
        }
    }
}

void html_fmt(FILE *out, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length >= 0) html_text(out, text);
    free(text);
}

// Ids are one name space a page: each picture's get its number.
static void put_with_own_ids(FILE *out, const char *text, unsigned number)
{
    static const char *const before_id[] = {" id='", " id=\"", "href='#", "href=\"#", "url(#"};
    while (*text) {
        size_t length = 0;
        for (size_t i = 0; !length && i < sizeof before_id / sizeof *before_id; i++)
            if (strncmp(text, before_id[i], strlen(before_id[i])) == 0) length = strlen(before_id[i]);
        if (length)
            fprintf(out, "%.*sf%u_", (int)length, text, number);
        else
            fputc(*text, out);
        text += length ? length : 1;
    }
}

void html_svg_figure(FILE *out, const char *path, unsigned number, const char *label)
{
    assert(number > 0);
    static const char title_end[] = "</desc>";
    char *text = file_text(path);
    char *start = text ? strstr(text, "<svg") : NULL, *inside = start ? strchr(start, '>') : NULL;
    if (!inside) {
        free(text);
        return;
    }
    // gnuplot's own title would show as a tooltip wherever the pointer stands.
    char *body = strstr(inside, title_end);
    body = body ? body + strlen(title_end) : inside + 1;
    fputs("<figure><svg role=\"img\" aria-label=\"", out);
    html_text(out, label);
    fprintf(out, "\" %.*s>", (int)(inside - start - 4), start + 4);
    put_with_own_ids(out, body, number);
    fputs("</figure>\n", out);
    free(text);
}
