# Contract 2, 3 and 7: licenses and deployments, endpoints 9 to 12.
use Orgs::Test;
use Orgs::Story;

my %cast = map { $_ => user($_) } qw(ada bob cyd eve);
$cast{sam} = superuser('sam');
$cast{none} = {id => uuid()};
END { orgsctl('plan', 'free', '--name=free', '--seats=unlimited') if $cast{ada} }

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $TIME = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
my $VIEW = 'organization_id plan license seats seats_used over_limit';
my $WHOLE = 'organization_id plan license id plan status seats starts_at expires_at assigned_at seats seats_used over_limit';

# A new organization of Ada's in the cast, with members.
sub found {
    my ($name, @members) = @_;
    my $organization = organization($cast{ada}, name => ucfirst $name);
    while (my ($role, $who) = splice @members, 0, 2) {
        enroll($organization, $role => $cast{$who});
    }
    return $cast{$name} = $organization;
}

# Sets times of a license from the database's clock on: at_clock($license, expires_at => '+ INTERVAL 1 SECOND').
sub at_clock {
    my ($license, %times) = @_;
    ask('UPDATE licenses SET ' . join(', ', map { "$_ = UTC_TIMESTAMP(3) $times{$_}" } sort keys %times)
        . ' WHERE id = ' . id_in_sql($license->{id}));
}

sub view { api(GET => "$_[0]{id}/license", token => $_[1] // $cast{ada}) }

sub in_order {
    my @wrong = sound(map { $cast{$_} } grep { $cast{$_}{etag} } sort keys %cast);
    ok(!@wrong, "$_[0]: counts, events and admins are right") or diag(join "\n", @wrong);
}

# --- the view ----------------------------------------------------------------------------------------------------------

found('acme', member => 'bob');
$cast{pro} = license(plan => 'pro', seats => 10);
$cast{team} = license(plan => 'Team ü', 'starts-at' => '2020-01-01T00:00:00Z', 'expires-at' => '2090-12-31T23:59:59.5Z');
steps(\%cast,
    [bob => 'GET {acme}/license', undef, 200,
        {organization_id => '{acme}', plan => 'free', license => undef, seats => undef, seats_used => 2, over_limit => $false},
        {what => 'no license', check => sub {
            is(keys_of($_[0]{body}), $VIEW, "$_[1]: the order");
            like($_[0]{headers}{etag}, qr/^"\d+-[^"]+"$/, "$_[1]: a strong tag");
        }}],
    [ada => 'PUT {acme}/license', {license_id => '{PRO}', more => 1}, 200,
        {plan => 'pro', seats => 10, seats_used => 2, over_limit => $false,
         license => {id => '{pro}', plan => 'pro', status => 'active', seats => 10, starts_at => undef, expires_at => undef,
                     assigned_at => $TIME}},
        {what => 'an id in upper case', check => sub {
            my ($r, $what) = @_;
            is(keys_of($r->{body}), $WHOLE, "$what: the order");
            my $now = view($cast{acme}, $cast{bob});
            is($now->{body}, $r->{body}, "$what: it reads as it was answered");
            is($now->{headers}{etag}, $r->{headers}{etag}, "$what: with its tag");
        }}],
    [bob => 'GET {acme}', undef, 200, {license_id => '{pro}'}],
    [ada => 'PUT {acme}/license', {license_id => '{team}'}, 200,
        {plan => 'Team ü', seats => undef,
         license => {id => '{team}', seats => undef, starts_at => '2020-01-01T00:00:00.000Z', expires_at => '2090-12-31T23:59:59.500Z'}},
        {what => 'replaced'}],
    [ada => 'DELETE {acme}/license', undef, 200, {plan => 'free', license => undef, seats => undef, seats_used => 2},
        {check => sub {
            my ($r, $what) = @_;
            my $again = api(DELETE => "$cast{acme}{id}/license", token => $cast{ada});
            answers($again, 200, "$what: again");
            is($again->{body}, $r->{body}, "$what: again the same");
            is($again->{headers}{etag}, $r->{headers}{etag}, "$what: and the tag");
            is(view($cast{acme})->{headers}{etag}, $r->{headers}{etag}, "$what: as it reads");
        }}],
    [ada => 'DELETE {acme}/license', '{', 200, undef, {events => 0, what => 'again, a body is ignored'}],
    [bob => 'GET {acme}', undef, 200, {license_id => undef}],
    [bob => 'HEAD {acme}/license', undef, 200],
    [eve => 'GET {acme}/license', undef, 404, 'organization_not_found'],
    [sam => 'GET {acme}/license', undef, 200],
    [nobody => 'GET {acme}/license', undef, 401, 'unauthorized'],
    [nobody => 'POST {acme}/license', {}, 405, 'method_not_allowed'],
    [nobody => 'POST {acme}/deployments', {}, 405, 'method_not_allowed'],
);

# --- states, and what counts in each -----------------------------------------------------------------------------------

orgsctl('plan', 'free', '--name=Gratis', '--seats=1');
# [what, orgsctl's words after assigning (ID is the license), status, plan, seats, over_limit]
my @states = (
    ['active',                       [],                                                   'active',    'big',    3,     $false],
    ['suspended',                    [[qw(suspend ID)]],                                   'suspended', 'Gratis', 1,     $true],
    ['resumed',                      [[qw(suspend ID)], [qw(resume ID)]],                  'active',    'big',    3,     $false],
    ['revoked',                      [[qw(revoke ID)]],                                    'revoked',   'Gratis', 1,     $true],
    ['suspended, then revoked',      [[qw(suspend ID)], [qw(revoke ID)]],                  'revoked',   'Gratis', 1,     $true],
    ['expired',                      [[qw(set ID --expires-at=2020-01-01T00:00:00Z)]],     'expired',   'Gratis', 1,     $true],
    ['scheduled',                    [[qw(set ID --starts-at=2090-01-01T00:00:00Z)]],      'scheduled', 'Gratis', 1,     $true],
    ['suspended and expired',        [[qw(set ID --expires-at=2020-01-01T00:00:00Z)], [qw(suspend ID)]], 'suspended', 'Gratis', 1, $true],
    ['suspended and scheduled',      [[qw(set ID --starts-at=2090-01-01T00:00:00Z)], [qw(suspend ID)]],  'suspended', 'Gratis', 1, $true],
    ['revoked and expired',          [[qw(set ID --expires-at=2020-01-01T00:00:00Z)], [qw(revoke ID)]],  'revoked', 'Gratis', 1, $true],
    ['started, not expired',         [[qw(set ID --starts-at=2020-01-01T00:00:00Z --expires-at=2090-01-01T00:00:00Z)]], 'active', 'big', 3, $false],
    ['no times again',               [[qw(set ID --expires-at=2020-01-01T00:00:00Z)], [qw(set ID --expires-at=none)]], 'active', 'big', 3, $false],
    ['fewer seats than members',     [[qw(set ID --seats=1)]],                             'active',    'big',    1,     $true],
    ['as many seats as members',     [[qw(set ID --seats=2)]],                             'active',    'big',    2,     $false],
    ['no seats',                     [[qw(set ID --seats=0)]],                             'active',    'big',    0,     $true],
    ['unlimited',                    [[qw(set ID --seats=unlimited)]],                     'active',    'big',    undef, $false],
    ['another plan',                 [[qw(set ID --plan=huge)]],                           'active',    'huge',   3,     $false],
);
for my $state (@states) {
    my ($what, $commands, $status, $plan, $seats, $over) = @$state;
    found('acme', member => 'bob');
    my $license = $cast{big} = license(plan => 'big', seats => 3);
    my $assigned = api(PUT => "$cast{acme}{id}/license", token => $cast{ada}, json => {license_id => $license->{id}});
    answers($assigned, 200, "$what: assigned");
    for my $command (@$commands) {
        my $events = event_seq($cast{acme});
        orgsctl('license', map { $_ eq 'ID' ? $license->{id} : $_ } @$command);
        is(event_seq($cast{acme}), $events + 1, "$what: the operator's $command->[0] is recorded");
    }
    my %license = map { $_ => undef } qw(starts_at expires_at);
    for my $command (@$commands) {
        for my $word (@$command) {
            my ($name, $value) = $word =~ /^--(starts-at|expires-at)=(.*)/ or next;
            $license{$name =~ tr/-/_/r} = $value eq 'none' ? undef : $value =~ s/Z$/.000Z/r;
        }
    }
    steps(\%cast, [bob => 'GET {acme}/license', undef, 200,
        {plan => $plan, seats => $seats, seats_used => 2, over_limit => $over,
         license => {id => '{big}', status => $status, %license}}, {what => $what}]);
    my $again = view($cast{acme});
    $status eq 'active' && !@$commands
        ? is($again->{headers}{etag}, $assigned->{headers}{etag}, "$what: the tag is the same")
        : $again->{body} ne $assigned->{body}
            ? isnt($again->{headers}{etag}, $assigned->{headers}{etag}, "$what: another body has another tag") : pass("$what: unchanged");
    # the same license again moves nothing, whatever its status; and the tag from before is still good for the assignment
    steps(\%cast,
        [ada => 'PUT {acme}/license', {license_id => '{big}'}, 200, {license => {status => $status}},
            {events => 0, what => "$what, assigned again", headers => {'If-Match' => $assigned->{headers}{etag}}}],
        [ada => 'GET {acme}/deployments', undef, 200, undef, {what => $what}]);
}
orgsctl('plan', 'free', '--name=free', '--seats=unlimited');

# The limits to the millisecond, by the database's clock held still.
{
    my $license = license('starts-at' => '2030-01-01T00:00:00.000Z', 'expires-at' => '2030-01-02T00:00:00.000Z');
    my $at = sub {
        my ($second) = @_;
        my $status = ask_value("SET timestamp = UNIX_TIMESTAMP(CONVERT_TZ('$second', '+00:00', \@\@time_zone)); "
            . 'SELECT status FROM licenses_v1 WHERE id = ' . id_in_sql($license->{id}) . '; SET timestamp = DEFAULT');
        return $status;
    };
    is($at->('2029-12-31 23:59:59.999'), 'scheduled', 'a millisecond before starts_at');
    is($at->('2030-01-01 00:00:00.000'), 'active',    'at starts_at');
    is($at->('2030-01-01 23:59:59.999'), 'active',    'a millisecond before expires_at');
    is($at->('2030-01-02 00:00:00.000'), 'expired',   'at expires_at');
}

# A license expires, and one begins, without anybody's doing.
found('acme');
$cast{short} = license(plan => 'short');
answers(api(PUT => "$cast{acme}{id}/license", token => $cast{ada}, json => {license_id => $cast{short}{id}}), 200, 'assigned');
for my $case (['expires_at', 'active', 'expired', 'free'], ['starts_at', 'scheduled', 'active', 'short']) {
    my ($field, $before, $after, $plan) = @$case;
    ask('UPDATE licenses SET starts_at = NULL, expires_at = NULL WHERE id = ' . id_in_sql($cast{short}{id}));
    at_clock($cast{short}, $field => '+ INTERVAL 2 SECOND');
    my $first = view($cast{acme});
    is($first->{json}{license}{status}, $before, "$field in two seconds: $before") or diag($first->{body});
    my $last = until_true(20, sub { my $r = view($cast{acme}); $r->{json}{license}{status} ne $before ? $r : undef }) || {};
    is($last->{json}{license}{status}, $after, "$field has come: $after") or diag($last->{body});
    is($last->{json}{plan}, $plan, "$field has come: the plan that counts");
    isnt($last->{headers}{etag}, $first->{headers}{etag}, "$field has come: another tag");
    my $cached = api(GET => "$cast{acme}{id}/license", token => $cast{ada}, headers => {'If-None-Match' => $first->{headers}{etag}});
    answers($cached, 200, "$field has come: the old tag is no longer good");
}

# --- refusals, each with what it says more -------------------------------------------------------------------------------

found('acme', member => 'bob');
found('other');
$cast{$_} = license(plan => $_, seats => 5) for qw(free_one held small late past asleep dead both_full both_held kept);
orgsctl('license', 'set', $cast{small}{id}, '--seats=1');
orgsctl('license', 'set', $cast{late}{id}, '--starts-at=2090-01-01T00:00:00Z');
orgsctl('license', 'set', $cast{past}{id}, '--expires-at=2020-01-01T00:00:00Z');
orgsctl('license', 'suspend', $cast{asleep}{id});
orgsctl('license', 'revoke', $cast{dead}{id});
orgsctl('license', 'set', $cast{both_full}{id}, '--seats=1');
orgsctl('license', 'suspend', $cast{both_full}{id});
# held by another organization, suspended and too small; kept for another one, suspended and too small
steps(\%cast,
    [ada => 'PUT {other}/license', {license_id => '{kept}'}, 200],
    [ada => 'PUT {other}/license', {license_id => '{held}'}, 200],
);
for my $name (qw(held kept)) {
    orgsctl('license', 'set', $cast{$name}{id}, '--seats=1');
    orgsctl('license', 'suspend', $cast{$name}{id});
}
enroll($cast{acme}, admin => $cast{cyd});    # who is not admin of the other one
my $says_nothing = {check => sub { unlike($_[0]{body}, qr/\Q$cast{other}{id}\E/, "$_[1]: not saying which") }};
my %old = (headers => {'If-Match' => '"99-' . 'A' x 28 . '"'});
steps(\%cast,
    [cyd => 'PUT {acme}/license', {license_id => '{none}'},     404, 'license_not_found'],
    [cyd => 'PUT {acme}/license', {license_id => 'x'},          404, 'license_not_found'],
    [cyd => 'PUT {acme}/license', {license_id => ''},           404, 'license_not_found'],
    [cyd => 'PUT {acme}/license', {license_id => ' {free_one}'}, 404, 'license_not_found', {what => 'ids are not trimmed'}],
    [cyd => 'PUT {acme}/license', {license_id => '{acme}'},     404, 'license_not_found'],
    [cyd => 'PUT {acme}/license', {license_id => '{held}'},     409, 'license_in_use', $says_nothing],
    [cyd => 'PUT {acme}/license', {license_id => '{kept}'},     409, 'license_reserved', $says_nothing],
    [cyd => 'PUT {acme}/license', {license_id => '{late}'},     409, 'license_not_active', {members => {license_status => 'scheduled'}}],
    [cyd => 'PUT {acme}/license', {license_id => '{past}'},     409, 'license_not_active', {members => {license_status => 'expired'}}],
    [cyd => 'PUT {acme}/license', {license_id => '{asleep}'},   409, 'license_not_active', {members => {license_status => 'suspended'}}],
    [cyd => 'PUT {acme}/license', {license_id => '{dead}'},     409, 'license_not_active', {members => {license_status => 'revoked'}}],
    [cyd => 'PUT {acme}/license', {license_id => '{both_full}'}, 409, 'license_not_active', {members => {license_status => 'suspended'}, what => 'before seats'}],
    [cyd => 'PUT {acme}/license', {license_id => '{small}'},    409, 'seats_exceeded', {members => {seats => 1, seats_used => 3}}],
    [sam => 'PUT {acme}/license', {license_id => '{held}'},     409, 'license_in_use', {what => 'a superuser too'}],
    [sam => 'PUT {acme}/license', {license_id => '{kept}'},     409, 'license_not_active', {what => 'nothing is reserved for a superuser'}],
    [sam => 'PUT {acme}/license', {license_id => '{small}'},    409, 'seats_exceeded', {what => 'a superuser too'}],
    # content
    [cyd => 'PUT {acme}/license', {},                           422, 'invalid_input'],
    [cyd => 'PUT {acme}/license', {license_id => undef},        422, 'invalid_input', {check => sub { is($_[0]{json}{errors}[0]{pointer}, '/license_id', "$_[1]: errors") }}],
    [cyd => 'PUT {acme}/license', {license_id => 5},            422, 'invalid_input', {check => sub { is($_[0]{json}{errors}[0]{pointer}, '/license_id', "$_[1]: errors") }}],
    [cyd => 'PUT {acme}/license', {license_id => ['{free_one}']}, 422, 'invalid_input'],
    [cyd => 'PUT {acme}/license', '[]',                         422, 'invalid_input'],
    [cyd => 'PUT {acme}/license', '{"license_id":"{free_one}"', 400, 'malformed_json'],
    [cyd => 'PUT {acme}/license', {license_id => '{free_one}'}, 415, 'unsupported_media_type', {type => undef}],
    # who comes first
    [eve => 'PUT {acme}/license', {},                           422, 'invalid_input', {what => 'content before the organization'}],
    [eve => 'PUT {acme}/license', {license_id => '{free_one}'}, 404, 'organization_not_found', {%old}],
    [eve => 'PUT x/license',      {license_id => '{none}'},     404, 'organization_not_found'],
    [eve => 'DELETE {acme}/license', undef,                     404, 'organization_not_found', {%old}],
    [eve => 'DELETE x/license',   undef,                        404, 'organization_not_found'],
    [eve => 'GET x/license',      undef,                        404, 'organization_not_found'],
    [bob => 'PUT {acme}/license', {license_id => '{free_one}'}, 403, 'admin_required', {%old, what => 'right before precondition'}],
    [bob => 'PUT {acme}/license', {license_id => '{none}'},     403, 'admin_required'],
    [bob => 'DELETE {acme}/license', undef,                     403, 'admin_required', {%old}],
    [cyd => 'PUT {acme}/license', {license_id => '{none}'},     412, 'precondition_failed', {%old, what => 'precondition before target'}],
    [cyd => 'PUT {acme}/license', {license_id => '{held}'},     412, 'precondition_failed', {%old}],
    # an inactive organization
    [cyd => 'PUT {acme}/license', {license_id => '{free_one}'}, 200, {seats => 5}],
    [cyd => 'PUT {acme}',         {active => $false},           200],
    [cyd => 'PUT {acme}/license', {license_id => '{kept}'},     412, 'precondition_failed', {%old, what => 'precondition before inactive'}],
    [cyd => 'PUT {acme}/license', {license_id => '{none}'},     409, 'organization_inactive', {what => 'inactive before target'}],
    [cyd => 'PUT {acme}/license', {license_id => '{held}'},     409, 'organization_inactive'],
    [cyd => 'PUT {acme}/license', {license_id => '{free_one}'}, 409, 'organization_inactive', {what => 'inactive before the same'}],
    [sam => 'PUT {acme}/license', {license_id => '{free_one}'}, 409, 'organization_inactive'],
    [bob => 'PUT {acme}/license', {license_id => '{free_one}'}, 403, 'admin_required'],
    [bob => 'GET {acme}/license', undef,                        200, {license => {id => '{free_one}'}, plan => 'free_one'}],
    [cyd => 'DELETE {acme}/license', undef,                     200, {license => undef}, {what => 'giving it up works'}],
    [cyd => 'PUT {acme}/license', {license_id => '{free_one}'}, 409, 'organization_inactive'],
    [cyd => 'PUT {acme}',         {active => $true},            200],
    [cyd => 'PUT {acme}/license', {license_id => '{free_one}'}, 200, undef, {what => 'its own again'}],
);
in_order('refusals');

# --- tags ----------------------------------------------------------------------------------------------------------------

found('acme', member => 'bob');
found('other');
$cast{$_} = license(plan => $_) for qw(one two three);
{
    my $empty = view($cast{acme})->{headers}{etag};
    my $foreign = view($cast{other})->{headers}{etag};
    my $match = sub { {events => $_[2] // 0, what => $_[1], headers => {'If-Match' => $_[0]}} };
    my $of_organization = $cast{acme}{etag};
    isnt($of_organization, $empty, "the organization's tag is another");
    steps(\%cast,
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 412, 'precondition_failed', $match->($of_organization, "the organization's tag")],
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 412, 'precondition_failed', $match->($foreign, "another organization's tag")],
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 412, 'precondition_failed', $match->("W/$empty", 'a weak tag')],
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 412, 'precondition_failed', $match->('"x", W/"1-x", "1"', 'strange tags')],
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 412, 'precondition_failed', $match->('x', 'no tag')],
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 412, 'precondition_failed', $match->('', 'an empty one')],
        [ada => 'DELETE {acme}/license', undef,                412, 'precondition_failed', $match->($of_organization, "the organization's tag")],
        [ada => 'PUT {acme}',         {name => 'Acme 2'},      412, 'precondition_failed', $match->($empty, "the license's tag on the organization")],
        [ada => 'DELETE {acme}',      undef,                   412, 'precondition_failed', $match->($empty, "the license's tag on the organization")],
        [ada => 'DELETE {acme}/license', undef,                200, undef, $match->($empty, 'the right tag, nothing to do')],
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 200, undef, $match->("\"x\", $foreign , $empty", 'a list with it', 1)],
        [ada => 'PUT {acme}/license', {license_id => '{two}'}, 412, 'precondition_failed', $match->($empty, 'the tag from before')],
        [ada => 'PUT {acme}/license', {license_id => '{one}'}, 412, 'precondition_failed', $match->($empty, 'the tag from before, the same license')],
        [ada => 'PUT {acme}/license', {license_id => '{two}'}, 200, undef, $match->('*', 'any', 1)],
    );
    my $two = view($cast{acme})->{headers}{etag};
    # what changes the body and not the assignment leaves V alone
    steps(\%cast,
        [ada => 'PUT {acme}',                  {name => 'Acme 3'},    200],
        [ada => 'POST {acme}/members',         {email => '{eve@}'},   201],
    );
    orgsctl('license', 'set', $cast{two}{id}, '--plan=other');
    isnt(view($cast{acme})->{headers}{etag}, $two, 'a member more, another plan: another tag');
    steps(\%cast,
        [ada => 'PUT {acme}/license', {license_id => '{three}'}, 200, undef, $match->($two =~ s/"$/-gzip"/r, "mod_deflate's suffix", 1)],
        [ada => 'DELETE {acme}/license', undef,                  412, 'precondition_failed', $match->($two, 'the tag from before')],
    );
    my $r = view($cast{acme});
    my $tag = $r->{headers}{etag};
    for my $case (
        [$tag, 304], ["W/$tag", 304], ['*', 304], ["\"x\", $tag", 304], [$tag =~ s/"$/-gzip"/r, 304], [$tag =~ s/"$/-br"/r, 304],
        [$two, 200], ['"x"', 200], [$of_organization, 200], [$tag =~ s/.{2}"$/xx"/r, 200], [$tag =~ s/"$/x"/r, 200],
    ) {
        my ($value, $status) = @$case;
        my $cached = api(GET => "$cast{acme}{id}/license", token => $cast{bob}, headers => {'If-None-Match' => $value});
        is($cached->{status}, $status, "If-None-Match: $value is $status");
        is($cached->{body}, $status == 304 ? '' : $r->{body}, "If-None-Match: $value: the body");
        is($cached->{headers}{etag}, $tag, "If-None-Match: $value: the tag");
        is($cached->{headers}{'cache-control'}, 'private, no-cache', "If-None-Match: $value: Cache-Control");
    }
    is(api(HEAD => "$cast{acme}{id}/license", token => $cast{bob})->{headers}{etag}, $tag, 'HEAD has the tag');
    # the organization's version and updated_at move with the assignment
    my $before = api(GET => $cast{acme}{id}, token => $cast{ada});
    answers(api(DELETE => "$cast{acme}{id}/license", token => $cast{ada}, headers => {'If-Match' => $tag}), 200, 'given up under its tag');
    my $after = api(GET => $cast{acme}{id}, token => $cast{ada});
    isnt($after->{headers}{etag}, $before->{headers}{etag}, "the organization's tag moves with its license");
    cmp_ok($after->{json}{updated_at}, 'gt', $before->{json}{updated_at}, 'and updated_at');
    problem(api(PUT => $cast{acme}{id}, token => $cast{ada}, json => {name => 'x'}, headers => {'If-Match' => $before->{headers}{etag}}),
        412, 'precondition_failed', 'and the tag from before is old');
    my $same = api(DELETE => "$cast{acme}{id}/license", token => $cast{ada});
    is(api(GET => $cast{acme}{id}, token => $cast{ada})->{headers}{etag}, $after->{headers}{etag}, 'nothing to give up: nothing moves');
}
in_order('tags');

# --- reserved licenses -----------------------------------------------------------------------------------------------------

# Ada has the house, Bob and Cyd are admins of it with her, Eve is a plain member; each has an organization alone.
sub houses {
    found('house', admin => 'bob', admin => 'cyd', member => 'eve');
    $cast{"of_$_"} = organization($cast{$_}, name => "Of $_") for qw(ada bob cyd eve sam);
    $cast{lic} = license(plan => 'lic');
    steps(\%cast,
        [ada => 'PUT {house}/license', {license_id => '{lic}'}, 200],
        [bob => 'PUT {of_bob}/license', {license_id => '{lic}'}, 409, 'license_in_use', {what => 'while it is held'}],
    );
}

houses();
steps(\%cast,
    [ada => 'DELETE {house}/license',    undef,                          200],
    [eve => 'PUT {of_eve}/license',      {license_id => '{lic}'},        409, 'license_reserved', {what => 'a plain member of it'}],
    [cyd => 'PUT {house}/members/me',    {role => 'member'},             200],
    [cyd => 'PUT {of_cyd}/license',      {license_id => '{lic}'},        409, 'license_reserved', {what => 'who was an admin'}],
    [cyd => 'DELETE {house}/members/me', undef,                          200],
    [cyd => 'PUT {of_cyd}/license',      {license_id => '{lic}'},        409, 'license_reserved', {what => 'who was a member'}],
    [bob => 'PUT {of_eve}/license',      {license_id => '{lic}'},        404, 'organization_not_found'],
    [bob => 'PUT {of_bob}/license',      {license_id => '{lic}'},        200, {license => {id => '{lic}'}}, {what => 'a present admin, to another of his'}],
    [ada => 'PUT {house}/license',       {license_id => '{lic}'},        409, 'license_in_use', {what => 'then it is his'}],
    [bob => 'DELETE {of_bob}/license',   undef,                          200],
    [ada => 'PUT {house}/license',       {license_id => '{lic}'},        409, 'license_reserved', {what => 'and reserved for that one'}],
    [bob => 'PUT {house}/license',       {license_id => '{lic}'},        200, undef, {what => 'he may bring it back'}],
    [ada => 'DELETE {house}/license',    undef,                          200],
    [sam => 'PUT {of_sam}/license',      {license_id => '{lic}'},        200, undef, {what => 'a superuser'}],
    [sam => 'DELETE {of_sam}/license',   undef,                          200],
    [ada => 'PUT {house}/license',       {license_id => '{lic}'},        409, 'license_reserved'],
    [sam => 'PUT {house}/license',       {license_id => '{lic}'},        200, undef, {what => 'a superuser for others'}],
);
$cast{next} = license(plan => 'next');
steps(\%cast,
    [ada => 'PUT {house}/license',       {license_id => '{next}'},       200, undef, {what => 'replacing frees it'}],
    [eve => 'PUT {of_eve}/license',      {license_id => '{lic}'},        409, 'license_reserved'],
    [ada => 'PUT {house}/license',       {license_id => '{lic}'},        200, {license => {id => '{lic}'}}, {what => 'its own again'}],
    [bob => 'PUT {of_bob}/license',      {license_id => '{next}'},       200, undef, {what => 'what was replaced, by a present admin'}],
);
in_order('reserved');

houses();
$cast{next} = license(plan => 'next');
steps(\%cast,
    [ada => 'PUT {house}/license',       {license_id => '{next}'},       200],
    [bob => 'DELETE {house}',            undef,                          200, undef, {what => 'Bob deletes it; lic was replaced, next was held'}],
    [ada => 'PUT {of_ada}/license',      {license_id => '{next}'},       409, 'license_reserved', {what => 'who was an admin of it'}],
    [ada => 'PUT {of_ada}/license',      {license_id => '{lic}'},        409, 'license_reserved', {what => 'who was an admin of it'}],
    [eve => 'PUT {of_eve}/license',      {license_id => '{next}'},       409, 'license_reserved', {what => 'who was a member of it'}],
    [bob => 'PUT {of_bob}/license',      {license_id => '{next}'},       200, undef, {what => 'the deleter, what was held'}],
    [bob => 'PUT {of_bob}/license',      {license_id => '{lic}'},        200, undef, {what => 'the deleter, what was freed before'}],
);
houses();
steps(\%cast,
    [sam => 'DELETE {house}',            undef,                          200, undef, {what => 'a superuser deletes it'}],
    [ada => 'PUT {of_ada}/license',      {license_id => '{lic}'},        409, 'license_reserved'],
    [sam => 'PUT {of_ada}/license',      {license_id => '{lic}'},        200],
);
in_order('reserved for who deleted');

# the operator's release
houses();
steps(\%cast, [ada => 'DELETE {house}/license', undef, 200]);
orgsctl('license', 'release', $cast{lic}{id}, "--to=$cast{of_eve}{id}");
steps(\%cast,
    [ada => 'PUT {house}/license',       {license_id => '{lic}'},        409, 'license_reserved', {what => 'released to another'}],
    [bob => 'PUT {of_bob}/license',      {license_id => '{lic}'},        409, 'license_reserved'],
    [eve => 'PUT {of_eve}/license',      {license_id => '{LIC}'},        200, undef, {what => 'released to it'}],
);
like(orgsctl({fails => 1}, 'license', 'release', $cast{lic}{id}, '--force')->[2], qr/assigned/, 'one that is held is not released');
steps(\%cast, [eve => 'DELETE {of_eve}/license', undef, 200]);
orgsctl('license', 'release', $cast{lic}{id}, '--force');
steps(\%cast, [cyd => 'PUT {of_cyd}/license', {license_id => '{lic}'}, 200, undef, {what => 'released for whoever knows it'}]);
$cast{fresh} = license(plan => 'fresh');
orgsctl('license', 'release', $cast{fresh}{id}, "--to=$cast{house}{id}");
steps(\%cast,
    [eve => 'PUT {of_eve}/license',      {license_id => '{fresh}'},      409, 'license_reserved', {what => 'a new one, reserved'}],
    [ada => 'PUT {house}/license',       {license_id => '{fresh}'},      200, undef, {what => 'a new one, for whom it was reserved'}],
);
in_order('released');

# --- deployments -----------------------------------------------------------------------------------------------------------

found('acme', member => 'bob');
$cast{lic} = license(plan => 'lic');
$cast{next} = license(plan => 'next');
my @deployments = map { deployment($cast{lic}, "web $_") } 1 .. 7;
$cast{full} = deployment($cast{next}, 'Schön', '--environment=prod', '--url=https://x.example/?a=b', '--version=1.2', '--status=down');
$cast{first} = $deployments[0];
my $DEPLOYMENT = 'id license_id name environment url version status created_at updated_at';
my $listed = sub {
    my ($what, @want) = @_;
    return {what => $what, check => sub { is_deeply([map { $_->{id} } @{$_[0]{json}}], [map { $_->{id} } @want], "$_[1]: which") or diag($_[0]{body}) }};
};
steps(\%cast,
    [bob => 'GET {acme}/deployments',    undef,                          200, undef, {what => 'no license', check => sub { is($_[0]{body}, '[]', "$_[1]: empty") }}],
    [ada => 'PUT {acme}/license',        {license_id => '{lic}'},        200],
    [bob => 'GET {acme}/deployments',    undef,                          200, undef, $listed->('by id', @deployments)],
    [sam => 'GET {acme}/deployments',    undef,                          200, undef, $listed->('a superuser', @deployments)],
    [eve => 'GET {acme}/deployments',    undef,                          404, 'organization_not_found'],
    [eve => 'GET x/deployments',         undef,                          404, 'organization_not_found'],
    [eve => 'GET {acme}/deployments?limit=0', undef,                     422, 'invalid_input'],
    [bob => 'GET {acme}/deployments?cursor=x', undef,                    422, 'invalid_input'],
    [bob => 'GET {acme}/deployments?limit=5&cursor=x', undef,            422, 'invalid_input'],
    [bob => 'HEAD {acme}/deployments',   undef,                          200],
    [ada => 'PUT {acme}/license',        {license_id => '{next}'},       200],
    [bob => 'GET {acme}/deployments',    undef,                          200, undef, {what => 'of the license that replaced it', check => sub {
        my ($r, $what) = @_;
        is(keys_of($r->{body}), $DEPLOYMENT, "$what: the order");
        my %have = %{$r->{json}[0] || {}};
        like(delete $have{$_}, $TIME, "$what: $_") for qw(created_at updated_at);
        is_deeply(\%have, {id => $cast{full}{id}, license_id => $cast{next}{id}, name => 'Schön', environment => 'prod',
            url => 'https://x.example/?a=b', version => '1.2', status => 'down'}, "$what: all of it") or diag($r->{body});
    }}],
    [ada => 'PUT {acme}/license',        {license_id => '{lic}'},        200],
);
for my $state (['suspend'], ['resume'], ['set', '--expires-at=2020-01-01T00:00:00Z'], ['revoke']) {
    my ($word, @options) = @$state;
    orgsctl('license', $word, $cast{lic}{id}, @options);
    steps(\%cast, [bob => 'GET {acme}/deployments', undef, 200, undef, $listed->("after $word, whatever its status", @deployments)]);
}
orgsctl('deployment', 'set', $deployments[2]{id}, '--name=Web Three', '--status=gone', '--environment=test');
orgsctl('deployment', 'remove', $deployments[4]{id});
splice @deployments, 4, 1;
{
    my $list = api(GET => "$cast{acme}{id}/deployments", token => $cast{bob})->{json};
    is_deeply([map { $_->{id} } @$list], [map { $_->{id} } @deployments], 'one removed');
    is_deeply([@{$list->[2]}{qw(name environment status url version)}], ['Web Three', 'test', 'gone', undef, undef], 'one changed');
    is_deeply([@{$list->[0]}{qw(name environment status url version)}], ['web 1', undef, 'active', undef, undef], 'what was not given is null');
    cmp_ok($list->[2]{updated_at}, 'ge', $list->[2]{created_at}, 'updated_at');
    for my $limit (1, 2, 3, 5, 6, 1000) {
        my @pages = pages("$cast{acme}{id}/deployments?limit=$limit", token => $cast{bob});
        is_deeply([map { $_->{id} } map { @$_ } @pages], [map { $_->{id} } @deployments], "limit=$limit: all, in order");
        is(scalar @pages, int((6 + $limit - 1) / $limit), "limit=$limit: pages");
    }
}
in_order('deployments');

done_testing;
