#!/usr/bin/env bash
# The hot paths of malloc, free and operator new, from entry to the first ret with no unlikely branch taken, counted by kind of
# instruction and compared with golden_fast_path.txt. After a change that is meant: `golden.t --update` writes it anew.
. "$(dirname "$0")/tap.bash"
golden=allocator/tests/unit/golden_fast_path.txt
lanes=(scale fast)

# Prints one block per function: kinds of instructions, memory accesses, then each mnemonic.
count_path() { # count_path LIBRARY FUNCTION
    objdump -d --no-show-raw-insn "$1" | perl -e '
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
            if ($mnemonic =~ /^j/) {
                if ($mnemonic eq "jmp") {
                    my $target = hex $operands;
                    if (!$code{$target}) { $kind{"tail calls"}++; last; }
                    $following = $target;
                    $kind{jumps}++;
                } else {
                    $kind{branches}++;
                }
            } elsif ($mnemonic =~ /^call/) {
                $kind{calls}++;
            } elsif ($mnemonic =~ /^(?:push|pop)/) {
                $kind{$mnemonic =~ /^push/ ? "stores" : "loads"}++;
            } elsif ($mnemonic !~ /^(?:lea|ret|prefetch)/) {
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
    ' "$2"
}

# "GCC 12", or nothing: clang's libraries name gcc as well, because the C library's start files are gcc's.
compiler_of() { # compiler_of LIBRARY
    local comment
    comment=$(readelf -p .comment "$1")
    grep -q clang <<< "$comment" || sed -n 's/.*GCC: (.*) \([0-9]*\)\..*/GCC \1/p' <<< "$comment" | sort -u
}

describe() { # describe LANE
    local library=$build/libhakozuna_hz3_$1.so function
    for function in malloc free _Znwm; do # _Znwm: operator new
        echo "$1 $function"
        count_path "$library" $function || return 1
    done
}

if [ "${1:-}" = --update ]; then
    {
        compiler=$(compiler_of "$build/libhakozuna_hz3_scale.so")
        echo "# Hot paths of malloc, free and operator new, $compiler, x86-64. Written by golden.t --update."
        for lane in "${lanes[@]}"; do describe "$lane" || exit 1; done
    } > "$tmp/new" && cp "$tmp/new" $golden
    exit
fi

for lane in "${lanes[@]}"; do
    library=$build/libhakozuna_hz3_$lane.so
    compiler=$(compiler_of "$library")
    if ! { command -v objdump && command -v readelf && command -v perl; } > /dev/null || [ "$(uname -m)" != x86_64 ]; then
        skip "hot paths of lane $lane" "needs objdump, readelf and x86-64"
    elif [ -z "$compiler" ] || ! grep -qF "$compiler," $golden; then
        skip "hot paths of lane $lane" "built by ${compiler:-another compiler than gcc}; the golden file is for another"
    else
        sed -n "/^$lane /,/of which/p" $golden > "$tmp/wanted"
        describe "$lane" > "$tmp/is" 2>&1
        difference=$(diff -U 20 --label golden --label "$library" "$tmp/wanted" "$tmp/is")
        report $? "hot paths of lane $lane" "$difference"
    fi
done
done_testing
