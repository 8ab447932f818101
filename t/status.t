# Figures for operators: the same ones in mod_status's page, in ?auto, as JSON and for Prometheus, true over all
# processes; and what a load balancer is told.
use Orgs::Test;
use Orgs::Database;
use Orgs::Httpd;
use Time::HiRes qw(sleep time);

my $db = Orgs::Database->new->start;
my $ada = $db->token('ada');
my $settings = <<'CONF';
<IfModule !mpm_prefork_module>
    ServerLimit 4
    StartServers 2
    ThreadLimit 12
    ThreadsPerChild 12
    MinSpareThreads 12
    MaxSpareThreads 48
    MaxRequestWorkers 24
</IfModule>
OrgsDBMax 2
OrgsDBTimeout 20
<Location "/organizations">
    SetHandler orgs
</Location>
<Location "/orgs-status">
    SetHandler orgs-status
</Location>
<Location "/server-status">
    SetHandler server-status
</Location>
# within the mount it is no part of the API
<Location "/organizations/figures">
    SetHandler orgs-status
</Location>
<Location "/shut">
    SetHandler orgs-status
    Require all denied
</Location>
<Location "/gated">
    AuthType Orgs
    Require org-member %{HTTP:X-Org}
</Location>
CONF
my $second = database_lines('second');
my $before = shared_memory();
my $httpd = Orgs::Httpd->start($second . $settings, mpm => 'event');

sub shared_memory { return join '', `ipcs -m`, map { "$_\n" } sort glob '/dev/shm/*' }

sub get { my ($path, %options) = @_; return api(GET => '', url => ($options{httpd} // $httpd)->url($path), %options) }

# The figures of the first database.
sub figures { return get('/orgs-status?format=json', @_)->{json}{databases}[0] || {} }

sub figure { return figures()->{$_[0]} }

# Sends a request, and does not wait for its answer.
sub begin {
    my ($method, $path, $token, $body) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die "connect: $@";
    syswrite $socket, "$method $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $token\r\n"
        . "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    return $socket;
}

sub executed { return ($db->sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'"))[0][1] }

# --- what happened is what is counted -----------------------------------------------------------------------------------------

my $executed = executed();
my $organization = api(POST => '', url => $httpd->url('/organizations'), token => $ada, json => {name => 'Counted'})->{json};
is(get("/organizations/$organization->{id}", token => $ada)->{status}, 200, "a read, $_") for 1 .. 3;
is(get('/organizations/nothing', token => $ada)->{status}, 404, 'nothing');
is(get('/organizations')->{status}, 401, "nobody, $_") for 1 .. 2;
is(api(PUT => '', url => $httpd->url("/organizations/$organization->{id}"), token => $ada, json => {name => ''})->{status}, 422, 'a mistake');
is(get('/gated', token => $ada, headers => {'X-Org' => $organization->{id}})->{status}, 404, 'let through by a gate');
is(get('/gated', token => $ada, headers => {'X-Org' => uuid()})->{status}, 403, 'refused by a gate');
is(get('/gated')->{status}, 401, 'a gate without a token');
my $counted = sub { my ($f) = @_; return {map { $f->{$_[1]}{$_} ? ($_ => $f->{$_[1]}{$_}) : () } keys %{$f->{$_[1]}}} };
# the log is written after the answer
until_true(3, sub { figures()->{gated_requests}{401} });
my $f = figures();
is_deeply($counted->($f, 'requests'), {200 => 3, 201 => 1, 401 => 2, 404 => 1, 422 => 1}, 'the answers of the API by status');
is_deeply($counted->($f, 'gated_requests'), {401 => 1, 403 => 1, 404 => 1}, 'and of what is gated');
is($f->{statements}, executed() - $executed, 'the statements are those that the database executed');
is($f->{connections_max}, 2 * $f->{pools}, 'every pool may have two connections') or diag explain $f;
cmp_ok($f->{pools}, '>=', 2, 'every process has a pool');
is($f->{connections_in_use} + $f->{waiting} + $f->{pools_down}, 0, 'nobody uses one now, or waits');
is($f->{connections_idle}, $db->value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'orgs'"), 'the idle ones are those that the database knows');
is($f->{connects}, $f->{connections_idle}, 'none was lost so far');
is_deeply([map { $f->{$_} } qw(connect_failures refused timeouts statement_failures questions_together writes_together retries settled unknown)], [(0) x 9], 'nothing went wrong');
cmp_ok($f->{database_seconds}, '>', 0.0005, 'it took some time');
cmp_ok($f->{database_seconds}, '<', 10, '... and not more than it can be');
like($f->{since}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'since when it counts');
is($f->{database}, "orgs\@$db->{run}/db/socket", 'the database has a name, without user and password');

# --- four forms -----------------------------------------------------------------------------------------------------------------

my %flat = ((map { ref $f->{$_} ? () : ($_ => $f->{$_}) } grep { !/^(?:database|since)$/ } keys %$f),
    map { my $whose = $_; map { ("${whose}_$_" => $f->{$whose}{$_}) } keys %{$f->{$whose}} } qw(requests gated_requests));
cmp_ok(scalar keys %flat, '>', 60, 'there are figures');
{
    my $r = get('/orgs-status?format=prometheus');
    is($r->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'Prometheus');
    my (%seen, %type, @odd);
    for my $line (split /\n/, $r->{body}) {
        if ($line =~ /^# TYPE (\w+) (gauge|counter)$/) { $type{$1} = $2 }
        elsif ($line =~ /^# HELP \w+ \S.*\.$/) { }
        elsif ($line =~ /^orgs_(\w+?)(_total)?\{database="\Q$f->{database}\E"(?:,status="(\w+)")?\} (\d+(?:\.\d+)?)$/ && $type{"orgs_$1" . ($2 // '')}) {
            push @odd, $line if ($type{"orgs_$1" . ($2 // '')} eq 'counter') != defined $2;
            push @odd, "twice: $line" if exists $seen{$1 . (defined $3 ? "_$3" : '')};
            $seen{$1 . (defined $3 ? "_$3" : '')} = $4;
        }
        else { push @odd, $line }
    }
    is_deeply(\@odd, [], '... each line is as it should be');
    $_ += 0 for values %seen;
    is_deeply(\%seen, \%flat, '... and says what the JSON says');
}
my $camel = sub { 'Orgs' . join '', map { ucfirst } split /_/, $_[0] };
{
    my %seen = map { /^(Orgs\w+): (\S+)$/ ? ($1 => $2 + 0) : () } split /\n/, get('/server-status?auto')->{body};
    is_deeply(\%seen, {map { ($camel->($_) => $flat{$_}) } keys %flat}, 'so does mod_status by ?auto');
    my $page = get('/server-status')->{body};
    like($page, qr{<h2>Organizations \(mod_orgs\)</h2>\s*<h3>\Q$f->{database}\E</h3>}, 'its page has a part of ours');
    like($page, qr/<dt>Answers of the API, by status: 200: 3 201: 1 401: 2 404: 1 422: 1</, '... with the same figures');
    like($page, qr/<dt>Statements sent: $f->{statements}</, '... all of them');
}
for my $case ([undef, 'application/json'], ['*/*', 'application/json'], ['application/json', 'application/json'], ['text/html,*/*;q=0.8', 'application/json'],
    ['application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1', 'text/plain; version=0.0.4; charset=utf-8'],
    ['application/json, text/plain;q=0.1', 'application/json']) {
    my ($accept, $type) = @$case;
    my $r = get('/orgs-status', headers => {Accept => $accept});
    is($r->{headers}{'content-type'}, $type, 'Accept: ' . ($accept // 'none'));
    is($r->{headers}{'cache-control'}, 'no-store', '... for now only');
    like($r->{headers}{vary} // '', qr/\bAccept\b/, '... and it varies');
}
is(get('/orgs-status?x=1&format=prometheus&y')->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'another parameter does not matter');
is(get("/orgs-status?format=$_")->{status}, 400, "there is no format '$_'") for 'xml', '', 'JSON', 'jsonx';
is(api(POST => '', url => $httpd->url('/orgs-status'), body => '')->{status}, 405, 'nothing to be posted');
is(api(HEAD => '', url => $httpd->url('/orgs-status'))->{status}, 200, 'HEAD is fine');
is_deeply([map { get("/organizations/figures$_")->{json} } '?format=json', '/health'], [get('/orgs-status?format=json')->{json}, {status => 'ok'}], 'a place within the mount does');
is_deeply([map { get("/shut$_")->{status} } '', '?format=prometheus', '/health'], [403, 403, 403], 'who may look is decided by Require');
is($db->value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'orgs'"), $f->{connections_idle}, 'looking opens no connection');

# --- in use, and waiting ----------------------------------------------------------------------------------------------------------

sub lock_it { $db->sql("BEGIN; SELECT id FROM organizations WHERE id = " . id_in_sql($organization->{id}) . ' FOR UPDATE'); return }

# What is told of now, when it is as wanted; else as it stays.
sub eventually {
    my (%want) = @_;
    my $now;
    until_true(8, sub { $now = figures(); !grep { ($now->{$_} // -1) != $want{$_} } keys %want });
    return {map { $_ => $now->{$_} } keys %want};
}
my $pools = figure('pools');
lock_it();
# a process writes on one of its two connections, so no more than one write of each is under way
my @writes = map { begin(PUT => "/organizations/$organization->{id}", $ada, "{\"name\":\"Write $_\"}") } 1 .. 9;
ok(until_true(8, sub { my $now = figures(); $now->{connections_in_use} + $now->{waiting} == 9 && $now->{waiting} >= 9 - $pools }), 'writes that are held up are in use, or wait')
    or diag explain figures();
my $working = sub { $db->value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER IN ('orgs', 'orgs_definer') AND COMMAND <> 'Sleep'") };
ok(until_true(5, sub { figure('connections_in_use') == $working->() }), 'in use are those that the database works for') or diag figure('connections_in_use'), ' ', $working->();
cmp_ok(figure('connections_in_use'), '>=', 1, '... there are some');
is(get("/organizations/$organization->{id}", token => $ada)->{status}, 200, 'reads go on');
$db->sql('ROLLBACK');
is(scalar(grep { read_all($_, 30) =~ m{^HTTP/1\.1 200 } } @writes), 9, 'they go on when they can');
is_deeply(eventually(connections_in_use => 0, waiting => 0), {connections_in_use => 0, waiting => 0}, 'and then nobody waits');

# --- processes that end ----------------------------------------------------------------------------------------------------------------

lock_it();
@writes = map { begin(PUT => "/organizations/$organization->{id}", $ada, "{\"name\":\"Killed $_\"}") } 1 .. 4;
until_true(8, sub { my $now = figures(); $now->{connections_in_use} + $now->{waiting} == 4 });
# nobody connects any more
until_true(5, sub { figure('connections_in_use') == $working->() });
my $was = figures();
kill KILL => $httpd->children;
$db->sql('ROLLBACK');
close $_ for @writes;
my %quiet = (pools => $pools, connections_in_use => 0, waiting => 0, connections_max => 2 * $pools, connections_idle => 0);
is_deeply(eventually(%quiet), \%quiet, 'nothing is left of processes that were killed');
my $after = figures();
is($after->{requests}{200}, $was->{requests}{200}, '... but what they counted');
is($after->{connects}, $was->{connects}, '... of everything');

$httpd->signal('USR1');
ok(until_true(10, sub { 2 == (() = $httpd->log_text =~ /resuming normal operations/g) }), 'a graceful restart');
is(get("/organizations/$organization->{id}", token => $ada)->{status}, 200, 'the new processes answer');
ok(until_true(10, sub { figure('requests')->{200} == $was->{requests}{200} + 1 }), 'and count on from where the old ones stopped')
    or diag explain figures();
%quiet = (pools => $pools, connections_in_use => 0, waiting => 0);
is_deeply(eventually(%quiet), \%quiet, 'only their pools are there');

# --- health ----------------------------------------------------------------------------------------------------------------------------------

sub health { return get('/orgs-status/health')->{status} }

{
    my $r = get('/orgs-status?format=health');
    is("$r->{status} $r->{headers}{'content-type'} $r->{body}", '200 application/json {"status":"ok"}', 'all is well');
    is($r->{headers}{'cache-control'}, 'no-store', '... now');
    get('/orgs-status/health', headers => {Accept => 'text/plain'});
    my ($began, $from) = (time, figure('statements'));
    my @said = map { health() } 1 .. 100;
    my $statements = figure('statements') - $from;
    is_deeply([grep { $_ != 200 } @said], [], 'a hundred probes');
    cmp_ok($statements, '<=', int(time - $began) + 1, '... ask once a second at most');
    is(api(HEAD => '', url => $httpd->url('/orgs-status/health'))->{status}, 200, 'HEAD is fine');
}
$db->sql('SET GLOBAL read_only = 1');
ok(until_true(4, sub { health() == 503 }), 'a server that may not be written to is no use');
$db->sql('SET GLOBAL read_only = 0');
ok(until_true(4, sub { health() == 200 }), '... and then is again');
expect_log('ORGS0102', undef);
my $fallen = figures();
$db->kill;
my $killed = time;
ok(until_true(4, sub { health() == 503 }), 'a database that is gone');
cmp_ok(time - $killed, '<', 2.5, '... is missed by the second probe');
{
    my $r = get('/orgs-status/health');
    is("$r->{status} $r->{body}", '503 {"status":"unavailable"}', 'a load balancer is told no more than that');
    like($r->{headers}{'retry-after'} // '', qr/^\d+$/, '... and when to come again');
    get("/organizations/$organization->{id}", token => $ada) for 1 .. 10;
    my $now = figures();
    cmp_ok($now->{pools_down}, '>=', 1, 'its breaker shows');
    cmp_ok($now->{refused}, '>', $fallen->{refused}, '... and who was refused by it');
    cmp_ok($now->{connect_failures}, '>', $fallen->{connect_failures}, '... and what was tried');
    is($now->{requests}{503}, 10, '... and what was answered');
}
$db->start;
ok(until_true(5, sub { health() == 200 }), 'it is back');
ok(until_true(8, sub { get("/organizations/$organization->{id}", token => $ada, headers => {Connection => 'close'}); figure('pools_down') == 0 }), 'for every process')
    or diag explain figures();
$db->freeze;
{
    my @took;
    ok(until_true(8, sub { my $began = time; my $status = health(); push @took, time - $began; $status == 503 }), 'a database that hangs');
    is(scalar(grep { $_ > 4 } @took), 0, '... is told in two seconds (and some on a noisy machine)') or diag "@took";
}
$db->thaw;
ok(until_true(5, sub { health() == 200 }), '... until it goes on');

# --- what may be missing ------------------------------------------------------------------------------------------------------------------------

is($httpd->stop, 0, 'httpd ends');
is_deeply([$httpd->complaints(qw(ORGS0102 AH01630 AH01631), 'children are killed')], [], 'and had nothing else to complain of');
is(shared_memory(), $before, 'and leaves no shared memory');
configtest($second . $settings);
is(shared_memory(), $before, 'nor does httpd -t');

# --- the other MPMs ---------------------------------------------------------------------------------------------------------------------------------

for my $mpm (qw(worker prefork)) {
    my $httpd = Orgs::Httpd->start("StartServers 3\nServerLimit 8\n$second$settings", mpm => $mpm);
    my $ask = sub { return get($_[0], httpd => $httpd, token => $ada, headers => {Connection => 'close'}) };
    my $figures = sub { return $ask->('/orgs-status')->{json}{databases}[0] || {} };
    my @statuses = map { $ask->("/organizations/$organization->{id}")->{status} } 1 .. 20;
    is_deeply([grep { $_ != 200 } @statuses], [], "$mpm answers");
    ok(until_true(3, sub { ($figures->()->{requests}{200} // 0) == 20 }), "$mpm: whichever process it was, it counts") or diag explain $figures->();
    is($figures->()->{connections_max}, $figures->()->{pools} * ($mpm eq 'prefork' ? 1 : 2), "$mpm: the pools' size");
    kill KILL => $httpd->children;
    is(until_true(5, sub { $figures->()->{requests}{200} }), 20, "$mpm: what was counted outlasts the processes");
    is($ask->('/orgs-status/health')->{status}, 200, "$mpm: it is well");
    $httpd->stop;
}

# Two databases, and none; no mod_status.
my $main = database_lines('main');
my $other = Orgs::Httpd->start(<<"CONF", without => 'status');
<Location "/orgs-status">
    SetHandler orgs-status
</Location>
<VirtualHost *>
    ServerName none.example
</VirtualHost>
<VirtualHost *>
    ServerName one.example
    $main
    <Location "/organizations">
        SetHandler orgs
    </Location>
</VirtualHost>
<VirtualHost *>
    ServerName two.example
    $second
    <Location "/organizations">
        SetHandler orgs
    </Location>
</VirtualHost>
CONF
{
    my $ask = sub { my ($host, $path, %options) = @_; get($path, httpd => $other, %options, headers => {Host => $host}) };
    my $token = user('ada')->{token};
    is($ask->('one.example', '/organizations', token => $token)->{status}, 200, 'two databases: one') for 1 .. 2;
    is($ask->('two.example', '/organizations', token => $ada)->{status}, 200, '... and the other');
    my @all;
    until_true(3, sub { @all = @{$ask->('none.example', '/orgs-status')->{json}{databases}}; 3 == eval { $all[0]{requests}{200} + $all[1]{requests}{200} } });
    my %requests = map { ($_->{database} => $_->{requests}{200}) } @all;
    is_deeply(\%requests, {'orgs@' . top() . '/run/main/db/socket' => 2, "orgs\@$db->{run}/db/socket" => 1}, 'each counts for itself');
    my $text = $ask->('none.example', '/orgs-status?format=prometheus')->{body};
    my @lines = $text =~ /^(orgs_requests_total\{.*status="200"\} .*)$/mg;
    is(scalar @lines, 2, '... in every form') or diag explain \@lines;
    is($ask->($_, '/orgs-status/health')->{status}, 200, "$_ is well") for qw(none.example one.example two.example);
    $db->stop;
    ok(until_true(4, sub { $ask->('two.example', '/orgs-status/health')->{status} == 503 }), 'who needs the one that is gone is not well');
    is($ask->('none.example', '/orgs-status/health')->{status}, 503, '... nor is who has none, and speaks for all');
    is($ask->('one.example', '/orgs-status/health')->{status}, 200, '... but who needs the other is');
}
is_deeply([$other->complaints('ORGS0102')], [], 'and nothing to complain of');
$other->stop;
{
    my $bare = Orgs::Httpd->start("<Location \"/orgs-status\">\nSetHandler orgs-status\n</Location>\n");
    is(get('/orgs-status', httpd => $bare)->{body}, '{"databases":[]}', 'a server without a database has no figures');
    is(get('/orgs-status/health', httpd => $bare)->{status}, 503, '... and is not well');
    $bare->stop;
}
done_testing;
