# What the process of Orgs::Proxy says in place of the server's own words: the faults infile and lie, which Orgs::Proxy
# describes.
package Orgs::Proxy::Lies;

use strict;
use warnings;

use Orgs::Proxy::Packets ();

sub framed { my ($payload, $sequence) = @_; return Orgs::Proxy::Packets::packet($sequence, $payload) }

# --- asking for a file ---------------------------------------------------------------------------------------------------

sub fault_infile {
    my ($self, $pair, $side, $bytes, $rule) = @_;
    $pair->{asks} = $rule->{file} // '/etc/passwd';
    $self->ask_again($pair, $side, $bytes);
}

# A command is answered by asking, what the client then sends is kept; an empty packet of it is the end, and all is well.
sub ask_again {
    my ($self, $pair, $side, $bytes) = @_;
    return if $side ne 'client';
    my ($sequence, $payload) = (ord substr($bytes, 3, 1), substr $bytes, 4);
    if ($sequence) {
        push @{$self->{sent}}, unpack 'H*', $payload;
        $self->put($pair, client => framed("\0\0\0\2\0\0\0", $sequence + 1)) if $payload eq '';
    }
    elsif ($payload !~ /\A[\x01\x18\x19]/) {    # quit, long data and close are not answered
        $self->put($pair, client => framed("\xfb$pair->{asks}", 1));
    }
}

# --- lies ---------------------------------------------------------------------------------------------------------------

sub fault_lie {
    my ($self, $pair, $side, $bytes, $rule) = @_;
    my $payload = substr $bytes, 4;
    my $sequence = ord(substr $bytes, 3, 1) + ($pair->{shift} // 0);
    return $self->put($pair, client => pack('H*', $rule->{header}) . $payload) if defined $rule->{header};
    my @payloads = ($payload);
    if (defined $rule->{cut}) {
        @payloads = (substr $payload, 0, $rule->{cut});
    }
    elsif ($rule->{null}) {
        @payloads = ("\0" . "\xff" x 20);
    }
    elsif (defined $rule->{put}) {
        my $new = pack 'H*', $rule->{put};
        defined $rule->{at} ? substr $payloads[0], $rule->{at}, length $new, $new : (@payloads = ($new));
    }
    elsif ($rule->{more}) {
        @payloads = ($payload) x $rule->{more};
    }
    elsif ($rule->{none}) {
        @payloads = ();
    }
    elsif (defined $rule->{seed}) {
        srand $rule->{seed}++;
        @payloads = by_chance($payload);
    }
    $pair->{shift} += @payloads - 1;
    $self->put($pair, client => join '', map { framed($_, $sequence++) } @payloads);
}

# Packets that follow are counted on; until the client says the next word.
sub shifted {
    my ($self, $pair, $side, $bytes) = @_;
    if ($side eq 'client') {
        delete $pair->{shift};
    }
    else {
        substr $bytes, 3, 1, chr((ord(substr $bytes, 3, 1) + $pair->{shift}) & 255);
    }
    return $bytes;
}

sub any { return $_[int rand @_] }

# One to three changes of a payload; seldom another number of packets.
sub by_chance {
    my ($payload) = @_;
    for (1 .. 1 + int rand 3) {
        my $at = int rand(1 + length $payload);
        my $what = int rand 6;
        my $bytes = join '', map { chr any(0, 1, 0x7f, 0x80, 0xfa .. 0xff, int rand 256) } 1 .. any(1, 1, 1, 2, 4, 9);
        if ($what == 0) { $payload = substr $payload, 0, $at }
        elsif ($what == 1) { substr $payload, $at, 0, $bytes }
        elsif ($what == 2) { substr $payload, $at, any(1, 2, 8), '' if $at < length $payload }
        elsif ($what == 3) { $payload .= $bytes x any(1, 100) }
        else { substr($payload, $at, length $bytes) = $bytes if $at + length $bytes <= length $payload }
    }
    return ($payload) x any((1) x 10, 0, 2, 300);
}

1;
