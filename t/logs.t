# What log formats can tell of a request, request ids that are the same everywhere, and changes of state, each told once.
use Orgs::Test;
use Orgs::Database;
use Orgs::Httpd;
use Time::HiRes qw(sleep time);

my $db = Orgs::Database->new->start;
my $ada = $db->token('ada');
my $bob = $db->token('bob');
my $settings = <<'CONF';
<IfModule !mpm_prefork_module>
    ServerLimit 4
    StartServers 3
    ThreadLimit 8
    ThreadsPerChild 8
    MinSpareThreads 24
    MaxSpareThreads 32
    MaxRequestWorkers 32
</IfModule>
LogLevel info orgs:debug
ErrorLogFormat "[%{cu}t] [%-m:%l] [pid %P] [%L] %M"
LogFormat "%{X-Request-Id}o|%L|%{UNIQUE_ID}e|%>s|%u|%{orgs-code}n|%{orgs-org}n|%{orgs-role}n|%{orgs-token}n|%{orgs-retries}n|%{orgs-db-us}n|%D|%{X-Mark}i" notes
CustomLog access notes
OrgsDBTimeout 3
<Location "/orgs-status">
    SetHandler orgs-status
</Location>
<Location "/organizations">
    SetHandler orgs
    OrgsMaxBody 1000
</Location>
<Location "/closed">
    SetHandler orgs
    Require all denied
</Location>
<Location "/gated">
    AuthType Orgs
    Require org-admin %{HTTP:X-Org}
    ErrorDocument 403 /refused.html
</Location>
<Location "/basic">
    AuthType Basic
    AuthName basic
    AuthBasicProvider orgs
    Require valid-user
</Location>
CONF
my $httpd = Orgs::Httpd->start(database_lines('second') . $settings, mpm => 'event');
for my $file (qw(gated basic plain refused.html)) {
    open my $out, '>', "$httpd->{directory}/htdocs/$file" or die "$file: $!";
    print $out "$file\n";
}

sub figure { return api(GET => '', url => $httpd->url('/orgs-status'))->{json}{databases}[0]{$_[0]} }

# The line of a marked request in the access log, by names.
my @names = qw(header log_id unique status user code org role token retries us took mark);
sub line_of {
    my ($mark, $in) = @_;
    my $line = until_true(5, sub {
        open my $log, '<', ($in // $httpd)->{directory} . '/access' or return;
        return (grep { /\|$mark$/ } <$log>)[0];
    }) // '';
    chomp $line;
    my %line;
    @line{@names} = split /\|/, $line;
    return \%line;
}

# Sends a request, and gives its answer and its line.
my $mark = 0;
sub logged {
    my ($method, $path, %options) = @_;
    my $now = ++$mark;
    my $answer = api($method => '', url => ($options{httpd} // $httpd)->url($path), %options,
        headers => {'X-Mark' => $now, %{$options{headers} || {}}});
    return ($answer, line_of($now, $options{httpd}));
}

# --- notes --------------------------------------------------------------------------------------------------------------------

my ($made, $line) = logged(POST => '/organizations', token => $ada, json => {name => 'Logged'});
my $id = $made->{json}{id};
my $absent = uuid();
my %token_id = map { ($_ => orgsctl({run => $db->{run}}, '--json', 'token', 'list', "$_\@example.com") =~ /"id":"([^"]+)"/) } qw(ada bob);
$db->sql("INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT " . id_in_sql($id) . ", id, 'member', UTC_TIMESTAMP(3) "
    . "FROM users WHERE email = 'bob\@example.com'; UPDATE organizations SET members = 2 WHERE id = " . id_in_sql($id));
orgsctl({run => $db->{run}}, qw(user add root@example.com --superuser));
my $root = orgsctl({run => $db->{run}}, qw(token issue root@example.com));
my $basic = sub { require MIME::Base64; return {Authorization => 'Basic ' . MIME::Base64::encode_base64("x:$_[0]", '')} };
my $root_id = (orgsctl({run => $db->{run}}, '--json', 'token', 'list', 'root@example.com') =~ /"id":"([^"]+)"/)[0];

is_deeply([@$line{qw(status user code org token)}], [201, 'ada@example.com', '-', $id, $token_id{ada}], 'an organization that is made');
# [request, options, status, code, organization, role, token, whether the database was asked]
for my $case (
    ["GET /organizations",                    {token => $ada},                     200, '-',                      '-',     '-',          $token_id{ada}, 1],
    ["GET /organizations/$id",                {token => $ada},                     200, '-',                      $id,     'admin',      $token_id{ada}, 1],
    ["GET /organizations/" . uc $id,          {token => $bob},                     200, '-',                      $id,     'member',     $token_id{bob}, 1],
    ["GET /organizations/$id/members",        {token => $root},                    200, '-',                      $id,     'superuser',  $root_id,       1],
    ["GET /organizations/$absent",            {token => $ada},                     404, 'organization_not_found', $absent, '-',          $token_id{ada}, 1],
    ["GET /organizations/nothing",            {token => $ada},                     404, 'organization_not_found', '-',     '-',          $token_id{ada}, 1],
    ["PUT /organizations/$id",                {token => $bob, json => {name => 'x'}}, 403, 'admin_required',      $id,     'member',     $token_id{bob}, 1],
    ["PUT /organizations/$id",                {token => $ada, json => {name => ''}},  422, 'invalid_input',       $id,     'admin',      $token_id{ada}, 1],
    ["POST /organizations",                   {token => $ada, body => '{'},        400, 'malformed_json',         '-',     '-',          $token_id{ada}, 1],
    ["POST /organizations",                   {token => $ada, body => 'x' x 1001}, 413, 'body_too_large',         '-',     '-',          $token_id{ada}, 1],
    ["GET /organizations/$id",                {},                                  401, 'unauthorized',           $id,     '-',          '-',            0],
    ["GET /organizations/$id",                {token => 'orgs_x'},                 401, 'unauthorized',           $id,     '-',          '-',            0],
    ["GET /organizations/$id/nothing",        {token => $ada},                     404, 'not_found',              '-',     '-',          '-',            0],
    ["PATCH /organizations",                  {token => $ada},                     405, 'method_not_allowed',     '-',     '-',          '-',            0],
    ["GET /organizations/openapi.json",       {},                                  200, '-',                      '-',     '-',          '-',            0],
    ["GET /closed",                           {token => $ada},                     403, 'forbidden',              '-',     '-',          '-',            0],
    ["GET /gated",                            {token => $ada, headers => {'X-Org' => $id}},     200, '-',         $id,     'admin',      $token_id{ada}, 1],
    ["GET /gated/absent",                     {token => $ada, headers => {'X-Org' => $id}},     404, '-',         $id,     'admin',      $token_id{ada}, 1],
    ["GET /gated",                            {token => $bob, headers => {'X-Org' => $id}},     403, 'forbidden', $id,     'member',     $token_id{bob}, 1],
    ["GET /gated",                            {token => $ada, headers => {'X-Org' => $absent}}, 403, 'forbidden', $absent, '-',          $token_id{ada}, 1],
    ["GET /gated",                            {token => $ada, headers => {'X-Org' => "\t"}},    403, 'forbidden', '-',     '-',          $token_id{ada}, 1],
    ["GET /gated",                            {headers => {'X-Org' => $id}},       401, 'unauthorized',           $id,     '-',          '-',            0],
    ["GET /basic",                            {headers => $basic->($ada)},         200, '-',                      '-',     '-',          $token_id{ada}, 1],
    ["GET /basic",                            {headers => $basic->('nonsense')},   401, 'unauthorized',           '-',     '-',          '-',            0],
) {
    my ($request, $options, $status, $code, $org, $role, $token, $asked) = @$case;
    my ($method, $path) = split / /, $request;
    my ($answer, $line) = logged($method, $path, %$options);
    is($answer->{status}, $status, "$request, $status");
    is_deeply({map { $_ => $line->{$_} } qw(status code org role token retries)},
        {status => $status, code => $code, org => $org, role => $role, token => $token, retries => 0}, '... and its notes');
    is($answer->{json}{code} // '-', $code, '... the code is what the client reads') if $path =~ /^.organizations/ && ref $answer->{json} eq 'HASH';
    like($line->{us}, qr/^\d+$/, '... with the time the database took');
    ok($asked ? $line->{us} > 20 && $line->{us} < $line->{took} : $line->{us} == 0, '... which is part of all') or diag explain $line;
}
{
    my ($answer, $line) = logged(GET => '/plain');
    is_deeply([$answer->{status}, @$line{qw(code org role token retries us)}], [200, ('-') x 6], 'what is not ours has no notes');
}
{
    # a lock that is held for longer than the database lets a statement wait
    $db->sql("BEGIN; SELECT id FROM organizations WHERE id = " . id_in_sql($id) . ' FOR UPDATE');
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die "connect: $@";
    my $now = ++$mark;
    syswrite $socket, "PUT /organizations/$id HTTP/1.1\r\nHost: x\r\nX-Mark: $now\r\nAuthorization: Bearer $ada\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"name\":\"Waited\"}";
    ok(until_true(10, sub { figure('retries') > 0 }), 'a write is repeated');
    $db->sql('ROLLBACK');
    like(read_all($socket, 30), qr{^HTTP/1\.1 200 }, '... until it can be done');
    my $line = line_of($now);
    is_deeply([@$line{qw(status code org role)}], [200, '-', $id, 'admin'], '... which its line tells');
    cmp_ok($line->{retries}, '>=', 1, '... as often as it was repeated');
    cmp_ok($line->{us}, '>', 500_000, '... and that it took its time');
}

# --- request ids -----------------------------------------------------------------------------------------------------------------

{
    my ($answer, $line) = logged(GET => "/organizations/$absent", token => $ada);
    my $request_id = $answer->{headers}{'x-request-id'};
    is_deeply([@$line{qw(header log_id unique)}], [$request_id, $request_id, '-'], 'without mod_unique_id an answer\'s id is the log\'s');
    is(scalar(() = $httpd->log_text =~ /\[\Q$request_id\E\] ORGS0013: organization_not_found/g), 1, '... in the error log too, where its refusal is told');
    ($answer, $line) = logged(PUT => "/organizations/$id", token => $ada, json => {name => 'Another name'});
    is($db->value("SELECT request_id FROM events WHERE organization_id = " . id_in_sql($id) . ' ORDER BY seq DESC LIMIT 1'), $line->{log_id}, '... and the event\'s');
}
my $unique = Orgs::Httpd->start(load_modules('unique_id') . database_lines('second') . $settings, mpm => 'event');
{
    my ($answer, $line) = logged(GET => "/organizations/$absent", token => $ada, httpd => $unique);
    my $request_id = $answer->{headers}{'x-request-id'};
    is_deeply([@$line{qw(header unique)}], [$request_id, $request_id], 'with mod_unique_id it is that one\'s');
    isnt($line->{unique}, '-', '... which is there');
    ($answer, $line) = logged(PUT => "/organizations/$id", token => $ada, json => {name => 'One more name'}, httpd => $unique);
    is($db->value("SELECT request_id FROM events WHERE organization_id = " . id_in_sql($id) . ' ORDER BY seq DESC LIMIT 1'), $line->{unique}, '... and the event\'s');
}
$unique->stop;
is_deeply([$unique->complaints], [], '... and there is nothing to complain of');

# --- changes of state --------------------------------------------------------------------------------------------------------------

sub told { return scalar(() = $httpd->log_text =~ /$_[0]: /g) }

# Requests for all processes, until a figure is as wanted.
sub until_figure {
    my ($name, $want) = @_;
    return until_true(15, sub { race(12, sub { api(GET => '', url => $httpd->url('/organizations?limit=1'), token => $ada)->{status} }); figure($name) == $want });
}

my $pools = figure('pools');
cmp_ok($pools, '>=', 3, 'there are processes');
race(24, sub { api(GET => '', url => $httpd->url('/organizations?limit=1'), token => $ada)->{status} });
for my $round (1, 2) {
    $db->kill;
    ok(until_figure('pools_down', $pools), "$round: a database that is down, which all processes know");
    is(told('ORGS0102'), $round, '... is told once');
    $db->start;
    ok(until_figure('pools_down', 0), "$round: it is back, which all processes know");
    is(told('ORGS0101'), $round, '... is told once');
}
is_deeply([$httpd->complaints(qw(ORGS0102 AH01630 AH01631 AH01618 AH01617))], [], 'there is nothing else to complain of');
unlike(join('', map { do { open my $in, '<', $_ or die $!; local $/; <$in> } } map { ("$_->{directory}/access", $_->{log}) } $httpd, $unique),
    qr/\Q$ada\E|\Q$bob\E|\Q$root\E/, 'no log has a token');
done_testing;
