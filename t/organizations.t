# Contract 2, 3 and 5: organizations, what they look like, and the rules of writing them.
use Orgs::Test;

my ($ada, $bob, $eve, $root) = (user('ada'), user('bob'), user('eve'), superuser('root'));
my $uuid7 = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;
my $time = qr/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z/;

sub events_of {
    my ($id) = @_;
    return map { {seq => $_->[0], action => $_->[1], actor => $_->[2], target => $_->[3], request => $_->[4], changes => $_->[5]} }
        sql("SELECT seq, action, LOWER(HEX(actor_id)), target_id, request_id, changes FROM events WHERE organization_id = "
            . id_in_sql($id) . ' ORDER BY seq');
}

# --- the representation ------------------------------------------------------------------------------------------------

my $before = now_ms();
my $made = api(POST => '', token => $ada, json => {name => 'Difference Engines', description => 'Made of brass'});
answers($made, 201, 'created');
my $id = $made->{json}{id};
like($made->{body}, qr/^\{"id":"$uuid7","name":"Difference Engines","description":"Made of brass","active":true,"role":"admin","license_id":null,"created_at":"$time","updated_at":"$time"\}$/,
    'compact JSON, members in order, ids of version 7, times with milliseconds');
is($made->{json}{created_at}, $made->{json}{updated_at}, 'created and updated at once');
my $ms = hex(substr $id, 0, 8) * 65536 + hex(substr $id, 9, 4);
ok($ms >= $before - 1000 && $ms <= now_ms() + 1000, 'the id has the time') or diag "$ms, $before";
like($made->{headers}{etag}, qr/^"1-[A-Za-z0-9_-]+"$/, 'ETag of version 1');
is($made->{headers}{location}, "/organizations/$id", 'Location');
is(api(GET => $id, token => $ada)->{body}, $made->{body}, 'it reads the same, byte for byte');
is(api(GET => '', token => $ada)->{body}, "[$made->{body}]", 'and in the list');
is(api(GET => uc $id, token => $ada)->{body}, $made->{body}, 'ids match in any letter case');
is(api(GET => '', token => $bob)->{body}, '[]', 'a list of none');

for my $case (
    [{name => 'No description'},                         '"description":null'],
    [{name => 'x', description => undef},                '"description":null'],
    [{name => 'x', description => ''},                   '"description":null'],
    [{name => 'x', description => "  \t\n "},            '"description":null'],
    [{name => '  trimmed  ', description => "\n x \n"},  '"name":"trimmed","description":"x"'],
    [{name => "\x{1F41F} \x{e9}"},                       "\"name\":\"\xf0\x9f\x90\x9f \xc3\xa9\""],
    [{name => 'a "quote" \\ and /'},                     '"name":"a \\"quote\\" \\\\ and /"'],
    [{name => 'x', description => "a\tb\r\nc"},          '"description":"a\\tb\\r\\nc"'],
    [{name => 'x', active => JSON::PP::false()},         '"active":true'],       # an unknown member, here
    [{name => 'x', id => uuid(), role => 'member'},      '"role":"admin"'],
) {
    my $r = api(POST => '', token => $bob, json => $case->[0]);
    answers($r, 201, 'POST ' . json_text($case->[0]));
    ok(index($r->{body}, $case->[1]) >= 0, "... gives $case->[1]") or diag $r->{body};
    is(api(GET => $r->{json}{id}, token => $bob)->{body}, $r->{body}, '... and reads the same');
}
isnt(organization($bob, name => 'Twin')->{id}, organization($bob, name => 'Twin')->{id}, 'names are not unique');

# --- PUT ---------------------------------------------------------------------------------------------------------------------

my $o = organization($ada, name => 'Name', description => 'Text');
my %now = (name => 'Name', description => 'Text', active => 1);

# [body, what changes of it, "changes" of the event or undef where nothing moves]
my @puts = (
    ['{}',                                                       {}, undef],
    ['{"name":null,"description":null,"active":null}',           {}, undef],
    ['{"name":"Name","description":"Text","active":true}',       {}, undef],
    ['{"name":"  Name "}',                                       {}, undef],
    ['{"unknown":1,"id":"x","role":"member"}',                   {}, undef],
    ['{"name":"Other"}',                      {name => 'Other'}, '{"name":["Name","Other"]}'],
    ['{"description":"Line\nLine"}',          {description => "Line\nLine"}, '{"description":["Text","Line\nLine"]}'],
    ['{"name":null,"description":""}',        {description => undef}, '{"description":["Line\nLine",null]}'],
    ['{"description":""}',                                       {}, undef],
    ['{"description":" "}',                                      {}, undef],
    ['{"active":false}',                      {active => 0}, '{"active":[true,false]}'],
    ['{"active":false}',                                         {}, undef],
    ['{"name":"N","active":true,"description":"D"}',
        {name => 'N', active => 1, description => 'D'},
        '{"name":["Other","N"],"description":[null,"D"],"active":[false,true]}'],
    ['{"name":"n"}',                          {name => 'n'}, '{"name":["N","n"]}'],          # letter case counts
    ['{"name":"n\u0301"}',                    {name => "n\x{301}"}, "{\"name\":[\"n\",\"n\xcc\x81\"]}"],
    ['{"name":"\u0144"}',                     {name => "\x{144}"}, "{\"name\":[\"n\xcc\x81\",\"\xc5\x84\"]}"],
    ['{"name":"a\"b\\\\c"}',                  {name => 'a"b\\c'}, undef, 'any'],
);
my $last = api(GET => $o->{id}, token => $ada);
for my $case (@puts) {
    my ($body, $change, $changes, $any) = @$case;
    my $count = scalar(my @before = events_of($o->{id}));
    my $r = api(PUT => $o->{id}, token => $ada, body => $body);
    answers($r, 200, "PUT $body");
    %now = (%now, %$change);
    is_deeply([@{$r->{json}}{qw(name description)}, $r->{json}{active} ? 1 : 0], [@now{qw(name description active)}],
        '... gives what it says') or diag $r->{body};
    my @events = events_of($o->{id});
    if (%$change) {
        is(scalar @events, $count + 1, '... is one event');
        is($events[-1]{changes}, $changes, '... with the changes') if defined $changes;
        ok(eval { JSON::PP->new->utf8->decode($events[-1]{changes}) }, '... which are JSON');
        is($events[-1]{request}, $r->{headers}{'x-request-id'}, '... and the request\'s id');
        my ($was, $is) = map { $_->{headers}{etag} =~ /^"(\d+)-/ } $last, $r;
        is($is, $was + 1, '... moves the version by one');
        ok($r->{json}{updated_at} ge $last->{json}{updated_at}, '... and updated_at');
        is($r->{json}{created_at}, $o->{created_at}, '... not created_at');
    }
    else {
        is(scalar @events, $count, '... records nothing');
        is($r->{body}, $last->{body}, '... moves nothing');
        is($r->{headers}{etag}, $last->{headers}{etag}, '... not the tag');
    }
    is(api(GET => $o->{id}, token => $ada)->{body}, $r->{body}, '... and reads the same');
    $last = $r;
}

# an inactive organization: reads, 4 and 5 work
my $asleep = organization($ada, name => 'Asleep');
answers(api(PUT => $asleep->{id}, token => $ada, json => {active => JSON::PP::false()}), 200, 'put to sleep');
is(api(GET => $asleep->{id}, token => $ada)->{json}{active}, JSON::PP::false(), 'read while inactive');
answers(api(PUT => $asleep->{id}, token => $ada, json => {name => 'Still asleep'}), 200, 'changed while inactive');
answers(api(DELETE => $asleep->{id}, token => $ada), 200, 'deleted while inactive');

# --- DELETE ---------------------------------------------------------------------------------------------------------------

my $doomed = organization_with($ada, member => $bob);
my $deleted = api(DELETE => uc $doomed->{id}, token => $ada);
answers($deleted, 200, 'deleted');
is($deleted->{body}, "{\"id\":\"$doomed->{id}\",\"deleted\":true}", 'the answer');
ok(!exists $deleted->{headers}{etag}, 'has no tag');
problem(api(DELETE => $doomed->{id}, token => $ada), 404, 'organization_not_found', 'deleted once');
problem(api(GET => $doomed->{id}, token => $_), 404, 'organization_not_found', 'gone for all') for $ada, $bob, $root;
is(sql_value('SELECT COUNT(*) FROM memberships WHERE organization_id = ' . id_in_sql($doomed->{id})), 0, 'no membership left');
is_deeply([map { "$_->{seq} $_->{action}" } events_of($doomed->{id})], ['1 organization.create', '2 organization.delete'],
    'the events stay');
answers(api(DELETE => organization($ada)->{id}, token => $ada, body => '{"name":', type => 'text/plain'), 200,
    'a body on DELETE is ignored');
answers(api(GET => $id, token => $ada, body => '{', type => 'text/plain'), 200, 'and one on GET');

# --- events ---------------------------------------------------------------------------------------------------------------

{
    my $r = api(POST => '', token => $ada, json => {name => 'Events', description => 'One'});
    my $event = $r->{json}{id};
    for my $n (1 .. 5) {
        api(PUT => $event, token => $n % 2 ? $ada : $root, json => {name => "Events $n"});
        api(PUT => $event, token => $ada, json => {name => "Events $n"});
        api(PUT => $event, token => $bob, json => {name => 'not mine'});
        api(PUT => $event, token => $ada, json => {name => ''});
    }
    api(DELETE => $event, token => $ada);
    my @events = events_of($event);
    is_deeply([map { $_->{seq} } @events], [1 .. 7], 'seq counts from 1 without gaps');
    is_deeply([map { $_->{action} } @events],
        ['organization.create', ('organization.update') x 5, 'organization.delete'], 'actions');
    is($events[0]{changes}, '{"name":[null,"Events"],"description":[null,"One"],"active":[null,true]}', 'of a create');
    is($events[6]{changes}, '{"name":["Events 5",null],"description":["One",null],"active":[true,null]}', 'of a delete');
    my %hex = map { $_->{id} => $_->{id} =~ tr/-//dr } $ada, $root;
    is_deeply([map { $_->{actor} } @events], [@hex{map { $_->{id} } $ada, $ada, $root, $ada, $root, $ada, $ada}], 'who');
    is_deeply([grep { defined } map { $_->{target} } @events], [], 'no target');
    is($events[0]{request}, $r->{headers}{'x-request-id'}, 'from which request');
}

# --- who sees what -----------------------------------------------------------------------------------------------------------

my $shared = organization_with($ada, member => $bob);
my $foreign = organization($eve);
is(api(GET => $shared->{id}, token => $bob)->{json}{role}, 'member', 'a member sees it');
is(api(GET => $shared->{id}, token => $root)->{json}{role}, undef, 'a superuser who is none sees role null');
like(api(GET => $shared->{id}, token => $root)->{body}, qr/"role":null/, 'which is there');
problem(api(PUT => $shared->{id}, token => $bob, json => {name => 'x'}), 403, 'admin_required', 'a member does not write');
problem(api(DELETE => $shared->{id}, token => $bob), 403, 'admin_required', 'nor delete');
answers(api(PUT => $shared->{id}, token => $root, json => {name => 'By root'}), 200, 'a superuser writes');
is(api(GET => $shared->{id}, token => $ada)->{json}{name}, 'By root', 'as one sees');
{
    my $own = organization_with($ada, member => $root);
    is(api(GET => $own->{id}, token => $root)->{json}{role}, 'member', 'a superuser who is a member has that role');
    answers(api(PUT => $own->{id}, token => $root, json => {name => 'x'}), 200, 'and may write all the same');
    answers(api(DELETE => $own->{id}, token => $root), 200, 'and delete');
}

my %body;
for my $method (qw(GET PUT DELETE)) {
    for my $case ([absent => uuid()], [foreign => $foreign->{id}], [malformed => 'nope'], ['nil' => '0' x 8 . '-0000-0000-0000-' . '0' x 12],
        ['too long' => "$foreign->{id}0"], ['without dashes' => $foreign->{id} =~ tr/-//dr], ['in braces' => "%7B$foreign->{id}%7D"],
        ['dashes elsewhere' => $foreign->{id} =~ s/^(.{8})-(.)/$1$2-/r], ['me' => 'me'], ['not UTF-8' => '%ff%fe'], ['a space' => '%20'], ['a quote' => "'"])
    {
        my ($what, $other) = @$case;
        my $r = api($method => $other, token => $ada, $method eq 'PUT' ? (json => {name => 'x'}) : ());
        problem($r, 404, 'organization_not_found', "$method of one that is $what");
        $body{$method} //= $r->{body};
        is($r->{body}, $body{$method}, '... answers the same, byte for byte');
        my %h = %{$r->{headers}};
        delete @h{qw(date x-request-id)};
        $body{headers} //= json_text(\%h);
        is(json_text(\%h), $body{headers}, '... with the same headers');
    }
}
is($body{GET}, $body{PUT}, 'and for each method');
is($body{GET}, $body{DELETE}, 'the same');

# --- precedence ----------------------------------------------------------------------------------------------------------------

# From what is wrong in several ways, the first of the contract's list is told. Each case is wrong in its own way and in
# those below it, as far as that can be.
my $long = 'x' x 70000;
my @precedence = (
    # [what, method, path, token, type, body, headers, status, code]
    ['path',           PATCH  => "$shared->{id}/none?limit=0", undef, 'text/plain', $long, {}, 404, 'not_found'],
    ['method',         PATCH  => '?limit=0',        undef, 'text/plain', $long, {}, 405, 'method_not_allowed'],
    ['caller',         POST   => '?limit=0',        undef, 'text/plain', $long, {}, 401, 'unauthorized'],
    ['caller',         GET    => '?limit=0',        'bad', undef,        undef, {}, 401, 'unauthorized'],
    ['caller',         PUT    => 'none',            undef, 'text/plain', $long, {}, 401, 'unauthorized'],
    ['query',          GET    => '?limit=0&scope=all', $bob, undef,      undef, {}, 422, 'invalid_input'],
    ['media type',     POST   => '',                $bob,  'text/plain', $long, {}, 415, 'unsupported_media_type'],
    ['media type',     PUT    => $foreign->{id},    $bob,  'text/plain', '{',   {}, 415, 'unsupported_media_type'],
    ['size',           POST   => '',                $bob,  'application/json', $long, {}, 413, 'body_too_large'],
    ['size',           PUT    => $foreign->{id},    $bob,  'application/json', $long, {}, 413, 'body_too_large'],
    ['syntax',         PUT    => $foreign->{id},    $bob,  'application/json', '{"name":""', {}, 400, 'malformed_json'],
    ['content',        PUT    => $foreign->{id},    $bob,  'application/json', '{"name":""}', {'If-Match' => '"1-x"'}, 422, 'invalid_input'],
    ['content',        PUT    => 'none',            $bob,  'application/json', '{"name":""}', {}, 422, 'invalid_input'],
    ['organization',   PUT    => $foreign->{id},    $bob,  'application/json', '{"name":"x"}', {'If-Match' => '"1-x"'}, 404, 'organization_not_found'],
    ['organization',   DELETE => $foreign->{id},    $bob,  undef, undef, {'If-Match' => '"1-x"'}, 404, 'organization_not_found'],
    ['right',          PUT    => $shared->{id},     $bob,  'application/json', '{"name":"x"}', {'If-Match' => '"1-x"'}, 403, 'admin_required'],
    ['right',          DELETE => $shared->{id},     $bob,  undef, undef, {'If-Match' => '"1-x"'}, 403, 'admin_required'],
    ['precondition',   PUT    => $shared->{id},     $ada,  'application/json', '{"name":"x"}', {'If-Match' => '"1-x"'}, 412, 'precondition_failed'],
    ['precondition',   DELETE => $shared->{id},     $ada,  undef, undef, {'If-Match' => '"1-x"'}, 412, 'precondition_failed'],
    ['ignored',        GET    => $shared->{id},     $ada,  undef, undef, {'If-Match' => '"1-x"', 'If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:00 GMT'}, 200],
    ['ignored',        PUT    => $shared->{id},     $ada,  'application/json', '{}', {'If-None-Match' => '*', 'If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:00 GMT'}, 200],
    ['ignored',        POST   => '',                $bob,  'application/json', '{"name":"x"}', {'If-Match' => '"1-x"', 'If-None-Match' => '*'}, 201],
    ['ignored',        GET    => '',                $bob,  undef, undef, {'If-Match' => '"1-x"', 'If-None-Match' => '*', 'If-Modified-Since' => 'Fri, 01 Jan 2100 00:00:00 GMT'}, 200],
);
for my $case (@precedence) {
    my ($what, $method, $path, $token, $type, $body, $headers, $status, $code) = @$case;
    my $r = api($method => $path, token => $token, defined $body ? (body => $body) : (), type => $type, headers => $headers);
    my $shown = "precedence, $what: $method $path";
    defined $code ? problem($r, $status, $code, $shown) : answers($r, $status, $shown);
}
my $closed_body = '{"name":""}';
problem(api(POST => '', token => $bob, vhost => 'orgs_closed', body => $closed_body), 422, 'invalid_input', 'content before creation_forbidden');
problem(api(POST => '', token => $bob, vhost => 'orgs_closed', json => {name => 'x'}), 403, 'creation_forbidden', 'OrgsMayCreate superuser');
answers(api(POST => '', token => $root, vhost => 'orgs_closed', json => {name => 'x'}), 201, 'and a superuser may');

# --- OrgsMaxOrganizations ---------------------------------------------------------------------------------------------------------

my $max = user('max');
my %limited = (vhost => 'orgs_limited', token => $max);
my @three = map { api(POST => '', %limited, json => {name => "Number $_"}) } 1 .. 3;
answers($_, 201, 'up to three') for @three;
problem(api(POST => '', %limited, json => {name => 'Number 4'}), 409, 'organization_limit_reached', 'not four');
answers(api(POST => '', token => $max, json => {name => 'Elsewhere'}), 201, 'a server without a limit has none');
problem(api(POST => '', %limited, json => {name => 'Number 4'}), 409, 'organization_limit_reached', 'but counts');
answers(api(DELETE => $_->{json}{id}, token => $max), 200, 'two deleted') for @three[0, 1];
answers(api(POST => '', %limited, json => {name => 'Again'}), 201, 'what was deleted does not count');
{
    my $other = user('racer');
    my @answers = race(8, sub { api(POST => '', vhost => 'orgs_limited', token => $other, json => {name => 'Race'})->{status} });
    is_deeply([sort @answers], [(201) x 3, (409) x 5], 'the limit holds under a race');
}

# --- Idempotency-Key on 2 ------------------------------------------------------------------------------------------------------------

{
    my $count = sub { sql_value("SELECT COUNT(*) FROM organizations WHERE created_by = " . id_in_sql($_[0]{id})) };
    my $ida = user('ida');
    my $key = 'order-' . 'k' x 200;
    my %once = (token => $ida, body => '{"name":"Once"}', headers => {'Idempotency-Key' => $key});
    my $first = api(POST => '', %once);
    answers($first, 201, 'with a key');
    ok(!exists $first->{headers}{'idempotent-replayed'}, 'the first is no replay');
    for my $n (1 .. 3) {
        my $again = api(POST => '', %once);
        answers($again, 201, "again, $n");
        is($again->{body}, $first->{body}, 'byte for byte');
        is($again->{headers}{location}, $first->{headers}{location}, 'Location too');
        is($again->{headers}{'idempotent-replayed'}, 'true', 'marked as a replay');
    }
    answers(api(PUT => $first->{json}{id}, token => $ida, json => {name => 'Changed meanwhile'}), 200, 'changed');
    is(api(POST => '', %once)->{body}, $first->{body}, 'a replay is the first success\'s answer');
    problem(api(POST => '', %once, body => '{"name": "Once"}'), 422, 'idempotency_key_reused', 'another body');
    is($count->($ida), 1, 'one organization');
    answers(api(POST => '', %once, token => $max), 201, 'another caller\'s key is another');
    for my $bad ('', ' ', 'a b', "t\xc3\xa9", 'k' x 256) {
        problem(api(POST => '', token => $ida, body => '{"name":"x"}', headers => {'Idempotency-Key' => $bad}), 400, 'bad_request', 'a key that is none: ' . length $bad);
    }
    answers(api(POST => '', token => $ida, body => '{"name":"x"}', headers => {'Idempotency-Key' => 'k' x 255}), 201, '255 characters');
    problem(api(POST => '', token => $ida, body => '{"name":""}', headers => {'Idempotency-Key' => 'refused'}), 422, 'invalid_input', 'a refusal');
    answers(api(POST => '', token => $ida, body => '{"name":"x"}', headers => {'Idempotency-Key' => 'refused'}), 201, 'is not kept');
    my $was = $count->($ida);
    my @answers = race(16, sub { my $r = api(POST => '', token => $ida, body => '{"name":"Sixteen"}', headers => {'Idempotency-Key' => 'sixteen'});
        [$r->{status}, $r->{body}, $r->{headers}{'idempotent-replayed'} // 'first'] });
    is_deeply([map { $_->[0] } @answers], [(201) x 16], 'sixteen at once');
    my %bodies = map { $_->[1] => 1 } @answers;
    is(scalar keys %bodies, 1, 'get one answer');
    is(scalar(grep { $_->[2] eq 'first' } @answers), 1, 'one is the first');
    is($count->($ida) - $was, 1, 'one organization');
}

done_testing;
