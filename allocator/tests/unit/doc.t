# The pages say what the sources say: the knob table of allocator/doc/knobs.md what hz3_knobs.def says, and every word of
# the glossary in hz3_types.h has its row in allocator/doc/glossary.md.
perl -e '
    my ($def, $page, $types, $glossary) = map { local $/; open my $in, "<", $_ or die "$_: $!"; <$in> } @ARGV;
    my ($table) = $page =~ /<!-- knobs -->\n(.*?)<!-- \/knobs -->/s;
    my %row = map { /^\| `(HZ3_\w+)` \| (.*?) \| (.*?) \| (.*) \|$/ ? ($1 => [$2, $3, $4]) : () } split /\n/, $table;
    my $n = 0;
    while ($def =~ /^HZ3_KNOB\((\w+), (\w+), (.*?), ?([\w|]+), (\w*),\s*"(.*?)"\)$/mg) {
        my ($name, $type, $default, $range, $meaning) = ("HZ3_$1", $2, $3, "$4..$5", $6);
        $range = join ", ", split /\|/, $4 if $type eq "CHOICE" || $type eq "FLAGS"; # a bar would end the cell
        my $got = delete $row{$name} // ["", "", ""];
        $range = "text" if $type eq "PATH";
        my $ok = $got->[1] eq $range && $got->[2] eq $meaning && ($default !~ /^\w+$/ || $default =~ /^HZ3_/ || $got->[0] eq $default);
        printf "%sok %d - %s\n", $ok ? "" : "not ", ++$n, $name;
        print "#   page: @$got\n#    def: $default $range $meaning\n" unless $ok;
    }
    printf "%sok %d - no row without a knob\n", %row ? "not " : "", ++$n;
    print "# $_\n" for sort keys %row;
    my ($comment) = $types =~ m{\A(.*?)#ifndef}s;
    my @words = $comment =~ m{^//   (\S.*?)  +\S}mg;
    for my $word (@words) {
        printf "%sok %d - the glossary has %s\n", $glossary =~ /^\| \Q$word\E \|/m ? "" : "not ", ++$n, $word;
    }
    printf "%sok %d - hz3_types.h has a glossary\n", @words > 10 ? "" : "not ", ++$n;
    print "1..$n\n";
' allocator/src/base/hz3_knobs.def allocator/doc/knobs.md allocator/src/base/hz3_types.h allocator/doc/glossary.md
