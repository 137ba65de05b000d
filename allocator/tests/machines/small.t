#!/usr/bin/env bash
# The smallest of the emulated machines: the fronts and the page maps on four CPUs and an older kernel.
. "$(dirname "$0")/../unit/tap.bash"
BUILD=$build exec perl allocator/tests/machines/run small
