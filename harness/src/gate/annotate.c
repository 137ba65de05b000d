#include "gate/annotate.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gate/verdict_print.h"

// A command is one line: its end and `%` are escaped, and within the title also what ends that.
static void put_escaped(const char *text, const char *special, FILE *out)
{
    for (; *text; text++) {
        if (strchr(special, *text))
            fprintf(out, "%%%02X", (unsigned char)*text);
        else
            fputc(*text, out);
    }
}

__attribute__((format(printf, 4, 5))) static void put(FILE *out, const char *level, const char *title,
                                                      const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    fprintf(out, "::%s title=", level);
    put_escaped(title, "%\r\n:,", out);
    fputs("::", out);
    if (length >= 0) put_escaped(text, "%\r\n", out);
    fputc('\n', out);
    free(text);
}

void annotate(const Results *results, const Comparisons *comparisons, const Findings *findings, HzbExit exit_code,
              FILE *out)
{
    unsigned errors = 0, open = 0, gated = 0;
    char *title = xfmt("hzb %s", results->experiment.matrix);
    for (unsigned i = 0; i < comparisons->count; i++) {
        const Finding *f = &comparisons->items[i].found;
        if (!compare_is_gated(&comparisons->items[i])) continue;
        char *line = verdict_line(f);
        bool red = finding_is_red(f);
        if (red || f->verdict == VERDICT_REGRESSION)
            put(out, red ? "error" : "warning", title, "%s (%s against %s)", line, f->cand, f->base);
        free(line);
        errors += red;
        open += f->verdict == VERDICT_INCONCLUSIVE;
        gated++;
    }
    if (exit_code != HZB_OK && errors == 0)
        put(out, "error", title, "verdict: %s, exit code %d", overall_names[findings->overall], (int)exit_code);
    for (unsigned i = 0; i < findings->failure_count; i++) {
        const Failure *failure = &findings->failures[i];
        put(out, "warning", title, "%s, %s: %.0f %s (%s)", failure->cell_id, failure->allocator, failure->count,
            failure->status, failure->reason);
    }
    for (unsigned i = 0; i < findings->expired_count; i++) {
        char *line = known_line(&findings->expired[i]);
        put(out, "warning", title, "no longer known: %s", line);
        free(line);
    }
    if (open > 0) put(out, "warning", title, "%u of %u comparisons are inconclusive", open, gated);
    free(title);
}
