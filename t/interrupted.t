# Contract 3, rule 8: all of it or nothing, also where the server interrupts a procedure at any moment. Some statements
# then end as if there had been nothing to do (DELETE on MariaDB 10.11, UPDATE on 11.8; on MySQL 9.7 none was seen),
# which the procedures must see: an event that stands tells what is there.
use Orgs::Test;
use Orgs::Together;
use JSON::PP ();

my $RUNS = long_or(20_000, 800);
my $FEWER = long_or(20_000, 250);
my $seed = $ENV{ORGS_TEST_SEED} // int rand 1e6;
srand $seed;
diag "ORGS_TEST_SEED=$seed";
my ($ada, $bob) = (user('ada'), user('bob'));
my ($actor, $member) = map { id_in_sql($_->{id}) } $ada, $bob;

# --- the interruptions ------------------------------------------------------------------------------------------------------

END {
    if ($actor) {
        local $?;
        sql('UPDATE interrupted SET pause = NULL; DROP PROCEDURE interrupted_kill; DROP TABLE interrupted');
        orgsctl('plan', 'free', '--name=free', '--seats=unlimited');
    }
}

# By another session, which kills what runs in this one again and again.
sql(<<'SQL');
CREATE TABLE interrupted (id INT PRIMARY KEY, connection BIGINT NULL, pause DOUBLE NULL);
INSERT INTO interrupted VALUES (1, NULL, 0.001);
DELIMITER $$
CREATE PROCEDURE interrupted_kill()
BEGIN
    DECLARE v_connection BIGINT;
    DECLARE v_pause DOUBLE;
    DECLARE CONTINUE HANDLER FOR 1094 BEGIN END;
    again: LOOP
        SELECT connection, pause INTO v_connection, v_pause FROM interrupted;
        IF v_pause IS NULL THEN LEAVE again; END IF;
        DO SLEEP(RAND() * v_pause);
        IF v_connection IS NOT NULL THEN KILL QUERY v_connection; END IF;
    END LOOP again;
END$$
DELIMITER ;
DO 0
SQL

# What CALLs of several writes have answered, by their texts: a list of what they made.
my %told;

# A client that goes on after errors; their numbers. It ends with its input: a last statement, by which we should know,
# might be what is killed.
sub errors {
    my ($text) = @_;
    require File::Temp;
    my ($in, $out) = map { File::Temp->new } 1, 2;
    print $in $text;
    $in->flush;
    # it says each statement, and then what was answered
    my $errors = qx($ENV{MYSQL} --defaults-file='@{[top()]}/run/main/root.cnf' --batch --skip-column-names --force --verbose <'$in' 2>&1 >'$out');
    my $told = do { local $/; <$out> };
    while ($told =~ /^-+\n(CALL \w+_together_v1\b[^\n]*)\n-+\n\s*(?:NULL\t0\t([^\t\n]+)\t)?/mg) {
        $told{$1} = $2 eq 'NULL' ? [] : JSON::PP->new->decode($2) if defined $2;
    }
    return $errors =~ /^ERROR (\d+) /mg;
}

my %ways = (
    kill => sub {
        my ($longest, @calls) = @_;
        sql("UPDATE interrupted SET pause = $longest");
        my @errors = errors(join ";\n", 'UPDATE interrupted SET connection = CONNECTION_ID()', @calls);
        sql('UPDATE interrupted SET connection = NULL');
        return @errors;
    },
    # MySQL has none for a CALL
    limit => sub {
        my ($longest, @calls) = @_;
        return errors(join '', map { sprintf "SET max_statement_time = %.6f; %s; SET max_statement_time = 0;\n", 0.00005 + rand $longest, $_ } @calls);
    },
);
my @ways = is_mariadb() ? ('limit', 'kill') : 'kill';
my %longest = map { $_ => 0.001 } @ways;

# Each of the calls on each of its targets; how often each way was seen to interrupt.
sub interrupted {
    my ($call, @targets) = @_;
    my %interrupted = map { $_ => 0 } @ways;
    my $killer = sql_later({as => 'killer'}, 'CALL interrupted_kill()');
    for (my $turn = 0; my @some = splice @targets, 0, 20; $turn++) {
        my $way = $ways[$turn % @ways];
        my @errors = $ways{$way}->($longest{$way}, map { ref $call ? $call->($_) : sprintf "CALL $call", id_in_sql(uuid()), $_ } @some);
        $interrupted{$way} += @errors;
        # as the machine has time: of three one should be interrupted
        $longest{$way} *= @errors > @some / 3 ? 1.5 : 0.6;
    }
    sql('UPDATE interrupted SET pause = NULL');
    $killer->();
    sql('UPDATE interrupted SET pause = 0.001');
    return %interrupted;
}

# --- what is there ------------------------------------------------------------------------------------------------------------

sub rows { my ($table, $columns, @rows) = @_; while (my @some = splice @rows, 0, 500) { sql("INSERT INTO $table ($columns) VALUES " . join ',', @some) } }

sub ids { return map { id_in_sql(uuid()) } 1 .. $_[0] }

my @texts = many_organizations($RUNS, $ada);
my @organizations = map { id_in_sql($_) } @texts;
my @fewer = @organizations[0 .. $FEWER - 1];
my (@held, @free, @users, @deployments);
@$_ = ids($FEWER) for \(@held, @free, @users, @deployments);
rows('memberships', 'organization_id, user_id, role, joined_at', map { "($_, $member, 'member', UTC_TIMESTAMP(3))" } @organizations);
sql("UPDATE organizations SET members = 2 WHERE created_by = $actor");
rows('licenses', 'id, plan, organization_id, assigned_at, created_at', map { "($held[$_], 'held', $organizations[$_], UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))" } 0 .. $#held);
rows('licenses', 'id, plan, created_at', map { "($_, 'free', UTC_TIMESTAMP(3))" } @free);
rows('users', 'id, email, name, created_at', map { "($users[$_], 'u$_\@interrupted.example', 'before', UTC_TIMESTAMP(3))" } 0 .. $#users);
rows('tokens', 'id, user_id, hash, created_at', map { my $user = $_; map { "($_, $user, UNHEX(SHA2(HEX($_), 256)), UTC_TIMESTAMP(3))" } ids(2) } @users);
rows('deployments', 'id, license_id, name, status, created_at, updated_at', map { "($deployments[$_], $held[$_], 'before', 'before', '2026-01-01', '2026-01-01')" } 0 .. $#deployments);
my @emails = map { "'u$_\@interrupted.example'" } 0 .. $#users;

# --- what is done, and what contradicts its event ---------------------------------------------------------------------------------

my $began = id_in_sql(uuid());
my $license = 'JOIN licenses l ON l.id = e.target_id';
my $user = 'JOIN users u ON u.id = e.target_id';

# Several writes in one CALL: {text, items}. Of the organizations with a license every other one has no seats for so many.
my $SEVERAL = 6;
my (@together, %there);
my $guests = guests(2 * $SEVERAL);
for (my @some = map { $held[2 * $_] } 0 .. $#held / 2; my @part = splice @some, 0, 500;) { sql('UPDATE licenses SET seats = 4 WHERE id IN (' . join(',', @part) . ')') }

sub create_several {
    my ($name) = @_;
    my @items = map { +{event => uuid(), id => uuid(), name => $name} } 1 .. $SEVERAL;
    push @together, {text => create_together($ada, @items), items => \@items};
    return $together[-1]{text};
}

sub add_several {
    my ($n) = @_;
    my $from = $n % $SEVERAL;
    my @items = map { +{event => uuid(), email => $_->{email}} } @$guests[$from .. $from + $SEVERAL - 1];
    push @together, {text => add_together($ada, $texts[$n], @items), items => \@items};
    return $together[-1]{text};
}

sub is_there { my ($item) = @_; return $there{uc $item->{event} =~ s/-//gr} // 0 }

# The CALLs of which this is true, of how many items are there, of what was answered (or undef), and of all.
sub count_together {
    my ($is) = @_;
    %there = map { @$_ } sql("SELECT HEX(id), 1 FROM events WHERE id > $began AND action IN ('organization.create', 'member.add')");
    return scalar grep { my $call = $_; $is->(scalar(grep { is_there($_) } @{$call->{items}}), $told{$call->{text}}, scalar @{$call->{items}}) } @together;
}

# Of those that said nothing, events that are not settled as what they are: those that are there as done, the others as
# never to be.
sub settled_wrong {
    my @silent = grep { !$told{$_->{text}} } @together;
    my @items = map { @{$_->{items}} } splice @silent, 0, long_or(scalar @silent, 60);
    my $wrong = 0;
    while (my @some = splice @items, 0, 300) {
        # an id may have a tab or a line's end in it
        my @rows = grep { @$_ > 3 && ($_->[1] // '') eq '0' && ($_->[0] // 'abandoned') eq 'abandoned' } sql(join ';', map { 'CALL event_settle_v1(' . id_in_sql($_->{event}) . ')' } @some);
        $wrong += @rows == @some ? grep { (defined $rows[$_][0] ? 0 : 1) != is_there($some[$_]) } 0 .. $#some : @some;
    }
    return $wrong;
}

my @whole = (
    'it is there in part'                => sub { count_together(sub { my ($there, $told, $all) = @_; return $there && $there != $all }) },
    'another number is named than there' => sub { count_together(sub { my ($there, $told) = @_; return $told && @$told != $there }) },
    'one is settled as what it is not'   => \&settled_wrong,
);
my $counted = "SELECT COUNT(*) FROM organizations o WHERE o.created_by = $actor";
my @several = (
    {action => 'organization.create', call => \&create_several, targets => [map { "Several $_" } 1 .. $RUNS], never => [@whole,
        'a member is missing'    => 'LEFT JOIN memberships m ON m.organization_id = e.organization_id WHERE m.user_id IS NULL',
        'an organization has no event, or no member' => sub { sql_value("$counted AND o.name LIKE 'Several %' AND (NOT EXISTS (SELECT 1 FROM events e WHERE e.organization_id = o.id AND e.seq = 1)"
            . " OR NOT EXISTS (SELECT 1 FROM memberships m WHERE m.organization_id = o.id))") },
    ]},
    {action => 'member.add', call => \&add_several, targets => [0 .. $#organizations], never => [@whole,
        'a member is missing' => 'LEFT JOIN memberships m ON m.organization_id = e.organization_id AND m.user_id = e.target_id WHERE m.user_id IS NULL',
        'there are more than seats'  => sub { sql_value("SELECT COUNT(*) FROM organizations o JOIN licenses l ON l.organization_id = o.id WHERE o.members > l.seats") },
        'the events are more than counted' => sub { sql_value("$counted AND o.seq <> (SELECT MAX(e.seq) FROM events e WHERE e.organization_id = o.id AND e.id > $began)") },
        'a number is missing' => sub { sql_value("SELECT COUNT(*) FROM (SELECT 1 FROM events e WHERE e.id > $began AND e.action = 'member.add' GROUP BY e.organization_id HAVING COUNT(*) <> MAX(e.seq) - MIN(e.seq) + 1) AS odd") },
    ]},
);
my @kinds = (
    {action => 'license.assign', call => "license_assign_v1(%s, $actor, NULL, FALSE, %s)", targets => [map { "$organizations[$_], NULL, $free[$_]" } 0 .. $#free], never => [
        'an organization has not what it was told' => "$license WHERE NOT l.organization_id <=> e.organization_id",
        'there is no answer'                       => 'WHERE e.answer IS NULL',
    ]},
    {action => 'license.unassign', call => "license_unassign_v1(%s, $actor, NULL, FALSE, %s, NULL)", targets => \@fewer, never => [
        'the license is still held' => "$license WHERE l.organization_id IS NOT NULL",
        'there is no answer'        => 'WHERE e.answer IS NULL',
    ]},
    {action => 'license.set', call => "license_set_v1(%s, %s, 'set', TRUE, 7, FALSE, NULL, FALSE, NULL, TRUE, NULL)", targets => \@held, never => ['it is as it was' => "$license WHERE NOT (l.plan = 'set' AND l.seats = 7 AND l.suspended)"]},
    {action => 'license.release', call => 'license_release_v1(%s, %s, NULL, TRUE)', targets => \@held, never => ['it is still reserved' => "$license WHERE l.reserved_for IS NOT NULL"]},
    {action => 'deployment.set', call => "deployment_set_v1(%s, %s, 'set', NULL, 'set', NULL, 'set')", targets => \@deployments, never => ['it is as it was' => "JOIN deployments d ON d.id = e.target_id WHERE NOT (d.name = 'set' AND d.url = 'set' AND d.status = 'set')"]},
    {action => 'user.set', call => "user_set_v1(%s, %s, NULL, TRUE, 'set', TRUE, LEFT(UUID(), 36))", targets => \@emails, never => ['it is as it was' => "$user WHERE NOT (u.name = 'set' AND u.external_id IS NOT NULL)"]},
    {action => 'token.revoke', call => 'token_revoke_all_v1(%s, %s)', targets => \@emails, never => ['a token is good' => 'JOIN tokens t ON t.user_id = e.target_id WHERE t.revoked_at IS NULL']},
    {action => 'user.deactivate', call => 'user_deactivate_v1(%s, %s, FALSE)', targets => \@emails, never => ['it is active' => "$user WHERE u.active"]},
    # each time another number, which the name tells
    {action => 'plan.free', call => 'plan_free_v1(%s, %s)', targets => [map { "'set $_', TRUE, $_" } 1 .. $FEWER], never => [
        'name and seats are of different ones' => "WHERE JSON_UNQUOTE(JSON_EXTRACT(e.answer, '\$.plan')) <> CONCAT('set ', JSON_UNQUOTE(JSON_EXTRACT(e.answer, '\$.seats')))",
        'one is answered twice'                => 'JOIN events o ON o.action = e.action AND o.answer = e.answer AND o.id > e.id',
    ]},
    {action => 'member.remove', call => "member_remove_v1(%s, $actor, NULL, FALSE, %s, $member)", targets => \@organizations, never => ['who was removed is there' => 'JOIN memberships m ON m.organization_id = e.organization_id AND m.user_id = e.target_id']},
    {action => 'organization.delete', call => "organization_delete_v1(%s, $actor, NULL, FALSE, %s, NULL)", targets => \@organizations, never => [
        'what was deleted is there'       => 'JOIN organizations o ON o.id = e.organization_id',
        'a deleted one has members'       => 'JOIN memberships m ON m.organization_id = e.organization_id',
        'a deleted one has a license'     => 'JOIN licenses l ON l.organization_id = e.organization_id',
    ]},
);

for my $kind (@several, @kinds) {
    my ($action, $targets) = @$kind{qw(action targets)};
    (@together, %told) = ();
    my %interrupted = interrupted($kind->{call}, @$targets);
    # what nobody holds is changed outside of any organization
    my $actions = join ',', map { "'$_'" } $action, $action eq 'license.set' ? 'license.update' : ();
    my $events = "(SELECT * FROM events WHERE action IN ($actions) AND id > $began) e";
    my $done = sql_value("SELECT COUNT(*) FROM $events");
    cmp_ok($interrupted{$_}, '>', @$targets / 100, "$action: of " . @$targets . " $interrupted{$_} were interrupted by a $_, $done done") for @ways;
    cmp_ok($done, '>', @$targets / 50, "$action: others were done");
    cmp_ok(scalar keys %told, '>', @$targets / 5, "$action: " . keys(%told) . ' have said what they made') if @together;
    my @never = @{$kind->{never}};
    while (my ($what, $condition) = splice @never, 0, 2) {
        is(ref $condition ? $condition->() : sql_value("SELECT COUNT(*) FROM $events $condition"), 0, "$action: never: $what");
    }
    is(sql_value("SELECT COUNT(*) FROM organizations o WHERE o.created_by = $actor AND o.members <> (SELECT COUNT(*) FROM memberships m WHERE m.organization_id = o.id)"),
        0, "$action: the members are as many as counted") or diag map { join(' ', 'members, memberships, seq, events:', map { $_ // 'NULL' } @$_) . "\n" }
        sql("SELECT o.members, (SELECT COUNT(*) FROM memberships m WHERE m.organization_id = o.id) AS there, o.seq, (SELECT COUNT(*) FROM events e WHERE e.organization_id = o.id) "
            . "FROM organizations o WHERE o.created_by = $actor HAVING members <> there LIMIT 20");
}
# other tests list all that there are
sql("DELETE o, m, e FROM organizations o JOIN memberships m ON m.organization_id = o.id JOIN events e ON e.organization_id = o.id WHERE o.created_by = $actor AND o.name LIKE 'Several %'");
done_testing;
