# Contract 2 and architecture: no connection of the database is held while bytes go to or come from a client. A crowd of
# clients who read a long list slowly, or give their body a byte a second, does not keep the others from being served
# by a pool of four.
use Orgs::Test;
use Orgs::Database;
use Orgs::Httpd;
use Orgs::Slow;
use Time::HiRes qw(sleep time);

my ($readers, $senders, $rows) = (long_or(1000, 150), long_or(1000, 150), 10_000);
my $threads = $readers + $senders + 50;
my $db = Orgs::Database->new->start;
my $token = $db->token('ada');
my $ada = {id => $db->value("SELECT LOWER(HEX(id)) FROM users WHERE email = 'ada\@example.com'")};
my ($id) = many_organizations(1, $ada, sql => {run => $db->{run}});
{
    my @ids = map { uuid() } 1 .. $rows - 1;
    while (my @some = splice @ids, 0, 500) {
        $db->sql('INSERT INTO users (id, email, name, created_at) VALUES '
            . join ',', map { sprintf "(%s, '%s\@slow.example', REPEAT('n', 40), UTC_TIMESTAMP(3))", id_in_sql($_), $_ } @some);
        $db->sql('INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT ' . id_in_sql($id)
            . ", id, 'member', UTC_TIMESTAMP(3) FROM users WHERE id IN (" . join(',', map { id_in_sql($_) } @some) . ')');
    }
    $db->sql("UPDATE organizations SET members = $rows WHERE id = " . id_in_sql($id));
}

# All in one process with one pool; httpd's own patience with slow bodies is another test's.
my $httpd = Orgs::Httpd->start(<<"CONF", mpm => 'event');
ThreadLimit $threads
ThreadsPerChild $threads
MaxRequestWorkers $threads
MaxSpareThreads $threads
Timeout 300
RequestReadTimeout header=0 body=0
# on the loopback interface the system would take megabytes off httpd for each reader
SendBufferSize 65536
@{[database_lines('second')]}
OrgsDBMax 4
<Location "/organizations">
    SetHandler orgs
</Location>
CONF

my %here = (token => $token);
my @requests = (
    [GET => "/organizations/$id", {}],
    [GET => "/organizations/$id/members?limit=5", {}],
    [PUT => "/organizations/$id", {json => {description => 'Beside'}}],
    [POST => '/organizations', {json => {name => 'Beside'}}],
    [GET => "/organizations/$id/members/me", {}],
);

sub ask {
    my ($n) = @_;
    my ($method, $path, $more) = @{$requests[$n % @requests]};
    return api($method => '', url => $httpd->url($path), %here, %$more)->{status};
}

my $slow = Orgs::Slow->start(port => $httpd->{port}, token => $token, list => "/organizations/$id/members", readers => $readers, senders => $senders);
my ($most, $old, $looked, %statuses) = (0, 0, 0);
# long enough for each of them to have got some, and to have given some
my $until = time + long_or(30, 4);
for (my $n = 0; time < $until || $n < 100; $n++) {
    $statuses{ask($n)}++;
    # innodb_trx is as old as the last look where that was less than a tenth of a second ago
    next if time - $looked < 0.3;
    $looked = time;
    my ($connections, $idle) = @{($db->sql("SELECT (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'orgs'), "
        . '(SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.PROCESSLIST ON ID = trx_mysql_thread_id '
        . "WHERE USER = 'orgs' AND COMMAND = 'Sleep' AND trx_started < NOW() - INTERVAL 2 SECOND)"))[0]};
    $most = $connections if $connections > $most;
    $old = $idle if $idle > $old;
}
my $report = $slow->end(3);
is_deeply([grep { !/^20[01]$/ } keys %statuses], [], 'the others are all served') or diag explain \%statuses;
cmp_ok($most, '<=', 4, 'by no more connections than there may be');
is($old, 0, 'and no transaction stands');
is($report->{reading}, $readers, 'all slow readers get their list');
is_deeply([grep { $_ ne '200' } keys %{$report->{statuses}}], [], 'nobody is refused') or diag explain $report->{statuses};
is($report->{closed}, 0, 'or cut off');
for my $body (@{$report->{lists}}) {
    ok(defined $body && $body =~ /\A\[/ && $body =~ /\]\z/, 'who goes on reading gets the rest');
    is(scalar(() = ($body // '') =~ /"user_id":/g), $rows, '... all of it');
}
is($_->{status}, 201, 'who goes on sending is served') for map { parse_answers($_, 'POST') } @{$report->{sent}};
is_deeply([$httpd->complaints], [], 'httpd has nothing to complain of');
$httpd->stop;
$db->stop;
done_testing;
