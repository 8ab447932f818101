# A proxy between httpd's virtual host orgs_faulty and the main database, which knows the packets of the protocol and does
# on command what networks do:
#
#   my $proxy = Orgs::Proxy->new;                 # passes everything
#   $proxy->pass;                                 # again
#   $proxy->refuse;                               # nobody listens any more, and all connections are cut
#   $proxy->drop;                                 # cuts all connections
#   $proxy->delay(0.05);                          # each packet of a client waits so long
#   $proxy->arm($side, $n, $how);                 # at the n-th packet from now of 'client' or 'server':
#       'before'   cut, the packet is lost
#       'after'    passed on, then cut at once
#       'answer'   (client) passed on; our side is cut, the server has time to finish
#       'hole'     the packet and all that follows on this connection vanish, nobody is told
#       'deaf'     passed on, then as 'hole'
#       'all'      passed on, then as 'hole' for every connection, new ones too
#   $proxy->seen;                                 # {client => packets since arm, server => ..., fired => 0 or 1}
package Orgs::Proxy;

use strict;
use warnings;

use IO::Select ();
use IO::Socket::UNIX ();
use JSON::PP ();
use Orgs::Test ();
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);
use Time::HiRes qw(sleep);

my $json = JSON::PP->new->canonical;
my %proxies;

sub new {
    my ($class, %options) = @_;
    my $top = Orgs::Test::top();
    my $path = $options{path} // "$top/run/proxy.socket";
    my $server = $options{server} // "$top/run/main/db/socket";
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        Test::More->builder->no_ending(1);
        close $ours;
        eval { serve($theirs, $path, $server); 1 } or print STDERR "the proxy: $@";
        POSIX::_exit(0);
    }
    close $theirs;
    my $self = bless {pid => $pid, control => $ours, owner => $$}, $class;
    $proxies{$pid} = $self;
    $self->pass;
    return $self;
}

# --- commands -----------------------------------------------------------------------------------------------------

sub command {
    my ($self, %command) = @_;
    my $line = $json->encode(\%command) . "\n";
    syswrite $self->{control}, $line or die "the proxy is gone\n";
    my $answer = '';
    while ($answer !~ /\n/) {
        sysread $self->{control}, $answer, 4096, length $answer or die "the proxy is gone\n";
    }
    return $json->decode($answer);
}

sub pass { $_[0]->command(do => 'pass') }

sub refuse { $_[0]->command(do => 'refuse') }

sub drop { $_[0]->command(do => 'drop') }

sub delay { $_[0]->command(do => 'delay', seconds => $_[1]) }

sub arm { my ($self, $side, $n, $how) = @_; $self->command(do => 'arm', side => $side, n => $n, how => $how) }

sub seen { $_[0]->command(do => 'seen') }

sub end {
    my ($self) = @_;
    delete $proxies{$self->{pid}} or return;
    close $self->{control};
    waitpid $self->{pid}, 0;
}

END {
    my $status = $?;
    for my $self (values %proxies) {
        $self->end if $self->{owner} == $$;
    }
    $? = $status;
}

# --- the process ----------------------------------------------------------------------------------------------------

sub serve {
    my ($control, $path, $server) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $select = IO::Select->new($control);
    my ($listener, $armed, $delay, $swallow) = (undef, undef, 0, 0);
    my %seen = (client => 0, server => 0, fired => 0);
    my %of;     # by socket: {pair, side}
    my $close = sub {
        for my $socket (grep { defined } @_) {
            $select->remove($socket);
            delete $of{$socket};
            close $socket;
        }
    };
    my $cut = sub {
        my ($pair) = @_;
        $close->(delete @$pair{qw(client server)});
    };
    my $cut_all = sub {
        my %pairs = map { $_->{pair} => $_->{pair} } values %of;
        $cut->($_) for values %pairs;
    };
    my $listen = sub {
        return if $listener;
        unlink $path;
        $listener = IO::Socket::UNIX->new(Local => $path, Listen => 100) or die "$path: $!";
        $select->add($listener);
    };

    my %do = (
        pass   => sub { ($armed, $delay, $swallow) = (undef, 0, 0); $_->{pair}{hole} and $cut->($_->{pair}) for values %of; $listen->() },
        refuse => sub { $close->($listener); $listener = undef; unlink $path; $cut_all->() },
        drop   => $cut_all,
        delay  => sub { $delay = $_[0]{seconds} },
        arm    => sub { $armed = $_[0]; %seen = (client => 0, server => 0, fired => 0) },
        seen   => sub { },
    );

    # One whole packet from a side; gives false when the pair is no more.
    my $packet = sub {
        my ($pair, $side, $bytes) = @_;
        my $other = $side eq 'client' ? 'server' : 'client';
        return 1 if $pair->{hole} || !$pair->{$other};
        $seen{$side}++;
        sleep $delay if $delay && $side eq 'client';
        my $how = $armed && !$seen{fired} && $armed->{side} eq $side && $seen{$side} == $armed->{n} ? $armed->{how} : 'pass';
        $seen{fired} = 1 if $how ne 'pass';
        syswrite $pair->{$other}, $bytes if $how ne 'before' && $how ne 'hole';
        if ($how eq 'before' || $how eq 'after') {
            $cut->($pair);
            return 0;
        }
        if ($how eq 'answer') {
            $close->(delete $pair->{client});
            return 0;
        }
        $pair->{hole} = 1 if $how =~ /^(?:hole|deaf)$/;
        if ($how eq 'all') {
            $_->{pair}{hole} = 1 for values %of;
            $swallow = 1;
        }
        return 1;
    };

    while (1) {
        for my $socket ($select->can_read) {
            if ($socket == $control) {
                my $got = sysread $control, my $line, 4096;
                if (!$got) {
                    unlink $path;
                    return;
                }
                my $command = $json->decode($line);
                $do{$command->{do}}->($command);
                syswrite $control, $json->encode(\%seen) . "\n";
                last;    # what was ready may be closed now
            }
            if ($listener && $socket == $listener) {
                my $client = $listener->accept or next;
                my $upstream = $swallow ? undef : IO::Socket::UNIX->new(Peer => $server);
                if (!$upstream && !$swallow) {
                    close $client;
                    next;
                }
                my $pair = {client => $client, hole => $swallow};
                $of{$client} = {pair => $pair, side => 'client', bytes => ''};
                $select->add($client);
                if ($upstream) {
                    $pair->{server} = $upstream;
                    $of{$upstream} = {pair => $pair, side => 'server', bytes => ''};
                    $select->add($upstream);
                }
                next;
            }
            my $end = $of{$socket} or next;
            my $got = sysread $socket, $end->{bytes}, 65536, length $end->{bytes};
            if (!$got) {
                # in a hole nobody learns that the other side left
                $end->{pair}{hole} ? do { delete $end->{pair}{$end->{side}}; $close->($socket) } : $cut->($end->{pair});
                next;
            }
            while (length $end->{bytes} >= 4) {
                my ($low, $high) = unpack 'vC', $end->{bytes};
                my $length = ($low | $high << 16) + 4;
                last if length $end->{bytes} < $length;
                last if !$packet->($end->{pair}, $end->{side}, substr $end->{bytes}, 0, $length, '');
            }
        }
    }
}

1;
