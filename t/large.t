# Contract 2 and 3: an organization with very many members: listed whole, paged while members come and go, deleted at once.
use Orgs::Test;
use Orgs::Data qw(sequence_sql);
use Orgs::Story;

my $n = long_or(100_000, 3_000);
my $limit = long_or(1000, 60);
my $ada = user('ada');
my $organization = organization($ada, name => 'Large');
my $id = id_in_sql($organization->{id});
my $license = license();

# Three and more of them have joined at one instant, some in batches of hundreds.
ask(<<"SQL");
INSERT INTO users (id, email, name, created_at)
SELECT UNHEX(CONCAT('0190000000007000', LPAD(HEX(seq), 16, '8000000000000000'))), CONCAT('m', seq, '\@large.example'), CONCAT('Member ', seq), UTC_TIMESTAMP(3)
  FROM @{[sequence_sql(2, $n)]};
INSERT INTO memberships (organization_id, user_id, role, joined_at)
SELECT $id, UNHEX(CONCAT('0190000000007000', LPAD(HEX(seq), 16, '8000000000000000'))), IF(seq % 1000 = 0, 'admin', 'member'),
       UTC_TIMESTAMP(3) + INTERVAL IF(seq % 10 < 3, 0, seq DIV 3) * 1000 MICROSECOND
  FROM @{[sequence_sql(2, $n)]};
UPDATE organizations SET members = $n WHERE id = $id;
SQL
answers(api(PUT => "$organization->{id}/license", token => $ada, json => {license_id => $license->{id}}), 200, 'it has a license');
is(scalar(sound($organization)), 0, "$n members") or diag(sound($organization));

# The user ids of a list that must be whole, item for item.
my $ITEM = qr/\{"organization_id":"\Q$organization->{id}\E","user_id":"([0-9a-f-]{36})","email":"[^"\\]+","name":(?:null|"[^"\\]+"),"role":"(?:admin|member)","joined_at":"[-0-9T:.]+Z"\}/;

sub ids_of {
    my ($body) = @_;
    my @ids;
    return () if $body !~ /\G\[/gc;
    while ($body =~ /\G$ITEM/gc) {
        push @ids, $1;
        last if $body !~ /\G,/gc;
    }
    return $body =~ /\G\]\z/gc ? @ids : ();
}

sub same_list {
    my ($have, $want, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $place = 0;
    $place++ while $place < @$have && $place < @$want && $have->[$place] eq $want->[$place];
    return ok(@$have == @$want && $place == @$want, $what)
        || diag(scalar(@$have) . ' instead of ' . @$want . ", the first $place are the same");
}

# --- whole ---------------------------------------------------------------------------------------------------------------

# The resident memory of httpd's biggest process, in bytes.
sub resident {
    my $most = 0;
    my $parent = do { open my $file, '<', top() . '/t/logs/httpd.pid' or return 0; <$file> + 0 };
    for my $status (glob '/proc/[0-9]*/status') {
        my $text = do { local $/; open my $file, '<', $status or next; <$file> } // '';
        my ($rss) = $text =~ /^VmRSS:\s+(\d+) kB/m or next;
        $most = $rss * 1024 if $text =~ /^PPid:\s+$parent$/m && $rss * 1024 > $most;
    }
    return $most;
}

my @all = members_of($organization);
is(scalar @all, $n, 'as many in the database');
api(GET => "$organization->{id}/members?limit=1000", token => $ada);
my $before = resident();
my $r = api(GET => "$organization->{id}/members", token => $ada);
my $growth = resident() - $before;
answers({%$r, body => substr($r->{body}, 0, 200), json => []}, 200, 'the list');
my $length = length $r->{body};
same_list([ids_of($r->{body})], \@all, 'it is whole, and in order');
delete $r->{$_} for qw(body json);
my @admins = ids_of(api(GET => "$organization->{id}/members?role=admin", token => $ada)->{body});
is(scalar @admins, 1 + int($n / 1000), 'its admins');
my $one = api(GET => "$organization->{id}/members?email=m$n\@large.example", token => $ada);
is(scalar @{$one->{json}}, 1, 'one of them by email');
if ($ENV{ORGS_TEST_LONG}) {
    # all of it at once would be some multiple of its length
    cmp_ok($growth, '<', $length / 2, "memory grew by $growth bytes for a list of $length");
}
{
    my ($whole, $bytes) = raw_request("GET /organizations/$organization->{id}/members HTTP/1.0\r\nAuthorization: Bearer $ada->{token}\r\n\r\n");
    same_list([ids_of($whole->{body})], \@all, 'HTTP/1.0: it is whole') if $whole;
}
{
    my @pages = pages("$organization->{id}/members?limit=$limit", token => $ada);
    same_list([map { $_->{user_id} } map { @$_ } @pages], \@all, 'in pages it is the same');
    is(scalar(grep { @$_ != $limit } @pages[0 .. $#pages - 1]), 0, 'all but the last are full');
}

# --- while members come and go -----------------------------------------------------------------------------------------------

my %email = map { $_->[0] => $_->[1] } ask("SELECT uuid_text_v1(id), email FROM users WHERE email LIKE 'm%\@large.example'");
my @newcomers = crowd('new', long_or(600, 150));
my (%left, %came);

# A few go, of anywhere in the list; one of them comes again; a few are new.
sub churn {
    my ($number) = @_;
    my @go = map { $all[1 + int rand(@all - 1)] } 1 .. 3;
    for my $go (grep { !$left{$_}++ } @go) {
        api(DELETE => "$organization->{id}/members/$go", token => $ada);
    }
    api(POST => "$organization->{id}/members", token => $ada, json => {email => $email{$go[0]}});
    if (my $new = shift @newcomers) {
        my $added = api(POST => "$organization->{id}/members", token => $ada, json => {email => $new->{email}});
        $came{$new->{id}} = 1 if $added->{status} == 201;
    }
    return;
}

# Who stood all the time is there once; who left and came again at most twice, for his two memberships.
sub seen_right {
    my ($what, @seen) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %times;
    $times{$_}++ for @seen;
    my @missed = grep { !$left{$_} && !$times{$_} } @all;
    my @twice = grep { $times{$_} > ($left{$_} ? 2 : 1) } keys %times;
    my @strange = grep { !$email{$_} && !$came{$_} && $_ ne $ada->{id} } keys %times;
    is(scalar @missed, 0, "$what: nobody who stood is missing") or diag("@missed[0 .. ($#missed > 9 ? 9 : $#missed)]");
    is(scalar @twice, 0, "$what: nobody is there twice") or diag("@twice[0 .. ($#twice > 9 ? 9 : $#twice)]");
    is(scalar @strange, 0, "$what: nobody else is there") or diag("@strange");
    cmp_ok(scalar keys %left, '>', 0, "$what: some did go");
    return;
}

my $turn = 0;
seen_right('in pages', map { $_->{user_id} } map { @$_ }
    pages("$organization->{id}/members?limit=$limit", token => $ada, between => sub { churn(++$turn) }));

# The same of the list in one piece, read slowly.
@all = members_of($organization);
%email = (%email, map { $_->[0] => $_->[1] } ask("SELECT uuid_text_v1(id), email FROM users WHERE email LIKE 'new%\@large.example'"));
%left = ();
{
    my $socket = raw();
    print $socket "GET /organizations/$organization->{id}/members HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nConnection: close\r\n\r\n";
    my $bytes = '';
    my $reads = 0;
    while (sysread $socket, $bytes, 65536, length $bytes) {
        churn(++$turn) if $reads++ % long_or(4, 1) == 0;
    }
    my ($answer) = parse_answers($bytes);
    is($answer->{status}, 200, 'in one piece: answered');
    ok($answer->{whole}, 'in one piece: to its end');
    seen_right('in one piece', ids_of($answer->{body}));
}
my @wrong = sound($organization);
ok(!@wrong, 'the counts are right') or diag(join "\n", @wrong);
is(api(GET => "$organization->{id}/license", token => $ada)->{json}{seats_used}, scalar(members_of($organization)), 'seats_used is exact');

# --- deleted -----------------------------------------------------------------------------------------------------------------

my $events = event_seq($organization);
my $users = ask_value('SELECT COUNT(*) FROM users');
my $deleted = api(DELETE => $organization->{id}, token => $ada);
answers($deleted, 200, 'deleted');
is(ask_value("SELECT COUNT(*) FROM memberships WHERE organization_id = $id"), 0, 'the memberships are gone');
is(ask_value("SELECT COUNT(*) FROM organizations WHERE id = $id"), 0, 'and the organization');
is(ask_value('SELECT COUNT(*) FROM users'), $users, 'the users stay');
is(event_seq($organization), $events + 1, 'the events stay, and one more');
is_deeply([(ask('SELECT organization_id, uuid_text_v1(reserved_for), uuid_text_v1(reserved_by) FROM licenses WHERE id = '
    . id_in_sql($license->{id})))[0]->@*], [undef, $organization->{id}, $ada->{id}], 'the license is free, for who deleted it');
problem(api(GET => "$organization->{id}/members", token => $ada), 404, 'organization_not_found', 'and nothing is left to see');
@wrong = sound($organization);
ok(!@wrong, 'all is in order') or diag(join "\n", @wrong);

done_testing;
