# Contract 8: orgsctl schema makes, upgrades and mends, safe to repeat and to run twice at once.
use Orgs::Test;
use Orgs::Database;

my $db = Orgs::Database->new->start;
my $cnf = "$db->{run}/root.cnf";

# An option file for another database of the server; several processes may want it at once.
sub defaults {
    my ($name) = @_;
    my $text = do { local $/; open my $in, '<', $cnf or die $!; <$in> } =~ s/^database=.*/database=$name/mr;
    open my $out, '>', "$db->{run}/$name.cnf.$$" or die $!;
    print $out $text;
    close $out;
    rename "$db->{run}/$name.cnf.$$", "$db->{run}/$name.cnf" or die $!;
    return "$db->{run}/$name.cnf";
}

# [status, stdout, stderr] of orgsctl schema
sub schema { my ($name, @options) = @_; return orgsctl({defaults => defaults($name), fails => 1}, @options ? @options : 'schema') }

# All there is, as the server shows it.
sub dump_of {
    my ($name) = @_;
    my $text = '';
    for my $table ($db->sql("SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = '$name' ORDER BY 1")) {
        my ($row) = $db->sql("SHOW CREATE TABLE `$name`.`$table->[0]`");
        $text .= "$table->[0]: " . join(' ', map { $_ // '' } @$row[1 .. $#$row]) =~ s/ AUTO_INCREMENT=\d+//r . "\n";
    }
    for my $row ($db->sql("SELECT ROUTINE_NAME, ROUTINE_TYPE, DEFINER, SECURITY_TYPE, SQL_MODE, SHA2(ROUTINE_DEFINITION, 256), CREATED, LAST_ALTERED FROM information_schema.ROUTINES "
        . "WHERE ROUTINE_SCHEMA = '$name' ORDER BY 1, 2")) {
        $text .= join(' ', map { $_ // '' } @$row) . "\n";
    }
    return $text;
}

# --- made, and made again ----------------------------------------------------------------------------------------------------

my ($status, $out, $err) = @{schema('made', 'schema', '--check')};
is($status, 1, '--check of a database that is not there fails');
like("$out$err", qr/made.*missing/, 'and names it');
is($db->value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'made'"), 0, 'and makes nothing');
($status, $out, $err) = @{schema('made')};
is($status, 0, 'a schema is made') or diag $err;
is(schema('made', 'schema', '--check')->[0], 0, '--check is content');
my $whole = dump_of('made');
cmp_ok(length $whole, '>', 1000, 'there it is');
($status, $out, $err) = @{schema('made')};
is($status, 0, 'a second time') or diag $err;
is(dump_of('made'), $whole, 'touches nothing');
is_deeply([map { $_->[0] } $db->sql('SELECT version FROM made.schema_version')], [1], 'the version is there once');
unlike($err . $out, qr/password/i, 'no word of passwords');

# --- at once --------------------------------------------------------------------------------------------------------------------

for my $round (1 .. long_or(10, 3)) {
    my @results = race(6, sub { schema("racing$round") });
    is_deeply([map { $_->[0] } @results], [(0) x 6], "six at once, round $round") or diag explain \@results;
    is(schema("racing$round", 'schema', '--check')->[0], 0, '... and the schema is whole');
    my $like_made = sub { dump_of($_[0]) =~ s/\bracing$round\b/made/gr =~ s/ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d//gr };
    is($like_made->("racing$round"), $like_made->('made'), '... as if made by one');
}
{
    my @results = race(4, sub { schema('made') });
    is_deeply([map { $_->[0] } @results], [(0) x 4], 'and where there is nothing to do');
    is(dump_of('made'), $whole, 'nothing is done');
}

# --- mended -------------------------------------------------------------------------------------------------------------------------

my $create = 'organization_create_v1';

sub routines { return $db->sql("SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'made' ORDER BY 2") }

# Makes them again, the same but for whose they are.
sub owned_by {
    my ($owner, @names) = @_;
    my %type = map { $_->[1] => $_->[0] } routines();
    for my $name (@names) {
        my $text = join "\n", map { join "\t", map { $_ // 'NULL' } @$_ } $db->sql("SHOW CREATE $type{$name} made.$name");
        my ($mode, $statement) = $text =~ /\A[^\t]*\t([^\t]*)\t(.*)(?:\t[^\t]*){3}\z/s;
        $statement =~ s/DEFINER=`\w+`\@`[^`]*` (\w+) /DEFINER=$owner $1 made./;
        $db->sql("SET SESSION sql_mode = '$mode'; DROP $type{$name} made.$name;\nDELIMITER \$\$\n$statement\$\$\nDELIMITER ;\nDO 0");
    }
}

# [what happened, statements, what --check names]
for my $case (
    ['a dropped procedure',          'DROP PROCEDURE made.organization_delete_v1',                                  qr/organization_delete_v1.*missing/],
    ['a dropped function',           'DROP FUNCTION made.uuid_text_v1',                                             qr/uuid_text_v1.*missing/],
    ['a dropped view',               'DROP VIEW made.licenses_v1',                                                  qr/licenses_v1.*missing/],
    ['a changed procedure',          "DROP PROCEDURE made.event_settle_v1; CREATE DEFINER = `orgs_definer`\@`localhost` PROCEDURE made.event_settle_v1(IN p_event BINARY(16)) MODIFIES SQL DATA SELECT 'hello', 0, NULL",
                                                                                                                    qr/event_settle_v1.*(?:chang|differ)/],
    ['a changed view',               'CREATE OR REPLACE DEFINER = orgs_definer@localhost SQL SECURITY INVOKER VIEW made.licenses_v1 AS SELECT *, "active" AS status FROM made.licenses', qr/licenses_v1.*(?:chang|differ)/],
    ['a view of another owner',      'CREATE OR REPLACE DEFINER = root@localhost SQL SECURITY INVOKER VIEW made.licenses_v1 AS SELECT * FROM made.licenses', qr/licenses_v1.*own/],
    ['a procedure of another owner', sub { owned_by('`root`@`localhost`', $create) }, qr/$create.*(?:own|definer)/],
    ['all of another owner',         sub { owned_by('`restored`@`10.0.0.1`', map { $_->[1] } routines()) },      qr/$create.*(?:own|definer)/],
    ['rights of the caller',         "ALTER PROCEDURE made.$create SQL SECURITY INVOKER",                           qr/$create.*(?:chang|differ)/],
    ['rights of the definer',        'ALTER PROCEDURE made.user_superuser_v1 SQL SECURITY DEFINER',                 qr/user_superuser_v1.*(?:chang|differ)/],
    ['no routines at all',           sub { $db->sql("DROP $_->[0] made.$_->[1]") for routines() },                                    qr/$create.*missing/],
    ['no account of the definer',    'DROP USER orgs_definer@localhost',                                            qr/orgs_definer.*missing/],
    ['an account that is not locked', 'ALTER USER orgs_definer@localhost ACCOUNT UNLOCK',                           qr/orgs_definer/],
    ['an account without its rights', 'REVOKE ALL PRIVILEGES ON made.* FROM orgs_definer@localhost',                qr/orgs_definer/],
) {
    my ($what, $statements, $named) = @$case;
    ref $statements ? $statements->() : $db->sql($statements);
    my $spoilt = dump_of('made');
    ($status, $out, $err) = @{schema('made', 'schema', '--check')};
    is($status, 1, "$what: --check fails");
    like("$out$err", $named, '... and names it');
    is(dump_of('made'), $spoilt, '... and changes nothing');
    ($status, $out, $err) = @{schema('made')};
    is($status, 0, '... mended') or diag $err;
    is(schema('made', 'schema', '--check')->[0], 0, '... and whole again');
    my $timeless = sub { $_[0] =~ s/ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d//gr };
    is($timeless->(dump_of('made')), $timeless->($whole), '... as it was');
    is(account_locked('orgs_definer', {run => $db->{run}}), 1, '... and the owner is locked');
}

# What works goes on working: mending is not felt by who calls meanwhile.
{
    my $token = $db->token('ada');
    # the owner's account was lost above, and with it its rights here
    is(orgsctl({run => $db->{run}, account => 'root', fails => 1}, 'schema', '--check')->[0], 1, 'an account that was made anew lacks rights elsewhere');
    is(orgsctl({run => $db->{run}, account => 'root', fails => 1}, 'schema')->[0], 0, 'which are mended there');
    my @results = race(3, sub {
        my ($number) = @_;
        if ($number == 0) {
            return [map { orgsctl({run => $db->{run}, account => 'root', fails => 1}, 'schema')->[0] } 1 .. 5];
        }
        return [map { api(POST => '', vhost => 'orgs_second', token => $token, json => {name => 'x'})->{status} } 1 .. 40];
    });
    is_deeply($results[0], [(0) x 5], 'schema runs');
    is_deeply([map { @$_ } @results[1, 2]], [(201) x 80], 'while writes go on');
}

# --- refused ------------------------------------------------------------------------------------------------------------------------

$db->sql('UPDATE made.schema_version SET version = 99');
($status, $out, $err) = @{schema('made')};
is($status, 1, 'a newer schema is refused');
like($err, qr/newer/, 'and said so');
like($err, qr/\A[^\n]+\n\z/, 'in one line');
$db->sql('UPDATE made.schema_version SET version = 1');
$db->sql('DROP TABLE made.deployments');
($status, $out, $err) = @{schema('made')};
is($status, 1, 'a table that is gone is beyond repair');
like($err, qr/deployments/, 'and named');
is(schema('made', 'schema', '--check')->[0], 1, '--check finds it, too');
is(orgsctl({defaults => "$db->{run}/orgs.cnf", fails => 1}, 'schema')->[0], 1, 'the module\'s account cannot');
is(orgsctl({defaults => '/nowhere.cnf', fails => 1}, 'schema')->[0] > 0, 1, 'no option file');

$db->stop;
done_testing;
