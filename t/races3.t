# Contract 3 and 7: rules 4 and 9, and If-Match on a license, under races. See volley of Orgs::Story for the gates.
use Orgs::Test;
use Orgs::Story;

my ($ada, $bob) = crowd('admin', 2);
my @tenants = crowd('tenant', 32);
my $used = 0;

sub shot {
    my ($organization, $method, $who, $path, $json, %headers) = @_;
    return {method => $method, token => $who, path => ($organization ? $organization->{id} : '') . $path,
        defined $json ? (json => $json) : (), headers => \%headers};
}

sub assign {
    my ($organization, $license, $who) = @_;
    my $answer = api(PUT => "$organization->{id}/license", token => $who // $ada, json => {license_id => $license->{id}});
    die "not assigned: $answer->{body}" if $answer->{status} != 200;
    return $answer;
}

# Who holds a license, by the database: '' for nobody.
sub holder {
    my ($license) = @_;
    return ask_value('SELECT uuid_text_v1(organization_id) FROM licenses WHERE id = ' . id_in_sql($license->{id})) // '';
}

sub shown {
    my ($organization, $who) = @_;
    my $view = api(GET => "$organization->{id}/license", token => $who // $ada)->{json};
    return $view->{license} ? $view->{license}{id} : '';
}

my @organizations;

sub one_license {
    my ($round, $gate) = @_;
    @organizations = map { organization($_) } @tenants if !@organizations;
    my $license = license();
    my @answers = volley([map { shot($organizations[$_], PUT => $tenants[$_], '/license', {license_id => $license->{id}}) } 0 .. 31],
        gate => $gate, at => \@organizations);
    my @wrong = ends_with(\@answers, '200: 1, 409 license_in_use: 31');
    my ($winner) = grep { $answers[$_]{status} == 200 } 0 .. 31;
    push @wrong, 'the holder is not who was told so' if holder($license) ne $organizations[$winner // 0]{id};
    my @holders = grep { shown($organizations[$_], $tenants[$_]) eq $license->{id} } 0 .. 31;
    push @wrong, scalar(@holders) . ' organizations show it' if @holders != 1;
    return (@wrong, sound(@organizations));
}

# Two organizations and their licenses, changed for each other's at once. Each is [what, before, requests, the statuses
# that may come of it].
sub swap {
    my ($round, $gate) = @_;
    my @two = (organization($ada), organization($ada));
    my @have = map { license(plan => $_) } qw(one two);
    my @more = map { license(plan => $_) } qw(three four);
    my $put = sub { shot($two[$_[0]], PUT => $ada, '/license', {license_id => $_[1]{id}}) };
    my $drop = sub { shot($two[$_[0]], DELETE => $ada, '/license') };
    my @kinds = (
        ['directly', sub {}, sub { $put->(0, $have[1]), $put->(1, $have[0]) }, '409 license_in_use: 2'],
        ['after giving them up', sub { api(DELETE => "$_->{id}/license", token => $ada) for @two },
            sub { $put->(0, $have[1]), $put->(1, $have[0]) }, '200: 2'],
        ['one gives it up', sub {}, sub { $drop->(0), $put->(1, $have[0]) }, '200: 2', '200: 1, 409 license_in_use: 1'],
        ['one takes a third', sub {}, sub { $put->(0, $more[0]), $put->(1, $have[0]) }, '200: 2', '200: 1, 409 license_in_use: 1'],
        ['both give up and take', sub {}, sub { $drop->(0), $drop->(1), $put->(0, $have[1]), $put->(1, $have[0]) },
            '200: 4', '200: 3, 409 license_in_use: 1', '200: 2, 409 license_in_use: 2'],
        ['again and again', sub { assign($two[0], $more[0]); assign($two[1], $more[1]) },
            sub { map { $put->($_ % 2, ($have[0], $have[1], $more[0], $more[1])[($_ + $_ / 4) % 4]) } 0 .. 6 }],
        ['given up while it is renamed', sub {}, sub { $drop->(0), $drop->(0),
            shot($two[0], PUT => $ada, '', {name => 'Renamed'}), shot($two[0], POST => $ada, '/members', {email => $bob->{email}}) },
            '200: 3, 201: 1'],
        ['one is deleted', sub {}, sub { shot($two[0], DELETE => $ada, ''), $put->(1, $have[0]) },
            '200: 2', '200: 1, 409 license_in_use: 1'],
    );
    my ($what, $before, $requests, @good) = @{$kinds[$round % @kinds]};
    assign($two[$_], $have[$_]) for 0, 1;
    $before->();
    my @answers = volley([$requests->()], gate => $gate, at => \@two);
    my @wrong = ends_with(\@answers, @good ? @good : statuses(@answers));
    push @wrong, map { "answered $_->{status} $_->{body}" } grep { $_->{status} !~ /^(?:200|201|409)$/ } @answers;
    # what the database has is what is shown, and who held a license before may have it again
    for my $license (@have, @more) {
        my $holder = holder($license);
        for my $organization (@two) {
            push @wrong, 'the holder and the view differ'
                if (shown($organization) eq $license->{id}) != ($holder eq $organization->{id});
        }
        my ($reserved) = ask('SELECT COUNT(*) FROM licenses WHERE id = ' . id_in_sql($license->{id})
            . ' AND organization_id IS NOT NULL AND reserved_for IS NOT NULL');
        push @wrong, 'a license is held and reserved' if $reserved->[0];
    }
    return map { "$what: $_" } @wrong, sound(@two);
}

# A license that is given up and taken while an operator has a hand in it.
sub operated {
    my ($round, $gate) = @_;
    my @two = (organization($ada), organization($bob));
    my $license = license(seats => 5);
    assign($two[0], $license);
    my @kinds = (
        ['suspended', [shot($two[1], PUT => $bob, '/license', {license_id => $license->{id}}), shot($two[0], DELETE => $ada, '/license')],
            [['license', 'suspend', $license->{id}]],
            '200: 1, 409 license_in_use: 1, exit 0: 1', '200: 1, 409 license_reserved: 1, exit 0: 1'],
        ['released', [shot($two[1], PUT => $bob, '/license', {license_id => $license->{id}}), shot($two[0], DELETE => $ada, '/license')],
            [['license', 'release', $license->{id}, "--to=$two[1]{id}"]],
            map { my $tool = $_; map { "$_, exit $tool: 1" } '200: 2', '200: 1, 409 license_in_use: 1', '200: 1, 409 license_reserved: 1' } 0, 1],
        ['released while it is taken up', [shot($two[0], PUT => $ada, '/license', {license_id => $license->{id}})],
            [['license', 'release', $license->{id}, "--to=$two[1]{id}"]],
            '200: 1, exit 1: 1', '409 license_reserved: 1, exit 0: 1'],
        ['too small for who joins', [map { shot($two[0], POST => $ada, '/members', {email => $tenants[$_]{email}}) } 0 .. 4],
            [['license', 'set', $license->{id}, '--seats=3']],
            (map { "201: $_, 409 seat_limit_reached: " . (5 - $_) . ', exit 0: 1' } 2 .. 4)],
    );
    my ($what, $requests, $tools, @good) = @{$kinds[$round % @kinds]};
    api(DELETE => "$two[0]{id}/license", token => $ada) if $what =~ /taken up/;
    my @answers = volley($requests, also => $tools, gate => $gate, at => \@two);
    my @wrong = ends_with(\@answers, @good);
    push @wrong, 'the license is held and reserved' if ask_value('SELECT COUNT(*) FROM licenses WHERE id = '
        . id_in_sql($license->{id}) . ' AND organization_id IS NOT NULL AND reserved_for IS NOT NULL');
    return map { "$what: $_" } @wrong, sound(@two);
}

# Of writers with one tag one wins.
sub tagged {
    my ($round, $gate) = @_;
    my $organization = organization($ada);
    my $tag = api(GET => "$organization->{id}/license", token => $ada)->{headers}{etag};
    my @licenses = map { license() } 1 .. 6;
    my @answers = volley([map { shot($organization, PUT => $ada, '/license', {license_id => $_->{id}}, 'If-Match' => $tag) } @licenses],
        gate => $gate, at => [$organization]);
    my @wrong = ends_with(\@answers, '200: 1, 412 precondition_failed: 5');
    my ($winner) = grep { $answers[$_]{status} == 200 } 0 .. 5;
    push @wrong, 'the holder is not who was told so' if holder($licenses[$winner // 0]) ne $organization->{id};
    return (@wrong, sound($organization));
}

# Repeats of one key: one creation, and all are told the same.
sub repeated {
    my ($round, $gate) = @_;
    my $key = "key-$round-" . $used++;
    my $organization = organization($ada);
    my %headers = ('Idempotency-Key' => $key);
    my $what = ('of a member', 'of an organization', 'with two organizations')[$round % 3];
    my $other = organization($ada);
    my @requests = map {
          $round % 3 == 0 ? shot($organization, POST => $ada, '/members', {email => $bob->{email}}, %headers)
        : $round % 3 == 1 ? shot(undef, POST => $ada, '', {name => "Of $key"}, %headers)
        :                   shot($_ % 2 ? $organization : $other, POST => $ada, '/members', {email => $bob->{email}}, %headers)
    } 1 .. 16;
    my @answers = volley(\@requests, gate => $round % 3 == 1 ? '' : $gate, at => [$organization, $other]);
    my @wrong = ends_with(\@answers, $round % 3 == 2 ? '201: 8, 422 idempotency_key_reused: 8' : '201: 16');
    my @made = grep { $_->{status} == 201 } @answers;
    my @first = grep { !exists $_->{headers}{'idempotent-replayed'} } @made;
    push @wrong, scalar(@first) . ' are no replay' if @first != 1;
    push @wrong, 'a strange Idempotent-Replayed' if grep { ($_->{headers}{'idempotent-replayed'} // 'true') ne 'true' } @made;
    for my $answer (@made) {
        push @wrong, "another body: $answer->{body}" if $answer->{body} ne $made[0]{body};
        push @wrong, "another Location: $answer->{headers}{location}" if $answer->{headers}{location} ne $made[0]{headers}{location};
    }
    my $events = ask_value('SELECT COUNT(*) FROM events WHERE actor_id = ' . id_in_sql($ada->{id})
        . " AND ikey = UNHEX(SHA2('$key', 256))");
    push @wrong, "$events events have the key" if $events != 1;
    if ($round % 3 == 1) {
        my $count = ask_value("SELECT COUNT(*) FROM organizations WHERE name = 'Of $key'");
        push @wrong, "$count organizations" if $count != 1;
    }
    else {
        my $count = ask_value('SELECT COUNT(*) FROM memberships WHERE user_id = ' . id_in_sql($bob->{id}) . ' AND organization_id IN ('
            . join(',', map { id_in_sql($_->{id}) } $organization, $other) . ')');
        push @wrong, "$count memberships" if $count != 1;
    }
    return map { "$what: $_" } @wrong, sound($organization, $other);
}

races(
    # what                                               rounds, of a long run, each with every gate
    ['32 organizations for one license',                 2,   70,   \&one_license],
    ['two organizations swap licenses',                  8,   400,  \&swap],
    ['a license moves while the operator changes it',    4,   200,  \&operated],
    ['writers with one tag of a license',                2,   130,  \&tagged],
    ['16 repeats of one Idempotency-Key',                3,   200,  \&repeated],
);

done_testing;
