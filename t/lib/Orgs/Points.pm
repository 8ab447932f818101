# Points at which something is broken, far more than a normal run has time for: which of them are run, by workers side
# by side, and what is said of the results.
#
#   my @points = chosen(200, sub { my ($point) = @_; ... what it is made of ... }, @all);
#   run_points(10, \@points,
#       open  => sub { my ($number) = @_; ... },           # what a worker works with
#       run   => sub { my ($here, $point) = @_; ... },     # a result
#       close => sub { my ($here) = @_; ... });
#
# A point has a {name}. A result has that name, a {status}, how long it {took}, what was {wrong}, and what was only
# {late}, each a list of sentences; a {class} to count by, and whether it is a {slow} one.
#
# ORGS_TEST_SEED repeats a sample; ORGS_TEST_LONG=1 runs all; ORGS_TEST_POINTS=PATTERN those whose name matches.
package Orgs::Points;

use Orgs::Test;

use Exporter qw(import);
use List::Util qw(first shuffle sum);
use Time::HiRes qw(time);

our @EXPORT = qw(chosen run_points in_transaction);

my $all = 0;

# All, those that were asked for, or a sample: of it, what is not yet in it by any of its parts comes first.
sub chosen {
    my ($sample, $parts, @points) = @_;
    my $seed = $ENV{ORGS_TEST_SEED} // int rand 1e6;
    srand $seed;
    $all = @points;
    my $pattern = $ENV{ORGS_TEST_POINTS};
    @points = shuffle(defined $pattern ? grep { $_->{name} =~ /$pattern/ } @points : @points);
    if (!$ENV{ORGS_TEST_LONG} && !defined $pattern) {
        my %have;
        my %new = map { my $point = $_; ($point->{name} => scalar grep { !$have{$_}++ } $parts->($point)) } @points;
        @points = ((grep { $new{$_->{name}} } @points), grep { !$new{$_->{name}} } @points);
        @points = @points[0 .. $sample - 1] if @points > $sample;
    }
    diag "ORGS_TEST_SEED=$seed, ", scalar @points, " of $all points are run";
    return @points;
}

# The server's numbers of connections that are in a transaction. (information_schema.innodb_trx is as old as the last look.)
sub in_transaction {
    my $status = join "\n", map { $_->[-1] // '' } sql('SHOW ENGINE INNODB STATUS');
    return map { /^[^\n]*, ACTIVE .*?(?:MariaDB|MySQL) thread id (\d+)/s ? $1 : () } split /^---TRANSACTION /m, $status;
}

sub run_points {
    my ($workers, $points, %how) = @_;
    my $began = time;
    my @results = map { @$_ } race($workers, sub {
        my ($number) = @_;
        my $here = $how{open}->($number);
        my @mine = map { $_ % $workers == $number ? $points->[$_] : () } 0 .. $#$points;
        my @results = map { tried($here, $_, %how) } @mine;
        $how{close}->($here);
        return \@results;
    });
    my $took = time - $began;
    try_again(\@results, $points, %how);
    is(scalar @results, scalar @$points, sprintf '%d of %d points were run, in %d seconds', scalar @results, $all, $took);
    my @wrong = map { "$_->{name}: " . join '; ', @{$_->{wrong}} } grep { @{$_->{wrong}} } @results;
    is(scalar @wrong, 0, 'the truth, in time, with nothing left behind') or diag join "\n", @wrong > 50 ? (@wrong[0 .. 49], '...') : @wrong;
    report(@results);
    return @results;
}

sub tried {
    my ($here, $point, %how) = @_;
    return eval { $how{run}->($here, $point) } // {name => $point->{name}, status => 'died', took => 0, wrong => [], late => ["$@"]};
}

# On a machine that has no time for us an answer may be late, or the time too short for a better one, or for the next
# requests: such a point is tried again, alone. A lie is one at once.
sub try_again {
    my ($results, $points, %how) = @_;
    my @late = grep { @{$_->{late}} } @$results or return;
    my $here = $how{open}->(0);
    my %point = map { $_->{name} => $_ } @$points;
    for my $late (@late) {
        my $good = first {
            my $again = tried($here, $point{$late->{name}}, %how);
            push @{$late->{wrong}}, @{$again->{wrong}};
            !@{$again->{late}};
        } 1 .. 3;
        push @{$late->{wrong}}, @{$late->{late}}, 'and no better alone' if !$good;
    }
    diag scalar @late, " were late, and were tried again alone:\n", map { "    $_->{name}: @{$_->{late}}\n" } @late > 10 ? @late[0 .. 9] : @late;
    $how{close}->($here);
    return;
}

sub report {
    my @results = @_;
    my (%count, %class);
    $count{$_->{status}}++ for @results;
    $class{$_->{class} // ''}{$_->{status}}++ for @results;
    diag map { my $class = $_; sprintf "%s: %s\n", $class, join ', ', map { "$_ $class{$class}{$_}" } sort keys %{$class{$class}} } sort keys %class;
    diag 'answers: ', join ', ', map { "$_: $count{$_}" } sort keys %count;
    my @slowest = sort { $b->{took} <=> $a->{took} } @results;
    my @quick = grep { !$_->{slow} } @slowest;
    diag map { sprintf "%.2f s: %s\n", @$_{qw(took name)} } @quick > 6 ? @quick[0 .. 5] : @quick;
    diag sprintf 'the worst took %.2f s: %s', @{$slowest[0]}{qw(took name)} if @slowest;
    diag sum(0, map { $_->{redone} // 0 } @results), ' CALLs that were refused were run again whole, ', sum(0, map { $_->{settled} // 0 } @results), ' were settled';
    return;
}

1;
