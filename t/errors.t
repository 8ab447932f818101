# Contract 6: problems, each once, and the same whatever surrounds them.
use Orgs::Test;

my ($ada, $bob) = (user('ada'), user('bob'));
my $id = organization_with($ada, member => $bob)->{id};

# --- each code that endpoints 1 to 5 have ---------------------------------------------------------------------------------

my $large = '{"name":"' . 'x' x 70_000 . '"}';
# [request, status, code]
my @problems = (
    [[GET => "$id/none"],                                                                       404, 'not_found'],
    [[PATCH => $id],                                                                            405, 'method_not_allowed'],
    [[GET => $id],                                                                              401, 'unauthorized'],
    [[GET => uuid(), token => $ada],                                                            404, 'organization_not_found'],
    [[PUT => $id, token => $bob, json => {name => 'x'}],                                        403, 'admin_required'],
    [[GET => '?scope=all', token => $ada],                                                      403, 'superuser_required'],
    [[POST => '', token => $ada, json => {name => 'x'}, vhost => 'orgs_closed'],                403, 'creation_forbidden'],
    [[GET => $id, token => $ada, vhost => 'orgs_forbidden'],                                    403, 'forbidden'],
    [[PUT => $id, token => $ada, body => '{'],                                                  400, 'malformed_json'],
    [[POST => '', token => $ada, json => {name => 'x'}, headers => {'Idempotency-Key' => ' '}], 400, 'bad_request'],
    [[PUT => $id, token => $ada, json => {name => 'x'}, headers => {'If-Match' => '"1-x"'}],    412, 'precondition_failed'],
    [[PUT => $id, token => $ada, body => $large],                                               413, 'body_too_large'],
    [[PUT => $id, token => $ada, body => '{}', type => 'text/plain'],                           415, 'unsupported_media_type'],
    [[PUT => $id, token => $ada, json => {name => ''}],                                         422, 'invalid_input'],
    [[PUT => "/httpds/$id", token => $ada, body => '{' . ' ' x 70 . '}', vhost => 'orgs_small'], 413, 'body_too_large'],
);
for my $case (@problems) {
    my ($request, $status, $code) = @$case;
    problem(api(@$request), $status, $code);
}
expect_log('AH01630');            # Require all denied
expect_log('AH01587', undef);     # LimitRequestBody
expect_log('AH01588', undef);
expect_log('AH01589', undef);

# --- under ErrorDocument, mod_headers ---------------------------------------------------------------------------------------

for my $case (
    [[GET => "$id/none"],                                                                404, 'not_found'],
    [[PATCH => $id],                                                                     405, 'method_not_allowed'],
    [[GET => $id],                                                                       401, 'unauthorized'],
    [[GET => uuid(), token => $ada],                                                     404, 'organization_not_found'],
    [[PUT => $id, token => $ada, body => '{'],                                           400, 'malformed_json'],
    [[PUT => $id, token => $ada, json => {name => 'x'}, headers => {'If-Match' => '"x"'}], 412, 'precondition_failed'],
    [[PUT => $id, token => $ada, json => {name => 'x' x 150}],                           413, 'body_too_large'],
    [[PUT => $id, token => $ada, body => '{}', type => 'text/plain'],                    415, 'unsupported_media_type'],
    [[PUT => $id, token => $ada, json => {name => ''}],                                  422, 'invalid_input'],
) {
    my ($request, $status, $code) = @$case;
    my $r = api(@$request, vhost => 'orgs_dressed');
    problem($r, $status, $code, "dressed: $code");
    is($r->{headers}{'x-always'}, 'yes', '... and mod_headers adds its own');
    like($r->{headers}{vary}, qr/Origin/, '... and merges');
    is($r->{body}, api(@$request)->{body}, '... the body as elsewhere') if $status != 413;
}
is(api(GET => '/nothing', vhost => 'orgs_dressed')->{body}, 'dressed', 'ErrorDocument holds beside the mount');

# --- HTTP/1.0, HEAD -------------------------------------------------------------------------------------------------------------

for my $case (
    ["GET /organizations/$id/none",   '',                                                       404, 'not_found'],
    ["GET /organizations/$id",        '',                                                       401, 'unauthorized'],
    ["PATCH /organizations/$id",      '',                                                       405, 'method_not_allowed'],
    ["GET /organizations/x",          "Authorization: Bearer $ada->{token}\r\n",                404, 'organization_not_found'],
    ["PUT /organizations/x",          "Authorization: Bearer $ada->{token}\r\n",                415, 'unsupported_media_type'],
) {
    my ($line, $headers, $status, $code) = @$case;
    my ($r) = raw_request("$line HTTP/1.0\r\n$headers\r\n");
    problem($r, $status, $code, "HTTP/1.0: $line");
    ok(!exists $r->{headers}{'transfer-encoding'}, '... without chunks');
    (my $bytes) = (raw_request("$line HTTP/1.1\r\n${headers}Host: x\r\nConnection: close\r\n\r\n"))[-1];
    is((parse_answers($bytes))[0]{body}, $r->{body}, '... the body as in HTTP/1.1');
}
for my $path ("$id/none", uuid(), '?limit=0') {
    my ($get, $head) = map { api($_ => $path, token => $ada) } qw(GET HEAD);
    is($head->{status}, $get->{status}, "HEAD $path: the status of GET");
    problem($head, $get->{status}, $get->{json}{code}, '... without a body');
}

# --- bodies that do not come as announced -------------------------------------------------------------------------------------------

my $put = "PUT /organizations/$id HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nContent-Type: application/json\r\n";
# [what, bytes, half-closed afterwards, status, code or undef for httpd's own]
for my $case (
    ['a chunk size that is none',  "${put}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",     0, 400, 'bad_request'],
    ['a chunk size too large',     "${put}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",   0, [400, 413], undef],
    ['a negative chunk size',      "${put}Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",     0, 400, 'bad_request'],
    ['an unknown coding',          "${put}Transfer-Encoding: gzip\r\nConnection: close\r\n\r\n{}",      0, [400, 501], undef],
    ['a length that is none',      "${put}Content-Length: x\r\n\r\n{}",                                 0, 400, undef],
    ['two lengths',                "${put}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",           0, 400, undef],
) {
    my ($what, $bytes, $half, $status, $code) = @$case;
    my ($r) = raw_request($bytes, half => $half);
    if (ref $status) {
        ok(scalar(grep { $r->{status} == $_ } @$status), $what) or diag explain $r;
    }
    elsif (defined $code) {
        problem($r, $status, $code, $what);
    }
    else {
        is($r->{status}, $status, $what) or diag explain $r;
    }
}
{
    # the client gives up in the middle of a body: nothing is written
    my $name = 'Given up ' . uuid();
    my $socket = raw();
    syswrite $socket, "POST /organizations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nContent-Type: application/json\r\n"
        . "Content-Length: 100\r\n\r\n{\"name\":\"$name\"}";
    close $socket;
    my $r = api(GET => $id, token => $ada);
    answers($r, 200, 'after a client that gave up');
    is(sql_value("SELECT COUNT(*) FROM organizations WHERE name = '$name'"), 0, 'nothing was written');
}
{
    my ($r) = raw_request("${put}Content-Length: 20\r\n\r\n{\"name\":", vhost => 'orgs_impatient');
    problem($r, 408, 'request_timeout', 'a body that does not come in time');
    is($r->{headers}{connection}, 'close', 'and the connection is closed');
    expect_log('AH01382', undef);
}

# --- what comes after an early answer ----------------------------------------------------------------------------------------------

# Each request has a body that reads like a request; after it comes another one on the same connection. Either the
# connection is closed, or the next answer is the next request's.
{
    my $smuggled = "GET /organizations/smuggled/x HTTP/1.1\r\nHost: x\r\n\r\n";
    my $length = length $smuggled;
    my $token = "Authorization: Bearer $ada->{token}\r\n";
    my $json = "Content-Type: application/json\r\n";
    my $next = "GET /organizations/$id HTTP/1.1\r\nHost: x\r\n${token}Connection: close\r\n\r\n";
    my $chunks = sprintf "%x\r\n%s\r\n0\r\n\r\n", $length, $smuggled;
    my $long = $smuggled x int(100_000 / $length);
    for my $case (
        ['404',      "POST /organizations/$id/none/x",        '',                           404],
        ['405',      "PATCH /organizations/$id",              $token . $json,               405],
        ['401',      'POST /organizations',                   $json,                        401],
        ['415',      "PUT /organizations/$id",                $token,                       415],
        ['400',      "PUT /organizations/$id",                $token . $json,               400],
        ['404 organization', 'DELETE /organizations/none',    $token,                       404],
        ['GET',      "GET /organizations/$id",                $token,                       200],
        ['OPTIONS',  "OPTIONS /organizations/$id",            '',                           204],
        ['422',      'GET /organizations?limit=0',            $token,                       422],
    ) {
        my ($what, $line, $headers, $status) = @$case;
        for my $body (["Content-Length: $length\r\n\r\n$smuggled", 'length'],
            ["Transfer-Encoding: chunked\r\n\r\n$chunks", 'chunks'],
            ['Content-Length: ' . length($long) . "\r\n\r\n$long", 'long'])
        {
            my $code = $status == 400 && $body->[1] eq 'long' ? 413 : $status;
            my @answers = raw_request("$line HTTP/1.1\r\nHost: x\r\n$headers$body->[0]$next");
            my $bytes = pop @answers;
            is($answers[0]{status}, $code, "pipelined, $what, $body->[1]: the first answer");
            unlike($bytes, qr/smuggled/, '... no word of the body');
            if (@answers == 1) {
                is($answers[0]{headers}{connection}, 'close', '... and the connection is closed');
            }
            else {
                is(scalar @answers, 2, '... and one answer more');
                is($answers[1]{json}{id}, $id, '... which is the next request\'s') or diag $bytes;
            }
        }
    }
}

# --- our own faults ---------------------------------------------------------------------------------------------------------------------

{
    my $odd = another_database('orgs_odd');
    my $token = do {
        orgsctl($odd, 'user', 'add', 'odd@example.com');
        orgsctl($odd, 'token', 'issue', 'odd@example.com');
    };
    my %odd = (vhost => 'orgs_odd', token => $token);
    my $made = api(POST => '', %odd, json => {name => 'Odd'});
    answers($made, 201, 'another database');

    my ($definer) = sql("SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'orgs_odd' AND ROUTINE_NAME = 'organization_update_v1'");
    my $arguments = 'IN a BINARY(16), IN b BINARY(16), IN c VARBINARY(64), IN s BOOLEAN, IN d BINARY(16), IN e VARCHAR(4000), IN f VARCHAR(200), '
        . 'IN g BOOLEAN, IN h VARCHAR(4000), IN i BOOLEAN';
    # [what the procedure does instead, status, code, its line in the log]
    for my $case (
        ["SELECT 'what_is_this', 0, NULL",                                                    500, 'internal_error', 'ORGS0011'],
        ["SELECT NULL, 0, 'no JSON'",                                                         500, 'internal_error', 'ORGS0011'],
        ["SIGNAL SQLSTATE '22001' SET MYSQL_ERRNO = 1406, MESSAGE_TEXT = 'secret detail'",    500, 'internal_error', 'ORGS0011'],
        ["SIGNAL SQLSTATE '42S02' SET MYSQL_ERRNO = 1146, MESSAGE_TEXT = 'secret detail'",    503, 'unavailable',    'ORGS0103'],
        ["SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'secret detail'",    503, 'unavailable',    undef],
    ) {
        my ($does, $status, $code, $tag) = @$case;
        sql({database => 'orgs_odd'}, "DROP PROCEDURE IF EXISTS organization_update_v1;\nDELIMITER \$\$\nCREATE DEFINER = `orgs_definer`\@`localhost` PROCEDURE organization_update_v1($arguments) "
            . "MODIFIES SQL DATA BEGIN $does; END\$\$\nDELIMITER ;\nSELECT 1");
        my $r = api(PUT => $made->{json}{id}, %odd, json => {name => 'x'});
        problem($r, $status, $code, "a procedure that is wrong: $does");
        unlike($r->{body}, qr/secret|SELECT|orgs_odd|SQL/, '... and the client is not told how');
        expect_log($tag) if defined $tag;
        answers(api(GET => $made->{json}{id}, %odd), 200, '... other requests work');
    }
    sql({database => 'orgs_odd'}, 'DROP PROCEDURE organization_update_v1');
    my $told = () = log_lines('ORGS0103');
    problem(api(PUT => $made->{json}{id}, %odd, json => {name => 'x'}), 503, 'unavailable', "a procedure that is not there, $_") for 1 .. 3;
    my @lines = log_lines('ORGS0103');
    my %times;
    $times{$_}++ for map { /(pid \d+)/ } @lines[$told .. $#lines];
    is_deeply([grep { $_ != 1 } values %times], [], '... is told once by each process, not at each try') or diag @lines;
    orgsctl($odd, 'schema');
    answers(api(PUT => $made->{json}{id}, %odd, json => {name => 'x'}), 200, 'mended by orgsctl schema, without a restart');
}
{
    # a schema that is newer than the module, and a database without one: each is one line in the log
    is(scalar(() = log_lines('ORGS0102')), 0, 'all is well so far');
    sql('CREATE DATABASE IF NOT EXISTS orgs_void; GRANT SELECT, EXECUTE ON orgs_void.* TO orgs@localhost;'
        . 'CREATE TABLE orgs_void.schema_version (id TINYINT PRIMARY KEY, version INT, oldest_module INT, steps INT);'
        . 'INSERT INTO orgs_void.schema_version VALUES (1, 99, 99, 1); DROP TABLE orgs_odd.schema_version;');
    sql("KILL $_->[0]") for sql("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = 'orgs_odd'");
    for my $vhost (qw(orgs_void orgs_odd)) {
        until_true(5, sub { api(GET => '', vhost => $vhost, token => $ada)->{status} == 503 });
        problem(api(GET => '', vhost => $vhost, token => $ada), 503, 'unavailable', "$vhost, $_") for 1 .. 5;
    }
    my @lines = log_lines('ORGS0102');
    is(scalar @lines, 2, 'however many processes there are') or diag @lines;
    is(scalar(grep { /schema is of version 99/ } @lines), 1, 'one says which version there is') or diag @lines;
    is(scalar(grep { /no schema.*orgsctl schema/ } @lines), 1, 'the other what to do') or diag @lines;
    expect_log('ORGS0102');
}

# --- no input yields a 5xx -------------------------------------------------------------------------------------------------------------------

{
    my @children = httpd_children();
    srand(my $seed = $ENV{ORGS_TEST_SEED} || time);
    diag "ORGS_TEST_SEED=$seed" if $ENV{ORGS_TEST_LONG};
    my $pick = sub { $_[rand @_] };
    my $noise = sub { join '', map { chr int rand 256 } 1 .. 1 + rand 40 };
    my @heads = (
        'Content-Type: application/json', 'Content-Type: text/plain', "Authorization: Bearer $ada->{token}", 'Authorization: Bearer x',
        'If-Match: *', 'If-Match: "', 'If-Match: W/', 'If-Match: ,,,"",', 'If-None-Match: "1-', 'If-None-Match: *, *', 'Expect: 100-continue',
        'Range: bytes=0-', 'Idempotency-Key: x', 'Content-Encoding: gzip', 'Transfer-Encoding: chunked', 'Accept: image/png',
        'X-HTTP-Method-Override: DELETE', 'Origin: null', 'Cookie: x=y', 'Upgrade: h2c',
    );
    my @bodies = ('', '{}', '{"name":"x"}', '[', '{"name":{"a":[]}}', "\0", '{"name":"\ud800"}', '1e999', '"' . 'x' x 300, '{"active":false}');
    my @wrong;
    for my $round (1 .. long_or(20_000, 400)) {
        my $path = '/organizations' . $pick->('', '/', "/$id", "/$id/", '/x', "/$id/members", '/%00', '/%2e%2e', "/\xff", '/' . 'a' x 300, $noise->() =~ s/[\s\0#?]//gr)
            . $pick->('', '', '?', '?limit=1', '?limit=1&cursor=' . 'A' x rand 80, '?active_only=%', '?' . ($noise->() =~ s/[\s\0#]//gr));
        my $body = $pick->(@bodies, $noise->());
        my $request = $pick->(qw(GET GET POST PUT PUT DELETE PATCH OPTIONS HEAD)) . " $path HTTP/1." . $pick->(0, 1, 1, 1) . "\r\nHost: x\r\n"
            . join('', map { "$_\r\n" } grep { rand() < 0.2 } @heads) . (rand() < 0.7 ? "Authorization: Bearer $bob->{token}\r\n" : '')
            . 'Content-Length: ' . length($body) . "\r\nConnection: close\r\n\r\n$body";
        substr $request, rand length $request, 1, chr rand 256 if rand() < 0.1;
        # an answer to HTTP/0.9 has no head
        my ($r) = grep { ref } raw_request($request, half => 1);
        push @wrong, [$r, $request] if !$r || $r->{status} >= 500 && $r->{status} != 501 && $r->{status} != 505;
    }
    @wrong = grep { !($_->[0] ? 0 : $_->[1] =~ m{\A[^\r\n]*(?<!HTTP/1\.[01])\r?\n}) } @wrong;   # HTTP/0.9 and the like
    is(scalar @wrong, 0, 'no input yields a 5xx or nothing at all') or diag explain [@wrong[0 .. ($#wrong < 2 ? $#wrong : 2)]];
    is_deeply([httpd_children()], \@children, 'no process died') if @children == 1;
    # what httpd itself says of requests that are none
    expect_log('[core:error]', undef);
}

done_testing;
