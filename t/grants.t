# Contract 8: the module's account can do nothing but SELECT and EXECUTE, and its EXECUTE is worth nothing on what only
# orgsctl needs.
use Orgs::Test;

my %orgs = (account => 'orgs', user => 'orgs');
my %admin = (account => 'admin');
my $ada = user('ada');
my $spare = user('spare');
my $organization = organization($ada);
my $license = orgsctl('license', 'add', '--plan=team');
my $deployment = orgsctl('deployment', 'add', $license, 'web');

# other tests make databases of their own
is_deeply([sort grep { !/ON `(?!orgs`)\w/ } map { $_->[0] =~ s/ IDENTIFIED BY.*//r } sql({%orgs}, 'SHOW GRANTS')],
    ['GRANT SELECT, EXECUTE ON `orgs`.* TO `orgs`@`localhost`', 'GRANT USAGE ON *.* TO `orgs`@`localhost`'],
    'what the grants say of the module\'s account');
is(sql_value({%orgs}, 'SELECT COUNT(*) FROM organizations WHERE id = ' . id_in_sql($organization->{id})), 1, 'it reads');

my @tables = map { $_->[0] } sql("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'orgs' AND TABLE_TYPE = 'BASE TABLE' ORDER BY 1");
cmp_ok(scalar @tables, '>=', 8, 'there are tables') or diag "@tables";

sub state_now { join "\n", map { join "\t", map { $_ // 'NULL' } @$_ } sql('CHECKSUM TABLE ' . join ', ', map { "orgs.$_" } @tables) }

my $before = state_now();

# --- statements -----------------------------------------------------------------------------------------------------------

my %denied = map { $_ => 1 } 1044, 1045, 1142, 1143, 1227, 1290, 1370, 1419;
my @statements = (
    (map { my $t = $_; ("INSERT INTO $t SELECT * FROM $t LIMIT 1", "DELETE FROM $t", "TRUNCATE TABLE $t", "DROP TABLE $t",
        "ALTER TABLE $t ADD COLUMN x INT", "CREATE INDEX x ON $t (id)", "LOCK TABLES $t WRITE", "RENAME TABLE $t TO x") } @tables),
    'UPDATE users SET superuser = 1', 'UPDATE tokens SET revoked_at = NULL', 'UPDATE memberships SET role = "admin"',
    'UPDATE organizations SET name = "x"', 'UPDATE licenses SET reserved_for = NULL', 'UPDATE events SET actor_id = NULL',
    'REPLACE INTO settings (id, free_plan) VALUES (1, "x")',
    'CREATE TABLE x (id INT)', 'CREATE TEMPORARY TABLE x (id INT)', 'CREATE VIEW x AS SELECT 1', 'CREATE DATABASE x', 'DROP DATABASE orgs',
    'CREATE FUNCTION x() RETURNS INT RETURN 1', 'CREATE TRIGGER x BEFORE INSERT ON users FOR EACH ROW SET @x = 1',
    'CREATE EVENT x ON SCHEDULE EVERY 1 DAY DO SELECT 1', 'DROP PROCEDURE organization_create_v1', 'DROP FUNCTION uuid_text_v1',
    'ALTER PROCEDURE organization_create_v1 SQL SECURITY INVOKER', 'CREATE USER x', 'DROP USER orgs_definer@localhost',
    'GRANT SELECT ON orgs.* TO orgs_admin@localhost', 'SET GLOBAL max_connections = 1', 'SELECT * FROM mysql.' . (is_mariadb() ? 'global_priv' : 'user'),
    "SELECT id FROM users INTO OUTFILE '/tmp/x'", "SELECT LOAD_FILE('/etc/passwd') IS NULL FROM mysql.db", 'SET PASSWORD FOR root@localhost = ""',
    'CREATE DEFINER = root@localhost PROCEDURE x() SELECT 1', 'SHUTDOWN', 'FLUSH TABLES', is_mariadb() ? 'SHOW MASTER STATUS' : 'SHOW BINARY LOG STATUS', 'SHOW ENGINE INNODB STATUS',
);
for my $statement (@statements) {
    my $number = sql({%orgs, fails => 1}, $statement);
    ok($denied{$number}, "denied: $statement") or diag "error $number";
}

# --- procedures ---------------------------------------------------------------------------------------------------------------

# How each that is orgsctl's alone would succeed. N: a new id.
my $email = "'$spare->{email}'";
my %calls = (
    operator_v1               => '',
    user_add_v1               => "N, N, 'new\@grants.example', NULL, NULL, 0",
    user_set_v1               => "N, $email, NULL, 1, 'Other', 0, NULL",
    user_deactivate_v1        => "N, $email, 0",
    user_activate_v1          => "N, $email",
    user_superuser_v1         => "N, $email, 1",
    token_issue_v1            => "N, N, $email, REPEAT('x', 32), NULL, NULL",
    token_revoke_v1           => "N, (SELECT id FROM tokens WHERE hash = UNHEX(SHA2('$spare->{token}', 256))), NULL",
    token_revoke_all_v1       => "N, $email",
    organization_add_admin_v1 => 'N, ' . id_in_sql($organization->{id}) . ", $email",
    plan_free_v1              => "N, 'free', 0, NULL",
    license_add_v1            => "N, N, 'team', NULL, NULL, NULL",
    license_set_v1            => 'N, ' . id_in_sql($license) . ", 'other', 0, NULL, 0, NULL, 0, NULL, NULL, NULL",
    license_release_v1        => 'N, ' . id_in_sql($license) . ', NULL, 0',
    deployment_add_v1         => 'N, N, ' . id_in_sql($license) . ", 'second', NULL, NULL, NULL, 'running'",
    deployment_set_v1         => 'N, ' . id_in_sql($deployment) . ", 'other', NULL, NULL, NULL, NULL",
    deployment_remove_v1      => 'N, ' . id_in_sql($deployment),
    event_prune_v1            => "N, X'00000000000000000000000000000000', X'ffffffffffffffffffffffffffffffff', '2100-01-01', 10",
);
my @routines = sql("SELECT ROUTINE_NAME, SECURITY_TYPE FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'orgs' AND ROUTINE_TYPE = 'PROCEDURE'");
my %security = map { $_->[0] => $_->[1] } @routines;
is_deeply([sort grep { $security{$_} eq 'INVOKER' } keys %security], [sort keys %calls],
    'each procedure with its caller\'s rights has a row in the table above') or diag 'add what is missing there';
sub call_of {
    my ($name) = @_;
    return "CALL $name(" . ($calls{$name} =~ s/\bN\b/id_in_sql(uuid())/ger) . ')';
}
for my $name (grep { $security{$_} } sort keys %calls) {
    my $number = sql({%orgs, fails => 1}, call_of($name));
    ok($denied{$number}, "denied: CALL $name") or diag "error $number";
}
is(state_now(), $before, 'and nothing was changed');

# The same calls are good: the tool's account may do all of them.
for my $name (grep { $security{$_} } sort { ($a =~ /remove|prune|release/) <=> ($b =~ /remove|prune|release/) || $a cmp $b } keys %calls) {
    is(sql({%admin, fails => 1}, call_of($name)), 0, "the tool's account: CALL $name");
}
isnt(state_now(), $before, 'and that changed something');

for my $name (sort grep { $security{$_} eq 'DEFINER' } keys %security) {
    my ($definer) = sql_value("SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'orgs' AND ROUTINE_NAME = '$name'");
    is($definer, 'orgs_definer@localhost', "$name has the rights of the locked account");
}
is(account_locked('orgs_definer'), 1, 'which is locked');

done_testing;
