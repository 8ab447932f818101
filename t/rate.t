# OrgsRateLimit: how fast one caller may write, over all processes; where it stands among the refusals.
use Orgs::Test;
use Orgs::Httpd;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep time);

my $settings = sub {
    my (%options) = @_;
    return database_lines() . <<"CONF";
<IfModule !mpm_prefork_module>
    ServerLimit 6
    StartServers 3
    ThreadLimit 12
    ThreadsPerChild 12
    MinSpareThreads 36
    MaxSpareThreads 72
    MaxRequestWorkers 72
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 8
    ServerLimit 24
    MaxRequestWorkers 24
</IfModule>
OrgsRateLimit 5/60
<Location "/organizations">
    SetHandler orgs
</Location>
<Location "/same">
    SetHandler orgs
</Location>
<Location "/unlimited">
    SetHandler orgs
    OrgsRateLimit off
</Location>
<Location "/fast">
    SetHandler orgs
    OrgsRateLimit 4/2
</Location>
<Location "/day">
    SetHandler orgs
    OrgsRateLimit 1/86400
</Location>
<Location "/ten">
    SetHandler orgs
    OrgsRateLimit 10/3600
</Location>
<Location "/basic">
    SetHandler orgs
    AuthType Basic
    AuthName rate
    AuthBasicProvider orgs
    Require valid-user
    OrgsRateLimit 1/3600
</Location>
<Location "/some">
    SetHandler orgs
    OrgsRateLimit off
    <If "%{HTTP:X-Slow} == 'yes'">
        OrgsRateLimit 1/3600
    </If>
</Location>
CONF
};
my $httpd = Orgs::Httpd->start($settings->());

sub request { my ($method, $path, %options) = @_; return api($method => '', url => ($options{httpd} // $httpd)->url($path), %options) }

# Makes an organization; the answer.
sub create { my ($path, $user, %options) = @_; return request(POST => $path, token => $user, json => {name => 'Fast'}, %options) }

# Whoever is limited counts for himself in every part of the test.
my $number = 0;
sub somebody { return user('user' . ++$number) }

sub limited {
    my ($answer, $low, $high, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    problem($answer, 429, 'too_many_requests', $what);
    my $after = $answer->{headers}{'retry-after'} // 'none';
    ok($after =~ /^\d+$/ && $after >= $low && $after <= $high, "... who may come again in $low to $high seconds") or diag $after;
}

# --- the limit ----------------------------------------------------------------------------------------------------------------

{
    my $ada = somebody();
    my @made = map { create('/organizations', $ada) } 1 .. 2;
    is_deeply([map { $_->{status} } @made], [201, 201], 'writes');
    my $id = $made[0]{json}{id};
    is(request(PUT => "/organizations/$id", token => $ada, json => {name => 'Another'})->{status}, 200, '... of all kinds');
    is(request(DELETE => "/organizations/$id", token => $ada)->{status}, 200, '...');
    is(request(PUT => "/organizations/$id", token => $ada, json => {name => 'Gone'})->{status}, 404, '... also those that are refused');
    limited(create('/organizations', $ada), 1, 12, 'the sixth is too much');
    limited(request(DELETE => "/organizations/$made[1]{json}{id}", token => $ada), 1, 12, '... whatever it is');
    is(sql_value('SELECT COUNT(*) FROM organizations WHERE created_by = ' . id_in_sql($ada->{id})), 1, '... and nothing is written');
    is_deeply([map { request(GET => '/organizations', token => $ada)->{status} } 1 .. 10], [(200) x 10], 'reads have no limit');
    is(request(HEAD => "/organizations/$made[1]{json}{id}", token => $ada)->{status}, 200, '... nor has HEAD');
    is(request(OPTIONS => '/organizations')->{status}, 204, '... nor OPTIONS');
    limited(create('/organizations', new_token($ada)), 1, 12, 'another token is the same caller');
    limited(create('/same', $ada), 1, 12, 'so is another mount with the same limit');
    is(create('/fast', $ada)->{status}, 201, 'with another limit it is counted apart');
    is(create('/unlimited', $ada)->{status}, 201, 'off is off');
    is(create('/organizations', somebody())->{status}, 201, 'another caller has a limit of his own');
}
{
    my $ada = somebody();
    my $began = time;
    my @statuses = map { create('/fast', $ada)->{status} } 1 .. 4;
    is_deeply(\@statuses, [(201) x 4], 'four in two seconds');
    my $refused = create('/fast', $ada);
    if (time - $began < 0.5) {
        limited($refused, 1, 1, 'a fifth');
        create('/fast', $ada) for 1 .. 5;
        my $status;
        ok(until_true(3, sub { ($status = create('/fast', $ada)->{status}) != 429 }), '... is possible later');
        is($status, 201, '... and what was refused did not count');
        cmp_ok(time - $began, '>=', 0.5, '... after half a second');
        sleep 1;
        is(create('/fast', $ada)->{status}, 201, '... whoever waits as long as he is told is not refused');
    }
    my $bob = somebody();
    is(create('/day', $bob)->{status}, 201, 'one a day');
    limited(create('/day', $bob), 86300, 86400, '... is one a day');
}
{
    my $ada = somebody();
    is(create('/some', $ada, headers => {'X-Slow' => 'yes'})->{status}, 201, 'a limit in an <If>');
    limited(create('/some', $ada, headers => {'X-Slow' => 'yes'}), 3500, 3600, '... holds where it is true');
    is(create('/some', $ada)->{status}, 201, '... and only there');
}

# --- what comes first ---------------------------------------------------------------------------------------------------------

{
    my $ada = somebody();
    my $organization = create('/unlimited', $ada)->{json}{id};
    is(create('/day', $ada)->{status}, 201, 'the day\'s write');
    for my $case (
        ['POST', '/day/nowhere/at/all', {token => $ada},                          404, 'not_found'],
        ['PATCH', '/day',              {token => $ada},                           405, 'method_not_allowed'],
        ['POST', '/day',               {},                                        401, 'unauthorized'],
        ['POST', '/day',               {token => 'orgs_x', json => {}},           401, 'unauthorized'],
        ['POST', '/day',               {token => $ada, body => 'x', type => 'text/plain'}, 429, 'too_many_requests'],
        ['POST', '/day',               {token => $ada, body => 'x' x 70_000},     429, 'too_many_requests'],
        ['POST', '/day',               {token => $ada, body => '{'},              429, 'too_many_requests'],
        ['POST', '/day',               {token => $ada, json => {}},               429, 'too_many_requests'],
        ['PUT', '/day/nothing',        {token => $ada, json => {}},               429, 'too_many_requests'],
        ['PUT', "/day/$organization",  {token => $ada, json => {}, headers => {'If-Match' => '"x"'}}, 429, 'too_many_requests'],
        ['DELETE', "/day/$organization/members/me", {token => $ada},              429, 'too_many_requests'],
    ) {
        my ($method, $path, $options, $status, $code) = @$case;
        problem(request($method => $path, %$options), $status, $code, "$method $path: $code");
    }
    is(request(GET => '/day?limit=x', token => $ada)->{status}, 422, 'reads see the query first');

    # a password that a browser adds by itself
    my $bob = somebody();
    my $basic = 'Basic ' . encode_base64("x:$bob->{token}", '');
    my $write = sub { return request(POST => '/basic', json => {name => 'x'}, headers => {Authorization => $basic, @_}) };
    is($write->(Origin => 'https://evil.example')->{json}{code}, 'cross_site', "another site's write is refused before, $_") for 1 .. 3;
    is($write->()->{status}, 201, '... and does not count');
    is($write->()->{json}{code}, 'too_many_requests', 'one\'s own does');
    is($write->(Origin => 'https://evil.example')->{json}{code}, 'cross_site', '... and another site\'s is still refused as such');
}
{
    my $ada = somebody();
    is(create('/day', $ada)->{status}, 201, 'the day\'s write');
    my $post = "POST /day HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}";
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die "connect: $@";
    syswrite $socket, $post . $post . "GET /day HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nConnection: close\r\n\r\n";
    is_deeply([map { $_->{status} } parse_answers(read_all($socket, 20))], [429, 429, 200], 'a connection is in step after it');
}

# --- over all processes, whatever becomes of them -----------------------------------------------------------------------------------

# How many of so many writes at once, each on a connection of its own, are done.
sub rush {
    my ($httpd, $user, $writers) = @_;
    my @statuses = map { @$_ } race($writers, sub { return [map { create('/ten', $user, httpd => $httpd, headers => {Connection => 'close'})->{status} } 1 .. 3] });
    my %count;
    $count{$_}++ for @statuses;
    return \%count;
}
$httpd->stop;
for my $mpm (qw(event worker prefork)) {
    my $httpd = Orgs::Httpd->start($settings->(), mpm => $mpm);
    ok(until_true(10, sub { $httpd->children >= 3 }), "$mpm: there are processes");
    my $ada = somebody();
    is_deeply(rush($httpd, $ada, 10), {201 => 10, 429 => 20}, '... of which no two let one in where one may');
    kill KILL => $httpd->children;
    ok(until_true(10, sub { request(GET => '/ten', token => $ada, httpd => $httpd, headers => {Connection => 'close'})->{status} == 200 }), '... killed, there are new ones');
    is_deeply(rush($httpd, $ada, 5), {429 => 15}, '... that know what the others counted');
    $httpd->signal('USR1');
    ok(until_true(20, sub { 2 == (() = $httpd->log_text =~ /resuming normal operations/g) }), '... a graceful restart');
    is_deeply(rush($httpd, $ada, 5), {429 => 15}, '... forgets nothing');
    is_deeply([$httpd->complaints('children are killed')], [], '... there is nothing to complain of');
    $httpd->stop;
}

# --- exactly, in made-up time; and when there are too many ----------------------------------------------------------------------------

my $top = top();
my $apr = '$(apr-1-config --includes --cppflags)';
my $said = `cd '$top' && cc -O2 -Iinclude $apr -o run/rate t/harness/rate.c src/orgs_rate.c src/orgs_id.c \$(apr-1-config --link-ld) -lcrypto 2>&1`;
is($?, 0, 'the table alone can be tried') or diag $said;
$said = `'$top/run/rate' @{[long_or(200_000, 5000)]}`;
is($?, 0, 'each gets what the limit says, whoever else asks') or diag $said;
done_testing;
