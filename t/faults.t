# Contract 3, rule 8: whatever is lost between httpd and the database, an answer is the truth.
use Orgs::Test;
use Orgs::Proxy;

my $ada = user('ada');
my $proxy = Orgs::Proxy->new;
my %here = (vhost => 'orgs_faulty', token => $ada);
my $counter = 0;

sub row { my ($id) = @_; return (sql('SELECT name, version, seq FROM organizations WHERE id = ' . id_in_sql($id)))[0] }

sub events { my ($id, $action) = @_; return sql_value("SELECT COUNT(*) FROM events WHERE action = 'organization.$action' AND organization_id = " . id_in_sql($id)) }

# Each writes once, and says whether it was done: how to prepare, the request, and what of the two is true.
my %writes = (
    POST => {
        before  => sub { return {name => 'Fault ' . ++$counter} },
        request => sub { my ($o) = @_; api(POST => '', %here, json => {name => $o->{name}, description => 'd'}) },
        done    => sub {
            my ($o, $r) = @_;
            my @ids = map { $_->[0] } sql("SELECT LOWER(HEX(id)) FROM organizations WHERE name = '$o->{name}'");
            return 'there ' . @ids . ' times' if @ids > 1;
            return 'another id' if @ids && $r->{status} == 201 && $ids[0] ne $r->{json}{id} =~ tr/-//dr;
            return 'not recorded once' if @ids && sql_value("SELECT COUNT(*) FROM events WHERE organization_id = X'$ids[0]'") != 1;
            return scalar @ids;
        },
    },
    PUT => {
        before  => sub { my $o = organization($ada, name => 'Fault ' . ++$counter); return {%$o} },
        request => sub { my ($o) = @_; api(PUT => $o->{id}, %here, json => {name => "$o->{name} put"}, headers => {'If-Match' => $o->{etag}}) },
        done    => sub {
            my ($o, $r) = @_;
            my ($name, $version, $seq) = @{row($o->{id})};
            my $state = $name eq $o->{name} ? 0 : $name eq "$o->{name} put" ? 1 : 'another name';
            return "state $state, version $version" if $version != $state + 1 || $seq != $state + 1;
            return 'not recorded once' if events($o->{id}, 'update') != $state;
            return "another answer: $r->{body}" if $r->{status} == 200 && ($r->{json}{name} ne $name || $r->{headers}{etag} !~ /^"2-/);
            return $state;
        },
    },
    DELETE => {
        before  => sub { my $o = organization($ada, name => 'Fault ' . ++$counter); return {%$o} },
        request => sub { my ($o) = @_; api(DELETE => $o->{id}, %here, headers => {'If-Match' => $o->{etag}}) },
        done    => sub {
            my ($o) = @_;
            my $state = row($o->{id}) ? 0 : 1;
            return 'not recorded once' if events($o->{id}, 'delete') != $state;
            return $state;
        },
    },
);

# What is wrong with an answer: '' if it is the truth.
sub lie {
    my ($write, $o, $r) = @_;
    my $done = $write->{done}->($o, $r);
    return "$r->{status}, but $done" if $done !~ /^[01]$/;
    return '' if $r->{status} =~ /^20[01]$/ && $done;
    return '' if $r->{status} == 503 && !$done && $r->{json}{code} eq 'unavailable' && $r->{headers}{'retry-after'};
    return '' if $r->{status} == 504 && $r->{json}{code} eq 'outcome_unknown';
    return "$r->{status}, and it is " . ($done ? 'done' : 'not done') . ": $r->{body}";
}

sub works { return until_true(4, sub { api(GET => '?limit=1', %here)->{status} == 200 }) }

# The same write on a connection that is open and has its statements, so that the next one is only what must be.
sub warm { my ($write) = @_; works(); $write->{request}->($write->{before}->()) }

# --- cut at each packet ----------------------------------------------------------------------------------------------------------

for my $method (qw(POST PUT DELETE)) {
    my $write = $writes{$method};
    for my $temperature (qw(warm cold)) {
        for my $case ([client => 'before'], [client => 'after'], [client => 'answer'], [server => 'before'], [server => 'after']) {
            my ($side, $how) = @$case;
            # a connection that is cut while it is made costs a second, until the next try
            next if !$ENV{ORGS_TEST_LONG} && $temperature eq 'cold' && ($method ne 'POST' || $how ne 'before');
            my (@lies, @failed, @next, %statuses);
            my $points = 0;
            for (my $n = 1; $n < 200; $n++) {
                # far into a long answer not every packet is tried in a short run
                next if !$ENV{ORGS_TEST_LONG} && $side eq 'server' && $n > 6 && $n % 5;
                my $o = $write->{before}->();
                warm($write);
                $proxy->drop if $temperature eq 'cold';
                $proxy->arm($side, $n, $how);
                my $r = $write->{request}->($o);
                my $fired = $proxy->seen->{fired};
                $proxy->pass;
                my $lie = lie($write, $o, $r);
                push @lies, "packet $n: $lie" if $lie;
                $statuses{$r->{status}}++;
                if ($r->{status} >= 300) {
                    push @failed, "packet $n: $r->{status} $r->{body}";
                    push @next, $n if !works();
                }
                else {
                    my $next = api(GET => '?limit=1', %here);
                    push @next, "$n: $next->{status}" if $next->{status} != 200;
                }
                $points++ if $fired;
                last if !$fired;
            }
            my $what = "$method, $temperature, cut $how a packet of the $side ($points points)";
            is_deeply(\@lies, [], "$what: the truth");
            is_deeply(\@next, [], '... the next request works');
            cmp_ok($points, '>=', $side eq 'client' ? 2 : 3, '... and it was cut');
            is_deeply(\@failed, [], '... without a failure, as the database is there') if $temperature eq 'warm';
            is_deeply([grep { !/^(?:20[01]|503)$/ } keys %statuses], [], '... known to be done or not done');
        }
    }
}

# --- holes ------------------------------------------------------------------------------------------------------------------------

# [packet of the client, how, statuses that may be]: 1 is the question who asks, 2 is the CALL
for my $method (long_or(1, 0) ? qw(POST PUT DELETE) : 'POST') {
    my $write = $writes{$method};
    for my $case ([1, 'hole', 503], [2, 'hole', '20[01]|503'], [2, 'deaf', '20[01]'], [2, 'all', '504']) {
        my ($n, $how, $statuses) = @$case;
        my $o = $write->{before}->();
        warm($write);
        $proxy->arm('client', $n, $how);
        my $r = $write->{request}->($o);
        is($proxy->seen->{fired}, 1, "$method, packet $n, $how") if !($proxy->seen->{fired} // 0);
        $proxy->pass;
        like($r->{status}, qr/^(?:$statuses)$/, "$method, packet $n, $how: $r->{status}") or diag $r->{body};
        problem($r, 504, 'outcome_unknown', '... is a problem') if $r->{status} == 504;
        problem($r, 503, 'unavailable', '... is a problem') if $r->{status} == 503;
        ok(works(), '... and afterwards all is well');
        # what is still on its way gets its time
        my $lie;
        until_true(5, sub { !($lie = lie($write, $o, $r)) });
        is($lie, '', '... the truth');
    }
}
expect_log('ORGS0012');

# --- slow, and gone ------------------------------------------------------------------------------------------------------------------

$proxy->delay(0.05);
for my $method (qw(POST PUT DELETE)) {
    my $write = $writes{$method};
    my $o = $write->{before}->();
    my $r = $write->{request}->($o);
    like($r->{status}, qr/^20[01]$/, "$method over a slow line");
    is(lie($write, $o, $r), '', '... the truth');
}
$proxy->pass;
warm($writes{POST});
$proxy->refuse;
for my $method (qw(POST PUT DELETE)) {
    my $write = $writes{$method};
    my $o = $write->{before}->();
    my $r = $write->{request}->($o);
    problem($r, 503, 'unavailable', "$method without a database");
    is(lie($write, $o, $r), '', '... the truth');
}
problem(api(GET => '', %here), 503, 'unavailable', 'GET without a database');
$proxy->pass;
ok(works(), 'and back');
expect_log('ORGS0102');

# --- a session is made anew, not shared ---------------------------------------------------------------------------------------------------

# Reads are cut, too: the client never learns.
{
    my @wrong;
    for my $case ([client => 'before'], [client => 'after'], [server => 'before'], [server => 'after']) {
        for my $n (1 .. 12) {
            works();
            api(GET => '?limit=1', %here);
            $proxy->arm(@$case[0], $n, @$case[1]);
            my $r = api(GET => '?limit=1', %here);
            my $fired = $proxy->seen->{fired};
            $proxy->pass;
            push @wrong, "@$case $n: $r->{status}" if $r->{status} != 200;
            last if !$fired;
        }
    }
    is_deeply(\@wrong, [], 'a read that is cut is read again');
}

$proxy->end;
done_testing;
