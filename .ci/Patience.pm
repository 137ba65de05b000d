package Patience;

# A limit of time that a busy machine stretches: where three times as many tasks want to run as there are CPUs, a
# second uses up a third of one. A hang still ends. allocator/tests/patience.h is the same in C.
#
#     my $patience = Patience->new($seconds);
#     sleep 0.02 while $patience->lasts && ...;
use strict;
use warnings;
use POSIX qw(sysconf);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use constant SC_NPROCESSORS_ONLN => 84; # of Linux; POSIX.pm lacks it
my $stopped_s = 1;                      # a longer step: we were stopped, and so were those that we wait for

sub cpus { return sysconf(SC_NPROCESSORS_ONLN) }

# Tasks that run or want to, without this one, for each CPU; at least 1, or TEST_PATIENCE.
sub slowness {
    my $least = $ENV{TEST_PATIENCE} || 1;
    open my $in, '<', '/proc/loadavg' or return $least;
    my ($running) = <$in> =~ m{ (\d+)/};
    my $slowness = (($running // 1) - 1) / cpus();
    return $slowness > $least ? $slowness : $least;
}

sub new {
    my ($class, $seconds) = @_;
    return bless {left_s => $seconds, seen => clock_gettime(CLOCK_MONOTONIC)}, $class;
}

# Whether some of it is left. Called often, for the machine may be busy at one time and not at another.
sub lasts {
    my ($self) = @_;
    my $now = clock_gettime(CLOCK_MONOTONIC);
    my $step = $now - $self->{seen};
    $self->{seen} = $now;
    $self->{left_s} -= ($step < $stopped_s ? $step : $stopped_s) / slowness();
    return $self->{left_s} > 0;
}

1;
