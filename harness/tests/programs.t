# Programs that know nothing of hzb: their time, memory and output, their children, and servers with a client.
source "$(dirname "$0")/lib.bash"

# write_workload KEYS...: one workload `p` that runs perl, with these lines; its cell is `one`.
write_workload() {
    { printf '%s\n' 'workloads:' '  - name: p' '    protocol: none' '    timeout_s: 600' \
        '    metrics: [{name: wall_s, direction: down}, {name: peak_rss_kib, direction: down}]'
        printf '    %s\n' "$@"; } >"$work/conf/workloads.yaml"
}
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
arms: {cand: [a], refs: [plain]}
cells:
  - {id: one, workload: p, rounds: 1, expect_s: 0.1}
YAML
# measure KEYS...: sets dir.
measure() {
    write_workload "$@"
    run_matrix --build "$BUILD"
    dir=$out
}
# of COLUMN [ALLOCATOR]: what the sample has.
of() { paste -d= <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" "$1") | sed -n "s/^${2-a}=//p"; }
reasons() { csv_column "$dir/runs.csv" invalid_reason | paste -sd' '; }
# Code that takes so many seconds of user time, most of it not in asking for the time.
busy_for() { printf 'my ($t, $n) = (times + %s, 0); 1 while ++$n %% 20000 || times < $t;' "$1"; }
busy=$(busy_for 0.1)

measure 'bin: perl' "argv: [-e, '\$x = \"x\" x 3e7; $busy print 42']"
is "$rc $(statuses "$dir/runs.csv" | tr ' ' '\n' | sort | paste -sd' ')" '0 a=ok plain=ok' 'a program is measured'
is "$(of processes) $(of exit_code)" '1 0' 'its process was proven'
is "$(of checksum)" "$(printf 42 | sha256sum | cut -c1-16)" 'what it printed is its checksum'
(($(of peak_rss_kib) > 30000 && $(of peak_pss_kib) > 0))
ok $? "peak RSS and PSS are known: $(of peak_rss_kib) $(of peak_pss_kib)"
perl -e 'exit !($ARGV[0] > 0.09 && $ARGV[1] > 1)' "$(of cpu_user_s)" "$(of rss_mib_s)"
ok $? "and CPU time and RSS over time: $(of cpu_user_s) $(of rss_mib_s)"
is "$(sed -n 2p "$dir/rss/1.csv" | cut -d, -f4)" '' 'live bytes are unknown'
if [[ -x /usr/bin/time ]]; then
    /usr/bin/time -f %M perl -e "\$x = \"x\" x 3e7; $busy print 42" 2>"$work/time" >"$work/printed"
    perl -e 'exit !(abs($ARGV[0] / $ARGV[1] - 1) < 0.01)' "$(of peak_rss_kib plain)" "$(<"$work/time")"
    ok $? "the peak is that of time(1): $(of peak_rss_kib plain) and $(<"$work/time") KiB"
    # One process, measured by both: what else the machine does is the same for either. time(1) cuts to 10 ms and says of the
    # last sample what it needed, whichever arm that was.
    slowness() { perl -I.ci -MPatience -e 'print Patience::slowness()'; }
    slow_before=$(slowness)
    measure 'bin: /usr/bin/time' "argv: [-o, $work/time, -f, '%e %U %S', perl, -e, '$(busy_for 0.7)']"
    last() { csv_column "$dir/runs.csv" "$1" | tail -1; }
    hzb_says="$(last wall_s) $(last cpu_user_s) $(last cpu_sys_s)"
    perl -e 'exit !(abs($ARGV[1] + $ARGV[2] - $ARGV[4] - $ARGV[5]) < 0.03 * $ARGV[4] + 0.02)' $hzb_says $(<"$work/time")
    ok $? "CPU time is that of time(1): $hzb_says, $(<"$work/time") s"
    # Much more is what a busy machine needs to begin and end a process; the tests' limits know how busy (Patience.pm).
    perl -e 'exit !($ARGV[0] > $ARGV[3] - 0.02 && $ARGV[0] < 1.5 * $ARGV[3] + 0.5 * ($ARGV[6] + $ARGV[7]))' \
        $hzb_says $(<"$work/time") "$slow_before" "$(slowness)"
    ok $? "and wall time is no less, nor much more: $hzb_says, $(<"$work/time") s"
else
    for name in 'the peak is that of time(1)' 'CPU time is that of time(1)' 'and wall time is no less, nor much more'; do
        skip "$name" 'Debian package time is not installed'
    done
fi

script() { printf '%s\n' "$1" >"$work/script.pl"; }
script "for (1, 2) { system qw(perl -e), q($busy) } $busy"
measure 'bin: perl' "argv: [$work/script.pl]"
is "$(of status) $(of processes)" 'ok 3' 'children are proven, too'
perl -e 'exit !($ARGV[0] > 0.29)' "$(of cpu_user_s)"
ok $? "and their time counts: $(of cpu_user_s)"
script "system qw(env -u LD_PRELOAD perl -e), q($busy $busy $busy $busy); $busy"
measure 'bin: perl' "argv: [$work/script.pl]"
is "$(of status) $(of status plain)" 'invalid ok' 'a child without the allocator makes the sample invalid'
like "$(reasons)" 'proof: .*libhzbfake_a.so is not mapped \(process [0-9]+\)' 'and is named'
script "$busy delete \$ENV{LD_PRELOAD}; exec qw(perl -e), q($busy $busy $busy $busy)"
measure 'bin: perl' "argv: [$work/script.pl]"
is "$(of status) $(of status plain)" 'invalid ok' 'so does a process that goes on without it in another program'
script "$busy print \$ENV{LD_PRELOAD}"
measure 'bin: perl' "argv: [$work/script.pl]"
is "$(of status) $(of status plain)" 'invalid invalid' 'unlike output makes the block invalid'
like "$(reasons)" 'block: checksum: ' 'and that is said'
measure 'bin: perl' "argv: [-e, '$busy exit 3']"
like "$(of status) $(of invalid_reason)" '^failed exit: code 3' 'an exit code is a failure'
measure 'bin: perl' "argv: [-e, '$busy kill 11, \$\$']"
is "$(of status) $(of signal)" 'signal 11' 'and so is a signal'
measure 'bin: perl' "argv: [-e, '$busy sleep 98.7 unless fork']"
is "$(of status)" 'ok' 'a process that is left does not hold the run up'
sleep 0.1
is "$(grep -la 'sleep 98[.]7' /proc/[0-9]*/cmdline 2>/dev/null | grep -vc self)" 0 'and is gone'

write_workload 'bin: perl' "argv: [-e, 'print <STDIN>; $busy']" 'stdin: "{inputs}/in"' 'prepare: "echo made >in; echo once >>../times"'
mkdir "$work/b"
ln -s "$BUILD/tests" "$work/b/tests"
run_matrix --build "$work/b"
dir=$out
is "$(of checksum)" "$(echo made | sha256sum | cut -c1-16)" 'it reads the input that was made for it'
run_matrix --build "$work/b"
is "$(wc -l <"$work/b/inputs/times")" 1 'which is made once'
sed -i 's/echo made/echo other/' "$work/conf/workloads.yaml"
run_matrix --build "$work/b"
is "$(wc -l <"$work/b/inputs/times") $(<"$work/b/inputs/p/in")" '2 other' 'and anew when it is made otherwise'
sed -i 's/echo other/false/' "$work/conf/workloads.yaml"
run_matrix --build "$work/b"
is "$rc" 74 'nothing is measured without it'
like "$err" "workload 'p': its inputs cannot be made" 'and that is said'

serve='my $x = "x" x 1e6; open F, q(>), q(up); close F; sleep 1 while 1'
measure 'bin: perl' "argv: [-e, '$serve']" 'ready: test -e up' \
    "client: perl -e '\$x = \"x\" x 8e7; select undef, undef, undef, 0.2' && echo hi >got" 'check: cat got'
is "$(of status) $(of signal)" 'ok 15' 'a server is told to end when its client is done'
is "$(of checksum)" "$(echo hi | sha256sum | cut -c1-16)" 'what the check prints is compared'
perl -e 'exit !($ARGV[0] >= 0.2 && $ARGV[1] < 40000)' "$(of work_s)" "$(of peak_rss_kib)"
ok $? "the client's time is known, its memory is not the server's: $(of work_s) s, $(of peak_rss_kib) KiB"
is "$(cut -d, -f2 "$dir/rss/1.csv" | uniq | tr '\n' ' ' | sed 's/phase start //')" 'client stop ' 'the curve has the phases'
measure 'bin: perl' "argv: [-e, '$serve']" 'ready: test -e up' 'client: echo lost; exit 4'
like "$(of status) $(of invalid_reason)" '^failed client: it failed, see logs/[0-9]+.client' 'a client that fails is a failure'
like "$(cat "$dir"/logs/*.client)" 'lost' 'and what it said is kept'

measure 'bin: no_such_program' 'argv: []' 'optional: true'
is "$rc $(of status) $(of invalid_reason) ${err%%;*}" "0 skipped program: not installed workload 'p': no program 'no_such_program'" \
    'a program that is optional may be missing'
for needs in no_such_program "$work/*/no_such_program"; do
    measure 'bin: perl' "argv: [-e, '$busy']" "needs: [cat, '$needs']" 'optional: true'
    is "$(of status) $(of invalid_reason) ${err%%;*}" "skipped program: not installed workload 'p': no program '$needs'" \
        "so may $needs, which it needs besides"
done
mkdir -p "$work/some/where"
ln -s "$(type -P cat)" "$work/some/where/no_such_program"
measure 'bin: perl' "argv: [-e, '$busy print 42']" "needs: [cat, '$work/some/*/no_such_program']"
is "$rc $(of status)" '0 ok' 'a path with wildcards is found'
write_workload 'bin: perl' 'argv: []' 'needs: [no_such_program]'
run_matrix
like "$rc $err" "^64 .*workload 'p': no program 'no_such_program'" 'what is needed must be there, if it is not optional'
write_workload 'bin: no_such_program' 'argv: []'
run_matrix
is "$rc" 64 'another one may not'
like "$err" "workload 'p': no program 'no_such_program'" 'and is named'
for keys in 'ready: true|a server needs both ready and client' 'check: true|check is about a server' \
    'protocol: HZB1|needs? .protocol: none|' 'protocol: some|protocol'; do
    write_workload 'bin: perl' 'argv: []' 'stdin: x' "${keys%%|*}"
    [[ $keys != protocol* ]] || sed -i '/protocol: none/d' "$work/conf/workloads.yaml"
    run_matrix
    like "$rc $err" "^64 .*$(cut -d'|' -f2 <<<"$keys")" "${keys%%|*} is refused"
done
is "$(ls -A "$work/tmp")" '' 'nothing is left'
done_testing
