# Contract 3, rule 8: all of it or nothing, also where the server interrupts a procedure at any moment. Some statements
# then end as if there had been nothing to do (DELETE on MariaDB 10.11), which the procedures must see.
use Orgs::Test;
use Time::HiRes qw(time);

my $RUNS = long_or(20_000, 800);
my $seed = $ENV{ORGS_TEST_SEED} // int rand 1e6;
srand $seed;
diag "ORGS_TEST_SEED=$seed";
my ($ada, $bob) = (user('ada'), user('bob'));
my ($actor, $member) = map { id_in_sql($_->{id}) } $ada, $bob;
not_here('this server has no max_statement_time') if !is_mariadb();

# Interrupts one CALL for each organization; how many ended in an error.
sub interrupted {
    my ($procedure, @organizations) = @_;
    my ($errors, $longest) = (0, 0.003);
    for my $organization (@organizations) {
        my $call = sprintf $procedure, id_in_sql(uuid()), $actor, id_in_sql($organization);
        $errors++ if sql({fails => 1}, sprintf 'SET max_statement_time = %.6f; CALL %s; SET max_statement_time = 0', 0.00005 + rand $longest, $call);
        # as the machine has time: of three one should be interrupted
        $longest *= $errors > @organizations / 3 ? 1.02 : 0.999;
    }
    return $errors;
}

my %contradicts = (
    'organization.delete' => [
        'an organization that was deleted is there' => 'JOIN organizations o ON o.id = e.organization_id',
        'a deleted organization has members'        => 'JOIN memberships m ON m.organization_id = e.organization_id',
    ],
    'member.remove' => ['a member that was removed is there' => 'JOIN memberships m ON m.organization_id = e.organization_id AND m.user_id = e.target_id'],
);
my @kinds = (
    ['member.remove', "member_remove_v1(%s, %s, 'interrupted', FALSE, %s, $member)"],
    ['organization.delete', "organization_delete_v1(%s, %s, 'interrupted', FALSE, %s, NULL)"],
);
my @organizations = many_organizations($RUNS, $ada);
my @rest = @organizations;
while (my @some = splice @rest, 0, 500) {
    my $ids = join ',', map { id_in_sql($_) } @some;
    sql("INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT id, $member, 'member', UTC_TIMESTAMP(3) FROM organizations WHERE id IN ($ids);"
        . "UPDATE organizations SET members = members + 1 WHERE id IN ($ids)");
}
for my $kind (@kinds) {
    my ($action, $procedure) = @$kind;
    my $began = time;
    my $errors = interrupted($procedure, @organizations);
    my $of = "events e %s WHERE e.action = '$action' AND e.request_id = 'interrupted'";
    my $done = sql_value('SELECT COUNT(*) FROM ' . sprintf $of, '');
    cmp_ok($errors, '>', $RUNS / 50, "$action: $errors of $RUNS were interrupted, $done done") or diag sprintf 'in %.1f s', time - $began;
    my @checks = @{$contradicts{$action}};
    while (my ($what, $join) = splice @checks, 0, 2) {
        is(sql_value('SELECT COUNT(*) FROM ' . sprintf $of, $join), 0, "never: $what");
    }
    is(sql_value("SELECT COUNT(*) FROM organizations o WHERE o.created_by = $actor AND o.members <> (SELECT COUNT(*) FROM memberships m WHERE m.organization_id = o.id)"),
        0, "$action: the members are as many as counted") or diag map { join(' ', 'members, memberships, seq, events:', map { $_ // 'NULL' } @$_) . "\n" }
        sql("SELECT o.members, (SELECT COUNT(*) FROM memberships m WHERE m.organization_id = o.id) AS there, o.seq, (SELECT COUNT(*) FROM events e WHERE e.organization_id = o.id) "
            . "FROM organizations o WHERE o.created_by = $actor HAVING members <> there LIMIT 20");
}
done_testing;
