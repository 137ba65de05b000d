#!/usr/bin/perl
# Does RSS/live creep upwards? Reads the samples of bench_soak and exits with 1 when it rises by more than the limit.
#     verdict.pl SAMPLES.csv CYCLES.csv LIMIT    LIMIT in percent an hour; CYCLES.csv gets what the slope is fitted to
#
# The phases of a cycle differ in RSS/live by design, so a fit through the samples would see which phase the run began
# and ended with. Each phase is compared with itself only: its median in a cycle against its median over the run. A
# cycle's value is the median of that over its phases, and the slope is Theil's and Sen's, the median slope of all pairs
# of cycles, with Kendall's interval. The first 15 % of the cycles, in which caches fill, do not count.
use strict;
use warnings;
use List::Util qw(max);
use POSIX qw(ceil floor);

use constant { WARM_UP => 0.15, CYCLES_MIN => 4, Z_95 => 1.96 };

sub fail { print STDERR "verdict.pl: $_[0]\n"; exit 65 }

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

# Returns { cycle => { phase => [[t_s, rss, live]...] } } and the names of the phases in their order.
sub samples_read {
    my ($path) = @_;
    open my $in, '<', $path or fail("'$path': $!");
    my (%cycles, @phases, %seen);
    while (<$in>) {
        next if $. == 1 && /^t_s,/;
        my ($t_s, $cycle, $phase, $rss, $live) = /^([\d.]+),(\d+),(\w+),([\d.]+),([\d.]+)$/
            or fail("'$path' line $.: '" . s/\n//r . "': expected t_s,cycle,phase,rss_mib,live_mib");
        push @phases, $phase unless $seen{$phase}++;
        push @{$cycles{$cycle}{$phase}}, [$t_s, $rss, $live] if $live > 0;
    }
    return (\%cycles, @phases);
}

sub columns { my ($rows, $column) = @_; return map { $_->[$column] } @$rows }
sub ratios { return map { $_->[1] / $_->[2] } @{$_[0]} }

# A cycle that the end of the run cut short lacks phases, and would be compared with what it is not.
sub whole_cycles {
    my ($cycles, @phases) = @_;
    my @whole = grep { my $c = $cycles->{$_}; @phases == grep { $c->{$_} } @phases } sort { $a <=> $b } keys %$cycles;
    splice @whole, 0, ceil(WARM_UP * @whole);
    return @whole;
}

# [hours, percent off the phases' own levels] for each cycle.
sub cycle_values {
    my ($cycles, $kept, @phases) = @_;
    my %level;
    for my $phase (@phases) {
        $level{$phase} = median(map { median(ratios($cycles->{$_}{$phase})) } @$kept);
    }
    return map {
        my $cycle = $cycles->{$_};
        my $t_s = median(map { columns($cycle->{$_}, 0) } @phases);
        [$t_s / 3600, 100 * (median(map { median(ratios($cycle->{$_})) / $level{$_} } @phases) - 1)];
    } @$kept;
}

# Slope, lower and upper end of its 95 % interval.
sub theil_sen {
    my @points = @_;
    my @slopes;
    for my $i (0 .. $#points) {
        push @slopes, map { ($points[$_][1] - $points[$i][1]) / ($points[$_][0] - $points[$i][0]) } $i + 1 .. $#points;
    }
    @slopes = sort { $a <=> $b } @slopes;
    my $n = @points;
    my $spread = Z_95 * sqrt($n * ($n - 1) * (2 * $n + 5) / 18);
    my $low = max(0, floor((@slopes - $spread) / 2));
    return (median(@slopes), $slopes[$low], $slopes[$#slopes - $low]);
}

sub cycles_write {
    my ($path, $slope, @points) = @_;
    my $level = median(map { $_->[1] - $slope * $_->[0] } @points);
    open my $out, '>', $path or fail("'$path': $!");
    print $out "t_s,off_pct,fit_pct\n";
    printf $out "%.2f,%.4f,%.4f\n", 3600 * $_->[0], $_->[1], $level + $slope * $_->[0] for @points;
    close $out or fail("'$path': $!");
}

sub table_print {
    my ($cycles, $kept, @phases) = @_;
    print "| phase | live MiB | RSS MiB | RSS/live | in the first cycle counted | in the last |\n";
    print "|---|---:|---:|---:|---:|---:|\n";
    for my $phase (@phases) {
        my @rows = map { @{$cycles->{$_}{$phase}} } @$kept;
        my @ends = map { median(ratios($cycles->{$_}{$phase})) } @$kept[0, -1];
        printf "| %s | %.1f | %.1f | %.3f | %.3f | %.3f |\n", $phase, median(columns(\@rows, 2)),
            median(columns(\@rows, 1)), median(ratios(\@rows)), @ends;
    }
}

sub main {
    my ($samples, $out, $limit) = @_;
    if (@_ != 3 || $limit !~ /^\d+(\.\d+)?$/) {
        print STDERR "usage: verdict.pl SAMPLES.csv CYCLES.csv LIMIT (percent an hour, a decimal number)\n";
        exit 64;
    }
    my ($cycles, @phases) = samples_read($samples);
    my @kept = whole_cycles($cycles, @phases);
    fail("'$samples': " . @kept . " whole cycles after the warm-up, expected at least " . CYCLES_MIN)
        if @kept < CYCLES_MIN;
    my @points = cycle_values($cycles, \@kept, @phases);
    my ($slope, $low, $high) = theil_sen(@points);
    cycles_write($out, $slope, @points);
    table_print($cycles, \@kept, @phases);
    my $holds = $slope <= $limit;
    printf "\nRSS/live: %+.2f %% an hour (95 %% interval %+.2f to %+.2f, %d cycles), limit %s: %s\n", $slope, $low,
        $high, scalar @points, $limit, !$holds ? 'FAILS' : $high <= $limit ? 'holds' : 'holds by the slope, open by its interval';
    return $holds ? 0 : 1;
}

exit main(@ARGV);
