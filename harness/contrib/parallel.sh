#!/usr/bin/env bash
# One matrix in slices, one slice a machine, by GNU parallel; then one result folder of them all.
#
#   harness/contrib/parallel.sh MATRIX MERGED SLICES [PARALLEL-OPTION...]
#   harness/contrib/parallel.sh nightly results/merged 3 --sshlogin a,b,c --workdir /srv/hz3
#
# A matrix with a baseline needs it pinned on every machine first: build/hzb baseline set NAME ALLOCATOR.
# The machines need this repository, built from the same commit, in the same folder (--workdir), with results/ shared
# (NFS) or fetched (--return, see parallel's manual). Without --sshlogin the slices run here, one after the other: hzb
# lets one measure at a time. Call it again after a failure: --resume-failed repeats only what failed.
# A machine that was interrupted goes on with `build/hzb resume FOLDER`. HZB is another hzb than build/hzb, HZB_OPTIONS are
# more options of `hzb run`.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
(($# >= 3)) || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 64; }
matrix=$1 merged=$2 slices=$3
shift 3

log=$merged.slices
# 12: bad samples; the slice is whole.
parallel --joblog "$log.joblog" --results "$log" --resume-failed -j1 "$@" \
    "${HZB:-build/hzb} run harness/matrix/$matrix.yaml --shard {}/$slices ${HZB_OPTIONS-}; code=\$?;
     [ \$code = 12 ] || exit \$code" ::: $(seq "$slices") >/dev/null
mapfile -t folders < <(cat "$log"/1/*/stdout)
exec ${HZB:-build/hzb} merge -o "$merged" "${folders[@]}"
