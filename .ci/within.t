#!/usr/bin/env bash
# .ci/within ends what does not end, lets pass what a busy machine slows down, and .ci/busy leaves no loop behind.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. .ci/tap.bash
. .ci/patience.bash

exits() { # exits CODE NAME COMMAND...
    "${@:3}" >/dev/null 2>&1
    local code=$?
    [ $code -eq "$1" ]
    report $? "$2" "exit code $code, expected $1"
}
exits 3 "an exit code is passed on" .ci/within 60 sh -c 'exit 3'
exits 137 "a signal is 128 and its number" .ci/within 60 sh -c 'kill -KILL $$'
exits 127 "there is no such command" .ci/within 60 no-such-command
exits 64 "a number of seconds is asked for" .ci/within soon true
exits 124 "a command that sleeps for ever is ended" .ci/within 0.2 sleep infinity
exits 124 "one that spins, too" .ci/within 0.2 sh -c 'while :; do :; done'
exits 124 "and one that ignores SIGTERM" .ci/within 0.2 sh -c 'trap "" TERM; while :; do sleep 0.1; done'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
.ci/within 60 sh -c "trap 'exit 5' TERM; touch $dir/ready; while :; do sleep 0.1; done" &
until_true 20 test -e "$dir/ready"
report $? "until_true waits for an event"
kill -TERM $!
wait $! 2>/dev/null
code=$?
[ $code -eq 5 ]
report $? "a signal is passed on" "exit code $code"
! until_true 1 false
report $? "until_true gives up"

loops=$((6 * $(nproc)))
exits 0 "a limit of 0.5 s is longer beside $loops loops" .ci/busy $loops .ci/within 0.5 sleep 1.5

BUSY_TEST=$$ exits 4 "busy passes an exit code on" .ci/busy 1 sh -c 'exit 4'
(BUSY_TEST=$$ .ci/busy 2 sh -c 'sleep 0.2; kill -KILL $PPID') 2>/dev/null # else the shell says that it was killed
loops_are_gone() { ! grep -qsz "^BUSY_TEST=$$\$" /proc/[0-9]*/environ; }
until_true 20 loops_are_gone
report $? "a busy that is killed leaves no loop behind" "$(pgrep -fa 'while :; do')"
exits 64 "busy asks for a number of loops" .ci/busy many true
done_testing
