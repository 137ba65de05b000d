// `hzb resume`: goes on with a plan that was interrupted.
#include "commands/commands.h"
#include "commands/measure.h"

HzbExit command_resume(const Options *options)
{
    return measure(options, options_result_dir(options));
}
