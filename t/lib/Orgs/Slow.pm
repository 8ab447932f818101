# Slow clients, any number of them, in one process: readers of a list, who take a few bytes a second, and senders, who
# give their body a byte a second. They need nothing of a test's, so that the bench has them too.
#
#   my $slow = Orgs::Slow->start(port => $port, token => $token, list => '/organizations/ID/members',
#       readers => 1000, senders => 1000);        # a process; returns when all are connected and have asked
#   my $report = $slow->end(3);                   # three of each are quick at last; the others go away
#   # {reading => how many lists have begun, statuses => {...}, closed => how many were cut off, lists => [three bodies,
#   # undef where one is not whole], sent => [three answers]}
package Orgs::Slow;

use strict;
use warnings;

use IO::Poll qw(POLLIN);
use JSON::PP ();
use POSIX ();
use Socket qw(PF_INET SOCK_STREAM SOL_SOCKET SO_RCVBUF inet_aton pack_sockaddr_in);
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->canonical->latin1;

sub start {
    my ($class, %options) = @_;
    socketpair my $ours, my $theirs, Socket::AF_UNIX(), SOCK_STREAM, Socket::PF_UNSPEC() or die "socketpair: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $ours;
        eval { serve($theirs, %options); 1 } or print STDERR "slow clients: $@";
        POSIX::_exit(0);
    }
    close $theirs;
    sysread $ours, my $ready, 1 or die "the slow clients ended\n";
    return bless {pid => $pid, control => $ours}, $class;
}

# Ends them; this many of each kind first get, or give, the rest at once.
sub end {
    my ($self, $quick) = @_;
    syswrite $self->{control}, pack 'N', $quick // 0;
    my $text = '';
    1 while sysread $self->{control}, $text, 65536, length $text;
    waitpid delete $self->{pid}, 0;
    return $json->decode($text);
}

# --- the process ------------------------------------------------------------------------------------------------------

sub connected {
    my ($port, $room) = @_;
    socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, pack 'i', $room if $room;
    connect $socket, pack_sockaddr_in($port, inet_aton('127.0.0.1')) or die "connect: $!";
    return $socket;
}

sub serve {
    my ($control, %options) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $head = "Host: 127.0.0.1\r\nAuthorization: Bearer $options{token}\r\nConnection: close\r\n";
    my (@readers, @senders);
    for my $n (1 .. $options{readers}) {
        my $socket = connected($options{port}, 4096);
        syswrite $socket, "GET $options{list} HTTP/1.1\r\n$head\r\n";
        push @readers, {socket => $socket, got => ''};
        # a crowd, not one stroke
        sleep 0.005 if $n % 4 == 0;
    }
    for my $n (1 .. $options{senders}) {
        my $socket = connected($options{port});
        my $body = sprintf '{"name":"Slow %d","description":"%s"}', $n, 'd' x 1000;
        syswrite $socket, "POST /organizations HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n";
        push @senders, {socket => $socket, got => '', body => $body, sent => 0};
    }
    $_->{socket}->blocking(0) for @readers, @senders;
    syswrite $control, '.';
    my $poll = IO::Poll->new;
    $poll->mask($control => POLLIN);
    do {
        my $began = time;
        for my $reader (@readers) {
            my $n = sysread $reader->{socket}, $reader->{got}, 2048, length $reader->{got};
            $reader->{closed} = 1 if defined $n && !$n;
        }
        for my $sender (@senders) {
            $sender->{sent} += syswrite($sender->{socket}, $sender->{body}, 1, $sender->{sent}) // 0;
            my $n = sysread $sender->{socket}, $sender->{got}, 2048, length $sender->{got};
            $sender->{closed} = 1 if defined $n && !$n;
        }
        my $left = $began + 1 - time;
        $poll->poll($left > 0 ? $left : 0);
    } until $poll->events($control);
    sysread $control, my $quick, 4;
    print {$control} $json->encode(report(unpack('N', $quick), \@readers, \@senders));
    close $control;
    return;
}

# The rest of an answer.
sub rest {
    my ($client) = @_;
    $client->{socket}->blocking(1);
    1 while sysread $client->{socket}, $client->{got}, 65536, length $client->{got};
    return $client->{got};
}

# The body of a chunked answer, if it is whole.
sub body_of {
    my ($bytes) = @_;
    my $at = index($bytes, "\r\n\r\n") + 4;
    my $body = '';
    while (substr($bytes, $at, 20) =~ /^([0-9a-fA-F]+)\r\n/) {
        my $length = hex $1;
        return $body if !$length;
        $body .= substr $bytes, $at + length($1) + 2, $length;
        $at += length($1) + 2 + $length + 2;
    }
    return undef;
}

sub report {
    my ($quick, $readers, $senders) = @_;
    my %statuses;
    $statuses{$_}++ for map { $_->{got} =~ m{^HTTP/1\.1 (\d+)} ? $1 : () } @$readers, @$senders;
    my %report = (reading => scalar(grep { length $_->{got} } @$readers), closed => scalar(grep { $_->{closed} } @$readers, @$senders),
        statuses => \%statuses);
    $report{lists} = [map { body_of(rest($_)) } grep { defined } @$readers[0 .. $quick - 1]];
    for my $sender (grep { defined } @$senders[0 .. $quick - 1]) {
        $sender->{socket}->blocking(1);
        syswrite $sender->{socket}, $sender->{body}, length($sender->{body}) - $sender->{sent}, $sender->{sent};
        push @{$report{sent}}, rest($sender);
    }
    return \%report;
}

1;
