# `make check-valgrind`: httpd with the module under valgrind, on each MPM: start, 1,000 mixed requests, a graceful restart
# among them, 500 more, stop. No process reads what it must not or ends without its report, and none loses memory.
use Orgs::Test;
use Orgs::Curl;
use Orgs::Database;
use Orgs::Endpoints;
use Orgs::Httpd;
use Orgs::Valgrind;
use Digest::SHA qw(sha1_base64);
use List::Util qw(shuffle sum0);
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep);

use constant {CLIENTS => 4, BEFORE => 1_000, AFTER => 500};

my $test = "valgrind-$$";
my $seed = $ENV{ORGS_TEST_SEED} || time;
diag "ORGS_TEST_SEED=$seed";
my @mpms = split ' ', $ENV{ORGS_TEST_MPM} || 'event worker prefork';

my $world = world();
my $second = Orgs::Database->new;
my ($ada, $bob, $eve) = map { user($_) } qw(ada bob eve);
my $revoked = new_token($eve);
orgsctl('token', 'revoke', '--all', $eve->{email});
$eve->{token} = new_token($eve);
my $team = organization_with($ada, member => $bob);
my $org = $team->{id};
license_held_by($team);
my $idle = organization($ada);
api(PUT => $idle->{id}, token => $ada, json => {active => JSON::PP::false()});
$team->{etag} = api(GET => $org, token => $ada)->{headers}{etag};
my %keyed = (name => 'Twice');
api(POST => '', token => $ada, json => \%keyed, headers => {'Idempotency-Key' => $test});

my $gate = '%{env:MATCH_ORG}';
my %gates = (
    member => "Require org-member $gate", admin => "Require org-admin $gate", plan => "Require org-plan $gate team gold", license => "Require org-license $gate",
    all => "<RequireAll>\nRequire org-member $gate\nRequire org-license $gate\nRequire org-plan $gate team\n</RequireAll>",
    any => "<RequireAny>\nRequire ip 192.0.2.1\nRequire is-team\nRequire org-admin $gate\n</RequireAny>",
    not => "<RequireAll>\nRequire valid-user\nRequire not org-member $gate\n</RequireAll>",
);
my $authenticated = "AuthType Basic\nAuthName house\nAuthBasicProvider file\nAuthUserFile passwords\nRequire valid-user\n";

# mod_http2 does not go with prefork
sub settings {
    my ($directory, $mpm) = @_;
    my %file = (passwords => join('', map { "$_:{SHA}" . sha1_base64('secret') . "=\n" } $ada->{email}, "new\@$test.example", 'nobody@valgrind.example'),
        'htdocs/file' => "A file.\n", 'htdocs/page.shtml' => "<!--#include virtual=\"/member/$org/file\" --><!--#include virtual=\"/organizations/$org\" -->\n");
    for my $name (sort keys %file) {
        open my $out, '>', "$directory/$name" or die "$name: $!";
        print $out $file{$name};
    }
    return load_modules(qw(include unique_id), $mpm eq 'prefork' ? () : 'http2') . database_lines() . <<"END" . join '', map { <<"GATE" } sort keys %gates;
<IfModule !mpm_prefork_module>
    ServerLimit 4
    StartServers 2
    ThreadLimit 12
    ThreadsPerChild 12
    MinSpareThreads 12
    MaxSpareThreads 24
    MaxRequestWorkers 24
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 6
    MinSpareServers 2
    MaxSpareServers 8
    ServerLimit 32
    MaxRequestWorkers 32
</IfModule>
LogLevel info orgs:trace4
LogFormat "%>s" status
CustomLog access_log status
LogFormat "%{orgs-code}n %{orgs-org}n %{orgs-role}n %{orgs-db-us}n %{orgs-retries}n %{orgs-token}n %{ORGS_ROLE}e" notes
CustomLog notes_log notes
OrgsDBTimeout 60
OrgsDBMax 4
ExtendedStatus On
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
AddOutputFilter INCLUDES .shtml
Options +Includes
AliasMatch "^/(?:@{[join '|', sort keys %gates]}|basic)/[^/]+/(.*)" "$directory/htdocs/\$1"
<AuthzProviderAlias org-plan is-team "$gate team">
</AuthzProviderAlias>
<Location "/organizations">
    SetHandler orgs
    SetOutputFilter DEFLATE
</Location>
<Location "/slow">
    SetHandler orgs
    OrgsRateLimit 1/86400
</Location>
<Location "/remote">
    SetHandler orgs
    $authenticated
    OrgsRemoteUser email
    OrgsTrustedOrigin https://trusted.example
</Location>
<Location "/provisioned">
    SetHandler orgs
    $authenticated
    OrgsRemoteUser email
    OrgsRemoteProvision On
</Location>
<Location "/orgs-status">
    SetHandler orgs-status
</Location>
<Location "/server-status">
    SetHandler server-status
</Location>
<LocationMatch "^/basic/(?<org>[^/]+)/">
    AuthType Basic
    AuthName house
    AuthBasicProvider orgs
    Require org-member $gate
</LocationMatch>
<VirtualHost *>
    ServerName main
</VirtualHost>
<VirtualHost *>
    ServerName second
    @{[database_lines('second')]}
</VirtualHost>
END
<LocationMatch "^/$_/(?<org>[^/]+)/">
    AuthType Orgs
    $gates{$_}
</LocationMatch>
GATE
}

# --- requests of one's own ------------------------------------------------------------------------------------------------

# [what, status or which ones, method, path, options of api()]
sub requests {
    my $long = $world->{long}{id};
    my $basic = sub { return (headers => {Authorization => 'Basic ' . encode_base64("$_[0]:$_[1]", ''), %{$_[2] || {}}}) };
    my @requests = (
        ['nobody', 401, GET => '/organizations'],
        ['malformed token', 401, GET => '/organizations', token => 'orgs_x'],
        ['revoked token', 401, GET => "/organizations/$org", token => $revoked],
        ['no path', 404, GET => '/organizations/a/b', token => $ada],
        ['no method', 405, PATCH => "/organizations/$org", token => $ada],
        ['OPTIONS', 204, OPTIONS => "/organizations/$org"],
        ['HEAD', 200, HEAD => "/organizations/$long/members", token => $ada],
        ['the description', 200, GET => '/organizations/openapi.json'],
        ['some', 200, GET => "/organizations/$long/members?limit=7", token => $ada],
        ['deflated', 200, GET => "/organizations/$long/events?order=desc", token => $ada, headers => {'Accept-Encoding' => 'gzip'}],
        ['a wrong query', 422, GET => "/organizations/$long/members?limit=x&cursor=y&z=1", token => $ada],
        ['a stranger', 404, GET => "/organizations/$org", token => $eve],
        ['no id', 404, GET => '/organizations/xyz', token => $ada],
        ['a member only', 403, PUT => "/organizations/$org", token => $bob, json => {name => 'Mine'}],
        ['a plain member looks', 403, GET => "/organizations/$org/events", token => $bob],
        ['nobody there', 404, GET => "/organizations/$org/members/" . uuid(), token => $ada],
        ['the last admin', 409, DELETE => "/organizations/$org/members/me", token => $ada],
        ['a member already', 409, POST => "/organizations/$org/members", token => $ada, json => {email => $bob->{email}}],
        ['no user', 404, POST => "/organizations/$org/members", token => $ada, json => {email => 'no@where.example'}],
        ['inactive', 409, POST => "/organizations/$idle->{id}/members", token => $ada, json => {email => $bob->{email}}],
        ['no license', 404, PUT => "/organizations/$org/license", token => $ada, json => {license_id => uuid()}],
        ['an old tag', 412, PUT => "/organizations/$org", token => $ada, json => {name => 'New'}, headers => {'If-Match' => '"9-x"'}],
        ['unchanged', 304, GET => "/organizations/$org", token => $ada, headers => {'If-None-Match' => $team->{etag}}],
        ['another type', 415, POST => '/organizations', token => $ada, body => '{}', type => 'text/plain'],
        ['too large', 413, POST => '/organizations', token => $ada, body => '[' . '1,' x 40_000 . '1]'],
        ['no JSON', 400, POST => '/organizations', token => $ada, body => '{"name": "a", '],
        ['twice a member', 400, POST => '/organizations', token => $ada, body => '{"name": "a", "name": "b"}'],
        ['deep', 400, POST => '/organizations', token => $ada, body => '[' x 100 . ']' x 100],
        ['not UTF-8', 400, POST => '/organizations', token => $ada, body => "{\"name\": \"\xff\"}"],
        ['wrong things', 422, POST => '/organizations', token => $ada, json => {name => 7, description => ['x']}],
        ['no object', 422, PUT => "/organizations/$org/members/me", token => $ada, json => [1]],
        ['a wrong role', 422, POST => "/organizations/$org/members", token => $ada, json => {email => 'x', role => 'king'}],
        ['a key', 201, POST => '/organizations', token => $ada, json => {name => 'Key'}],
        ['the old key', 201, POST => '/organizations', token => $ada, json => \%keyed, headers => {'Idempotency-Key' => $test}],
        ['the old key for another', 422, POST => '/organizations', token => $ada, json => {name => 'Other'}, headers => {'Idempotency-Key' => $test}],
        ['too fast', 429, POST => '/slow', token => $eve, json => {name => 'Fast'}],
        ['status, JSON', 200, GET => '/orgs-status?format=json'],
        ['status, Prometheus', 200, GET => '/orgs-status?format=prometheus'],
        ['status, health', qr/^(?:200|503)$/, GET => '/orgs-status?format=health'],
        ['mod_status', 200, GET => '/server-status'],
        ['mod_status, auto', 200, GET => '/server-status?auto'],
        ['a page with parts', 200, GET => '/page.shtml', token => $ada],
        ['a page with parts, for nobody', 200, GET => '/page.shtml'],
        ['httpd\'s file', 200, GET => '/file'],
        ['no file', 404, GET => '/none'],
        ['remote', 200, GET => '/remote', $basic->($ada->{email}, 'secret')],
        ['remote, wrong', 401, GET => '/remote', $basic->($ada->{email}, 'guess')],
        ['remote, unknown', 403, GET => '/remote', $basic->('nobody@valgrind.example', 'secret')],
        ['provisioned', 200, GET => '/provisioned', $basic->("new\@$test.example", 'secret')],
        ['another site', 403, POST => '/remote', json => {name => 'CSRF'}, $basic->($ada->{email}, 'secret', {Origin => 'https://evil.example'})],
        ['a trusted site', 422, POST => '/remote', json => {}, $basic->($ada->{email}, 'secret', {Origin => 'https://trusted.example'})],
        ['Basic', 200, GET => "/basic/$org/file", $basic->('x', $ada->{token})],
        ['Basic, wrong', 401, GET => "/basic/$org/file", $basic->('x', 'orgs_y')],
        ['Basic, a stranger', 403, GET => "/basic/$org/file", $basic->('x', $eve->{token})],
    );
    my %refused = (admin => {bob => 403, eve => 403}, not => {ada => 403, bob => 403}, any => {eve => 403}, map { $_ => {eve => 403} } qw(member plan license all));
    for my $name (sort keys %gates) {
        push @requests, ["/$name/, nobody", 401, GET => "/$name/$org/file"], ["/$name/, no id", $name eq 'not' ? 200 : 403, GET => "/$name/none/file", token => $ada],
            map { ["/$name/, $_->{email}", $refused{$name}{$_->{email} =~ s/@.*//r} // 200, GET => "/$name/$org/file", token => $_] } $ada, $bob, $eve;
    }
    return @requests;
}

# Bytes on a connection of their own, and the answers' statuses: [what, statuses, bytes, methods].
sub spoken {
    my $head = "Host: main\r\nAuthorization: Bearer $ada->{token}\r\n";
    my $post = "POST /organizations HTTP/1.1\r\n${head}Content-Type: application/json\r\n";
    return (
        ['HTTP/1.0', '200', "GET /organizations/$world->{long}{id}/members HTTP/1.0\r\n$head\r\n"],
        ['pipelined', '200 404 401 200', join '', map { "GET $_->[0] HTTP/1.1\r\n$_->[1]\r\n" }
            ["/organizations/$org", $head], ['/organizations/none', $head], ['/organizations', "Host: main\r\n"], ["/member/$org/file", $head]],
        ['chunked', '201', "${post}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"name\"\r\n5\r\n:\"x\"}\r\n0\r\n\r\n"],
        ['with a question', '201', "${post}Connection: close\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}"],
        ['half a body', '400', "${post}Content-Length: 100\r\n\r\n{\"name\":"],
        ['no length', '400', "${post}Content-Length: x\r\n\r\n"],
    );
}

sub speak {
    my ($httpd, $bytes, $leave) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or die "connect: $@";
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $bytes;
    return '' if $leave;
    shutdown $socket, 1;
    return join ' ', map { $_->{status} } parse_answers(read_all($socket, 60));
}

# A connection that served before may be closed by the restart just then.
sub again { my ($send) = @_; my $answer = $send->(); return $answer->{status} || !$answer->{kept} || $answer->{begun} ? $answer : $send->() }

# What a client does, each a function that gives what was wrong.
sub jobs {
    my ($httpd, $mpm) = @_;
    my @jobs;
    # what may not be sent twice has a connection of its own
    my ($kept, $new) = map { "$_:$httpd->{port}" } '127.0.0.1', 'localhost';
    for my $endpoint (endpoints($world)) {
        push @jobs, sub {
            my $target = $endpoint->{before}->();
            $target->{headers}{Connection} = 'close' if $endpoint->{write};
            my $answer = $endpoint->{write} ? request($target, $new) : again(sub { request($target, $kept) });
            return map { "$endpoint->{name}: $_" } wrong($endpoint, $target, $answer);
        };
    }
    for my $request (requests()) {
        my ($what, $status, $method, $path, %options) = @$request;
        push @jobs, sub {
            # a key of one's own is new each time
            $options{headers}{'Idempotency-Key'} = uuid() if $what eq 'a key';
            my $answer = again(sub { api($method => '', url => $httpd->url($path), %options) });
            return (ref $status ? $answer->{status} =~ $status : $answer->{status} == $status) ? () : "$what: $answer->{status} instead of $status, $answer->{body}";
        };
    }
    for my $bytes (spoken()) {
        push @jobs, sub {
            my $answers = speak($httpd, $bytes->[2]);
            return $answers eq $bytes->[1] ? () : "$bytes->[0]: $answers instead of $bytes->[1]";
        };
    }
    push @jobs, sub { speak($httpd, "GET /organizations/$world->{long}{id}/members HTTP/1.1\r\nHost: main\r\nAuthorization: Bearer $ada->{token}\r\n\r\n", 1); return };
    for my $path ($mpm eq 'prefork' ? () : ("/organizations/$org", "/organizations/$world->{long}{id}/members", "/member/$org/file")) {
        push @jobs, sub {
            my $answer = curl(GET => $httpd->url($path), token => $ada, with => ['--http2-prior-knowledge']);
            return $answer->{status} == 200 && $answer->{version} eq '2' ? () : "HTTP/$answer->{version}, $path: $answer->{status}";
        };
    }
    return @jobs;
}

# One after the other in any order, until it is enough; what was answered otherwise.
sub client {
    my ($number, $httpd, $mpm, $enough) = @_;
    srand $seed + $number;
    my @jobs = jobs($httpd, $mpm);
    my @wrong;
    until (-e $enough) {
        push @wrong, map { $_->() } shuffle @jobs;
    }
    return \@wrong;
}

# --- one MPM ----------------------------------------------------------------------------------------------------------------

sub statuses { my ($httpd) = @_; open my $in, '<', "$httpd->{directory}/access_log" or return; chomp(my @lines = <$in>); return @lines }

# A database that goes away, and comes back; kept connections to it are dead then.
sub outage {
    my ($httpd) = @_;
    my $ask = sub { return api(GET => '', url => $httpd->url('/organizations'), token => $second->token('ada'), headers => {Host => 'second'})->{status} };
    return 'with its database' if !until_true(60, sub { $ask->() == 200 });
    $second->stop;
    my $down = until_true(60, sub { $ask->() == 503 });
    $second->start;
    return 'without its database' if !$down;
    return 'with its database back' if !until_true(60, sub { $ask->() == 200 });
    return;
}

sub restarted {
    my ($httpd) = @_;
    my $before = () = $httpd->log_text =~ /resuming normal operations/g;
    $httpd->signal('USR1');
    return until_true(300, sub { (() = $httpd->log_text =~ /resuming normal operations/g) > $before });
}

# What idles is closed by the server now and then.
sub close_idle {
    sql("KILL $_->[0]") for sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'orgs' AND COMMAND = 'Sleep' AND TIME >= 1 LIMIT 1");
    return;
}

# Whether so many requests more are answered, however long it takes.
sub progress {
    my ($httpd, $requests) = @_;
    my $from = statuses($httpd);
    return until_true(1200, sub { close_idle(); sleep 0.5; statuses($httpd) - $from >= $requests });
}

# While the clients go on.
sub drive {
    my ($httpd, $enough) = @_;
    my @wrong;
    push @wrong, 'there is no progress' if !progress($httpd, BEFORE);
    push @wrong, 'there is no restart' if !restarted($httpd);
    push @wrong, 'there is no progress after the restart' if !progress($httpd, AFTER);
    open my $out, '>', $enough or die "$enough: $!";
    return \@wrong;
}

$second->start;
for my $mpm (@mpms) {
    my $valgrind = Orgs::Valgrind->new;
    my $httpd = Orgs::Httpd->start(sub { settings($_[0], $mpm) }, mpm => $mpm, under => $valgrind->command);
    my @wrong = outage($httpd);
    # whose request it is, is the rate limit's to know
    api(POST => '', url => $httpd->url('/slow'), token => $eve, json => {name => 'Slow'});
    my $enough = "$httpd->{directory}/enough";
    push @wrong, map { @$_ } race(1 + CLIENTS, sub { my ($number) = @_; return $number ? client($number, $httpd, $mpm, $enough) : drive($httpd, $enough) });
    push @wrong, outage($httpd);
    is($httpd->stop, 0, "$mpm: httpd ends well");
    is(scalar @wrong, 0, "$mpm: every request is answered as it should be") or diag join "\n", @wrong > 20 ? (@wrong[0 .. 19], '...') : @wrong;
    # on a machine that has no time: to end takes a process longer than httpd likes to wait (who then is killed does not
    # report), or to connect takes longer than the two seconds of a probe of its health
    my @complaints = $httpd->complaints("'$second->{run}/db/socket'", 'unable to include', 'connecting takes too long', qw(AH00045 AH01617 AH01618 AH01631));
    is(scalar @complaints, 0, "$mpm: httpd has nothing to complain of") or diag @complaints > 20 ? (@complaints[0 .. 19], '...') : @complaints;

    my %count;
    $count{$_}++ for statuses($httpd);
    cmp_ok(sum0(values %count), '>=', BEFORE + AFTER, "$mpm: there were so many requests");
    my @processes = $valgrind->processes;
    cmp_ok(scalar @processes, '>=', 3, "$mpm: the parent, and processes before and after the restart");
    is_deeply([map { $_->{pid} } grep { !defined $_->{errors} } @processes], [], "$mpm: each reports");
    my ($errors, $lost) = map { my $name = $_; sum0(map { $_->{$name} // 0 } @processes) } qw(errors lost);
    is($errors, 0, "$mpm: errors");
    is($lost, 0, "$mpm: bytes definitely lost");
    diag map { substr $_->{text}, 0, 20_000 } grep { $_->{errors} || $_->{lost} || !defined $_->{errors} } @processes;
    diag sprintf '%s: %d requests (%s), %d processes, %d errors, %d bytes definitely lost', $mpm, sum0(values %count),
        join(', ', map { "$_: $count{$_}" } sort keys %count), scalar @processes, $errors, $lost;
}
$second->stop;
done_testing;
