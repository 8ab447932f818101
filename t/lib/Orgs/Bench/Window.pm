# One window of measuring: a program that asks for a while, beside it what the processes cost (their memory after a pause).
#
#   my $m = window($instance, pids => [...], seconds => 2, command => [...]);   # {rate, p50, p99, ..., cpu_server, cpu_database, cpu_load, memory, ...}
#   my $row = together(@windows);      # of several rounds
package Orgs::Bench::Window;
use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Orgs::Bench::Processes;
use Time::HiRes qw(sleep);

our @EXPORT = qw(load_window window together median);

sub median { my @sorted = sort { $a <=> $b } @_; return @sorted ? $sorted[$#sorted / 2] : 0 }

sub window {
    my ($instance, %options) = @_;
    my @server = @{$options{pids} || []};
    my ($server, $database) = (@server ? cpu_of(@server) : 0, cpu_of($instance->{database_pid}));
    open my $out, '-|', @{$options{command}} or die "$options{command}[0]: $!";
    # while all is busy
    sleep $options{pause} // $options{seconds} * 0.6;
    my @memory = (@server ? memory_of(@server) : 0, memory_of($instance->{database_pid}));
    my $text = do { local $/; <$out> } // '';
    close $out or die "@{$options{command}}: failed\n";
    my $m = JSON::PP::decode_json($text);
    $m->{cpu_load} = delete $m->{cpu};
    $m->{cpu_server} = @server ? cpu_of(@server) - $server : 0;
    $m->{cpu_database} = cpu_of($instance->{database_pid}) - $database;
    my $after = @server ? memory_of(@server) : 0;
    @$m{qw(memory memory_database)} = ($after > $memory[0] ? $after : $memory[0], $memory[1]);
    $m->{first_error} = '' if !defined $m->{first_error};
    return $m;
}

# t/bench/load against a server.
sub load_window {
    my ($instance, $server, $file, %options) = @_;
    return window($instance, pids => [$server->{pid}, @{$server->{more} || []}], seconds => $options{seconds}, pause => $options{pause},
        command => [$instance->tool('load'), '127.0.0.1', $server->{port}, $file, $options{connections}, $options{seconds}, $options{seed} // 1, $options{requests} // 0]);
}

# Of rounds: the rate and the times are medians, the rest sums; CPU is microseconds for each answer, memory the most.
sub together {
    my (@rounds) = @_;
    my %sum = map { my $name = $_; my $sum = 0; $sum += $_->{$name} // 0 for @rounds; ($name => $sum) } qw(answered errors unanswered retried reconnects cpu_server cpu_database cpu_load bytes);
    my %row = (%sum, map { my $name = $_; ($name => median(map { $_->{$name} // 0 } @rounds)) } qw(rate p50 p90 p99));
    $row{"us_$_"} = $sum{answered} ? 1e6 * $sum{"cpu_$_"} / $sum{answered} : 0 for qw(server database load);
    delete @row{qw(cpu_server cpu_database cpu_load)};
    for my $name (qw(max memory memory_database)) {
        ($row{$name}) = reverse sort { $a <=> $b } map { $_->{$name} // 0 } @rounds;
    }
    $row{rates} = [map { $_->{rate} } @rounds];
    ($row{first_error}) = grep { length } map { $_->{first_error} // '' } @rounds;
    return \%row;
}

1;
