# Contract 3, rule 8, and 6: a server that lies. Asked for a file at any statement, the module sends none; whatever is
# wrong with the server's packets, nothing crashes or hangs, a read is refused, and of a write nothing is promised that is
# not there. Once the server speaks the truth again, all is well.
#
# ORGS_TEST_SEED repeats the garbage of a run; ORGS_TEST_LONG=1 tries more of it.
use Orgs::Test;
use Orgs::Httpd;
use Orgs::Proxy;
use Time::HiRes qw(sleep time);

not_here('this client library, Oracle\'s, believes the lengths and numbers that a server tells it, and dies of wrong ones') if orgsctl('--version') =~ /libmysqlclient/;
my $TIMEOUT = 2;
my $WORKERS = 12;
my $SLACK = 1;    # of a noisy machine
my $seed = $ENV{ORGS_TEST_SEED} // time ^ $$;
srand $seed;
note("ORGS_TEST_SEED=$seed");

my @hosts = map { {port => Orgs::Httpd::free_port(), path => top() . "/run/lies$_.socket"} } 1 .. $WORKERS;
my $httpd = Orgs::Httpd->start(join '', "LogLevel info\nOrgsDBDefaultsFile \"@{[top()]}/run/main/orgs.cnf\"\nOrgsDBTimeout $TIMEOUT\nOrgsDBMax 2\n",
    map { sprintf <<'HOST', $_->{port}, $_->{port}, $_->{path} } @hosts);
Listen 127.0.0.1:%d
<VirtualHost 127.0.0.1:%d>
    OrgsDBParams "socket=%s dbname=orgs user=orgs"
    <Location "/organizations">
        SetHandler orgs
    </Location>
</VirtualHost>
HOST
watch_log($httpd->{log});
# what the module says of such servers; ORGS0011: a procedure's answer that is none is not the module's doing
expect_log($_, undef) for qw(ORGS0011 ORGS0012 ORGS0021 ORGS0102 ORGS0103);

my $ada = user('ada');
my $organization = organization_with($ada, map { (member => user("m$_")) } 1 .. 4);
my $serial = 0;

# --- the lies ---------------------------------------------------------------------------------------------------------------

my ($SESSION, $LOOKUP, $LIST, $CALL) = ('SELECT FROM schema_version', 'SELECT FROM settings', 'SELECT FROM memberships', 'CALL organization_update_v1');

# Where a conversation can be told a lie: whether by a read or a write, and the rule's beginning.
my @statements = (
    ['GET', 'reset_connection', undef], ['GET', 'query', 'SET SESSION'], ['GET', 'query', $SESSION], ['GET', 'prepare', $LOOKUP], ['GET', 'execute', $LOOKUP],
    ['GET', 'prepare', $LIST], ['GET', 'execute', $LIST], ['PUT', 'prepare', $CALL], ['PUT', 'execute', $CALL],
);
my @cases = map { my ($method, $kind, $text) = @$_; {method => $method, what => "a file is wanted: $kind " . ($text // ''), status => 503,
    rule => {side => 'client', kind => $kind, defined $text ? (text => $text) : (), how => 'infile', always => 1}} } @statements;
push @cases, {method => 'GET', what => 'a file is wanted at each statement', status => 503, rule => {side => 'client', kind => 'query', how => 'infile', always => 1, file => top() . '/t/logs/error_log'}};
# settling asks by the same connections
push @cases, {method => 'PUT', what => 'a file is wanted by who settles', status => 504,
    rules => [{side => 'client', kind => 'execute', text => $CALL, how => 'answer'}, {side => 'client', kind => 'execute', text => 'CALL event_settle_v1', how => 'infile', always => 1}]};

# [what, kind of the server's packet, of which statement, the lie, the status]
my @lies = (
    (map { my $text = $_->[1]; map { [@$_, $text] } (
        ['cut', 'prepared', {cut => 3}, $_->[0]], ['empty', 'prepared', {cut => 0}, $_->[0]], ['too many columns', 'prepared', {at => 5, put => 'ffff'}, $_->[0]],
        ['a column less', 'prepared', {at => 5, put => '0100'}, $_->[0]], ['no columns', 'prepared', {at => 5, put => '0000'}, $_->[0]],
        ['too many parameters', 'prepared', {at => 7, put => 'ffff'}, $_->[0]], ['no parameters', 'prepared', {at => 7, put => '0000'}, $_->[0]],
        ['another statement', 'prepared', {at => 1, put => 'fffffff0'}, $_->[0]], ['an odd error', 'prepared', {put => 'ff'}, $_->[0]],
        ['an error without a number', 'prepared', {put => 'ff0000'}, $_->[0]], ['nothing', 'prepared', {none => 1}, $_->[0]],
        ['a column cut', 'column', {cut => 10}, $_->[0]], ['a column of a type that is not', 'column', {at => -6, put => '60'}, $_->[0]],
        ['a column of another type', 'column', {at => -6, put => '0c'}, $_->[0]], ['a column of numbers', 'column', {at => -6, put => '08'}, $_->[0]],
    ) } ['prepare', $LOOKUP], ['prepare', $LIST]),
    (map { my ($text, $at) = @$_; map { [@$_, $text] } (
        ['cut', 'row', {cut => 12}, 'execute'], ['cut to its head', 'row', {cut => 1}, 'execute'], ['empty', 'row', {cut => 0}, 'execute'], ['all too long', 'row', {at => $at, put => 'ff' x 12}, 'execute'],
        ['a value of 4 GB', 'row', {at => $at, put => 'feffffffff00000000'}, 'execute'],
        ['columns that are not', 'count', {put => 'fcffff'}, 'execute'], ['a column less', 'count', {put => '01'}, 'execute'],
        ['more results', 'eof', {at => 3, put => '0a00'}, 'execute'], ['no end', 'eof', {none => 1}, 'execute'], ['a cut end', 'eof', {cut => 1}, 'execute'],
        ['another turn', 'row', {header => 'ffff0007'}, 'execute'], ['a packet of 16 MB', 'row', {header => 'fffffe02'}, 'execute'],
    ) } [$LOOKUP, 10], [$LIST, 2]),    # the first of its texts
    (map { [@$_, $SESSION] } (
        ['cut', 'row', {cut => 12}, 'query'], ['all NULL', 'row', {put => 'fb' x 60}, 'query'], ['twice', 'row', {more => 2}, 'query'], ['none', 'row', {none => 1}, 'query'],
        ['columns that are not', 'count', {put => 'fa'}, 'query'], ['another setting', 'row', {at => 1, put => unpack 'H*', '+01:00'}, 'query'],
    )),
    (map { [@$_, $CALL] } (
        ['cut', 'row', {cut => 3}, 'execute'], ['none', 'row', {none => 1}, 'execute'], ['twice', 'row', {more => 2}, 'execute'], ['not JSON', 'row', {at => -4, put => '00000000'}, 'execute'],
        ['all NULL', 'row', {null => 1}, 'execute'], ['no end', 'ok', {none => 1}, 'execute'], ['more results', 'ok', {at => 3, put => '0800'}, 'execute'],
        ['columns that are not', 'count', {put => '20'}, 'execute'],
    )),
);
for my $lie (@lies) {
    my ($what, $kind, $change, $command, $text) = @$lie;
    # of the hot question the server may tell the columns once more, and rightly, when it is executed
    my $again = $kind eq 'column' && $text eq $LOOKUP;
    push @cases, {method => $text eq $CALL ? 'PUT' : 'GET', what => "$kind of $command $text: $what", status => $text eq $CALL ? 'truth' : $again ? 'right' : 503,
        rule => {side => 'server', kind => $kind, text => "$command $text", how => 'lie', always => 1, %$change}};
}
push @cases, {method => 'GET', what => 'more to come after the login', status => 503, rule => {side => 'server', kind => 'ok', text => 'login', how => 'lie', always => 1, at => 3, put => '0a00'}};
# garbage, from some packet on
for my $n (1 .. long_or(2000, 50)) {
    my $garbage = int rand 1e9;
    my $from = 1 + int rand 40;
    push @cases, {method => $n % 3 ? 'GET' : 'PUT', what => "garbage $garbage from packet $from on", status => 'any', rule => {side => 'server', how => 'lie', seed => $garbage, n => $from, always => 1}};
}

# --- told ---------------------------------------------------------------------------------------------------------------------

sub ask {
    my ($host, $case, $name) = @_;
    my %options = (token => $ada, url => "http://127.0.0.1:$host->{port}/organizations/$organization->{id}" . ($case->{method} eq 'GET' ? '/members' : ''));
    return api($case->{method}, '', %options, $case->{method} eq 'PUT' ? (json => {name => $name}) : ());
}

# What is wrong, each a sentence.
sub tried {
    my ($host, $case, $name) = @_;
    my $proxy = $host->{proxy};
    $proxy->pass;
    $proxy->drop;
    # what is known of it from the last case is over
    my %read = (method => 'GET');
    my @wrong;
    my $right;
    until_true(5, sub { ($right = ask($host, \%read))->{status} == 200 }) or push @wrong, 'before it nothing works';
    $proxy->drop;
    $proxy->arm(@{$case->{rules} // [$case->{rule}]});
    my $began = time;
    my $r = ask($host, $case, $name);
    my $took = time - $began;
    my $seen = $proxy->seen;
    push @wrong, 'no lie was told' if !@{$seen->{fired}} && $case->{status} ne 'any';
    push @wrong, sprintf 'it took %.2f s', $took if $took > $TIMEOUT + $SLACK;
    my @sent = grep { length } @{$seen->{sent}};
    push @wrong, 'it sent ' . substr(pack('H*', join '', @sent), 0, 100) if @sent;
    push @wrong, "$r->{status} instead of $case->{status}: " . substr $r->{body}, 0, 200 if $case->{status} =~ /^\d/ && $r->{status} ne $case->{status};
    push @wrong, "$r->{status}: " . substr $r->{body}, 0, 200 if $case->{status} eq 'right' && $r->{status} ne '503' && $r->{body} ne $right->{body};
    push @wrong, 'no whole answer' if !$r->{status} && !$r->{cut};
    $proxy->pass;
    $proxy->drop;
    until_true(5, sub { ask($host, \%read)->{status} == 200 }) or push @wrong, 'after it nothing works';
    if ($case->{method} eq 'PUT') {
        my $there = sql_value("SELECT COUNT(*) FROM events WHERE organization_id = @{[id_in_sql($organization->{id})]} AND changes LIKE '%\"$name\"]%'");
        push @wrong, "$r->{status}, and written $there times" if $r->{status} =~ /^2/ ? $there != 1 : $r->{status} =~ /^4|503/ ? $there != 0 : $there > 1;
    }
    return map { "$case->{what}: $_" } @wrong;
}

my $began = time;
my @results = race($WORKERS, sub {
    my ($worker) = @_;
    my $host = $hosts[$worker];
    $host->{proxy} = Orgs::Proxy->new(path => $host->{path});
    my @wrong;
    for my $n (grep { $_ % $WORKERS == $worker } 0 .. $#cases) {
        push @wrong, tried($host, $cases[$n], "Lie $n");
    }
    $host->{proxy}->end;
    return \@wrong;
});
my @wrong = map { @$_ } @results;
is(scalar @wrong, 0, sprintf '%d lies told in %.1f s', scalar @cases, time - $began) or diag join "\n", @wrong;
my @lines = grep { /the session's settings did not hold: time_zone was set to '\+00:00' and is '\+01:00'/ } split /^/, $httpd->log_text;
is(scalar @lines, 1, 'a setting that does not hold is told in one line');
is_deeply([grep { /exit signal|Segmentation|Abort/ } split /^/, $httpd->log_text], [], 'no process of httpd died');
is(scalar(grep { !kill 0 => $_ } $httpd->children), 0, '... all are there');
unlike($httpd->log_text, qr/root:x:0/, 'nor is a file\'s content in the log');
$httpd->stop;
done_testing;
