# Contract 2 and 5: what is recorded, endpoint 15, and the operator's look at it.
use Orgs::Test;
use Orgs::Data qw(sequence_sql);
use Orgs::Story;

my %cast = map { $_ => user($_) } qw(ada bob cyd eve fay);
$cast{sam} = superuser('sam');
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $UUID7 = qr/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
my $TIME = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
my $KEYS = 'id organization_id seq at actor_id action target_id request_id changes';
$cast{one} = license(plan => 'one', seats => 10);
$cast{two} = license(plan => 'two', seats => 10, 'expires-at' => '2090-01-01T00:00:00Z');
deployment($cast{one}, 'web');

# --- each write, and what is recorded of it --------------------------------------------------------------------------------

my $name = "Acme \"quoted\" \\ \x{1F600} é";
my $long = "line 1\nline 2\t" . 'x' x 3000;
my $made = api(POST => '', token => $cast{ada}, json => {name => $name, description => 'Cards'});
answers($made, 201, 'made');
$cast{acme} = $made->{json};
my $acme = $cast{acme}{id};

# [who (or operator), request or orgsctl's words, body, action or undef for none, target, changes as they are written]
my @writes = (
    [ada => 'PUT {acme}', {name => 'Acme'},              'organization.update', undef, '{"name":[' . json_of($name) . ',"Acme"]}'],
    [ada => 'PUT {acme}', {name => 'Acme'},              undef],
    [ada => 'PUT {acme}', {},                            undef],
    [ada => 'PUT {acme}', {description => '', active => $false, name => 'Acme 2'}, 'organization.update', undef,
        '{"name":["Acme","Acme 2"],"description":["Cards",null],"active":[true,false]}'],
    [bob => 'PUT {acme}', {name => 'x'},                 undef],
    [ada => 'PUT {acme}', {active => $true, description => $long}, 'organization.update', undef,
        '{"description":[null,' . json_of($long) . '],"active":[false,true]}'],
    [ada => 'PUT {acme}', {description => 'Ünïcode'},    'organization.update', undef, '{"description":[' . json_of($long) . ',' . json_of('Ünïcode') . ']}'],
    [ada => 'PUT {acme}', {name => 'acme 2'},            'organization.update', undef, '{"name":["Acme 2","acme 2"]}'],
    [ada => 'POST {acme}/members', {email => '{bob@}'},  'member.add', 'bob', '{"role":[null,"member"]}'],
    [ada => 'POST {acme}/members', {email => '{bob@}'},  undef],
    [ada => 'POST {acme}/members', {email => 'none@none.example'}, undef],
    [ada => 'POST {acme}/members', {email => '{cyd@}', role => 'admin'}, 'member.add', 'cyd', '{"role":[null,"admin"]}'],
    [cyd => 'PUT {acme}/members/{bob}', {role => 'admin'}, 'member.update', 'bob', '{"role":["member","admin"]}'],
    [cyd => 'PUT {acme}/members/{bob}', {role => 'admin'}, undef],
    [bob => 'PUT {acme}/members/me', {role => 'member'}, 'member.update', 'bob', '{"role":["admin","member"]}'],
    [sam => 'POST {acme}/members', {email => '{fay@}'},  'member.add', 'fay', '{"role":[null,"member"]}'],
    [ada => 'DELETE {acme}/license', undef,              undef],
    [ada => 'PUT {acme}/license', {license_id => '{one}'}, 'license.assign', 'one', '{"license_id":[null,"{one}"]}'],
    [ada => 'PUT {acme}/license', {license_id => '{one}'}, undef],
    [ada => 'PUT {acme}/license', {license_id => 'none'}, undef],
    [ada => 'PUT {acme}/license', {license_id => '{TWO}'}, 'license.assign', 'two', '{"license_id":["{one}","{two}"]}'],
    [operator => 'license suspend {two}', undef,         'license.update', 'two', '{"status":["active","suspended"]}'],
    [operator => 'license suspend {two}', undef,         undef],
    [operator => 'license suspend {one}', undef,         undef],            # which nobody holds
    [operator => 'license resume {two}', undef,          'license.update', 'two', '{"status":["suspended","active"]}'],
    [operator => 'license set {two} --plan=new --seats=unlimited --starts-at=2020-01-01T00:00:00Z --expires-at=none', undef, 'license.update', 'two',
        '{"plan":["two","new"],"seats":[10,null],"starts_at":[null,"2020-01-01T00:00:00.000Z"],"expires_at":["2090-01-01T00:00:00.000Z",null]}'],
    [operator => 'license set {two} --plan=new', undef,  undef],
    [operator => 'license set {two} --expires-at=2020-02-01T00:00:00.25Z', undef, 'license.update', 'two',
        '{"status":["active","expired"],"expires_at":[null,"2020-02-01T00:00:00.250Z"]}'],
    [operator => 'deployment add {two} web', undef,      undef],
    [operator => 'license revoke {two}', undef,          'license.update', 'two', '{"status":["expired","revoked"]}'],
    [ada => 'DELETE {acme}/license', undef,              'license.unassign', 'two', '{"license_id":["{two}",null]}'],
    [ada => 'DELETE {acme}/license', undef,              undef],
    [operator => 'license release {two} --force', undef, undef],
    [operator => 'license resume {one}', undef,          undef],
    [ada => 'PUT {acme}/license', {license_id => '{one}'}, 'license.assign', 'one', '{"license_id":[null,"{one}"]}'],
    [ada => 'DELETE {acme}/members/{fay}', undef,        'member.remove', 'fay', '{"role":["member",null]}'],
    [ada => 'DELETE {acme}/members/{fay}', undef,        undef],
    [ada => 'DELETE {acme}/members/me', '{"x":1}',       'member.remove', 'ada', '{"role":["admin",null]}'],
    [cyd => 'DELETE {acme}/members/me', undef,           undef],            # the last admin
    [operator => 'org add-admin {acme} {ada@}', undef,   'member.add', 'ada', '{"role":[null,"admin"]}'],
    [operator => 'org add-admin {acme} {ada@}', undef,   undef],
    [operator => 'org add-admin {acme} {bob@}', undef,   'member.update', 'bob', '{"role":["member","admin"]}'],
    [operator => 'user deactivate {bob@}', undef,        undef],
    [operator => 'user activate {bob@}', undef,          undef],
    [operator => 'plan free --name=free', undef,         undef],
    [ada => 'GET {acme}', undef,                         undef],
);

sub json_of { JSON::PP->new->allow_nonref->encode($_[0]) }

my @expected = ({action => 'organization.create', actor_id => $cast{ada}{id}, target_id => undef,
    request_id => $made->{headers}{'x-request-id'},
    text => '{"name":[null,' . json_of($name) . '],"description":[null,"Cards"],"active":[null,true]}'});
for my $write (@writes) {
    my ($who, $request, $body, $action, $target, $changes) = @$write;
    my $before = event_seq($acme);
    my $request_id;
    if ($who eq 'operator') {
        orgsctl({fails => 1}, split / /, in_place(\%cast, $request));
    }
    else {
        my ($method, $path) = split / /, in_place(\%cast, $request);
        my $answer = api($method => $path, token => $cast{$who}, !defined $body ? () : ref $body ? (json => in_place(\%cast, $body)) : (body => $body));
        $request_id = $answer->{headers}{'x-request-id'};
        is($answer->{status} =~ /^2/ ? 1 : 0, 1, "$who: $request") or diag($answer->{body}) if $action;
    }
    is(event_seq($acme) - $before, $action ? 1 : 0, "$who: $request " . ($body && ref $body ? substr(json_text($body), 0, 60) . ' ' : '')
        . ($action ? 'is recorded' : 'is not recorded'));
    next if !$action;
    push @expected, {action => $action, actor_id => $who eq 'operator' ? undef : $cast{$who}{id},
        target_id => $target ? $cast{$target}{id} : undef, request_id => $request_id, text => in_place(\%cast, $changes)};
}

my $list = api(GET => "$acme/events", token => $cast{ada});
answers($list, 200, 'the list');
is(scalar @{$list->{json}}, scalar @expected, 'an event for each write');
my $text = $list->{body};
utf8::decode($text);
my @texts = $text =~ /("id":"[^"]+","organization_id":.*?"changes":.*?)(?=\},\{"id":|\}\]$)/g;
is(scalar @texts, scalar @expected, 'each has its members in order');
for my $i (0 .. $#expected) {
    my ($event, $want) = ($list->{json}[$i] // {}, $expected[$i]);
    my $what = 'event ' . ($i + 1) . ", $want->{action}";
    is_deeply({map { $_ => $event->{$_} } qw(seq action actor_id target_id request_id organization_id)},
        {seq => $i + 1, organization_id => $acme, map { $_ => $want->{$_} } qw(action actor_id target_id request_id)}, $what)
        or diag(json_text($event));
    like($event->{id} // '', $UUID7, "$what: id");
    like($event->{at} // '', $TIME, "$what: at");
    cmp_ok($event->{at}, 'ge', $list->{json}[$i - 1]{at}, "$what: not before the last") if $i;
    my ($changes) = ($texts[$i] // '') =~ /"changes":(.*)$/s;
    # numbers and texts may be written in more than one way, the order of members in one only
    is(join(' ', ($changes // '') =~ /"(\w+)":\[/g), join(' ', $want->{text} =~ /"(\w+)":\[/g), "$what: the order of changes");
    is_deeply($event->{changes}, JSON::PP->new->decode($want->{text}), "$what: changes") or diag($changes);
}
is(keys_of((split /\},\{"id"/, $list->{body})[1] =~ s/^/{"id"/r =~ s/"changes":.*/"changes":0/r), $KEYS, 'the order of members');
unlike($list->{body}, qr/\@|orgs_/, 'no emails, no tokens');
unlike($list->{body}, qr/\s"|",\s/, 'compact');
my %ids = map { $_->{id} => 1 } @{$list->{json}};
is(scalar keys %ids, scalar @expected, 'ids are unique');

# --- who sees it, and how -------------------------------------------------------------------------------------------------

enroll($cast{acme}, member => $cast{fay});
steps(\%cast,
    [bob => 'GET {acme}/events',            undef, 200, undef, {what => 'an admin'}],
    [sam => 'GET {acme}/events',            undef, 200, undef, {what => 'a superuser'}],
    [fay => 'GET {acme}/events',            undef, 403, 'admin_required', {what => 'a member'}],
    [fay => 'GET {acme}/events?order=desc', undef, 403, 'admin_required', {what => 'a member'}],
    [eve => 'GET {acme}/events',            undef, 404, 'organization_not_found'],
    [eve => 'GET x/events',                 undef, 404, 'organization_not_found'],
    [nobody => 'GET {acme}/events',         undef, 401, 'unauthorized'],
    [ada => 'HEAD {acme}/events',           undef, 200],
    [fay => 'HEAD {acme}/events',           undef, 403, 'admin_required'],
    [ada => 'POST {acme}/events',           {},    405, 'method_not_allowed'],
    [ada => 'DELETE {acme}/events',         undef, 405, 'method_not_allowed'],
    [ada => 'GET {acme}/events?order=',     undef, 422, 'invalid_input'],
    [ada => 'GET {acme}/events?order=DESC', undef, 422, 'invalid_input'],
    [ada => 'GET {acme}/events?order=up',   undef, 422, 'invalid_input'],
    [ada => 'GET {acme}/events?order=asc&order=asc', undef, 422, 'invalid_input'],
    [ada => 'GET {acme}/events?limit=0',    undef, 422, 'invalid_input'],
    [ada => 'GET {acme}/events?limit=5&cursor=x', undef, 422, 'invalid_input'],
    [ada => 'GET {acme}/events?cursor=x',   undef, 422, 'invalid_input'],
    [fay => 'GET {acme}/events?order=up',   undef, 422, 'invalid_input', {what => 'content comes first'}],
);
my $n = @expected;
my $writes_between;
my @seqs = map { $_->{seq} } @{$list->{json}};
is_deeply([map { $_->{seq} } @{api(GET => "$acme/events?order=asc", token => $cast{ada})->{json}}], \@seqs, 'order=asc');
is_deeply(api(GET => "$acme/events?order=desc", token => $cast{ada})->{json}, [reverse @{$list->{json}}], 'order=desc is the same, the other way round');
for my $order ('asc', 'desc') {
    my @want = $order eq 'desc' ? reverse @seqs : @seqs;
    for my $limit (1, 4, $n - 1, $n, $n + 1) {
        my @pages = pages("$acme/events?limit=$limit&order=$order", token => $cast{ada});
        is_deeply([map { $_->{seq} } map { @$_ } @pages], \@want, "order=$order, limit=$limit: all, in order");
        is(scalar @pages, int(($n + $limit - 1) / $limit), "order=$order, limit=$limit: pages");
    }
    my ($link) = api(GET => "$acme/events?limit=4&order=$order", token => $cast{ada})->{headers}{link} =~ /^<([^>]+)>/;
    my $other = $order eq 'asc' ? 'desc' : 'asc';
    problem(api(GET => $link =~ s/order=$order/order=$other/r, token => $cast{ada}), 422, 'invalid_input', "a cursor of $order is none of $other");
}
{
    # what is written between the pages: ascending it is seen at the end, descending it is not
    my $write = sub { api(PUT => $acme, token => $cast{ada}, json => {name => "Between $_[0]"}) };
    my $count = 0;
    my @asc = pages("$acme/events?limit=10", token => $cast{ada}, between => sub { $write->(++$count) if $count < 3 });
    is_deeply([map { $_->{seq} } map { @$_ } @asc], [1 .. $n + $count], 'ascending: those written meanwhile too, none twice');
    my $more = 0;
    my @desc = pages("$acme/events?limit=10&order=desc", token => $cast{ada}, between => sub { $write->('d' . ++$more) if $more < 3 });
    is_deeply([map { $_->{seq} } map { @$_ } @desc], [reverse 1 .. $n + $count], 'descending: those that were there, none twice');
    $n += $count + $more;
    $writes_between = $more;
}
my $big = organization($cast{ada}, name => 'Big');
ask('INSERT INTO events (id, organization_id, seq, at, action, expires_at) SELECT CONCAT(SUBSTR(id, 1, 8), UNHEX(LPAD(HEX(sequence.seq), 16, 0))), '
    . 'organization_id, 1 + sequence.seq, at, \'organization.update\', expires_at FROM events, ' . sequence_sql(1, 1234) . ' WHERE organization_id = ' . id_in_sql($big->{id})
    . '; UPDATE organizations SET seq = 1235 WHERE id = ' . id_in_sql($big->{id}));
for my $order ('asc', 'desc') {
    my @all = map { $_->{seq} } @{api(GET => "$big->{id}/events?order=$order", token => $cast{ada})->{json}};
    is_deeply(\@all, [$order eq 'asc' ? 1 .. 1235 : reverse 1 .. 1235], "1235 events, order=$order: all of them");
}
is(api(GET => "$big->{id}/events?limit=2", token => $cast{ada})->{json}[1]{changes}, undef, 'no changes are null');

# --- a deletion, and the operator's list ------------------------------------------------------------------------------------

my $deletion = api(DELETE => $acme, token => $cast{bob});
answers($deletion, 200, 'deleted');
problem(api(GET => "$acme/events", token => $cast{bob}), 404, 'organization_not_found', 'its events are no longer its admins\'');
problem(api(GET => "$acme/events", token => $cast{sam}), 404, 'organization_not_found', 'nor a superuser\'s');
my $whole = JSON::PP->new->utf8->decode(orgsctl('--json', 'event', 'list', $acme));
is_deeply([map { $_->{seq} } @$whole], [1 .. $n + 1], 'the operator sees them, exactly');
is_deeply([@$whole[0 .. $#expected]], $list->{json}, 'as the API showed them');
my $last = $whole->[-1];
is_deeply({map { $_ => $last->{$_} } qw(action actor_id target_id request_id changes)},
    {action => 'organization.delete', actor_id => $cast{bob}{id}, target_id => undef, request_id => $deletion->{headers}{'x-request-id'},
     changes => {name => ["Between d$writes_between", undef], description => ['Ünïcode', undef], active => [$true, undef], license_id => [$cast{one}{id}, undef]}},
    'the last is the deletion') or diag(json_text($last));
my @table = split /\n/, orgsctl('event', 'list', $acme);
is(scalar @table, $n + 2, 'as columns: a head and a line each');
like($table[0], qr/^SEQ +AT +ACTION +ACTOR +TARGET +CHANGES$/, 'the head');
like($table[1], qr/^1 +\S+Z +organization\.create +\Q$cast{ada}{id}\E +- +\{"name":\[null,/, 'a line');
my ($column) = map { index $_, 'ACTION' } $table[0];
is_deeply([grep { substr($_, $column - 2, 3) !~ /^  \S$/ } @table], [], 'the columns stand under each other');
is(orgsctl({fails => 1}, 'event', 'list', uuid())->[0], 1, 'of an organization that never was it is refused');

# --- prune --------------------------------------------------------------------------------------------------------------------

{
    my $org = organization($cast{ada}, name => 'Old');
    my $id = id_in_sql($org->{id});
    api(PUT => $org->{id}, token => $cast{ada}, json => {name => "Old $_"}) for 1 .. 5;
    # the first four are old: their ids tell the time too
    ask("UPDATE events SET at = at - INTERVAL 40 DAY, expires_at = expires_at - INTERVAL 40 DAY, "
        . "id = CONCAT(UNHEX(LPAD(HEX(CONV(HEX(SUBSTR(id, 1, 6)), 16, 10) - 40 * 86400000), 12, 0)), SUBSTR(id, 7)) "
        . "WHERE organization_id = $id AND seq <= 4");
    my $seqs = sub { join ' ', map { $_->{seq} } @{api(GET => "$org->{id}/events", token => $cast{ada})->{json}} };
    my $time = sub { ask_value("SELECT DATE_FORMAT(UTC_TIMESTAMP() $_[0], '%Y-%m-%dT%H:%i:%sZ')") };
    is($seqs->(), '1 2 3 4 5 6', 'before');
    is(orgsctl({fails => 1}, 'event', 'prune')->[0], 2, 'without a time it is wrong usage');
    is(orgsctl({fails => 1}, 'event', 'prune', '--before=yesterday')->[0], 2, 'nor is yesterday one');
    like(orgsctl('event', 'prune', '--before=' . $time->('- INTERVAL 50 DAY')), qr/^deleted +0$/, 'nothing is that old');
    is($seqs->(), '1 2 3 4 5 6', 'and all are there');
    my $deleted = JSON::PP->new->decode(orgsctl('--json', 'event', 'prune', '--before=' . $time->('- INTERVAL 30 DAY')));
    cmp_ok($deleted->{deleted}, '>=', 4, 'the old ones are deleted') or diag(json_text($deleted));
    is($seqs->(), '5 6', 'the others stay');
    orgsctl('event', 'prune', '--before=' . $time->('+ INTERVAL 1 DAY'));
    is($seqs->(), '5 6', 'what is not a day old stays, whatever is asked');
    answers(api(PUT => $org->{id}, token => $cast{ada}, json => {name => 'New'}), 200, 'another write');
    is($seqs->(), '5 6 7', 'counts on');
    my @wrong = sound($org, $big);
    ok(!@wrong, 'the events have no gaps') or diag(join "\n", @wrong);
}

done_testing;
