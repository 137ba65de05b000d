// The shared second half of run and resume.
#ifndef HZB_MEASURE_H
#define HZB_MEASURE_H

#include "config/options.h"

// Sweeps what is left of a result folder's plan while no other hzb measures on this host.
HzbExit measure(const Options *options, const char *dir);

#endif
