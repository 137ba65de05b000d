#!/usr/bin/env bash
# The hot paths of malloc, free and operator new, from entry to the first ret with no unlikely branch taken, counted by
# kind of instruction and compared with golden_fast_path_*.txt. After a change that is meant: `golden.t --update` writes
# anew those whose libraries are built. Those of aarch64 are built by make CROSS=aarch64-linux-gnu- allocator.
. "$(dirname "$0")/tap.bash"
lanes=(scale fast)
golden=allocator/tests/unit/golden_fast_path
declare -A built=([x86-64]=$build [aarch64]=$build/aarch64-linux-gnu)
declare -A objdump=([x86-64]=objdump [aarch64]=aarch64-linux-gnu-objdump)
[ "$(uname -m)" = x86_64 ] || built[x86-64]=/nowhere

# Prints one block per function: kinds of instructions, memory accesses, then each mnemonic.
count_path() { # count_path ARCHITECTURE LIBRARY FUNCTION
    "${objdump[$1]}" -d --no-show-raw-insn "$2" | perl -e '
        my ($function, %code, %next, $at, $first) = @ARGV ? shift : ();
        while (<STDIN>) {
            if (/^[0-9a-f]+ <(.+)>:/) { $inside = $1 eq $function; undef $at; next; }
            next unless $inside && /^\s*([0-9a-f]+):\s+(\S+)\s*([^#<]*)/;
            my ($address, $mnemonic, $operands) = (hex $1, $2, $3);
            $operands =~ s/\s+$//;
            $next{$at} = $address if defined $at;
            $first //= $address;
            $at = $address;
            $code{$address} = [$mnemonic, $operands];
        }
        die "no function $function\n" unless defined $first;
        my (%kind, %mnemonics);
        for ($at = $first; ; ) {
            my $insn = $code{$at} or die sprintf "%s leaves its code at %x\n", $function, $at;
            my ($mnemonic, $operands) = @$insn;
            my $following = $next{$at};
            $mnemonic =~ s/^(?:notrack|bnd|lock)//;
            if ($mnemonic =~ /^(?:nop|endbr64|cs|data16)/) { $at = $following; next; }
            $kind{instructions}++;
            $mnemonics{$mnemonic}++;
            my $in_memory = qr/%fs:|\([^)]*\)/;
            my ($destination) = $operands =~ /((?:[^,(]|\([^)]*\))*)$/;
            my $source = substr $operands, 0, length($operands) - length $destination;
            if ($mnemonic =~ /^(?:ld|st)[a-z]*r/) { # aarch64
                $kind{$mnemonic =~ /^ld/ ? "loads" : "stores"}++;
            } elsif ($mnemonic =~ /^(?:j|b$|b\.|br$|cbn?z|tbn?z)/) {
                if ($mnemonic =~ /^(?:jmp|br?)$/) {
                    my $target = hex $operands;
                    if (!$code{$target}) { $kind{"tail calls"}++; last; }
                    $following = $target;
                    $kind{jumps}++;
                } else {
                    $kind{branches}++;
                }
            } elsif ($mnemonic =~ /^(?:call|blr?$)/) {
                $kind{calls}++;
            } elsif ($mnemonic =~ /^(?:push|pop)/) {
                $kind{$mnemonic =~ /^push/ ? "stores" : "loads"}++;
            } elsif ($mnemonic !~ /^(?:lea|ret|prefetch|prfm)/) {
                $kind{loads}++ if $source =~ $in_memory;
                if ($destination =~ $in_memory) {
                    $kind{loads}++ unless $mnemonic =~ /^mov/;
                    $kind{stores}++ unless $mnemonic =~ /^(?:cmp|test)/;
                }
            }
            last if $mnemonic =~ /^ret/;
            $at = $following;
        }
        printf "  %-13s %3d\n", $_, $kind{$_} // 0
            for "instructions", "loads", "stores", "branches", "jumps", "calls", "tail calls";
        printf "  of which      %s\n", join " ", map { "$_ $mnemonics{$_}" } sort keys %mnemonics;
    ' "$3"
}

# "GCC 12", or nothing: clang's libraries name gcc as well, because the C library's start files are gcc's.
compiler_of() { # compiler_of LIBRARY
    local comment
    comment=$(readelf -p .comment "$1")
    grep -q clang <<< "$comment" || sed -n 's/.*GCC: (.*) \([0-9]*\)\..*/GCC \1/p' <<< "$comment" | sort -u
}

describe() { # describe ARCHITECTURE LANE
    local library=${built[$1]}/libhakozuna_hz3_$2.so function
    for function in malloc free _Znwm; do # _Znwm: operator new
        echo "$2 $function"
        count_path "$1" "$library" $function || return 1
    done
}

update() { # update ARCHITECTURE
    echo "# Hot paths of malloc, free and operator new, $(compiler_of "${built[$1]}/libhakozuna_hz3_scale.so"), $1. Written by golden.t --update."
    for lane in "${lanes[@]}"; do describe "$1" "$lane" || exit 1; done
}

if [ "${1:-}" = --update ]; then
    for architecture in x86-64 aarch64; do
        [ -e "${built[$architecture]}" ] || continue
        update $architecture > "$tmp/new" && cp "$tmp/new" ${golden}_$architecture.txt || exit
    done
    exit
fi

# Why the lane cannot be looked at; prints nothing when it can.
reason_against() { # reason_against ARCHITECTURE LIBRARY
    local compiler
    if ! command -v "${objdump[$1]}" > /dev/null || ! command -v readelf > /dev/null; then
        echo "needs ${objdump[$1]} and readelf"
    elif [ ! -e "$2" ] || [ -n "$(find allocator/src -newer "$2" -name '*.[ch]' | head -1)" ]; then
        echo "not built, or older than its sources"
    elif compiler=$(compiler_of "$2"); [ -z "$compiler" ] || ! grep -qF "$compiler," "${golden}_$1.txt"; then
        echo "built by ${compiler:-another compiler than gcc}; the golden file is for another"
    fi
}

for architecture in x86-64 aarch64; do
    for lane in "${lanes[@]}"; do
        library=${built[$architecture]}/libhakozuna_hz3_$lane.so
        reason=$(reason_against $architecture "$library")
        if [ -n "$reason" ]; then
            skip "hot paths of lane $lane, $architecture" "$reason"
            continue
        fi
        sed -n "/^$lane /,/of which/p" ${golden}_$architecture.txt > "$tmp/wanted"
        describe $architecture "$lane" > "$tmp/is" 2>&1
        difference=$(diff -U 20 --label golden --label "$library" "$tmp/wanted" "$tmp/is")
        report $? "hot paths of lane $lane, $architecture" "$difference"
    done
done
done_testing
