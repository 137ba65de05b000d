#!/usr/bin/env bash
# Real programs that put themselves into a sandbox, or into a namespace that only a process of one thread may have. Each
# must end under hz3 as it ends without; what is not installed is skipped.
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
build=$(cd "${BUILD:-$top/build}" && pwd) || exit 1
lanes=(scale hardened)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$top/.ci/tap.bash"
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
unset "${!HZ3_@}"

within() { "$top/.ci/within" 60 env LD_PRELOAD="$library" "$@"; }

# ---- the programs: each runs in an empty folder, and answers for the program by its status ----

run_unshare() {
    within unshare --user --map-root-user true
}

# Its heap is large before it asks for the namespace.
run_perl_unshare() {
    within perl -e '
        my @heap = map { "x" x (1000 + $_ % 3000) } 1 .. 30000;
        splice @heap, 0, 15000;
        my ($sys_unshare, $new_user) = (272, 0x10000000);
        exit(syscall($sys_unshare, $new_user) == 0 ? 0 : 1);'
}

run_bwrap() {
    within bwrap --unshare-all --dev-bind / / true
}

run_file() {
    within file --brief /bin/sh
}

# Asks a server that does not answer, and ends by itself with status 1.
run_chronyd() {
    within chronyd -F 1 -Q -U -u "$(id -un)" -t 1 'server 127.0.0.1' "pidfile $work/chronyd.pid"
}

run_apt_get() {
    mkdir -p repository state/lists/partial cache/archives/partial
    printf 'Package: nothing\nVersion: 1\nArchitecture: all\nFilename: nothing.deb\nSize: 1\n\n' > repository/Packages
    xz repository/Packages || return 99
    echo "deb [trusted=yes] copy:$PWD/repository ./" > sources.list
    chmod -R a+rX "$work"
    within apt-get -o APT::Sandbox::Seccomp=true -o APT::Sandbox::User=root -o Dir::Etc::sourceparts=- \
        -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::State="$PWD/state" -o Dir::Cache="$PWD/cache" \
        -o Dir::State::status=/dev/null update
}

# A whole login over a pipe: its pre-auth child lives in a sandbox.
run_sshd() {
    ssh-keygen -q -t ed25519 -N '' -f host_key && ssh-keygen -q -t ed25519 -N '' -f key || return 99
    cat > server << END
exec env LD_PRELOAD=$library $(command -v sshd) -i -e -h $PWD/host_key -f /dev/null -o UsePAM=no -o StrictModes=no \
    -o PermitRootLogin=yes -o AuthorizedKeysFile=$PWD/key.pub
END
    "$top/.ci/within" 60 ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
        -i key -o "ProxyCommand=bash $PWD/server" "$(id -un)@localhost" true
}

# ---- the comparison ----

run_alone() { # run_alone PROGRAM LIBRARY: its status; what it said is in $work/said
    local library=$2
    rm -rf "$work/folder" && mkdir "$work/folder"
    (cd "$work/folder" && "run_$1") > "$work/said" 2>&1
}

declare -A needs=([perl_unshare]=perl [apt_get]=apt-get)
for program in unshare perl_unshare bwrap file chronyd apt_get sshd; do
    if ! command -v "${needs[$program]:-$program}" > /dev/null; then
        skip "$program" "not installed"
        continue
    fi
    run_alone "$program" ''
    without=$?
    if [ "$program" = chronyd ] && grep -q 'Loaded seccomp filter' "$work/said"; then
        : # it cannot succeed here
    elif [ "$without" != 0 ]; then
        skip "$program" "does not work here: $(tail -1 "$work/said")"
        continue
    fi
    for lane in "${lanes[@]}"; do
        run_alone "$program" "$build/libhakozuna_hz3_$lane.so"
        status=$?
        [ "$status" = "$without" ]
        report $? "$program, lane $lane" "status $status, without hz3 $without: $(tail -3 "$work/said")"
    done
done
done_testing
