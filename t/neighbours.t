# Contract 6 and 7 beside httpd's other modules: compression, caches, rewriting, includes, redirects within httpd,
# documents for errors; several databases; what httpd tells of itself.
use Orgs::Test;
use Orgs::Curl;
use Orgs::Httpd;

my $top = top();
my ($ada, $bob, $eve) = (user('ada'), user('bob'), user('eve'));
my $organization = organization_with($ada, member => $bob);
my $org = $organization->{id};

my $another = another_database('orgs_neighbour');
orgsctl($another, 'user', 'add', 'dora@example.com');
my $dora = orgsctl($another, 'token', 'issue', 'dora@example.com');

my $mount = "<Location \"/organizations\">\nSetHandler orgs\n</Location>\n";
my @errors = (400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 500, 503, 504);
my $cached = "CacheDefaultExpire 3600\nCacheIgnoreNoLastMod On\nCacheIgnoreCacheControl On\nCacheLock off\n<LocationMatch \"\\.txt\$\">\nExpiresActive On\nExpiresDefault \"access plus 1 hour\"\n</LocationMatch>\n$mount";
my $directory;
my $lua = load_modules('lua');
diag 'NO mod_lua HERE: no filter fails after it sent something' if !$lua;
my $httpd = Orgs::Httpd->start(sub {
    ($directory) = @_;
    mkdir "$directory/cache" or die "cache: $!";
    open my $out, '>', "$directory/some.lua" or die "some.lua: $!";
    print $out "function some(r)\n    coroutine.yield()\n    for n = 1, 2 do\n        coroutine.yield(bucket)\n    end\n    error('enough')\nend\n";
    close $out;
    my %host = (
        brotli   => "<Location \"/organizations\">\nSetHandler orgs\nSetOutputFilter BROTLI_COMPRESS\n</Location>\n",
        # filters that fail: before anything is sent, and after
        edited   => "<Location \"/organizations\">\nSetHandler orgs\nSetOutputFilter SUBSTITUTE\nSubstitute \"s/name/name/\"\nSubstituteMaxLineLength 1000\n</Location>\n",
        scripted => $lua && "LuaOutputFilter some \"$directory/some.lua\" some\n<Location \"/organizations\">\nSetHandler orgs\nSetOutputFilter some\n</Location>\n",
        # ours, where they are not meant to be
        named    => "<Location \"/\">\nSetOutputFilter ORGS_PROBLEM;ORGS_PRIVATE;ORGS_PRIVATE_SUB\n</Location>\n$mount",
        inflated => "<Location \"/organizations\">\nSetHandler orgs\nSetInputFilter DEFLATE\n</Location>\n",
        disk     => "${cached}CacheRoot \"$directory/cache\"\nCacheEnable disk \"/\"\n",
        late     => "${cached}CacheRoot \"$directory/cache\"\nCacheEnable disk \"/\"\nCacheQuickHandler off\n",
        memory   => "${cached}CacheEnable socache \"/\"\nCacheSocache shmcb\n",
        another  => "${mount}OrgsDBParams \"socket=$top/run/main/db/socket dbname=orgs_neighbour user=orgs\"\n",
        down     => "${mount}OrgsDBParams \"socket=$top/run/nowhere dbname=orgs user=orgs\"\nOrgsDBTimeout 2\n",
        path     => "${mount}RewriteEngine On\nRewriteRule \"^/v1(/.*)?\$\" \"/organizations\$1\" [PT]\n",
        # within directories: redirects within httpd
        inner    => "$mount<Directory \"$directory/htdocs/v1\">\nRewriteEngine On\nRewriteRule \"^(.*)\$\" \"/organizations/\$1\"\n</Directory>\n",
        index    => "$mount<Directory \"$directory/htdocs/v1\">\nDirectoryIndex /organizations\n</Directory>\n<Directory \"$directory/htdocs/v2\">\nFallbackResource /organizations/$org\n</Directory>\n",
        included => $mount,
        looking  => "$mount<Directory \"$directory/htdocs\">\nOptions +MultiViews\nCheckSpelling On\n</Directory>\n",
        macro    => "<Macro Api \$path>\n<Location \$path>\n<IfModule orgs_module>\nSetHandler orgs\n</IfModule>\n</Location>\n</Macro>\nUse Api /a/organizations\nUse Api /b/organizations\n",
        front    => "ProxyPass \"/\" \"http://" . hostport() . "/\"\n",
        dressed  => $mount . join('', map { "ErrorDocument $_ /error.html\n" } @errors) . "<Location \"/wrong\">\nSetHandler orgs\nOrgsRemoteUser email\n</Location>\n",
        odd      => $mount . "ErrorDocument 404 /organizations\nErrorDocument 401 /organizations/openapi.json\nErrorDocument 403 /organizations/$org\n",
    );
    return $lua . load_modules(qw(brotli substitute expires macro negotiation speling cache cache_disk cache_socache socache_shmcb include info)) . database_lines() . <<"END"
LogLevel info orgs:debug
<Directory "$directory/htdocs">
    Require all granted
    Options +Includes
</Directory>
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Location "/server-info">
    SetHandler server-info
</Location>
<Location "/closed">
    Require all denied
</Location>
END
        . join '', map { "<VirtualHost *:*>\nServerName $_.example\n$host{$_}</VirtualHost>\n" } sort keys %host;
});

sub put_file {
    my ($path, $text) = @_;
    require File::Path;
    File::Path::make_path("$directory/htdocs/$path" =~ s{/[^/]*$}{}r);
    open my $out, '>', "$directory/htdocs/$path" or die "$path: $!";
    print $out $text;
}

# get(HOST, PATH, ...)
sub get {
    my ($host, $path, %options) = @_;
    my ($method, $headers) = (delete $options{method} // 'GET', delete $options{headers});
    return api($method => '', url => $httpd->url($path), %options, headers => {Host => "$host.example", %{$headers || {}}});
}

# --- compression -------------------------------------------------------------------------------------------------------------

{
    api(PUT => $org, token => $ada, json => {description => 'brotli ' x 300});
    my $plain = api(GET => $org, token => $ada);
    my %accepts = (token => $ada, headers => {'Accept-Encoding' => 'br'});
    my $r = get(brotli => "/organizations/$org", %accepts);
    is("$r->{status} " . ($r->{headers}{'content-encoding'} // '-'), '200 br', 'mod_brotli: compressed');
    my $tag = $r->{headers}{etag};
    is($tag, $plain->{headers}{etag} =~ s/"$/-br"/r, '... with a tag of its own');
    like($r->{headers}{vary}, qr/^(?=.*Authorization).*Accept-Encoding/, '... and caches are told');
    my $c = curl(GET => $httpd->url("/organizations/$org"), token => $ada, headers => {Host => 'brotli.example'}, with => ['--compressed']);
    is($c->{body}, $plain->{body}, '... the same when it is not compressed any more');
    is(get(brotli => "/organizations/$org", token => $ada, headers => {'Accept-Encoding' => 'br', 'If-None-Match' => $tag})->{status}, 304, '... not sent twice');
    problem(get(brotli => '/organizations/none', %accepts), 404, 'organization_not_found', '... refusals as ever');
    answers(get(brotli => "/organizations/$org", method => 'PUT', token => $ada, headers => {'If-Match' => $tag}, json => {description => 'short'}), 200, '... the tag is good for a write');
    problem(get(brotli => "/organizations/$org", method => 'PUT', token => $ada, headers => {'If-Match' => $tag}, json => {description => 'x'}), 412, 'precondition_failed', '... once');

    require IO::Compress::Gzip;
    IO::Compress::Gzip::gzip(\'{"name":"Inflated"}' => \my $gzip);
    for my $host (qw(inflated included)) {
        problem(get($host => "/organizations/$org", method => 'PUT', token => $ada, type => 'application/json', body => $gzip, headers => {'Content-Encoding' => 'gzip'}),
            415, 'unsupported_media_type', "$host: a compressed body is refused");
        answers(get($host => "/organizations/$org", method => 'PUT', token => $ada, json => {name => 'Plain'}), 200, '... and a plain one is not');
    }
}

# --- filters that fail -----------------------------------------------------------------------------------------------------

{
    answers(get(edited => "/organizations/$org", token => $bob), 200, 'a filter that can work');
    my $r = get(edited => '/organizations/openapi.json');
    problem($r, 500, 'internal_error', 'one that fails before anything is sent: the client is told');
    my $made = get(edited => '/organizations', method => 'POST', token => $bob, json => {name => 'Edited', description => 'd' x 900});
    problem($made, 500, 'internal_error', '... of a write, too');
    is(sql_value("SELECT COUNT(*) FROM organizations WHERE name = 'Edited'"), 1, '... which is done');
    my $many = user('many');
    many_organizations(1_000, $many);
    $r = $lua && get(scripted => '/organizations', token => $many, undecoded => 1);
    ok(!$lua || $r->{cut}, 'one that fails later: the answer has no end') or diag "$r->{status}, " . length $r->{body};
}

{
    put_file('named.txt', 'named');
    my $r = get(named => '/named.txt');
    is("$r->{status} $r->{body}", '200 named', 'the module\'s own filters, where anybody names them');
    is($r->{headers}{'cache-control'}, undef, '... do nothing');
    answers(get(named => "/organizations/$org", token => $bob), 200, '... to the API neither');
    problem(get(named => '/organizations/none', token => $bob), 404, 'organization_not_found', '... nor to its refusals');
}

# --- caches -----------------------------------------------------------------------------------------------------------------------

for my $host (qw(disk late memory)) {
    # the cache works, or this would prove nothing
    put_file("$host.txt", 'public');
    is(get($host => "/$host.txt")->{body}, 'public', "$host: a file");
    put_file("$host.txt", 'changed');
    is(get($host => "/$host.txt")->{body}, 'public', '... comes from the cache');

    my $secret = "Secret of $host";
    my $made = api(POST => '', token => $ada, json => {name => $secret})->{json}{id};
    for my $path ("/organizations/$made", "/organizations/$made/license", '/organizations', "/organizations/$made/members", "/organizations/$made/events") {
        my $first = get($host => $path, token => $ada);
        answers($first, 200, "$host: " . ($path =~ s/$made/ID/r));
        is(get($host => $path)->{status}, 401, '... nobody gets it');
        my $other = get($host => $path, token => $eve);
        is($other->{status}, $path eq '/organizations' ? 200 : 404, '... nor does another');
        unlike($other->{body}, qr/$made/, '... a word of it');
    }
    answers(get($host => "/organizations/$made", token => $ada, method => 'PUT', json => {name => "$secret, changed"}), 200, "$host: a write");
    is(get($host => "/organizations/$made", token => $ada)->{json}{name}, "$secret, changed", '... is seen at once');
    problem(get($host => "/organizations/$made/members/me", token => $eve), 404, 'organization_not_found', "$host: no member");
    sql('INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (' . id_in_sql($made) . ', ' . id_in_sql($eve->{id}) . ", 'member', UTC_TIMESTAMP(3))");
    answers(get($host => "/organizations/$made/members/me", token => $eve), 200, '... until he is one: a refusal is not kept either');
}
is(scalar(grep { open my $in, '<', $_ or die; local $/; <$in> =~ /Secret of/ } split /\n/, `find '$directory/cache' -type f`), 0, 'nothing of it lies in the cache\'s directory');

# --- several databases ---------------------------------------------------------------------------------------------------------------

{
    my $made = get(another => '/organizations', method => 'POST', token => $dora, json => {name => 'Elsewhere'});
    answers($made, 201, 'another virtual host, another database');
    my $id = $made->{json}{id};
    for my $round (1 .. 3) {
        answers(get(another => "/organizations/$id", token => $dora), 200, "round $round: there it is");
        problem(get(included => "/organizations/$id", token => $ada), 404, 'organization_not_found', '... and here it is not');
        problem(get(included => '/organizations', token => $dora), 401, 'unauthorized', '... its users are none here');
        problem(get(another => '/organizations', token => $ada), 401, 'unauthorized', '... nor ours there');
    }
    is(sql_value({database => 'orgs_neighbour'}, 'SELECT COUNT(*) FROM organizations'), 1, 'one lies there');
    is(sql_value("SELECT COUNT(*) FROM organizations WHERE name = 'Elsewhere'"), 0, 'and none here');
}

# --- redirects within httpd --------------------------------------------------------------------------------------------------------------

put_file("v$_/file.txt", 'a file') for 1, 2;
for my $host (qw(path inner)) {
    # what a directory is asked for by its own name, mod_dir redirects
    my $root = $host eq 'inner' ? '/v1/' : '/v1';
    my $r = get($host => "/v1/$org", token => $bob);
    answers($r, 200, "$host: an organization");
    is($r->{json}{role}, 'member', '... as its member sees it');
    answers(get($host => "$root?limit=1", token => $bob), 200, "$host: a list");
    is(scalar @{get($host => "/v1/$org/members?role=admin", token => $bob)->{json}}, 1, "$host: the query comes along");
    my $made = get($host => $root, method => 'POST', token => $ada, json => {name => "By $host"}, headers => {'Idempotency-Key' => "by-$host"});
    answers($made, 201, "$host: a write, and its body");
    answers(get($host => $made->{headers}{location}, token => $ada), 200, '... Location leads there');
    my $again = get($host => '/organizations', method => 'POST', token => $ada, json => {name => "By $host"}, headers => {'Idempotency-Key' => "by-$host"});
    is("$again->{status} $again->{body}", "201 $made->{body}", '... one and the same by either path');
    answers(get($host => "/v1/$made->{json}{id}", method => 'DELETE', token => $ada), 200, "$host: a delete");
    problem(get($host => "/v1/$made->{json}{id}", token => $ada), 404, 'organization_not_found', "$host: gone");
    problem(get($host => "/v1/$org"), 401, 'unauthorized', "$host: nobody");
    problem(get($host => "/v1/$org/none", token => $ada), 404, 'not_found', "$host: no such path");
    problem(get($host => "/v1/$org", method => 'PATCH', token => $ada), 405, 'method_not_allowed', "$host: no such method");
    problem(get($host => "/v1/$org", method => 'PUT', token => $ada, json => {name => 'x' x 70_000}), 413, 'body_too_large', "$host: too large");
    problem(get($host => "/v1/$org", method => 'PUT', token => $ada, body => '{'), 400, 'malformed_json', "$host: no JSON");
    is(get($host => "/v1/$org", method => 'OPTIONS')->{status}, 204, "$host: OPTIONS");
    is(get($host => "/v1/$org", token => $ada, headers => {'If-None-Match' => get($host => "/v1/$org", token => $ada)->{headers}{etag}})->{status}, 304, "$host: not modified");
}
# these look for files, which a mount is not
is(get(index => $_, token => $bob)->{status}, 404, "$_ leads nowhere") for '/v1/', '/v2/any';

# --- what would look for files, writes sections, or stands in front ---------------------------------------------------------------------------

put_file('organizations.html', 'a page');
put_file("organizations/$org.html", 'a page');
for my $path ('/organizations', "/organizations/$org", "/organizations/$org/members/me") {
    answers(get(looking => $path, token => $bob), 200, 'MultiViews and CheckSpelling: ' . ($path =~ s/$org/ORG/r));
}
problem(get(looking => $_, token => $bob), 404, $_ =~ /x$/ ? 'organization_not_found' : 'not_found', "... not $_") for '/organizations/x', '/organizations/x/member';
is(get(looking => '/Organisations.html')->{status}, 301, '... files are found as ever');
for my $path ('/a', '/b') {
    answers(get(macro => "$path/organizations/$org", token => $bob), 200, "a mount by mod_macro, $path");
}
{
    my $r = get(front => "/organizations/$org", token => $bob);
    answers($r, 200, 'behind a proxy');
    is(get(front => "/organizations/$org", token => $bob, headers => {'If-None-Match' => $r->{headers}{etag}})->{status}, 304, '... not modified');
    my $made = get(front => '/organizations', method => 'POST', token => $ada, json => {name => 'By a proxy'});
    answers($made, 201, '... a write');
    is($made->{headers}{location}, "/organizations/$made->{json}{id}", '... which leads there by the same proxy');
    problem(get(front => $made->{headers}{location}, method => 'PUT', token => $ada, json => {name => 'x' x 70_000}), 413, 'body_too_large', '... too large');
    problem(get(front => $made->{headers}{location}), 401, 'unauthorized', '... nobody');
    problem(get(front => $made->{headers}{location}, method => 'PATCH', token => $ada), 405, 'method_not_allowed', '... no such method');
    is(scalar @{get(front => '/organizations', token => $ada)->{json}}, scalar @{api(GET => '', token => $ada)->{json}}, '... a list');
}

# --- includes -------------------------------------------------------------------------------------------------------------------------------

put_file('page.shtml', "[<!--#include virtual=\"/organizations/$org\" -->][<!--#include virtual=\"/organizations/$org/members?limit=1\" -->]");
put_file('broken.shtml', "[<!--#include virtual=\"/organizations/none\" -->]");
{
    my $r = get(included => '/page.shtml', token => $bob);
    like($r->{body}, qr/^\[\{"id":"$org",.*\}\]\[\[\{"organization_id":"$org",.*\}\]\]$/, 'a page that includes the API') or diag $r->{body};
    is($r->{headers}{'content-type'}, 'text/html', '... and still a page');
    is($r->{headers}{etag}, undef, '... without the tag of a part');
    for my $case ([nobody => undef], [stranger => $eve]) {
        my ($who, $user) = @$case;
        $r = get(included => '/page.shtml', $user ? (token => $user) : ());
        is($r->{status}, 200, "... $who gets a page");
        unlike($r->{body}, qr/"id"|"email"/, '... without it');
    }
    unlike(get(included => '/broken.shtml', token => $bob)->{body}, qr/"id"/, 'a page that includes what is not');
    my $before = sql_value('SELECT COUNT(*) FROM organizations');
    put_file('list.shtml', '[<!--#include virtual="/organizations" -->]');
    get(included => '/list.shtml', method => 'POST', token => $ada, json => {name => 'By a page'});
    is(sql_value('SELECT COUNT(*) FROM organizations'), $before, 'a POST to a page that includes the list makes nothing');
}

# --- documents for errors ---------------------------------------------------------------------------------------------------------------------

put_file('error.html', 'dressed');
is(get(dressed => '/nothing')->{body}, 'dressed', 'ErrorDocument holds beside the mount');
for my $case (
    [400, 'malformed_json',         PUT    => "/organizations/$org",  token => $ada, body => '{'],
    [401, 'unauthorized',           GET    => '/organizations'],
    [403, 'admin_required',         PUT    => "/organizations/$org",  token => $bob, json => {name => 'x'}],
    [404, 'not_found',              GET    => "/organizations/$org/none", token => $ada],
    [404, 'organization_not_found', GET    => '/organizations/x',     token => $ada],
    [405, 'method_not_allowed',     PATCH  => '/organizations',       token => $ada],
    [409, 'last_admin',             DELETE => "/organizations/$org/members/me", token => $ada],
    [412, 'precondition_failed',    PUT    => "/organizations/$org",  token => $ada, json => {name => 'x'}, headers => {'If-Match' => '"x"'}],
    [413, 'body_too_large',         PUT    => "/organizations/$org",  token => $ada, json => {name => 'x' x 70_000}],
    [415, 'unsupported_media_type', PUT    => "/organizations/$org",  token => $ada, body => '{}', type => 'text/plain'],
    [422, 'invalid_input',          PUT    => "/organizations/$org",  token => $ada, json => {name => ''}],
    [500, 'internal_error',         GET    => '/wrong',               token => $ada],
) {
    my ($status, $code, $method, $path, @options) = @$case;
    problem(get(dressed => $path, method => $method, @options), $status, $code, "dressed: $code");
}
problem(get(down => '/organizations', token => $ada), 503, 'unavailable', 'dressed: unavailable');
{
    my $r = get(odd => '/nothing', token => $bob);
    is($r->{status}, 404, 'an ErrorDocument that is the API: the status stays');
    $r = get(odd => '/nothing');
    is($r->{status}, 404, '... also where that is refused') or diag Orgs::Test::describe($r);
    unlike($r->{body}, qr/"id"/, '... and tells nothing');
    problem(get(odd => '/organizations/x', token => $bob), 404, 'organization_not_found', '... the API\'s own errors are its own');
    $r = get(odd => '/closed', token => $bob);
    is("$r->{status} " . ($r->{json}{id} // ''), "403 $org", '... an organization as the document of a refusal: it stays one');
    is(get(odd => '/closed', token => $bob, headers => {'If-None-Match' => '*'})->{status}, 403, '... whatever the client has of it');
    problem(get(odd => '/organizations'), 401, 'unauthorized', '... all of them');
}

# --- what httpd tells of itself -----------------------------------------------------------------------------------------------------------------

{
    my ($password) = map { /^password=(.*)$/ ? $1 : () } do { open my $in, '<', "$top/run/main/orgs.cnf" or die; <$in> };
    my $info = get(included => '/server-info')->{body};
    like($info, qr/mod_orgs\.c/, 'mod_info knows the module');
    like($info, qr/OrgsDBDefaultsFile/, '... and its directives');
    unlike($info, qr/\Q$password\E/, '... and not the password');
    my $run = sub { return scalar `'$ENV{ORGS_TEST_HTTPD}' -f '$directory/httpd.conf' $_[0] 2>&1` };
    like($run->('-M'), qr/^ orgs_module \(shared\)$/m, 'httpd -M');
    like($run->('-t'), qr/Syntax OK/, 'httpd -t');
    my $listed = $run->('-L');
    open my $in, '<', "$top/README.md" or die "README.md: $!";
    my %documented = map { /^\| `(Orgs[A-Z]\w+)/ ? ($1 => 1) : () } <$in>;
    cmp_ok(scalar keys %documented, '>', 10, 'the README has directives');
    is_deeply([grep { $listed !~ /^$_ \(mod_orgs\.c\)$/m } sort keys %documented], [], 'httpd -L: has each');
    is_deeply([grep { !/\S/ } $listed =~ /^Orgs\w+ \(mod_orgs\.c\)\n\t(.*)$/mg], [], '... and says what it is');
    unlike($run->('-t -D DUMP_CONFIG'), qr/\Q$password\E/, 'nor does httpd -t -D DUMP_CONFIG tell the password');
}

is_deeply([$httpd->complaints('[lua:', qw([include:error] AH01328 AH01630 ORGS0041 ORGS0102))], [], 'the log has what was to be');
done_testing;
