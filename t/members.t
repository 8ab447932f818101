# Contract 2 and 3: members, endpoints 6, 7, 8, 13 and 14.
use Orgs::Test;
use Orgs::Story;
use URI::Escape qw(uri_escape_utf8);

my %cast = map { $_ => user($_) } qw(ada bob cyd dora eve fay gus gone);
$cast{sam} = superuser('sam');
@cast{qw(ann ben)} = crowd('plain', 2);      # users without a name
$cast{nobody} = {id => uuid(), email => 'nobody@nowhere.example'};
orgsctl('user', 'deactivate', $cast{gone}{email});
END { orgsctl('plan', 'free', '--seats=unlimited') if $cast{ada} }

sub acme { $cast{acme} = organization($cast{ada}, name => 'Acme') }

sub in_order {
    my @wrong = sound(map { $cast{$_} } grep { $cast{$_} && $cast{$_}{etag} } sort keys %cast);
    ok(!@wrong, "$_[0]: counts, events and admins are right") or diag(join "\n", @wrong);
}

# --- representations, the order of their members, where they are ---------------------------------------------------

acme();
my $KEYS = 'organization_id user_id email name role joined_at';
my $TIME = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
steps(\%cast,
    [ada => 'POST {acme}/members', {email => '{bob@}'}, 201,
        {organization_id => '{acme}', user_id => '{bob}', email => '{bob@}', name => 'Bob', role => 'member',
         joined_at => $TIME},
        {check => sub {
            my ($r, $what) = @_;
            is($r->{headers}{location}, "/organizations/$cast{acme}{id}/members/$cast{bob}{id}", "$what: Location");
            is(keys_of($r->{body}), $KEYS, "$what: the order");
            unlike($r->{body}, qr/\s/, "$what: compact");
            my $there = api(GET => $r->{headers}{location}, token => $cast{bob});
            answers($there, 200, "$what: it is where Location says");
            is($there->{body}, $r->{body}, "$what: and the same");
        }}],
    [ada => 'POST {acme}/members', {email => '{ann@}', role => undef}, 201,
        {user_id => '{ann}', name => undef, role => 'member'}, {what => 'a null role'}],
    [ada => 'POST {acme}/members', {email => '{cyd@}', role => 'admin', more => [1]}, 201, {role => 'admin'},
        {what => 'an unknown member of the body'}],
    [cyd => 'POST {ACME}/members', {email => '{fay@}', role => 'member'}, 201, {organization_id => '{acme}'},
        {what => 'an id in upper case', check => sub {
            is($_[0]{headers}{location}, "/organizations/$cast{acme}{id}/members/$cast{fay}{id}", "$_[1]: Location")
        }}],
    [bob => 'GET {acme}/members/{ada}', undef, 200, {user_id => '{ada}', role => 'admin', joined_at => $TIME},
        {check => sub { is(keys_of($_[0]{body}), $KEYS, "$_[1]: the order") }}],
    [bob => 'GET {ACME}/members/{ADA}', undef, 200, {user_id => '{ada}', organization_id => '{acme}'}],
    [bob => 'GET {acme}/members/me',    undef, 200, {user_id => '{bob}', role => 'member'}],
    [ada => 'GET {acme}/members/me',    undef, 200, {user_id => '{ada}', role => 'admin'}],
    [bob => 'GET {acme}/members/me/',   undef, 200, {user_id => '{bob}'}],
    [bob => 'GET {acme}/members/ME',    undef, 404, 'member_not_found', {what => '"me" is lower case'}],
    [bob => 'GET {acme}/members/Me',    undef, 404, 'member_not_found'],
    [bob => 'PUT {acme}/members/{ada}', {role => 'member'}, 403, 'admin_required'],
    [ada => 'PUT {acme}/members/{bob}', {role => 'admin'}, 200,
        {organization_id => '{acme}', user_id => '{bob}', email => '{bob@}', name => 'Bob', role => 'admin'},
        {check => sub { is(keys_of($_[0]{body}), $KEYS, "$_[1]: the order") }}],
    [ada => 'PUT {acme}/members/{bob}', {role => 'member'}, 200, {role => 'member'}],
    [ada => 'DELETE {acme}/members/{fay}', undef, 200,
        {organization_id => '{acme}', user_id => '{fay}', deleted => JSON::PP::true},
        {check => sub { is(keys_of($_[0]{body}), 'organization_id user_id deleted', "$_[1]: the order") }}],
    [ada => 'DELETE {acme}/members/{fay}', undef, 404, 'member_not_found', {what => 'again'}],
    [fay => 'GET {acme}/members/me', undef, 404, 'organization_not_found', {what => 'who was removed'}],
    [ada => 'POST {acme}/members', {email => '{fay@}'}, 201, {user_id => '{fay}'}, {what => 'rejoining'}],
);
{
    my $r = api(GET => "$cast{acme}{id}/members", token => $cast{bob});
    answers($r, 200, 'the list');
    is_deeply([map { $_->{user_id} } @{$r->{json}}], [map { $cast{$_}{id} } qw(ada bob ann cyd fay)],
        'members in the order they came, who rejoined last') or diag($r->{body});
    is_deeply([map { $_->{user_id} } @{$r->{json}}], [members_of($cast{acme})], 'by joined_at, then user_id');
    is(keys_of($r->{body}), join(' ', ($KEYS) x 5), 'the order of their members');
    unlike($r->{body}, qr/\s/, 'compact');
    for my $member (@{$r->{json}}) {
        my $one = api(GET => "$cast{acme}{id}/members/$member->{user_id}", token => $cast{bob});
        is_deeply($one->{json}, $member, "$member->{email}: one by one they are the same");
    }
    my $head = api(HEAD => "$cast{acme}{id}/members", token => $cast{bob});
    answers($head, 200, 'HEAD of the list');
    is($head->{body}, '', 'HEAD has no body');
    answers(api(HEAD => "$cast{acme}{id}/members/me", token => $cast{bob}), 200, 'HEAD of one');
    my %allow = ("$cast{acme}{id}/members" => 'GET HEAD OPTIONS POST', "$cast{acme}{id}/members/me" => 'DELETE GET HEAD OPTIONS PUT');
    for my $path (sort keys %allow) {
        for my $method (qw(PATCH OPTIONS), $path =~ /me$/ ? 'POST' : ('PUT', 'DELETE')) {
            my $other = api($method => $path);
            is($other->{status}, $method eq 'OPTIONS' ? 204 : 405, "$method $path");
            is(join(' ', sort grep { $_ ne 'TRACE' } split /[,\s]+/, $other->{headers}{allow} // ''), $allow{$path},
                "$method $path: Allow");
        }
    }
    my ($version) = map { $_->{version} } sql_json('version', 'organizations WHERE id = ' . id_in_sql($cast{acme}{id}));
    is($version, 1, "an organization's version does not move with its members");
    my $now = api(GET => $cast{acme}{id}, token => $cast{ada});
    is($now->{headers}{etag}, $cast{acme}{etag}, 'nor does its tag');
    is($now->{json}{updated_at}, $cast{acme}{updated_at}, 'nor updated_at');
}

# --- filters ---------------------------------------------------------------------------------------------------------

sub listed {
    my ($query, @names) = @_;
    my $r = api(GET => "$cast{acme}{id}/members?$query", token => $cast{bob});
    answers($r, 200, "?$query is answered");
    is_deeply([map { $_->{user_id} } @{$r->{json} || []}], [map { $cast{$_}{id} } @names], "?$query: who") or diag($r->{body});
}

my $bob_email = uri_escape_utf8($cast{bob}{email});
for my $case (
    ['role=admin',                        qw(ada cyd)],
    ['role=member',                       qw(bob ann fay)],
    ["email=$bob_email",                  'bob'],
    ["email=$cast{bob}{email}",           'bob'],
    ['email=' . uc $bob_email =~ s/%40/@/r, 'bob'],
    ["email=%20%20$bob_email%20",         'bob'],
    ["email=+$bob_email+",                'bob'],
    ["email=$bob_email&role=member",      'bob'],
    ["email=$bob_email&role=admin"],
    ["email=$cast{eve}{email}"],                          # a user, no member
    ['email=nobody%40nowhere.example'],
    ["email=$cast{bob}{email}x"],
    ['email=b%C3%B6b%40members.example'],
    ["ROLE=admin&x=1&x=2&Email=y",        qw(ada bob ann cyd fay)],   # unknown ones
    ["role=%61dmin",                      qw(ada cyd)],
    ["r%6Fle=admin",                      qw(ada cyd)],
    ['limit=1000',                        qw(ada bob ann cyd fay)],
    ['limit=5',                           qw(ada bob ann cyd fay)],
    ['&&',                                qw(ada bob ann cyd fay)],
) {
    listed(@$case);
}

# [query, parameters that errors names]
for my $case (
    ['role=',                       'role'],
    ['role',                        'role'],
    ['role=owner',                  'role'],
    ['role=Admin',                  'role'],
    ['role=admin&role=admin',       'role'],
    ['role=admin,member',           'role'],
    ['email=',                      'email'],
    ['email=bob',                   'email'],
    ['email=@bob',                  'email'],
    ['email=a%40b%40c',             'email'],
    ['email=a%20b%40c',             'email'],
    ['email=%FF%40c.example',       'email'],
    ['email=a%00%40c.example',      'email'],
    ['email=%zz%40c.example',       'email'],
    ['email=' . 'a' x 250 . '%40abc.d', 'email'],
    ["email=$bob_email&email=$bob_email", 'email'],
    ['limit=',                      'limit'],
    ['limit=0',                     'limit'],
    ['limit=1001',                  'limit'],
    ['limit=01',                    'limit'],
    ['limit=-1',                    'limit'],
    ['limit=%2B1',                  'limit'],
    ['limit=1.0',                   'limit'],
    ['limit=%201',                  'limit'],
    ['limit=1e2',                   'limit'],
    ['limit=' . 9 x 30,             'limit'],
    ['limit=2&limit=2',             'limit'],
    ['cursor=x',                    'cursor'],
    ['limit=2&cursor=',             'cursor'],
    ['limit=2&cursor=x',            'cursor'],
    ['limit=2&cursor=' . 'A' x 900, 'cursor'],
    ['limit=x&role=y&email=z&cursor=', 'cursor', 'email', 'limit', 'role'],
) {
    my ($query, @parameters) = @$case;
    my $shown = length $query > 60 ? substr($query, 0, 60) . '...' : $query;
    my $r = api(GET => "$cast{acme}{id}/members?$query", token => $cast{bob});
    problem($r, 422, 'invalid_input', "?$shown is refused");
    my %named = map { $_->{parameter} // "no parameter: " . json_text($_) => 1 } @{$r->{json}{errors} || []};
    # where limit is wrong a cursor cannot be judged
    delete $named{cursor} if @parameters == 4;
    my %want = map { $_ => 1 } @parameters;
    delete $want{cursor} if @parameters == 4;
    is_deeply(\%named, \%want, "?$shown: errors") or diag($r->{body});
}

# --- pages -----------------------------------------------------------------------------------------------------------

{
    my $big = organization($cast{ada}, name => 'Big');
    enroll($big, member => crowd('many', 23));
    enroll($big, admin => $cast{cyd}, $cast{dora});
    ask("UPDATE memberships SET joined_at = joined_at + INTERVAL 1 SECOND WHERE organization_id = "
        . id_in_sql($big->{id}) . " AND role = 'admin' AND user_id <> " . id_in_sql($cast{ada}{id}));
    my @all = members_of($big);
    is(scalar @all, 26, '26 members, most of them of one instant');
    for my $limit (1, 2, 5, 13, 25, 26, 27, 1000) {
        my @pages = pages("$big->{id}/members?limit=$limit", token => $cast{ada});
        is_deeply([map { $_->{user_id} } map { @$_ } @pages], \@all, "limit=$limit: all, in order");
        is_deeply([map { scalar @$_ } @pages], [($limit) x int(26 / $limit), 26 % $limit || ()], "limit=$limit: the sizes");
    }
    my @admins = pages("$big->{id}/members?limit=2&role=admin", token => $cast{ada});
    is_deeply([map { [map { $_->{user_id} } @$_] } @admins],
        [[$cast{ada}{id}, (sort $cast{cyd}{id}, $cast{dora}{id})[0]], [(sort $cast{cyd}{id}, $cast{dora}{id})[1]]],
        'a filter stays through the pages');
    my $first = api(GET => "/organizations/$big->{id}/members?role=member&x=y&limit=3", token => $cast{ada});
    my ($link) = ($first->{headers}{link} // '') =~ m{^<([^>]+)>; rel="next"$};
    like($link // '', qr{^/organizations/\Q$big->{id}\E/members\?}, 'Link is path-absolute');
    like($link // '', qr/[?&]role=member(?:&|$)/, 'Link has the known parameters');
    unlike($link // '', qr/x=y/, 'and not the unknown ones');
    my ($cursor) = ($link // '') =~ /[?&]cursor=([^&]+)/;
    for my $case (
        ["$cast{acme}{id}/members?limit=3&cursor=$cursor", 'of another organization'],
        ["$big->{id}/events?limit=3&cursor=$cursor",       'of another list'],
        ["$big->{id}/deployments?limit=3&cursor=$cursor",  'of another list'],
        ["?limit=3&cursor=$cursor",                        'of another list'],
        ["$big->{id}/members?cursor=$cursor",              'without limit'],
        ["$big->{id}/members?limit=3&cursor=${cursor}A",   'with a character more'],
        ["$big->{id}/members?limit=3&cursor=$cursor&cursor=$cursor", 'twice'],
    ) {
        my $r = api(GET => $case->[0], token => $cast{ada});
        problem($r, 422, 'invalid_input', "a cursor $case->[1]");
        is($r->{json}{errors}[0]{parameter}, 'cursor', "a cursor $case->[1]: errors");
    }
    my $head = api(HEAD => "$big->{id}/members?limit=3", token => $cast{ada});
    answers($head, 200, 'HEAD of a page');
    is($head->{headers}{link}, api(GET => "$big->{id}/members?limit=3", token => $cast{ada})->{headers}{link},
        'HEAD of a page: Link');
    # members go, come, and come again between the pages: who stays is there exactly once, in order
    my @rejoin = (crowd('many', 23))[0, 22];
    my @new = crowd('new', 20);
    my %standing = map { $_ => 1 } @all;
    my (@new_ids, $turn);
    my @seen = map { map { $_->{user_id} } @$_ } pages("$big->{id}/members?limit=4", token => $cast{ada}, between => sub {
        if ($turn++ < 2) {
            for my $user (@rejoin) {
                delete $standing{$user->{id}};
                api(DELETE => "$big->{id}/members/$user->{id}", token => $cast{ada});
                api(POST => "$big->{id}/members", token => $cast{ada}, json => {email => $user->{email}});
            }
        }
        api(POST => "$big->{id}/members", token => $cast{ada}, json => {email => (shift @new)->{email}}) if @new;
    });
    my %times;
    $times{$_}++ for @seen;
    is_deeply([grep { ($times{$_} // 0) != 1 } sort keys %standing], [], 'churn: who stood all the time is there once');
    is_deeply([grep { $times{$_} > 2 } sort keys %times], [], 'churn: nobody is there more often than he joined');
    my @wrong = sound($big);
    ok(!@wrong, 'churn: the counts are right') or diag(join "\n", @wrong);
}

# --- what a body must be ---------------------------------------------------------------------------------------------

# [body, pointers that errors names]
for my $case (
    [{},                                        '/email'],
    [{email => undef},                          '/email'],
    [{email => 5},                              '/email'],
    [{email => ['x@y']},                        '/email'],
    [{email => ''},                             '/email'],
    [{email => 'x'},                            '/email'],
    [{email => '@x'},                           '/email'],
    [{email => 'x@'},                           '/email'],
    [{email => 'a@b@c'},                        '/email'],
    [{email => 'a b@c'},                        '/email'],
    [{email => $cast{eve}{email}, role => 'owner'},  '/role'],
    [{email => $cast{eve}{email}, role => ''},       '/role'],
    [{email => $cast{eve}{email}, role => 'Admin'},  '/role'],
    [{email => $cast{eve}{email}, role => ' admin'}, '/role'],
    [{email => $cast{eve}{email}, role => 1},        '/role'],
    [{email => $cast{eve}{email}, role => JSON::PP::true}, '/role'],
    [{email => 'x', role => 'y'},               '/email', '/role'],
    [[],                                        ''],
    ['"x"',                                     ''],
    ['null',                                    ''],
) {
    my ($body, @pointers) = @$case;
    my $text = ref $body ? json_text($body) : $body;
    my $r = api(POST => "$cast{acme}{id}/members", token => $cast{ada}, body => $text);
    problem($r, 422, 'invalid_input', "POST members $text");
    is_deeply([sort map { $_->{pointer} // 'none' } @{$r->{json}{errors} || []}], [sort @pointers], "POST members $text: errors")
        or diag($r->{body});
}
for my $body ({}, {role => undef}, {role => 'owner'}, {role => 1}, {role => ['admin']}, {role => 'ADMIN'}) {
    my $text = json_text($body);
    my $r = api(PUT => "$cast{acme}{id}/members/me", token => $cast{ada}, json => $body);
    problem($r, 422, 'invalid_input', "PUT member $text");
    is_deeply([map { $_->{pointer} // 'none' } @{$r->{json}{errors} || []}], ['/role'], "PUT member $text: errors") or diag($r->{body});
}

# --- who may, and what comes first -----------------------------------------------------------------------------------

acme();
enroll($cast{acme}, member => @cast{qw(bob fay)});
enroll($cast{acme}, admin => $cast{cyd});
$cast{far} = organization($cast{eve}, name => 'Far');
$cast{none} = {id => uuid()};

steps(\%cast,
    # who sees nothing of it
    [eve => 'GET {acme}/members',               undef,                        404, 'organization_not_found'],
    [eve => 'GET {acme}/members/me',            undef,                        404, 'organization_not_found'],
    [eve => 'GET {acme}/members/{ada}',         undef,                        404, 'organization_not_found'],
    [eve => 'POST {acme}/members',              {email => '{eve@}'},          404, 'organization_not_found'],
    [eve => 'PUT {acme}/members/{bob}',         {role => 'member'},           404, 'organization_not_found'],
    [eve => 'PUT {acme}/members/me',            {role => 'member'},           404, 'organization_not_found'],
    [eve => 'DELETE {acme}/members/{bob}',      undef,                        404, 'organization_not_found'],
    [eve => 'DELETE {acme}/members/me',         undef,                        404, 'organization_not_found'],
    [nobody => 'GET {acme}/members',            undef,                        401, 'unauthorized'],
    [nobody => 'POST {acme}/members',           {email => '{eve@}'},          401, 'unauthorized'],
    # a plain member: the right comes before the target
    [bob => 'POST {acme}/members',              {email => '{eve@}'},          403, 'admin_required'],
    [bob => 'POST {acme}/members',              {email => '{ada@}'},          403, 'admin_required', {what => 'one that is there'}],
    [bob => 'POST {acme}/members',              {email => '{nobody@}'},       403, 'admin_required', {what => 'one that is none'}],
    [bob => 'PUT {acme}/members/{fay}',         {role => 'admin'},            403, 'admin_required'],
    [bob => 'PUT {acme}/members/{fay}',         {role => 'member'},           403, 'admin_required', {what => 'what it is already'}],
    [bob => 'PUT {acme}/members/{nobody}',      {role => 'member'},           403, 'admin_required'],
    [bob => 'PUT {acme}/members/x',             {role => 'member'},           403, 'admin_required'],
    [bob => 'PUT {acme}/members/me',            {role => 'admin'},            403, 'admin_required', {what => 'raising himself'}],
    [bob => 'PUT {acme}/members/{bob}',         {role => 'admin'},            403, 'admin_required', {what => 'raising himself'}],
    [bob => 'PUT {acme}/members/me',            {role => 'member'},           200, {role => 'member'}, {events => 0}],
    [bob => 'PUT {acme}/members/{BOB}',         {role => 'member'},           200, {role => 'member'}, {events => 0}],
    [bob => 'DELETE {acme}/members/{fay}',      undef,                        403, 'admin_required'],
    [bob => 'DELETE {acme}/members/{nobody}',   undef,                        403, 'admin_required'],
    [bob => 'DELETE {acme}/members/x',          undef,                        403, 'admin_required'],
    [bob => 'GET {acme}/members/{eve}',         undef,                        404, 'member_not_found'],
    [bob => 'GET {acme}/members/{nobody}',      undef,                        404, 'member_not_found'],
    [bob => 'GET {acme}/members/{acme}',        undef,                        404, 'member_not_found'],
    [bob => 'GET {acme}/members/x',             undef,                        404, 'member_not_found'],
    # an admin: targets
    [ada => 'PUT {acme}/members/{eve}',         {role => 'admin'},            404, 'member_not_found'],
    [ada => 'PUT {acme}/members/{nobody}',      {role => 'member'},           404, 'member_not_found'],
    [ada => 'PUT {acme}/members/x',             {role => 'member'},           404, 'member_not_found'],
    [ada => 'DELETE {acme}/members/{eve}',      undef,                        404, 'member_not_found'],
    [ada => 'DELETE {acme}/members/x',          undef,                        404, 'member_not_found'],
    [ada => 'POST {acme}/members',              {email => '{nobody@}'},       404, 'user_not_found'],
    [ada => 'POST {acme}/members',              {email => '{gone@}'},         404, 'user_not_found', {what => 'deactivated'}],
    # content comes before the organization, media type before content, syntax too; the caller before all of them
    [eve => 'POST {acme}/members',              {},                           422, 'invalid_input'],
    [eve => 'PUT {acme}/members/{bob}',         {role => 'x'},                422, 'invalid_input'],
    [eve => 'GET {acme}/members?limit=0',       undef,                        422, 'invalid_input'],
    [eve => 'GET x/members?limit=0',            undef,                        422, 'invalid_input'],
    [eve => 'POST {acme}/members',              '{"email":',                  400, 'malformed_json'],
    [eve => 'POST {acme}/members',              '{"email":',                  415, 'unsupported_media_type', {type => 'text/plain'}],
    [nobody => 'POST {acme}/members',           '{"email":',                  401, 'unauthorized', {type => 'text/plain'}],
    [nobody => 'PATCH {acme}/members',          '{"email":',                  405, 'method_not_allowed'],
    [nobody => 'POST {acme}/nothing',           '{"email":',                  404, 'not_found'],
    [eve => 'PUT {acme}/members/x',             {role => 'member'},           404, 'organization_not_found'],
    [eve => 'PUT x/members/x',                  {role => 'member'},           404, 'organization_not_found'],
    # already there
    [ada => 'POST {acme}/members',              {email => '{bob@}', role => 'admin'}, 409, 'already_member',
        {members => {member => {organization_id => '{acme}', user_id => '{bob}', email => '{bob@}', name => 'Bob', role => 'member'}},
         check => sub {
            my ($r, $what) = @_;
            my $standing = api(GET => "$cast{acme}{id}/members/$cast{bob}{id}", token => $cast{ada});
            is_deeply($r->{json}{member}, $standing->{json}, "$what: the standing member");
            my ($text) = $r->{body} =~ /"member":(\{[^{}]*\})/;
            is($text, $standing->{body}, "$what: byte for byte");
         }}],
    [ada => 'POST {acme}/members',              {email => '{ada@}'},          409, 'already_member', {what => 'herself'}],
    [ada => 'POST {acme}/members',              {email => ' {bob@}	'},       409, 'already_member', {what => 'trimmed'}],
    [ada => 'POST {acme}/members',              {email => uc $cast{bob}{email}}, 409, 'already_member', {what => 'upper case'}],
    # the same again moves nothing
    [ada => 'PUT {acme}/members/{bob}',         {role => 'member'},           200, {role => 'member'}, {events => 0}],
    [ada => 'PUT {acme}/members/me',            {role => 'admin'},            200, {role => 'admin'}, {events => 0}],
    # what is not asked for on these endpoints is ignored
    [ada => 'PUT {acme}/members/{bob}',         {role => 'member'},           200, {}, {events => 0, headers => {'If-Match' => '"1-x"'}}],
    [ada => 'PUT {acme}/members/{fay}',         {role => 'admin'},            200, {role => 'admin'}, {headers => {'If-Match' => '"9-x"', 'Idempotency-Key' => 'k'}}],
    # stepping down, and the right is gone at once
    [fay => 'PUT {acme}/members/me',            {role => 'member'},           200, {user_id => '{fay}', role => 'member'}],
    [fay => 'POST {acme}/members',              {email => '{eve@}'},          403, 'admin_required'],
    [fay => 'PUT {acme}/members/me',            {role => 'admin'},            403, 'admin_required'],
    [cyd => 'PUT {acme}/members/{CYD}',         {role => 'member'},           200, {user_id => '{cyd}', role => 'member'}],
    [ada => 'PUT {acme}/members/{cyd}',         {role => 'admin'},            200, {role => 'admin'}],
    # leaving
    [fay => 'DELETE {acme}/members/me',         undef,                        200, {user_id => '{fay}', deleted => JSON::PP::true}],
    [fay => 'DELETE {acme}/members/me',         undef,                        404, 'organization_not_found', {what => 'again'}],
    [fay => 'GET {acme}/members',               undef,                        404, 'organization_not_found'],
    [bob => 'DELETE {acme}/members/{BOB}',      undef,                        200, {user_id => '{bob}'}],
    [cyd => 'DELETE {acme}/members/me',         '{"x":1}',                    200, {user_id => '{cyd}'}, {what => 'a body is ignored'}],
);
in_order('rights');

{
    # One that is not there, one that is another's and what is no id: the same, byte for byte.
    for my $case (
        [GET => '/members'], [GET => '/members?limit=1'], [GET => '/members/me'], [GET => "/members/$cast{ada}{id}"],
        [POST => '/members', {email => $cast{eve}{email}}], [POST => '/members', {email => $cast{nobody}{email}}],
        [PUT => '/members/me', {role => 'member'}], [PUT => "/members/$cast{ada}{id}", {role => 'admin'}],
        [DELETE => '/members/me'], [DELETE => "/members/$cast{ada}{id}"],
    ) {
        my ($method, $path, $body) = @$case;
        my %bodies;
        for my $id ($cast{acme}{id}, uc $cast{acme}{id}, $cast{none}{id}, 'none', 'x' x 500, "$cast{acme}{id}0", '%C3%A9') {
            my $r = api($method => "$id$path", token => $cast{eve}, $body ? (json => $body) : ());
            problem($r, 404, 'organization_not_found', "$method " . substr($id, 0, 40) . $path);
            push @{$bodies{$r->{body}}}, $id;
        }
        is(scalar keys %bodies, 1, "$method $path: one answer for all that is not hers") or diag explain \%bodies;
    }
}

# --- superusers ------------------------------------------------------------------------------------------------------

acme();
enroll($cast{acme}, member => $cast{bob});
steps(\%cast,
    [sam => 'GET {acme}/members',          undef,                                200],
    [sam => 'GET {acme}/members/{ada}',    undef,                                200, {role => 'admin'}],
    [sam => 'GET {acme}/members/me',       undef,                                404, 'member_not_found'],
    [sam => 'PUT {acme}/members/me',       {role => 'member'},                   404, 'member_not_found'],
    [sam => 'DELETE {acme}/members/me',    undef,                                404, 'member_not_found'],
    [sam => 'GET {none}/members',          undef,                                404, 'organization_not_found'],
    [sam => 'POST {none}/members',         {email => '{eve@}'},                  404, 'organization_not_found'],
    [sam => 'POST {acme}/members',         {email => '{gus@}', role => 'admin'}, 201, {role => 'admin'}],
    [sam => 'PUT {acme}/members/{gus}',    {role => 'member'},                   200, {role => 'member'}],
    [sam => 'PUT {acme}/members/{bob}',    {role => 'admin'},                    200, {role => 'admin'}],
    [sam => 'DELETE {acme}/members/{bob}', undef,                                200],
    [sam => 'POST {acme}/members',         {email => '{sam@}'},                  201, {role => 'member'}],
    [sam => 'GET {acme}/members/me',       undef,                                200, {role => 'member'}],
    [sam => 'PUT {acme}/members/{gus}',    {role => 'admin'},                    200, {role => 'admin'},
        {what => 'a plain member by role'}],
    [sam => 'PUT {acme}/members/me',       {role => 'admin'},                    200, {role => 'admin'}, {what => 'raising oneself'}],
    [sam => 'DELETE {acme}/members/me',    undef,                                200],
);
in_order('superusers');

# --- the last admin --------------------------------------------------------------------------------------------------

acme();
enroll($cast{acme}, member => @cast{qw(bob dora)});
my $gone = id_in_sql($cast{gone}{id});
steps(\%cast,
    [ada => 'DELETE {acme}/members/me',      undef,              409, 'last_admin', {what => 'leaving'}],
    [ada => 'DELETE {acme}/members/{ada}',   undef,              409, 'last_admin', {what => 'leaving by id'}],
    [ada => 'PUT {acme}/members/me',         {role => 'member'}, 409, 'last_admin', {what => 'stepping down'}],
    [ada => 'PUT {acme}/members/{ADA}',      {role => 'member'}, 409, 'last_admin', {what => 'stepping down by id'}],
    [sam => 'DELETE {acme}/members/{ada}',   undef,              409, 'last_admin', {what => 'removed by a superuser'}],
    [sam => 'PUT {acme}/members/{ada}',      {role => 'member'}, 409, 'last_admin', {what => 'lowered by a superuser'}],
);
enroll($cast{acme}, admin => $cast{gone});
steps(\%cast,
    [ada => 'DELETE {acme}/members/me',      undef,              409, 'last_admin', {what => 'the other admin is deactivated'}],
    [ada => 'PUT {acme}/members/me',         {role => 'member'}, 409, 'last_admin', {what => 'the other admin is deactivated'}],
    [sam => 'DELETE {acme}/members/{ada}',   undef,              409, 'last_admin', {what => 'the other admin is deactivated'}],
    [sam => 'PUT {acme}/members/{ada}',      {role => 'member'}, 409, 'last_admin', {what => 'the other admin is deactivated'}],
    [ada => 'PUT {acme}/members/{gone}',     {role => 'member'}, 200, {role => 'member'}, {what => 'a deactivated admin'}],
    [ada => 'PUT {acme}/members/{gone}',     {role => 'admin'},  200, {role => 'admin'},  {what => 'a deactivated member'}],
    [ada => 'DELETE {acme}/members/{gone}',  undef,              200, undef, {what => 'a deactivated admin'}],
    [ada => 'PUT {acme}/members/{dora}',     {role => 'admin'},  200],
    [ada => 'PUT {acme}/members/me',         {role => 'member'}, 200, {role => 'member'}, {what => 'there is another one'}],
    [dora => 'PUT {acme}/members/me',        {role => 'member'}, 409, 'last_admin'],
    [dora => 'DELETE {acme}/members/me',     undef,              409, 'last_admin'],
    [dora => 'PUT {acme}/members/{ada}',     {role => 'admin'},  200],
    [ada => 'DELETE {acme}/members/{dora}',  undef,              200],
    [ada => 'DELETE {acme}/members/me',      undef,              409, 'last_admin'],
    [ada => 'DELETE {acme}',                 undef,              200, {deleted => JSON::PP::true}, {what => 'the last admin may delete'}],
    [bob => 'GET {acme}/members',            undef,              404, 'organization_not_found'],
);
in_order('the last admin');

# --- seats -----------------------------------------------------------------------------------------------------------

sub full { {members => {seats => $_[0], seats_used => $_[1]}, what => $_[2] // 'no seat'} }

acme();
$cast{license} = license(seats => 5);
$cast{endless} = license();
orgsctl('plan', 'free', '--seats=3');
steps(\%cast,
    [ada => 'POST {acme}/members',         {email => '{bob@}'},   201],
    [ada => 'POST {acme}/members',         {email => '{fay@}'},   201],
    [ada => 'POST {acme}/members',         {email => '{gus@}'},   409, 'seat_limit_reached', full(3, 3)],
    [ada => 'POST {acme}/members',         {email => '{bob@}'},   409, 'already_member', {what => 'before seats'}],
    [ada => 'POST {acme}/members',         {email => '{nobody@}'}, 404, 'user_not_found', {what => 'before seats'}],
    [ada => 'PUT {acme}/members/{bob}',    {role => 'admin'},     200, {role => 'admin'}, {what => 'a role needs no seat'}],
    [ada => 'DELETE {acme}/members/{fay}', undef,                 200],
    [bob => 'POST {acme}/members',         {email => '{gus@}'},   201],
    [bob => 'POST {acme}/members',         {email => '{fay@}'},   409, 'seat_limit_reached', full(3, 3)],
    [sam => 'POST {acme}/members',         {email => '{fay@}'},   409, 'seat_limit_reached', full(3, 3, 'a superuser too')],
);
orgsctl('user', 'deactivate', $cast{gus}{email});
is(orgsctl({fails => 1}, 'org', 'add-admin', $cast{acme}{id}, $cast{fay}{email})->[0], 1, 'nor has the operator a seat');
steps(\%cast,
    [ada => 'POST {acme}/members',         {email => '{fay@}'},   409, 'seat_limit_reached', full(3, 3, 'a deactivated member keeps its seat')],
    [ada => 'GET {acme}/members',          undef,                 200, undef, {check => sub { is(scalar @{$_[0]{json}}, 3, "$_[1]: and is listed") }}],
    [ada => 'PUT {acme}/license',          {license_id => '{license}'}, 200, {seats => 5, seats_used => 3}],
    [ada => 'POST {acme}/members',         {email => '{fay@}'},   201, undef, {what => "the license's seats"}],
    [ada => 'POST {acme}/members',         {email => '{cyd@}'},   201],
    [ada => 'POST {acme}/members',         {email => '{dora@}'},  409, 'seat_limit_reached', full(5, 5)],
    [ada => 'PUT {acme}/license',          {license_id => '{endless}'}, 200, {seats => undef, seats_used => 5}],
    [ada => 'POST {acme}/members',         {email => '{dora@}'},  201, undef, {what => 'unlimited'}],
    [ada => 'DELETE {acme}/license',       undef,                 200, {seats => 3, seats_used => 6, over_limit => JSON::PP::true}],
    [ada => 'POST {acme}/members',         {email => '{eve@}'},   409, 'seat_limit_reached', full(3, 6, 'over the limit')],
    [ada => 'DELETE {acme}/members/{dora}', undef,                200, undef, {what => 'over the limit'}],
    [ada => 'PUT {acme}/license',          {license_id => '{license}'}, 200, {seats => 5, seats_used => 5}],
    [ada => 'DELETE {acme}/members/{cyd}', undef,                 200],
);
orgsctl('license', 'suspend', $cast{license}{id});
steps(\%cast, [ada => 'POST {acme}/members', {email => '{cyd@}'}, 409, 'seat_limit_reached', full(3, 4, 'a suspended license does not count')]);
orgsctl('license', 'resume', $cast{license}{id});
for (['a license of tomorrow', '--starts-at=2090-01-01T00:00:00Z'], ['one of yesterday', '--starts-at=none', '--expires-at=2020-01-01T00:00:00Z']) {
    my ($what, @times) = @$_;
    orgsctl('license', 'set', $cast{license}{id}, @times);
    steps(\%cast, [ada => 'POST {acme}/members', {email => '{cyd@}'}, 409, 'seat_limit_reached', full(3, 4, "$what does not count")]);
}
orgsctl('license', 'set', $cast{license}{id}, '--starts-at=2020-01-01T00:00:00Z', '--expires-at=2090-01-01T00:00:00Z');
steps(\%cast, [ada => 'POST {acme}/members', {email => '{cyd@}'}, 201, undef, {what => 'resumed, and now'}]);
orgsctl('license', 'revoke', $cast{license}{id});
steps(\%cast, [ada => 'POST {acme}/members', {email => '{dora@}'}, 409, 'seat_limit_reached', full(3, 5, 'a revoked license does not count')]);
orgsctl('user', 'activate', $cast{gus}{email});
orgsctl('plan', 'free', '--seats=0');
$cast{small} = organization($cast{ada});
steps(\%cast,
    [ada => 'POST {small}/members',        {email => '{bob@}'},   409, 'seat_limit_reached', full(0, 1, 'no seats at all')],
    [ada => 'GET {small}/license',         undef,                 200, {seats => 0, seats_used => 1, over_limit => JSON::PP::true}],
    [ada => 'DELETE {small}',              undef,                 200],
);
orgsctl('plan', 'free', '--seats=unlimited');
in_order('seats');

# --- an inactive organization ----------------------------------------------------------------------------------------

acme();
enroll($cast{acme}, member => @cast{qw(bob fay gus)});
enroll($cast{acme}, admin => @cast{qw(cyd dora)});
steps(\%cast,
    [ada => 'PUT {acme}',                   {active => JSON::PP::false},          200, {active => JSON::PP::false}],
    [bob => 'GET {acme}/members',           undef,                                200],
    [bob => 'GET {acme}/members/{ada}',     undef,                                200],
    [ada => 'POST {acme}/members',          {email => '{ann@}'},                  409, 'organization_inactive'],
    [sam => 'POST {acme}/members',          {email => '{ann@}'},                  409, 'organization_inactive', {what => 'a superuser too'}],
    [ada => 'POST {acme}/members',          {email => '{bob@}'},                  409, 'organization_inactive', {what => 'before "already"'}],
    [ada => 'POST {acme}/members',          {email => '{nobody@}'},               409, 'organization_inactive', {what => 'before the target'}],
    [bob => 'POST {acme}/members',          {email => '{ann@}'},                  403, 'admin_required', {what => 'after the right'}],
    [eve => 'POST {acme}/members',          {email => '{ann@}'},                  404, 'organization_not_found'],
    [ada => 'PUT {acme}/members/{bob}',     {role => 'admin'},                    409, 'organization_inactive', {what => 'raising'}],
    [ada => 'PUT {acme}/members/{nobody}',  {role => 'admin'},                    409, 'organization_inactive', {what => 'raising, before the target'}],
    [ada => 'PUT {acme}/members/{nobody}',  {role => 'member'},                   404, 'member_not_found'],
    [ada => 'PUT {acme}/members/{cyd}',     {role => 'admin'},                    200, {role => 'admin'}, {events => 0, what => 'the same'}],
    [ada => 'PUT {acme}/members/{bob}',     {role => 'member'},                   200, {role => 'member'}, {events => 0, what => 'the same'}],
    [cyd => 'PUT {acme}/members/me',        {role => 'member'},                   200, {role => 'member'}, {what => 'stepping down'}],
    [ada => 'PUT {acme}/members/{dora}',    {role => 'member'},                   200, {role => 'member'}, {what => 'lowering'}],
    [ada => 'PUT {acme}/members/me',        {role => 'member'},                   409, 'last_admin'],
    [ada => 'DELETE {acme}/members/me',     undef,                                409, 'last_admin'],
    [bob => 'DELETE {acme}/members/me',     undef,                                200, undef, {what => 'leaving'}],
    [ada => 'DELETE {acme}/members/{fay}',  undef,                                200, undef, {what => 'removing'}],
    [ada => 'GET {acme}/members/me',        undef,                                200],
    [ada => 'PUT {acme}',                   {active => JSON::PP::true},           200, {active => JSON::PP::true}],
    [ada => 'POST {acme}/members',          {email => '{bob@}'},                  201, undef, {what => 'active again'}],
);
is(orgsctl({fails => 1}, 'org', 'add-admin', $cast{acme}{id}, $cast{eve}{email})->[0], 0, 'the operator adds an admin');
api(PUT => $cast{acme}{id}, token => $cast{ada}, json => {active => JSON::PP::false});
is(orgsctl({fails => 1}, 'org', 'add-admin', $cast{acme}{id}, $cast{ann}{email})->[0], 1, 'but not to an inactive one');
in_order('inactive');

# --- a user who is deactivated, renamed, raised ------------------------------------------------------------------------

acme();
enroll($cast{acme}, admin => $cast{dora});
orgsctl('user', 'deactivate', $cast{dora}{email});
steps(\%cast,
    [dora => 'GET {acme}/members',         undef,                401, 'unauthorized', {what => 'deactivated'}],
    [dora => 'DELETE {acme}/members/me',   undef,                401, 'unauthorized', {what => 'deactivated'}],
    [ada => 'GET {acme}/members/{dora}',   undef,                200, {role => 'admin'}, {what => 'a deactivated member is shown'}],
    [ada => 'POST {acme}/members',         {email => '{dora@}'}, 404, 'user_not_found', {what => 'a deactivated member'}],
);
orgsctl('user', 'activate', $cast{dora}{email});
orgsctl('user', 'set', $cast{dora}{email}, '--name=Dóra Ürge', '--email=dora.urge@members.example');
$cast{dora} = {%{$cast{dora}}, email => 'dora.urge@members.example'};
steps(\%cast,
    [dora => 'GET {acme}/members/me',      undef,                200, {name => 'Dóra Ürge', email => 'dora.urge@members.example', role => 'admin'}],
    [ada => 'GET {acme}/members?email={dora@}', undef,           200, undef, {check => sub {
        is_deeply([map { $_->{user_id} } @{$_[0]{json}}], [$cast{dora}{id}], "$_[1]: found by the new one") }}],
    [ada => 'GET {acme}/members?email=dora@members.example', undef, 200, undef, {check => sub {
        is_deeply($_[0]{json}, [], "$_[1]: not by the old one") }}],
);
in_order('users');

done_testing;
