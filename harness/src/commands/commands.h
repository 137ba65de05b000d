// The subcommands; each returns the exit code of the program.
#ifndef HZB_COMMANDS_H
#define HZB_COMMANDS_H

#include "config/options.h"

HzbExit command_plan(const Options *options);
HzbExit command_run(const Options *options);
HzbExit command_resume(const Options *options);
HzbExit command_list(const Options *options);
HzbExit command_doctor(const Options *options);
HzbExit command_plot(const Options *options);
HzbExit command_table(const Options *options);
HzbExit command_claims(const Options *options);
HzbExit command_stats(const Options *options);
HzbExit command_compare(const Options *options);
HzbExit command_bisect(const Options *options);
HzbExit command_gate(const Options *options);
HzbExit command_baseline(const Options *options);
HzbExit command_selftest(const Options *options);
HzbExit command_report(const Options *options);
HzbExit command_prune(const Options *options);
HzbExit command_merge(const Options *options);
HzbExit command_history(const Options *options);
HzbExit command_import_hyperfine(const Options *options);
HzbExit command_export(const Options *options);

#endif
