#!/usr/bin/env bash
# Installs the Debian packages that the build, the tests and the quick matrix need; says what and why, once.
# Does nothing (and asks for no password) when all are there. Arguments: further packages that a target needs.
set -euo pipefail

packages=(
    gcc g++ libc6-dev make perl       # build and test runner; one workload has a part in C++
    musl-tools                        # another C library, for which hz3 is built in a test
    spin tcc                          # the exhaustive models: model checker, and a compiler for its output
    clang libclang-rt-dev             # libFuzzer
    clang-format                      # version 14, with which every C file must conform
    binutils                          # objdump for the golden test of the fast path, objcopy for the planted faults
    libcyaml-dev libyaml-dev libjansson-dev libcsv-dev libcmocka-dev  # hzb's YAML, JSON and CSV; unit tests
    libsqlite3-dev                    # hzb history
    valgrind                          # counts instructions
    parallel hyperfine                # a matrix in slices; whole programs side by side
    gnuplot-nox fonts-dejavu-core     # plots, and letters for them
    libgraph-easy-perl                # the diagrams in the pages: are they what their sources give?
    qemu-system-x86 cpio              # an emulated machine with four CPUs and an older kernel
    libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 libtbbmalloc2  # the allocators hz3 is measured against
)
packages+=("$@")

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0

echo "setup: installing ${missing[*]} (compilers, libraries, plots and peer allocators that the build and tests use)" >&2
as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || { echo "setup: not root and no sudo; install these by hand: ${missing[*]}" >&2; exit 69; }
    as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
} >"$log" 2>&1 || { cat "$log" >&2; echo "setup: apt-get failed, see above" >&2; exit 69; }
