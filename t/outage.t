# Contract 8: a database that is down, comes back, hangs, or loses its connections.
use Orgs::Test;
use Orgs::Database;
use Time::HiRes qw(time sleep);

my $db = Orgs::Database->new;
my $token = $db->token('ada');
my %here = (vhost => 'orgs_second', token => $token);

sub list { return api(GET => '?limit=1', %here) }

# --- down when httpd started --------------------------------------------------------------------------------------------------

problem(list(), 503, 'unavailable', 'down at the start');
{
    # known to be down, it is told at once: many requests need no more than a few tries to connect
    my @answers = race(8, sub { [map { my $began = time; [list()->{status}, time - $began] } 1 .. 10] });
    my @all = map { @$_ } @answers;
    is(scalar(grep { $_->[0] == 503 } @all), 80, 'all are told so');
    cmp_ok((sort { $a <=> $b } map { $_->[1] } @all)[40], '<', 1, 'and nobody waits');
}
problem(api(POST => '', %here, json => {name => 'x'}), 503, 'unavailable', 'writes too');
problem(api(GET => '', vhost => 'orgs_second'), 401, 'unauthorized', 'without a token it is 401 all the same');
problem(api(GET => '', vhost => 'orgs_second', token => 'orgs_x'), 401, 'unauthorized', 'nor does a malformed token need it');
# How often each process said it.
sub told { my %times; $times{$_}++ for map { /\[(pid \d+)/ } log_lines($_[0]); return [values %times] }

is_deeply([grep { $_ != 1 } @{told('ORGS0102')}], [], 'the log tells it once');
cmp_ok(scalar @{told('ORGS0102')}, '>', 0, 'at least');

# --- back --------------------------------------------------------------------------------------------------------------------------

$db->start;
my $back = until_true(2.5, sub { list()->{status} == 200 });
ok($back, 'works within two seconds of its return, without a restart');
is_deeply([grep { $_ != 1 } @{told('ORGS0101')}], [], 'and the log tells it once');
my $organization = api(POST => '', %here, json => {name => 'After the outage'});
answers($organization, 201, 'writes work');

# --- stopped and started under httpd: no request fails for connections that died ------------------------------------------------------

for my $round (1 .. long_or(20, 3)) {
    # as many connections as there may be
    race(8, sub { list() for 1 .. 5; 1 });
    $round % 2 ? $db->stop : $db->kill;
    $db->start;
    # nobody asked while it was down, so nobody knows
    my @statuses = map { @$_ } race(8, sub { [map { list()->{status} } 1 .. 3] });
    is_deeply([grep { $_ != 200 } @statuses], [], "round $round: not one request fails for stale connections");
    answers(api(PUT => $organization->{json}{id}, %here, json => {name => "Round $round"}), 200, '... and writes go on');
}

# --- noticed while it goes ------------------------------------------------------------------------------------------------------------

$db->stop;
problem(list(), 503, 'unavailable', 'stopped under a running server');
problem(list(), 503, 'unavailable', 'and still');
$db->start;
ok(until_true(2.5, sub { list()->{status} == 200 }), 'and back');

# --- connections killed ------------------------------------------------------------------------------------------------------------------

my $victims = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'orgs'";
for my $round (1 .. 5) {
    race(6, sub { list() for 1 .. 3; 1 });
    $db->sql("KILL $_->[0]") for $db->sql($victims);
    my @statuses = race(6, sub { list()->{status} });
    is_deeply(\@statuses, [(200) x 6], "killed connections are not noticed, $round");
}

# Creates, updates and deletes while their connections are killed all the time: whatever was answered is what is there.
{
    my $stop = $db->{run} . '/stop-killing';
    my $enough = $db->{run} . '/killed-enough';
    my $kills = long_or(1000, 30);
    my $touch = sub { open my $fh, '>', $_[0] or die "$_[0]: $!" };
    unlink $stop, $enough;
    my $each = long_or(2000, 60);
    my @results = race(7, sub {
        my ($number) = @_;
        my @log;
        if ($number == 0) {
            my $killed = 0;
            while (!-e $stop) {
                for my $row (eval { $db->sql($victims) }) {
                    $killed++ if !Orgs::Test::sql({run => $db->{run}, fails => 1}, ($killed % 3 ? 'KILL' : 'KILL QUERY') . " $row->[0]");
                }
                $touch->($enough) if $killed >= $kills;
                sleep 0.005;
            }
            return {killed => $killed};
        }
        for my $n (1 .. 100 * $each) {
            last if $n > $each && -e $enough;
            my $name = "killed $number-$n";
            my $made = api(POST => '', %here, json => {name => $name});
            push @log, ['create', $name, $made->{status}, $made->{json}{id}];
            if ($made->{status} == 201 && $n % 3 == 0) {
                my $put = api(PUT => $made->{json}{id}, %here, json => {description => 'updated'}, headers => {'If-Match' => $made->{headers}{etag}});
                push @log, ['update', $name, $put->{status}, $made->{json}{id}];
                my $gone = api(DELETE => $made->{json}{id}, %here);
                push @log, ['delete', $name, $gone->{status}, $made->{json}{id}];
            }
        }
        $touch->($stop) if $number == 1;
        return {log => \@log};
    });
    my @log = map { @{$_->{log} || []} } @results;
    cmp_ok($results[0]{killed} // 0, '>=', $kills, 'connections were killed');
    my %statuses;
    $statuses{"$_->[0] $_->[2]"}++ for @log;
    is_deeply([grep { !/ (?:200|201|503)$/ } sort keys %statuses], [], 'answers are done, or not done') or diag explain \%statuses;
    my %there = map { $_->[0] => $_->[1] } $db->sql("SELECT name, COUNT(*) FROM organizations WHERE name LIKE 'killed %' GROUP BY name");
    my %events;
    $events{"$_->[0] $_->[1]"} = $_->[2] for $db->sql("SELECT LOWER(CONCAT_WS('-', SUBSTR(HEX(organization_id), 1, 8), SUBSTR(HEX(organization_id), 9, 4), "
        . "SUBSTR(HEX(organization_id), 13, 4), SUBSTR(HEX(organization_id), 17, 4), SUBSTR(HEX(organization_id), 21))), SUBSTR(action, 14), COUNT(*) "
        . "FROM events WHERE organization_id IS NOT NULL GROUP BY 1, 2");
    my %deleted = map { $_->[3] => 1 } grep { $_->[0] eq 'delete' && $_->[2] == 200 } @log;
    my @lies;
    for my $entry (@log) {
        my ($what, $name, $status, $id) = @$entry;
        my $done = $status < 300;
        if ($what eq 'create') {
            my $want = !$done || $deleted{$id} ? 0 : 1;
            push @lies, "$name: $status, and it is there " . ($there{$name} // 0) . ' times' if ($there{$name} // 0) != $want;
        }
        push @lies, "$what $name: $status, and recorded " . ($events{"$id $what"} // 0) . ' times'
            if defined $id && ($events{"$id $what"} // 0) != ($done ? 1 : 0);
    }
    is_deeply(\@lies, [], 'each acknowledged write is there exactly once, each refused one not at all');
    is(sql_value({run => $db->{run}}, "SELECT COUNT(*) FROM organizations o WHERE name LIKE 'killed %' AND seq <> (SELECT COUNT(*) FROM events e WHERE e.organization_id = o.id)"), 0,
        'and seq counts the events');
    ok(until_true(3, sub { list()->{status} == 200 }), 'and then all is well');
}

# --- it hangs -------------------------------------------------------------------------------------------------------------------------

race(4, sub { list() for 1 .. 3; 1 });
$db->freeze;
{
    my $began = time;
    my $r = list();
    my $took = time - $began;
    problem($r, 503, 'unavailable', 'a database that hangs');
    cmp_ok($took, '<', 6, 'is told by the deadline (2 seconds, on a noisy machine)') or diag $took;
    my $write = api(POST => '', %here, json => {name => 'While it hangs'});
    ok($write->{status} == 503 || $write->{status} == 504, 'a write is 503 or 504') or diag explain $write;
    my @answers = race(8, sub { my $began = time; [list()->{status}, time - $began] });
    is_deeply([map { $_->[0] } @answers], [(503) x 8], 'all are told');
}
$db->thaw;
ok(until_true(4, sub { list()->{status} == 200 }), 'and when it goes on, so do we');
is(scalar(grep { $_ == 200 } map { list()->{status} } 1 .. 10), 10, 'without exception');
expect_log('ORGS0012', undef);

# --- a list that is cut --------------------------------------------------------------------------------------------------------------------

{
    my @many = many_organizations(1500, {id => $db->value("SELECT LOWER(HEX(id)) FROM users WHERE email = 'ada\@example.com'")}, description => 2000,
        sql => {run => $db->{run}});
    answers(api(GET => '', %here), 200, 'a long list');
    for my $version ('1.1', '1.0') {
        my $socket = raw_connection('orgs_second');
        syswrite $socket, "GET /organizations HTTP/$version\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n";
        my $bytes = read_some($socket, 30_000);
        like($bytes, qr{^HTTP/1\.[01] 200 }, "HTTP/$version: a list begins");
        $db->kill;
        $bytes .= read_all($socket, 30);
        my ($r) = parse_answers($bytes);
        cmp_ok(length $r->{body}, '>', 30_000, '... goes on');
        cmp_ok(length $r->{body}, '<', 1500 * 2000, '... and breaks off');
        unlike($r->{body}, qr/\]\s*\z/, '... without its closing bracket');
        is($r->{whole}, 0, '... and without the last chunk') if $version eq '1.1';
        problem(list(), 503, 'unavailable', '... a new list is a plain 503');
        $db->start;
        ok(until_true(2.5, sub { list()->{status} == 200 }), '... until the database is back');
    }
    expect_log('ORGS0021', 2);
}
expect_log('ORGS0102');

$db->stop;
done_testing;
