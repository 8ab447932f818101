# The README's recipes, as they stand there: files, a proxied application, WebDAV, git, names and passwords, CORS,
# OPTIONS, a login form. Each lets in whom it says, and nobody else by any other way.
use Orgs::Test;
use Orgs::Httpd;
use Orgs::Recipe;
use Orgs::Web;
use Digest::SHA qw(sha1_base64);
use File::Path qw(make_path);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

my ($ada, $bob, $eve, $root) = (user('ada'), user('bob'), user('eve'), superuser());
my $org = organization_with($ada, member => $bob)->{id};
my $other = organization_with($eve)->{id};

# The application of the proxy tells what it was sent, with names folded as many do it.
my $application = Orgs::Web->start(sub {
    my ($request) = @_;
    my @told = map { [uc($_->[0]) =~ tr/-/_/r, $_->[1]] } @{$request->{fields}};
    return [200, ['Content-Type' => 'application/json'], JSON::PP::encode_json({path => $request->{path}, told => \@told})];
});
my $fastcgi = Orgs::Web->start(sub { my ($request) = @_; return [200, ['Content-Type' => 'application/json'], JSON::PP::encode_json($request)] }, by => 'fastcgi');
my $git = -x '/usr/lib/git-core/git-http-backend';
diag 'GIT IS NOT INSTALLED HERE: its recipe is not tested' if !$git;

my ($secret, $users) = map { top() . "/run/recipes-$_" } qw(secret users);
sub put_file {
    my ($file, $text, $mode) = @_;
    make_path($file =~ s{/[^/]*$}{}r);
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out;
    chmod $mode, $file if $mode;
}
put_file($secret, "a long secret\n", 0600);
put_file($users, join '', map { "$_:{SHA}" . sha1_base64('secret') . "=\n" } $ada->{email}, $bob->{email}, 'nobody@recipes.example');

my $directory;
my $httpd = Orgs::Httpd->start(sub {
    ($directory) = @_;
    my %host = (
        files => recipe('Static files', '/srv/tenants' => "$directory/tenants") . <<"END",
Alias "/backup/" "$directory/tenants/"
RewriteEngine On
RewriteRule "^/rewritten/(.*)" "$directory/tenants/\$1"
AddOutputFilter INCLUDES .shtml
Alias "/backup/" "$directory/tenants/"
RewriteEngine On
RewriteRule "^/rewritten/(.*)" "$directory/tenants/\$1"
AddOutputFilter INCLUDES .shtml
ErrorDocument 404 /t/$org/error.html
ErrorDocument 410 /t/$org/error.html
Redirect gone "/was-here"
<Directory "$directory/tenants/$org/deep">
    RewriteEngine On
    Options SymLinksIfOwnerMatch
    RewriteRule "^old\.txt\$" "/t/$org/deep/new.txt"
    RewriteRule "^up\.txt\$" "/t/$org/report.txt"
    RewriteRule "^away\.txt\$" "/t/$other/report.txt"
</Directory>
END
        app     => recipe('A proxied application', 'http://127.0.0.1:8000' => $application->url('')),
        fcgi    => recipe('A proxied application', 2, '127.0.0.1:9000' => "127.0.0.1:$fastcgi->{port}"),
        dav     => recipe('WebDAV', '/srv/dav' => "$directory/dav", '/var/lib/apache2/dav-lock' => "$directory/dav-lock"),
        git     => $git ? recipe('git', '/srv/git' => "$directory/git") : '',
        names   => recipe('Names and passwords', '/etc/apache2/orgs.users' => $users),
        cors    => recipe('Pages of another origin (CORS)'),
        options => recipe('OPTIONS under Require'),
        both    => recipe('Pages of another origin (CORS)') . recipe('OPTIONS under Require'),
        form    => recipe('A login form', '/etc/apache2/orgs.users' => $users, '/etc/apache2/session.secret' => $secret),
    );
    return load_modules(qw(proxy_fcgi cgid cgi dav dav_fs include session session_cookie session_crypto auth_form request)) . database_lines() . <<"END"
LogLevel info orgs:debug
<IfModule cgid_module>
    ScriptSock cgid.sock
</IfModule>
# as Debian has it
<Directory "/">
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
<Directory "$directory/htdocs">
    Require all granted
    Options Includes
</Directory>
END
        . join '', map { "<VirtualHost *:*>\nServerName $_.example\n$host{$_}</VirtualHost>\n" } sort keys %host;
});

# get(HOST, PATH, method => ..., token => ..., name => [name, password], headers => {...})
sub get {
    my ($host, $path, %options) = @_;
    my ($method, $headers, $name) = (delete $options{method} // 'GET', delete $options{headers}, delete $options{name});
    return api($method => '', url => $httpd->url($path), %options, headers => {Host => "$host.example",
        $name ? (Authorization => 'Basic ' . encode_base64(join(':', @$name), '')) : (), %{$headers || {}}});
}

# A target as it is, which `get` would write otherwise.
sub raw_get {
    my ($host, $target, $token) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or die "connect: $@";
    syswrite $socket, "GET $target HTTP/1.1\r\nHost: $host.example\r\nConnection: close\r\n"
        . ($token ? 'Authorization: Bearer ' . (ref $token ? $token->{token} : $token) . "\r\n" : '') . "\r\n";
    my ($r) = parse_answers(Orgs::Test::read_all($socket, 30));
    return $r // {status => 0, headers => {}, body => ''};
}

sub shown { return join ' ', map { s/$org/ORG/gr =~ s/$other/OTHER/gr } @_ }

sub status_is {
    my ($r, $status, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $good = is($r->{status}, $status, shown($what) . ": $status");
    diag Orgs::Test::describe($r) if !$good;
    return $good;
}

# --- static files ----------------------------------------------------------------------------------------------------------

put_file("$directory/tenants/$_/report.txt", "report of $_") for $org, $other;
put_file("$directory/tenants/$org/deep/down/file.txt", 'deep');
put_file("$directory/tenants/$org/deep/new.txt", 'new');
put_file("$directory/tenants/$org/error.html", "an error, told by $org");
put_file("$directory/tenants/$org/index.html", 'index');
put_file("$directory/tenants/$org/.htaccess", "Require all granted\n");
put_file("$directory/tenants/$_", 'report that lies about') for qw(index.html loose.txt);
put_file("$directory/htdocs/page.shtml", "<!--#include virtual=\"/t/$org/report.txt\" -->");
symlink "../$other", "$directory/tenants/$org/link" or die "link: $!";
symlink "../$other/report.txt", "$directory/tenants/$org/link.txt" or die "link: $!";
symlink "$directory/tenants", "$directory/htdocs/link" or die "link: $!";

for my $case (
    # path, statuses of nobody, a stranger, a member
    ["/t/$org/report.txt",           401, 403, 200],
    ["/t/$org/deep/down/file.txt",   401, 403, 200],
    ["/t/$org/",                     401, 403, 200],
    ["/t/$org",                      401, 403, 301],
    ["/t/$org/nothing",              401, 403, 404],
    ["/t/$org/deep/",                401, 403, 404],    # no list
    ["/t/$other/report.txt",         401, 200, 403],
    ["/backup/$org/report.txt",      401, 403, 200],    # another way to the same directory
    ["/rewritten/$org/report.txt",   401, 403, 200],
) {
    my ($path, @want) = @$case;
    status_is(get(files => $path), $want[0], "nobody, $path");
    status_is(get(files => $path, token => $eve), $want[1], "a stranger, $path");
    status_is(get(files => $path, token => $bob), $want[2], "a member, $path");
}
is(get(files => "/t/$org/report.txt", token => $bob)->{body}, "report of $org", 'it is the file');
# redirects within httpd, to the same directory and to another
for my $case (
    # path, whose token, status, what is told
    ["/t/$org/deep/old.txt",  $bob,  200, qr/^new$/],
    ["/t/$org/deep/up.txt",   $bob,  200, qr/^report of $org$/],
    ["/t/$org/deep/away.txt", $bob,  403, qr/Forbidden/],
    ["/t/$org/deep/old.txt",  $eve,  403, qr/Forbidden/],
    ["/t/$org/nothing",       $bob,  404, qr/^an error, told by $org$/],
    ["/t/$org/deep/nothing",  $bob,  404, qr/^an error, told by $org$/],
    ['/nothing',              $bob,  404, qr/^an error, told by $org$/],
    ['/nothing',              $eve,  404, qr/was not found/],
    ['/was-here',             undef, 410, qr/no longer available/],
) {
    my ($path, $user, $status, $told) = @$case;
    my $r = get(files => $path, $user ? (token => $user) : ());
    status_is($r, $status, "redirected within httpd, $path");
    like($r->{body}, $told, shown('... and what is told, ' . $path . ($user ? " $user->{email}" : '')));
}
{
    my $file = "/t/$org/report.txt";
    my $tag = get(files => $file, token => $bob)->{headers}{etag};
    for my $case ([200, HEAD => {}], [304, GET => {'If-None-Match' => $tag}], [206, GET => {Range => 'bytes=0-2'}], [416, GET => {Range => 'bytes=1000-'}], [412, GET => {'If-Match' => '"x"'}]) {
        my ($status, $method, $headers) = @$case;
        my $r = get(files => $file, method => $method, token => $bob, headers => $headers);
        status_is($r, $status, join ' ', "$method of a file,", %$headers);
        like($r->{headers}{'cache-control'} // '', qr/^private/, '... which is for nobody else');
        status_is(get(files => $file, method => $method, headers => $headers), 401, '... and for nobody');
    }
}
like(get(files => '/page.shtml', token => $bob)->{body}, qr/report of $org/, 'a page that includes it');

# Whoever has no right never gets a word of a file, however the URL is written.
my $upper = uc $org;
my $encoded = join '', map { sprintf '%%%02x', ord } split //, $org;
my @ways = ("/t/$org/report.txt/", "/t/$org/report.txt/extra", "/t/$org/report.txt%00", "/t/$org/report.txt%20", "/t/$org/report.txt.", "/t/$org/report.txt;x",
    "/t/$org/report.txt?x", "/t//$org//report.txt", "//t/$org/report.txt", "/t/./$org/./report.txt", "/t/%2e/$org/report.txt", "/t/$org/deep/../report.txt",
    "/t/$other/../$org/report.txt", "/t/$other/%2e%2e/$org/report.txt", "/t/$other/..%2f$org/report.txt", "/t/$other/.%2e/$org/report.txt", "/t/..;/t/$org/report.txt",
    "/t/$encoded/report.txt", "/%74/$org/report%2etxt", "/t/$org%2freport.txt", "/t%2f$org/report.txt", "/t/$org\\report.txt", "/t/$org%5creport.txt",
    "/T/$org/report.txt", "/t/$upper/report.txt", "/t/$org/REPORT.TXT", "/t$org/report.txt", "/t/../tenants/$org/report.txt", "/../tenants/$org/report.txt",
    "/tenants/$org/report.txt", "/link/$org/report.txt", "/backup/$org/report.txt", "/rewritten/$org/report.txt", "/rewritten/$other/../$org/report.txt",
    "/rewritten//$org/report.txt", '/t/', '/t', '/t/loose.txt', '/t/../t/loose.txt', '/page.shtml', "http://files.example/t/$org/report.txt");
for my $way (@ways) {
    for my $who (['nobody'], ['a stranger', $eve], ['a liar', 'orgs_x']) {
        my ($name, $token) = @$who;
        my $r = raw_get(files => $way, $token);
        my $good = ok($r->{status} >= 400 || $way eq '/page.shtml', shown("$name, $way: refused"));
        $good = unlike($r->{body}, qr/report of $org|report that lies/, '... and not a word of it') && $good;
        diag Orgs::Test::describe($r) if !$good;
    }
}
for my $method (qw(HEAD POST PUT DELETE OPTIONS PROPFIND PATCH BREW)) {
    my $r = get(files => "/t/$org/report.txt", method => $method, token => $eve, headers => {'X-HTTP-Method-Override' => 'GET'});
    ok($r->{status} == 403 || $r->{status} == 501, "a stranger's $method") or diag Orgs::Test::describe($r);
}
for my $path ("/t/$org/link.txt", "/t/$org/link/report.txt") {
    my $r = get(files => $path, token => $bob);
    ok($r->{status} == 403 || $r->{status} == 404, shown("a member, $path: $r->{status}")) or diag Orgs::Test::describe($r);
}

# --- a proxied application ----------------------------------------------------------------------------------------------------

{
    my %forged = (OrgUser => 'root@recipes.example', orgrole => 'superuser', ORGID => $other, OrgPlan => 'gold', 'Org-Role' => 'x', Org_Role => 'x', 'X-Org' => $other);
    status_is(get(app => "/app/$org/x"), 401, 'nobody');
    status_is(get(app => "/app/$org/x", token => $eve), 403, 'a stranger');
    status_is(get(app => $_, token => $bob), 403, "a member elsewhere, $_") for '/app/', '/app', "/app/$other/x", "/app//$other/x", "/app/$org/../$other/x", "/app/$org/%2e%2e/$other/x";
    for my $path ("/app/$org/..%2f$other/x", "/APP/$org/x") {
        status_is(get(app => $path, token => $bob), 404, "a member elsewhere, $path");
    }
    for my $case ([member => $bob], [admin => $ada], [superuser => $root]) {
        my ($role, $user) = @$case;
        my $r = get(app => "/app/$org/page", token => $user, headers => {%forged});
        status_is($r, 200, "a $role");
        my %told;
        push @{$told{$_->[0]}}, $_->[1] for @{$r->{json}{told}};
        is($r->{json}{path}, "/$org/page", '... gets to the application');
        is_deeply({map { $_ => $told{$_} } qw(ORGUSER ORGID ORGROLE ORGPLAN)},
            {ORGUSER => [$user->{email}], ORGID => [$org], ORGROLE => [$role], ORGPLAN => ['free']}, '... which knows who it is, once, whatever the client said') or diag explain \%told;
        is($told{AUTHORIZATION}, undef, '... and has no token');
        unlike($r->{body}, qr/\Q$user->{token}\E/, '... anywhere');
    }
}

{
    my %forged = map { $_ => 'forged' } qw(ORGS-ROLE ORGS_ROLE Orgs-Org-Id REMOTE_USER REMOTE-USER);
    status_is(get(fcgi => "/app/$org/x"), 401, 'FastCGI, nobody');
    status_is(get(fcgi => "/app/$org/x", token => $eve, headers => {%forged}), 403, 'FastCGI, a stranger');
    my $r = get(fcgi => "/app/$org/x", method => 'POST', token => $bob, body => 'a body', type => 'text/plain', headers => {%forged});
    status_is($r, 200, 'FastCGI, a member');
    my $variables = $r->{json}{variables} || {};
    is_deeply({map { $_ => $variables->{$_} } grep { /^ORGS_|^REMOTE_USER$|^AUTH_TYPE$/ } keys %$variables},
        {ORGS_USER_ID => $bob->{id}, ORGS_USER_EMAIL => $bob->{email}, ORGS_ORG_ID => $org, ORGS_ROLE => 'member', ORGS_PLAN => 'free', REMOTE_USER => $bob->{email}, AUTH_TYPE => 'Bearer'},
        '... the application knows who it is') or diag explain $variables;
    is($r->{json}{body}, 'a body', '... and gets the body');
    unlike($r->{body}, qr/\Q$bob->{token}\E/, '... and no token');
}

# --- WebDAV -------------------------------------------------------------------------------------------------------------------

put_file("$directory/dav/$_/file.txt", "file of $_") for $org, $other;
{
    my $dav = sub {
        my ($method, $path, $user, $to) = @_;
        return get(dav => "/dav/$path", method => $method, $user ? (name => ['any', $user->{token}]) : (), $method eq 'PUT' ? (body => 'put', type => 'text/plain') : (),
            headers => {$to ? (Destination => "http://dav.example/dav/$to") : (), $method eq 'PROPFIND' ? (Depth => 1) : ()});
    };
    for my $case (
        # method, path, to, statuses of nobody, a stranger, a member, an admin
        [GET       => "$org/file.txt",  undef, 401, 403, 200, 200],
        [PROPFIND  => "$org/",          undef, 401, 403, 207, 207],
        [OPTIONS   => "$org/",          undef, 401, 403, 200, 200],
        [PUT       => "$org/new.txt",   undef, 401, 403, 403, 201],
        [MKCOL     => "$org/dir",       undef, 401, 403, 403, 201],
        [COPY      => "$org/file.txt",  "$org/copy.txt",    401, 403, 403, 201],
        [COPY      => "$org/file.txt",  "$other/copy.txt",  401, 403, 403, 403],
        [MOVE      => "$org/copy.txt",  "$other/copy.txt",  401, 403, 403, 403],
        [COPY      => "$other/file.txt", "$org/stolen.txt", 401, 403, 403, 403],
        [MOVE      => "$org/copy.txt",  "$org/dir/moved.txt", 401, 403, 403, 201],
        [PROPPATCH => "$org/file.txt",  undef, 401, 403, 403, 400],
        [LOCK      => "$org/file.txt",  undef, 401, 403, 403, 400],
        [DELETE    => "$org/new.txt",   undef, 401, 403, 403, 204],
        [GET       => '',               undef, 403, 403, 403, 403],
        [PUT       => 'new',            undef, 401, 403, 403, 403],
    ) {
        my ($method, $path, $to, @want) = @$case;
        my @who = (undef, $eve, $bob, $ada);
        for my $n (0 .. 3) {
            # the other organization is the stranger's own
            next if $n == 1 && $path =~ /^$other/;
            my $r = $dav->($method, $path, $who[$n], $to);
            status_is($r, $want[$n], 'WebDAV, ' . (qw(nobody stranger member admin))[$n] . ", $method $path" . ($to ? " to $to" : ''));
            is($r->{headers}{'www-authenticate'}, $want[$n] == 401 ? 'Basic realm="a token as password"' : undef, '... its challenge');
        }
    }
    is_deeply([map { s{.*/}{}r } sort glob "$directory/dav/$other/*"], ['file.txt'], 'nothing got to the other organization');
    ok(!-e "$directory/dav/$org/stolen.txt", 'and nothing came from there');
    is(get(dav => "/dav/$org/file.txt", token => $bob)->{status}, 401, 'a bearer is asked for a password');
}

# --- git ----------------------------------------------------------------------------------------------------------------------

SKIP: {
    Test::More::skip('git is not installed here', 1) if !$git;
    my $home = "$directory/githome";
    make_path($home);
    put_file("$home/askpass", "#!/bin/sh\ncase \$1 in Username*) echo any;; *) cat '$home/token';; esac\n", 0755);
    local @ENV{qw(HOME GIT_ASKPASS GIT_TERMINAL_PROMPT GIT_CONFIG_NOSYSTEM GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL)}
        = ($home, "$home/askpass", 0, 1, 'A', 'a@recipes.example', 'A', 'a@recipes.example');
    my $run = sub {
        my ($user, @arguments) = @_;
        put_file("$home/token", $user ? $user->{token} : 'none');
        my $said = `git -c init.defaultBranch=main -c http.extraHeader='Host: git.example' @{[map { "'$_'" } @arguments]} 2>&1`;
        return ($? >> 8, $said);
    };
    $run->(undef, 'init', '--bare', '--quiet', "$directory/git/$_/project.git") for $org, $other;
    my $url = $httpd->url("/git/$org/project.git");
    my ($status, $said) = $run->($bob, 'clone', '--quiet', $url, "$home/bob");
    is($status, 0, 'git: a member clones') or diag $said;
    ($status, $said) = $run->($eve, 'clone', $url, "$home/eve");
    isnt($status, 0, 'git: a stranger does not');
    like($said, qr/403/, '... because that is forbidden');
    ($status, $said) = $run->(undef, 'clone', $url, "$home/nobody");
    isnt($status, 0, 'git: nor does who has no token');
    like($said, qr/Authentication failed/, '... who is asked for one');
    ($status, $said) = $run->($bob, 'clone', $httpd->url("/git/$org/../$other/project.git"), "$home/around");
    isnt($status, 0, 'git: nor a member what is another organization\'s');
    put_file("$home/bob/file", 'x');
    $run->($bob, '-C', "$home/bob", @$_) for ['add', 'file'], ['commit', '--quiet', '-m', 'first'];
    ($status, $said) = $run->($bob, '-C', "$home/bob", 'push', 'origin', 'HEAD:main');
    isnt($status, 0, 'git: a member does not push');
    like($said, qr/403/, '... because that is forbidden');
    ($status, $said) = $run->($ada, '-C', "$home/bob", 'push', 'origin', 'HEAD:main');
    is($status, 0, 'git: an admin pushes') or diag $said;
    ($status, $said) = $run->($bob, 'clone', '--quiet', $url, "$home/again");
    ok(-e "$home/again/file", 'git: a member gets it') or diag $said;
    for my $way ("/git/$org/project.git/HEAD", "/git/$org/project.git/info/refs?service=git-upload-pack", '/git/', "/git/$other/../$org/project.git/HEAD",
        "/git/$org/project.git//HEAD", "/git//$org/project.git/HEAD", "/git/%2e%2e/git/$org/project.git/HEAD") {
        my $r = raw_get(git => $way);
        ok($r->{status} == 401 || $r->{status} == 403 || $r->{status} == 400, shown("git: nobody, $way: $r->{status}"));
    }
    for my $end ('/git-receive-pack', '//git-receive-pack', '/git%2dreceive-pack', '/git-receive-pack/') {
        status_is(get(git => "/git/$org/project.git$end", method => 'POST', name => ['any', $bob->{token}], body => '0000', type => 'application/x-git-receive-pack-request'),
            403, "git: a member, POST $end");
    }
}

# --- names and passwords ---------------------------------------------------------------------------------------------------------

answers(get(names => "/organizations/$org", name => [$bob->{email}, 'secret']), 200, 'names and passwords: a member');
is(get(names => "/organizations/$org/members/me", name => [$bob->{email}, 'secret'])->{json}{user_id}, $bob->{id}, '... it is he');
problem(get(names => '/organizations', name => ['nobody@recipes.example', 'secret']), 403, 'user_unknown', '... one whom only httpd knows');
problem(get(names => '/organizations', name => [$bob->{email}, 'secret'], method => 'POST', json => {name => 'x'}, headers => {Origin => 'https://evil.example'}),
    403, 'cross_site', '... another site\'s page');
for my $who ([name => [$bob->{email}, 'wrong']], [name => [$bob->{email}, $bob->{token}]], [token => $bob], []) {
    my $r = get(names => '/organizations', @$who);
    is("$r->{status} $r->{headers}{'www-authenticate'} $r->{json}{code}", '401 Basic realm="organizations" unauthorized', '... who is asked for a password: ' . ($who->[0] // 'nobody'));
}

# --- CORS, OPTIONS ---------------------------------------------------------------------------------------------------------------

my $page = 'https://app.example.com';
my %asks = ('Access-Control-Request-Method' => 'PUT', 'Access-Control-Request-Headers' => 'authorization,content-type,if-match');

# What a browser would let the page at this origin do.
sub lets {
    my ($r, $origin, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $h = $r->{headers};
    my @wrong;
    push @wrong, 'Access-Control-Allow-Origin' if ($h->{'access-control-allow-origin'} // '') ne ($origin // '');
    push @wrong, 'Vary' if ($h->{vary} // '') !~ /^(?=.*\bAuthorization\b).*\bOrigin\b/;
    push @wrong, 'Access-Control-Allow-Credentials' if exists $h->{'access-control-allow-credentials'};
    my %listed = ('allow-methods' => [qw(get post put delete)], 'allow-headers' => [qw(authorization content-type if-match if-none-match idempotency-key)],
        'expose-headers' => [qw(etag link location retry-after x-request-id idempotent-replayed)], 'max-age' => ['600']);
    for my $name (sort keys %listed) {
        my %has = map { lc $_ => 1 } split /\s*,\s*/, $h->{"access-control-$name"} // '';
        push @wrong, map { "$_ in Access-Control-$name" } $origin ? grep { !$has{$_} } @{$listed{$name}} : keys %has;
    }
    my $good = ok(!@wrong, "$what: " . ($origin ? 'the page may' : 'no page may'));
    diag(join(', ', @wrong) . "\n" . Orgs::Test::describe($r)) if !$good;
    return $good;
}

for my $host (qw(cors both)) {
    for my $origin ($page, undef, 'https://evil.example', "$page.evil.example", 'https://app-example.com', 'https://appXexample.com', 'http://app.example.com', "$page:444", 'null', "$page/", "x$page") {
        my %from = defined $origin ? (Origin => $origin) : ();
        my $let = defined $origin && $origin eq $page ? $page : undef;
        my $name = "$host, " . ($origin // 'no origin');
        my $r = get($host => "/organizations/$org", method => 'OPTIONS', headers => {%from, %asks});
        status_is($r, 204, "$name, preflight");
        lets($r, $let, '... it');
        $r = get($host => "/organizations/$org", token => $bob, headers => \%from);
        answers($r, 200, "$name, a read");
        lets($r, $let, '... it');
        for my $case ([401, 'unauthorized', GET => undef], [403, 'admin_required', PUT => $bob], [404, 'organization_not_found', GET => $eve], [412, 'precondition_failed', PUT => $ada]) {
            my ($status, $code, $method, $user) = @$case;
            $r = get($host => "/organizations/$org", method => $method, $user ? (token => $user) : (), $method eq 'PUT' ? (json => {name => 'x'}) : (),
                headers => {%from, $status == 412 ? ('If-Match' => '"x"') : ()});
            problem($r, $status, $code, "$name, $code");
            lets($r, $let, '... it');
        }
    }
}
{
    my $r = get(cors => '/organizations', method => 'POST', token => $ada, json => {name => 'By a page'}, headers => {Origin => $page, 'Sec-Fetch-Site' => 'cross-site', 'Idempotency-Key' => 'k'});
    answers($r, 201, 'a page writes');
    lets($r, $page, '... and sees it');
    my $tag = get(cors => "/organizations/$org", token => $ada)->{headers}{etag};
    $r = get(cors => "/organizations/$org", token => $ada, headers => {Origin => $page, 'If-None-Match' => $tag});
    is($r->{status}, 304, 'what a page has already');
    is($r->{headers}{'access-control-allow-origin'}, $page, '... it may go on with');
}
for my $host (qw(options both)) {
    status_is(get($host => $_, method => 'OPTIONS'), 204, "$host: OPTIONS $_") for '/organizations', "/organizations/$org/members/me";
    like(get($host => '/organizations', method => 'OPTIONS')->{headers}{allow}, qr/\bPOST\b/, '... says what there is');
    problem(get($host => '/organizations', method => $_), 401, 'unauthorized', "$host: $_ by nobody") for qw(GET POST PUT DELETE PATCH);
    answers(get($host => '/organizations', token => $bob), 200, "$host: a user");
    problem(get($host => '/organizations/x/y/z', token => $bob), 404, 'not_found', "$host: and what follows as ever");
}

# --- a login form -----------------------------------------------------------------------------------------------------------------

put_file("$directory/htdocs/login.html", '<form method="post" action="/login">...');
put_file("$directory/htdocs/index.html", 'home');
{
    my $login = sub {
        my ($name, $password) = @_;
        return get(form => '/login', method => 'POST', type => 'application/x-www-form-urlencoded', body => 'httpd_username=' . ($name =~ s/@/%40/r) . "&httpd_password=$password");
    };
    my $r = $login->($bob->{email}, 'secret');
    status_is($r, 302, 'a login form: a name and its password');
    like($r->{headers}{location}, qr{^(?:http://form\.example(?::\d+)?)?/$}, '... leads home');
    my $set = $r->{headers}{'set-cookie'} // '';
    my ($cookie) = $set =~ /^(session=[^;]+)/ or diag Orgs::Test::describe($r);
    like($set, qr/;\s*HttpOnly/i, '... by a cookie that no script reads');
    like($set, qr/;\s*Secure/i, '... that travels by TLS only');
    like($set, qr/;\s*SameSite=Lax/i, '... and not with other sites\' forms');
    unlike($set, qr/secret|bob/, '... and is encrypted');
    my $wrong = $login->($bob->{email}, 'wrong');
    like($wrong->{headers}{location}, qr{/login\.html$}, 'a wrong password leads back') or diag Orgs::Test::describe($wrong);

    my $with = sub {
        my ($path, %options) = @_;
        my ($sent, $headers) = (delete $options{cookie} // $cookie, delete $options{headers});
        return get(form => $path, %options, headers => {Cookie => $sent, %{$headers || {}}});
    };
    $r = $with->("/organizations/$org/members/me");
    answers($r, 200, 'the API by the cookie');
    is($r->{json}{user_id}, $bob->{id}, '... it is he');
    like($r->{headers}{vary}, qr/\bCookie\b/, '... caches are told');
    for my $case ([undef, undef, 201], ['same-origin', undef, 201], ['none', undef, 201], ['cross-site', undef, 403], ['same-site', undef, 403], [undef, 'https://evil.example', 403],
        [undef, 'null', 403], [undef, 'http://form.example', 201]) {
        my ($site, $origin, $status) = @$case;
        my %headers = ($site ? ('Sec-Fetch-Site' => $site) : (), $origin ? (Origin => $origin) : ());
        my $what = 'a write: ' . (join(', ', %headers) || 'no word of where from');
        $r = $with->('/organizations', method => 'POST', json => {name => 'x'}, headers => \%headers);
        $status == 201 ? answers($r, 201, $what) : problem($r, 403, 'cross_site', $what);
    }
    # what a form of another site can send
    for my $type ('application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x') {
        $r = $with->('/organizations', method => 'POST', type => $type, body => '{"name":"x"}', headers => {Origin => 'https://evil.example'});
        problem($r, 403, 'cross_site', "another site's form, $type");
    }
    $r = get(form => '/organizations');
    is("$r->{status} $r->{json}{code}", '401 unauthorized', 'nobody without it');
    my $changed = $cookie =~ s/(.{12})$/reverse $1/er;
    is($with->('/organizations', cookie => $changed)->{status}, 401, 'nor with one that was changed');
    is($with->('/organizations', cookie => 'session=organizations-user=bob%40recipes.example&organizations-pw=secret')->{status}, 401, 'nor with one that was made up');
    my ($unknown) = ($login->('nobody@recipes.example', 'secret')->{headers}{'set-cookie'} // '') =~ /^(session=[^;]+)/;
    problem($with->('/organizations', cookie => $unknown), 403, 'user_unknown', 'one whom only httpd knows');
    $r = $with->('/logout');
    like($r->{headers}{location} // '', qr{/login\.html$}, 'logging out') or diag Orgs::Test::describe($r);
    like($r->{headers}{'set-cookie'} // '', qr/^session=(?:;|$)|Max-Age=[01]\b/i, '... takes the cookie away');
}

is_deeply([$httpd->complaints(qw([include:error] [dav:error] AH00037 AH01614 AH01817 AH01842 AH01629 AH01630 AH01631 AH01617 AH01618 AH01807 AH01808 AH10244))], [], 'and the log has nothing else');
done_testing;
