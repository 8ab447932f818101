# Contract 8: orgsctl, as an operator uses it.
use Orgs::Test;
use Orgs::Story;
use POSIX ();

my $json = JSON::PP->new->utf8->allow_nonref;
my $UUID = qr/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
my $TIME = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my %cast = map { $_ => user($_) } qw(ada bob cyd);
$cast{none} = {id => uuid()};
END { orgsctl('plan', 'free', '--name=free', '--seats=unlimited') if $cast{ada} }

# Runs it: [status, stdout, stderr]. Words with {name} as in Orgs::Story; the last may be a text for standard input.
sub tool {
    my ($words, $in) = @_;
    return orgsctl({fails => 1, defined $in ? (in => $in) : ()}, map { in_place(\%cast, $_) } ref $words ? @$words : split / /, $words);
}

# done(words, pattern of what it prints, what): status 0 and nothing on standard error.
sub done {
    my ($words, $pattern, $what, $in) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $shown = ref $words ? join ' ', @$words : $words;
    $what = $what ? "$shown: $what" : $shown;
    my $r = tool($words, $in);
    my $good = ok($r->[0] == 0 && $r->[2] eq '' && $r->[1] =~ /\A$pattern\z/, $what);
    diag("status $r->[0]\nstdout: $r->[1]\nstderr: $r->[2]") if !$good;
    return $r->[1] =~ s/\n\z//r;
}

# fails(words, status, pattern of its one line, what)
sub fails {
    my ($words, $status, $pattern, $what, $in) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $shown = ref $words ? join ' ', @$words : $words;
    $what = ($what ? "$shown: $what" : $shown) . ($status == 1 ? ' is refused' : ' is wrong usage');
    my $r = tool($words, $in);
    my $good = ok($r->[0] == $status && $r->[1] eq '' && $r->[2] =~ /\Aorgsctl: [^\n]*$pattern[^\n]*\n\z/i, $what);
    diag("status $r->[0]\nstdout: $r->[1]\nstderr: $r->[2]") if !$good;
    return;
}

sub json_of {
    my ($words, $in) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $text = done($words, qr/.*\n/s, undef, $in);
    my $data = eval { $json->decode($text) };
    ok(defined $data, (ref $words ? "@$words" : $words) . ': prints JSON') or diag($text);
    unlike($text, qr/[^\x00-\x7f]/, (ref $words ? "@$words" : $words) . ': in ASCII');
    return $data;
}

# A table of columns: its head as given, and under it rows as long as they say; the rows, split at the columns.
sub table {
    my ($words, @head) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @lines = split /\n/, done($words, qr/.*\n/s);
    utf8::decode($_) for @lines;
    my $head = shift @lines // '';
    is(join(' ', split ' ', $head), join(' ', @head), "$words: the head");
    my @at = map { index $head, $_ } @head;
    my @rows;
    my $straight = 1;
    for my $line (@lines) {
        my @cells = map { substr $line, $at[$_], ($at[$_ + 1] // 10_000) - $at[$_] } 0 .. $#at;
        $straight = 0 if grep { $_ && substr($line, $at[$_] - 2, 2) ne '  ' } 1 .. $#at;
        push @rows, {map { $head[$_] => $cells[$_] =~ s/\s+\z//r } 0 .. $#at};
    }
    ok($straight, "$words: the columns stand under each other") or diag(join "\n", $head, @lines);
    is((grep { /\s\z/ } $head, @lines) ? 1 : 0, 0, "$words: nothing at the ends of lines");
    return @rows;
}

# --- help and usage ----------------------------------------------------------------------------------------------------

my %commands = (
    schema => [''], plan => ['free'], user => [qw(add set list deactivate activate superuser)], token => [qw(issue list revoke)],
    license => [qw(add set list show suspend resume revoke release)], deployment => [qw(add set remove list)],
    org => [qw(list show add-admin)], event => [qw(list prune)],
);
{
    my $help = done('--help', qr/Usage: orgsctl .*/s);
    for my $noun (sort keys %commands) {
        for my $verb (@{$commands{$noun}}) {
            my $command = $verb ? "$noun $verb" : $noun;
            like($help, qr/^  \Q$command\E  +[A-Z].*\.$/m, "--help names $command");
            my $one = done("$command --help", qr/Usage: orgsctl \Q$command\E.*/s);
            is(done("--defaults-file=/nowhere $command --help", qr/.*/s), $one, "$command --help needs no database");
            my @options = $one =~ /^\s+--([a-z-]+)/mg;
            is((grep { length > 110 } split /\n/, $one) ? 1 : 0, 0, "$command --help: lines are not too long");
        }
    }
    is(done('-h', qr/Usage: orgsctl .*/s), $help, '-h is the same');
    done('--version', qr/orgsctl of mod_orgs, schema \d+, (?:MariaDB Connector\/C|libmysqlclient) \d+\.\d+.*/s);
    for my $option (qw(--defaults-file --json --version)) {
        like($help, qr/\Q$option\E/, "--help names $option");
    }
    like($help, qr/Exit status: 0 .*1 .*2 /, '--help tells the exit statuses');
}
# [words, pattern]
for my $case (
    [[],                                          'command is missing'],
    ['none',                                      'no command none'],
    ['user none',                                 'no command user none'],
    ['user',                                      'no command user'],
    ['--none user list',                          'no option --none'],
    ['user list --none',                          'no option --none'],
    ['user list more',                            'usage'],
    ['user add',                                  'email is missing'],
    ['user add a@b c@d',                          'usage'],
    ['user add a@b --name',                       '--name wants a value'],
    ['user add a@b --name=x --name=y',            '--name is given twice'],
    ['user add a@b --superuser=yes',              'takes no value'],
    ['user add --stdin a@b',                      '--stdin'],
    ['user add --stdin --name=x',                 '--stdin'],
    ['user set {ada@}',                           'nothing to set'],
    ['user set',                                  'usage'],
    ['user superuser {ada@}',                     'usage'],
    ['user superuser {ada@} yes',                 'on or off'],
    ['user deactivate',                           'usage'],
    ['token issue',                               'usage'],
    ['token issue {ada@} --expires-in=0',         '--expires-in wants a number'],
    ['token issue {ada@} --expires-in=-1',        '--expires-in wants a number'],
    ['token issue {ada@} --expires-in=1h',        '--expires-in wants a number'],
    ['token revoke',                              'usage'],
    ['license add',                               '--plan is missing'],
    ['license add --plan=x --seats=-1',           '--seats'],
    ['license add --plan=x --seats=many',         '--seats'],
    ['license add --plan=x --seats=99999999999',  '--seats'],
    ['license add --plan=x --starts-at=tomorrow', '--starts-at'],
    ['license add --plan=x --expires-at=2030-02-30T00:00:00Z', '--expires-at'],
    ['license add --plan=x --expires-at=2030-01-01', '--expires-at'],
    ['license add --plan=x --expires-at=2030-01-01T00:00:00+01:00', '--expires-at'],
    ['license set {none}',                        'nothing to set'],
    ['license release {none}',                    '--to'],
    ['license release {none} --to={none} --force', '--to'],
    ['deployment add {none}',                     'usage'],
    ['deployment set {none}',                     'nothing to set'],
    ['plan free --seats=x',                       '--seats'],
    ['plan free x',                               'usage'],
    ['event prune',                               '--before'],
    ['event prune --before=none',                 '--before'],
    ['event list',                                'usage'],
    ['org add-admin {none}',                      'usage'],
    ['schema --force',                            'no option --force'],
) {
    fails($case->[0], 2, $case->[1]);
}
# [words, pattern]
for my $case (
    ['--defaults-file=/nowhere/at/all.cnf user list', 'nowhere'],
    ['user set none@none.example --name=x',       'no such user'],
    ['user set {ada@} --email={bob@}',            'another user'],
    ['user add {ada@}',                           'another user'],
    ['user add no-email',                         'no email'],
    ['user deactivate none@none.example',         'no such user'],
    ['user activate none@none.example',           'no such user'],
    ['user superuser none@none.example on',       'no such user'],
    ['token issue none@none.example',             'no such user'],
    ['token list none@none.example',              'no such user'],
    ['token revoke --all none@none.example',      'no such user'],
    ['token revoke {none}',                       'no such token'],
    ['token revoke x',                            'token'],
    ['license add --plan=x --starts-at=2030-01-02T00:00:00Z --expires-at=2030-01-01T00:00:00Z', 'expire before it starts'],
    ['license add --plan=x --starts-at=2030-01-01T00:00:00Z --expires-at=2030-01-01T00:00:00Z', 'expire before it starts'],
    ['license show {none}',                       'no such license'],
    ['license show x',                            'no such license'],
    ['license set {none} --plan=x',               'no such license'],
    ['license suspend {none}',                    'no such license'],
    ['license resume x',                          'no such license'],
    ['license revoke {none}',                     'no such license'],
    ['license release {none} --force',            'no such license'],
    ['deployment add {none} web',                 'no such license'],
    ['deployment list {none}',                    'no such license'],
    ['deployment set {none} --name=x',            'no such deployment'],
    ['deployment remove {none}',                  'no such deployment'],
    ['deployment remove x',                       'no such deployment'],
    ['org show {none}',                           'no such organization'],
    ['org show x',                                'no such organization'],
    ['org add-admin {none} {ada@}',               'no such organization'],
    ['event list {none}',                         'no such organization'],
) {
    fails($case->[0], 1, $case->[1]);
}
{
    # a token that is given as a word is not shown
    my $r = tool("token revoke $cast{ada}{token}");
    is($r->[0], 1, 'a token as a word is refused');
    unlike($r->[1] . $r->[2], qr/\Q$cast{ada}{token}\E/, 'and not repeated');
    answers(api(GET => '', token => $cast{ada}), 200, 'and still good');
}

# --- users ---------------------------------------------------------------------------------------------------------------

my $id = done(['user', 'add', ' Dora@OrgsCtl.example ', '--name', 'Dóra Ü', '--external-id=CN=dora'], qr/$UUID\n/, 'the id alone');
$cast{dora} = {id => $id, email => 'dora@orgsctl.example'};
my $added = json_of('--json user add eli@orgsctl.example --superuser');
is_deeply([sort keys %$added], [qw(email id)], '--json: an object');
is($added->{email}, 'eli@orgsctl.example', '--json: which');
fails('user add x@orgsctl.example --external-id=CN=dora', 1, 'external id');
my ($dora) = grep { $_->{id} eq $id } @{json_of('user list --json')};
like(delete $dora->{created_at}, qr/\A$TIME\z/, 'user list --json: created_at');
is_deeply($dora, {id => $id, email => 'dora@orgsctl.example', name => 'Dóra Ü', external_id => 'CN=dora', active => JSON::PP::true, superuser => JSON::PP::false}, 'user list --json');
my ($row) = grep { $_->{ID} eq $id } table('user list', qw(ID EMAIL NAME EXTERNAL-ID ACTIVE SUPERUSER CREATED));
like(delete $row->{CREATED}, qr/\A$TIME\z/, 'user list: when');
is_deeply($row, {ID => $id, EMAIL => 'dora@orgsctl.example', NAME => 'Dóra Ü', 'EXTERNAL-ID' => 'CN=dora', ACTIVE => 'yes', SUPERUSER => 'no'}, 'user list');
($row) = grep { $_->{EMAIL} eq 'eli@orgsctl.example' } table('user list', qw(ID EMAIL NAME EXTERNAL-ID ACTIVE SUPERUSER CREATED));
is_deeply([@$row{qw(NAME EXTERNAL-ID SUPERUSER)}], ['-', '-', 'yes'], 'user list: what is not there is a dash');
done('user set {dora@} --name=Dora --email=D2@orgsctl.example', qr//, 'prints nothing');
done(['user', 'set', 'd2@orgsctl.example', '--external-id='], qr//, 'clears the external id');
done(['user', 'set', 'd2@orgsctl.example', '--name', ''], qr//, 'clears the name');
($dora) = grep { $_->{id} eq $id } @{json_of('user list --json')};
is_deeply([@$dora{qw(email name external_id)}], ['d2@orgsctl.example', undef, undef], 'it is set');
is(json_of('--json user set d2@orgsctl.example --name=D')->{id}, $id, '--json: which');
$cast{dora}{email} = 'd2@orgsctl.example';

my @ids = split /\n/, done('user add --stdin', qr/(?:$UUID\n){3}/, 'an id a line', "one\@orgsctl.example\n Two\@Orgsctl.example \nthree\@orgsctl.example");
is(ask_value("SELECT COUNT(*) FROM users WHERE email IN ('one\@orgsctl.example', 'two\@orgsctl.example', 'three\@orgsctl.example')"), 3, 'all three are there');
is(ask_value('SELECT email FROM users WHERE id = ' . id_in_sql($ids[1])), 'two@orgsctl.example', 'in their order');
my $list = json_of('--json user add --stdin', "four\@orgsctl.example\nfive\@orgsctl.example\n");
is_deeply([map { $_->{email} } @$list], ['four@orgsctl.example', 'five@orgsctl.example'], '--json: one array');
is_deeply(json_of('--json user add --stdin', ''), [], '--json: an empty one');
{
    my $r = tool('user add --stdin', "six\@orgsctl.example\nsix\@orgsctl.example\nseven\@orgsctl.example\n");
    is($r->[0], 1, 'a line that is refused ends it');
    like($r->[2], qr/\Aorgsctl: line 2: [^\n]+\n\z/, 'with its number');
    like($r->[1], qr/\A$UUID\n\z/, 'what was before it is added');
    is(ask_value("SELECT COUNT(*) FROM users WHERE email = 'seven\@orgsctl.example'"), 0, 'what comes after it is not');
    $r = tool('--json user add --stdin', "eight\@orgsctl.example\nno email\n");
    is($r->[0], 1, '--json: a line that is refused ends it');
    is(eval { scalar @{$json->decode($r->[1])} }, 1, '--json: an array all the same') or diag($r->[1]);
}
my @crowd = map { "crowd$_\@orgsctl.example" } 1 .. 250;
is(scalar(split /\n/, done('user add --stdin', qr/(?:$UUID\n){250}/, 'many', join('', map { "$_\n" } @crowd))), 250, 'many users');
is(scalar(grep { $_->{email} =~ /^crowd/ } @{json_of('user list --json')}), 250, 'are listed all');
is(scalar(grep { $_->{EMAIL} =~ /^crowd/ } table('user list', qw(ID EMAIL NAME EXTERNAL-ID ACTIVE SUPERUSER CREATED))), 250, 'as columns too');

# deactivating
$cast{acme} = organization($cast{ada}, name => 'Acme');
fails('user deactivate {ada@}', 1, "only active admin.*$cast{acme}{id}", 'the only admin');
answers(api(GET => $cast{acme}{id}, token => $cast{ada}), 200, 'nothing happened to her');
done('user deactivate {bob@}', qr//);
done('user deactivate {bob@}', qr//, 'again');
problem(api(GET => '', token => $cast{bob}), 401, 'unauthorized', 'he is out at once');
fails('token issue {bob@}', 1, 'deactivated');
fails('org add-admin {acme} {bob@}', 1, 'no such user');
done('user activate {bob@}', qr//);
answers(api(GET => '', token => $cast{bob}), 200, 'and in again, with his token');
done('org add-admin {acme} {bob@}', qr/$cast{bob}{id}\n/, 'the id of the user');
done('user deactivate {ada@}', qr//, 'there is another admin');
fails('user deactivate {bob@}', 1, 'only active admin', 'now he is the only one');
done('user deactivate {bob@} --force', qr//);
problem(api(GET => $cast{acme}{id}, token => $cast{bob}), 401, 'unauthorized', 'forced');
done("user activate $_->{email}", qr//) for @cast{qw(ada bob)};
# superusers
problem(api(GET => $cast{acme}{id}, token => $cast{cyd}), 404, 'organization_not_found', 'no superuser');
done('user superuser {cyd@} on', qr//);
answers(api(GET => $cast{acme}{id}, token => $cast{cyd}), 200, 'a superuser at once');
done('user superuser {cyd@} off', qr//);
problem(api(GET => $cast{acme}{id}, token => $cast{cyd}), 404, 'organization_not_found', 'and no longer');

# --- tokens ----------------------------------------------------------------------------------------------------------------

my $token = done(['token', 'issue', '{cyd@}', '--label=for the märket'], qr/orgs_[A-Za-z0-9_-]{49}\n/, 'the token alone');
answers(api(GET => '', token => $token), 200, 'it is good');
my $issued = json_of('--json token issue {cyd@} --expires-in=3600');
is_deeply([sort keys %$issued], [qw(expires_at id token)], '--json: an object');
like($issued->{expires_at}, qr/\A$TIME\z/, '--json: until when');
answers(api(GET => '', token => $issued->{token}), 200, 'it is good');
my @tokens = table('token list {cyd@}', qw(ID LABEL CREATED EXPIRES REVOKED));
is(scalar @tokens, 3, 'three tokens, with the first');
is_deeply([map { $_->{LABEL} } @tokens], ['-', 'for the märket', '-'], 'with their labels');
is_deeply([map { $_->{REVOKED} } @tokens], [('-') x 3], 'none is revoked');
is($tokens[2]{EXPIRES}, $issued->{expires_at}, 'one expires');
my $listed = json_of('token list {cyd@} --json');
is_deeply([map { join ' ', sort keys %$_ } @$listed], [('created_at expires_at id label revoked_at') x 3], '--json: what there is');
unlike(json_text($listed) . json_text(\@tokens), qr/orgs_|\Q@{[substr $token, 5, 43]}\E/, 'no token is ever shown again');
is(ask_value("SELECT COUNT(*) FROM tokens WHERE HEX(hash) LIKE '%" . uc(unpack 'H*', $token) . "%'"), 0, 'nor is one stored');
done('token revoke -', qr//, 'by itself', "$token\n");
problem(api(GET => '', token => $token), 401, 'unauthorized', 'revoked at once');
done('token revoke -', qr//, 'again', "$token\n");
done("token revoke $issued->{id}", qr//, 'by its id');
problem(api(GET => '', token => $issued->{token}), 401, 'unauthorized', 'revoked at once');
fails('token revoke -', 1, 'no such token', 'an unknown one', token_text('x' x 32) . "\n");
fails('token revoke -', 1, 'no such token', 'a malformed one', "orgs_x\n");
fails('token revoke -', 1, 'no token', 'none', '');
is(json_of("--json token revoke $issued->{id}")->{id}, $issued->{id}, '--json: which');
my $another = done('token issue {cyd@}', qr/orgs_\S+\n/);
is(json_of('--json token revoke --all {cyd@}')->{revoked}, 2, '--all: those that were still good');
problem(api(GET => '', token => $_), 401, 'unauthorized', 'all are revoked') for $another, $cast{cyd};
done('token revoke --all {cyd@}', qr//, 'again');
is(scalar(grep { $_->{REVOKED} =~ /\A$TIME\z/ } table('token list {cyd@}', qw(ID LABEL CREATED EXPIRES REVOKED))), 4, 'all four are listed as such');
$cast{cyd} = {%{$cast{cyd}}, token => new_token($cast{cyd})};

# --- licenses --------------------------------------------------------------------------------------------------------------

my $license = done('license add --plan=pro --seats=5 --starts-at=2020-01-01T00:00:00Z --expires-at=2090-12-31T23:59:59.5Z', qr/$UUID\n/, 'the id alone');
like($license, qr/^.{14}4/, 'a version 4, which nobody guesses');
$cast{pro} = {id => $license};
$cast{plain} = {id => json_of('--json license add --plan=plain')->{id}};
my %shown = (id => $license, plan => 'pro', status => 'active', seats => 5, starts_at => '2020-01-01T00:00:00.000Z', expires_at => '2090-12-31T23:59:59.500Z',
    organization_id => undef, assigned_at => undef, reserved_for => undef, reserved_by => undef);
my $show = json_of('license show {pro} --json');
like(delete $show->{created_at}, qr/\A$TIME\z/, 'license show --json: created_at');
is_deeply($show, \%shown, 'license show --json');
like(done('license show {PRO}', qr/.*/s), qr/^id +\Q$license\E\nplan +pro\nstatus +active\nseats +5\nstarts +2020.*\nexpires +2090/, 'license show');
like(done('license show {plain}', qr/.*/s), qr/^seats +unlimited$/m, 'license show: unlimited');
my @head = qw(ID PLAN STATUS SEATS STARTS EXPIRES ORGANIZATION RESERVED-FOR);
my %rows = map { $_->{ID} => $_ } table('license list', @head);
is_deeply($rows{$license}, {ID => $license, PLAN => 'pro', STATUS => 'active', SEATS => 5, STARTS => '2020-01-01T00:00:00.000Z', EXPIRES => '2090-12-31T23:59:59.500Z',
    ORGANIZATION => '-', 'RESERVED-FOR' => '-'}, 'license list');
is_deeply([@{$rows{$cast{plain}{id}}}{qw(SEATS STARTS EXPIRES)}], ['unlimited', '-', '-'], 'license list: what is not there');
ok(scalar(grep { $_->{id} eq $license } @{json_of('license list --json')}), 'license list --json');
# [words, what license show --json then says]
for my $case (
    ['license set {pro} --plan=Team',                            {plan => 'Team'}],
    ['license set {pro} --seats=unlimited',                      {seats => undef}],
    ['license set {pro} --seats=0',                              {seats => 0}],
    ['license set {pro} --starts-at=none --expires-at=none --seats=7', {starts_at => undef, expires_at => undef, seats => 7}],
    ['license set {pro} --starts-at=2090-01-01T00:00:00Z',       {status => 'scheduled', starts_at => '2090-01-01T00:00:00.000Z'}],
    ['license set {pro} --starts-at=none',                       {status => 'active', starts_at => undef}],
    ['license suspend {pro}',                                    {status => 'suspended'}],
    ['license suspend {pro}',                                    {status => 'suspended'}],
    ['license resume {pro}',                                     {status => 'active'}],
    ['license resume {pro}',                                     {status => 'active'}],
) {
    done($case->[0], qr//, 'prints nothing');
    my $now = json_of('license show {pro} --json');
    is_deeply({map { $_ => $now->{$_} } keys %{$case->[1]}}, $case->[1], "$case->[0]: it is so");
}
is(json_of('--json license suspend {pro}')->{status}, 'suspended', '--json: the license as it now is');
done('license resume {pro}', qr//);
done('license revoke {plain}', qr//);
fails('license resume {plain}', 1, 'revoked');
fails('license suspend {plain}', 1, 'revoked');
done('license revoke {plain}', qr//, 'again');
fails('license set {pro} --starts-at=2030-01-01T00:00:00Z --expires-at=2029-01-01T00:00:00Z', 1, 'before it starts');
done('license release {pro} --to={acme}', qr//);
my $reserved = json_of('license show {pro} --json');
is($reserved->{reserved_for}, $cast{acme}{id}, 'license release: for whom');
answers(api(PUT => "$cast{acme}{id}/license", token => $cast{ada}, json => {license_id => $license}), 200, 'it is redeemed');
my $held = json_of('license show {pro} --json');
is_deeply([@$held{qw(organization_id reserved_for)}], [$cast{acme}{id}, undef], 'license show: whose it is');
like($held->{assigned_at}, qr/\A$TIME\z/, 'license show: since when');
fails('license release {pro} --force', 1, "assigned.*$cast{acme}{id}");
fails('license release {pro} --to={none}', 1, 'no such organization');
api(DELETE => "$cast{acme}{id}/license", token => $cast{ada});
is(json_of('license show {pro} --json')->{reserved_for}, $cast{acme}{id}, 'given up, it is reserved');
done('license release {pro} --force', qr//);
is(json_of('license show {pro} --json')->{reserved_for}, undef, 'released, it is not');

# --- deployments -------------------------------------------------------------------------------------------------------------

my $deployment = done(['deployment', 'add', '{pro}', 'Wéb', '--environment=prod', '--url=https://x.example/', '--version=1', '--status=up'], qr/$UUID\n/, 'the id alone');
$cast{web} = {id => $deployment};
$cast{db} = {id => json_of('--json deployment add {pro} db')->{id}};
my $deployments = json_of('deployment list {pro} --json');
is_deeply([map { $_->{id} } @$deployments], [$deployment, $cast{db}{id}], 'deployment list --json, in order');
is_deeply([@{$deployments->[0]}{qw(license_id name environment url version status)}], [$license, 'Wéb', 'prod', 'https://x.example/', 1, 'up'], 'all of it');
is_deeply([@{$deployments->[1]}{qw(name environment url version status)}], ['db', undef, undef, undef, 'active'], 'and what was not given');
my @table = table('deployment list {pro}', qw(ID NAME ENVIRONMENT VERSION STATUS UPDATED URL));
is_deeply([map { join ' ', @$_{qw(NAME ENVIRONMENT VERSION STATUS URL)} } @table], ['Wéb prod 1 up https://x.example/', 'db - - active -'], 'deployment list');
done(['deployment', 'set', '{web}', '--name=Web', '--environment=', '--url=', '--version=', '--status=down'], qr//, 'prints nothing');
is_deeply([@{json_of('deployment list {pro} --json')->[0]}{qw(name environment url version status)}], ['Web', undef, undef, undef, 'down'], 'it is set, and cleared');
is(json_of('--json deployment set {web} --name=W')->{id}, $deployment, '--json: which');
fails('license release {pro} --to={acme}', 1, 'deployments.* 2');
done('license release {pro} --to={acme} --with-deployments', qr//);
done('deployment remove {web}', qr//);
fails('deployment remove {web}', 1, 'no such deployment', 'again');
is(scalar @{json_of('deployment list {pro} --json')}, 1, 'one is left');
is_deeply(json_of('deployment list {plain} --json'), [], '--json: an empty list');
is(scalar(table('deployment list {plain}', qw(ID NAME ENVIRONMENT VERSION STATUS UPDATED URL))), 0, 'an empty list is a head');

# --- organizations and the free plan -------------------------------------------------------------------------------------------

fails('org add-admin {acme} none@none.example', 1, 'no such user');
done('org add-admin {acme} {cyd@}', qr/$cast{cyd}{id}\n/, 'the id of the user');
done('org add-admin {acme} {cyd@}', qr/$cast{cyd}{id}\n/, 'again');
my $admin = json_of('--json org add-admin {acme} {dora@}');
is_deeply([@$admin{qw(organization_id user_id email name role)}], [$cast{acme}{id}, $cast{dora}{id}, $cast{dora}{email}, 'D', 'admin'], '--json: a member');
is(api(GET => "$cast{acme}{id}/members/me", token => $cast{cyd})->{json}{role}, 'admin', 'and so it is');
my $shown = json_of('org show {acme} --json');
is_deeply([@$shown{qw(id name description active members admins license_id plan seats)}],
    [$cast{acme}{id}, 'Acme', undef, JSON::PP::true, 4, 4, undef, 'free', undef], 'org show --json') or diag(json_text($shown));
like(done('org show {ACME}', qr/.*/s), qr/^id +\Q$cast{acme}{id}\E\nname +Acme\ndescription +-\nactive +yes\nmembers +4\nactive admins +4\nlicense +-\nplan +free\nseats +unlimited\n/, 'org show');
($row) = grep { $_->{ID} eq $cast{acme}{id} } table('org list', qw(ID NAME ACTIVE MEMBERS LICENSE CREATED));
is_deeply([@$row{qw(NAME ACTIVE MEMBERS LICENSE)}], ['Acme', 'yes', 4, '-'], 'org list');
ok(scalar(grep { $_->{id} eq $cast{acme}{id} && $_->{members} == 4 } @{json_of('org list --json')}), 'org list --json');
{
    # what stands in a name cannot write on a terminal, nor shift the columns
    my $odd = organization($cast{ada}, name => "\x{65e5}\x{200b} \\e \"x\"");
    ask("UPDATE organizations SET name = CONCAT('a', CHAR(27), '[31m', CHAR(10), 'b') WHERE id = " . id_in_sql($odd->{id}));
    my $text = tool('org list')->[1];
    unlike($text, qr/[\x00-\x09\x0b-\x1f\x7f]/, 'controls are not printed');
    like($text, qr/\Q$odd->{id}\E +a\\u001b\[31m\\u000ab/, 'but escaped');
}
is_deeply(json_of('plan free --json'), {plan => 'free', seats => undef}, 'plan free --json');
done('plan free', qr/plan +free\nseats +unlimited\n/, 'what it is');
done(['plan', 'free', '--name=Gratis ü', '--seats=3'], qr/plan +Gratis \xc3\xbc\nseats +3\n/, 'as it now is');
done('plan free', qr/plan +Gratis \xc3\xbc\nseats +3\n/, 'it stays');
is_deeply([@{api(GET => "$cast{acme}{id}/license", token => $cast{ada})->{json}}{qw(plan seats seats_used over_limit)}], ['Gratis ü', 3, 4, JSON::PP::true], 'what clients see');
fails('org add-admin {acme} one@orgsctl.example', 1, 'seat');
done('plan free --seats=0', qr/plan +Gratis \xc3\xbc\nseats +0\n/, 'none');
is_deeply(json_of('--json plan free --name=free --seats=unlimited'), {plan => 'free', seats => undef}, 'unlimited');

# --- events ----------------------------------------------------------------------------------------------------------------------

my @events = table('event list {acme}', qw(SEQ AT ACTION ACTOR TARGET CHANGES));
is_deeply([map { $_->{SEQ} } @events], [1 .. @events], 'event list, by number');
is_deeply([@{$events[1]}{qw(ACTION ACTOR TARGET CHANGES)}], ['member.add', '-', $cast{bob}{id}, '{"role":[null,"admin"]}'], 'what the operator did');
is(scalar @{json_of('event list {acme} --json')}, scalar @events, 'event list --json');
like(done('event prune --before=2000-01-01T00:00:00Z', qr/.*\n/), qr/^deleted +0$/, 'event prune');
is_deeply(json_of('--json event prune --before=2000-01-01T00:00:00Z'), {deleted => 0}, 'event prune --json');

# --- the rest ----------------------------------------------------------------------------------------------------------------------

{
    my $r = orgsctl({fails => 1, account => 'root'}, 'schema', '--check');
    is($r->[0], 0, 'schema --check: nothing is wrong') or diag(@$r);
    $r = orgsctl({fails => 1, account => 'root'}, 'schema');
    is($r->[0], 0, 'schema: again') or diag(@$r);
    is($r->[1], "The schema is up to date.\n", 'schema: says so');
    is(orgsctl({fails => 1, account => 'orgs'}, 'user', 'list')->[0], 1, "the module's account file is no operator's");
}
{
    # nobody reads it
    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>', '/dev/full' or POSIX::_exit(9);
        open STDERR, '>', '/dev/null';
        exec top() . '/build/orgsctl', '--defaults-file=' . top() . '/run/main/admin.cnf', 'user', 'list' or POSIX::_exit(9);
    }
    waitpid $pid, 0;
    is($? >> 8, 1, 'an output that cannot be written is a failure');
}
my @wrong = sound($cast{acme});
ok(!@wrong, 'counts, events and admins are right') or diag(join "\n", @wrong);

done_testing;
