# Contract 6: the API is the same by HTTP/1.0, 1.1 and 2, with TLS and without; and whatever is refused early, also by a
# gate, leaves the connection in step, or closed.
use Orgs::Test;
use Orgs::Certificates;
use Orgs::Curl;
use Orgs::Httpd;
use Orgs::Proxy;

my $top = top();
my ($ada, $bob, $eve) = (user('ada'), user('bob'), user('eve'));
my $org = organization_with($ada, member => $bob, member => $eve)->{id};
my $foreign = organization($eve)->{id};

my $here = "$top/run/protocols";
my $certificates = Orgs::Certificates->new($here);
$certificates->own('ca');
$certificates->issue(server => 'ca', 'IP:127.0.0.1');

my $http2 = ($ENV{ORGS_TEST_MPM} // '') eq 'prefork' || !grep({ -x "$_/nghttp" } split /:/, $ENV{PATH}) ? '' : load_modules('http2');
diag 'NEITHER mod_http2 NOR nghttp ARE OF USE HERE: HTTP/2 is not tested' if $http2 eq '';
my $tls = Orgs::Httpd::free_port();
my $httpd = Orgs::Httpd->start(sub {
    my ($directory) = @_;
    return load_modules(qw(ssl socache_shmcb)) . $http2 . database_lines() . <<"END" });
LogLevel info orgs:debug
SSLSessionCache shmcb:$directory/ssl
<IfModule http2_module>
    Protocols h2 h2c http/1.1
</IfModule>
KeepAliveTimeout 15
MaxKeepAliveRequests 0
<Directory "$directory/htdocs">
    Require all granted
</Directory>
<Location "/organizations">
    SetHandler orgs
</Location>
<Location "/gated/organizations">
    SetHandler orgs
    AuthType Orgs
    AuthName house
    <LimitExcept OPTIONS>
        Require valid-user
    </LimitExcept>
</Location>
<Location "/small/organizations">
    SetHandler orgs
    OrgsMaxBody 1000
</Location>
<Location "/files">
    AuthType Orgs
    AuthName house
    Require org-member $foreign
</Location>
Listen 127.0.0.1:$tls
<VirtualHost *:$tls>
    SSLEngine On
    SSLCertificateFile "$here/server.pem"
    SSLCertificateKeyFile "$here/server.key"
</VirtualHost>
<VirtualHost *:*>
    ServerName 127.0.0.1
</VirtualHost>
<VirtualHost *:*>
    ServerName faulty.example
    OrgsDBParams "socket=$top/run/protocols.socket dbname=orgs user=orgs"
    OrgsDBTimeout 3
    OrgsDBKeep 1
</VirtualHost>
<VirtualHost *:*>
    ServerName down.example
    OrgsDBParams "socket=$top/run/nowhere"
    OrgsDBTimeout 2
</VirtualHost>
END
my $plain = $httpd->url('');
my $secure = "https://127.0.0.1:$tls";

# --- every version ----------------------------------------------------------------------------------------------------------

# [name, curl's words, where, the version that answers]
my @trust = ('--cacert', "$here/ca.pem");
my @ways = (
    ['HTTP/1.0',          ['--http1.0'], $plain, '1.1'],
    ['HTTP/1.1',          ['--http1.1'], $plain, '1.1'],
    ['HTTP/1.0, TLS 1.2', ['--http1.0', '--no-alpn', '--tls-max', '1.2', @trust], $secure, '1.1'],
    ['HTTP/1.1, TLS 1.3', ['--http1.1', '--tlsv1.3', @trust], $secure, '1.1'],
    $http2 eq '' ? () : (
        ['h2c',           ['--http2-prior-knowledge'], $plain, '2'],
        ['h2c, upgraded', ['--http2'], $plain, '2'],
        ['h2, TLS 1.2',   ['--http2', '--tls-max', '1.2', @trust], $secure, '2'],
        ['h2, TLS 1.3',   ['--http2', '--tlsv1.3', @trust], $secure, '2'],
    ),
);
my %bodies;
for my $way (@ways) {
    my ($name, $with, $base, $version) = @$way;
    my $ask = sub {
        my ($method, $path, %options) = @_;
        # what has a body that nobody reads
        my $r = $name =~ /^h2(?!c,)/ && delete $options{refused} ? nghttp($method => "$base$path", %options)
            : do { delete $options{refused}; curl($method => "$base$path", with => $with, %options) };
        my @wrong;
        push @wrong, "reset: $r->{reset}" if ($r->{reset} // 'NO_ERROR') ne 'NO_ERROR';
        push @wrong, $r->{failed} if $r->{failed};
        # of a request with a body, and of one that a gate refuses, httpd does not change the version
        push @wrong, 'version ' . ($r->{version} // '-') if ($r->{version} // '') ne $version && !($name =~ /upgraded/ && ($method =~ /^P/ || $path =~ /files/));
        push @wrong, 'chunks' if exists $r->{headers}{'transfer-encoding'} && ($name =~ m{^HTTP/1\.0} || $r->{version} eq '2');
        Test::More::fail("$name, $method $path: " . join ', ', @wrong) if @wrong;
        return $r;
    };
    my $made = $ask->(POST => '/organizations', token => $ada, json => {name => "By $name"}, headers => {'Idempotency-Key' => $name =~ tr/ //dr});
    answers($made, 201, "$name: create") or next;
    my $path = $made->{headers}{location};
    my $tag = $made->{headers}{etag};
    my $again = $ask->(POST => '/organizations', token => $ada, json => {name => "By $name"}, headers => {'Idempotency-Key' => $name =~ tr/ //dr});
    is("$again->{body} " . ($again->{headers}{'idempotent-replayed'} // ''), "$made->{body} true", "$name: the same again");
    my $got = $ask->(GET => $path, token => $ada);
    answers($got, 200, "$name: read");
    is("$got->{body} $got->{headers}{etag}", "$made->{body} $tag", '... what was made');
    my $head = $ask->(HEAD => $path, token => $ada);
    answers($head, 200, "$name: HEAD");
    is($head->{headers}{'content-length'} // '', length $got->{body}, '... tells the length') if $version ne '2';
    is($ask->(GET => $path, token => $ada, headers => {'If-None-Match' => $tag})->{status}, 304, "$name: not modified");
    answers($ask->(PUT => $path, token => $ada, json => {description => 'x' x 4000}, headers => {'If-Match' => $tag}), 200, "$name: write");
    answers($ask->(POST => "$path/members", token => $ada, json => {email => $bob->{email}}), 201, "$name: a member");
    my $page = $ask->(GET => "$path/members?limit=1", token => $ada);
    answers($page, 200, "$name: a page");
    my ($next) = ($page->{headers}{link} // '') =~ /^<([^>]+)>; rel="next"$/;
    is(scalar @{$ask->(GET => $next // '/', token => $ada)->{json} || []}, 1, "$name: the next page");
    is(scalar @{$ask->(GET => "$path/members", token => $bob)->{json} || []}, 2, "$name: a list");
    is($ask->(OPTIONS => $path)->{status}, 204, "$name: OPTIONS");
    # refusals, most of them with a body that nobody reads
    my $large = '{"name":"' . 'x' x 100_000 . '"}';
    for my $case (
        [401, 'unauthorized',           POST   => '/organizations',          json => {name => 'x'}],
        [401, 'unauthorized',           POST   => '/organizations',          body => $large],
        [401, 'unauthorized',           POST   => '/gated/organizations',    body => $large],
        [401, 'unauthorized',           GET    => $path,                     token => 'orgs_x'],
        [403, 'admin_required',         PUT    => $path,                     token => $bob, json => {name => 'x'}],
        [404, 'not_found',              PUT    => "$path/none",              token => $ada, body => $large],
        [404, 'organization_not_found', GET    => '/organizations/x',        token => $ada],
        [405, 'method_not_allowed',     PATCH  => $path,                     token => $ada, body => $large],
        [409, 'last_admin',             DELETE => "$path/members/me",        token => $ada],
        [412, 'precondition_failed',    PUT    => $path,                     token => $ada, json => {name => 'x'}, headers => {'If-Match' => $tag}],
        [413, 'body_too_large',         PUT    => $path,                     token => $ada, body => $large],
        [415, 'unsupported_media_type', PUT    => $path,                     token => $ada, body => $large, headers => {'Content-Type' => 'text/plain'}],
        [400, 'malformed_json',         PUT    => $path,                     token => $ada, body => '{"name":'],
        [422, 'invalid_input',          PUT    => $path,                     token => $ada, json => {name => ''}],
        [422, 'invalid_input',          GET    => '/organizations?limit=0',  token => $ada],
        [503, 'unavailable',            POST   => '/organizations',          token => $ada, json => {name => 'x'}, headers => {Host => 'down.example'}],
    ) {
        my ($status, $code, $method, $where, @options) = @$case;
        # a name within TLS is another matter
        next if $status == 503 && $base eq $secure;
        my $r = $ask->($method => $where, @options, refused => 1);
        problem($r, $status, $code, "$name: $method $code");
        my $key = join ' ', $status, $code, $method, $where =~ s{^\Q$path}{PATH}r;
        is($r->{body}, $bodies{$key} //= $r->{body}, '... byte for byte as by others');
    }
    answers($ask->(DELETE => $path, token => $ada), 200, "$name: delete");
    # a gate
    my ($nobody, $stranger, $member) = map { $ask->(GET => '/files/none', $_ ? (token => $_) : ()) } undef, $bob, $eve;
    is("$nobody->{status} $stranger->{status} $member->{status}", '401 403 404', "$name: a gate");
    is($nobody->{headers}{'www-authenticate'}, 'Bearer realm="house"', '... its challenge');
}

# --- many at once on one connection --------------------------------------------------------------------------------------------

SKIP: {
    Test::More::skip('no HTTP/2', 1) if $http2 eq '';
    my $n = 60;
    my @urls = map { "'$plain/organizations/$org" . ('', '/members', '/license', '/none')[$_ % 4] . "?n=$_'" } 1 .. $n;
    my $said = `nghttp -n -v -H 'authorization: Bearer $bob->{token}' @urls 2>&1`;
    my (%statuses, %at);
    while ($said =~ /^(?:\[ *[\d.]+\] (recv) \(stream_id=\d+\) :status: (\d+)|\[ *[\d.]+\] (send) HEADERS)/mg) {
        $statuses{$2}++ if $1;
        $at{$1 // $3} = $at{$1 // $3} // pos $said;
        $at{last} = pos $said if $3;
    }
    is_deeply(\%statuses, {200 => $n * 3 / 4, 404 => $n / 4}, "$n streams of one connection") or diag $said;
    cmp_ok($at{last}, '<', $at{recv}, '... all begun before the first answer');
}

# --- a list that is cut ----------------------------------------------------------------------------------------------------------

{
    my $reader = user('reader');
    many_organizations(1000, $reader, description => 200);
    my $proxy = Orgs::Proxy->new(path => "$top/run/protocols.socket");
    for my $way (grep { $_->[2] eq $plain } @ways) {
        my ($name, $with) = @$way;
        my @faulty = (token => $reader, with => $with, undecoded => 1, headers => {Host => 'faulty.example'});
        $proxy->pass;
        my $whole = until_true(10, sub { my $r = curl(GET => "$plain/organizations", @faulty); $r->{status} == 200 && $r }) || {};
        is(scalar(() = ($whole->{body} // '') =~ /"id":/g), 1000, "$name: a list, whole") or diag $whole->{failed};
        $proxy->arm({side => 'client', kind => 'execute', n => 4, how => 'gone'});
        my $cut = $name eq 'h2c' ? nghttp(GET => "$plain/organizations", @faulty) : curl(GET => "$plain/organizations", @faulty);
        is($cut->{status}, 200, "$name: a list, cut half-way") or diag $cut->{failed};
        is($cut->{reset}, 'INTERNAL_ERROR', '... by a reset of the stream') if $name eq 'h2c';
        isnt($cut->{failed} // '', '', '... and the client is told') if $name ne 'HTTP/1.0' && $name ne 'h2c';
        unlike($cut->{body}, qr/\]\z/, '... and it is no list');
        cmp_ok(length $cut->{body}, '<', length $whole->{body}, '... which came early') if $whole->{body};
        diag $cut->{failed} if $ENV{ORGS_TEST_LONG} && $cut->{failed};
    }
    # clients that leave while the database thinks: streams that end, and connections
    $proxy->pass;
    my @faulty = (token => $reader, headers => {Host => 'faulty.example'});
    # each process finds out for itself that the database is back
    ok(until_true(10, sub { !grep { $_ != 200 } race(12, sub { curl(GET => "$plain/organizations?limit=1", @faulty)->{status} }) }), 'the database is back');
    for my $way (grep { $_->[0] eq 'HTTP/1.1' || $_->[0] eq 'h2c' } @ways) {
        my ($name, $with) = @$way;
        $proxy->delay(0.3);
        my @left = race(12, sub {
            my ($n) = @_;
            my @write = $n % 2 ? (POST => "$plain/organizations", json => {name => "Left by $name"}) : (GET => "$plain/organizations?limit=1");
            return curl(shift @write, shift @write, @faulty, @write, with => [@$with, '--max-time', '0.2'])->{status};
        });
        is(scalar(grep { $_ == 0 } @left), 12, "$name: 12 clients that do not wait") or diag "@left";
        $proxy->pass;
        my @come = map { curl(GET => "$plain/organizations?limit=1", @faulty)->{status} } 1 .. 5;
        is_deeply(\@come, [(200) x 5], '... and those who come are served');
        # a write that was begun is finished or never was
        my $id = id_in_sql($reader->{id});
        my $written = sub { sql_value("SELECT COUNT(*) FROM organizations WHERE name = 'Left by $name' AND created_by = $id") };
        my $before = $written->();
        # one question: others may still be going on
        is(sql_value("SELECT COUNT(*) FROM organizations o LEFT JOIN events e ON e.organization_id = o.id AND e.seq = 1 WHERE o.name = 'Left by $name' AND o.created_by = $id AND (e.id IS NULL OR o.members <> 1)"), 0,
            "... $before writes or more, each of them whole");
    }
    $proxy->end;
}

# --- in step ------------------------------------------------------------------------------------------------------------------------

my $ada_is = "Authorization: Bearer $ada->{token}\r\n";
my $bob_is = "Authorization: Bearer $bob->{token}\r\n";
my $json = "Content-Type: application/json\r\n";
my $next = "GET /organizations/$org HTTP/1.1\r\nHost: x\r\n${ada_is}Connection: close\r\n\r\n";

sub raw_at {
    my ($bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or die "connect: $@";
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $bytes;
    my $answer = Orgs::Test::read_all($socket, 30);
    return (parse_answers($answer), $answer);
}

# The first answer, and then either the end or the next request's answer.
sub in_step {
    my ($bytes, $status, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @answers = raw_at($bytes . $next);
    my $said = pop @answers;
    my $first = $answers[0] || {status => 0, headers => {}};
    my $good = is($first->{status}, $status, "$what: $status");
    if (@answers == 1) {
        $good = is($first->{headers}{connection}, 'close', '... and the connection is closed') && $good;
    }
    else {
        $good = is(scalar @answers, 2, '... and one answer more') && $good;
        $good = is($answers[1]{json} && $answers[1]{json}{id}, $org, '... which is the next request\'s') && $good;
    }
    $good = unlike($said, qr/smuggled/, '... no word of the body') && $good;
    diag $said if !$good;
    return;
}

my $smuggled = "GET /organizations/smuggled/x HTTP/1.1\r\nHost: x\r\n\r\n";
my $long = $smuggled x 2000;
my %body = (
    length => 'Content-Length: ' . length($smuggled) . "\r\n\r\n$smuggled",
    chunks => sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length $smuggled, $smuggled),
    long   => 'Content-Length: ' . length($long) . "\r\n\r\n$long",
);
for my $case (
    # line, headers, status: what errors.t has not, mostly what gates refuse
    ['POST /gated/organizations',           $json,                                        401],
    ["PUT /gated/organizations/$org",       "Authorization: Bearer orgs_x\r\n$json",      401],
    ['POST /files/none',                    $json,                                        401],
    ['POST /files/none',                    $bob_is . $json,                              403],
    ['PUT /files/none',                     $bob_is,                                      403],
    ["PUT /organizations/$org",             $bob_is . $json,                              400],
    ["PUT /organizations/$org?x=1",         "${ada_is}Content-Type: text/plain\r\n",      415],
    ["PUT /small/organizations/$org",       $ada_is . $json . 'X: ' . 'x' x 100 . "\r\n", 400],
    ["OPTIONS /gated/organizations/$org",   '',                                           204],
    ["DELETE /organizations/$org",          $bob_is,                                      403],
    ["DELETE /organizations/$org/members/" . uuid(), $ada_is,                             404],
    ["GET /organizations/$org",             $ada_is . 'If-None-Match: *' . "\r\n",        304],
) {
    my ($line, $headers, $status) = @$case;
    for my $kind (sort keys %body) {
        my $want = $status == 400 && $kind eq 'long' ? 413 : $status;
        in_step("$line HTTP/1.1\r\nHost: x\r\n$headers$body{$kind}", $want, "pipelined, " . ($line =~ s/$org/ORG/r) . ", $kind");
    }
}
in_step("POST /organizations HTTP/1.1\r\nHost: down.example\r\n$ada_is$json$body{$_}", 503, "pipelined, the database down, $_") for sort keys %body;
in_step("POST /files/none HTTP/1.1\r\nHost: down.example\r\n$ada_is$json$body{$_}", 503, "pipelined, a gate with the database down, $_") for sort keys %body;

# --- Expect: 100-continue -------------------------------------------------------------------------------------------------------

for my $case (
    # line, headers, body, status, whether a 100 is due
    ['POST /organizations',         $ada_is . $json, '{"name":"Expected"}',   201, 1],
    ["PUT /organizations/$org",     $ada_is . $json, '{"name":"Expected"}',   200, 1],
    ["PUT /organizations/$org",     $ada_is . $json, '{"name":""}',           422, 1],
    ['POST /organizations',         $json,           '{"name":"x"}',          401, 0],
    ['POST /gated/organizations',   $json,           '{"name":"x"}',          401, 0],
    ['POST /files/none',            $bob_is . $json, '{"name":"x"}',          403, 0],
    ["PUT /organizations/$org/x/y", $ada_is . $json, '{"name":"x"}',          404, 0],
    ["PATCH /organizations/$org",   $ada_is . $json, '{"name":"x"}',          405, 0],
    ["PUT /organizations/$org",     $ada_is,         '{"name":"x"}',          415, 0],
    ["PUT /small/organizations/$org", $ada_is . $json, '{"name":"' . 'x' x 2000 . '"}', 413, 0],
    ["PUT /organizations/$org?limit=1", $ada_is . $json, '{"name":"Expected"}', 200, 1],
) {
    my ($line, $headers, $body, $status, $due) = @$case;
    my $what = 'Expect: 100-continue, ' . ($line =~ s/$org/ORG/r);
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or die "connect: $@";
    syswrite $socket, "$line HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: " . length($body) . "\r\nExpect: 100-continue\r\n\r\n";
    my $said = '';
    until ($said =~ /\r\n\r\n/) {
        sysread $socket, $said, 65536, length $said or last;
    }
    is($said =~ m{^HTTP/1\.1 100 } ? 1 : 0, $due, "$what: " . ($due ? 'the body is asked for' : 'nobody asks for the body')) or diag $said;
    # a client that was refused may go on with its next request, and never send the body
    my $closes = $said =~ /^Connection: close\r$/mi;
    syswrite $socket, $due ? $body . $next : $next if $due || !$closes;
    $said .= Orgs::Test::read_all($socket, 30);
    my ($first, @more) = parse_answers($said);
    is($first->{status}, $status, "... $status") or diag $said;
    $closes && !@more ? is($first->{headers}{connection}, 'close', '... and closed') : is($more[0]{json} && $more[0]{json}{id}, $org, '... and in step') || diag $said;
}
{
    my ($r) = raw_at("PUT /organizations/$org HTTP/1.1\r\nHost: x\r\n$ada_is${json}Expect: the unexpected\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    is($r->{status}, 417, 'another expectation is not met');
}

# --- keep-alive -----------------------------------------------------------------------------------------------------------------------

{
    my $one = "GET /organizations/$org HTTP/1.0\r\nConnection: keep-alive\r\n$bob_is\r\n";
    my @answers = raw_at($one x 5 . "GET /organizations/$org HTTP/1.0\r\n$bob_is\r\n");
    pop @answers;
    is_deeply([map { $_->{json} && $_->{json}{id} } @answers], [($org) x 6], 'HTTP/1.0: six requests on one connection');
    # a list's length is not known when it begins, and HTTP/1.0 has nothing but the end of the connection for that
    my ($list, $after) = raw_at("GET /organizations HTTP/1.0\r\nConnection: keep-alive\r\n$ada_is\r\n$next");
    ok($list->{json}, 'HTTP/1.0: a list on a kept connection') or diag explain $list;
    is(ref $after ? $after->{json}{id} : $list->{headers}{connection}, ref $after ? $org : 'close', '... and then the next, or the end');
    my $mixed = join '', map { "$_ HTTP/1.1\r\nHost: x\r\n$ada_is\r\n" } "GET /organizations/$org", "HEAD /organizations/$org", "OPTIONS /organizations", 'GET /organizations/x', "GET /organizations/$org/members";
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or die "connect: $@";
    syswrite $socket, $mixed . $next;
    my @mixed = parse_answers(Orgs::Test::read_all($socket, 30), 'GET', 'HEAD', 'OPTIONS', 'GET', 'GET', 'GET');
    is(join(' ', map { $_->{status} } @mixed), '200 200 204 404 200 200', 'HTTP/1.1: six, sent at once');
}

is_deeply([$httpd->complaints(qw(AH01630 AH01631 AH01882 AH01909 ORGS0021 ORGS0102))], [], 'the log has what was to be');
done_testing;
