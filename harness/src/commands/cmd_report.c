// `hzb report`: a result folder as one page and as a comment for a pull request.
#include <stdio.h>
#include <stdlib.h>

#include "base/files.h"
#include "commands/commands.h"
#include "report/plot.h"
#include "report/report_markdown.h"
#include "report/report_page.h"

static bool write_report(const Report *report, const char *name, void (*write)(const Report *report, FILE *out))
{
    char *path = xfmt("%s/%s", report->results.dir, name);
    FILE *out = file_create(path);
    if (out) write(report, out);
    bool ok = file_finish(out, path);
    if (ok) printf("%s\n", path);
    free(path);
    return ok;
}

HzbExit command_report(const Options *options)
{
    Report report;
    if (!report_load(options_result_dir(options), &report)) return HZB_IO;
    bool ok = plots_complete(&report.results, options_plots_dir(options)) &&
              write_report(&report, "report.html", report_page) && write_report(&report, "report.md", report_markdown);
    json_decref(report.manifest);
    return ok ? HZB_OK : HZB_IO;
}
