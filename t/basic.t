# Contract 4: AuthBasicProvider orgs takes a token as the password; the caller is its owner, whatever name was sent.
# Other providers and other kinds of authentication beside it are what they were.
use Orgs::Test;
use Orgs::Httpd;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha1_base64);
use MIME::Base64 qw(encode_base64);

my $top = top();
my ($ada, $bob, $eve, $root) = (user('ada'), user('bob'), user('eve'), superuser());
my $organization = organization_with($ada, member => $bob);
my $org = $organization->{id};
my $page = "$top/t/htdocs/index.html";

my $basic = "AuthType Basic\nAuthName house\nAuthUserFile passwords\n";
my %lines = (
    only      => "${basic}AuthBasicProvider orgs\nRequire valid-user",
    'file-orgs' => "${basic}AuthBasicProvider file orgs\nRequire valid-user",
    'orgs-file' => "${basic}AuthBasicProvider orgs file\nRequire valid-user",
    lax       => "${basic}AuthBasicProvider orgs\nAuthBasicAuthoritative Off\nRequire valid-user",
    aliased   => "${basic}AuthBasicProvider tokens\nRequire valid-user",
    cached    => "${basic}AuthBasicProvider socache orgs\nAuthnCacheProvideFor orgs\nRequire valid-user",
    gate      => "${basic}AuthBasicProvider orgs file\nRequire org-member $org",
    'not'     => "${basic}AuthBasicProvider file orgs\n<RequireAll>\nRequire valid-user\nRequire not org-member $org\n</RequireAll>",
    mixed     => "${basic}AuthBasicProvider file orgs\n<RequireAny>\nRequire user filed\nRequire org-admin $org\n</RequireAny>",
    named     => "${basic}AuthBasicProvider orgs\nRequire user $ada->{email}",
    plain     => "${basic}AuthBasicProvider file\nRequire valid-user",
    faked     => "${basic}AuthBasicProvider file\nRequire valid-user\nAuthBasicFake fake secret\nHeader set X-Fake \"expr=%{req:Authorization}\"",
    digest    => "AuthType Digest\nAuthName house\nAuthDigestProvider file\nAuthUserFile digests\nRequire valid-user",
    satisfied => "${basic}AuthBasicProvider orgs\nRequire valid-user\nOrder deny,allow\nDeny from all\nSatisfy Any",
);
my $sections = join '', map { "<Location \"/c/$_\">\n$lines{$_}\n</Location>\n" } sort keys %lines;
my $httpd = Orgs::Httpd->start(sub {
    my ($directory) = @_;
    my %file = (passwords => 'filed:{SHA}' . sha1_base64('by file') . "=\n" . "$ada->{email}:{SHA}" . sha1_base64('ada by file') . "=\n",
        digests => 'filed:house:' . md5_hex('filed:house:by digest') . "\n");
    for my $name (keys %file) {
        open my $out, '>', "$directory/$name" or die "$name: $!";
        print $out $file{$name};
    }
    return load_modules(qw(cgid cgi socache_shmcb authn_socache auth_digest auth_form session session_cookie request)) . database_lines() . <<"END" });
LogLevel info orgs:debug
LogFormat "%u %m %U %>s" users
CustomLog access_log users
<IfModule cgid_module>
    ScriptSock cgid.sock
</IfModule>
<Directory "/">
    Require all granted
    Options +ExecCGI
</Directory>
AddHandler cgi-script .cgi
AliasMatch "^/c/" "$page"
<AuthnProviderAlias orgs tokens>
</AuthnProviderAlias>
$sections
<Location "/env.cgi">
    $basic
    AuthBasicProvider orgs
    Require org-member $org
</Location>
<Location "/form">
    AuthType Form
    AuthName house
    AuthFormProvider orgs
    Session On
    SessionCookieName session path=/
    Require valid-user
    Header always set X-User "expr=%{REMOTE_USER}"
</Location>
<Location "/organizations">
    SetHandler orgs
    $basic
    AuthBasicProvider orgs
    Require valid-user
</Location>
<Location "/strange/organizations">
    SetHandler orgs
    $basic
    AuthBasicProvider file
    Require valid-user
</Location>
<VirtualHost *:*>
    ServerName 127.0.0.1
</VirtualHost>
<VirtualHost *:*>
    ServerName down.example
    OrgsDBParams "socket=$top/run/nowhere"
    OrgsDBTimeout 2
</VirtualHost>
END

sub basic { return 'Basic ' . encode_base64("$_[0]:$_[1]", '') }

# get(PATH, [name, password], ...)
sub get {
    my ($path, $who, %options) = @_;
    my $headers = delete $options{headers};
    my $host = delete $options{host};
    my $method = delete $options{method} // 'GET';
    return api($method => '', url => $httpd->url($path), %options,
        headers => {$who ? (Authorization => ref $who ? basic(@$who) : $who) : (), $host ? (Host => $host) : (), %{$headers || {}}});
}

my %password = (
    token    => [$bob->{email} => $bob->{token}],
    another  => ["root\@$bob->{email}" => $bob->{token}],
    nameless => ['' => $bob->{token}],
    filed    => ['filed', 'by file'],
    wrong    => ['filed', 'wrong'],
    unknown  => ['nobody', 'by file'],
    malformed => [$bob->{email}, "$bob->{token}x"],
    dead     => ['filed', do { my $t = new_token($bob); orgsctl({in => $t}, 'token', 'revoke', '-'); $t }],
    ada      => [x => $ada->{token}],
    eve      => [x => $eve->{token}],
    root     => [x => $root->{token}],
    nobody   => undef,
    bearer   => "Bearer $bob->{token}",
);
my @order = qw(token another nameless filed wrong unknown malformed dead ada eve root nobody bearer);
#   location       token another nameless filed wrong unknown malformed dead ada eve root nobody bearer
my %want = (
    only        => [200, 200, 200, 401, 401, 401, 401, 401, 200, 200, 200, 401, 401],
    'file-orgs' => [200, 200, 200, 200, 401, 401, 401, 401, 200, 200, 200, 401, 401],
    'orgs-file' => [200, 200, 200, 200, 401, 401, 401, 401, 200, 200, 200, 401, 401],
    aliased     => [200, 200, 200, 401, 401, 401, 401, 401, 200, 200, 200, 401, 401],
    cached      => [200, 200, 200, 401, 401, 401, 401, 401, 200, 200, 200, 401, 401],
    gate        => [200, 200, 200, 401, 401, 401, 401, 401, 200, 403, 200, 401, 401],
    mixed       => [403, 403, 403, 200, 401, 401, 401, 401, 200, 403, 200, 401, 401],
    named       => [403, 403, 403, 401, 401, 401, 401, 401, 200, 403, 403, 401, 401],
    'not'       => [403, 403, 403, 500, 401, 401, 401, 401, 403, 200, 403, 401, 401],
    plain       => [401, 401, 401, 200, 401, 401, 401, 401, 401, 401, 401, 401, 401],
);
for my $location (sort keys %want) {
    for my $n (0 .. $#order) {
        my ($who, $want) = ($order[$n], $want{$location}[$n]);
        my $r = get("/c/$location", $password{$who});
        my $good = is($r->{status}, $want, "$location, $who: $want");
        is($r->{headers}{'www-authenticate'}, $want == 401 ? 'Basic realm="house"' : undef, '... ' . ($want == 401 ? 'challenged' : 'not challenged'));
        diag(Orgs::Test::describe($r)) if !$good;
        like($r->{headers}{'cache-control'} // '', qr/^private$/, '... private') if $want == 200 && $location ne 'plain' && $who ne 'filed';
    }
}

# --- a database that is down ------------------------------------------------------------------------------------------------

for my $case (
    # location, who, status
    [only        => token     => 503],
    [only        => nobody    => 401],
    [only        => malformed => 401],
    [only        => filed     => 401],
    ['file-orgs' => token     => 503],
    ['file-orgs' => filed     => 200],
    ['file-orgs' => wrong     => 401],
    ['orgs-file' => token     => 503],
    ['orgs-file' => filed     => 200],
    ['orgs-file' => dead      => 503],
    [lax         => token     => 503],
    [aliased     => token     => 503],
    [cached      => token     => 503],
    [gate        => token     => 503],
    ['not'       => eve       => 503],
    [mixed       => filed     => 200],
    [mixed       => ada       => 503],
    [named       => ada       => 503],
) {
    my ($location, $who, $want) = @$case;
    my $r = get("/c/$location", $password{$who}, host => 'down.example');
    is($r->{status}, $want, "$location, $who, database down: $want") or diag Orgs::Test::describe($r);
    is(defined $r->{headers}{'retry-after'}, $want == 503, '... Retry-After') if $want == 503;
    is($r->{headers}{'www-authenticate'}, undef, '... and no challenge') if $want == 503;
    like($r->{headers}{'cache-control'}, qr/^private/, '... private') if $want == 503;
}

# --- how often ---------------------------------------------------------------------------------------------------------------

sub counted {
    my ($n, $what, $work) = @_;
    my $before = status_counter('Com_stmt_execute');
    $work->();
    is(status_counter('Com_stmt_execute') - $before, $n, "$n statements: $what");
}
counted(1, 'a token, and a gate', sub { is(get('/c/gate', $password{token})->{status}, 200, 'let in') });
counted(0, 'what is no token', sub { is(get('/c/orgs-file', $password{filed})->{status}, 200, 'let in') });
counted(0, 'nobody', sub { is(get('/c/gate')->{status}, 401, 'not let in') });
counted(1, 'the API', sub { answers(get("/organizations/$org", $password{token}), 200, 'an organization') });

# --- revocation is immediate, also where passwords are cached ------------------------------------------------------------------

for my $location (qw(only cached)) {
    my $token = new_token($bob);
    is(get("/c/$location", [x => $token])->{status}, 200, "$location: let in") for 1, 2;
    orgsctl({in => $token}, 'token', 'revoke', '-');
    is(get("/c/$location", [x => $token])->{status}, 401, "$location: not after it was revoked");
}

# --- what follows is told ---------------------------------------------------------------------------------------------------

{
    open my $out, '>', "$httpd->{directory}/htdocs/env.cgi" or die "env.cgi: $!";
    print $out "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv | grep -E '^(ORGS_|REMOTE_USER|AUTH_TYPE)' | sort\n";
    close $out;
    chmod 0755, "$httpd->{directory}/htdocs/env.cgi";
    my $r = get('/env.cgi', $password{another});
    is($r->{body}, join('', map { "$_\n" } 'AUTH_TYPE=Basic', "ORGS_ORG_ID=$org", 'ORGS_PLAN=free', 'ORGS_ROLE=member', "ORGS_USER_EMAIL=$bob->{email}",
        "ORGS_USER_ID=$bob->{id}", "REMOTE_USER=$bob->{email}"), 'the token\'s owner, not the name that was sent');
}
{
    # a login form, whose module remembers the name that was typed
    open my $out, '>', "$httpd->{directory}/htdocs/form" or die "form: $!";
    close $out;
    my $form = sub { api(POST => '', url => $httpd->url('/form'), type => 'application/x-www-form-urlencoded', body => "httpd_username=ada%40basic.example&httpd_password=$_[0]") };
    my $r = $form->($bob->{token});
    is($r->{status}, 200, 'a login form, with a token') or diag Orgs::Test::describe($r);
    is($r->{headers}{'x-user'}, $bob->{email}, '... whose owner it is, not the name that was typed');
    my ($cookie) = ($r->{headers}{'set-cookie'} // '') =~ /(session=[^;]+)/;
    is($form->('wrong')->{status}, 401, 'and without one');
    $r = get('/form', undef, headers => {Cookie => $cookie});
    is($r->{status}, 200, 'the session lets in');
    is($r->{headers}{'x-user'}, $bob->{email}, '... the same');
    orgsctl('token', 'revoke', '--all', $bob->{email});
    is(get('/form', undef, headers => {Cookie => $cookie})->{status}, 401, '... until the token is revoked');
    $bob->{token} = new_token($bob);
    $_->[1] = $bob->{token} for @password{qw(token another nameless)};
    $password{bearer} = "Bearer $bob->{token}";
}

# --- the API -----------------------------------------------------------------------------------------------------------------

answers(get('/organizations', $password{another}), 200, 'a list');
answers(get("/organizations/$org/members/me", $password{another}), 200, 'me');
is(get("/organizations/$org/members/me", $password{another})->{json}{email}, $bob->{email}, '... the owner of the token');
for my $who (qw(nobody bearer filed dead)) {
    my $r = get('/organizations', $password{$who});
    is("$r->{status} $r->{headers}{'content-type'} $r->{json}{code}", '401 application/problem+json unauthorized', "the API, $who: a problem");
    is($r->{headers}{'www-authenticate'}, 'Basic realm="house"', '... with the challenge that counts here');
}
problem(get('/organizations', $password{token}, host => 'down.example'), 503, 'unavailable', 'the API, database down');
{
    # httpd knows him, but not as a user of ours
    my $r = get('/strange/organizations', $password{filed});
    problem($r, 401, 'unauthorized', 'the API under another authentication, without OrgsRemoteUser');
}
# a browser adds these credentials to any site's request
problem(get('/organizations', $password{ada}, method => 'POST', json => {name => 'x'}, headers => {'Sec-Fetch-Site' => 'cross-site'}), 403, 'cross_site', 'a write from another site');
problem(get('/organizations', $password{ada}, method => 'POST', json => {name => 'x'}, headers => {Origin => 'https://evil.example'}), 403, 'cross_site', '... by an older browser');
answers(get('/organizations', $password{ada}, method => 'POST', json => {name => 'x'}, headers => {'Sec-Fetch-Site' => 'same-origin'}), 201, 'from its own');
answers(get('/organizations', $password{ada}, method => 'POST', json => {name => 'x'}), 201, 'from no browser');

# --- others are what they were ------------------------------------------------------------------------------------------------

{
    my $r = get('/c/faked', $password{filed});
    is($r->{status}, 200, 'AuthBasicFake');
    is($r->{headers}{'x-fake'}, basic('fake', 'secret'), '... fakes');
    is(get('/c/satisfied', $password{token})->{status}, 200, 'Satisfy Any: a token');
    is(get('/c/satisfied')->{status}, 401, 'Satisfy Any: nobody');

    my $challenge = get('/c/digest')->{headers}{'www-authenticate'};
    my ($nonce) = $challenge =~ /nonce="([^"]+)"/;
    my ($cnonce, $nc, $uri) = ('abcdef', '00000001', '/c/digest');
    my $digest = sub {
        my ($password) = @_;
        my $response = md5_hex(join ':', md5_hex("filed:house:$password"), $nonce, $nc, $cnonce, 'auth', md5_hex("GET:$uri"));
        return "Digest username=\"filed\", realm=\"house\", nonce=\"$nonce\", uri=\"$uri\", qop=auth, nc=$nc, cnonce=\"$cnonce\", response=\"$response\"";
    };
    is(get('/c/digest', $digest->('by digest'))->{status}, 200, 'mod_auth_digest: let in');
    is(get('/c/digest', $digest->('wrong'))->{status}, 401, 'mod_auth_digest: not let in');
}
# Who sends the token as the name is nobody; httpd logs names.
for my $path (qw(/c/only /c/orgs-file /c/file-orgs /organizations)) {
    is(get($path, [$ada->{token}, ''])->{status}, 401, "$path: the token as the name");
    is(get($path, [$ada->{token}, $bob->{token}])->{status}, 200, '... is as good as any other name');
}
my $named = join '', map { open my $in, '<', "$httpd->{directory}/$_" or die "$_: $!"; <$in> } qw(error_log access_log);
like($named, qr/AH01618: user orgs_\*+ not found/, '... which the log tells without it');
is_deeply([grep { index($_, substr $ada->{token}, 5, 12) >= 0 } split /^/, $named], [], '... always');
{
    my ($ok, $said) = configtest(load_modules('auth_digest') . database_lines() . "<Location \"/x\">\nAuthType Digest\nAuthDigestProvider orgs\n</Location>\n");
    ok(!$ok, 'a token is no password for Digest');
    like($said, qr/The 'orgs' Authn provider doesn't support Digest Authentication/, '... and httpd says so');
}

is_deeply([$httpd->complaints(qw(AH01614 AH01617 AH01794 AH01618 AH01631 AH01629 AH01796 AH01797 AH01807 AH01808 ORGS0043 ORGS0102))], [], 'the log has what was to be');
done_testing;
