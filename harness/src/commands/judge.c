#include "commands/judge.h"

bool judge_folder(const char *dir, Judged *judged)
{
    Noise noise;
    if (!results_load(dir, &judged->results)) return false;
    noise_load(dir, &noise);
    judged->comparisons = gate_judge(&judged->results, &noise);
    judged->findings = gate_findings(&judged->results, &judged->comparisons);
    return verdict_write_stats(dir, &judged->findings);
}
