# The knob table of allocator/README.md says what src/hz3_knobs.def says.
perl -e '
    my ($def, $readme) = map { local $/; open my $in, "<", $_ or die "$_: $!"; <$in> } @ARGV;
    my ($table) = $readme =~ /<!-- knobs -->\n(.*?)<!-- \/knobs -->/s;
    my %row = map { /^\| `(HZ3_\w+)` \| (.*?) \| (.*?) \| (.*) \|$/ ? ($1 => [$2, $3, $4]) : () } split /\n/, $table;
    my $n = 0;
    while ($def =~ /^HZ3_KNOB\((\w+), (\w+), (.*?), ?([\w|]+), (\w*),\s*"(.*?)"\)$/mg) {
        my ($name, $type, $default, $range, $meaning) = ("HZ3_$1", $2, $3, "$4..$5", $6);
        $range = join ", ", split /\|/, $4 if $type eq "CHOICE" || $type eq "FLAGS"; # a bar would end the cell
        my $got = delete $row{$name} // ["", "", ""];
        $range = "text" if $type eq "PATH";
        my $ok = $got->[1] eq $range && $got->[2] eq $meaning && ($default !~ /^\w+$/ || $default =~ /^HZ3_/ || $got->[0] eq $default);
        printf "%sok %d - %s\n", $ok ? "" : "not ", ++$n, $name;
        print "# README: @$got\n#    def: $default $range $meaning\n" unless $ok;
    }
    printf "%sok %d - no row without a knob\n", %row ? "not " : "", ++$n;
    print "# $_\n" for sort keys %row;
    print "1..$n\n";
' allocator/src/base/hz3_knobs.def allocator/README.md
