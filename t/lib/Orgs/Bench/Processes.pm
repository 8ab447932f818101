# What processes cost: a process and all below it.
#
#   my $before = cpu_of($pid);   # seconds of CPU, those of ended children included
#   memory_of($pid);             # kilobytes: what they have for themselves and their part of what they share (PSS)
#   descriptors_of($pid);        # open files and sockets of all of them
#   switches_of($pid);           # how often one of their threads began to wait
package Orgs::Bench::Processes;
use strict;
use warnings;

use Exporter qw(import);
use POSIX ();

our @EXPORT = qw(tree_of cpu_of memory_of descriptors_of switches_of);

my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());

# Of all processes: [parent, seconds of CPU].
sub processes {
    my %all;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my ($pid, $rest) = (<$in> // '') =~ /^(\d+) \(.*\) (.*)/ or next;
        my @fields = split ' ', $rest;
        $all{$pid} = [$fields[1], ($fields[11] + $fields[12] + $fields[13] + $fields[14]) / $ticks];
    }
    return \%all;
}

sub below {
    my ($all, @tree) = @_;
    my %in = map { $_ => 1 } @tree;
    for (my $grown = 1; $grown;) {
        $grown = 0;
        for my $pid (keys %$all) {
            next if $in{$pid} || !$in{$all->{$pid}[0]};
            $in{$pid} = $grown = 1;
        }
    }
    return grep { $all->{$_} } keys %in;
}

sub tree_of { my (@pids) = @_; return below(processes(), @pids) }

sub cpu_of {
    my (@pids) = @_;
    my $all = processes();
    my $sum = 0;
    $sum += $all->{$_}[1] for below($all, @pids);
    return $sum;
}

sub memory_of {
    my (@pids) = @_;
    my $sum = 0;
    for my $pid (tree_of(@pids)) {
        open my $in, '<', "/proc/$pid/smaps_rollup" or next;
        while (my $line = <$in>) { $sum += $1 if $line =~ /^Pss:\s+(\d+) kB/ }
    }
    return $sum;
}

sub descriptors_of {
    my (@pids) = @_;
    my $sum = 0;
    for my $pid (tree_of(@pids)) {
        opendir my $dir, "/proc/$pid/fd" or next;
        $sum += grep { !/^\./ } readdir $dir;
    }
    return $sum;
}

sub switches_of {
    my (@pids) = @_;
    my $sum = 0;
    for my $file (map { glob "/proc/$_/task/*/status" } tree_of(@pids)) {
        open my $in, '<', $file or next;
        while (my $line = <$in>) { $sum += $1 if $line =~ /^voluntary_ctxt_switches:\s+(\d+)/ }
    }
    return $sum;
}

1;
