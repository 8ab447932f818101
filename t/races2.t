# Contract 3: rules 2, 3, 5, 6 and 7 of members under races. See volley of Orgs::Story for the gates.
use Orgs::Test;
use Orgs::Story;

my ($ada, $bob, $cyd, $dan) = crowd('admin', 4);
my @people = crowd('person', 64);
my $used = 0;
END { orgsctl('plan', 'free', '--seats=unlimited') if $ada }

# Whom nobody has met before: the operator does not deactivate the only admin of anything.
sub fresh { (crowd('fresh', ++$used + 100))[$used] }

# [METHOD, who, path below the organization, body]
sub shot {
    my ($organization, $method, $who, $path, $json) = @_;
    return {method => $method, token => $who, path => "$organization->{id}$path", defined $json ? (json => $json) : ()};
}

sub fire {
    my ($organization, $gate, $requests, @more) = @_;
    return volley($requests, gate => $gate, at => [$organization], @more);
}

my %member = (role => 'member');

# What two admins, alone, may do at once to be gone both; what the second to come is told.
my @endings = (
    ['both leave',                [DELETE => '/members/me'],            [DELETE => '/members/me'],            '409 last_admin'],
    ['both step down',            [PUT => '/members/me', \%member],     [PUT => '/members/me', \%member],     '409 last_admin'],
    ['one leaves, one steps down', [DELETE => '/members/me'],           [PUT => '/members/me', \%member],     '409 last_admin'],
    ['each removes the other',    [DELETE => "/members/$bob->{id}"],    [DELETE => "/members/$ada->{id}"],    '404 organization_not_found'],
    ['each lowers the other',     [PUT => "/members/$bob->{id}", \%member], [PUT => "/members/$ada->{id}", \%member], '403 admin_required'],
);

sub two_admins {
    my ($round, $gate) = @_;
    my ($what, $of_ada, $of_bob, $second) = @{$endings[$round % @endings]};
    my $organization = enroll(organization($ada), admin => $bob);
    enroll($organization, member => $cyd);
    my @answers = fire($organization, $gate, [
        shot($organization, $of_ada->[0], $ada, @$of_ada[1 .. $#$of_ada]),
        shot($organization, $of_bob->[0], $bob, @$of_bob[1 .. $#$of_bob]),
    ]);
    return map { "$what: $_" } ends_with(\@answers, "200: 1, $second: 1"), sound($organization);
}

sub seats {
    my ($round, $gate) = @_;
    my $organization = enroll(organization($ada), admin => $bob);
    my $license = license(seats => 7);
    my $put = api(PUT => "$organization->{id}/license", token => $ada, json => {license_id => $license->{id}});
    return "no license: $put->{body}" if $put->{status} != 200;
    my $number = 0;
    my @answers = fire($organization, $gate,
        [map { shot($organization, 'POST', $number++ % 2 ? $ada : $bob, '/members', {email => $_->{email}}) } @people]);
    my @wrong = ends_with(\@answers, '201: 5, 409 seat_limit_reached: 59');
    my $view = api(GET => "$organization->{id}/license", token => $ada)->{json};
    push @wrong, "seats_used is $view->{seats_used}" if $view->{seats_used} != 7;
    push @wrong, 'a refusal that says ' . json_text($_->{json})
        for grep { $_->{status} == 409 && ($_->{json}{seats} != 7 || $_->{json}{seats_used} != 7) } @answers;
    my %in = map { $_->{json}{user_id} => 1 } grep { $_->{status} == 201 } @answers;
    my @list = map { $_->{user_id} } @{api(GET => "$organization->{id}/members", token => $ada)->{json}};
    push @wrong, 'the list is not who was told so' if join(' ', sort @list) ne join(' ', sort $ada->{id}, $bob->{id}, keys %in);
    return (@wrong, sound($organization));
}

sub one_user {
    my ($round, $gate) = @_;
    my $organization = enroll(organization($ada), admin => $bob);
    my @answers = fire($organization, $gate, [map { shot($organization, 'POST', $_ % 2 ? $ada : $bob, '/members',
        {email => $cyd->{email}, role => $_ % 3 ? 'member' : 'admin'}) } 1 .. 16]);
    my @wrong = ends_with(\@answers, '201: 1, 409 already_member: 15');
    my ($added) = grep { $_->{status} == 201 } @answers;
    push @wrong, 'already_member says ' . json_text($_->{json}{member})
        for grep { $_->{status} == 409 && json_text($_->{json}{member}) ne json_text($added->{json}) } @answers;
    my $list = api(GET => "$organization->{id}/members", token => $ada)->{json};
    push @wrong, scalar @$list . ' members' if @$list != 3;
    return (@wrong, sound($organization));
}

# Who is removed, lowered or deactivated while he writes: nothing of his is recorded after that is.
sub removed {
    my ($round, $gate) = @_;
    my $bob = fresh();
    my $organization = enroll(organization($ada), admin => $bob);
    enroll($organization, member => $cyd);
    my $license = license();
    my ($what, $first, $tool) = (
        ['removed', shot($organization, DELETE => $ada, "/members/$bob->{id}"), undef],
        ['lowered', shot($organization, PUT => $ada, "/members/$bob->{id}", \%member), undef],
        ['leaving', shot($organization, DELETE => $bob, '/members/me'), undef],
        ['deactivated', undef, ['user', 'deactivate', $bob->{email}]],
        ['a superuser, deactivated', undef, ['user', 'deactivate', $bob->{email}]],
    )[$round % 5]->@*;
    if ($round % 5 == 4) {
        # a superuser's right comes from no row of the organization
        ask('UPDATE users SET superuser = TRUE WHERE id = ' . id_in_sql($bob->{id})
            . '; DELETE FROM memberships WHERE user_id = ' . id_in_sql($bob->{id})
            . '; UPDATE organizations SET members = members - 1 WHERE id = ' . id_in_sql($organization->{id}));
    }
    my $gone;
    my @answers = fire($organization, $gate, [
        $first // (),
        shot($organization, PUT => $bob, '', {name => 'By Bob'}),
        shot($organization, POST => $bob, '/members', {email => $dan->{email}}),
        shot($organization, PUT => $bob, "/members/$cyd->{id}", {role => 'admin'}),
        shot($organization, PUT => $bob, '/license', {license_id => $license->{id}}),
        shot($organization, PUT => $bob, '', {description => 'By Bob'}),
        shot($organization, DELETE => $bob, "/members/$people[0]{id}"),
    ], also => [$tool // ()], $round % 5 == 4 ? (first => 'requests') : (), before => sub {
        $gone = ask_value('SELECT NOT active FROM users WHERE id = ' . id_in_sql($bob->{id}));
    });
    my @wrong = map { "answered $_->{status} $_->{body}" } grep { ref $_ eq 'HASH' && ($_->{status} >= 500 || !$_->{status}) } @answers;
    push @wrong, "orgsctl: @{$answers[-1]}" if $tool && $answers[-1][0];
    push @wrong, 'he was deactivated before, and wrote' if $gone && grep { ref $_ eq 'HASH' && $_->{status} =~ /^2/ } @answers;
    my $id = id_in_sql($organization->{id});
    my $bobs = id_in_sql($bob->{id});
    my ($after) = $tool
        ? ask("SELECT COUNT(*) FROM events WHERE organization_id = $id AND actor_id = $bobs AND at > (SELECT MAX(at) FROM events "
            . "WHERE action = 'user.deactivate' AND target_id = $bobs)")
        : ask("SELECT COUNT(*) FROM events WHERE organization_id = $id AND actor_id = $bobs AND seq > (SELECT seq FROM events "
            . "WHERE organization_id = $id AND target_id = $bobs AND action IN ('member.remove', 'member.update'))");
    push @wrong, "$after->[0] writes of his came later" if $after->[0];
    # what he was told of is what is recorded
    my $told = grep { ref $_ eq 'HASH' && $_->{status} =~ /^2/ } @answers;
    my $events = event_seq($organization) - 1;
    push @wrong, "$told were told of success, $events events" if $told != $events;
    return map { "$what: $_" } @wrong, sound($organization);
}

# An operator deactivates an admin while the only other one goes: one of both is refused.
sub deactivated {
    my ($round, $gate) = @_;
    my ($ada, $bob) = (fresh(), fresh());
    my $organization = enroll(organization($ada), admin => $bob);
    my @kinds = (
        ['leaving',       [shot($organization, DELETE => $ada, '/members/me')]],
        ['stepping down', [shot($organization, PUT => $ada, '/members/me', \%member)]],
        ['both deactivated', []],
        ['raised by who leaves', [shot($organization, PUT => $ada, "/members/$cyd->{id}", {role => 'admin'}),
            shot($organization, DELETE => $ada, '/members/me')]],
    );
    my ($what, $requests) = @{$kinds[$round % @kinds]};
    enroll($organization, member => $cyd);
    my @tools = (['user', 'deactivate', $bob->{email}], $round % @kinds == 2 ? ['user', 'deactivate', $ada->{email}] : ());
    my @answers = fire($organization, $gate, $requests, also => \@tools);
    my @wrong = $round % @kinds == 2 ? ends_with(\@answers, 'exit 0: 1, exit 1: 1')
        : $round % @kinds == 3 ? ends_with(\@answers, '200: 2, exit 0: 1', '200: 1, 409 last_admin: 1, exit 0: 1',
            '200: 1, 404 organization_not_found: 1, exit 1: 1')
        : ends_with(\@answers, '200: 1, exit 1: 1', '409 last_admin: 1, exit 0: 1');
    push @wrong, sound($organization);
    for my $tool (grep { ref $_ eq 'ARRAY' && $_->[0] } @answers) {
        push @wrong, "orgsctl says: $tool->[2]" if $tool->[2] !~ /\Aorgsctl: The user is the only active admin.*\Q$organization->{id}\E\n\z/;
    }
    return map { "$what: $_" } @wrong;
}

# A member is added while the seats go away, the organization is deleted, the new one is deactivated.
sub added_while_suspended {
    my ($round, $gate) = @_;
    my $organization = enroll(organization($ada), admin => $bob);
    my $license = license(seats => 10);
    api(PUT => "$organization->{id}/license", token => $ada, json => {license_id => $license->{id}});
    orgsctl('plan', 'free', '--seats=2');
    my @answers = fire($organization, $gate,
        [map { shot($organization, POST => $ada, '/members', {email => $people[$_]{email}}) } 0 .. 3],
        also => [['license', 'suspend', $license->{id}]]);
    orgsctl('plan', 'free', '--seats=unlimited');
    my @wrong = ends_with(\@answers, map { join ', ', $_ ? "201: $_" : (), $_ < 4 ? '409 seat_limit_reached: ' . (4 - $_) : (), 'exit 0: 1' } 0 .. 4);
    my $id = id_in_sql($organization->{id});
    my $late = ask_value("SELECT COUNT(*) FROM events a JOIN events s ON s.organization_id = a.organization_id AND s.seq < a.seq "
        . "AND s.action = 'license.update' WHERE a.organization_id = $id AND a.action = 'member.add'");
    push @wrong, "$late members came after the license was suspended" if $late;
    return (@wrong, sound($organization));
}

sub added_while_deleted {
    my ($round, $gate) = @_;
    my $organization = enroll(organization($ada), admin => $bob);
    my @answers = fire($organization, $gate, [
        (map { shot($organization, POST => $bob, '/members', {email => $people[$_]{email}}) } 0 .. 4),
        shot($organization, DELETE => $ada, '')]);
    my @wrong = ends_with(\@answers, map { join ', ', '200: 1', $_ ? "201: $_" : (), $_ < 5 ? '404 organization_not_found: ' . (5 - $_) : () } 0 .. 5);
    my $id = id_in_sql($organization->{id});
    push @wrong, 'the organization is still there' if ask_value("SELECT COUNT(*) FROM organizations WHERE id = $id");
    my ($last) = ask("SELECT action, seq FROM events WHERE organization_id = $id ORDER BY seq DESC LIMIT 1");
    push @wrong, "the last event is $last->[0]" if $last->[0] ne 'organization.delete';
    my $added = grep { $_->{status} == 201 } @answers;
    push @wrong, "$added added, the last event is $last->[1]" if $last->[1] != $added + 2;
    return (@wrong, sound($organization));
}

sub added_while_deactivated {
    my ($round, $gate) = @_;
    my $cyd = fresh();
    my $organization = enroll(organization($ada), admin => $bob);
    my $gone;
    my @answers = fire($organization, $gate,
        [shot($organization, POST => $ada, '/members', {email => $cyd->{email}, role => $round % 2 ? 'admin' : 'member'}),
         $gate eq 'late' ? () : shot($organization, DELETE => $bob, '/members/me')],
        also => [['user', 'deactivate', $cyd->{email}]], waiting => 2, first => 'requests', before => sub {
            $gone = ask_value('SELECT NOT active FROM users WHERE id = ' . id_in_sql($cyd->{id}));
        });
    my $made = $answers[0]{status};
    my @wrong = ends_with(\@answers, map { $gate eq 'late' ? $_ : "200: 1, $_" } '201: 1, exit 0: 1', '404 user_not_found: 1, exit 0: 1');
    my ($id, $who) = map { id_in_sql($_->{id}) } $organization, $cyd;
    push @wrong, 'a user who was deactivated before was added' if $gone && $made == 201;
    if ($made == 201) {
        my $late = ask_value("SELECT COUNT(*) FROM events a JOIN events d ON d.target_id = a.target_id AND d.action = 'user.deactivate' "
            . "WHERE a.organization_id = $id AND a.action = 'member.add' AND a.target_id = $who AND a.at > "
            . "(SELECT MAX(at) FROM events WHERE action = 'user.deactivate' AND target_id = $who)");
        push @wrong, 'a deactivated user was added' if $late;
    }
    return (@wrong, sound($organization));
}

# 64 at once are all that the server of the tests has threads for
# (event, worker and prefork say so by a number of their own)
expect_log($_, undef) for qw(AH00484 AH00286 AH00161);

races(
    # what                                                   rounds, of a long run, each with every gate
    ['two admins, alone, go at once',                        5,   300,  \&two_admins],
    ['64 adders for 5 seats',                                1,   30,   \&seats],
    ['one user is added by 16',                              2,   100,  \&one_user],
    ['removal and deactivation against writes of the removed', 5, 200,  \&removed],
    ['an admin is deactivated while the last other one goes', 4,  200,  \&deactivated],
    ['members are added while the license is suspended',     3,   100,  \&added_while_suspended],
    ['members are added while the organization is deleted',  3,   100,  \&added_while_deleted],
    ['a member is added while it is deactivated',            2,   100,  \&added_while_deactivated],
);

done_testing;
