# Contract 4: OrgsRemoteUser: the caller is whom another authentication of httpd's put into r->user.
use Orgs::Test;
use Orgs::Httpd;
use Digest::SHA qw(sha1_base64);
use MIME::Base64 qw(encode_base64);

my $top = top();
my ($ada, $bob, $eve, $root) = (user('ada'), user('bob', '--external-id=S-1-5-21'), user('eve'), superuser());
my $gone = user('gone');
orgsctl('user', 'deactivate', $gone->{email});
my $odd = user('odd', '--external-id=odd@remote.example');    # an external id that is somebody's email, but not his own
my $organization = organization_with($ada, member => $bob, member => $root);
my $org = $organization->{id};
my $foreign = organization($ada);
my $license = orgsctl('license', 'add', '--plan=team');

my $names = "$top/run/remote-passwords";
{
    # everybody has one password: what they are to us is the matter here
    open my $out, '>', $names or die "$names: $!";
    print $out "$_:{SHA}" . sha1_base64('secret') . "=\n" for (map { $_->{email} } $ada, $bob, $eve, $root, $gone), 'Bob@Remote.Example',
        'nobody@remote.example', 'no-email', 'two@at@signs', "b\xc3\xb6b\@remote.example", "bo\xc3\x81b\@remote.example", 'S-1-5-21', 's-1-5-21', 'S-1-5-21 ',
        'x' x 256, 'odd@remote.example', map { "new$_\@remote.example" } 1 .. 9;
}
my $basic = "AuthType Basic\nAuthName house\nAuthBasicProvider file\nAuthUserFile \"$names\"\nRequire valid-user\n";
my $lua = '';

my $httpd = Orgs::Httpd->start(sub {
    my ($directory, $port) = @_;
    mkdir "$directory/cache" or die "cache: $!";
    open my $out, '>', "$directory/user.lua" or die "user.lua: $!";
    print $out "function user(r)\n    local user = r.headers_in['X-User']\n    if user then\n        r.user = string.gsub(user, '_', ' ')\n    end\n    return apache2.OK\nend\n";
    $lua = load_modules('lua');
    return $lua . load_modules(qw(cgid cgi include session session_cookie auth_form request cache cache_disk)) . database_lines() . <<"END" });
LogLevel info orgs:debug
<IfModule cgid_module>
    ScriptSock cgid.sock
</IfModule>
<Directory "/">
    Require all granted
    Options +ExecCGI +Includes
</Directory>
AddHandler cgi-script .cgi
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Location "/organizations">
    SetHandler orgs
    $basic
    OrgsRemoteUser email
</Location>
<Location "/external/organizations">
    SetHandler orgs
    $basic
    OrgsRemoteUser external-id
</Location>
<Location "/super/organizations">
    SetHandler orgs
    $basic
    OrgsRemoteUser email
    OrgsRemoteSuperuser On
</Location>
<Location "/made/organizations">
    SetHandler orgs
    $basic
    OrgsRemoteUser email
    OrgsRemoteProvision On
</Location>
<Location "/trusting/organizations">
    SetHandler orgs
    $basic
    OrgsRemoteUser email
    OrgsTrustedOrigin https://app.example http://other.example:8080
    OrgsTrustedOrigin HTTPS://Third.Example:443
</Location>
<Location "/bare/organizations">
    SetHandler orgs
    OrgsRemoteUser email
</Location>
<Location "/open/organizations">
    SetHandler orgs
    $basic
    Require ip 127.0.0.1
    OrgsRemoteUser email
</Location>
<Location "/off/organizations">
    SetHandler orgs
    $basic
    OrgsRemoteUser email
    OrgsRemoteUser off
</Location>
<Location "/gate">
    AuthType Basic
    AuthName house
    AuthBasicProvider file
    AuthUserFile "$names"
    Require org-member "%{HTTP:X-Org}"
    OrgsRemoteUser email
</Location>
<Location "/gate/super">
    OrgsRemoteSuperuser On
</Location>
<Location "/gate/not">
    <RequireAll>
        Require valid-user
        Require not org-member "%{HTTP:X-Org}"
    </RequireAll>
</Location>
<Location "/gate/valid">
    Require valid-user
</Location>
<Location "/gate/off">
    OrgsRemoteUser off
</Location>
<Location "/gate/off/not">
    <RequireAll>
        Require valid-user
        Require not org-member "%{HTTP:X-Org}"
    </RequireAll>
</Location>
<Location "/wrong">
    Require org-member "%{HTTP:X-Org}"
    OrgsRemoteUser email
</Location>
<Location "/form">
    AuthType Form
    AuthName house
    AuthFormProvider file
    AuthUserFile "$names"
    Session On
    SessionCookieName session path=/
    Require org-member $org
    OrgsRemoteUser email
</Location>
<Location "/form/organizations">
    SetHandler orgs
</Location>
CacheRoot "$directory/cache"
CacheEnable disk "/tls/cached/"
CacheEnable disk "/public/"
CacheMinExpire 3600
<IfModule lua_module>
    <LocationMatch "^/tls">
        LuaHookAccessChecker "$directory/user.lua" user
        OrgsRemoteUser email
    </LocationMatch>
    <Location "/tls/gate">
        Require org-member "%{HTTP:X-Org}"
    </Location>
    <Location "/tls/any">
        <RequireAny>
            Require valid-user
            Require org-member "%{HTTP:X-Org}"
        </RequireAny>
    </Location>
    <Location "/tls/cached">
        Require org-member $org
    </Location>
    ProxyPass "/tls/cached/app" "http://127.0.0.1:$port/app.txt"
    <Location "/tls/organizations">
        SetHandler orgs
    </Location>
</IfModule>
<VirtualHost *:*>
    ServerName 127.0.0.1
</VirtualHost>
<VirtualHost *:*>
    ServerName down.example
    OrgsDBParams "socket=$top/run/nowhere"
    OrgsDBTimeout 2
</VirtualHost>
END

sub put_file {
    my ($path, $text, $mode) = @_;
    my $file = "$httpd->{directory}/htdocs/$path";
    require File::Path;
    File::Path::make_path($file =~ s{/[^/]*$}{}r);
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out;
    chmod $mode, $file if $mode;
}

# ask(METHOD, PATH, who, ...)
sub ask {
    my ($method, $path, $who, %options) = @_;
    my $headers = delete $options{headers};
    my $host = delete $options{host};
    my $org = delete $options{org};
    $who = $who->{email} if ref $who;
    return api($method => '', url => $httpd->url($path), %options, headers => {defined $who ? (Authorization => 'Basic ' . encode_base64("$who:secret", '')) : (),
        $host ? (Host => $host) : (), defined $org ? ('X-Org' => $org) : (), %{$headers || {}}});
}

sub counted {
    my ($n, $what, $work) = @_;
    my $before = status_counter('Com_stmt_execute');
    $work->();
    is(status_counter('Com_stmt_execute') - $before, $n, "$n statements: $what");
}

# --- by email ---------------------------------------------------------------------------------------------------------------

for my $case (
    [$bob,                   200, undef, 'an email'],
    ['Bob@Remote.Example',   200, undef, 'in other case'],
    ['nobody@remote.example', 403, 'user_unknown', 'nobody\'s'],
    [$gone,                  403, 'user_unknown', 'of a deactivated user'],
    ['no-email',             403, 'user_unknown', 'no email'],
    ['two@at@signs',         403, 'user_unknown', 'not one email'],
    ["b\xc3\xb6b\@remote.example", 403, 'user_unknown', 'of another letter'],
    ['x' x 256,              403, 'user_unknown', 'too long'],
    ['S-1-5-21',             403, 'user_unknown', 'an external id'],
) {
    my ($who, $status, $code, $what) = @$case;
    my $r = ask(GET => "/organizations/$org", $who);
    $status == 200 ? answers($r, 200, "an email: $what") : problem($r, $status, $code, "an email: $what");
    like($r->{headers}{vary}, qr/^Authorization, ?Cookie$/, '... varies with cookies too');
}
is(ask(GET => "/organizations/$org/members/me", 'Bob@Remote.Example')->{json}{user_id}, $bob->{id}, 'it is he');
counted(1, 'an organization', sub { answers(ask(GET => "/organizations/$org", $bob), 200, 'an organization') });
counted(0, 'no email', sub { problem(ask(GET => "/organizations/$org", 'no-email'), 403, 'user_unknown', 'no email') });
{
    my $r = ask(GET => '/organizations');
    is("$r->{status} $r->{json}{code} $r->{headers}{'www-authenticate'}", '401 unauthorized Basic realm="house"', 'nobody: httpd\'s challenge');
    $r = api(GET => '', url => $httpd->url('/organizations'), token => $bob);
    is("$r->{status} $r->{json}{code}", '401 unauthorized', 'a token is none of its business');
}
problem(ask(GET => '/organizations', $bob, host => 'down.example'), 503, 'unavailable', 'the database is down');
problem(ask(GET => '/organizations', 'no-email', host => 'down.example'), 403, 'user_unknown', 'what can be no user needs no database');

# --- by external id -----------------------------------------------------------------------------------------------------------

for my $case (['S-1-5-21', 200], ['s-1-5-21', 403], ['S-1-5-21 ', 403], [$bob->{email}, 403], ['x' x 256, 403], ['odd@remote.example', 200]) {
    my ($who, $status) = @$case;
    my $r = ask(GET => '/external/organizations', $who);
    $status == 200 ? answers($r, 200, "an external id: $who") : problem($r, 403, 'user_unknown', 'no external id: ' . substr $who, 0, 20);
}
is(ask(GET => "/external/organizations/$org/members/me", 'S-1-5-21')->{json}{user_id}, $bob->{id}, 'it is he');

# --- a superuser's flag ---------------------------------------------------------------------------------------------------------

{
    # root is a member of one of the organizations
    my @writes = (
        [PUT    => '',                       {name => 'x'}],
        [DELETE => '',                       undef],
        [POST   => '/members',               {email => $eve->{email}}],
        [DELETE => "/members/$ada->{id}",    undef],
        [PUT    => "/members/$ada->{id}",    {role => 'member'}],
        [PUT    => '/license',               {license_id => $license}],
        [DELETE => '/license',               undef],
    );
    for my $write (@writes) {
        my ($method, $below, $json) = @$write;
        my @body = $json ? (json => $json) : ();
        problem(ask($method => "/organizations/$org$below", $root, @body), 403, 'admin_required', "without the flag: a member's $method $below");
        problem(ask($method => "/organizations/$foreign->{id}$below", $root, @body), 404, 'organization_not_found', "... a stranger's");
    }
    is(ask(GET => "/organizations/$org", $root)->{json}{role}, 'member', 'he is a member');
    problem(ask(GET => "/organizations/$foreign->{id}", $root), 404, 'organization_not_found', 'and elsewhere a stranger');
    problem(ask(GET => '/organizations?scope=all', $root), 403, 'superuser_required', 'nor sees he all');
    answers(ask(GET => "/super/organizations/$foreign->{id}", $root), 200, 'OrgsRemoteSuperuser On: he sees it');
    answers(ask(PUT => "/super/organizations/$foreign->{id}", $root, json => {description => 'x'}), 200, '... and may write');
    answers(ask(PUT => "/super/organizations/$foreign->{id}/license", $root, json => {license_id => $license}), 200, '... all of it');
    answers(ask(GET => '/super/organizations?scope=all&limit=1', $root), 200, '... and sees all');
    answers(api(GET => $foreign->{id}, token => $root), 200, 'by a token it always counts');
}

# --- made on first sight ---------------------------------------------------------------------------------------------------------

problem(ask(GET => '/organizations', 'new1@remote.example'), 403, 'user_unknown', 'nobody yet');
counted(4, 'made, and a list', sub { answers(ask(GET => '/made/organizations', 'new1@remote.example'), 200, 'made on first sight') });
counted(2, 'and then', sub { answers(ask(GET => '/made/organizations', 'new1@remote.example'), 200, 'known from then on') });
answers(ask(GET => '/organizations', 'new1@remote.example'), 200, '... everywhere');
is(sql_value("SELECT CONCAT_WS(' ', superuser, active, IFNULL(name, '-'), IFNULL(external_id, '-')) FROM users WHERE email = 'new1\@remote.example'"), '0 1 - -', 'a plain user');
is(sql_value("SELECT CONCAT_WS(' ', e.action, e.request_id IS NOT NULL) FROM events e JOIN users u ON u.id = e.target_id WHERE u.email = 'new1\@remote.example'"), 'user.add 1', 'of which there is a mark');
{
    my $made = ask(POST => '/made/organizations', 'new2@remote.example', json => {name => 'First'});
    answers($made, 201, 'the first request may be a write');
}
problem(ask(GET => '/made/organizations', $gone), 403, 'user_unknown', 'a deactivated one is not made again');
is(sql_value("SELECT active FROM users WHERE email = '$gone->{email}'"), 0, '... nor activated');
problem(ask(GET => '/made/organizations', 'no-email'), 403, 'user_unknown', 'who has no email is not made');
for my $round (1 .. long_or(50, 3)) {
    sql("DELETE FROM users WHERE email = 'new9\@remote.example'");
    my @results = race(16, sub { my $r = ask(GET => '/made/organizations', 'new9@remote.example'); $r->{status} });
    is_deeply(\@results, [(200) x 16], "round $round: 16 first sights at once");
    is(sql_value("SELECT COUNT(*) FROM users WHERE email = 'new9\@remote.example'"), 1, '... are one user');
}

# --- a mistake -------------------------------------------------------------------------------------------------------------------

for my $path ('/bare/organizations', "/bare/organizations/$org", '/wrong', '/open/organizations') {
    my $r = ask(GET => $path, undef, org => $org);
    is($r->{status}, 500, "$path: OrgsRemoteUser without a user");
    is($r->{json}{code}, 'internal_error', '... a problem') if $path =~ /organizations/;
}
is(ask(GET => '/wrong', $bob, org => $org)->{status}, 500, 'a password that nobody asked for');
is(ask(OPTIONS => '/bare/organizations')->{status}, 204, 'OPTIONS asks for nobody');
{
    open my $fh, '<', $httpd->{log} or die;
    my @lines = grep { /ORGS0041/ } <$fh>;
    is(scalar @lines, 5, 'each is told in the log');
    like($lines[0], qr{OrgsRemoteUser is set for /bare/organizations, but no authentication of httpd's has put a user into r->user: an AuthType}, 'by a sentence');
}
problem(ask(GET => '/off/organizations', $bob), 401, 'unauthorized', 'OrgsRemoteUser off');

# --- gates -----------------------------------------------------------------------------------------------------------------------

put_file($_, 'x') for qw(gate/file gate/super/file gate/not/file gate/valid/file gate/off/file gate/off/not/file tls/gate/file tls/any/file);
my @who = (nobody => undef, member => $bob, stranger => $eve, unknown => 'nobody@remote.example', deactivated => $gone, member => $ada);
for my $case (
    # path, organization, statuses of: nobody, a member, a stranger, unknown, deactivated; with the database down
    ['/gate/file',         $org => [401, 200, 403, 403, 403], [401, 503, 503, 503, 503]],
    ['/gate/file',         ''   => [401, 403, 403, 403, 403], [401, 503, 503, 503, 503]],
    ['/gate/super/file',   $org => [401, 200, 403, 403, 403], [401, 503, 503, 503, 503]],
    ['/gate/not/file',     $org => [401, 403, 200, 403, 403], [401, 503, 503, 503, 503]],
    ['/gate/valid/file',   $org => [401, 200, 200, 403, 403], [401, 503, 503, 503, 503]],
    ['/gate/off/file',     $org => [401, 401, 401, 401, 401], [401, 401, 401, 401, 401]],
    ['/gate/off/not/file', $org => [401, 500, 500, 500, 500], [401, 500, 500, 500, 500]],
) {
    my ($path, $id, @want) = @$case;
    for my $down (0, 1) {
        for my $n (0 .. 4) {
            my ($what, $who) = @who[2 * $n, 2 * $n + 1];
            my $r = ask(GET => $path, $who, org => $id, $down ? (host => 'down.example') : ());
            my $want = $want[$down][$n];
            is($r->{status}, $want, "$path, $what" . ($id eq '' ? ' of nothing' : '') . ($down ? ', database down' : '') . ": $want") or diag Orgs::Test::describe($r);
            is($r->{headers}{'www-authenticate'}, $want == 401 ? 'Basic realm="house"' : undef, '... its challenge');
            like($r->{headers}{'retry-after'} // '', $want == 503 ? qr/^\d+$/ : qr/^$/, '... Retry-After');
            like($r->{headers}{'cache-control'}, qr/^private/, '... private');
            like($r->{headers}{vary}, qr/^authorization, ?cookie(?:, ?X-Org)?$/i, '... varies') if $want == 200;
        }
    }
}
is(ask(GET => '/gate/file', $root, org => $foreign->{id})->{status}, 403, 'a superuser is none here');
is(ask(GET => '/gate/super/file', $root, org => $foreign->{id})->{status}, 200, 'but where OrgsRemoteSuperuser is On');
counted(1, 'a gate', sub { is(ask(GET => '/gate/file', $bob, org => $org)->{status}, 200, 'let in') });
counted(1, 'valid-user alone', sub { is(ask(GET => '/gate/valid/file', $bob, org => $org)->{status}, 200, 'let in') });
put_file('gate/env.cgi', "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv | grep -E '^(ORGS_|REMOTE_USER|AUTH_TYPE)' | sort\n", 0755);
is(ask(GET => '/gate/env.cgi', 'Bob@Remote.Example', org => $org)->{body}, join('', map { "$_\n" } 'AUTH_TYPE=Basic', "ORGS_ORG_ID=$org", 'ORGS_PLAN=free', 'ORGS_ROLE=member',
    "ORGS_USER_EMAIL=$bob->{email}", "ORGS_USER_ID=$bob->{id}", 'REMOTE_USER=Bob@Remote.Example'), 'what follows is told; r->user stays its owner\'s');

# --- a user without an AuthType, as by a client's certificate ---------------------------------------------------------------------

SKIP: {
    Test::More::skip('no mod_lua', 1) if $lua eq '';
    for my $case (
        ['/tls/gate/file', $bob->{email} => $org => 200],
        ['/tls/gate/file', "_$bob->{email}_" => $org => 200],
        ['/tls/gate/file', $eve->{email} => $org => 403],
        ['/tls/gate/file', 'nobody@remote.example' => $org => 403],
        ['/tls/gate/file', undef, $org => 500],
        ['/tls/any/file',  $bob->{email} => '' => 200],
        ['/tls/any/file',  'nobody@remote.example' => '' => 403],
        ["/tls/organizations/$org", $bob->{email} => '' => 200],
        ["/tls/organizations/$org", 'nobody@remote.example' => '' => 403],
        ["/tls/organizations/$org", undef, '' => 500],
    ) {
        my ($path, $who, $id, $want) = @$case;
        my %headers = (defined $who ? ('X-User' => $who) : (), 'X-Org' => $id);
        my $shown = $path =~ s/$org/ORG/r . ', ' . ($who // 'nobody');
        is(ask(GET => $path, undef, headers => \%headers)->{status}, $want, "$shown: $want");
        my $down = $who ? 503 : 500;
        is(ask(GET => $path, undef, headers => \%headers, host => 'down.example')->{status}, $down, "$shown, database down: $down");
    }
    put_file('tls/cached/file.txt', 'private');
    put_file('tls/cached/secret.txt', 'secret');
    put_file('tls/cached/page.shtml', '<!--#include virtual="secret.txt" -->');
    put_file('public/file.txt', 'public');
    # the cache works, or this would prove nothing
    is(ask(GET => '/public/file.txt')->{body}, 'public', 'a public file');
    put_file('public/file.txt', 'changed');
    is(ask(GET => '/public/file.txt')->{body}, 'public', '... comes from the cache');
    my $as = sub { ask(GET => "/tls/cached/$_[0]", undef, headers => {'X-User' => $_[1]}) };
    is($as->('file.txt', $bob->{email})->{body}, 'private', 'a private file');
    like($as->('page.shtml', $bob->{email})->{body}, qr/secret/, 'a page that includes one');
    for my $file (qw(file.txt page.shtml secret.txt)) {
        is($as->($file, $eve->{email})->{status}, 403, "$file does not come from the cache");
    }
    put_file('app.txt', 'an application');
    put_file('tls/cached/include.shtml', '<!--#include virtual="app" -->');
    like($as->('include.shtml', $bob->{email})->{body}, qr/an application/, 'a page that includes an application');
    is(scalar(grep { open my $in, '<', $_ or die; local $/; <$in> =~ /an application/ } glob "$httpd->{directory}/cache/*/*/*.data $httpd->{directory}/cache/*/*/*/*.data"), 0,
        '... which is not kept either');
    put_file('tls/cached/file.txt', 'newer');
    is($as->('file.txt', $bob->{email})->{body}, 'newer', 'nor for the same user');
    counted(1, 'a gate', sub { is(ask(GET => '/tls/gate/file', undef, headers => {'X-User' => $bob->{email}, 'X-Org' => $org})->{status}, 200, 'let in') });
}

# --- other sites' writes ------------------------------------------------------------------------------------------------------------

my $port = $httpd->{port};
for my $case (
    # Sec-Fetch-Site, Origin, Host; admitted, and where OrgsTrustedOrigin names some
    [undef,             undef,                         undef,           1, 1],
    ['same-origin',     undef,                         undef,           1, 1],
    ['none',            undef,                         undef,           1, 1],
    ['same-site',       undef,                         undef,           0, 0],
    ['cross-site',      undef,                         undef,           0, 0],
    ['',                undef,                         undef,           0, 0],
    ['Same-Origin',     undef,                         undef,           0, 0],
    ['same-origin, x',  undef,                         undef,           0, 0],
    ['same-origin',     'https://evil.example',        undef,           1, 1],    # the browser knows better
    ['cross-site',      "http://127.0.0.1:$port",      undef,           0, 0],
    [undef,             "http://127.0.0.1:$port",      undef,           1, 1],
    [undef,             "HTTP://127.0.0.1:$port",      undef,           1, 1],
    [undef,             "https://127.0.0.1:$port",     undef,           1, 1],    # something before httpd ends TLS
    [undef,             'http://127.0.0.1',            undef,           0, 0],
    [undef,             "http://127.0.0.1:1",          undef,           0, 0],
    [undef,             "http://127.0.0.1:$port/x",    undef,           0, 0],
    [undef,             'http://orgs.example',         'orgs.example',  1, 1],
    [undef,             'https://orgs.example',        'orgs.example',  1, 1],
    [undef,             'https://ORGS.example:443',    'orgs.Example',  1, 1],
    [undef,             'https://orgs.example',        'orgs.example:443', 1, 1],
    [undef,             'https://orgs.example:444',    'orgs.example',  0, 0],
    [undef,             'https://evil.example',        'orgs.example',  0, 0],
    [undef,             'https://orgs.example.evil',   'orgs.example',  0, 0],
    [undef,             'https://xorgs.example',       'orgs.example',  0, 0],
    [undef,             'https://x@orgs.example',      'orgs.example',  0, 0],
    [undef,             'null',                        undef,           0, 0],
    [undef,             '',                            undef,           0, 0],
    [undef,             'file://',                     undef,           0, 0],
    [undef,             'https://app.example',         undef,           0, 1],
    ['cross-site',      'https://app.example',         undef,           0, 1],
    ['same-site',       'https://APP.example:443',     undef,           0, 1],
    ['cross-site',      'http://app.example',          undef,           0, 0],
    ['cross-site',      'https://app.example:444',     undef,           0, 0],
    ['cross-site',      'http://other.example:8080',   undef,           0, 1],
    ['cross-site',      'http://other.example',        undef,           0, 0],
    ['cross-site',      'https://third.example',       undef,           0, 1],
) {
    my ($site, $origin, $host, @admitted) = @$case;
    my %headers = (defined $site ? ('Sec-Fetch-Site' => $site) : (), defined $origin ? (Origin => $origin) : (), defined $host ? (Host => $host) : ());
    my $shown = join ', ', map { "$_: $headers{$_}" } sort keys %headers;
    for my $n (0, 1) {
        my $mount = ('', '/trusting')[$n];
        # what is refused for its syntax was admitted
        my $r = ask(POST => "$mount/organizations", $bob, headers => \%headers, body => '{');
        $admitted[$n] ? problem($r, 400, 'malformed_json', "admitted$mount: $shown") : problem($r, 403, 'cross_site', "refused$mount: $shown");
    }
    answers(ask(GET => "/organizations/$org", $bob, headers => \%headers), 200, "a read: $shown") if !$admitted[0];
}
for my $case ([PUT => "/organizations/$org", {name => 'x'}], [DELETE => "/organizations/$org", undef], [POST => "/organizations/$org/members", {email => $eve->{email}}],
    [PUT => "/organizations/$org/license", {}], [DELETE => "/organizations/$org/license", undef], [DELETE => "/organizations/$org/members/me", undef]) {
    my ($method, $path, $json) = @$case;
    problem(ask($method => $path, $ada, headers => {'Sec-Fetch-Site' => 'cross-site'}, $json ? (json => $json) : ()), 403, 'cross_site', "$method " . $path =~ s/$org/ORG/r);
}
problem(ask(POST => '/organizations', 'nobody@remote.example', headers => {'Sec-Fetch-Site' => 'cross-site'}, body => '{'), 403, 'user_unknown', 'the caller comes first');
problem(ask(POST => '/organizations?x=1', $bob, headers => {'Sec-Fetch-Site' => 'cross-site'}, body => 'x', type => 'text/plain'), 403, 'cross_site', 'before media type and body');
answers(api(POST => '', token => $bob, headers => {'Sec-Fetch-Site' => 'cross-site', Origin => 'https://evil.example'}, json => {name => 'x'}), 201, 'a token is no browser\'s');

# --- a session's cookie ---------------------------------------------------------------------------------------------------

put_file('form/file.txt', 'private');
{
    my $login = api(POST => '', url => $httpd->url('/form/file.txt'), type => 'application/x-www-form-urlencoded', body => 'httpd_username=bob%40remote.example&httpd_password=secret');
    is($login->{status}, 200, 'a login form') or diag Orgs::Test::describe($login);
    my ($cookie) = ($login->{headers}{'set-cookie'} // '') =~ /(session=[^;]+)/;
    my $with = sub { ask(($_[2] // 'GET') => $_[0], undef, headers => {Cookie => $cookie, %{$_[1] || {}}}, $_[3] ? (json => $_[3]) : ()) };
    answers($with->('/form/organizations'), 200, 'the API by a cookie');
    problem($with->('/form/organizations', {'Sec-Fetch-Site' => 'cross-site'}, POST => {name => 'x'}), 403, 'cross_site', 'which another site\'s form may not use');
    answers($with->('/form/organizations', {'Sec-Fetch-Site' => 'same-origin'}, POST => {name => 'x'}), 201, 'and its own may');
    is(ask(GET => '/form/file.txt')->{status}, 401, 'nobody without one');
}

is_deeply([$httpd->complaints(qw(AH01618 AH01617 AH01614 AH01631 AH01629 AH01630 AH01807 AH01808 AH00027 ORGS0041 ORGS0043 ORGS0102))], [], 'the log has what was to be');
done_testing;
