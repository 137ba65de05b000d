#include "commands/compared.h"

#include "base/files.h"

bool compared_options(const Options *given, Options *options)
{
    *options = *given;
    options->sides = given->targets;
    options->targets = (StrList){0};
    options->target = given->matrix ? given->matrix : xfmt("%s/../harness/matrix/nightly.yaml", program_dir());
    if (options->sides.count == 2) return true;
    hzb_error("expected two to compare, got %u", options->sides.count);
    return false;
}
