# Contract 4: Require org-* gates any URL, under AuthType Orgs: who is let in, by which lines, with the database down,
# and what those that follow are told.
use Orgs::Test;
use Orgs::Httpd;
use Orgs::Proxy;
use Orgs::Web;

my $top = top();
my $page = "$top/t/htdocs/index.html";

my ($ada, $bob, $eve, $root) = (user('ada'), user('bob'), user('eve'), superuser());

sub licensed {
    my ($organization, @options) = @_;
    my $id = orgsctl('license', 'add', @options);
    sql('UPDATE licenses SET assigned_at = UTC_TIMESTAMP(3), organization_id = ' . id_in_sql($organization->{id}) . ' WHERE id = ' . id_in_sql($id));
    return $id;
}

# Organizations that ada is admin and bob member of.
my %org = map { $_ => organization_with($ada, member => $bob) } qw(team gold free late early suspended revoked idle other);
licensed($org{team}, '--plan=team');
licensed($org{gold}, '--plan=gold', '--expires-at=2099-01-01T00:00:00Z');
licensed($org{late}, '--plan=team', '--expires-at=2020-01-01T00:00:00Z');
licensed($org{early}, '--plan=team', '--starts-at=2099-01-01T00:00:00Z');
orgsctl('license', 'suspend', licensed($org{suspended}, '--plan=team'));
orgsctl('license', 'revoke', licensed($org{revoked}, '--plan=team'));
licensed($org{idle}, '--plan=team');
api(PUT => $org{idle}{id}, token => $ada, json => {active => JSON::PP::false()});
my %id = (map { $_ => $org{$_}{id} } keys %org);
$id{none} = uuid();

# What stands in a <Location /c/NAME>, beside AuthType Orgs. The organization is a header's here.
my $x = '%{HTTP:X-Org}';
my %lines = (
    member      => "Require org-member $x",
    admin       => "Require org-admin $x",
    plan        => "Require org-plan $x team",
    plans       => "Require org-plan $x gold \"team\"",
    license     => "Require org-license $x",
    thrice      => "<RequireAll>\nRequire org-member $x\nRequire org-license $x\nRequire org-plan $x team\n</RequireAll>",
    any         => "<RequireAny>\nRequire ip 192.0.2.1\nRequire org-member $x\n</RequireAny>",
    open        => "<RequireAny>\nRequire ip 127.0.0.1\nRequire org-member $x\n</RequireAny>",
    two         => "Require org-member $x\nRequire org-member $id{other}",
    both        => "<RequireAll>\nRequire org-member $x\nRequire org-member $id{other}\n</RequireAll>",
    not         => "<RequireAll>\nRequire valid-user\nRequire not org-member $x\n</RequireAll>",
    none        => "<RequireAll>\nRequire valid-user\n<RequireNone>\nRequire org-admin $x\nRequire org-license $x\n</RequireNone>\n</RequireAll>",
    alias       => 'Require is-team',
    'not-alias' => "<RequireAll>\nRequire valid-user\nRequire not is-team\n</RequireAll>",
    user        => "Require user $ada->{email}",
    valid       => 'Require valid-user',
    expr        => "<RequireAll>\nRequire org-member $x\nRequire expr \"%{REMOTE_USER} != '' && %{env:ORGS_ROLE} == 'admin'\"\n</RequireAll>",
    mixed       => "<RequireAny>\nRequire user $eve->{email}\n<RequireAll>\nRequire org-member $x\nRequire org-license $x\n</RequireAll>\n</RequireAny>",
    limited     => "<LimitExcept GET>\nRequire org-member $x\n</LimitExcept>",
    query       => 'Require org-member "%{req_novary:X-Org}"',
    'and-not'   => "<RequireAll>\nRequire org-member $x\nRequire not org-member $id{none}\n</RequireAll>",
    broken      => 'Require org-member "%{file:/nowhere}"',
);
my $sections = join '', map { "<Location \"/c/$_\">\nAuthType Orgs\nAuthName \"the house\"\n$lines{$_}\n</Location>\n" } sort keys %lines;

# One tenant's files at /t/ID/, and their WebDAV at /dav/ID/.
my $tenants = '(?<org>[0-9A-Za-z-]+)(?:/|$)';
my $httpd = Orgs::Httpd->start(sub {
    my ($directory, $port) = @_;
    mkdir "$directory/cache" or die "cache: $!";
    return load_modules(qw(include cgid cgi dav dav_fs cache cache_disk autoindex expires)) . database_lines() . <<"END" });
LogLevel info orgs:debug
LogFormat "%m %U %>s|%u|%{ORGS_USER_ID}e|%{ORGS_USER_EMAIL}e|%{ORGS_ORG_ID}e|%{ORGS_ROLE}e|%{ORGS_PLAN}e" told
CustomLog access_log told
<IfModule cgid_module>
    ScriptSock cgid.sock
</IfModule>
<Directory "/">
    Require all granted
    Options +Includes +ExecCGI +Indexes +FollowSymLinks
    AllowOverride AuthConfig FileInfo
</Directory>
AliasMatch "^/c/" "$page"
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
AddHandler cgi-script .cgi
DirectoryIndex index.html
ErrorDocument 404 /t/$id{other}/error.html
<AuthzProviderAlias org-plan is-team "$x team">
</AuthzProviderAlias>
$sections
<LocationMatch "^/t/$tenants">
    AuthType Orgs
    Require org-member %{env:MATCH_ORG}
    Header set X-Told "%{ORGS_ROLE}e %{ORGS_ORG_ID}e"
</LocationMatch>
DavLockDB dav.lock
<Location "/dav">
    Dav On
</Location>
<LocationMatch "^/dav/$tenants">
    AuthType Orgs
    Require org-member %{env:MATCH_ORG}
</LocationMatch>
# merged
<Directory "$directory/htdocs/m">
    AuthType Orgs
    Require org-member $x
</Directory>
<Directory "$directory/htdocs/m/public">
    AuthType None
    Require all granted
</Directory>
<Directory "$directory/htdocs/m/and">
    AuthMerging And
    Require org-admin $x
</Directory>
<Directory "$directory/htdocs/m/or">
    AuthMerging Or
    Require org-member $id{other}
</Directory>
<Location "/satisfied">
    AuthType Orgs
    Require org-member $x
    Order deny,allow
    Deny from all
    Allow from 127.0.0.1
    Satisfy Any
</Location>
# told on
<Location "/told">
    AuthType Orgs
    Require org-plan $x team
    Require org-member $x
    Require valid-user
</Location>
<Location "/told/app">
    RequestHeader set X-Org-Id %{ORGS_ORG_ID}e
    RequestHeader set X-Org-Role %{ORGS_ROLE}e
    RequestHeader set X-User %{ORGS_USER_EMAIL}e
    ProxyPass "http://127.0.0.1:$port/env.cgi"
</Location>
<Directory "$directory/htdocs/told/rewritten">
    RewriteEngine On
    RewriteCond "%{ENV:ORGS_ROLE}" "=admin"
    RewriteRule "^page\$" "/admins.txt" [L]
    RewriteRule "^page\$" "-" [F]
</Directory>
# cached
CacheRoot "$directory/cache"
CacheEnable disk "/"
CacheLock off
CacheIgnoreCacheControl On
<LocationMatch "^/(?:cached|cacheable|t)/">
    ExpiresActive On
    ExpiresDefault "access plus 1 hour"
</LocationMatch>
<Location "/cached">
    AuthType Orgs
    Header set Cache-Control "public, s-maxage=3600, max-age=3600"
    <RequireAny>
        Require ip 127.0.0.1
        Require org-member $x
    </RequireAny>
</Location>
# the API, behind gates
<Location "/organizations">
    SetHandler orgs
    Require valid-user
</Location>
<LocationMatch "^/organizations/(?<org>[^/]+)">
    Require org-member %{env:MATCH_ORG}
</LocationMatch>
<VirtualHost *:*>
    ServerName 127.0.0.1
</VirtualHost>
<VirtualHost *:*>
    ServerName down.example
    OrgsDBParams "socket=$top/run/nowhere"
    OrgsDBTimeout 2
</VirtualHost>
<VirtualHost *:*>
    ServerName faulty.example
    OrgsDBParams "socket=$top/run/gate.socket dbname=orgs user=orgs"
    OrgsDBTimeout 10
    # a connection for each who asks at once: nobody's question travels with another's
    OrgsDBMax 40
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

sub get {
    my ($path, %options) = @_;
    my $headers = delete $options{headers};
    my $method = delete $options{method} // 'GET';
    my $org = delete $options{org};
    my $host = delete $options{host};
    return api($method => '', url => $httpd->url($path), %options, headers => {defined $org ? ('X-Org' => $id{$org} // $org) : (),
        $host ? (Host => $host) : (), %{$headers || {}}});
}

# What is true of any answer behind a gate.
sub sees {
    my ($r, $status, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $h = $r->{headers};
    my @wrong;
    push @wrong, "status $r->{status} instead of $status" if $r->{status} != $status;
    push @wrong, 'Cache-Control' if ($h->{'cache-control'} // '') !~ /^private(?:,|$)/;
    push @wrong, 'Vary' if ($h->{vary} // '') !~ /\bauthorization\b/i;
    push @wrong, 'WWW-Authenticate' if ($h->{'www-authenticate'} // '') !~ ($status == 401 ? qr/^Bearer realm="the house"(?:, error="invalid_token")?$/ : qr/^$/);
    push @wrong, 'Retry-After' if ($h->{'retry-after'} // '') !~ ($status == 503 ? qr/^[1-9]\d*$/ : qr/^$/);
    push @wrong, 'media type' if $status >= 400 && ($h->{'content-type'} // '') !~ m{^text/html};
    my $good = ok(!@wrong, $what);
    diag(join(', ', @wrong) . "\n" . Orgs::Test::describe($r)) if !$good;
    return $good;
}

# --- who is let in --------------------------------------------------------------------------------------------------------

my @callers = ([nobody => undef], [member => $bob], [admin => $ada], [stranger => $eve], [superuser => $root], [liar => 'orgs_x']);
# [line, organization, what each of these gets]
my @admitted = (
    [member      => team => 401, 200, 200, 403, 200, 401],
    [admin       => team => 401, 403, 200, 403, 200, 401],
    [plan        => team => 401, 200, 200, 403, 200, 401],
    [plan        => gold => 401, 403, 403, 403, 403, 401],
    [plans       => gold => 401, 200, 200, 403, 200, 401],
    [plan        => free => 401, 403, 403, 403, 403, 401],
    [license     => gold => 401, 200, 200, 403, 200, 401],
    [license     => free => 401, 403, 403, 403, 403, 401],
    [thrice      => team => 401, 200, 200, 403, 200, 401],
    [any         => team => 401, 200, 200, 403, 200, 401],
    [open        => team => 200, 200, 200, 200, 200, 200],
    [two         => none => 401, 200, 200, 403, 200, 401],
    [both        => team => 401, 200, 200, 403, 200, 401],
    [not         => team => 401, 403, 403, 200, 403, 401],
    [none        => team => 401, 403, 403, 200, 403, 401],
    [none        => free => 401, 200, 403, 200, 403, 401],
    [alias       => team => 401, 200, 200, 403, 200, 401],
    [alias       => gold => 401, 403, 403, 403, 403, 401],
    ['not-alias' => team => 401, 403, 403, 200, 403, 401],
    ['not-alias' => gold => 401, 200, 200, 200, 200, 401],
    [user        => team => 401, 403, 200, 403, 403, 401],
    [valid       => team => 401, 200, 200, 200, 200, 401],
    [expr        => team => 401, 403, 200, 403, 403, 401],
    [mixed       => team => 401, 200, 200, 200, 200, 401],
    [mixed       => free => 401, 403, 403, 200, 403, 401],
    [query       => team => 401, 200, 200, 403, 200, 401],
    ['and-not'   => team => 401, 200, 200, 403, 200, 401],
    [broken      => team => 500, 500, 500, 500, 500, 500],
    # not one that could be asked for
    [member      => none => 401, 403, 403, 403, 403, 401],
    [member      => '' => 401, 403, 403, 403, 403, 401],
    [member      => "' OR 1=1 -- " => 401, 403, 403, 403, 403, 401],
    [admin       => 'x' x 5000 => 401, 403, 403, 403, 403, 401],
    # inactive, or a license that is not active
    [member      => idle => 401, 403, 403, 403, 403, 401],
    [license     => idle => 401, 403, 403, 403, 403, 401],
    (map { [license => $_ => 401, 403, 403, 403, 403, 401], [plan => $_ => 401, 403, 403, 403, 403, 401], [member => $_ => 401, 200, 200, 403, 200, 401] }
        qw(late early suspended revoked)),
);
for my $case (@admitted) {
    my ($line, $org, @want) = @$case;
    for my $n (0 .. $#callers) {
        my ($who, $token) = @{$callers[$n]};
        sees(get("/c/$line", org => $org, token => $token), $want[$n], sprintf '%s %s, %s: %d', $line, substr($org, 0, 12), $who, $want[$n]);
    }
}
is(get('/c/member', org => uc $id{team}, token => $bob)->{status}, 200, 'ids match in any letter case');
is(get('/c/member', org => 'team', token => 'orgs_x')->{headers}{'www-authenticate'}, 'Bearer realm="the house", error="invalid_token"', 'a token that is none');
is(get('/c/member', org => 'team')->{headers}{'www-authenticate'}, 'Bearer realm="the house"', 'no token');
is(get('/c/limited', org => 'team')->{headers}{'cache-control'}, undef, 'a method that is not gated is public');
sees(get('/c/limited', org => 'team', method => 'POST', body => 'x', token => $eve), 403, 'and another one is not');

# --- a database that is down ------------------------------------------------------------------------------------------------

for my $case (@admitted) {
    my ($line, $org, @want) = @$case;
    for my $n (0 .. $#callers) {
        my ($who, $token) = @{$callers[$n]};
        my $want = $want[$n] == 401 || $line =~ /^(?:open|broken)$/ ? $want[$n] : 503;
        sees(get("/c/$line", org => $org, token => $token, host => 'down.example'), $want, sprintf '%s %s, %s, database down: %d', $line, substr($org, 0, 12), $who, $want);
    }
}

# --- how often it is asked ----------------------------------------------------------------------------------------------------

sub counted {
    my ($n, $what, $work) = @_;
    my $before = status_counter('Com_stmt_execute');
    $work->();
    is(status_counter('Com_stmt_execute') - $before, $n, "$n statements: $what");
}
counted(1, 'one line', sub { sees(get('/c/member', org => 'team', token => $bob), 200, 'a member') });
counted(1, 'three lines about one organization', sub { sees(get('/c/thrice', org => 'team', token => $bob), 200, 'a member') });
counted(2, 'and again on the same connection', sub { sees(get('/c/thrice', org => 'team', token => $bob), 200, 'a member') for 1, 2 });
counted(2, 'two organizations', sub { sees(get('/c/both', org => 'team', token => $bob), 200, 'a member of both') });
counted(1, 'of two, the first lets in', sub { sees(get('/c/two', org => 'team', token => $bob), 200, 'a member') });
counted(1, 'valid-user alone', sub { sees(get('/c/valid', token => $bob), 200, 'a user') });
counted(1, 'no id: who it is, and no more', sub { sees(get('/c/member', org => '', token => $bob), 403, 'no id') });
counted(0, 'nobody', sub { sees(get('/c/member', org => 'team'), 401, 'nobody') });
counted(0, 'a malformed token', sub { sees(get('/c/member', org => 'team', token => 'orgs_x'), 401, 'a malformed token') });
counted(0, 'let in by the address', sub { sees(get('/c/open', org => 'team', token => $bob), 200, 'by the address') });


# --- what happens between two questions ---------------------------------------------------------------------------------------

{
    my $proxy = Orgs::Proxy->new(path => "$top/run/gate.socket");
    # all of a round at once: [line, what happens after the first question, the status]
    my @rounds = (
        [[both => 'the token is revoked', 401], ['and-not' => 'the token is revoked', 401], [both => 'the user is deactivated', 401], [both => 'nothing', 200]],
        [[both => 'the database goes away', 503], ['and-not' => 'the database goes away', 503]],
    );
    # a process of prefork that connects first would let the others get ahead
    @rounds = map { map { [$_] } @$_ } @rounds if ($ENV{ORGS_TEST_MPM} // 'event') eq 'prefork';
    for my $round (@rounds) {
        my @cases = map { my ($line, $what, $want) = @$_; {line => $line, what => $what, want => $want, user => user("passing-$line-" . $what =~ s/\W+/-/gr)} } @$round;
        my $of = join ', ', map { id_in_sql($id{$_}) } qw(team other);
        for my $case (@cases) {
            sql("INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT id, " . id_in_sql($case->{user}{id}) . ", 'member', UTC_TIMESTAMP(3) FROM organizations WHERE id IN ($of)");
        }
        $proxy->pass;
        my $ask = sub { get("/c/$_[0]{line}", org => 'team', token => $_[0]{user}, host => 'faulty.example') };
        # as many connections as there are to be
        ok(until_true(10, sub { !grep { $_ != 200 } race(scalar @cases, sub { my $r; $r = $ask->($cases[$_[0]]) for 1 .. 3; $r->{status} }) }), 'all are let in');
        $proxy->delay(1);
        my $before = status_counter('Com_stmt_execute');
        my @answers = race(@cases + 1, sub {
            return $ask->($cases[$_[0]]) if $_[0] < @cases;
            until_true(10, sub { status_counter('Com_stmt_execute') >= $before + @cases });
            $proxy->refuse if $cases[0]{what} =~ /database/;
            for my $case (@cases) {
                sql("UPDATE tokens SET revoked_at = UTC_TIMESTAMP(3) WHERE user_id = " . id_in_sql($case->{user}{id})) if $case->{what} =~ /token/;
                sql("UPDATE users SET active = 0 WHERE id = " . id_in_sql($case->{user}{id})) if $case->{what} =~ /user/;
            }
            return 0;
        });
        sees($answers[$_], $cases[$_]{want}, "$cases[$_]{line}, $cases[$_]{what} between two questions: $cases[$_]{want}") for 0 .. $#cases;
    }
    $proxy->end;
}

# --- one configuration, many tenants -----------------------------------------------------------------------------------------

my $carol = user('carol');
sql(sprintf "INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (%s, %s, 'member', UTC_TIMESTAMP(3))", id_in_sql($id{team}), id_in_sql($carol->{id}));
my ($team, $other) = @id{qw(team other)};
put_file("t/$_/index.html", "welcome to $_") for $team, $other;
put_file("t/$_/secret.txt", "secret of $_") for $team, $other;
put_file("t/$_/list/a.txt", 'a') for $team;
put_file("t/$_/list/b.txt", 'b') for $team;
put_file("t/$other/error.html", "an error, told by $other");
put_file("t/$team/own.shtml", "own: <!--#include virtual=\"secret.txt\" -->");
put_file("t/$team/spy.shtml", "spy: <!--#include virtual=\"/t/$other/secret.txt\" -->");
put_file('public/page.shtml', "public: <!--#include virtual=\"/t/$team/secret.txt\" -->");
put_file('public/index.html', 'public');

# [path, whose token, status, what the body has or has not (a pattern), statements]
for my $case (
    ["/t/$team/secret.txt",  $carol, 200, qr/^secret of $team$/,    1],
    ["/t/$other/secret.txt", $carol, 403, qr/Forbidden/,            1],
    ["/t/$team/",            $carol, 200, qr/^welcome to $team$/,   1],    # mod_dir: a subrequest
    ["/t/$other/",           $carol, 403, qr/Forbidden/,            1],
    ["/t/$team/own.shtml",   $carol, 200, qr/own: secret of $team/, 1],
    ["/t/$team/spy.shtml",   $carol, 200, qr/spy: .*error/,         2],
    ["/t/$team/spy.shtml",   $bob,   200, qr/spy: secret of $other/, 2],
    ["/t/$team/list/",       $carol, 200, qr/a\.txt.*b\.txt/s,      1],    # mod_autoindex: a subrequest for each
    ["/t/$team/nothing",     $carol, 404, qr/was not found/,        2],    # the ErrorDocument is another tenant's
    ["/t/$team/nothing",     $bob,   404, qr/an error, told by/,    2],
    ["/t/$other/nothing",    $bob,   404, qr/an error, told by/,    1],
) {
    my ($path, $user, $status, $body, $statements) = @$case;
    my ($name) = $user->{email} =~ /^(\w+)/;
    my $shown = $path =~ s/$team/TEAM/gr =~ s/$other/OTHER/gr;
    counted($statements, "$name gets $shown", sub {
        my $r = get($path, token => $user);
        is($r->{status}, $status, "$name gets $shown: $status");
        like($r->{body}, $body, '... and sees what may be seen');
        like($r->{headers}{'cache-control'}, qr/^private(?:,|$)/, '... which is nobody else\'s');
        is($r->{headers}{'x-told'}, "member $team", '... told on') if $status == 200 && $path =~ /^.t.$team/ && $user == $carol;
    });
}
{
    my $r = get('/public/page.shtml', token => $carol);
    like($r->{body}, qr/public: secret of $team/, 'a public page that includes a private one');
    my $s = get('/public/page.shtml');
    unlike($s->{body}, qr/secret/, '... and shows nothing to others');
    is(get('/public/')->{headers}{'cache-control'}, undef, 'a public one stays public');
}

# WebDAV: the other end of a COPY or a MOVE is a gate of its own.
put_file("dav/$_/file.txt", "file of $_") for $team, $other;
my $dav = $httpd->url('/dav');
for my $case (
    [COPY => $carol, "/dav/$team/file.txt",  "$dav/$team/copy.txt",      201],
    [COPY => $carol, "/dav/$team/file.txt",  "$dav/$other/stolen.txt",   403],
    [MOVE => $carol, "/dav/$team/copy.txt",  "$dav/$other/stolen.txt",   403],
    [COPY => $carol, "/dav/$other/file.txt", "$dav/$team/stolen.txt",    403],
    [COPY => $bob,   "/dav/$team/file.txt",  "$dav/$other/given.txt",    201],
    [PUT  => $carol, "/dav/$other/put.txt",  undef,                      403],
    [PUT  => $carol, "/dav/$team/put.txt",   undef,                      201],
) {
    my ($method, $user, $path, $destination, $status) = @$case;
    my $r = get($path, method => $method, token => $user, $method eq 'PUT' ? (body => 'put', type => 'text/plain') : (headers => {Destination => $destination}));
    my ($name) = $user->{email} =~ /^(\w+)/;
    is($r->{status}, $status, "WebDAV: $name, $method " . (join ' to ', map { s{.*/dav/}{}r =~ s/$team/TEAM/r =~ s/$other/OTHER/r } grep { defined } $path, $destination) . ": $status")
        or diag Orgs::Test::describe($r);
}
is(scalar(grep { -e "$httpd->{directory}/htdocs/dav/$_" } "$other/stolen.txt", "$team/stolen.txt", "$other/put.txt"), 0, 'and nothing lies where it may not');
ok(-e "$httpd->{directory}/htdocs/dav/$team/copy.txt", 'what was not moved is where it was');

# --- sections that are merged -------------------------------------------------------------------------------------------------

put_file("m/$_", $_) for qw(file public/file and/file or/file);
put_file('satisfied/file', 'x');
put_file('htaccess/file', 'x');
put_file('htaccess/.htaccess', "AuthType Orgs\nRequire org-admin $x\n");
for my $case (
    # path, organization, statuses of nobody, member, admin, stranger
    ['/m/file',        team => 401, 200, 200, 403],
    ['/m/public/file', team => 200, 200, 200, 200],
    ['/m/and/file',    team => 401, 403, 200, 403],
    ['/m/or/file',     none => 401, 200, 200, 403],
    ['/satisfied/file', team => 200, 200, 200, 200],
    ['/htaccess/file', team => 401, 403, 200, 403],
) {
    my ($path, $org, @want) = @$case;
    for my $n (0 .. 3) {
        my ($who, $token) = @{$callers[$n]};
        my $r = get($path, org => $org, token => $token);
        is($r->{status}, $want[$n], "$path, $who: $want[$n]");
        is($r->{headers}{'cache-control'}, $path =~ /public/ ? undef : 'private', '... ' . ($path =~ /public/ ? 'public' : 'private'));
    }
}

# --- what follows is told ---------------------------------------------------------------------------------------------------

my $cgi = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv | grep -E '^(ORGS_|HTTP_X_|HTTP_ORGS|REDIRECT_ORGS|REMOTE_USER|AUTH_TYPE)' | sort\n";
put_file($_, $cgi, 0755) for 'told/env.cgi', 'env.cgi';
put_file('told/rewritten/page', 'rewritten');
put_file('admins.txt', 'for admins');
my %forged = map { $_ => 'forged' } qw(Orgs-User-Id ORGS_USER_ID Orgs_Role ORGS-ORG-ID X-Org-Id X-Org-Role X-User REMOTE_USER);
my $told = sub { join '', map { "$_\n" } sort @_ };
{
    my %want = (ORGS_USER_ID => $bob->{id}, ORGS_USER_EMAIL => $bob->{email}, ORGS_ORG_ID => $team, ORGS_ROLE => 'member', ORGS_PLAN => 'team',
        REMOTE_USER => $bob->{email}, AUTH_TYPE => 'Bearer');
    my $r = get('/told/env.cgi', org => 'team', token => $bob, headers => {%forged});
    is($r->{body} =~ s/^HTTP_.*\n//gmr, $told->(map { "$_=$want{$_}" } keys %want), 'a CGI program: who, where, as what, by which plan');
    $r = get('/told/env.cgi', org => 'free', token => $bob, headers => {%forged});
    is(($r->{body} =~ /^ORGS_PLAN=(.*)$/m)[0], 'free', 'where the first line refused, of the one that granted');
    $r = get('/told/env.cgi', org => 'none', token => $bob, headers => {%forged});
    is($r->{body} =~ s/^HTTP_.*\n//gmr, $told->(map { "$_=$want{$_}" } qw(ORGS_USER_ID ORGS_USER_EMAIL REMOTE_USER AUTH_TYPE)), 'of no organization where none granted');
    $r = get('/told/env.cgi', org => 'team', token => $root);
    like($r->{body}, qr/^ORGS_ROLE=superuser$/m, 'a superuser');
    $r = get('/env.cgi', org => 'team', token => $bob, headers => {%forged});
    is($r->{body} =~ s/^HTTP_.*\n//gmr, '', 'nothing where nothing is gated, whatever the headers say');
    $r = get('/told/app', org => 'team', token => $ada, headers => {%forged});
    my %seen = $r->{body} =~ /^(HTTP_X_\w+)=(.*)$/mg;
    is_deeply({map { $_ => $seen{$_} } qw(HTTP_X_ORG_ID HTTP_X_ORG_ROLE HTTP_X_USER)}, {HTTP_X_ORG_ID => $team, HTTP_X_ORG_ROLE => 'admin', HTTP_X_USER => $ada->{email}},
        'a proxied application, by headers that cannot be forged') or diag $r->{body};
    is(get('/told/rewritten/page', org => 'team', token => $ada)->{body}, 'for admins', 'a rewrite rule of a directory');
    is(get('/told/rewritten/page', org => 'team', token => $bob)->{status}, 403, '... of another role');
    my $line = "GET /told/env.cgi 200|$bob->{email}|$bob->{id}|$bob->{email}|$team|member|team";
    ok(until_true(5, sub { open my $fh, '<', "$httpd->{directory}/access_log" or die; grep { $_ eq "$line\n" } <$fh> }), 'an access log');
}

# --- caches --------------------------------------------------------------------------------------------------------------------

put_file('cached/file.txt', 'cached?');
{
    # the cache works, or this would prove nothing
    put_file('cacheable/file.txt', 'cacheable');
    my $body = sub { get('/cacheable/file.txt')->{body} };
    is($body->(), 'cacheable', 'a public file');
    put_file('cacheable/file.txt', 'changed!!');
    is($body->(), 'cacheable', '... comes from the cache');
    for my $case (["/t/$team/secret.txt", token => $bob], ['/cached/file.txt'], ['/cached/file.txt', token => $bob, org => 'team']) {
        my ($path, @options) = @$case;
        my $r = get($path, @options);
        is($r->{status}, 200, "$path") or diag Orgs::Test::describe($r);
        like($r->{headers}{'cache-control'}, qr/^private, .*max-age=3600/, '... private, and what else was said');
        unlike($r->{headers}{'cache-control'}, qr/public/, '... but not public');
    }
    is(get("/t/$team/secret.txt")->{status}, 401, 'nobody gets what another got');
    is(get("/t/$team/secret.txt", token => $eve)->{status}, 403, 'nor does a stranger');
    put_file('cached/file.txt', 'changed');
    is(get('/cached/file.txt')->{body}, 'changed', 'nor is kept what another line let through');
}

# --- the API behind gates --------------------------------------------------------------------------------------------------------

{
    my $list = '/organizations';
    counted(2, 'a list under Require valid-user: who, and the list', sub { answers(get($list, token => $bob), 200, 'a list') });
    counted(1, 'an organization under its own gate', sub { answers(get("$list/$team", token => $bob), 200, 'an organization') });
    counted(1, 'its license', sub { answers(get("$list/$team/license", token => $bob), 200, 'a license') });
    counted(1, 'one who does not belong', sub { problem(get("$list/$team", token => $eve), 403, 'forbidden', 'a stranger is refused by the gate') });
    counted(0, 'nobody', sub { problem(get("$list/$team"), 401, 'unauthorized', 'nobody') });
    problem(get($list), 401, 'unauthorized', 'nobody, of the list');
    problem(get($list, token => 'orgs_x'), 401, 'unauthorized', 'a malformed token');
    problem(get("$list/nothing/at/all"), 401, 'unauthorized', 'the caller comes before the path');
    problem(get("$list/nothing/at/all", token => $bob), 403, 'forbidden', 'and the gate too');
    problem(get($list, token => $bob, host => 'down.example'), 503, 'unavailable', 'the database is down');
    problem(get("$list/$team", token => $bob, host => 'down.example'), 503, 'unavailable', '... at the gate');
    problem(get($list, method => 'POST', token => $bob, json => {name => ''}), 422, 'invalid_input', 'and what follows works as ever');
    answers(get("$list/$team", method => 'PUT', token => $ada, json => {description => 'x'}), 200, 'writes too');
}

# --- a forward proxy -------------------------------------------------------------------------------------------------------

{
    my $web = Orgs::Web->start(sub {
        my ($request) = @_;
        return [200, ['Content-Type' => 'text/plain'], join '', map { "$_->[0]: $_->[1]\n" } @{$request->{fields}}];
    });
    my $proxy = Orgs::Httpd->start(database_lines() . "ProxyRequests On\n<Proxy \"*\">\nAuthType Orgs\nAuthName proxy\nRequire org-member $id{team}\n</Proxy>\n");
    my $ask = sub {
        my (@headers) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$proxy->{port}") or die "connect: $@";
        print $socket join "\r\n", "GET http://127.0.0.1:$web->{port}/ HTTP/1.1", "Host: 127.0.0.1:$web->{port}", 'Connection: close', @headers, '', '';
        return (parse_answers(read_all($socket, 10)))[0];
    };
    my ($challenge, $invalid) = ('Bearer realm="proxy"', 'Bearer realm="proxy", error="invalid_token"');
    for my $case (
        [407, $challenge, 'nobody'],
        [407, $challenge, 'a token that is the other server\'s', "Authorization: Bearer $ada->{token}"],
        [407, $invalid,   'no token', 'Proxy-Authorization: Bearer orgs_x'],
        [403, undef,      'a stranger', "Proxy-Authorization: Bearer $eve->{token}"],
        [200, undef,      'a member', "Proxy-Authorization: Bearer $ada->{token}", 'Authorization: Bearer theirs'],
    ) {
        my ($status, $want, $what, @headers) = @$case;
        my $r = $ask->(@headers);
        is($r->{status}, $status, "a forward proxy: $what");
        is($r->{headers}{'proxy-authenticate'}, $want, '... is asked for what it wants');
        is($r->{headers}{'www-authenticate'}, undef, '... and for nothing else');
        is_deeply([$r->{body} =~ /^((?:proxy-)?authorization: .*)$/mgi], ['Authorization: Bearer theirs'], '... and the other server gets what is its own') if $status == 200;
    }
    is($proxy->stop, 0, 'it ends well');
    is_deeply([$proxy->complaints('AH01631')], [], '... and has nothing to complain of');
}

is_deeply([$httpd->complaints(qw(AH01629 AH01630 AH01631 ORGS0102 ORGS0042 Evaluation [include:error] [dav:error]))], [], 'and its log has nothing else');
done_testing;
