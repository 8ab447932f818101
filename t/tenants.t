# Contract 3, rules 4, 6 and 7: three tenants, and a license with its deployments. What A had never reaches C, whatever
# B, C and a former admin of A try; it goes where its holder or the operator lets it go.
use Orgs::Test;
use Orgs::Story;

my %cast = map { $_ => user($_) } qw(alice abe ann bert carl zoe);
$cast{sam} = superuser('sam');

# What nobody but A may see of it. Its id is what Bert and Carl have learned; these words they must not learn.
my @secrets = ('secret-deployment', 'https://a.example/', 'secret-plan');

# A new story: Alice, and Abe and Zoe with her, have A and its license with three deployments; Ann is a plain member.
# Bert has B, Carl has C, Abe has an organization of his own. Abe is no longer an admin of A, or not in it at all.
sub story {
    my ($abe) = @_;
    $cast{a} = organization($cast{alice}, name => 'A');
    $cast{b} = organization($cast{bert}, name => 'B');
    $cast{c} = organization($cast{carl}, name => 'C');
    $cast{own} = organization($cast{abe}, name => "Abe's");
    $cast{a2} = organization($cast{alice}, name => 'A 2');
    $cast{z} = organization($cast{zoe}, name => "Zoe's");
    $cast{anns} = organization($cast{ann}, name => "Ann's");
    enroll($cast{a}, admin => @cast{qw(abe zoe)});
    enroll($cast{a}, member => $cast{ann});
    $cast{license} = license(plan => 'secret-plan', seats => 50);
    $cast{other} = license(plan => 'other');
    $cast{"deployment$_"} = deployment($cast{license}, "secret-deployment $_", "--url=https://a.example/$_") for 1 .. 3;
    steps(\%cast,
        [abe => 'PUT {a}/license',        {license_id => '{license}'}, 200],
        [abe => 'GET {a}/deployments',    undef,                       200, undef, {check => sub { is(scalar @{$_[0]{json}}, 3, "$_[1]: three") }}],
        $abe eq 'lowered' ? [alice => 'PUT {a}/members/{abe}', {role => 'member'}, 200]
            : $abe eq 'removed' ? [alice => 'DELETE {a}/members/{abe}', undef, 200] : (),
    );
    return;
}

# Everything that a user may read, and try, with what he is admin or member of: the bodies of all answers.
sub all_of {
    my ($who, @organizations) = @_;
    my @bodies;
    my $ask = sub {
        my $answer = api($_[0] => $_[1], token => $cast{$who}, @_[2 .. $#_]);
        push @bodies, "$_[0] $_[1]: $answer->{body}";
        return $answer;
    };
    $ask->(GET => '');
    for my $organization (@organizations, @cast{qw(a)}) {
        for my $path ('', '/members', '/license', '/deployments', '/deployments?limit=1', '/events', '/events?order=desc') {
            $ask->(GET => "$organization->{id}$path");
        }
    }
    return @bodies;
}

# Neither what they read nor what they are told when they try shows anything.
sub nothing_leaks {
    my ($when, %tries) = @_;
    for my $who (sort keys %tries) {
        my ($name, $code) = @{$tries{$who}};
        my $organization = $cast{$name};
        for my $id ($cast{license}{id}, uc $cast{license}{id}) {
            my $answer = api(PUT => "$organization->{id}/license", token => $cast{$who}, json => {license_id => $id});
            problem($answer, $code eq 'organization_not_found' ? 404 : 409, $code, "$when: $who cannot have it for $name");
            unlike($answer->{body}, qr/secret|\Q$cast{a}{id}\E/, "$when: $who is told nothing more");
        }
        my @bodies = all_of($who, $organization);
        for my $secret (@secrets, map { $cast{"deployment$_"}{id} } 1 .. 3) {
            my @seen = grep { /\Q$secret\E/ } @bodies;
            ok(!@seen, "$when: $who does not see $secret") or diag(@seen);
        }
        my $deployments = api(GET => "$organization->{id}/deployments", token => $cast{$who});
        is($deployments->{body}, '[]', "$when: $who has no deployments");
        my $view = api(GET => "$organization->{id}/license", token => $cast{$who});
        is($view->{json}{license}, undef, "$when: $who has no license") or diag($view->{body});
    }
    return;
}

sub sees_all {
    my ($when, $who, $name) = @_;
    my $r = api(GET => "$cast{$name}{id}/deployments", token => $cast{$who});
    answers($r, 200, "$when: $who asks for the deployments of $name");
    is_deeply([map { $_->{id} } @{$r->{json}}], [map { $cast{"deployment$_"}{id} } 1 .. 3], "$when: $who sees them") or diag($r->{body});
    return;
}

sub release {
    my (@options) = @_;
    return orgsctl({fails => 1}, 'license', 'release', $cast{license}{id}, @options);
}

my %strangers = (bert => ['b', 'license_in_use'], carl => ['c', 'license_in_use'], abe => ['own', 'license_in_use']);
my %later = map { $_ => [$strangers{$_}[0], 'license_reserved'] } keys %strangers;

# --- while A holds it, in every state ------------------------------------------------------------------------------------

story('removed');
nothing_leaks('while A holds it', %strangers);
for my $words (['suspend'], ['resume'], ['set', '--expires-at=2020-01-01T00:00:00Z'], ['set', '--expires-at=none']) {
    orgsctl('license', $words->[0], $cast{license}{id}, @$words[1 .. $#$words]);
    nothing_leaks("A holds it, after $words->[0] @$words[1 .. $#$words]", carl => $strangers{carl});
}

# --- after A gave it up, each way ------------------------------------------------------------------------------------------

# [what, Abe before, the requests by which A loses it, who of A may still have it and for what]
my @ways = (
    ['given up',             'removed', [[alice => 'DELETE {a}/license', undef, 200]],                     [alice => 'a']],
    ['given up, Abe lowered', 'lowered', [[alice => 'DELETE {a}/license', undef, 200]],                    [zoe => 'a']],
    ['replaced',             'removed', [[alice => 'PUT {a}/license', {license_id => '{other}'}, 200]],    [alice => 'a']],
    ['replaced, and the other given up', 'removed', [[alice => 'PUT {a}/license', {license_id => '{other}'}, 200],
        [alice => 'DELETE {a}/license', undef, 200]],                                                      [zoe => 'z']],
    ['given up, A inactive', 'removed', [[alice => 'DELETE {a}/license', undef, 200],
        [alice => 'PUT {a}', {active => JSON::PP::false}, 200]],                                           [alice => 'a2']],
    ['A deleted',            'removed', [[alice => 'DELETE {a}', undef, 200]],                             [alice => 'a2']],
    ['A deleted, Abe an admin until then', 'admin', [[alice => 'DELETE {a}', undef, 200]],                 [alice => 'a2']],
    ['given up, then A deleted', 'removed', [[alice => 'DELETE {a}/license', undef, 200],
        [alice => 'DELETE {a}', undef, 200]],                                                              [alice => 'a2']],
    ['given up by Abe, then removed', 'admin', [[abe => 'DELETE {a}/license', undef, 200],
        [alice => 'DELETE {a}/members/{abe}', undef, 200]],                                                [zoe => 'z']],
    ['A left by Abe himself', 'admin', [[alice => 'DELETE {a}/license', undef, 200],
        [abe => 'DELETE {a}/members/me', undef, 200]],                                                     [alice => 'a']],
);
for my $way (@ways) {
    my ($what, $abe, $rows, $heir) = @$way;
    story($abe);
    nothing_leaks("$what, before", map { $_ => $strangers{$_} } qw(bert carl)) if $way == $ways[0];
    steps(\%cast, @$rows);
    nothing_leaks($what, %later, ann => ['anns', 'license_reserved']) if $abe ne 'lowered';
    if ($abe eq 'lowered') {
        # a plain member of A sees what A sees, and nothing more
        problem(api(PUT => "$cast{own}{id}/license", token => $cast{abe}, json => {license_id => $cast{license}{id}}), 409,
            'license_reserved', "$what: Abe cannot have it");
        is(api(GET => "$cast{own}{id}/deployments", token => $cast{abe})->{body}, '[]', "$what: and sees none");
        is(api(GET => "$cast{a}{id}/deployments", token => $cast{abe})->{body}, '[]', "$what: in A neither");
    }
    my ($who, $name) = @$heir;
    if ($what =~ /deleted/) {
        problem(api(PUT => "$cast{z}{id}/license", token => $cast{zoe}, json => {license_id => $cast{license}{id}}), 409,
            'license_reserved', "$what: an admin who did not delete it cannot have it");
    }
    steps(\%cast, [$who => "PUT {$name}/license", {license_id => '{license}'}, 200, {license => {id => '{license}'}},
        {what => "$what: who may"}]);
    sees_all($what, $who, $name);
    nothing_leaks("$what, and taken up again", map { $_ => $strangers{$_} } qw(bert carl));
    my @wrong = sound(@cast{qw(a b c own a2 z anns)});
    ok(!@wrong, "$what: counts, events and admins are right") or diag(join "\n", @wrong);
}

# --- the holder moves it -----------------------------------------------------------------------------------------------------

story('removed');
enroll($cast{c}, admin => $cast{zoe});    # who is a present admin of both
steps(\%cast,
    [zoe => 'PUT {c}/license',       {license_id => '{license}'}, 409, 'license_in_use', {what => 'while A holds it'}],
    [alice => 'DELETE {a}/license',  undef,                       200],
    [carl => 'PUT {c}/license',      {license_id => '{license}'}, 409, 'license_reserved', {what => 'the other admin of C'}],
    [zoe => 'PUT {b}/license',       {license_id => '{license}'}, 404, 'organization_not_found', {what => 'to one that is not hers'}],
    [zoe => 'PUT {c}/license',       {license_id => '{license}'}, 200, undef, {what => 'the present admin of both'}],
);
sees_all('moved by a present admin', 'carl', 'c');
nothing_leaks('moved to C', bert => $strangers{bert}, abe => $strangers{abe}, alice => ['a', 'license_in_use']);
steps(\%cast,
    [carl => 'DELETE {c}/license',   undef,                       200],
    [alice => 'PUT {a}/license',     {license_id => '{license}'}, 409, 'license_reserved', {what => 'now it was C that had it'}],
    [bert => 'PUT {b}/license',      {license_id => '{license}'}, 409, 'license_reserved'],
    [alice => 'PUT {a2}/license',    {license_id => '{license}'}, 409, 'license_reserved'],
    [zoe => 'PUT {a}/license',       {license_id => '{license}'}, 200, undef, {what => 'and back'}],
);
nothing_leaks('back in A', carl => ['c', 'license_in_use'], bert => $strangers{bert});

# An admin of C who joins A as a plain member, and one who is admin there but not of C.
story('removed');
steps(\%cast,
    [alice => 'DELETE {a}/license',  undef,                       200],
    [alice => 'POST {a}/members',    {email => '{carl@}'},        201],
    [carl => 'PUT {c}/license',      {license_id => '{license}'}, 409, 'license_reserved', {what => 'a plain member of A'}],
    [alice => 'PUT {a}/members/{carl}', {role => 'admin'},        200],
    [alice => 'PUT {a}/members/{carl}', {role => 'member'},       200],
    [carl => 'PUT {c}/license',      {license_id => '{license}'}, 409, 'license_reserved', {what => 'who was an admin for a moment'}],
    [alice => 'DELETE {a}/members/{carl}', undef,                 200],
    [carl => 'PUT {c}/license',      {license_id => '{license}'}, 409, 'license_reserved'],
);
nothing_leaks('Carl was a guest', %later);

# --- who deleted A ---------------------------------------------------------------------------------------------------------

story('removed');
steps(\%cast,
    [zoe => 'DELETE {a}',            undef,                       200],
    [alice => 'PUT {a2}/license',    {license_id => '{license}'}, 409, 'license_reserved', {what => 'who made A and did not delete it'}],
);
nothing_leaks('Zoe deleted A', %later, ann => ['anns', 'license_reserved'], alice => ['a2', 'license_reserved']);
orgsctl('user', 'deactivate', $cast{zoe}{email}, '--force');
nothing_leaks('Zoe deleted A and is deactivated', %later);
orgsctl('user', 'activate', $cast{zoe}{email});
enroll($cast{c}, member => $cast{zoe});
steps(\%cast,
    [zoe => 'PUT {c}/license',       {license_id => '{license}'}, 403, 'admin_required', {what => 'where she is a plain member'}],
    [zoe => 'PUT {z}/license',       {license_id => '{license}'}, 200, undef, {what => 'the deleter'}],
    [zoe => 'DELETE {z}/license',    undef,                       200],
    [zoe => 'PUT {z}/license',       {license_id => '{license}'}, 200, undef, {what => 'it is that one\'s now'}],
);
sees_all('moved by the deleter', 'zoe', 'z');

# --- the operator's release --------------------------------------------------------------------------------------------------

story('removed');
{
    my $r = release("--to=$cast{b}{id}");
    is($r->[0], 1, 'what A holds is not released');
    like($r->[2], qr/\Aorgsctl: [^\n]*assigned[^\n]*\n\z/, 'in one line');
}
steps(\%cast, [alice => 'DELETE {a}/license', undef, 200]);
{
    my $r = release("--to=$cast{b}{id}");
    is($r->[0], 1, 'not with deployments on it');
    like($r->[2], qr/\Aorgsctl: [^\n]*[Dd]eployments[^\n]* 3\n\z/, 'in one line, with their number');
    is($r->[1], '', 'and nothing else');
}
nothing_leaks('a release that was refused', %later);
is(release("--to=$cast{a}{id}")->[0], 0, 'for the organization it is reserved for anyway it may be');
nothing_leaks('a release to A itself', %later);
is(release("--to=" . uuid())->[0], 1, 'not for one that is not there');
is(release()->[0], 2, 'not for nobody');
is(release("--to=$cast{b}{id}", '--force')->[0], 2, 'not for both');
nothing_leaks('releases that were refused', %later);
is(release("--to=$cast{b}{id}", '--with-deployments')->[0], 0, 'to B, with the deployments');
nothing_leaks('released to B', carl => $later{carl}, abe => $later{abe}, alice => ['a2', 'license_reserved'], zoe => ['z', 'license_reserved']);
steps(\%cast, [bert => 'PUT {b}/license', {license_id => '{license}'}, 200, undef, {what => 'released to it'}]);
sees_all('released to B', 'bert', 'b');
nothing_leaks('B has it', carl => $strangers{carl}, abe => $strangers{abe}, alice => ['a', 'license_in_use']);
steps(\%cast, [bert => 'DELETE {b}', undef, 200]);
nothing_leaks('B deleted', carl => $later{carl}, abe => $later{abe}, alice => ['a', 'license_reserved']);

story('removed');
steps(\%cast, [alice => 'DELETE {a}', undef, 200]);
is(release("--to=$cast{c}{id}")->[0], 1, 'of a deleted organization: not with deployments on it');
orgsctl('deployment', 'remove', $cast{"deployment$_"}{id}) for 1 .. 3;
is(release("--to=$cast{c}{id}")->[0], 0, 'without deployments it is released');
steps(\%cast,
    [alice => 'PUT {a2}/license',    {license_id => '{license}'}, 409, 'license_reserved', {what => 'the deleter no longer'}],
    [bert => 'PUT {b}/license',      {license_id => '{license}'}, 409, 'license_reserved'],
    [carl => 'PUT {c}/license',      {license_id => '{license}'}, 200],
    [carl => 'GET {c}/deployments',  undef,                       200, undef, {check => sub { is($_[0]{body}, '[]', "$_[1]: none") }}],
);

story('removed');
steps(\%cast, [alice => 'DELETE {a}/license', undef, 200]);
is(release('--force')->[0], 0, 'for whoever knows the id');
steps(\%cast,
    [carl => 'PUT {c}/license',      {license_id => '{license}'}, 200, undef, {what => 'released for anybody'}],
    [bert => 'PUT {b}/license',      {license_id => '{license}'}, 409, 'license_in_use', {what => 'but to one'}],
);
sees_all('released for anybody', 'carl', 'c');

# A superuser, who is the operator's staff.
story('removed');
steps(\%cast,
    [alice => 'DELETE {a}/license',  undef,                       200],
    [sam => 'PUT {b}/license',       {license_id => '{license}'}, 200, undef, {what => 'a superuser moves it'}],
);
sees_all('moved by a superuser', 'bert', 'b');
my @wrong = sound(@cast{qw(a b c own a2 z anns)});
ok(!@wrong, 'counts, events and admins are right') or diag(join "\n", @wrong);

done_testing;
