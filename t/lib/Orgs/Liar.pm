# Database servers that lie, and listeners in the middle: for each name of a table a port of its own on a loopback
# address, where a sub talks with each client, in a process of its own. What clients say there is kept.
#
#   my $liars = Orgs::Liar->new(
#       silent => sub { my ($c) = @_; $c->wait },
#       between => sub { my ($c) = @_; $c->relay($socket, server => sub { my ($packet, $n) = @_; ... }) },
#   );
#   $liars->{port}{silent};
#   $liars->heard('silent');     # all that was said there, a string for each connection
#   $liars->busy('silent');      # how many of these talk still
#   $liars->forget;              # up to here
#   $liars->end;
#
# A listener: Orgs::Liar::listener(address => '127.0.0.2', port => 3307), both optional; the table may give one beside
# the sub: name => [$listener, sub {...}].
package Orgs::Liar;

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Orgs::Test ();
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);

my ($number, %running) = (0);

sub listener {
    my (%options) = @_;
    return IO::Socket::INET->new(LocalAddr => $options{address} // '127.0.0.1', LocalPort => $options{port} // 0, Listen => 100,
        ReuseAddr => 1) || die "no port: $@";
}

sub new {
    my ($class, %table) = @_;
    my $self = bless {owner => $$, directory => Orgs::Test::top() . "/run/liar-$$-" . ++$number}, $class;
    mkdir $self->{directory} or die "$self->{directory}: $!";
    my %listener;
    for my $name (keys %table) {
        $table{$name} = [listener(), $table{$name}] if ref $table{$name} eq 'CODE';
        $listener{$name} = $table{$name}[0];
        $self->{port}{$name} = $listener{$name}->sockport;
    }
    socketpair $self->{control}, my $control, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        Test::More->builder->no_ending(1);
        close $self->{control};
        eval { serve($control, $self->{directory}, \%table); 1 } or print STDERR "a liar: $@";
        POSIX::_exit(0);
    }
    return $running{$self->{pid}} = $self;
}

sub heard {
    my ($self, $name) = @_;
    my @said;
    for my $file (sort glob "$self->{directory}/$name.*") {
        open my $in, '<:raw', $file or die "$file: $!";
        local $/;
        push @said, <$in> // '';
    }
    return @said;
}

sub busy { scalar(() = glob "$_[0]{directory}/$_[1].*.open") }

sub forget { unlink glob "$_[0]{directory}/*" }

sub end {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid};
    close $self->{control};
    waitpid $pid, 0;
}

END {
    my $status = $?;
    $_->end for grep { $_->{owner} == $$ } values %running;
    $? = $status;
}

# --- the processes ----------------------------------------------------------------------------------------------------

# Takes connections until the test ends; then everybody ends.
sub serve {
    my ($control, $directory, $table) = @_;
    local $SIG{PIPE} = 'IGNORE';
    local $SIG{CHLD} = 'IGNORE';
    my $select = IO::Select->new($control, map { $_->[0] } values %$table);
    my ($connections, @pids) = (0);
    while (1) {
        for my $ready ($select->can_read) {
            if ($ready == $control) {
                kill KILL => @pids if @pids;
                return;
            }
            my ($name) = grep { $table->{$_}[0] == $ready } keys %$table;
            my $client = $ready->accept or next;
            my $file = sprintf '%s/%s.%06d', $directory, $name, ++$connections;
            my $pid = fork // die "fork: $!";
            if (!$pid) {
                close $_ for $control, map { $_->[0] } values %$table;
                open my $record, '>:raw', "$file.open" or die "$file: $!";
                $record->autoflush(1);
                my $self = bless {client => $client, record => $record, bytes => '', sequence => 0}, 'Orgs::Liar::Client';
                eval { $table->{$name}[1]->($self); 1 } or $@ eq "gone\n" or print STDERR "the liar $name: $@";
                rename "$file.open", $file;
                POSIX::_exit(0);
            }
            close $client;
            @pids = (grep({ kill 0 => $_ } @pids), $pid);
        }
    }
}

# --- a conversation ---------------------------------------------------------------------------------------------------

package Orgs::Liar::Client;

use Socket qw(SHUT_WR);

# What the client says next; undef: nothing more.
sub read {
    my ($self) = @_;
    my $got = sysread $self->{client}, my $bytes, 65536;
    return undef if !$got;
    print {$self->{record}} $bytes;
    return $bytes;
}

# Reads until the client leaves.
sub wait {
    my ($self) = @_;
    1 while defined $self->read;
}

# The content of the client's next packet.
sub packet {
    my ($self) = @_;
    while (1) {
        if (my ($content, $sequence) = whole(\$self->{bytes})) {
            $self->{sequence} = $sequence + 1;
            return $content;
        }
        $self->{bytes} .= $self->read // die "gone\n";
    }
}

# Takes a packet off a string: content and number, or nothing.
sub whole {
    my ($bytes) = @_;
    return if length $$bytes < 4;
    my ($low, $high, $sequence) = unpack 'vCC', $$bytes;
    my $length = $low | $high << 16;
    return if length $$bytes < $length + 4;
    my $content = substr $$bytes, 4, $length;
    substr $$bytes, 0, $length + 4, '';
    return ($content, $sequence);
}

sub framed {
    my ($content, $sequence) = @_;
    return pack('VX', length $content) . chr($sequence & 255) . $content;
}

# Says something that is no packet; dies when the client is gone.
sub raw {
    my ($self, $bytes) = @_;
    for (my $sent = 0; $sent < length $bytes;) {
        $sent += syswrite($self->{client}, $bytes, length($bytes) - $sent, $sent) // die "gone\n";
    }
}

sub send {
    my ($self, @contents) = @_;
    $self->raw(join '', map { framed($_, $self->{sequence}++) } @contents);
}

# A server's first word. ssl => whether TLS is offered, plugin => how it wants to know the client, version, scramble.
sub greet {
    my ($self, %options) = @_;
    # long password, found rows, database, local files, protocol 4.1, transactions, secure; several statements' results,
    # plugins, long answers
    my $capabilities = 0x1 | 0x2 | 0x8 | 0x80 | 0x200 | 0x2000 | 0x8000 | 0x10000 | 0x20000 | 0x40000 | 0x80000 | 0x200000
        | ($options{ssl} ? 0x800 : 0);
    my $scramble = $options{scramble} // 'abcdefghijklmnopqrst';
    $self->{sequence} = 0;
    $self->send(pack('C Z* V a8 x v C v v C x10 a12 x Z*', 10, $options{version} // '10.11.99-MariaDB', 1, $scramble,
        $capabilities & 0xffff, 45, 2, $capabilities >> 16, 21, substr($scramble, 8), $options{plugin} // 'mysql_native_password'));
}

sub ok { $_[0]->send("\0\0\0\2\0\0\0") }

sub error {
    my ($self, $number, $text) = @_;
    $self->send(pack 'C v a*', 255, $number, "#HY000$text");
}

# Another plugin than the one that was greeted with.
sub switch {
    my ($self, $plugin, $data) = @_;
    $self->send("\xfe$plugin\0" . ($data // ''));
}

# Passes bytes on, both ways, until one side leaves.
sub pipe {
    my ($self, $server) = @_;
    my $select = IO::Select->new($self->{client}, $server);
    # what came together with the last packet
    syswrite $server, $self->{bytes};
    while (1) {
        for my $ready ($select->can_read) {
            if ($ready == $self->{client}) {
                syswrite $server, $self->read // return;
            }
            else {
                sysread $server, my $bytes, 65536 or return;
                $self->raw($bytes);
            }
        }
    }
}

# Passes packets on between the client and the server at a socket (a path, or an array of address and port). client =>
# sub { my ($content, $n, $server) = @_; ... } is asked for each n-th packet of the client: what it returns is passed on
# instead, undef: nothing is (the sub has answered, or will not). server => likewise for the server's.
sub relay {
    my ($self, $where, %on) = @_;
    my $server = ref $where ? IO::Socket::INET->new(PeerAddr => $where->[0], PeerPort => $where->[1])
        : IO::Socket::UNIX->new(Peer => $where);
    return if !$server;
    my $select = IO::Select->new($self->{client}, $server);
    my %bytes = (client => $self->{bytes}, server => '');
    my %count = (client => 0, server => 0);
    while (1) {
        for my $ready ($select->can_read) {
            my $side = $ready == $self->{client} ? 'client' : 'server';
            my $bytes;
            if ($side eq 'client') {
                $bytes = $self->read;
            }
            else {
                sysread $server, $bytes, 65536;
            }
            return if !length($bytes // '');
            $bytes{$side} .= $bytes;
            while (my ($content, $sequence) = whole(\$bytes{$side})) {
                $self->{sequence} = $sequence + 1;
                $content = $on{$side}->($content, ++$count{$side}, $server) if $on{$side};
                next if !defined $content;
                my $packet = framed($content, $sequence);
                $side eq 'client' ? syswrite $server, $packet : $self->raw($packet);
            }
        }
    }
}

1;
