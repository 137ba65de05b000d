#!/usr/bin/perl
# Compares results with two allocators. Lines: allocator, test, result, with tabs between; a test may have several runs.
#     compare.pl SUITE FILE...    a row of the table, then the first differences; exit 1 if there is any
use strict;
use warnings;

use constant DIFFERENCES_SHOWN => 20;

sub fail { print STDERR "compare.pl: $_[0]\n"; exit 65 }

sub results_read {
    my ($path) = @_;
    my %results; # test => allocator => result => 1
    open my $in, '<', $path or fail("'$path': $!");
    while (<$in>) {
        chomp;
        my ($allocator, $test, $result) = split /\t/, $_, 3;
        defined $result && $allocator =~ /^(?:glibc|hz3)$/
            or fail("'$path' line $.: '$_': expected glibc or hz3, a test and a result");
        $results{$test}{$allocator}{$result} = 1;
    }
    return \%results;
}

sub said { return join(' or ', sort keys %{$_[0] // {}}) || 'nothing' }

my ($suite, @files) = @ARGV;
@files or do { print STDERR "usage: compare.pl SUITE FILE...\n"; exit 64 };
my ($tests, $same, $passed, @different) = (0, 0, 0);
for my $file (@files) {
    my $results = results_read($file);
    for my $test (sort keys %$results) {
        my ($glibc, $hz3) = @{$results->{$test}}{qw(glibc hz3)};
        $tests++;
        $passed++ if $glibc->{ok} || $glibc->{completed};
        # A unit that says nothing with both was not compared.
        if (grep { $hz3->{$_} && $_ ne 'no results' } keys %{$glibc // {}}) {
            $same++;
        } else {
            push @different, sprintf "%s: %s: glibc %s, hz3 %s", $file =~ s|.*/||r, $test, said($glibc), said($hz3);
        }
    }
}
printf "| %s | %d | %d | %d | %d | %d |\n", $suite, scalar @files, $tests, $same, scalar @different, $passed;
my $status = @different ? 1 : 0;
print "$_\n" for splice @different, 0, DIFFERENCES_SHOWN;
printf "%s: %d more\n", $suite, scalar @different if @different;
exit $status;
