# The load generator of the bench tells the truth: what is answered wrong, cut off, closed in between or never is counted
# as that, and what a server may do is no fault of its.
use Orgs::Test;
use IO::Socket::INET ();
use POSIX ();

my $load = top() . '/run/load';
system($ENV{CC} // 'cc', '-D_GNU_SOURCE', '-O1', '-o', $load, map { top() . "/t/bench/$_.c" } qw(load answer)) == 0 or die 'the load generator cannot be compiled';

my $whole = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world";
my $chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n world 123\r\n0\r\nTrailer: x\r\n\r\n";
# What the server does with a request, by its path: gets the socket and how many this connection had; true: the connection goes on.
my %does = (
    ok => sub { syswrite $_[0], $whole },
    bytes => sub { my ($socket) = @_; for my $byte (split //, $chunked) { syswrite $socket, $byte } 1 },
    end => sub { syswrite $_[0], "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world"; 0 },
    leaves => sub { syswrite $_[0], $whole =~ s/\r\n\r\n/\r\nConnection: close\r\n\r\n/r; 0 },
    fails => sub { syswrite $_[0], $whole =~ s/200 OK/500 No/r },
    other => sub { syswrite $_[0], $whole =~ s/world/there/r },
    cut => sub { syswrite $_[0], substr $whole, 0, -3; 0 },
    cutchunk => sub { syswrite $_[0], substr $chunked, 0, -20; 0 },
    never => sub { sysread $_[0], my $more, 1; 0 },
    closes => sub { 0 },
    idle => sub { my ($socket, $count) = @_; return $count == 1 ? syswrite $socket, $whole : 0 },
);

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100) or die "listen: $!";
my $port = $listener->sockport;
my $server = fork // die "fork: $!";
if (!$server) {
    $SIG{CHLD} = 'IGNORE';
    setpgrp;
    while (1) {
        my $socket = $listener->accept or next;
        next if fork;
        my ($bytes, $count) = ('', 0);
        while (1) {
            my $path;
            # the body of the request before it, if it had one
            until ($bytes =~ s/\A(?:\{[^\}]*\})?\w+ \/(\w+) .*?\r\n\r\n/$path = $1; ''/se) {
                sysread $socket, $bytes, 4096, length $bytes or POSIX::_exit(0);
            }
            $does{$path}->($socket, ++$count) or POSIX::_exit(0);
        }
    }
}
close $listener;

# [path, connections, requests, seconds, what is counted]
for my $case (
    ['ok',       3, 50, 10, {sent => 50, answered => 50, errors => 0, retried => 0, reconnects => 0, unanswered => 0}],
    ['bytes',    2, 20, 10, {sent => 20, answered => 20, errors => 0, retried => 0, unanswered => 0}],
    ['end',      2, 20, 10, {sent => 20, answered => 20, errors => 0, retried => 0, reconnects => 20, unanswered => 0}],
    ['leaves',   2, 20, 10, {sent => 20, answered => 20, errors => 0, retried => 0, reconnects => 20, unanswered => 0}],
    ['fails',    2, 20, 10, {sent => 20, answered => 20, errors => 20, unanswered => 0}],
    # every sixteenth body is looked at
    ['other',    2, 33, 10, {sent => 33, answered => 33, errors => 3, unanswered => 0}],
    ['cut',      2, 20, 10, {sent => 20, answered => 0, errors => 20, retried => 0, unanswered => 0}],
    ['cutchunk', 2, 20, 10, {sent => 20, answered => 0, errors => 20, retried => 0, unanswered => 0}],
    ['closes',   2, 20, 10, {sent => 20, answered => 0, errors => 20, retried => 0, unanswered => 0}],
    # one on each connection is answered; the next finds it closed and is sent again on another
    ['idle',     1, 20, 10, {sent => 20, answered => 20, errors => 0, retried => 19, reconnects => 19, unanswered => 0}],
    ['never',    5, 0, 0.2, {sent => 5, answered => 0, errors => 0, unanswered => 5}],
) {
    my ($path, $connections, $requests, $seconds, $want) = @$case;
    my $file = top() . "/run/load-$path";
    open my $out, '>', $file or die "$file: $!";
    print $out join("\t", 'GET', "/$path", 'orgs_x', 200, 'hello world', '') . "\n";
    close $out;
    local $ENV{BENCH_GRACE} = 1;
    my $text = `'$load' 127.0.0.1 $port '$file' $connections $seconds 1 $requests`;
    my $is = eval { JSON::PP::decode_json($text) } // {};
    is_deeply({map { $_ => $is->{$_} } keys %$want}, $want, "$path is counted as what it is") or diag $text;
}

# Each request once, in order.
{
    my $file = top() . '/run/load-each';
    open my $out, '>', $file or die "$file: $!";
    print $out join("\t", 'POST', '/ok', 'orgs_x', 200, '', '{"x":1}') . "\n" for 1 .. 7;
    close $out;
    my $is = JSON::PP::decode_json(`'$load' 127.0.0.1 $port '$file' 3 10 each`);
    is($is->{answered}, 7, 'each is sent once');
    cmp_ok($is->{seconds}, '<', 5, '... and then it ends');
}

kill KILL => -$server;
waitpid $server, 0;
done_testing;
