# Contract 3, rule 9: Idempotency-Key on endpoints 2 and 7.
use Orgs::Test;
use Orgs::Story;

my %cast = map { $_ => user($_) } qw(ada bob cyd eve fay gus);
$cast{acme} = organization($cast{ada}, name => 'Acme');
$cast{other} = organization($cast{ada}, name => 'Other');
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $number = 0;

sub key { 'key-' . ++$number }

sub add {
    my ($who, $body, $key, %options) = @_;
    my $path = delete $options{path} // "$cast{acme}{id}/members";
    my $text = ref $body ? json_text($body) : $body;
    return api(POST => $path, token => $who, body => $text, headers => {'Idempotency-Key' => $key}, %options);
}

sub create { add(@_[0 .. 2], path => '', @_[3 .. $#_]) }

# That an answer is the first success's.
sub replays {
    my ($answer, $first, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    answers($answer, 201, "$what: 201") or return;
    is($answer->{body}, $first->{body}, "$what: byte for byte");
    is($answer->{headers}{location}, $first->{headers}{location}, "$what: Location");
    is($answer->{headers}{etag}, $first->{headers}{etag}, "$what: ETag");
    is($answer->{headers}{'idempotent-replayed'}, 'true', "$what: Idempotent-Replayed");
    isnt($answer->{headers}{'x-request-id'}, $first->{headers}{'x-request-id'}, "$what: a request of its own");
    return;
}

sub first {
    my ($answer, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    answers($answer, 201, "$what: 201");
    ok(!exists $answer->{headers}{'idempotent-replayed'}, "$what: no replay") or diag explain $answer->{headers};
    return $answer;
}

sub organizations_named { ask_value("SELECT COUNT(*) FROM organizations WHERE name = '$_[0]'") }

# Makes a key's event older.
sub age {
    my ($key, $interval) = @_;
    ask("UPDATE events SET at = at - INTERVAL $interval, expires_at = expires_at - INTERVAL $interval "
        . "WHERE ikey = UNHEX(SHA2('$key', 256))");
}

# --- what a key is ---------------------------------------------------------------------------------------------------

my $every = join '', map { chr } 0x21 .. 0x7e;
# [what, key as bytes, good]
my @forms = (
    ['one character',              'x',                1],
    ['every visible character',    $every,             1],
    ['255 characters',             'a' x 255,          1],
    ['a UUID in quotes',           '"0190-x"',         1],
    ['none',                       '',                 0],
    ['256 characters',             'a' x 256,          0],
    ['very long',                  'a' x 4000,         0],
    ['a space in it',              'a b',              0],
    ['a tab in it',                "a\tb",             0],
    ['not ASCII',                  "cl\xc3\xa9",       0],
    ['not UTF-8',                  "cl\xe9",           0],
    ['spaces only',                '   ',              0],
    ['two of them',                "a\r\nIdempotency-Key: b", 0],
    ['twice the same',             "a\r\nIdempotency-Key: a", 0],
);
for my $form (@forms) {
    my ($what, $key, $good) = @$form;
    # the refusal first, which leaves the key free
    for my $case (["/$cast{acme}{id}/members", '{"email":"nobody@nowhere.example"}'], ['', '{"name":"Forms"}']) {
        my ($path, $body) = @$case;
        my ($r) = raw_request("POST /organizations$path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $cast{ada}{token}\r\n"
            . "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\nIdempotency-Key: $key\r\n"
            . "Connection: close\r\n\r\n$body");
        if ($good) {
            is($r->{status}, $path ? 404 : 201, "a key is $what" . ($path ? ', of a member' : '')) or diag($r->{body});
        }
        else {
            problem($r, 400, 'bad_request', "no key is $what" . ($path ? ', of a member' : ''));
        }
    }
}
is(organizations_named('Forms'), 4, 'one organization for each good key');
steps(\%cast,
    [ada => 'GET {acme}', undef, 200, undef, {headers => {'Idempotency-Key' => 'no key'}, what => 'elsewhere it is ignored'}],
    [ada => 'PUT {acme}', {name => 'Acme'}, 200, undef, {events => 0, headers => {'Idempotency-Key' => 'no key'}, what => 'elsewhere it is ignored'}],
    [ada => 'DELETE {acme}/license', undef, 200, undef, {events => 0, headers => {'Idempotency-Key' => ''}, what => 'elsewhere it is ignored'}],
);

# --- endpoint 2 --------------------------------------------------------------------------------------------------------

{
    my $key = key();
    my $body = '{"name":"Twice","description":"\u00e9 \" \\\\ \n ü"}';
    my $made = first(create($cast{ada}, $body, $key), 'an organization');
    my $id = $made->{json}{id};
    replays(create($cast{ada}, $body, $key), $made, 'again') for 1 .. 3;
    replays(create({token => new_token($cast{ada})}, $body, $key), $made, 'with another token of hers');
    replays(api(POST => '/organizations/', token => $cast{ada}, body => $body, headers => {'idempotency-key' => $key}), $made,
        'with a slash at the end');
    replays(api(POST => '/organizations?x=y', token => $cast{ada}, body => $body, headers => {'Idempotency-Key' => $key}), $made,
        'with an unknown parameter');
    replays(api(POST => '/organizations', token => $cast{ada}, body => $body, type => 'application/json; charset=UTF-8',
        headers => {'Idempotency-Key' => $key, 'If-Match' => '"1-x"'}), $made, 'with other headers');
    my $mount = api(POST => '/api/v1/organizations', vhost => 'orgs_mounts', token => $cast{ada}, body => $body,
        headers => {'Idempotency-Key' => $key});
    is($mount->{body}, $made->{body}, 'the path counts below the mount');
    is($mount->{headers}{'idempotent-replayed'}, 'true', 'and so it is a replay');
    is(organizations_named('Twice'), 1, 'one organization');
    is(event_seq($id), 1, 'one event');

    for my $case (
        ['another body',               '{"name":"Twice"}'],
        ['the same with white space',  " $body"],
        ['the same with a line end',   "$body\n"],
        ['the same in another order',  '{"description":"\u00e9 \" \\\\ \n ü","name":"Twice"}'],
        ['the same, escaped otherwise', '{"name":"Twice","description":"é \" \\\\ \n ü"}'],
    ) {
        problem(create($cast{ada}, $case->[1], $key), 422, 'idempotency_key_reused', $case->[0]);
    }
    problem(add($cast{ada}, $body =~ s/name/email/r, $key), 422, 'invalid_input', 'content comes first');
    problem(add($cast{ada}, {email => $cast{bob}{email}}, $key), 422, 'idempotency_key_reused', 'another path');
    first(create($cast{eve}, $body, $key), 'another caller');
    first(create($cast{ada}, $body, uc $key), 'another key: letter case counts');
    first(create($cast{ada}, $body, key()), 'another key');
    answers(api(POST => '/organizations', token => $cast{ada}, body => $body), 201, 'no key');
    is(organizations_named('Twice'), 5, 'an organization for each');

    # what has become of it meanwhile does not matter
    answers(api(PUT => $id, token => $cast{ada}, json => {name => 'Renamed', active => $false}), 200, 'renamed and inactive');
    replays(create($cast{ada}, $body, $key), $made, 'renamed and inactive meanwhile');
    answers(api(DELETE => $id, token => $cast{ada}), 200, 'deleted');
    replays(create($cast{ada}, $body, $key), $made, 'deleted meanwhile');
    problem(api(GET => $id, token => $cast{ada}), 404, 'organization_not_found', 'and it stays deleted');
    problem(create($cast{ada}, $body, $key, vhost => 'orgs_closed'), 403, 'creation_forbidden', 'who may not create any more');
    orgsctl('user', 'deactivate', $cast{eve}{email}, '--force');
    problem(create($cast{eve}, $body, $key), 401, 'unauthorized', 'who was deactivated');
    orgsctl('user', 'activate', $cast{eve}{email});
    answers(create($cast{eve}, $body, $key), 201, 'and activated');
}

# --- endpoint 7 --------------------------------------------------------------------------------------------------------

{
    my $key = key();
    my $body = json_text({email => $cast{bob}{email}});
    my $events = event_seq($cast{acme});
    my $made = first(add($cast{ada}, $body, $key), 'a member');
    replays(add($cast{ada}, $body, $key), $made, 'a member again') for 1 .. 2;
    replays(add($cast{ada}, $body, $key, path => uc($cast{acme}{id}) . '/members'), $made, 'an id in upper case');
    replays(add($cast{ada}, $body, $key, path => "$cast{acme}{id}/members/"), $made, 'a slash at the end');
    replays(add($cast{ada}, $body, $key, path => "$cast{acme}{id}/%6Dembers"), $made, 'escaped otherwise');
    is(event_seq($cast{acme}), $events + 1, 'one event');
    problem(add($cast{ada}, $body, $key, path => "$cast{other}{id}/members"), 422, 'idempotency_key_reused', 'another organization');
    problem(add($cast{ada}, {email => $cast{bob}{email}, role => 'member'}, $key), 422, 'idempotency_key_reused', 'another body');
    problem(add($cast{ada}, {email => $cast{cyd}{email}}, $key), 422, 'idempotency_key_reused', 'another email');
    problem(create($cast{ada}, {name => 'x'}, $key), 422, 'idempotency_key_reused', 'endpoint 2');
    problem(add($cast{ada}, $body, key()), 409, 'already_member', 'another key');
    is(event_seq($cast{acme}), $events + 1, 'still one event');

    # it comes after the right and before all else
    answers(api(PUT => "$cast{acme}{id}/members/$cast{bob}{id}", token => $cast{ada}, json => {role => 'admin'}), 200, 'Bob is raised');
    replays(add($cast{ada}, $body, $key), $made, 'raised meanwhile');
    answers(api(PUT => $cast{acme}{id}, token => $cast{ada}, json => {active => $false}), 200, 'inactive');
    replays(add($cast{ada}, $body, $key), $made, 'an inactive organization');
    problem(add($cast{ada}, {email => $cast{cyd}{email}}, $key), 422, 'idempotency_key_reused', 'an inactive organization, another body');
    problem(add($cast{ada}, {email => $cast{cyd}{email}}, key()), 409, 'organization_inactive', 'an inactive organization, another key');
    answers(api(PUT => $cast{acme}{id}, token => $cast{ada}, json => {active => $true}), 200, 'active');
    my $hers = key();
    my $cyd = json_text({email => $cast{cyd}{email}});
    my $by_bob = first(add($cast{bob}, $cyd, $hers), 'by Bob');
    answers(api(DELETE => "$cast{acme}{id}/members/$cast{cyd}{id}", token => $cast{ada}), 200, 'what he added is removed');
    replays(add($cast{bob}, $cyd, $hers), $by_bob, 'removed meanwhile');
    is(scalar(grep { $_ eq $cast{cyd}{id} } members_of($cast{acme})), 0, 'and not added again');
    answers(api(PUT => "$cast{acme}{id}/members/$cast{bob}{id}", token => $cast{ada}, json => {role => 'member'}), 200, 'Bob is lowered');
    problem(add($cast{bob}, $cyd, $hers), 403, 'admin_required', 'who is no admin any more');
    problem(add($cast{bob}, {email => 'x@y.example'}, $hers), 403, 'admin_required', 'with another body too');
    answers(api(DELETE => "$cast{acme}{id}/members/me", token => $cast{bob}), 200, 'Bob leaves');
    problem(add($cast{bob}, $cyd, $hers), 404, 'organization_not_found', 'who is no member any more');
    answers(add($cast{ada}, $body, key()), 201, 'Bob comes again');
    problem(add($cast{bob}, $cyd, $hers), 403, 'admin_required', 'as a plain member');
    answers(api(PUT => "$cast{acme}{id}/members/$cast{bob}{id}", token => $cast{ada}, json => {role => 'admin'}), 200, 'and is raised');
    replays(add($cast{bob}, $cyd, $hers), $by_bob, 'an admin again');
    my $gone = organization($cast{ada});
    my $last = key();
    answers(add($cast{ada}, $body, $last, path => "$gone->{id}/members"), 201, 'a member');
    answers(api(DELETE => $gone->{id}, token => $cast{ada}), 200, 'of an organization that is deleted');
    problem(add($cast{ada}, $body, $last, path => "$gone->{id}/members"), 404, 'organization_not_found', 'its repeat');
}

# --- refusals are not kept -----------------------------------------------------------------------------------------------

{
    my $key = key();
    my $late = json_text({email => "late\@idempotency.example"});
    problem(add($cast{ada}, $late, $key), 404, 'user_not_found', 'a refusal');
    orgsctl('user', 'add', "late\@idempotency.example");
    my $made = first(add($cast{ada}, $late, $key), 'then it works');
    replays(add($cast{ada}, $late, $key), $made, 'and is kept');
    orgsctl('user', 'set', "late\@idempotency.example", '--name=By another name');
    replays(add($cast{ada}, $late, $key), $made, 'and is told as it was, whatever the user is called by now');

    my $second = key();
    problem(add($cast{ada}, $late, $second), 409, 'already_member', 'another refusal');
    problem(add($cast{ada}, {email => 'none'}, $second), 422, 'invalid_input', 'and another body');
    problem(add($cast{eve}, $late, $second), 404, 'organization_not_found', 'and a third');
    first(add($cast{ada}, {email => $cast{fay}{email}}, $second), 'the key is still free');
    my $third = key();
    problem(create($cast{ada}, '{"name":""}', $third), 422, 'invalid_input', 'of an organization');
    problem(create($cast{ada}, '{"name":', $third), 400, 'malformed_json', 'of an organization');
    first(create($cast{ada}, '{"name":"Third"}', $third), 'the key is still free');
}

# --- a day ---------------------------------------------------------------------------------------------------------------

{
    my ($key, $other) = (key(), key());
    my $made = first(create($cast{ada}, '{"name":"Daily"}', $key), 'today');
    age($key, '23 HOUR');
    # what is told has the event's time, which was moved
    my $then = create($cast{ada}, '{"name":"Daily"}', $key);
    my $body = $made->{body} =~ s/\Q$made->{json}{created_at}\E/$then->{json}{created_at}/gr;
    replays($then, {body => $body, headers => {%{$made->{headers}}, etag => $then->{headers}{etag}}}, '23 hours later');
    problem(create($cast{ada}, '{"name":"Other"}', $key), 422, 'idempotency_key_reused', '23 hours later, another body');
    age($key, '1 HOUR');
    my $next = first(create($cast{ada}, '{"name":"Daily"}', $key), '24 hours later');
    isnt($next->{json}{id}, $made->{json}{id}, '24 hours later: another organization');
    replays(create($cast{ada}, '{"name":"Daily"}', $key), $next, 'whose key is kept');
    is(organizations_named('Daily'), 2, 'two organizations');
    is(event_seq($made->{json}{id}), 1, 'the old event stays');
    first(add($cast{ada}, {email => $cast{gus}{email}}, $other), 'a member');
    age($other, '1 DAY');
    problem(add($cast{ada}, {email => $cast{gus}{email}}, $other), 409, 'already_member', 'a day later it is refused');
    first(add($cast{ada}, {email => $cast{eve}{email}}, $other), 'and free for another');
}

# --- at once ---------------------------------------------------------------------------------------------------------------

for my $case (['', {name => 'At once'}], ["$cast{other}{id}/members", {email => $cast{gus}{email}}]) {
    my ($path, $body) = @$case;
    my $what = $path ? '16 at once, a member' : '16 at once, an organization';
    my $key = key();
    my @answers = volley([map { {method => 'POST', path => $path, token => $cast{ada}, json => $body, headers => {'Idempotency-Key' => $key}} } 1 .. 16]);
    is(statuses(@answers), '201: 16', "$what: answered");
    is(scalar(grep { exists $_->{headers}{'idempotent-replayed'} } @answers), 15, "$what: one creation, 15 replays");
    my %bodies = map { $_->{body} => 1 } @answers;
    is(scalar keys %bodies, 1, "$what: one body") or diag explain [sort keys %bodies];
    is(ask_value("SELECT COUNT(*) FROM events WHERE ikey = UNHEX(SHA2('$key', 256))"), 1, "$what: one event");
}
is(organizations_named('At once'), 1, 'one organization');
my @wrong = sound(map { $cast{$_} } qw(acme other));
ok(!@wrong, 'counts, events and admins are right') or diag(join "\n", @wrong);

done_testing;
