# A small web server of a test's own, for what stands behind or beside httpd: an application, an OpenID provider.
#
#   my $web = Orgs::Web->start(sub { my ($request) = @_; return [200, ['Content-Type' => 'text/plain'], 'hello'] });
#   $web->{port}; $web->stop;
#   Orgs::Web->start(sub {...}, by => 'fastcgi');   # a request is {variables, body}, as FastCGI 1.0 has them
#
# A request: {method, path, query, fields: [[name, value], ...] as they were sent, headers: {name in lower case}, body}.
# The sub runs in one process of its own, a request at a time, each on a connection of its own.
package Orgs::Web;

use strict;
use warnings;

use IO::Socket::INET ();
use POSIX ();
use Test::More ();

my %running;

sub start {
    my ($class, $answer, %options) = @_;
    my $serve = ($options{by} // '') eq 'fastcgi' ? \&serve_fastcgi : \&serve;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100, ReuseAddr => 1) or die "no port: $@";
    my $self = bless {port => $listener->sockport, owner => $$}, $class;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        Test::More->builder->no_ending(1);
        local $SIG{PIPE} = 'IGNORE';
        while (my $client = $listener->accept) {
            eval { $serve->($client, $answer); 1 } or print STDERR "a web server: $@";
            close $client;
        }
        POSIX::_exit(0);
    }
    return $running{$self->{pid}} = $self;
}

sub url { "http://127.0.0.1:$_[0]{port}$_[1]" }

sub serve {
    my ($client, $answer) = @_;
    my $bytes = '';
    until ($bytes =~ /\r\n\r\n/) {
        sysread $client, $bytes, 65536, length $bytes or return;
    }
    my ($head, $body) = split /\r\n\r\n/, $bytes, 2;
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $path, $query) = $line =~ m{^(\S+) ([^ ?]*)(?:\?(\S*))? HTTP/} or return;
    my @fields = map { [/^([^:]*):\s*(.*?)\s*$/] } @lines;
    my %headers = map { lc $_->[0] => $_->[1] } @fields;
    while (length $body < ($headers{'content-length'} // 0)) {
        sysread $client, $body, 65536, length $body or return;
    }
    my ($status, $out, $content) = @{$answer->({method => $method, path => $path, query => $query // '', fields => \@fields, headers => \%headers, body => $body})};
    my $text = "HTTP/1.1 $status X\r\nConnection: close\r\nContent-Length: " . length($content) . "\r\n";
    $text .= shift(@$out) . ': ' . shift(@$out) . "\r\n" while @$out;
    print $client "$text\r\n$content";
    $client->flush;
}

# Records: version, type, request, length, padding; of types 4 (variables), 5 (body), 6 (answer), 3 (its end).
sub serve_fastcgi {
    my ($client, $answer) = @_;
    my ($bytes, %content, $number) = ('');
    my $take = sub {
        my ($length) = @_;
        while (length $bytes < $length) {
            sysread $client, $bytes, 65536, length $bytes or die "the client left\n";
        }
        return substr $bytes, 0, $length, '';
    };
    while (1) {
        my (undef, $type, $request, $length, $padding) = unpack 'CCnnC', $take->(8);
        my $content = $take->($length);
        $take->($padding);
        $number = $request;
        $content{$type} .= $content;
        last if $type == 5 && $length == 0;
    }
    # a length is one byte, or four with the first bit set
    my $length = sub {
        return unpack('N', substr $content{4}, 0, 4, '') & 0x7fffffff if ord $content{4} >= 128;
        return ord substr $content{4}, 0, 1, '';
    };
    my %variables;
    while (length $content{4}) {
        my ($name, $value) = ($length->(), $length->());
        ($name, $value) = map { substr $content{4}, 0, $_, '' } $name, $value;
        $variables{$name} = $value;
    }
    my ($status, $out, $content) = @{$answer->({variables => \%variables, body => $content{5}})};
    my $text = "Status: $status\r\n";
    $text .= shift(@$out) . ': ' . shift(@$out) . "\r\n" while @$out;
    $text .= "\r\n$content";
    for my $record ([6, $text], [6, ''], [3, pack 'NCx3', 0, 0]) {
        print $client pack('CCnnCx', 1, $record->[0], $number, length $record->[1], 0), $record->[1];
    }
    $client->flush;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid};
    kill KILL => $pid;
    waitpid $pid, 0;
}

END {
    my $status = $?;
    for my $self (values %running) {
        $self->stop if $self->{owner} == $$;
    }
    $? = $status;
}

1;
