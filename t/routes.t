# Contract 1 and 2: where it is served, paths and methods.
use Orgs::Test;

my $ada = user('ada');
my $organization = organization($ada, name => 'Routes');
my $id = $organization->{id};
my $nobody = uuid();

# --- paths -------------------------------------------------------------------------------------------------------------

# [path, status, code of the problem]
my @paths = (
    ['/organizations',                 200],
    ['/organizations/',                200],
    ['//organizations',                200],                               # httpd merges slashes
    ['/organizations//',               200],
    ['/organi%7Aations',               200],                               # and decodes
    ["/organizations/$id",             200],
    ["/organizations/$id/",            200],
    ["/organizations//$id",            200],
    ["/organizations/./$id",           200],
    ["/organizations/x/../$id",        200],
    ['/organizations/' . uc $id,       200],
    ['/organizations?',                200],
    ['/organizations?nothing=1',       200],
    ["/organizations/$id?x=y",         200],
    ["/organizations/$nobody",         404, 'organization_not_found'],
    ['/organizations/none',            404, 'organization_not_found'],
    ['/organizations/' . 'x' x 2000,   404, 'organization_not_found'],
    ['/organizations/%00',             404, undef],                        # httpd's own
    ["/organizations/$id%2F",          404, undef],
    ["/organizations/$id/nothing",     404, 'not_found'],
    ["/organizations/$id/Members",     404, 'not_found'],
    ["/organizations/$id/members/x/y", 404, 'not_found'],
    ["/organizations/$id/members/x/y/z", 404, 'not_found'],
    ["/organizations/none/nothing",    404, 'not_found'],
    ['/organizations/index.html/x',    404, 'not_found'],
);

for my $case (@paths) {
    my ($path, $status, $code) = @$case;
    my $shown = length $path > 60 ? substr($path, 0, 60) . '...' : $path;
    my ($r) = raw_request("GET $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nConnection: close\r\n\r\n");
    if ($status == 200) {
        answers($r, 200, "GET $shown");
    }
    elsif (defined $code) {
        problem($r, $status, $code, "GET $shown");
    }
    else {
        is($r->{status}, $status, "GET $shown is httpd's $status");
    }
}

# An unknown path needs no token to be one: path comes before the caller.
problem(api(GET => "/organizations/$id/nothing"), 404, 'not_found', 'an unknown path without a token');

# Beside the mount nothing of ours is found.
for my $path ('/organizationsx', '/organization', '/Organizations', '/') {
    my $r = api(GET => $path, token => $ada);
    isnt($r->{headers}{'content-type'} // '', 'application/problem+json', "$path is none of ours");
    ok(!exists $r->{headers}{'x-request-id'}, "$path has no header of ours") or diag explain $r->{headers};
}

# --- methods -----------------------------------------------------------------------------------------------------------

# [path, the methods that are there]
my @resources = (
    ['/organizations',         [qw(GET POST)]],
    ['/organizations/',        [qw(GET POST)]],
    ["/organizations/$nobody", [qw(GET PUT DELETE)]],
    ['/organizations/none',    [qw(GET PUT DELETE)]],
);
my @methods = qw(GET POST PUT DELETE PATCH PROPFIND LOCK MKCOL COPY BREW QUERY CONNECTED);

sub allowed { join ',', sort grep { $_ ne 'TRACE' } map { s/\s//gr } split /,/, $_[0]{headers}{allow} // '' }

for my $resource (@resources) {
    my ($path, $there) = @$resource;
    my $allow = join ',', sort @$there, 'HEAD', 'OPTIONS';
    for my $method (@methods) {
        next if grep { $_ eq $method } @$there;
        my $r = api($method => $path);
        problem($r, 405, 'method_not_allowed', "$method $path, and no token is asked for first");
        is(allowed($r), $allow, "$method $path: Allow");
    }
    my $r = api(OPTIONS => $path);
    is($r->{status}, 204, "OPTIONS $path without a token");
    is(allowed($r), $allow, "OPTIONS $path: Allow");
    is($r->{body}, '', "OPTIONS $path: no body");
    is(api(OPTIONS => $path, token => 'orgs_wrong')->{status}, 204, "OPTIONS $path with a wrong token");
}
problem(api(OPTIONS => "/organizations/$id/nothing"), 404, 'not_found', 'OPTIONS of a path that is not there');
problem(api(BREW => "/organizations/$id/nothing"), 404, 'not_found', 'path before method');
problem(api(PUT => '/organizations', json => {}), 405, 'method_not_allowed', 'method before caller');

# --- HEAD goes with every GET --------------------------------------------------------------------------------------------

for my $path ('/organizations', '/organizations?limit=1', "/organizations/$id") {
    my $get = api(GET => $path, token => $ada);
    my $head = api(HEAD => $path, token => $ada);
    answers($head, 200, "HEAD $path");
    is($head->{body}, '', "HEAD $path: no body");
    is($head->{headers}{$_}, $get->{headers}{$_}, "HEAD $path: $_ as with GET")
        for qw(content-type etag link cache-control vary);
}
is(api(HEAD => "/organizations/$id", token => $ada)->{headers}{'content-length'},
    length api(GET => "/organizations/$id", token => $ada)->{body}, 'HEAD tells the length');
problem(api(HEAD => "/organizations/$nobody", token => $ada), 404, 'organization_not_found', 'HEAD of none');
problem(api(HEAD => "/organizations/$id"), 401, 'unauthorized', 'HEAD without a token');

# --- mounts --------------------------------------------------------------------------------------------------------------

# [virtual host, mount as in a URL]
my @mounts = (
    ['orgs_mounts',  '/organizations'],          # the main server's, inherited
    ['orgs_mounts',  '/api/v1/organizations'],
    ['orgs_mounts',  '/second'],
    ['orgs_mounts',  '/with%20space'],
    ['orgs_root',    ''],
    ['orgs_proxied', '/organizations'],
    ['orgs_denied',  '/organizations'],
);
for my $case (@mounts) {
    my ($vhost, $mount) = @$case;
    my $what = "$vhost $mount";
    my %here = (vhost => $vhost, token => $ada);
    # httpd's <Location "/x/"> does not hold "/x"
    my $root = $vhost eq 'orgs_root' || $mount eq '/second' ? "$mount/" : $mount;
    my $list = api(GET => $root, %here);
    answers($list, 200, "$what: the list");
    answers(api(GET => "$mount/", %here), 200, "$what: with a slash");
    my $made = api(POST => $root, %here, json => {name => "By $vhost $mount"});
    answers($made, 201, "$what: create");
    is($made->{headers}{location}, "$mount/$made->{json}{id}", "$what: Location is path-absolute and below the mount");
    answers(api(GET => "$made->{headers}{location}", %here), 200, "$what: Location leads there");
    my $page = api(GET => "$root?limit=1", %here);
    my ($next) = ($page->{headers}{link} // '') =~ /^<([^>]+)>; rel="next"$/;
    like($next // '', qr{^\Q${mount}\E/?\?}, "$what: Link is below the mount");
    answers(api(GET => $next // '/none', %here), 200, "$what: Link leads there");
    problem(api(GET => "$mount/$id/none", %here), 404, 'not_found', "$what: no such path");
    problem(api(PUT => $root, %here, json => {}), 405, 'method_not_allowed', "$what: 405");
    answers(api(DELETE => "$mount/$made->{json}{id}", %here), 200, "$what: delete");
    problem(api(GET => $made->{headers}{location}, %here), 404, 'organization_not_found', "$what: gone");
}
isnt(api(GET => '/other', vhost => 'orgs_mounts')->{headers}{'content-type'}, 'application/json',
    "another module's SetHandler is not touched");
is(api(GET => '/api/v1', vhost => 'orgs_mounts')->{status}, 404, 'nothing is above a mount');
isnt(api(GET => '/elsewhere', vhost => 'orgs_proxied')->{status}, 200, 'the proxy takes the rest');
is(api(GET => '/', vhost => 'orgs_denied')->{status}, 403, 'what is denied beside the mount stays denied');
expect_log('AH01114');    # the proxy's connection is refused
expect_log('AH00957', undef);
expect_log('AH01630');    # denied
expect_log('AH00898', undef);

# --- the disk ------------------------------------------------------------------------------------------------------------

# DocumentRoot/organizations has an index.html and an .htaccess that would be an error if it were read.
problem(api(GET => '/organizations/index.html', token => $ada), 404, 'organization_not_found', 'a file is not served');
answers(api(GET => '/organizations', token => $ada), 200, 'no redirect of mod_dir');

# --- the handler without a mount -------------------------------------------------------------------------------------------

for my $path ('/file.orgs', '/rewritten/organizations') {
    my $r = api(GET => $path, vhost => 'orgs_stray', token => $ada);
    is($r->{status}, 500, "$path: the handler without a mount is 500");
    unlike($r->{body}, qr/"id"/, "$path: and tells nothing");
}
expect_log('ORGS0031', 2);

done_testing;
