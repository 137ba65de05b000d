# What the shell tests of the workloads share; sourced. $build is the folder of the programs.
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/tap.bash"

refuses() { # refuses WHAT-THE-MESSAGE-SAYS PROGRAM ARGUMENTS...
    local said code want=$1
    shift
    said=$("$@" 2>&1)
    code=$?
    [ $code -eq 64 ] && [[ $said == *"$want"* ]]
    report $? "$(basename "$1") ${*:2}: $want" "exit $code: $said"
}

# Plays the harness, which alone is told the final line; an allocator in $PRELOAD is loaded into the workload only.
final_line() { # final_line PROGRAM ARGUMENTS...
    perl -MSocket -e '
        use Fcntl;
        socketpair(my $near, my $far, AF_UNIX, SOCK_STREAM, 0) or die $!;
        fcntl($far, F_SETFD, 0);
        if (!fork) {
            $ENV{HZB_FD} = fileno $far;
            $ENV{LD_PRELOAD} = $ENV{PRELOAD} if $ENV{PRELOAD};
            open STDOUT, ">", "/dev/null";
            exec @ARGV or exit 127;
        }
        close $far;
        while (<$near>) { if (/^HZB1 ops=/) { print; syswrite $near, "x"; } }
        wait; exit($? >> 8);' "$@"
}
checksum() { final_line "$@" | sed -n 's/.* checksum=\([0-9a-f]\{16\}\) .*/\1/p'; }

same_checksum() { # same_checksum NAME A B: equal and not empty
    [ -n "$2" ] && [ "$2" = "$3" ]
    report $? "$1" "checksums '$2' and '$3'"
}

caught() { # caught NAME PROGRAM ARGUMENTS...
    local said code
    said=$(LD_PRELOAD=$build/tests/liboverlapping_malloc.so "${@:2}" 2>&1)
    code=$?
    [ $code -eq 70 ] && [[ $said == *"was overwritten while alive"* ]]
    report $? "$1" "exit $code: $said"
}
