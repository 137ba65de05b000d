#include "config/options.h"

#include "base/files.h"

#define LEAST_PCT_DEFAULT 2.0
enum { NEWEST_DEFAULT = 30 };

const char *options_output(const Options *options)
{
    return options->output ? options->output : RESULTS_DIR;
}

const char *options_result_dir(const Options *options)
{
    return options->target ? options->target : RESULTS_DIR "/latest";
}

const char *options_build_dir(const Options *options)
{
    return options->build_dir ? options->build_dir : program_dir();
}

const char *options_plots_dir(const Options *options)
{
    return options->plots_dir ? options->plots_dir : xfmt("%s/../plots", program_dir());
}

double options_least(const Options *options)
{
    return (options->least_pct > 0 ? options->least_pct : LEAST_PCT_DEFAULT) / 100;
}

unsigned options_newest(const Options *options)
{
    return options->newest ? options->newest : NEWEST_DEFAULT;
}
