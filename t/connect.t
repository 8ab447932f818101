# Contract 8, OrgsDBTimeout: one deadline over all, also while connecting, where the client libraries keep none.
use Orgs::Test;
use Orgs::Httpd;
use Orgs::Proxy;
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();
use Time::HiRes qw(time sleep);

my $TIMEOUT = 2;
my $SLACK = 1.5;    # of a noisy machine
my $shared = ($ENV{ORGS_TEST_MPM} // 'event') ne 'prefork';    # there each process finds out for itself

# --- a server that is slow to come to the point -------------------------------------------------------------------------------

my %relays;
END { my $status = $?; for my $pid (keys %relays) { kill KILL => $pid; waitpid $pid, 0 } $? = $status }

# Stands before the real database, on TCP, and does as the file says: `pass`; `silent`: accepts and says nothing; `drip`:
# passes on what the server says, a byte each third of a second. Gives its port, or nothing.
sub start_relay {
    my ($address, $port, $file) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 100, ReuseAddr => 1) or return;
    my $pid = fork // die "fork: $!";
    if ($pid) {
        $relays{$pid} = 1;
        return $listener->sockport;
    }
    %relays = ();
    Test::More->builder->no_ending(1);
    $SIG{PIPE} = 'IGNORE';
    my $select = IO::Select->new($listener);
    my (%other, %dripping, @dripped);
    while (1) {
        for my $socket ($select->can_read(0.05)) {
            next if !defined fileno $socket;    # its peer ended it a moment ago
            if ($socket == $listener) {
                my $client = $listener->accept or next;
                my $mode = do { open my $in, '<', $file or die; local $/; <$in> };
                $select->add($client);
                next if $mode eq 'silent';
                my $server = IO::Socket::UNIX->new(Peer => Orgs::Test::top() . '/run/main/db/socket') or die "the database: $!";
                @other{$client, $server} = ($server, $client);
                $select->add($server);
                $dripping{$server} = {to => $client, bytes => '', next => 0} if $mode eq 'drip';
                next;
            }
            my $got = sysread $socket, my $bytes, 65536;
            if (!$got) {
                my $peer = delete $other{$socket};
                delete $dripping{$_} for grep { defined } $socket, $peer;
                for ($socket, grep { defined } $peer) {
                    $select->remove($_);
                    delete $other{$_};
                    close $_;
                }
                next;
            }
            if ($dripping{$socket}) { $dripping{$socket}{bytes} .= $bytes }
            elsif ($other{$socket}) { syswrite $other{$socket}, $bytes }
        }
        for my $drip (values %dripping) {
            next if time < $drip->{next} || $drip->{bytes} eq '';
            syswrite $drip->{to}, substr $drip->{bytes}, 0, 1, '';
            $drip->{next} = time + 0.3;
        }
    }
    POSIX::_exit(0);
}

my $ada = user('ada');
my $mode_file = Orgs::Test::top() . '/run/slow-mode';
sub mode { open my $out, '>', "$mode_file.new" or die; print $out $_[0]; close $out; rename "$mode_file.new", $mode_file or die }
mode('pass');
my $slow_port = start_relay('127.0.0.1', 0, $mode_file) or die "no port: $@";

my $password = do { open my $in, '<', Orgs::Test::top() . '/run/main/orgs.cnf' or die $!; local $/; (<$in> =~ /^password=(.*)$/m)[0] };
my $option_file = Orgs::Test::top() . "/run/slow-$$.cnf";
{ open my $out, '>', $option_file or die; print $out "[client]\npassword=$password\n"; close $out }

sub httpd_with {
    my ($params) = @_;
    return Orgs::Httpd->start(<<"END");
LogLevel orgs:debug
OrgsDBDefaultsFile "$option_file"
OrgsDBParams "$params dbname=orgs user=orgs"
OrgsDBTimeout $TIMEOUT
<Location "/organizations">
    SetHandler orgs
</Location>
END
}

# Not kept alive: event closes such connections when all its threads are busy, just when the next request may come.
sub asked {
    my ($httpd) = @_;
    my $began = time;
    my $r = api(GET => '', url => $httpd->url('/organizations?limit=1'), token => $ada, headers => {Connection => 'close'});
    return [$r->{status}, time - $began];
}

# Asks n at once, each `times` times.
sub many { my ($httpd, $n, $times) = @_; return map { @$_ } race($n, sub { [map { asked($httpd) } 1 .. $times] }) }

sub last_in_time { return if !$shared; my $worst = (sort { $a <=> $b } map { $_->[1] } @_)[-1]; cmp_ok($worst, '<', $TIMEOUT + $SLACK, sprintf '... by the deadline: the last after %.2f s', $worst) }

for my $case (['silent', 'a server that accepts and says nothing'], ['drip', 'a server that drips its handshake, a byte at a time']) {
    my ($mode, $what) = @$case;
    mode($mode);
    my $httpd = httpd_with("host=127.0.0.1 port=$slow_port");
    my @answers = many($httpd, 10, 3);
    is_deeply([map { $_->[0] } grep { $_->[0] != 503 } @answers], [], "$what: all are told");
    last_in_time(@answers);
    cmp_ok(scalar(grep { $_->[1] < 0.5 } @answers), '>=', 15, '... and most at once') if $shared;
    my $log = do { open my $in, '<', $httpd->{log} or die; local $/; <$in> };
    my @down = $log =~ /(ORGS0102: .*)/g;
    $shared ? is(scalar @down, 1, '... the log says so once') : cmp_ok(scalar @down, '>=', 1, '... the log says so');
    mode('pass');
    ok(until_true(5, sub { asked($httpd)->[0] == 200 }), '... and when it comes to the point, all is well');
    is_deeply([map { $_->[0] } grep { $_->[0] != 200 } many($httpd, 5, 4)], [], '... without exception') if $shared;
    $httpd->stop;
    my $end = do { open my $in, '<', $httpd->{log} or die; local $/; <$in> };
    unlike($end, qr/exit signal/, '... and it ends in peace');
}

# --- several hosts share the time: one that hangs leaves some for the next -------------------------------------------------------

SKIP: {
    skip 'each process finds out for itself', 4 if !$shared;
    my $well = "$mode_file.well";
    { open my $out, '>', $well or die; print $out 'pass' }
    start_relay('127.0.0.2', $slow_port, $well) or skip "no 127.0.0.2:$slow_port", 4;
    for my $mode (qw(silent drip)) {
        mode($mode);
        my $httpd = httpd_with("host=127.0.0.1,127.0.0.2 port=$slow_port");
        ok(until_true(8, sub { asked($httpd)->[0] == 200 }), "$mode: the second host is used");
        is_deeply([map { $_->[0] } grep { $_->[0] != 200 } many($httpd, 8, 3)], [], '... and goes on to be');
        $httpd->stop;
    }
}

# --- a name server that hangs ---------------------------------------------------------------------------------------------------------

SKIP: {
    my $library = Orgs::Test::top() . "/run/slow-names-$$.so";
    my $source = "$library.c";
    open my $out, '>', $source or die;
    print $out <<'END';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <time.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    struct timespec long_time = {6, 0};
    if (node != 0 && strcmp(node, "db.invalid") == 0) {
        nanosleep(&long_time, 0);
        return EAI_FAIL;
    }
    return real(node, service, hints, res);
}
END
    close $out;
    skip 'each process finds out for itself', 4 if !$shared;
    skip 'no compiler here', 4 if system("cc -shared -fPIC -o '$library' '$source' -ldl >/dev/null 2>&1") != 0;
    mode('pass');
    local $ENV{LD_PRELOAD} = $library;
    my $httpd = httpd_with("host=db.invalid port=$slow_port ssl_mode=disabled");
    my $other = httpd_with("host=db.invalid,127.0.0.1 port=$slow_port ssl_mode=disabled");
    delete local $ENV{LD_PRELOAD};
    my @answers = many($httpd, 8, 3);
    is_deeply([map { $_->[0] } grep { $_->[0] != 503 } @answers], [], 'a name server that does not answer: all are told');
    last_in_time(@answers);
    ok(until_true(8, sub { asked($other)->[0] == 200 }), '... and a host whose name is known is used');
    is_deeply([map { $_->[0] } grep { $_->[0] != 200 } many($other, 8, 3)], [], '... from then on');
    $_->stop for $httpd, $other;
}

# --- a database that is swallowed while all threads are busy with it ----------------------------------------------------------------------

{
    my $proxy = Orgs::Proxy->new(path => Orgs::Test::top() . '/run/swallow.socket');
    my $httpd = httpd_with('socket=' . Orgs::Test::top() . '/run/swallow.socket');
    is_deeply([map { $_->[0] } grep { $_->[0] != 200 } many($httpd, 25, 2)], [], 'all threads have work');
    $proxy->arm('client', 40, 'all');
    my @answers = many($httpd, 40, 6);
    my @failed = grep { $_->[0] != 200 } @answers;
    is_deeply([map { $_->[0] } grep { $_->[0] != 503 } @failed], [], 'swallowed under load: all are told');
    cmp_ok(scalar @failed, '>=', 40, '... those who ask');
    last_in_time(@answers);
    my $quick = grep { $_->[1] < 0.5 } @failed;
    cmp_ok($quick, '>=', @failed / 2, "... and most at once: $quick of " . @failed) if $shared;
    $proxy->pass;
    ok(until_true(5, sub { asked($httpd)->[0] == 200 }), '... and back');
    $httpd->stop;
    $proxy->end;
}
done_testing;
