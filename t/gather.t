# Questions that wait together travel together: everybody gets his own answer, and nobody another's, however they are
# asked, whatever befalls the statement that carried them; and the database is asked less often than there are questions.
use Orgs::Test;
use Orgs::Data qw(data_sql data_token data_organization);
use Orgs::Httpd;
use Orgs::Proxy;
use Digest::SHA qw(sha1_base64);
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);

my $CLIENTS = 48;
my $ROUNDS = long_or(40, 3);
my $top = top();

# organization u has user u as its admin, user u - 1 as a member, and no other
my $database = another_database('orgs_gathered');
sql({database => 'orgs_gathered'}, data_sql($CLIENTS, 2));
# long ones, one of a single byte, one that ends like a key that was filled up would not
sql({database => 'orgs_gathered'}, "UPDATE users SET external_id = CASE CAST(SUBSTRING(name, 6) AS UNSIGNED) % 4 WHEN 0 THEN CONCAT(REPEAT('x', 240), name)"
    . " WHEN 1 THEN CONCAT(name, ' ') WHEN 2 THEN CONCAT('\xc3\xa4', name) ELSE name END");
my %external = map { @$_ } sql({database => 'orgs_gathered'}, 'SELECT SUBSTRING(name, 6), external_id FROM users');
sql({database => 'orgs_gathered'}, "UPDATE users SET active = 0 WHERE name = 'User 1'; UPDATE tokens t JOIN users u ON u.id = t.user_id SET t.revoked_at = UTC_TIMESTAMP(3) WHERE u.name = 'User 2'");

my $passwords = "$top/run/gather-passwords";
{
    open my $out, '>', $passwords or die "$passwords: $!";
    print $out "$_:{SHA}" . sha1_base64('secret') . "=\n" for map { ("user$_\@example.org", $external{$_}) } 0 .. $CLIENTS - 1;
}
my $socket = "$top/run/gather.socket";
# where threads are
my $mpm = ($ENV{ORGS_TEST_MPM} // 'event') eq 'prefork' ? 'event' : $ENV{ORGS_TEST_MPM};
my $httpd = Orgs::Httpd->start(<<"END", mpm => $mpm);
LogLevel info
ThreadLimit 100
ThreadsPerChild 100
MaxRequestWorkers 100
MaxSpareThreads 100
OrgsDBParams "socket=$socket dbname=orgs_gathered user=orgs"
OrgsDBDefaultsFile "$top/run/main/orgs.cnf"
OrgsDBTimeout 4
<Location "/organizations">
    SetHandler orgs
</Location>
<LocationMatch "^/(email|external)/">
    AuthType Basic
    AuthName house
    AuthBasicProvider file
    AuthUserFile "$passwords"
    Require valid-user
</LocationMatch>
<Location "/email/organizations">
    SetHandler orgs
    OrgsRemoteUser email
</Location>
<Location "/external/organizations">
    SetHandler orgs
    OrgsRemoteUser external-id
</Location>
END
watch_log($httpd->{log});
expect_log($_, undef) for qw(ORGS0102);
my $proxy = Orgs::Proxy->new(path => $socket);

# [path, what to present]
my %ways = (
    token    => ['/organizations', sub { 'Bearer ' . data_token($_[0]) }],
    email    => ['/email/organizations', sub { 'Basic ' . encode_base64("user$_[0]\@example.org:secret", '') }],
    external => ['/external/organizations', sub { 'Basic ' . encode_base64("$external{$_[0]}:secret", '') }],
);

# The status, and of a 200 the name and the role.
sub seen {
    my ($way, $user, $organization) = @_;
    my ($path, $present) = @{$ways{$way}};
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or return "connect: $!";
    print $socket "GET $path/$organization HTTP/1.1\r\nHost: localhost\r\nAuthorization: " . $present->($user) . "\r\nConnection: close\r\n\r\n";
    my ($answer) = parse_answers(read_all($socket, 30));
    return $answer->{status} == 200 ? "200 $answer->{json}{name}, $answer->{json}{role}" : $answer->{status};
}

# What must be seen, by way, user and the distance of the organization; user 1 is deactivated, the token of user 2 revoked.
sub expected {
    my ($way, $user, $distance) = @_;
    return $way eq 'token' ? 401 : 403 if $user == 1;
    return 401 if $user == 2 && $way eq 'token';
    return 404 if $distance > 1;
    return "200 Organization " . ($user + $distance) % $CLIENTS . ', ' . ($distance ? 'member' : 'admin');
}

# All at once, each several times: what was wrong.
sub crowd {
    my ($way, $rounds, $also) = @_;
    my @wrong = map { @{$_ // ['died']} } race($CLIENTS, sub {
        my ($user) = @_;
        my @wrong;
        for my $round (1 .. $rounds) {
            my $distance = ($user + $round) % 4;
            # of four one asks for what is not there at all
            my $seen = seen($way, $user, $distance == 3 ? uuid() : data_organization(($user + $distance) % $CLIENTS));
            my $expected = expected($way, $user, $distance);
            push @wrong, "user $user, distance $distance: $seen instead of $expected" if $seen ne $expected && !($also && $seen =~ $also);
        }
        return \@wrong;
    });
    return @wrong;
}

for my $way (sort keys %ways) {
    is_deeply([crowd($way, 1)], [], "by $way: each alone or with others as it comes");
    # everybody meets at the database
    $proxy->delay(0.02);
    my $before = status_counter('Com_stmt_execute');
    is_deeply([crowd($way, $ROUNDS)], [], "by $way: everybody gets his own answer");
    my ($statements, $questions) = (status_counter('Com_stmt_execute') - $before, $CLIENTS * $ROUNDS);
    cmp_ok($statements, '<', $questions / 3, "by $way: $questions questions in $statements statements");
    $proxy->pass;
}

# --- what befalls the statement that carries them --------------------------------------------------------------------------------------

my %row = (side => 'server', kind => 'row', text => 'execute SELECT FROM settings');
for my $fault (
    ['cut before it arrives', {how => 'before'}], ['cut when it ran', {how => 'ran'}], ['cut among the rows', {%row, n => 3, how => 'before'}],
    ['a read-only server', {how => 'error', error => 1290}], ['too many statements', {how => 'error', error => 1461}], ['killed', {how => 'error', error => 1317}],
    ['lost in silence', {how => 'hole'}], ['drips', {%row, how => 'drip'}],
) {
    my ($name, $rule) = @$fault;
    $proxy->delay(0.02);
    # the first may be one's own, and the second and third are crowds'
    $proxy->arm(map { {side => 'client', kind => 'execute', text => 'SELECT FROM settings', n => $_, %$rule} } 2, 1);
    is_deeply([crowd('token', 2)], [], "$name: all are answered all the same");
    is(scalar @{$proxy->seen->{fired}}, 2, '... and it befell two statements');
    $proxy->pass;
}

# --- each with a deadline of his own ----------------------------------------------------------------------------------------------------

{
    $proxy->pass;
    $proxy->arm({side => 'client', kind => 'execute', text => 'SELECT FROM settings', how => 'all'});
    my $began = time;
    my @seen = race($CLIENTS, sub { my $from = time; my $seen = seen('token', 0, data_organization(0)); return [$seen, time - $from] });
    my ($slowest) = sort { $b <=> $a } map { $_->[1] } @seen;
    is_deeply([grep { $_->[0] ne '503' } @seen], [], 'a database that is silent: 503 for all');
    cmp_ok($slowest, '<', 4.5, sprintf '... in time: %.2f s', $slowest);
    $proxy->pass;
    ok(until_true(10, sub { seen('token', 0, data_organization(0)) =~ /^200/ }), '... and then on it goes');
}
is_deeply([log_lines(qr/exit signal/)], [], 'no process died');
$proxy->end;
$httpd->stop;
done_testing;
