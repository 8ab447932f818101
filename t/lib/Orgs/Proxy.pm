# A proxy between httpd and the main database, which knows the packets of the protocol and does on command what networks
# and servers do. The virtual host orgs_faulty asks the one at the default path.
#
#   my $proxy = Orgs::Proxy->new;                 # passes everything; path => or port => where it listens
#   $proxy->pass;                                 # again: nothing is armed, holes are cut
#   $proxy->refuse;                               # nobody listens any more, and all connections are cut
#   $proxy->drop;                                 # cuts all connections
#   $proxy->delay(0.05);                          # each packet of a client waits so long
#   $proxy->arm('server', 3, 'before');           # the third packet from now of that side
#   $proxy->arm({side => 'client', kind => 'execute', text => 'CALL member_add_v1', n => 2, how => 'error', error => 1213}, ...);
#                                                 # the second of these; each further rule counts from the last one's hit
#   $proxy->seen;   # {client => packets since arm, server => ..., fired => [what each rule hit], pending, open, sent}
#   $proxy->log;    # the packets since arm, as Orgs::Proxy::Packets describes them, with connection and how; of one
#                   # side: log('client')
#
# how:
#   before    cut (TCP: reset), the packet is lost
#   after     passed on, then both sides are cut at once
#   answer    (client) passed on, and our side is cut; the server has time to finish
#   ran       (client) passed on, and our side is cut when the server has answered
#   late      (client) our side is cut, and then the packet arrives
#   hole      the packet and all that follows on this connection vanish, nobody is told
#   deaf      passed on, then as hole
#   all       passed on, then as hole for every connection, new ones too
#   none      not passed on, and likewise
#   gone      passed on, then as refuse
#   delay     arrives later (seconds)
#   pieces    arrives in pieces
#   drip      a byte at a time (seconds each)
#   error     this error in its place; of a client's packet the server hears nothing, a server's answer ends with it
#   instead   (client) passed on, and when the server has answered, this error in place of the answer
#   infile    (client) not passed on: the client is asked for this file, and so at each statement that follows on this
#             connection; what it sends is in seen: sent, in hex, a string for each packet
#   lie       (server) arrives changed: the first of these that is given. header => hex, the four bytes of the header;
#             cut => N, so many bytes of it; null => 1, all of a row is NULL; put => hex, at => N, these bytes there;
#             more => N, so many of it; none => 1; seed => N, by chance
#
# A rule with always => 1 stays: whatever fits, from the n-th on.
#
# late, delay: what was sent arrives also when its sender has left meanwhile.
package Orgs::Proxy;

use strict;
use warnings;

use JSON::PP ();
use Orgs::Proxy::Server ();
use Orgs::Test ();
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);

my $json = JSON::PP->new->canonical;
my %proxies;

sub new {
    my ($class, %options) = @_;
    my $top = Orgs::Test::top();
    $options{path} //= "$top/run/proxy.socket";
    $options{server} //= "$top/run/main/db/socket";
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        Test::More->builder->no_ending(1);
        close $ours;
        eval { Orgs::Proxy::Server->new($theirs, %options)->run; 1 } or print STDERR "the proxy: $@";
        POSIX::_exit(0);
    }
    close $theirs;
    my $self = bless {pid => $pid, control => $ours, owner => $$}, $class;
    $proxies{$pid} = $self;
    $self->pass;
    return $self;
}

sub command {
    my ($self, $do, %command) = @_;
    syswrite $self->{control}, $json->encode({do => $do, %command}) . "\n" or die "the proxy is gone\n";
    my $answer = '';
    while ($answer !~ /\n\z/) {
        sysread $self->{control}, $answer, 65536, length $answer or die "the proxy is gone\n";
    }
    return $json->decode($answer);
}

sub pass { $_[0]->command('pass') }

sub refuse { $_[0]->command('refuse') }

sub drop { $_[0]->command('drop') }

sub delay { $_[0]->command(delay => seconds => $_[1]) }

sub arm {
    my ($self, @rules) = @_;
    @rules = {side => $rules[0], n => $rules[1], how => $rules[2]} if !ref $rules[0] && @rules;
    return $self->command(arm => rules => [map { {n => 1, %$_} } @rules]);
}

sub seen { $_[0]->command('seen') }

sub log { my ($self, $side) = @_; return @{$self->command(log => side => $side)->{log}} }

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

1;
