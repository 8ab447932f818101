# What the bench says: a table, ratios, and what it ran on; the same as JSON and as an SVG plot in build/bench.
package Orgs::Bench::Report;
use strict;
use warnings;

use JSON::PP ();
use Orgs::Bench::Plot;
use Orgs::Bench::Servers;
use POSIX ();

sub new {
    my ($class, $instance, %options) = @_;
    return bless {%options, instance => $instance, machine => machine($instance)}, $class;
}

sub first_line { my ($command) = @_; my ($line) = `$command 2>/dev/null`; chomp($line //= ''); return $line }

# What it ran on: name and value, in order.
sub machine {
    my ($instance) = @_;
    my ($cpu) = map { /^model name\s*:\s*(.*)/ ? $1 : () } do { open my $in, '<', '/proc/cpuinfo' or die; <$in> };
    my ($memory) = map { /^MemTotal:\s*(\d+)/ ? int($1 / 1024) . ' MiB' : () } do { open my $in, '<', '/proc/meminfo' or die; <$in> };
    my $fpm = Orgs::Bench::Servers::fpm($instance);
    my %settings = map { @$_ } $instance->sql("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_buffer_pool_size', 'innodb_log_file_size', 'innodb_flush_log_at_trx_commit', 'log_bin', 'performance_schema', 'max_connections')");
    return [
        [when => POSIX::strftime('%Y-%m-%d %H:%M UTC', gmtime)],
        [cpu => ($cpu // '?') . ', ' . first_line('getconf _NPROCESSORS_ONLN') . " cores, $memory"],
        [kernel => join ' ', (POSIX::uname())[0, 2, 4]],
        [httpd => first_line("'$instance->{httpd}' -v") =~ s/^Server version: //r],
        [database => first_line('mariadbd --version') =~ s/^\S+\s+//r],
        [go => first_line('go version') || 'none'],
        [php => $fpm ? first_line("'$fpm' -v") : 'none'],
        [commit => first_line('git rev-parse --short HEAD') || '?'],
        ['httpd, settings' => "$Orgs::Bench::Servers::PROCESSES process" . ($Orgs::Bench::Servers::PROCESSES > 1 ? 'es' : '') . " of $Orgs::Bench::Servers::THREADS threads (as many as connections and 32 more where those are more), MaxKeepAliveRequests 0, " . ($Orgs::Bench::Servers::DIRECTIVES || "the module's defaults") . '; no access log'],
        ['database, settings' => join ', ', map { "$_=$settings{$_}" } sort keys %settings],
        ['Go, settings' => "$Orgs::Bench::Servers::GO_CONNECTIONS connections to the database, GOMAXPROCS as it is by itself"],
        ['PHP, settings' => "$Orgs::Bench::Servers::PHP_CHILDREN children (static), opcache, PDO persistent, " . (Orgs::Bench::Servers::native() ? 'statements prepared by the server' : 'statements prepared by PDO (its default, and faster here)') . ', behind event and mod_proxy_fcgi'],
    ];
}

sub number { my ($n) = @_; return $n >= 100 ? sprintf '%.0f', $n : $n >= 10 ? sprintf '%.1f', $n : sprintf '%.2f', $n }

sub table {
    my ($self) = @_;
    my $text = sprintf "%-7s %-33s %5s  %-9s %9s %8s %8s %6s %6s %6s %7s %8s %6s %8s\n", 'MPM', 'path', 'conns', 'server', 'req/s', 'p50/ms', 'p99/ms', 'errors', 'unansw', 'resent',
        'us srv', 'us db', 'us ld', 'MiB';
    my $last = '';
    for my $row ($self->sorted) {
        my $head = "$row->{mpm} $row->{path}";
        $text .= "\n" if $head ne $last;
        $last = $head;
        my $l2 = $row->{server} =~ /^L2/;
        $text .= sprintf "%-7s %-33s %5d  %-9s %9s %8s %8s %6d %6d %6d %7s %8s %6s %8s\n", @$row{qw(mpm)}, $self->{what}{$row->{path}}, @$row{qw(connections server)}, number($row->{rate}),
            (map { $l2 ? '' : number($row->{$_}) } qw(p50 p99)), (map { $row->{$_} // 0 } qw(errors unanswered retried)),
            ($l2 ? '' : number($row->{us_server})), number($row->{us_database}), number($row->{us_load}), $l2 ? '' : number($row->{memory} / 1024);
    }
    return $text;
}

my %rank = (mod_orgs => 0, plain => 1, L1 => 1, L2 => 2, 'L2/16' => 3, Go => 4, PHP => 5);

sub sorted {
    my ($self) = @_;
    my (%place, $n);
    $place{"$_->{mpm} $_->{path}"} //= ++$n for @{$self->{rows}};
    my $group = sub { $_[0]{server} =~ /^L2/ ? 1 : 0 };
    return sort { $place{"$a->{mpm} $a->{path}"} <=> $place{"$b->{mpm} $b->{path}"} || $group->($a) <=> $group->($b) || $a->{connections} <=> $b->{connections}
        || $rank{$a->{server}} <=> $rank{$b->{server}} } @{$self->{rows}};
}

# The module against the best peer and the limits, for each MPM, path and number of connections.
sub ratios {
    my ($self) = @_;
    my (%at, @ratios);
    push @{$at{"$_->{mpm} $_->{path}"}{$_->{server} =~ /^L2/ ? 'L2' : $_->{connections}}}, $_ for @{$self->{rows}};
    for my $ours (grep { $_->{server} eq 'mod_orgs' && $_->{rate} } $self->sorted) {
        my $group = $at{"$ours->{mpm} $ours->{path}"};
        my $best = sub { my ($what, $least, @rows) = @_; my ($first) = sort { $least * ($a->{$what} <=> $b->{$what}) } grep { $_->{rate} } @rows; return $first };
        my @beside = @{$group->{$ours->{connections}}};
        my @peers = grep { $_->{server} =~ /^(?:Go|PHP)$/ } @beside;
        my ($limit) = grep { $_->{server} =~ /^(?:L1|plain)$/ } @beside;
        my $peer = $best->(rate => -1, @peers);
        my $slow = $best->(p99 => 1, @peers);
        my $l2 = $best->(rate => -1, @{$group->{L2} || []});
        push @ratios, {%$ours{qw(mpm path connections)},
            ($peer ? (peer => $peer->{server}, rate => $ours->{rate} / $peer->{rate}, cpu => ($ours->{us_server} + $ours->{us_database}) / (($peer->{us_server} + $peer->{us_database}) || 1),
                p50 => $ours->{p50} / ($best->(p50 => 1, @peers)->{p50} || 1), p99 => $ours->{p99} / ($slow->{p99} || 1)) : ()),
            ($limit ? (L1 => $ours->{rate} / ($limit->{rate} || 1)) : ()), ($l2 ? (L2 => $ours->{rate} / $l2->{rate}) : ()),
            (map { $_->{server} eq 'Go' ? (memory => $ours->{memory} / ($_->{memory} || 1)) : () } @peers)};
    }
    return \@ratios;
}

sub ratio_table {
    my ($self) = @_;
    my $text = sprintf "%-7s %-33s %5s  %-9s %9s %8s %8s %8s %9s %8s %9s\n", 'MPM', 'path', 'conns', 'best peer', 'rate', 'CPU', 'p50', 'p99', 'rate/L1', 'rate/L2', 'MiB/Go';
    for my $ratio (@{$self->ratios}) {
        $text .= sprintf "%-7s %-33s %5d  %-9s %9s %8s %8s %8s %9s %8s %9s\n", $ratio->{mpm}, $self->{what}{$ratio->{path}}, $ratio->{connections}, $ratio->{peer} // '',
            map { defined $ratio->{$_} ? sprintf '%.2f', $ratio->{$_} : '' } qw(rate cpu p50 p99 L1 L2 memory);
    }
    return $text;
}

sub text {
    my ($self) = @_;
    my $text = join '', map { sprintf "%-20s %s\n", "$_->[0]:", $_->[1] } @{$self->{machine}};
    $text .= "left out:            $_, because $self->{skipped}{$_}\n" for sort keys %{$self->{skipped}};
    return $text . "\n$self->{windows}{rounds} rounds of $self->{windows}{seconds} s (lists of members: twice that); rates and times are medians of rounds, CPU is microseconds for each request\n"
        . "(server, database, load generator), memory the most of all the server's processes. resent: on a connection that the server had closed meanwhile.\n\n" . $self->table
        . "\nmod_orgs / the best of the peers (in each column the best one), the limits, Go's memory:\n\n" . $self->ratio_table;
}

# The same in short, for a README: in each cell requests a second, p99 in ms, microseconds of server and database CPU.
sub markdown {
    my ($self) = @_;
    my (%cells, @order);
    for my $row ($self->sorted) {
        next if $row->{server} =~ /^L2/;
        my $line = "$row->{mpm} | $self->{what}{$row->{path}} | $row->{connections}";
        push @order, $line if !$cells{$line};
        $cells{$line}{$row->{server} eq 'plain' ? 'L1' : $row->{server}} = join ', ', number($row->{rate}), number($row->{p99}), sprintf '%.0f', $row->{us_server} + $row->{us_database};
    }
    my @servers = qw(mod_orgs L1 Go PHP);
    return "requests/s, p99 in ms, microseconds of CPU (server and database) for each request; L1 of the file: without the gate\n\n| MPM | path | connections | " . join(' | ', @servers) . " |\n|" . '---|' x (3 + @servers) . "\n"
        . join '', map { my $line = $_; "| $line | " . join(' | ', map { $cells{$line}{$_} // '' } @servers) . " |\n" } @order;
}

sub write {
    my ($self, $name) = @_;
    my $base = "$self->{instance}{build}/bench/$name";
    my %files = (
        json => JSON::PP->new->canonical->pretty->encode({machine => {map { @$_ } @{$self->{machine}}}, windows => $self->{windows}, skipped => $self->{skipped}, rows => $self->{rows}, ratios => $self->ratios}),
        txt => $self->text,
        md => $self->markdown,
        svg => $self->plot,
    );
    for my $kind (sort keys %files) {
        open my $out, ">:encoding(UTF-8)", "$base.$kind" or die "$base.$kind: $!";
        print $out $files{$kind};
        close $out;
    }
    return;
}

sub plot {
    my ($self) = @_;
    my (@panels, %panel);
    for my $row (grep { $_->{server} !~ /^L2/ } $self->sorted) {
        my $title = "$self->{what}{$row->{path}} ($row->{mpm})";
        push @panels, $panel{$title} = {title => $title, groups => []} if !$panel{$title};
        my $groups = $panel{$title}{groups};
        push @$groups, {name => "$row->{connections} connections", bars => []} if !@$groups || $groups->[-1]{name} ne "$row->{connections} connections";
        push @{$groups->[-1]{bars}}, [$row->{server}, $row->{rate}, sprintf('%s/s, p99 %s ms', number($row->{rate}), number($row->{p99})), $row->{server} =~ /^(?:L1|plain)$/];
    }
    return Orgs::Bench::Plot::bars('Requests a second', @panels);
}

1;
