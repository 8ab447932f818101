# Contract 7: entity tags, preconditions and the headers around them.
use Orgs::Test;
use IO::Uncompress::Gunzip qw(gunzip);
use Orgs::Httpd;

my ($ada, $bob, $root) = (user('ada'), user('bob'), superuser('root'));

# --- the tag ---------------------------------------------------------------------------------------------------------------

my $o = organization_with($ada, member => $bob);
my $get = api(GET => $o->{id}, token => $ada);
my $etag = $get->{headers}{etag};
like($etag, qr/^"1-[A-Za-z0-9_-]+"$/, 'a strong tag, "V-D"');
is($o->{etag}, $etag, 'of a create as of the read');
is(api(GET => $o->{id}, token => $ada)->{headers}{etag}, $etag, 'same bytes, same tag');
is(api(HEAD => $o->{id}, token => $ada)->{headers}{etag}, $etag, 'HEAD too');
isnt(api(GET => $o->{id}, token => $bob)->{headers}{etag}, $etag, 'another role, another tag');
isnt(api(GET => $o->{id}, token => $root)->{headers}{etag}, api(GET => $o->{id}, token => $bob)->{headers}{etag}, 'nor as a superuser\'s');
is(api(PUT => $o->{id}, token => $ada, json => {})->{headers}{etag}, $etag, 'of an update that changes nothing');
my $put = api(PUT => $o->{id}, token => $ada, json => {name => 'Two'});
like($put->{headers}{etag}, qr/^"2-/, 'a change moves the version');
is(api(GET => $o->{id}, token => $ada)->{headers}{etag}, $put->{headers}{etag}, 'of an update as of the read');
$put = api(PUT => $o->{id}, token => $ada, json => {name => 'An organization'});
isnt($put->{headers}{etag}, $etag, 'there and back again is another version');
{
    my %tags = map { organization($ada)->{etag} => 1 } 1 .. 5;
    is(scalar keys %tags, 5, 'organizations do not share tags');
    sql('UPDATE memberships SET role = "member" WHERE organization_id = ' . id_in_sql($o->{id}) . ' AND user_id = ' . id_in_sql($ada->{id}));
    isnt(api(GET => $o->{id}, token => $ada)->{headers}{etag}, $put->{headers}{etag}, 'the caller\'s own role changes the tag');
    sql('UPDATE memberships SET role = "admin" WHERE organization_id = ' . id_in_sql($o->{id}) . ' AND user_id = ' . id_in_sql($ada->{id}));
    is(api(GET => $o->{id}, token => $ada)->{headers}{etag}, $put->{headers}{etag}, 'and back');
}
$etag = $put->{headers}{etag};
my $weak = "W/$etag";
my $gzip = $etag =~ s/"$/-gzip"/r;
my $brotli = $etag =~ s/"$/-br"/r;
my $members_tag = api(GET => $o->{id}, token => $bob)->{headers}{etag};
my $foreign = organization($ada)->{etag};
my $stale = '"1-' . substr($etag, 3);

# --- If-None-Match -----------------------------------------------------------------------------------------------------------

# [value, is it 304]
for my $case (
    [$etag,                       1],
    [$weak,                       1],
    ['*',                         1],
    [' * ',                       1],
    [$gzip,                       1],
    ["W/$gzip",                   1],
    [$brotli,                     1],
    ["\"x\", $etag",              1],
    ["\"x\",$etag,\"y\"",         1],
    ["\"x\" , $weak , \"y\"",     1],
    ['"a,b", ' . $etag,           1],
    [$stale,                      0],
    [$members_tag,                0],
    [$foreign,                    0],
    ['"x"',                       0],
    ['""',                        0],
    ['',                          0],
    [$etag =~ tr/"//dr,           0],      # without quotes
    [$etag =~ s/"$//r,            0],
    [$etag =~ s/"$/x"/r,          0],
    [$etag =~ s/"$/-gzipx"/r,     0],
    ['"*"',                       0],
    ['W/' . $stale,               0],
) {
    my ($value, $same) = @$case;
    for my $method (qw(GET HEAD)) {
        my $r = api($method => $o->{id}, token => $ada, headers => {'If-None-Match' => $value});
        is($r->{status}, $same ? 304 : 200, "$method, If-None-Match: $value");
        is($r->{headers}{etag}, $etag, '... with the tag');
        is($r->{body}, '', '... without a body') if $same;
    }
}
{
    my $r = api(GET => $o->{id}, token => $ada, headers => {'If-None-Match' => $etag});
    is($r->{headers}{'cache-control'}, 'private, no-cache', '304 has Cache-Control');
    like($r->{headers}{vary}, qr/\bAuthorization\b/, '304 has Vary');
    ok(exists $r->{headers}{'x-request-id'}, '304 has X-Request-Id');
    ok(!exists $r->{headers}{'content-type'}, '304 has no media type') or diag explain $r->{headers};
    my ($raw) = raw_request("GET /organizations/$o->{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\n"
        . "If-None-Match: \"x\"\r\nIf-None-Match: $etag\r\nConnection: close\r\n\r\n");
    is($raw->{status}, 304, 'in two header lines');
    problem(api(GET => $o->{id}, headers => {'If-None-Match' => '*'}), 401, 'unauthorized', 'no 304 for nobody');
    problem(api(GET => uuid(), token => $ada, headers => {'If-None-Match' => '*'}), 404, 'organization_not_found', 'nor of what is not there');
    answers(api(GET => '', token => $ada, headers => {'If-None-Match' => '*'}), 200, 'a list has no tag and no 304');
    answers(api(GET => $o->{id}, token => $ada, headers => {'If-Modified-Since' => 'Fri, 01 Jan 2100 00:00:00 GMT'}), 200, 'If-Modified-Since is ignored');
    answers(api(GET => $o->{id}, token => $ada, headers => {Range => 'bytes=0-1'}), 200, 'Range is not taken') if 0;
}

# --- If-Match ------------------------------------------------------------------------------------------------------------------------

my $other_version = sub { my ($tag, $version) = @_; $tag =~ s/^"\d+/"$version/r };
# [value of a tag of the present version, does it match]
my @matches = (
    ['*',                                     1],
    [' * ',                                   1],
    [sub { $_[0] },                           1],
    [sub { "\"x\", $_[0]" },                  1],
    [sub { "$_[0],\"x\"" },                   1],
    [sub { "\"a,b\" , $_[0]" },               1],
    [sub { $_[0] =~ s/"$/-gzip"/r },          1],
    [sub { $_[0] =~ s/"$/-br"/r },            1],
    [sub { join ', ', (map { "\"x$_\"" } 1 .. 50), $_[0] }, 1],
    [sub { $_[1] },                           1],     # a member's: the version counts
    [sub { "W/$_[0]" },                       0],
    [sub { 'W/' . $_[0] =~ s/"$/-gzip"/r },   0],
    [sub { $other_version->($_[0], 1) },      0],
    [sub { $other_version->($_[0], 999) },    0],
    [sub { $other_version->($_[0], '02') },   0],
    [sub { $other_version->($_[0], '18446744073709551618') }, 0],
    [sub { $_[0] =~ tr/"//dr },               0],
    [sub { $_[0] =~ s/"$//r },                0],
    [sub { $_[0] =~ s/^"(\d+)-.*/"$1"/r },    0],
    [sub { $_[0] =~ s/^"(\d+)-.*/"$1-"/r },   0],
    [sub { $foreign =~ s/^"\d+/"2/r },        0],
    ['"2-AAAAAAAAAAAAAAAAAAAAAAAAAAAA"',      0],
    ['"2"',                                   0],
    ['""',                                    0],
    ['"*"',                                   0],
    ['"x"',                                   0],
    ["\"2,3'); DROP TABLE users --\"",        0],
);
my $n = 0;
for my $case (@matches) {
    my ($value, $good) = @$case;
    for my $method (qw(PUT DELETE)) {
        my $fresh = organization_with($ada, member => $bob);
        my $tag = api(PUT => $fresh->{id}, token => $ada, json => {name => 'Version 2'})->{headers}{etag};
        my $member = api(GET => $fresh->{id}, token => $bob)->{headers}{etag};
        my $header = ref $value ? $value->($tag, $member) : $value;
        my $r = api($method => $fresh->{id}, token => $ada, headers => {'If-Match' => $header},
            $method eq 'PUT' ? (json => {name => 'Version ' . ++$n}) : ());
        my $shown = "$method, If-Match: " . (length $header > 70 ? substr($header, 0, 70) . '...' : $header);
        if ($good) {
            answers($r, 200, $shown);
        }
        else {
            problem($r, 412, 'precondition_failed', $shown);
            is(api(GET => $fresh->{id}, token => $ada)->{headers}{etag}, $tag, '... and nothing moved');
        }
    }
}
{
    my $fresh = organization($ada);
    my $tag = $fresh->{etag};
    for my $version (2 .. 6) {
        my $r = api(PUT => $fresh->{id}, token => $ada, json => {name => "V $version"}, headers => {'If-Match' => $tag});
        answers($r, 200, "a chain of updates, $version");
        problem(api(PUT => $fresh->{id}, token => $ada, json => {name => 'Late'}, headers => {'If-Match' => $tag}), 412,
            'precondition_failed', '... each tag is good once');
        $tag = $r->{headers}{etag};
    }
    my $same = api(PUT => $fresh->{id}, token => $ada, json => {name => 'V 6'}, headers => {'If-Match' => $tag});
    answers($same, 200, 'nothing to change');
    is($same->{headers}{etag}, $tag, '... and the tag stands');
    problem(api(PUT => $fresh->{id}, token => $ada, json => {name => 'V 6'}, headers => {'If-Match' => '"1-x"'}), 412,
        'precondition_failed', 'a stale tag is refused also where nothing would change');
    my ($raw) = raw_request("DELETE /organizations/$fresh->{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\n"
        . "If-Match: \"x\"\r\nIf-Match: $tag\r\nConnection: close\r\n\r\n");
    answers($raw, 200, 'in two header lines');
}

# --- mod_deflate ------------------------------------------------------------------------------------------------------------------------

{
    my $big = organization($ada, description => 'x' x 2000);
    my %deflated = (vhost => 'orgs_deflated', token => $ada, headers => {'Accept-Encoding' => 'gzip'});
    my $r = api(GET => $big->{id}, %deflated);
    is($r->{headers}{'content-encoding'}, 'gzip', 'compressed');
    my $plain;
    gunzip(\$r->{body}, \$plain);
    is($plain, api(GET => $big->{id}, token => $ada)->{body}, 'the same in there');
    my $tag = $r->{headers}{etag};
    is($tag, $big->{etag} =~ s/"$/-gzip"/r, 'mod_deflate marks the tag');
    is(api(GET => $big->{id}, %deflated, headers => {'Accept-Encoding' => 'gzip', 'If-None-Match' => $tag})->{status}, 304,
        'the tag that came is the tag that is known');
    answers(api(PUT => $big->{id}, token => $ada, vhost => 'orgs_deflated', json => {name => 'Round trip'},
        headers => {'If-Match' => $tag}), 200, 'and writes with it work');
    my $problem = api(GET => uuid(), %deflated);
    is($problem->{status}, 404, 'a problem');
    my $list = api(GET => '', %deflated);
    is($list->{headers}{'content-encoding'}, 'gzip', 'a list, compressed');
    gunzip(\$list->{body}, \$plain);
    is($plain, api(GET => '', token => $ada)->{body}, 'is the list');
}

# --- headers of all answers -------------------------------------------------------------------------------------------------------------

my @answers = (
    ['a list',   api(GET => '', token => $ada)],
    ['one',      api(GET => $o->{id}, token => $ada)],
    ['created',  api(POST => '', token => $ada, json => {name => 'x'})],
    ['updated',  api(PUT => $o->{id}, token => $ada, json => {name => 'x'})],
    ['deleted',  api(DELETE => organization($ada)->{id}, token => $ada)],
);
for my $case (@answers) {
    my ($what, $r) = @$case;
    my $h = $r->{headers};
    is($h->{'content-type'}, 'application/json', "$what: Content-Type");
    is($h->{'cache-control'}, 'private, no-cache', "$what: Cache-Control");
    is($h->{vary}, 'Authorization', "$what: Vary");
    is($h->{'x-content-type-options'}, 'nosniff', "$what: X-Content-Type-Options");
    ok(!exists $h->{$_}, "$what: no $_") for qw(last-modified expires pragma access-control-allow-origin set-cookie content-language);
    is(exists $h->{etag} ? 1 : 0, $what =~ /^(?:one|created|updated)$/ ? 1 : 0, "$what: ETag only where there is one");
}

# --- X-Request-Id is the log's -------------------------------------------------------------------------------------------------------------

for my $case ([200, GET => $o->{id}, token => $ada], [401, GET => $o->{id}], [404, GET => uuid(), token => $ada],
    [304, GET => $o->{id}, token => $ada, headers => {'If-None-Match' => '*'}], [405, PATCH => '', token => $ada],
    [204, OPTIONS => '', token => $ada])
{
    my ($status, @request) = @$case;
    my $r = api(@request);
    is($r->{status}, $status, "a $status");
    my $request_id = $r->{headers}{'x-request-id'} // 'none';
    my $line = until_true(5, sub {
        open my $fh, '<', top() . '/t/logs/orgs_log' or return;
        my ($line) = grep { index($_, "$request_id ") == 0 } <$fh>;
        return $line;
    });
    like($line // '', qr/" $status$/, '... is in the access log, by its X-Request-Id');
}
{
    my %ids = map { api(GET => $o->{id}, token => $ada)->{headers}{'x-request-id'} => 1 } 1 .. 20;
    is(scalar keys %ids, 20, 'each request has its own');
    my $theirs = api(GET => $o->{id}, token => $ada, headers => {'X-Request-Id' => 'mine-mine-mine'});
    isnt($theirs->{headers}{'x-request-id'}, 'mine-mine-mine', 'the client does not choose it');
}

# with mod_unique_id it is that one's
SKIP: {
    my ($modules) = map { m{^LoadModule orgs_module} ? () : m{^LoadModule \S+ (.*)/} } do { open my $in, '<', top() . '/t/conf/base.conf' or die $!; <$in> };
    skip 'no mod_unique_id', 3 if !-e "$modules/mod_unique_id.so";
    my $httpd = Orgs::Httpd->start(<<"END");
LoadModule unique_id_module $modules/mod_unique_id.so
OrgsDBParams "socket=@{[top()]}/run/main/db/socket dbname=orgs user=orgs"
OrgsDBDefaultsFile "@{[top()]}/run/main/orgs.cnf"
LogFormat "%{UNIQUE_ID}e %>s" unique
CustomLog unique_log unique
<Location "/organizations">
    SetHandler orgs
</Location>
END
    my @ids = map { api(GET => '', url => $httpd->url('/organizations'), token => $_)->{headers}{'x-request-id'} } $ada, 'x';
    $httpd->stop;
    open my $in, '<', "$httpd->{directory}/unique_log" or die $!;
    chomp(my @lines = <$in>);
    is_deeply(\@lines, ["$ids[0] 200", "$ids[1] 401"], 'with mod_unique_id X-Request-Id is its id');
    like($ids[0], qr/^[\w\@-]{20,32}$/, 'which looks like one');
    isnt($ids[0], $ids[1], 'each request its own');
}

done_testing;
