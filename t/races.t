# Contract 3 and 7: writers that race with one tag: exactly one wins each.
use Orgs::Test;

my $ada = user('ada');
my $writers = 16;

# --- one tag, sixteen writers ------------------------------------------------------------------------------------------------

# Every writer takes the tag, writes with it, and takes the next; who lost reads and goes on. All wins together are the
# versions.
{
    my $id = organization($ada, name => 'Raced')->{id};
    my $goal = long_or(2000, 300);
    my @results = race($writers, sub {
        my ($number) = @_;
        my (@won, %statuses);
        my $read = api(GET => $id, token => $ada);
        my $tag = $read->{headers}{etag};
        for my $try (1 .. 100_000) {
            my ($version) = $tag =~ /^"(\d+)-/;
            last if $version > $goal;
            my $r = api(PUT => $id, token => $ada, json => {name => "$number.$try"}, headers => {'If-Match' => $tag});
            $statuses{$r->{status}}++;
            if ($r->{status} == 200) {
                push @won, [$version, $r->{headers}{etag}, $r->{json}{name} eq "$number.$try" ? 1 : 0];
                $tag = $r->{headers}{etag};
            }
            else {
                $tag = api(GET => $id, token => $ada)->{headers}{etag};
            }
        }
        return {won => \@won, statuses => \%statuses};
    });
    my (%winners, %statuses);
    for my $result (@results) {
        $winners{$_->[0]}++ for @{$result->{won}};
        $statuses{$_} += $result->{statuses}{$_} for keys %{$result->{statuses}};
    }
    my @odd = grep { $winners{$_} != 1 } keys %winners;
    is_deeply(\@odd, [], 'each tag was won once');
    is_deeply([sort { $a <=> $b } keys %winners], [1 .. $goal], "every one of the $goal versions was won by somebody");
    is_deeply([sort keys %statuses], [200, 412], 'each write was answered 200 or 412') or diag explain \%statuses;
    is_deeply([grep { !$_->[2] } map { @{$_->{won}} } @results], [], 'who won was answered its own');
    my @next = grep { $_->[1] !~ /^"@{[$_->[0] + 1]}-/ } map { @{$_->{won}} } @results;
    is_deeply(\@next, [], 'with the next version');
    my ($version, $seq) = @{(sql('SELECT version, seq FROM organizations WHERE id = ' . id_in_sql($id)))[0]};
    is($version, $goal + 1, 'the version is exact');
    is($seq, $goal + 1, 'and so is seq');
    is(sql_value('SELECT COUNT(DISTINCT seq) FROM events WHERE organization_id = ' . id_in_sql($id)), $goal + 1, 'an event for each');
    cmp_ok(scalar(grep { @{$_->{won}} } @results), '>', 1, 'more than one writer won');
    cmp_ok($statuses{412} // 0, '>', 0, 'and they met');
}

# --- the same tag at the same moment -------------------------------------------------------------------------------------------

for my $round (1 .. long_or(200, 8)) {
    my $o = organization($ada);
    my @statuses = race($writers, sub {
        api(PUT => $o->{id}, token => $ada, json => {name => "By $_[0]"}, headers => {'If-Match' => $o->{etag}})->{status};
    });
    is_deeply([sort @statuses], [200, (412) x ($writers - 1)], "one of $writers wins, round $round");
}

# --- without a tag: all win, one after the other -----------------------------------------------------------------------------------

{
    my $id = organization($ada)->{id};
    my $each = long_or(100, 5);
    my @results = race($writers, sub {
        my ($number) = @_;
        return [map { my $r = api(PUT => $id, token => $ada, json => {name => "$number-$_"}); [$r->{status}, $r->{headers}{etag}] } 1 .. $each];
    });
    my @all = map { @$_ } @results;
    is_deeply([grep { $_->[0] != 200 } @all], [], 'without a tag everybody writes');
    my %versions = map { ($_->[1] =~ /^"(\d+)-/)[0] => 1 } @all;
    is_deeply([sort { $a <=> $b } keys %versions], [2 .. $writers * $each + 1], 'and each moves the version by one');
    is(sql_value('SELECT seq FROM organizations WHERE id = ' . id_in_sql($id)), $writers * $each + 1, 'with an event each');
}

# --- deletes ------------------------------------------------------------------------------------------------------------------------

for my $round (1 .. long_or(100, 5)) {
    my $o = organization($ada);
    my @statuses = race(8, sub { api(DELETE => $o->{id}, token => $ada)->{status} });
    is_deeply([sort @statuses], [200, (404) x 7], "deleted once, round $round");
    is(sql_value("SELECT COUNT(*) FROM events WHERE action = 'organization.delete' AND organization_id = " . id_in_sql($o->{id})), 1, 'recorded once');
}
for my $round (1 .. long_or(100, 5)) {
    # a delete against updates: what was answered is what happened
    my $o = organization($ada);
    my @statuses = race(8, sub {
        my ($number) = @_;
        return $number ? api(PUT => $o->{id}, token => $ada, json => {name => "x$number"})->{status} : api(DELETE => $o->{id}, token => $ada)->{status};
    });
    is($statuses[0], 200, "deleted under updates, round $round");
    my $updates = grep { $_ == 200 } @statuses[1 .. 7];
    is(scalar(grep { $_ != 200 && $_ != 404 } @statuses), 0, 'the updates came before or after') or diag "@statuses";
    is(sql_value("SELECT COUNT(*) FROM events WHERE action = 'organization.update' AND organization_id = " . id_in_sql($o->{id})), $updates,
        'and each that was answered is recorded');
}

# --- creates --------------------------------------------------------------------------------------------------------------------------

{
    my $maker = user('maker');
    my $each = long_or(200, 5);
    my @ids = map { @$_ } race($writers, sub { [map { api(POST => '', token => $maker, json => {name => "n$_"})->{json}{id} } 1 .. $each] });
    my %ids = map { $_ => 1 } grep { defined } @ids;
    is(scalar keys %ids, $writers * $each, 'creates at once: as many ids');
    is_deeply([map { $_->{id} } @{api(GET => '', token => $maker)->{json}}], [sort keys %ids], 'all in the list');
}

done_testing;
