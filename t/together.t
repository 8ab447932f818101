# Writes that wait travel together: each is made, or refused, as it would be alone; each writer hears of his own, and the
# truth, whatever befalls the CALL that carried them; and the database is called less often than there are writes.
use Orgs::Test;
use Orgs::Data qw(data_sql data_hot_sql data_token data_organization data_user data_id);
use Orgs::Httpd;
use Orgs::Proxy;
use JSON::PP ();
use Time::HiRes qw(time);

my $CLIENTS = 32;
my $ROUNDS = long_or(30, 3);
my $USERS = 600;
my $top = top();
my $name = 'orgs_together';

# user u is the admin of organization u, and a member of u + 1
my $database = another_database($name);
sql({database => $name}, data_sql($USERS, 2));
my $hot = $USERS;
# a new organization whose only member, its admin, is user 0
sub hot { my $number = $hot++; sql({database => $name}, data_hot_sql($number, 0)); return data_organization($number) }
my $inactive = hot();
sql({database => $name}, "UPDATE organizations SET active = 0 WHERE id = " . id_in_sql($inactive)
    . "; UPDATE users SET superuser = 1 WHERE name = 'User 3'; UPDATE users SET active = 0 WHERE name = 'User 4'");

my $socket = "$top/run/together.socket";
my $mpm = ($ENV{ORGS_TEST_MPM} // 'event') eq 'prefork' ? 'event' : $ENV{ORGS_TEST_MPM};
my $httpd = Orgs::Httpd->start(<<"END", mpm => $mpm);
LogLevel info
ThreadLimit 80
ThreadsPerChild 80
MaxRequestWorkers 80
MaxSpareThreads 80
OrgsDBParams "socket=$socket dbname=$name user=orgs"
OrgsDBDefaultsFile "$top/run/main/orgs.cnf"
OrgsDBTimeout 4
<Location "/organizations">
    SetHandler orgs
</Location>
<Location "/status">
    SetHandler orgs-status
</Location>
END
watch_log($httpd->{log});
expect_log($_, undef) for qw(ORGS0011 ORGS0012 ORGS0102);
my $proxy = Orgs::Proxy->new(path => $socket);

# One write on a connection of its own: its answer.
sub post {
    my ($user, $path, $body, @headers) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or return {status => "connect: $!"};
    my $json = json_text($body);
    print $socket join "\r\n", "POST $path HTTP/1.1", 'Host: localhost', 'Authorization: Bearer ' . data_token($user), 'Content-Type: application/json',
        'Content-Length: ' . length $json, 'Connection: close', @headers, '', $json;
    my ($answer) = parse_answers(read_all($socket, 30));
    return $answer;
}

sub counter { my ($name) = @_; return api(GET => '', url => $httpd->url('/status?format=json'))->{json}{databases}[0]{$name} }

# --- creates ------------------------------------------------------------------------------------------------------------

# what may go wrong on its way through JSON and SQL
my @texts = ("plain", "\"quoted\" and \\back\\slashed\\", "\x{e4}\x{20ac}\x{1f600}\x{fffd}z", "a ' b '' c \\' d", "{\"a\":[1,null]}", 'x' x 180, "\x{1f600}" x 100, "%s \\u0041 \\n");

# What is created by this number.
sub body_of {
    my ($tag) = @_;
    my $text = $texts[$tag % @texts];
    return (name => "$tag $text", $tag % 3 ? (description => $tag % 3 == 1 ? "$text\n\ttwo" : "\x{e4}" x 4000) : ());
}

sub create {
    my ($user, $tag) = @_;
    my %body = body_of($tag);
    my $answer = post($user, '/organizations', \%body);
    my $made = $answer->{json};
    return "$answer->{status}" if $answer->{status} != 201;
    my @wrong = grep { ($made->{$_} // '') ne ($body{$_} // '') } qw(name description);
    push @wrong, 'role' if $made->{role} ne 'admin' || !$made->{active};
    push @wrong, 'Location' if $answer->{headers}{location} !~ m{/organizations/\Q$made->{id}\E$};
    return @wrong ? "201 with another @wrong" : "201 $made->{id}";
}

# All create at once, each several times: [[tag, user, what was seen], ...].
sub creates {
    my ($rounds, $from) = @_;
    return map { @{$_ // [['?', '?', 'died']]} } race($CLIENTS, sub {
        my ($n) = @_;
        # every other one writes as the same user, and one as somebody who is not active
        return [map { my $tag = $from + $n * $rounds + $_; my $user = $n == 4 ? 4 : $n % 2 ? 10 : $n + 20; [$tag, $user, create($user, $tag)] } 0 .. $rounds - 1];
    });
}

sub in_hex { my ($text) = @_; return 'NULL' if !defined $text; utf8::encode($text); return uc unpack 'H*', $text }

# What of creates is not as it was said, or not as it was sent: the answer is made of the request's words.
sub lies {
    my (@seen) = @_;
    my @lies;
    for (@seen) {
        my ($tag, $user, $seen) = @$_;
        my @there = sql({database => $name}, "SELECT HEX(o.id), HEX(o.name), HEX(o.description), o.members, o.seq, o.version, HEX(o.created_by), m.role, m.joined_at = o.created_at, e.action, e.seq, e.at = o.created_at, "
            . "HEX(e.actor_id), LENGTH(e.request_id) > 0, e.changes = CONCAT('{\"name\":[null,', JSON_QUOTE(o.name), IFNULL(CONCAT('],\"description\":[null,', JSON_QUOTE(o.description)), ''), '],\"active\":[null,true]}'), "
            . "(SELECT COUNT(*) FROM memberships x WHERE x.organization_id = o.id), (SELECT COUNT(*) FROM events x WHERE x.organization_id = o.id) "
            . "FROM organizations o JOIN memberships m ON m.organization_id = o.id AND m.user_id = o.created_by JOIN events e ON e.organization_id = o.id WHERE o.name LIKE '$tag %'");
        my $by = uc data_id($user, 1);
        my %body = body_of($tag);
        my $sent = join ' ', map { in_hex($body{$_}) } qw(name description);
        my $whole = @there == 1 && join(' ', map { $_ // 'NULL' } @{$there[0]}[1 .. $#{$there[0]}]) eq "$sent 1 1 1 $by admin 1 organization.create 1 1 $by 1 1 1 1";
        my ($id) = $seen =~ /^201 ([-0-9a-f]{36})$/;
        push @lies, "$tag, user $user: $seen" if $seen =~ /^201/ ? !$id || !$whole || uc($id =~ s/-//gr) ne $there[0][0] : $seen eq '504' ? @there && !$whole : @there;
        push @lies, "$tag: " . join ' | ', map { $_ // 'NULL' } @$_ for $whole ? () : @there;
    }
    return @lies;
}

my $tag = 1000;
{
    my @seen = creates(1, $tag);
    $tag += @seen;
    is_deeply([lies(@seen)], [], 'creates at once: what was said is there');
    $proxy->delay(0.02);
    my ($before, $together) = (status_counter('Com_call_procedure'), counter('writes_together'));
    @seen = creates($ROUNDS, $tag);
    $tag += @seen;
    my ($calls, $shared) = (status_counter('Com_call_procedure') - $before, counter('writes_together') - $together);
    is_deeply([lies(@seen)], [], 'creates that wait: what was said is there');
    is_deeply([map { "@$_" } grep { $_->[1] == 4 ? $_->[2] != 401 : $_->[2] !~ /^201/ } @seen], [], '... all but those of who is not active');
    cmp_ok($calls, '<', @seen / 2, sprintf '... %d creates in %d CALLs', scalar @seen, $calls);
    cmp_ok($shared, '>', @seen / 2, "... $shared of them with others");
    $proxy->pass;
}

# What is too much for one packet goes in more: sixteen of these are 250 kB.
{
    $proxy->delay(0.02);
    my $long = "\x{1f600}" x 4000;
    my @seen = race($CLIENTS, sub {
        my ($n) = @_;
        my $answer = post(20 + $n, '/organizations', {name => "Long $n", description => $long});
        return $answer->{status} == 201 && $answer->{json}{name} eq "Long $n" && $answer->{json}{description} eq $long ? 201 : $answer->{status};
    });
    is_deeply([grep { ($_ // 'died') ne 201 } @seen], [], 'more than goes into a packet: all are made');
    is(sql_value({database => $name}, "SELECT COUNT(*) FROM organizations WHERE name LIKE 'Long %' AND CHAR_LENGTH(description) = 4000"), $CLIENTS, '... and are there');
    is(counter('statement_failures'), 0, '... without a failure');
    $proxy->pass;
}

# --- new members --------------------------------------------------------------------------------------------------------

sub email { return "user$_[0]\@example.org" }

sub add { my ($by, $organization, $user, %more) = @_; return post($by, "/organizations/$organization/members", {email => ref $user ? $$user : email($user), %more}) }

# Of who was added, or was a member before, also what only the database knows.
sub who { my ($member) = @_; return map { $_ // 'NULL' } @$member{qw(email user_id name)} }

sub told {
    my ($answer) = @_;
    my $json = $answer->{json} || {};
    return join ' ', $answer->{status}, (grep { defined } $json->{code}, @$json{qw(seats seats_used)}), $json->{email} ? who($json) : (), $json->{member} ? who($json->{member}) : ();
}

sub known { my ($user) = @_; return join ' ', email($user), data_user($user), "User $user" }

# What is there: members, as counted and in fact, and the events of it, which are numbered without a gap.
sub standing {
    my ($organization) = @_;
    my $id = id_in_sql($organization);
    return join ' ', map { @$_ } sql({database => $name}, "SELECT members, (SELECT COUNT(*) FROM memberships WHERE organization_id = o.id), seq, "
        . "(SELECT COUNT(*) FROM events e JOIN memberships m ON m.organization_id = e.organization_id AND m.user_id = e.target_id AND m.joined_at = e.at "
        . "WHERE e.organization_id = o.id AND action = 'member.add' AND changes = '{\"role\":[null,\"member\"]}' AND LENGTH(request_id) > 0), (SELECT COUNT(DISTINCT seq) FROM events WHERE organization_id = o.id AND seq BETWEEN 1 AND o.seq) FROM organizations o WHERE id = $id");
}

my $next = 100;
# who adds whom, and what must be said: all of this at once
my @cases = (
    (map { ['an admin', sub { [0, $next++] }, sub { '201 ' . known($_[0]) }] } 1 .. 20),
    (map { ['a superuser', sub { [3, $next++] }, sub { '201 ' . known($_[0]) }] } 1 .. 2),
    (map { ['nobody by that address', sub { [0, \"nobody$_\@example.org"] }, sub { '404 user_not_found' }] } 1 .. 2),
    ['who is not active', sub { [0, 4] }, sub { '404 user_not_found' }],
    (map { ['who is a member', sub { [0, 0] }, sub { '409 already_member ' . known(0) }] } 1 .. 3),
    ['a stranger', sub { [30, $next++] }, sub { '404 organization_not_found' }],
    ['by who is not active', sub { [4, $next++] }, sub { '401 unauthorized' }],
    (map { ['a new admin', sub { [0, $next++, role => 'admin'] }, sub { '201 ' . known($_[0]) }] } 1 .. 2),
);

{
    $proxy->delay(0.02);
    my $organization = hot();
    my @told;
    my $before = status_counter('Com_call_procedure');
    my ($made, $wrong) = (0, 0);
    for my $round (1 .. $ROUNDS) {
        my @now = map { [$_, $_->[1]->()] } @cases;
        my @seen = race(scalar @now, sub { my ($who, $whom, @more) = @{$now[$_[0]][1]}; return told(add($who, $organization, $whom, @more)) });
        for my $n (0 .. $#now) {
            my ($case, $given) = @{$now[$n]};
            my $expected = $case->[2]->($given->[1]);
            push @told, "$case->[0]: $seen[$n] instead of $expected" if ($seen[$n] // 'died') ne $expected;
            $made++ if $expected =~ /^201/;
        }
    }
    my $calls = status_counter('Com_call_procedure') - $before;
    is_deeply(\@told, [], 'members added at once: each is told what is so');
    my ($members, $fact, $seq, $plain, $numbered) = split / /, standing($organization);
    is_deeply([$members, $fact, $seq, $numbered], [$made + 1, $made + 1, $made, $made], '... and it is so') or diag standing($organization);
    is($plain, $made - 2 * $ROUNDS, '... each with its event');
    cmp_ok($calls, '<', $made, "... $made members, and what was refused, in $calls CALLs");
    $proxy->pass;
}

{
    my $seen = join ' ', sort map { $_ // 'died' } race(8, sub { told(add(0, $inactive, $_[0] + 50)) });
    is($seen, join(' ', ('409 organization_inactive') x 8), 'an inactive organization takes nobody');
}

# As many seats as are left are taken, whoever travels with whom.
for my $seats (2, 9, 20) {
    $proxy->delay(0.01);
    my $organization = hot();
    my $license = sprintf '%032x', 0x10000 + $seats;
    sql({database => $name}, "INSERT INTO licenses (id, plan, seats, organization_id, assigned_at, created_at) VALUES (UNHEX('$license'), 'team', $seats, " . id_in_sql($organization) . ", '2026-01-01', '2026-01-01')");
    my %seen;
    $seen{(told($_) =~ s/ user.*//r)}++ for map { $_ // {status => 'died'} } race($CLIENTS, sub { add(0, $organization, 200 + $_[0]) });
    is_deeply(\%seen, {201 => $seats - 1, "409 seat_limit_reached $seats $seats" => $CLIENTS - $seats + 1}, "$seats seats, $CLIENTS who want one");
    like(standing($organization), qr/^$seats $seats /, '... and so many are there');
    $proxy->pass;
}

# The same one, many times at once.
{
    $proxy->delay(0.01);
    my $organization = hot();
    my %seen;
    $seen{told($_)}++ for map { $_ // {status => 'died'} } race($CLIENTS, sub { add(0, $organization, 77) });
    is_deeply(\%seen, {'201 ' . known(77) => 1, '409 already_member ' . known(77) => $CLIENTS - 1}, 'one and the same, many times: once');
    %seen = ();
    $seen{told($_)}++ for map { $_ // {status => 'died'} } race($CLIENTS, sub { post(0, "/organizations/$organization/members", {email => email(78)}, 'Idempotency-Key: one') });
    is_deeply(\%seen, {'201 ' . known(78) => $CLIENTS}, '... and with a key: once, and told to all');
    like(standing($organization), qr/^3 3 2 2 2$/, '... and both are there');
    $proxy->pass;
}

# --- the procedures by themselves: what has changed since the caller was looked at ------------------------------------------------

sub hex_of { my ($text) = @_; return unpack 'H*', $text }

sub called {
    my ($procedure, @items) = @_;
    my @arguments = $procedure =~ /^member/ ? id_in_sql(shift @items) : map { my $key = $_; "X'" . join('', map { $_->{$key} } @items) . "'" } qw(id actor);
    my @all = map { my %item = (event => hex_of(substr "event" . $tag++ . ' ' x 16, 0, 16), %$_); \%item } @items;
    my @rows = sql({database => $name}, "CALL $procedure(@{[join ', ', @arguments]}, '" . json_text(\@all) =~ s/(['\\])/\\$1/gr . "')");
    return join ' ', $rows[0][0] // '-', $rows[0][2] ? map { $_->{number} } @{json_of($rows[0][2])} : 'none';
}

sub json_of { return JSON::PP->new->decode($_[0]) }

{
    my %by = map { $_ => data_id($_, 1) } 0, 4, 5, 6;
    my $new = sub { my ($by) = @_; return {id => hex_of(substr "made" . $tag++ . ' ' x 16, 0, 16), actor => $by, name => "Called $tag"} };
    my $count = sub { return sql_value({database => $name}, "SELECT CONCAT_WS(' ', (SELECT COUNT(*) FROM organizations WHERE name LIKE 'Called %'), (SELECT COUNT(*) FROM memberships m JOIN organizations o ON o.id = m.organization_id WHERE o.name LIKE 'Called %'), (SELECT COUNT(*) FROM events e JOIN organizations o ON o.id = e.organization_id WHERE o.name LIKE 'Called %'))") };
    is(called('organization_create_together_v1', map { $new->($_) } $by{5}, $by{4}, $by{6}, '0' x 32), '- 1 3', 'creates: not of who is not active, or not there');
    is($count->(), '2 2 2', '... and so many are there');
    is(called('organization_create_together_v1', $new->($by{4})), '- none', '... nor of anybody, where there is nobody else');
    is(sql({database => $name, fails => 1}, "CALL organization_create_together_v1(X'" . '8' x 32 . "', X'$by{5}', '[{\"event\":\"" . '7' x 32 . "\",\"name\":\"Called " . 'x' x 200 . "\"}]')") > 0, 1, '... a name that does not fit is an error');
    is($count->(), '2 2 2', '... and nothing was written');

    my $organization = hot();
    my $whom = sub { my ($by, $user, $superuser) = @_; return {actor => $by, superuser => $superuser || 0, email => hex_of(email($user))} };
    is(called('member_add_together_v1', $organization, $whom->($by{0}, 91), $whom->($by{4}, 92), $whom->($by{5}, 93), $whom->(data_id(3, 1), 94), $whom->(data_id(3, 1), 95, 1), $whom->($by{0}, 4), $whom->($by{0}, 0), $whom->($by{0}, 96)),
        '- 1 5 8', 'adds: by its admin, or a superuser whose flag counts, of who is active and no member');
    is(standing($organization), '4 4 3 0 3', '... and so many are there');
    sql({database => $name}, 'UPDATE organizations SET active = 0 WHERE id = ' . id_in_sql($organization));
    is(called('member_add_together_v1', $organization, $whom->($by{0}, 97)), '- none', '... not to one that is not active');
    is(called('member_add_together_v1', uuid(), $whom->($by{0}, 97), $whom->(data_id(3, 1), 98, 1)), '- none', '... nor to one that is not there');
}

# --- who waits for whom ---------------------------------------------------------------------------------------------------

{
    my ($one, $other) = (hot(), hot());
    sql({database => $name, as => 'holder'}, 'START TRANSACTION; SELECT id FROM organizations WHERE id = ' . id_in_sql($one) . ' FOR UPDATE');
    my @took = race(12, sub {
        my ($n) = @_;
        my $began = time;
        my $answer = $n < 6 ? add(0, $one, 300 + $n) : $n < 9 ? add(0, $other, 300 + $n) : post(0, '/organizations', {name => "Beside $n"});
        return [$answer->{status}, time - $began];
    });
    sql({database => $name, as => 'holder'}, 'ROLLBACK');
    is_deeply([map { $_->[0] } @took[6 .. 11]], [(201) x 6], 'where somebody holds one organization, others are written');
    my ($slowest) = sort { $b <=> $a } map { $_->[1] } @took[6 .. 11];
    my ($fastest) = sort { $a <=> $b } map { $_->[1] } @took[0 .. 5];
    cmp_ok($slowest, '<', $fastest, sprintf '... before who waits for it is told: %.2f s, %.2f s', $slowest, $fastest);
    is_deeply([grep { $_->[0] != 503 } @took[0 .. 5]], [], '... and who waits for it is told in time that nothing was written');
    is(standing($one), '1 1 0 0 0', '... which is so');
    cmp_ok((sort { $b <=> $a } map { $_->[1] } @took)[0], '<', 4.5, '... in time');
}

# What a procedure gathers comes whole, however short the server's administrator would have it.
if (is_mariadb()) {
    my $before = sql_value('SELECT @@global.group_concat_max_len');
    sql('SET GLOBAL group_concat_max_len = 64');
    $proxy->drop;
    $proxy->pass;
    ok(until_true(10, sub { create(12, $tag++) =~ /^201/ }), 'a server that gathers little');
    $proxy->delay(0.02);
    my $organization = hot();
    my ($together, $failures) = (counter('writes_together'), counter('statement_failures'));
    my @adds = race($CLIENTS, sub { told(add(0, $organization, 500 + $_[0])) });
    is_deeply([map { $_ // 'died' } @adds], [map { '201 ' . known(500 + $_) } 0 .. $CLIENTS - 1], '... all are added');
    cmp_ok(counter('writes_together') - $together, '>', $CLIENTS / 2, '... most with others');
    is(counter('statement_failures') - $failures, 0, '... without a failure');
    sql("SET GLOBAL group_concat_max_len = $before");
    $proxy->drop;
    $proxy->pass;
}

# --- what befalls the CALL that carries them -----------------------------------------------------------------------------------

for my $fault (
    ['cut before it arrives', {how => 'before'}], ['cut when it ran', {how => 'ran'}], ['its answer lost', {how => 'instead', error => 1317}],
    (map { ["error $_", {how => 'error', error => $_}] } $ENV{ORGS_TEST_LONG} ? (1205, 1180) : (), 1213, 1062, 1305, 1317, 1290), ['creates lost in silence', {how => 'hole'}, 'create'],
    ['adds run, and then silence', {how => 'deaf'}, 'add'], $ENV{ORGS_TEST_LONG} ? (['cut when it arrived', {how => 'after'}], ['adds lost in silence', {how => 'hole'}, 'add'], ['creates run, and then silence', {how => 'deaf'}, 'create']) : (),
) {
    my ($what, $rule, $only) = @$fault;
    my $organization = hot();
    expect_log('ORGS0103', undef) if $what =~ /1305/;
    $proxy->delay(0.01);
    my @rules = map { {side => 'client', kind => 'execute', text => "CALL ${_}_together_v1", %$rule} } $only ? $only eq 'add' ? 'member_add' : 'organization_create' : ('organization_create', 'member_add');
    $proxy->arm(@rules);
    my $began = time;
    my @creates = ($only // '') eq 'add' ? () : creates(1, $tag);
    $tag += @creates;
    my @adds = ($only // '') eq 'create' ? () : race($CLIENTS, sub { add(0, $organization, 400 + $_[0]) });
    my $took = time - $began;
    my $fired = @{$proxy->seen->{fired}};
    $proxy->pass;
    is($fired, @rules, "$what: so it was");
    is_deeply([lies(@creates)], [], '... what was said of creates is so');
    my %status;
    $status{$_->{status} // 'died'}++ for @adds;
    my ($members, $fact, $seq, $plain, $numbered) = split / /, standing($organization);
    is_deeply([$fact, $seq + 1, $plain + 1, $numbered + 1], [($members) x 4], '... and members are whole, or not there') or diag standing($organization);
    my $least = 1 + ($status{201} // 0);
    ok($members >= $least && $members <= $least + ($status{504} // 0), '... and what was said of them is so') or diag explain [\%status, $members];
    is_deeply([grep { !/^(?:201|503|504)$/ } keys %status], [], '... 201, 503, or at worst 504') or diag explain \%status;
    # what is not silence is made good
    is(($status{201} // 0), $CLIENTS, '... all are added all the same') if @adds && $rule->{how} ne 'hole' && $rule->{how} ne 'deaf' && $what !~ /1290|1180/;
    cmp_ok($took, '<', 9, sprintf '... in time: %.2f s', $took);
    ok(until_true(10, sub { create(12, $tag++) =~ /^201/ }), '... and then on it goes');
}

is_deeply([log_lines(qr/exit signal/)], [], 'no process died');
$proxy->end;
$httpd->stop;

done_testing;
