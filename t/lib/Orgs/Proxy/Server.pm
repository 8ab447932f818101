# The process of Orgs::Proxy: the loop, the pairs of connections, and what is done to their packets. What the commands
# and faults mean is said in Orgs::Proxy.
#
# A pair has two ends, {client} and {server}: each a socket, bytes that came and are no whole packet yet, and bytes that
# are to leave at their time. {eat}: what is done when an answer that the client shall not have is whole. {owed}: the
# server's answer is waited for, also when the client has left.
package Orgs::Proxy::Server;

use strict;
use warnings;
use parent -norequire, 'Orgs::Proxy::Lies';

use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use JSON::PP ();
use Orgs::Proxy::Lies ();
use Orgs::Proxy::Packets ();
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes ();

my $json = JSON::PP->new->canonical;

# monotonic: a set clock must not move what waits
sub now { Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

sub new {
    my ($class, $control, %options) = @_;
    my $self = bless {%options, control => $control, select => IO::Select->new($control), ends => {}, pairs => {}, asked => ''}, $class;
    $self->do_pass;
    return $self;
}

sub run {
    my ($self) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (1) {
        my $next = $self->send_what_is_due;
        for my $socket ($self->{select}->can_read($next)) {
            if ($socket == $self->{control}) {
                $self->obey or return $self->unlisten;
                last;    # what was ready may be closed now
            }
            elsif ($self->{listener} && $socket == $self->{listener}) {
                $self->accept;
            }
            elsif (my $end = $self->{ends}{$socket}) {
                $self->take($end);
            }
        }
    }
}

# --- commands ------------------------------------------------------------------------------------------------------------

sub obey {
    my ($self) = @_;
    sysread $self->{control}, $self->{asked}, 65536, length $self->{asked} or return 0;
    while ($self->{asked} =~ s/\A([^\n]*)\n//) {
        my $command = $json->decode($1);
        my $do = "do_$command->{do}";
        my $answer = $json->encode($self->$do($command) || $self->seen) . "\n";
        while (length $answer) {
            my $sent = syswrite $self->{control}, $answer or return 0;
            substr $answer, 0, $sent, '';
        }
    }
    return 1;
}

sub forget {
    my ($self) = @_;
    $self->{seen} = {client => 0, server => 0};
    $self->{log} = [];
    $self->{fired} = [];
    $self->{sent} = [];
}

sub do_pass {
    my ($self) = @_;
    $self->{rules} = [];
    $self->{slow} = $self->{swallow} = 0;
    $self->forget;
    $_->{hole} and $self->drop_pair($_) for values %{$self->{pairs}};
    $self->listen;
    return;
}

sub do_refuse { my ($self) = @_; $self->unlisten; $self->do_drop }

sub do_drop { my ($self) = @_; $self->drop_pair($_) for values %{$self->{pairs}}; return }

sub do_delay { my ($self, $command) = @_; $self->{slow} = $command->{seconds}; return }

sub do_arm { my ($self, $command) = @_; $self->{rules} = [map { {%$_, met => 0} } @{$command->{rules}}]; $self->forget; return }

sub do_seen { return }

sub do_log {
    my ($self, $command) = @_;
    return {log => [grep { !defined $command->{side} || $_->{side} eq $command->{side} } @{$self->{log}}]};
}

# fired: what each rule hit that had its turn. pending: connections that the client has lost, while the server has not
# got, or not answered, what was sent. open: the server's numbers of the connections that the client still has.
sub seen {
    my ($self) = @_;
    my @pairs = values %{$self->{pairs}};
    return {
        %{$self->{seen}},
        fired   => $self->{fired},
        sent    => $self->{sent},
        pending => scalar(grep { !$_->{hole} && $_->{server} && !$_->{client} } @pairs),
        open    => [map { $_->{talk}->thread // () } grep { !$_->{hole} && $_->{client} } @pairs],
    };
}

# --- sockets -------------------------------------------------------------------------------------------------------------

sub listen {
    my ($self) = @_;
    return if $self->{listener};
    unlink $self->{path} if !$self->{port};
    # a connection of somebody's may have the port for a moment
    for (my $tries = 0; !$self->{listener}; $tries++) {
        $self->{listener} = $self->{port}
            ? IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Listen => 100, ReuseAddr => 1)
            : IO::Socket::UNIX->new(Local => $self->{path}, Listen => 100);
        die 'the proxy cannot listen at ' . ($self->{port} || $self->{path}) . ": $!\n" if !$self->{listener} && $tries >= 100;
        Time::HiRes::sleep(0.05) if !$self->{listener};
    }
    $self->{select}->add($self->{listener});
}

sub unlisten {
    my ($self) = @_;
    my $listener = delete $self->{listener} or return;
    $self->{select}->remove($listener);
    close $listener;
    unlink $self->{path} if !$self->{port};
}

sub accept {
    my ($self) = @_;
    my $client = $self->{listener}->accept or return;
    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1 if $self->{port};
    my $pair = {talk => Orgs::Proxy::Packets->new, hole => $self->{swallow}};
    $self->{pairs}{$pair} = $pair;
    $self->add_end($pair, client => $client);
    return if $self->{swallow};
    my $upstream = IO::Socket::UNIX->new(Peer => $self->{server}) or return $self->drop_pair($pair);
    $self->add_end($pair, server => $upstream);
}

sub add_end {
    my ($self, $pair, $side, $socket) = @_;
    $pair->{$side} = {pair => $pair, side => $side, socket => $socket, in => '', out => []};
    $self->{ends}{$socket} = $pair->{$side};
    $self->{select}->add($socket);
}

# Closes one side; a client's TCP connection is reset.
sub drop {
    my ($self, $pair, $side) = @_;
    my $end = delete $pair->{$side} or return;
    $self->{select}->remove($end->{socket});
    delete $self->{ends}{$end->{socket}};
    setsockopt $end->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $side eq 'client' && $self->{port};
    close $end->{socket};
    delete $self->{pairs}{$pair} if !$pair->{client} && !$pair->{server};
}

sub drop_pair { my ($self, $pair) = @_; $self->drop($pair, $_) for qw(client server); return }

# Bytes for a side, after those that wait already, not before their time.
sub put {
    my ($self, $pair, $side, $bytes, $at) = @_;
    my $end = $pair->{$side} or return;
    my $out = $end->{out};
    return push @$out, [@$out && $out->[-1][0] > ($at // 0) ? $out->[-1][0] : $at // 0, $bytes] if $at || @$out;
    while (length $bytes) {
        my $sent = syswrite $end->{socket}, $bytes or return;
        substr $bytes, 0, $sent, '';
    }
}

# Sends what has waited long enough; the seconds until there is more to do.
sub send_what_is_due {
    my ($self) = @_;
    my ($now, $next) = (now());
    for my $end (values %{$self->{ends}}) {
        while (@{$end->{out}} && $end->{out}[0][0] <= $now) {
            syswrite $end->{socket}, (shift @{$end->{out}})->[1];
        }
        $next = $end->{out}[0][0] if @{$end->{out}} && (!$next || $end->{out}[0][0] < $next);
        # who left had said this before
        $self->drop_pair($end->{pair}) if $end->{leaving} && !@{$end->{out}};
    }
    return undef if !$next;
    my $left = $next - now();
    return $left > 0 ? $left : 0;
}

# Reads a side, and passes on what are whole packets.
sub take {
    my ($self, $end) = @_;
    my ($pair, $side) = @$end{qw(pair side)};
    my $got = sysread $end->{socket}, $end->{in}, 65536, length $end->{in};
    return $self->left($pair, $side) if !$got;
    while (length $end->{in} >= 4) {
        my ($low, $high) = unpack 'vC', $end->{in};
        my $length = ($low | $high << 16) + 4;
        last if length $end->{in} < $length;
        $self->packet($pair, $side, substr $end->{in}, 0, $length, '');
        last if !$pair->{$side};
    }
}

# One side has closed.
sub left {
    my ($self, $pair, $side) = @_;
    # in a hole nobody learns of it
    return $self->drop($pair, $side) if $pair->{hole};
    my $other = $pair->{other($side)};
    return $self->drop_pair($pair) if !$other || !@{$other->{out}} || $pair->{drips};
    $self->drop($pair, $side);
    $other->{leaving} = 1 if !$pair->{owed};
}

# --- packets ---------------------------------------------------------------------------------------------------------------

sub packet {
    my ($self, $pair, $side, $bytes) = @_;
    return if $pair->{hole};
    return $self->ask_again($pair, $side, $bytes) if $pair->{asks};
    my $what = $pair->{talk}->$side($bytes);
    my $other = other($side);
    my $rule = $pair->{$other} && !$pair->{eat} ? $self->rule_for($pair, $what) : undef;
    if ($rule) {
        my $fault = "fault_$rule->{how}";
        $self->$fault($pair, $side, $bytes, $rule, $what);
    }
    elsif ($side eq 'server' && ($pair->{eat} || !$pair->{client})) {
        ($pair->{eat} || sub { $self->drop_pair($pair) })->() if $what->{last};
    }
    else {
        $bytes = $self->shifted($pair, $side, $bytes) if $pair->{shift};
        $self->put($pair, $other, $bytes, $side eq 'client' && $self->{slow} ? now() + $self->{slow} : undef);
    }
}

# The first of the armed rules, if this packet is the one it waits for. The next rule counts from there.
sub rule_for {
    my ($self, $pair, $what) = @_;
    $self->{seen}{$what->{side}}++;
    push @{$self->{log}}, {%$what, connection => $pair->{talk}->thread};
    my $rule = $self->{rules}[0] or return undef;
    for my $name (qw(side kind text)) {
        return undef if defined $rule->{$name} && $rule->{$name} ne $what->{$name};
    }
    return undef if ++$rule->{met} < $rule->{n};
    push @{$self->{fired}}, {%$what, how => $rule->{how}};
    $self->{log}[-1]{how} = $rule->{how};
    return $rule if $rule->{always};
    return shift @{$self->{rules}};
}

sub other { return $_[0] eq 'client' ? 'server' : 'client' }

# Our side of the client is cut at once, or when the server has answered. Who has the answer is nobody any more.
sub fault_before { my ($self, $pair) = @_; $self->drop_pair($pair) }

sub fault_after {
    my ($self, $pair, $side, $bytes) = @_;
    $self->put($pair, other($side), $bytes);
    $self->drop_pair($pair);
}

sub fault_answer {
    my ($self, $pair, $side, $bytes) = @_;
    $self->put($pair, server => $bytes);
    $self->drop($pair, 'client');
}

sub fault_ran {
    my ($self, $pair, $side, $bytes) = @_;
    $self->put($pair, server => $bytes);
    $pair->{eat} = sub { $self->drop_pair($pair) };
}

sub fault_late {
    my ($self, $pair, $side, $bytes, $rule) = @_;
    $self->put($pair, server => $bytes, now() + ($rule->{seconds} // 0.3));
    $self->drop($pair, 'client');
}

sub fault_hole { my ($self, $pair) = @_; $pair->{hole} = 1 }

sub fault_deaf {
    my ($self, $pair, $side, $bytes) = @_;
    $self->put($pair, other($side), $bytes);
    $pair->{hole} = 1;
}

# The first lets the packet through, the second does not.
sub fault_all { my ($self, @packet) = @_; $self->fault_deaf(@packet); $self->swallow_all }

sub fault_none { my ($self, @packet) = @_; $self->fault_hole(@packet); $self->swallow_all }

sub swallow_all { my ($self) = @_; $_->{hole} = 1 for values %{$self->{pairs}}; $self->{swallow} = 1 }

sub fault_gone { my ($self, @packet) = @_; $self->fault_after(@packet); $self->do_refuse }

sub fault_delay {
    my ($self, $pair, $side, $bytes, $rule, $what) = @_;
    $pair->{owed} = $what->{answers};
    $self->put($pair, other($side), $bytes, now() + ($rule->{seconds} // 0.3));
}

sub fault_pieces {
    my ($self, $pair, $side, $bytes, $rule) = @_;
    my $pieces = $rule->{pieces} // 4;
    my $size = int(length($bytes) / $pieces) + 1;
    $self->put($pair, other($side), substr($bytes, 0, $size, ''), now() + 0.002 * $_) for 1 .. $pieces;
}

sub fault_drip {
    my ($self, $pair, $side, $bytes, $rule) = @_;
    my $at = now();
    $pair->{drips} = 1;
    $self->put($pair, other($side), $_, $at += $rule->{seconds} // 0.1) for split //, $bytes;
}

# The server never gets it, or has answered and the answer is eaten; either way this is what the client gets.
sub fault_error {
    my ($self, $pair, $side, $bytes, $rule, $what) = @_;
    my $said = Orgs::Proxy::Packets::error_packet($side eq 'client' ? $what->{sequence} + 1 : $what->{sequence}, $rule->{error});
    $self->put($pair, client => $said);
    return $self->drop_pair($pair) if Orgs::Proxy::Packets::is_fatal($rule->{error}) || $what->{kind} =~ /^(?:login|auth|greeting)$/;
    $pair->{eat} = sub { delete $pair->{eat} } if $side eq 'server' && !$what->{last};
}

sub fault_instead {
    my ($self, $pair, $side, $bytes, $rule, $what) = @_;
    $self->put($pair, server => $bytes);
    $pair->{eat} = sub {
        delete $pair->{eat};
        $self->put($pair, client => Orgs::Proxy::Packets::error_packet($what->{sequence} + 1, $rule->{error}));
        $self->drop_pair($pair) if Orgs::Proxy::Packets::is_fatal($rule->{error});
    };
}

1;
