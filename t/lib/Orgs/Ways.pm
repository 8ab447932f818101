# The ways through the procedures: requests, and what befalls them, that lead by every statement there is.
#
#   my $world = people();                    # where move_to() was
#   for my $way (ways($world, $own, @gaps)) { ... }   # an organization that is written to, without end
#
# A way is an endpoint of Orgs::Endpoints, for request() and wrong(), and besides:
#
#   procedure   whose statements it is about
#   normal      the status it is answered with when nothing is broken
#   host        of which virtual host: '', limited, full
#   meanwhile   {gap, sql}: another session does this while the procedure is held there
#   first       the rules of Orgs::Inside that break it before it comes to what it is about
#   after       SQL that puts right what it did to others
#   send, check what asks, and what finds the wrong, where it is not request() and wrong()
#   crowd       it is of several requests, that make their writes together (Orgs::Together)
#   aside       nobody waits for it: it happens after a request, now and then
#   errors      (with first) only what cannot be foreseen befalls it: it is about what follows an error
package Orgs::Ways;

use Orgs::Test;
use Orgs::Endpoints;
use Orgs::Together;

use Exporter qw(import);
use List::Util qw(first);
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);

our @EXPORT = qw(people ways);

sub people {
    my %world = map { $_ => user($_) } qw(ada bob);
    return \%world;
}

# --- what others do meanwhile ------------------------------------------------------------------------------------------------

my $demoted = "UPDATE memberships SET role = 'member' WHERE organization_id = {org_sql} AND user_id = {ada_sql}";
my $thrown_out = 'DELETE FROM memberships WHERE organization_id = {org_sql} AND user_id = {ada_sql}; UPDATE organizations SET members = members - 1 WHERE id = {org_sql}';
my $asleep = 'UPDATE organizations SET active = FALSE WHERE id = {org_sql}';
my $without_bob = 'DELETE FROM memberships WHERE organization_id = {org_sql} AND user_id = {bob_sql}; UPDATE organizations SET members = members - 1 WHERE id = {org_sql}';
my $with_bob = "INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES ({org_sql}, {bob_sql}, 'member', UTC_TIMESTAMP(3)); "
    . 'UPDATE organizations SET members = members + 1 WHERE id = {org_sql}';
my $moved = 'UPDATE organizations SET version = version + 1, license_version = license_version + 1 WHERE id = {org_sql}';

# {made_sql} for somebody's organization, {held_sql} for a license.
sub another_organization {
    my ($word) = @_;
    return 'INSERT INTO organizations (id, name, members, seq, version, created_by, created_at, updated_at) '
        . "VALUES ({${word}_sql}, 'Another', 1, 0, 1, {ada_sql}, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3)); "
        . "INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES ({${word}_sql}, {ada_sql}, 'admin', UTC_TIMESTAMP(3))";
}

sub held_license {
    my ($word, $seats) = @_;
    return "INSERT INTO licenses (id, plan, seats, organization_id, assigned_at, created_at) VALUES ({${word}_sql}, 'team', $seats, {org_sql}, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))";
}

sub license_is { my ($what) = @_; return "UPDATE licenses SET $what WHERE id = {license_sql}" }

# The last two of a CALL's arguments: the digests of key and body. An event of the actor's with that key.
sub key_was_first {
    my ($body, $action, $organization, $target, $answer) = @_;
    my $digest = sub { my ($n) = @_; return "UNHEX(SUBSTRING_INDEX(SUBSTRING_INDEX(arguments, 'X\\'', -$n), '\\'', 1))" };
    return 'INSERT INTO events (id, at, actor_id, action, organization_id, target_id, ikey, ibody, answer, expires_at) '
        . "SELECT {low_sql}, UTC_TIMESTAMP(3), {ada_sql}, '$action', $organization, $target, " . $digest->(2) . ', ' . ($body eq 'same' ? $digest->(1) : "REPEAT('x', 32)")
        . ", $answer, UTC_TIMESTAMP(3) + INTERVAL 24 HOUR FROM inside_calls ORDER BY n DESC LIMIT 1";
}

my $marked = "INSERT INTO events (id, at, action, expires_at) SELECT event, UTC_TIMESTAMP(3), 'abandoned', UTC_TIMESTAMP(3) + INTERVAL 24 HOUR FROM inside_calls ORDER BY n DESC LIMIT 1";
my @created = ('organization.create', '{low_sql}', 'NULL', 'NULL');
my @added = ('member.add', 'NULL', '{bob_sql}', "'{\"name\":\"First\"}'");

# --- the table -------------------------------------------------------------------------------------------------------------------

# [endpoint, what is different, options of the way; besides: code (it is refused), gap (where meanwhile is done; else at
# the beginning), and of the request path, json, key (with a new one; old: one of yesterday's, again: of the same
# request, other: of another one), tagged (with the license view's tag)]
my @different = (
    (map { my ($endpoint) = @$_;
        ([$endpoint, 'nobody any more', {code => '401 unauthorized', meanwhile => 'UPDATE users SET active = FALSE WHERE id = {ada_sql}',
            after => 'UPDATE users SET active = TRUE WHERE id = {ada_sql}'}],
        $endpoint =~ /^create/ ? () : (
            [$endpoint, 'thrown out', {code => '404 organization_not_found', meanwhile => $thrown_out, unled => 1}],
            [$endpoint, 'no admin any more', {code => '403 admin_required', meanwhile => $demoted, unled => 1}])) }
        map { [$_] } 'create an organization', 'update an organization', 'delete an organization', 'add a member', 'remove a member', 'assign a license',
            'unassign a license', 'change a role'),
    (map { [$_, 'moved', {code => '412 precondition_failed', meanwhile => $moved}] } 'update an organization', 'delete an organization'),
    (map { [$_, 'moved', {code => '412 precondition_failed', meanwhile => $moved, tagged => 1}] } 'assign a license', 'unassign a license'),
    (map { [$_, 'asleep', {code => '409 organization_inactive', meanwhile => $asleep}] } 'add a member', 'change a role', 'assign a license'),

    ['create an organization', 'with a key', {key => 'new'}],
    ['create an organization', 'with a key of yesterday', {key => 'old'}],
    ['create an organization', 'again', {key => 'again', replayed => 1}],
    ['create an organization', 'with a used key', {key => 'other', code => '422 idempotency_key_reused'}],
    ['create an organization', 'of a few', {host => 'limited'}],
    ['create an organization', 'too many', {host => 'full', code => '409 organization_limit_reached'}],
    ['create an organization', 'marked', {gap => 'INSERT INTO events', meanwhile => $marked}],
    ['create an organization', 'the same was first', {key => 'new', gap => 'INSERT INTO events', meanwhile => key_was_first('same', @created), replayed => 1}],
    ['create an organization', 'another was first', {key => 'new', gap => 'INSERT INTO events', meanwhile => key_was_first('other', @created), code => '422 idempotency_key_reused'}],

    ['add a member', 'with a key', {key => 'new'}],
    ['add a member', 'with a key of yesterday', {key => 'old'}],
    ['add a member', 'again', {key => 'again', replayed => 1}],
    ['add a member', 'with a used key', {key => 'other', code => '422 idempotency_key_reused'}],
    ['add a member', 'unknown', {json => {email => 'nobody@example.com'}, code => '404 user_not_found'}],
    ['add a member', 'who is one', {code => '409 already_member', meanwhile => $with_bob}],
    ['add a member', 'without a seat', {code => '409 seat_limit_reached', meanwhile => held_license('low', 1)}],
    ['add a member', 'marked', {gap => 'INSERT INTO events', meanwhile => $marked}],
    ['add a member', 'the same was first', {key => 'new', gap => 'INSERT INTO events', meanwhile => key_was_first('same', @added), replayed => 1}],
    ['add a member', 'another was first', {key => 'new', gap => 'INSERT INTO events', meanwhile => key_was_first('other', @added), code => '422 idempotency_key_reused'}],

    ['change a role', 'of nobody', {code => '404 member_not_found', meanwhile => $without_bob}],
    ['change a role', 'the last admin\'s', {path => '{org}/members/{ada}', json => {role => 'member'}, code => '409 last_admin'}],
    ['remove a member', 'who is none', {code => '404 member_not_found', meanwhile => $without_bob}],
    ['remove a member', 'the last admin', {path => '{org}/members/{ada}', code => '409 last_admin'}],

    ['assign a license', 'unknown', {code => '404 license_not_found', meanwhile => 'DELETE FROM licenses WHERE id = {license_sql}'}],
    ['assign a license', 'the same again', {silent => 1, meanwhile => license_is('organization_id = {org_sql}, assigned_at = UTC_TIMESTAMP(3)')}],
    ['assign a license', 'in use', {code => '409 license_in_use', meanwhile => license_is('organization_id = {low_sql}, assigned_at = UTC_TIMESTAMP(3)')}],
    ['assign a license', 'reserved', {code => '409 license_reserved', meanwhile => license_is('reserved_for = {low_sql}')}],
    ['assign a license', 'reserved for one\'s own, before', {meanwhile => another_organization('low') . ';' . license_is('reserved_for = {low_sql}')}],
    ['assign a license', 'reserved for one\'s own, behind', {meanwhile => another_organization('high') . ';' . license_is('reserved_for = {high_sql}')}],
    ['assign a license', 'freed meanwhile', {gap => 'SELECT id, active, members', meanwhile => license_is('reserved_for = {org_sql}')}],
    ['assign a license', 'revoked', {code => '409 license_not_active', meanwhile => license_is('revoked = TRUE')}],
    ['assign a license', 'too small', {code => '409 seats_exceeded', meanwhile => license_is('seats = 0')}],
    ['assign a license', 'for one before', {meanwhile => held_license('low', 10)}],
    ['assign a license', 'for one behind', {meanwhile => held_license('high', 10)}],
    ['unassign a license', 'that is not there', {silent => 1, meanwhile => license_is('organization_id = NULL')}],
);

my %procedure = (
    'create an organization' => 'organization_create_v1', 'update an organization' => 'organization_update_v1', 'delete an organization' => 'organization_delete_v1',
    'add a member' => 'member_add_v1', 'remove a member' => 'member_remove_v1', 'change a role' => 'member_update_v1',
    'assign a license' => 'license_assign_v1', 'unassign a license' => 'license_unassign_v1', 'make a user' => 'user_provision_v1',
);

# --- the ways ----------------------------------------------------------------------------------------------------------------------

sub gap_of {
    my ($gaps, $procedure, $text) = @_;
    my $gap = first { $_->{procedure} eq $procedure && !$_->{handler} && ($text eq '' ? $_->{first} : index($_->{text}, $text) == 0) } @$gaps;
    return $gap->{number} // die "there is no $text in $procedure";
}

sub sql_words {
    my ($words, $world) = @_;
    $words->{ada} = $world->{ada}{id};
    $words->{low} = '00000000-' . substr uuid(), 9;
    $words->{high} = 'ffffffff-' . substr uuid(), 9;
    $words->{"${_}_sql"} //= id_in_sql($words->{$_}) for grep { defined $words->{$_} && $words->{$_} =~ /^[0-9a-f]{8}-/ } keys %$words;
    return;
}

# The request, with what is different in it.
sub different_target {
    my ($world, $endpoint, $options) = @_;
    my $target = $endpoint->{before}->();
    my $words = $target->{words};
    sql_words($words, $world);
    $target->{path} = filled($options->{path}, $words) if $options->{path};
    $target->{json} = filled($options->{json}, $words) if $options->{json};
    $target->{headers}{'If-Match'} = request({method => 'GET', path => "$words->{org}/license", token => $target->{token}})->{headers}{etag} if $options->{tagged};
    if (my $key = $options->{key}) {
        $target->{headers}{'Idempotency-Key'} = uuid();
        my %earlier = (%$target, $key eq 'again' ? () : (json => {%{$target->{json}}, $words->{org} ? (role => 'member') : (name => 'Another')}));
        if ($key ne 'new') {
            $target->{earlier} = request(\%earlier);
            die "an earlier request: $target->{earlier}{status} $target->{earlier}{body}" if $target->{earlier}{status} != 201;
            sql("UPDATE events SET at = at - INTERVAL 25 HOUR WHERE actor_id = $words->{ada_sql} AND ikey IS NOT NULL") if $key eq 'old';
            if ($words->{org} && $key ne 'again') {
                sql(filled($without_bob, $words));
                $target->{events}++;
            }
        }
    }
    return $target;
}

# A replay is the first answer, and nothing new.
sub replay_wrong {
    my ($target, $answer, $made) = @_;
    my $words = $target->{words};
    my @wrong;
    my ($events) = sql("SELECT COUNT(*) FROM events WHERE request_id = '$answer->{headers}{'x-request-id'}'");
    push @wrong, "answered $answer->{status} $answer->{body}" if $answer->{status} !~ /^(?:201|500|503|504)$/;
    push @wrong, 'it was done once more' if $events->[0];
    return @wrong if $answer->{status} != 201;
    push @wrong, 'not as a replay' if ($answer->{headers}{'idempotent-replayed'} // '') ne 'true';
    push @wrong, "not the first answer: $answer->{body}" if $target->{earlier} && $answer->{body} ne $target->{earlier}{body};
    push @wrong, "not the other's answer: $answer->{body}" if !$target->{earlier} && index($answer->{body}, $words->{org} // $words->{low}) < 0;
    return @wrong;
}

sub different_way {
    my ($world, $gaps, $endpoint, $what, $options) = @_;
    my $procedure = $procedure{$endpoint->{name}};
    my ($status, $code) = split / /, $options->{code} // '';
    my %way = (%$endpoint, %$options, name => "$endpoint->{name}, $what", procedure => $procedure, normal => $status || $endpoint->{normal},
        before => sub { different_target($world, $endpoint, $options) });
    $way{meanwhile} = {gap => gap_of($gaps, $procedure, $options->{gap} // ''), sql => $options->{meanwhile}} if $options->{meanwhile};
    @way{qw(refused done)} = ({$status => $code}, 'SELECT 0') if $code;
    $way{check} = \&replay_wrong if $options->{replayed};
    return \%way;
}

# What follows an error: of each procedure, and of settling.
sub after_errors {
    my ($gaps, @ways) = @_;
    my @errors;
    for my $way (@ways) {
        my $commit = gap_of($gaps, $way->{procedure}, 'COMMIT');
        push @errors, {%$way, name => "$way->{name}, rolled back", errors => 1, first => [{gap => $commit, fault => 'error', number => 1213}]};
    }
    my ($create) = grep { $_->{name} eq 'create an organization' } @ways;
    my $commit = gap_of($gaps, $create->{procedure}, 'COMMIT');
    my $settled = gap_of($gaps, 'event_settle_v1', 'COMMIT');
    my $lost = sub { my ($gap) = @_; return {gap => $gap, fault => 'error', number => 1644} };
    my %settle = (%$create, procedure => 'event_settle_v1');
    return (@errors,
        {%settle, name => 'settle what ran', first => [$lost->($commit + 1)]},
        {%settle, name => 'settle what was lost', first => [$lost->($commit)]},
        {%settle, name => 'settle what is settled', first => [$lost->($commit), $lost->($settled + 1)]},
        {%settle, name => 'settle, rolled back', errors => 1, first => [$lost->($commit), {gap => $settled, fault => 'error', number => 1213}]});
}

# --- what is no endpoint ---------------------------------------------------------------------------------------------------------------

my $newcomers = 0;

# A user is made on first sight.
sub provision {
    my ($gaps, $name, %options) = @_;
    my $before = sub {
        my $email = sprintf 'new%d-%d@example.com', $$, ++$newcomers;
        return {email => $email, words => {email => $email, new_sql => id_in_sql(uuid())}};
    };
    my $send = sub {
        my ($target, $host) = @_;
        return api(GET => '/remote/organizations', url => "http://$host/remote/organizations", headers => {Authorization => 'Basic ' . encode_base64("$target->{email}:any", '')});
    };
    my $check = sub {
        my ($target, $answer) = @_;
        my ($users) = sql("SELECT COUNT(*), (SELECT COUNT(*) FROM events WHERE target_id = u.id AND action = 'user.add') FROM users u WHERE email = '$target->{email}'");
        my $made = $options{meanwhile} ? 0 : $users->[0];
        return "$users->[0] users" if $users->[0] > 1;
        return "$answer->{status}, but there is no user" if $answer->{status} == 200 && !$users->[0];
        return "$answer->{status}, but there is a user" if $answer->{status} != 200 && $answer->{status} != 504 && $made;
        return "$users->[1] events" if ($users->[1] // 0) != $made;
        return "answered $answer->{body}" if $answer->{status} == 200 && $answer->{body} ne '[]';
        return ();
    };
    return {name => $name, procedure => 'user_provision_v1', normal => 200, before => $before, send => $send, check => $check, write => 1, %options,
        $options{meanwhile} ? (meanwhile => {gap => gap_of($gaps, 'user_provision_v1', ''), sql => $options{meanwhile}}) : ()};
}

# What is kept for a day only is cleared after one write in many: writes until one is followed by that, and one more,
# which is not begun before the first is through with it.
sub expire {
    my ($world, $own) = @_;
    my $n = 0;
    my $write = sub {
        my ($host) = @_;
        my $answer = request({method => 'PUT', path => $own->{id}, token => $world->{ada}, json => {name => 'Much written ' . ++$n}}, $host);
        die "a write: $answer->{status} $answer->{body}" if $answer->{status} != 200;
        return $answer;
    };
    my $before = sub {
        my %words = (mark => uuid());
        # one that keeps its answer
        $write->();
        sql('INSERT INTO events (id, at, action, expires_at) VALUES (' . id_in_sql($words{mark}) . ", UTC_TIMESTAMP(3) - INTERVAL 2 DAY, 'abandoned', UTC_TIMESTAMP(3) - INTERVAL 1 DAY); "
            . 'UPDATE events SET expires_at = UTC_TIMESTAMP(3) - INTERVAL 1 DAY WHERE organization_id = ' . id_in_sql($own->{id}) . ' AND answer IS NOT NULL ORDER BY seq DESC LIMIT 10');
        $words{kept} = sql_value('SELECT COUNT(*) FROM events WHERE expires_at < UTC_TIMESTAMP(3) AND organization_id IS NOT NULL') or die 'there is nothing to clear';
        return {words => \%words};
    };
    my $send = sub {
        my ($target, $host) = @_;
        my $worst = 0;
        for (1 .. 5000) {
            my $began = time;
            $write->($host);
            $worst = time - $began if time - $began > $worst;
            last if sql_value("SELECT COUNT(*) FROM inside_calls WHERE name = 'event_expire_v1'");
        }
        return {%{$write->($host)}, took => $worst};
    };
    my $check = sub {
        my ($target) = @_;
        my ($left) = sql('SELECT SUM(id = ' . id_in_sql($target->{words}{mark}) . '), SUM(organization_id IS NOT NULL) FROM events WHERE expires_at < UTC_TIMESTAMP(3)');
        my ($mark, $kept) = map { $_ // 0 } @$left;
        $target->{cleared} = !$mark;
        return !$mark == !$kept ? () : "half of it is cleared: of the marks $mark are left, of the answers $kept";
    };
    return {name => 'clear what is old', procedure => 'event_expire_v1', normal => 200, before => $before, send => $send, check => $check, write => 1, aside => 1};
}

sub ways {
    my ($world, $own, @gaps) = @_;
    my %normal = ('create an organization' => 201, 'add a member' => 201);
    my %endpoint = map { $_->{name} => +{%$_, normal => $normal{$_->{name}} // 200, procedure => $procedure{$_->{name}}} } writes($world);
    my @plain = map { my $endpoint = $_; +{%$endpoint, before => sub { different_target($world, $endpoint, {}) }} } map { $endpoint{$_->{name}} } writes($world);
    my @provision = (
        provision(\@gaps, 'make a user'),
        provision(\@gaps, 'make a user, who was made', meanwhile => "INSERT INTO users (id, email, created_at) VALUES ({new_sql}, '{email}', UTC_TIMESTAMP(3))"));
    my $expire = expire($world, $own);
    my @crowds = crowd_ways($world, \@gaps);
    # of each procedure the first
    my %led;
    my @led = grep { !$led{$_->{procedure}}++ } @crowds;
    return (@plain, @crowds, $provision[0], $expire, (map { different_way($world, \@gaps, $endpoint{$_->[0]}, @$_[1, 2]) } @different), $provision[1],
        after_errors(\@gaps, @plain, @led, $provision[0], $expire));
}

1;
