# The README's recipe of client certificates, as it stands there: the email address in a certificate is the caller.
use Orgs::Test;
use Orgs::Certificates;
use Orgs::Curl;
use Orgs::Httpd;
use Orgs::Recipe;

my ($ada, $bob, $eve) = (user('ada'), user('bob'), user('eve'));
my $org = organization_with($ada, member => $bob)->{id};

my $here = top() . '/run/clientcert';
my $certificates = Orgs::Certificates->new($here);
$certificates->own($_) for qw(ca other-ca server-ca);
$certificates->issue(server => 'server-ca', 'IP:127.0.0.1,DNS:orgs.example.com');
my %names = (bob => "email:$bob->{email}", eve => "email:$eve->{email}", upper => 'email:BOB@ClientCert.Example', unknown => 'email:nobody@clientcert.example',
    two => "email:$eve->{email},email:$bob->{email}", nameless => undef, host => 'DNS:bob.clientcert.example', odd => 'email:no-address');
$certificates->issue($_ => 'ca', $names{$_}) for sort keys %names;
$certificates->issue(other => 'other-ca', $names{bob});
$certificates->issue(expired => 'ca', $names{bob}, 0);
$certificates->own(self => $names{bob});

my $port = Orgs::Httpd::free_port();
my $httpd = Orgs::Httpd->start(sub {
    my ($directory) = @_;
    return load_modules(qw(ssl socache_shmcb)) . database_lines() . "LogLevel info orgs:debug\nSSLSessionCache shmcb:$directory/ssl\nListen 127.0.0.1:$port\n"
        . recipe('Client certificates', '*:443' => "*:$port", '/etc/apache2/tls/orgs.pem' => "$here/server.pem", '/etc/apache2/tls/orgs.key' => "$here/server.key",
            '/etc/apache2/tls/clients-ca.pem' => "$here/ca.pem", '</VirtualHost>' => <<"END");
    <Location "/gate">
        Require org-member $org
        OrgsRemoteUser email
    </Location>
</VirtualHost>
END
});
mkdir "$httpd->{directory}/htdocs/gate" or die "gate: $!";
{
    open my $out, '>', "$httpd->{directory}/htdocs/gate/file" or die "file: $!";
    print $out 'behind the gate';
}

# ask(METHOD, PATH, certificate, ...)
sub ask {
    my ($method, $path, $who, %options) = @_;
    return curl($method => "https://127.0.0.1:$port$path", %options,
        with => ['--cacert', "$here/server-ca.pem", $who ? ('--cert', "$here/$who.pem", '--key', "$here/$who.key") : (), @{$options{with} || []}]);
}

# --- who it is ---------------------------------------------------------------------------------------------------------------

for my $version ('--tls-max=1.2', '--tlsv1.3') {
    my @with = (with => [split /=/, $version]);
    for my $who (qw(bob upper)) {
        my $r = ask(GET => "/organizations/$org/members/me", $who, @with);
        answers($r, 200, "$version, $who: a user");
        is($r->{json}{user_id}, $bob->{id}, '... it is he') or diag $r->{failed};
    }
    answers(ask(GET => '/organizations', 'eve', @with), 200, "$version, eve: a list");
    problem(ask(GET => "/organizations/$org", 'eve', @with), 404, 'organization_not_found', "$version, eve: a stranger");
    problem(ask(GET => "/organizations/$org", 'two', @with), 404, 'organization_not_found', "$version: of two addresses the first counts");
    problem(ask(GET => '/organizations', $_, @with), 403, 'user_unknown', "$version, $_: nobody of ours") for qw(unknown odd);
    problem(ask(GET => '/organizations', $_, @with), 403, 'forbidden', "$version, $_: a certificate without an address") for qw(nameless host);
    for my $who (undef, qw(other expired self)) {
        my $r = ask(GET => '/organizations', $who, @with);
        is($r->{status}, 0, "$version, " . ($who // 'no certificate') . ': no word is exchanged') or diag Orgs::Test::describe($r);
        like($r->{failed} // '', qr/alert|SSL|reset/i, '... since TLS fails');
    }
}
problem(ask(GET => "/organizations/$org", 'eve', token => $bob), 404, 'organization_not_found', 'a token does not count beside a certificate');

# --- what a browser may do by itself -----------------------------------------------------------------------------------------------

for my $case ([undef, undef, 201], ['same-origin', undef, 201], ['cross-site', undef, 403], [undef, 'https://evil.example', 403], [undef, "https://127.0.0.1:$port", 201]) {
    my ($site, $origin, $status) = @$case;
    my %headers = ($site ? ('Sec-Fetch-Site' => $site) : (), $origin ? (Origin => $origin) : ());
    my $r = ask(POST => '/organizations', 'bob', json => {name => 'x'}, headers => \%headers);
    my $what = 'a write: ' . (join(', ', %headers) || 'no word of where from');
    $status == 201 ? answers($r, 201, $what) : problem($r, 403, 'cross_site', $what);
}

# --- a gate -------------------------------------------------------------------------------------------------------------------------

for my $case ([bob => 200], [eve => 403], [unknown => 403], [odd => 403], [two => 403]) {
    my ($who, $status) = @$case;
    my $r = ask(GET => '/gate/file', $who);
    is($r->{status}, $status, "a gate, $who: $status") or diag Orgs::Test::describe($r);
    like($r->{headers}{'cache-control'}, qr/^private/, '... private');
}

is_deeply([$httpd->complaints(qw(AH01630 AH01631 AH01882 AH02227 AH01909 AH02039 AH02040 AH02276))], [], 'the log has what was to be');
done_testing;
