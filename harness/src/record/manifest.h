// manifest.json: what was measured, where, and by which bytes. `resume` runs from it alone.
#ifndef HZB_MANIFEST_H
#define HZB_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/git.h"
#include "config/config.h"
#include "config/experiment.h"

// Writes dir/manifest.json.
bool manifest_write(const char *dir, const Experiment *experiment, const Config *config, const GitState *git);
bool manifest_load(const char *dir, Experiment *experiment);
// The whole of it, or NULL with a message.
json_t *manifest_json(const char *dir);

// The modes of the machine that a manifest holds; none in that of an older hzb.
Modes manifest_modes(const json_t *root);
// Replaces them.
bool manifest_set_modes(const char *dir, const Modes *modes);

// What the machine's probes cost, over all calls of hzb that made the record.
typedef struct ProbesMade {
    unsigned made, left_out;
    double spent_s, of_s;
} ProbesMade;

// Adds to what the manifest has.
bool manifest_add_probes(const char *dir, ProbesMade more);
// All zero if there were none.
ProbesMade manifest_probes(const json_t *root);

// Compares the libraries, programs and the machine with what the manifest says. Prints each difference.
bool manifest_still_true(const char *dir, const Experiment *experiment);

#endif
