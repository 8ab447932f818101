# Contract 8: TLS to the database. Whoever is not the one they should be never gets the password, nor anything else: what
# the module says to each server, in plain text and within TLS, is kept and looked at.
use Orgs::Test;
use Orgs::Certificates;
use Orgs::Database;
use Orgs::Httpd;
use Orgs::Liar;
use POSIX ();
use Socket ();
use Sys::Hostname qw(hostname);
use Time::HiRes qw(sleep time);

my $here = top() . '/run/tls';
my $certificates = Orgs::Certificates->new($here);

# --- certificates -----------------------------------------------------------------------------------------------------

# A name of loopback that does not look like it.
my ($name) = grep { (Socket::inet_aton($_) // '') =~ /\A\x7f/ } hostname(), 'LOCALHOST';
my $us = 'IP:127.0.0.1,DNS:' . ($name // 'localhost');

$certificates->own('ca');
$certificates->own('other_ca');
$certificates->own('self', $us);
$certificates->issue('good', 'ca', $us);
$certificates->issue('elsewhere', 'ca', 'DNS:db.example.com,IP:127.0.0.9');
$certificates->issue('expired', 'ca', $us, 0);
$certificates->issue('other', 'other_ca', $us);
$certificates->issue('client', 'ca', 'DNS:web1.example.com');
$certificates->issue('other_client', 'other_ca', 'DNS:web1.example.com');

# --- servers ----------------------------------------------------------------------------------------------------------

my $db = Orgs::Database->new('tls-database', port => Orgs::Httpd::free_port(), ssl_ca => "$here/ca.pem", ssl_cert => "$here/good.pem",
    ssl_key => "$here/good.key")->start;
my $token = $db->token('ada');
my ($password) = map { /^password=(.*)$/ ? $1 : () } $db->lines('orgs.cnf');
for my $case (['orgs_ssl', 'SSL'], ['orgs_x509', 'X509']) {
    my ($user, $require) = @$case;
    $db->sql("CREATE USER $user\@'127.0.0.1' IDENTIFIED BY '$password' REQUIRE $require; GRANT SELECT, EXECUTE ON orgs.* TO $user\@'127.0.0.1'");
}

# What the module says within TLS to somebody with such a certificate is in a file; what is written to {in}, it gets.
my %tls;
for my $certificate (qw(good elsewhere expired other self)) {
    my $port = Orgs::Httpd::free_port();
    pipe my $read, my $write or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<&', $read;
        open STDOUT, '>', "$here/$certificate.said";
        open STDERR, '>', '/dev/null';
        exec 'openssl', 's_server', '-quiet', '-accept', "127.0.0.1:$port", '-cert', "$here/$certificate.pem", '-key', "$here/$certificate.key"
            or POSIX::_exit(1);
    }
    close $read;
    $tls{$certificate} = {pid => $pid, port => $port, in => $write, said => "$here/$certificate.said"};
}
my $owner = $$;

sub end_all {
    kill TERM => $_->{pid} for values %tls;
    waitpid $_->{pid}, 0 for values %tls;
    %tls = ();
}
END {
    my $status = $?;
    end_all() if $$ == $owner;
    $? = $status;
}

sub there {
    my ($port) = @_;
    return until_true(10, sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) }) || die "nobody listens at $port\n";
}

sub in_tls {
    my ($certificate) = @_;
    return ("tls_$certificate" => sub { my ($c) = @_; $c->greet(ssl => 1); $c->packet; $c->pipe(there($tls{$certificate}{port})) });
}

# Within TLS, after the name, the password itself is asked for.
sub asks_in_tls {
    my ($certificate) = @_;
    my $server = $tls{$certificate};
    return ("asks_$certificate" => sub {
        my ($c) = @_;
        $c->greet(ssl => 1);
        $c->packet;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            my $before = -s $server->{said};
            until_true(10, sub { -s $server->{said} > $before });
            syswrite $server->{in}, Orgs::Liar::Client::framed("\xfemysql_clear_password\0", 3);
            POSIX::_exit(0);
        }
        $c->pipe(there($server->{port}));
    });
}

# The real server's first packet without the word of TLS in it.
sub without_tls {
    my ($content, $n) = @_;
    # after version, thread and half a scramble come the capabilities, the lower half first
    $content =~ s/\A(\x0a[^\0]*\0.{13}.)(.)/$1 . chr(ord($2) & ~8)/se if $n == 1;
    return $content;
}

my $liars = Orgs::Liar->new(
    true => sub { $_[0]->pipe(there($db->{port})) },
    strips => sub { $_[0]->relay(['127.0.0.1', $db->{port}], server => \&without_tls) },
    # without TLS: whatever is said is fine; or the password itself is asked for, at once or later, or an old digest of it
    plain => sub { my ($c) = @_; $c->greet; $c->packet; $c->ok },
    asks => sub { my ($c) = @_; $c->greet(plugin => 'mysql_clear_password'); $c->packet; $c->ok },
    switches => sub { my ($c) = @_; $c->greet; $c->packet; $c->switch('mysql_clear_password'); $c->packet },
    dialog => sub { my ($c) = @_; $c->greet; $c->packet; $c->switch('dialog', "\4Password: "); $c->packet },
    old => sub { my ($c) = @_; $c->greet; $c->packet; $c->send("\xfe"); $c->packet },
    # TLS is offered, but then spoken to in plain text
    instead => sub { my ($c) = @_; $c->greet(ssl => 1); $c->packet; $c->switch('mysql_clear_password'); $c->wait },
    denies => sub { my ($c) = @_; $c->greet(ssl => 1); $c->packet; $c->error(1045, 'Access denied for everybody'); $c->wait },
    (map { in_tls($_) } keys %tls),
    (map { asks_in_tls($_) } qw(good self)),
);

# --- what is asked ----------------------------------------------------------------------------------------------------

# What was said to a server that has to prove itself: nothing, that TLS is wanted (and what begins it), or who we are.
sub heard {
    my ($server) = @_;
    my %kinds;
    for my $bytes ($liars->heard($server)) {
        my $rest = $bytes;
        my ($content) = Orgs::Liar::Client::whole(\$rest);
        my $kind = !defined $content ? ($bytes eq '' ? 'nothing' : 'something odd')
            : length $content == 32 && unpack('V', $content) & 0x800 ? 'TLS' : 'login';
        # records of a handshake, alerts, and what is encrypted
        $kind = "TLS and $kind" if $kind eq 'TLS' && $rest !~ /\A(?:[\x14-\x17]\x03.*)?\z/s;
        $kind .= ' with the password' if index($bytes, $password) >= 0;
        $kinds{$kind} = 1;
    }
    return join ', ', sort keys %kinds;
}

my $ca = "ssl_ca=$here/ca.pem";
my $verify = "host=127.0.0.1 $ca ssl_mode=verify-identity";
my $required = 'host=127.0.0.1 ssl_mode=required';
my $client = "ssl_cert=$here/client.pem ssl_key=$here/client.key";
# Oracle's client library has words of its own, fewer of them, and neither asks for passwords nor knows old digests.
my $oracle = orgsctl('--version') =~ /libmysqlclient/;
my $no_tls = $oracle ? qr/SSL is required but the server doesn't support it/ : qr/does not support it|the server offers no TLS, and without it nothing is said/;
my $secret = $oracle ? qr/Authentication plugin '(?:mysql_clear_password|dialog)' cannot be loaded|Malformed packet/
    : qr/the server asks for the password itself, or a weak digest of it: that is for a socket or verified TLS/;
my $untrusted = $oracle ? qr/certificate verify failed/ : qr/unable to get local issuer certificate|self.signed certificate in certificate chain/;
# Connector/C 3.4 looks at no names at loopback; what then is said, its server does not understand. It never says a password.
my $newer = orgsctl('--version') =~ /Connector\/C 3\.(?:[4-9]|\d\d)/;
my $broken = $oracle ? qr/SSL connection error|Lost connection to MySQL server/ : qr/TLS\/SSL error/;

# [server, parameters, status, what was heard in plain text, and within TLS (undef: no matter), what the log says]
my @cases = (
    # whoever has to prove who they are
    ['true',          $verify,              200, 'TLS', undef],
    ['tls_elsewhere', $verify,              503, 'TLS', $newer ? 'login' : '', $oracle ? $untrusted : $newer ? qr/./ : qr/127\.0\.0\.1: TLS\/SSL error: the server's certificate is not one for this host/],
    ['tls_expired',   $verify,              503, 'TLS', '', $oracle ? $untrusted : qr/certificate has expired/],
    ['tls_other',     $verify,              503, 'TLS', '', $untrusted],
    ['tls_self',      $verify,              503, 'TLS', '', $oracle ? $untrusted : qr/self.signed certificate/],
    ['true',          'host=127.0.0.1 ssl_mode=verify-identity', 503, 'TLS', undef, $untrusted],   # the system's authorities
    (map { [$_,       $verify,              503, 'nothing', undef, $no_tls] } qw(strips plain asks switches dialog old)),
    ['instead',       $verify,              503, 'TLS', undef, $broken],
    ['denies',        $verify,              503, 'TLS', undef, $broken],
    ['asks_good',     $verify,              503, 'TLS', $newer ? undef : 'password', qr/./],                         # who has proved it may ask
    # who need not, but TLS there must be
    ['true',          $required,            200, 'TLS', undef],
    ['tls_self',      $required,            503, 'TLS', 'login', qr/./],
    # (with Oracle's library nothing comes out of that server a second time: why is not known)
    ['asks_self',     $required,            503, 'TLS', $oracle ? undef : 'login', $oracle ? qr/./ : $secret],
    ['true',          "$required $ca",      200, 'TLS', undef],
    (map { [$_,       $required,            503, 'nothing', undef, $no_tls] } qw(strips plain asks switches dialog old)),
    ['instead',       $required,            503, 'TLS', undef, $broken],
    # loopback, where nothing need be said of TLS, but not everything is said either
    ['true',          'host=127.0.0.1',     200, 'login', undef],
    ['true',          "host=127.0.0.1 $ca", 200, 'login', undef],
    ['plain',         'host=127.0.0.1',     503, 'login', undef, qr/./],
    ['asks',          'host=127.0.0.1',     503, 'nothing', undef, $secret],
    (map { [$_,       'host=127.0.0.1',     503, 'login', undef, $secret] } qw(switches dialog old)),
    # what the server asks for
    ['true',          'host=127.0.0.1 user=orgs_ssl',             503, 'login', undef, qr/Access denied for user 'orgs_ssl'/],
    ['true',          "$required user=orgs_ssl",                  200, 'TLS', undef],
    ['true',          "$verify user=orgs_x509",                   503, 'TLS', undef, qr/Access denied for user 'orgs_x509'/],
    ['true',          "$verify user=orgs_x509 $client",           200, 'TLS', undef],
    ['true',          "$required user=orgs_x509 $client",         200, 'TLS', undef],
    ['true',          "$verify user=orgs_x509 ssl_cert=$here/other_client.pem ssl_key=$here/other_client.key", 503, 'TLS', undef, $broken],
    # files that are not what they should be
    ['true',          'host=127.0.0.1 ssl_mode=verify-identity ssl_ca=/nowhere/ca.pem', 503, 'TLS', undef, $broken],
    ['true',          "$verify ssl_cert=$here/client.pem ssl_key=$here/good.key",       503, 'TLS', undef, $oracle ? qr/Unable to get private key/ : qr/TLS\/SSL error: key values mismatch/],
    ['true',          "$verify ssl_cert=$here/client.pem ssl_key=/nowhere/key",         503, 'TLS', undef, $oracle ? qr/Unable to get private key/ : qr{/nowhere/key}],
    # names that are not loopback's: verify-identity, unless something else is said
    !defined $name ? () : (
        ['true',          "host=$name $ca user=orgs_ssl",     200, 'TLS', undef],
        ['true',          "host=$name",                       503, 'TLS', undef, $untrusted],
        ['tls_elsewhere', "host=$name $ca",                   503, 'TLS', '', $oracle ? $untrusted : qr/\Q$name\E: TLS\/SSL error: the server's certificate is not one/],
        ['plain',         "host=$name $ca",                   503, 'nothing', undef, $no_tls],
        ['true',          "host=$name ssl_mode=disabled",     200, 'login', undef],
        ['true',          "host=$name,127.0.0.1 ssl_mode=disabled", 200, 'login', undef],
    ),
    ['true',          "host=127.0.0.1 ssl_mode=disabled",     200, 'login', undef],
);
my $configuration = "OrgsDBDefaultsFile $db->{run}/orgs.cnf\nOrgsDBTimeout @{[$ENV{ORGS_TEST_UNDER} ? 20 : 2]}\nOrgsDBMax 1\nLogLevel info\n";
for my $n (0 .. $#cases) {
    my ($server, $parameters) = @{$cases[$n]};
    $parameters .= ' user=orgs' if $parameters !~ /user=/;
    $configuration .= "<VirtualHost *>\nServerName case$n\nOrgsDBParams \"port=$liars->{port}{$server} dbname=orgs $parameters\"\n"
        . "<Location \"/organizations\">\nSetHandler orgs\n</Location>\n</VirtualHost>\n";
}
my $httpd = Orgs::Httpd->start($configuration);

sub log_since {
    my ($at) = @_;
    open my $in, '<', $httpd->{log} or die "$httpd->{log}: $!";
    seek $in, $at, 0;
    return <$in>;
}

sub ask {
    my ($n) = @_;
    return api(GET => '?limit=1', url => $httpd->url('/organizations'), token => $token, headers => {Host => "case$n"});
}

for my $n (0 .. $#cases) {
    my ($server, $parameters, $status, $plain, $within, $line) = @{$cases[$n]};
    my $log = -s $httpd->{log};
    my $certificate = $server =~ /_(\w+)/ ? $1 : undef;
    my $before = $certificate ? -s $tls{$certificate}{said} : 0;
    $liars->forget;
    my $r = ask($n);
    my $what = "$server: " . $parameters =~ s/\Q$here\E\///gr;
    is($r->{status}, $status, "$what: $status") or diag $r->{body};
    # who was refused is gone, and nothing is on its way any more
    until_true(5, sub { $status == 200 ? heard($server) eq $plain : !$liars->busy($server) });
    is(heard($server), $plain, '... what was heard');
    my @lines = grep { /ORGS0102/ } log_since($log);
    if ($line) {
        is(scalar @lines, 1, '... one line in the log') or diag @lines;
        like($lines[0] // '', $line, '... says why');
        unlike($lines[0] // '', qr/\Q$password\E/, '... without the password');
    }
    else {
        is_deeply(\@lines, [], '... no line in the log');
    }
    next if !defined $within;
    # whoever listens there may be a moment behind
    my $heard = sub {
        open my $in, '<:raw', $tls{$certificate}{said} or die $!;
        seek $in, $before, 0;
        my $said = do { local $/; <$in> } // '';
        return index($said, $password) >= 0 ? 'password' : length $said ? 'login' : '';
    };
    until_true(2, sub { $heard->() eq $within });
    is($heard->(), $within, '... and within TLS');
}

# --- what else --------------------------------------------------------------------------------------------------------

# An idle TLS connection is not taken for a dead one.
my ($reused) = grep { $cases[$_][1] eq "$required $ca" } 0 .. $#cases;
$liars->forget;
is(join(' ', map { ask($reused)->{status} } 1 .. 10), join(' ', (200) x 10), 'many requests');
# one of each process, with prefork
my $most = ($ENV{ORGS_TEST_MPM} // 'event') eq 'prefork' ? $httpd->children : 0;
cmp_ok(scalar $liars->heard('true'), '<=', $most, '... on the connection that stood');

# Plain text to another host is told at the start, once.
my @told = grep { /ORGS0003/ } log_since(0);
if (defined $name) {
    is(scalar @told, 1, 'that nothing protects what is said to a remote database is told once') or diag @told;
    like($told[0] // '', qr/:warn\].*ssl_mode=disabled: what is said to the database at \Q$name\E can be read and changed/, '... as a warning');
}
is_deeply([grep { /exit signal/ } log_since(0)], [], 'no process of httpd died');

# A name that begins like a loopback address is none.
{
    my $other = Orgs::Httpd->start("OrgsDBParams \"host=127.0.0.1.example.com dbname=orgs user=orgs ssl_mode=disabled\"\n"
        . "<Location \"/organizations\">\nSetHandler orgs\n</Location>\n");
    $other->stop;
    open my $in, '<', $other->{log} or die $!;
    is(scalar(grep { /ORGS0003/ } <$in>), 1, '127.0.0.1.example.com is not loopback');
}

$httpd->stop;
$liars->end;
end_all();
$db->stop;
done_testing;
