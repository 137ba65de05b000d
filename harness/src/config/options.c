#include "config/options.h"

#include "base/files.h"

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
