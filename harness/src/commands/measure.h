// The shared second half of run, compare and resume.
#ifndef HZB_MEASURE_H
#define HZB_MEASURE_H

#include "commands/planned.h"

// Sweeps what is left of a result folder's plan while no other hzb measures on this host.
HzbExit measure(const Options *options, const char *dir);
// A new result folder for the plan, or a slice of it; NULL with a message.
char *measure_folder(const Options *options, const char *output, Planned *planned);
// Announces the plan and sweeps it into a new result folder, to which `latest` then points. Sets `dir` and prints it.
// It is NULL when nothing is measured, as in a dry run.
HzbExit measure_new(const Options *options, Planned *planned, char **dir);

#endif
