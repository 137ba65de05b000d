#!/bin/bash
# One matrix in three slices, a slice a node, as a Slurm job array:
#
#   sbatch harness/contrib/slurm-array.sh [MATRIX]        from the repository's top folder, built, on a shared disk
#   build/hzb merge -o results/merged $(cat slurm-JOBID_*.out)
#
# --exclusive, for a neighbour's job on the node would be measured too. The number of slices is that of the array. HZB is
# another hzb than build/hzb, HZB_OPTIONS are more options of `hzb run`.
#SBATCH --job-name=hzb
#SBATCH --array=1-3
#SBATCH --exclusive
#SBATCH --output=slurm-%A_%a.out
#SBATCH --error=slurm-%A_%a.err
set -eu
cd "$SLURM_SUBMIT_DIR"
exec ${HZB:-build/hzb} run "harness/matrix/${1:-nightly}.yaml" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    ${HZB_OPTIONS-}
