# What the statements cost does not depend on how much there is: the plan of every statement of the module and of orgsctl,
# and of every one inside the procedures, on tables that are filled: no table is read from end to end, nothing is sorted
# aside. And what they read: rows, counted by the server, of an organization with thousands of members.
use Orgs::Test;
use Orgs::Data qw(data_sql data_crowd_sql data_token data_id sequence_sql);
use Orgs::Statements;
use Digest::SHA qw(sha256_hex);

my ($USERS, $MEMBERS, $EVENTS) = (2000, 3000, 3000);
my $CROWD = $USERS;
my $database = another_database('explained');

sub ask { return sql({database => 'explained'}, @_) }

ask(data_sql($USERS, 4));
ask(data_crowd_sql($CROWD, $USERS, $MEMBERS));
my %id = (user => "x'" . data_id(7, 1) . "'", organization => "x'" . data_id(7) . "'", license => "x'" . data_id(4, 4) . "'",
    token => "x'" . data_id(7, 3) . "'", none => "x'" . '0' x 32 . "'", crowd => "x'" . data_id($CROWD) . "'", admin => "x'" . data_id(0, 1) . "'");
my $in_sequence = sub { "UNHEX(CONCAT('019b7fa200007000', LPAD(HEX(seq), 16, '8000000000000000')))" };
ask("INSERT INTO deployments (id, license_id, name, status, created_at, updated_at) SELECT @{[$in_sequence->()]}, "
    . "(SELECT id FROM licenses ORDER BY id LIMIT 1 OFFSET 7), CONCAT('d', seq), 'running', '2026-01-01', '2026-01-01' FROM @{[sequence_sql(1, 10)]};"
    . "INSERT INTO deployments (id, license_id, name, status, created_at, updated_at) SELECT @{[$in_sequence->()]}, "
    . "LEFT(UNHEX(SHA2(seq, 256)), 16), CONCAT('d', seq), 'running', '2026-01-01', '2026-01-01' FROM @{[sequence_sql(11, 2000)]};"
    . "INSERT INTO events (id, organization_id, seq, at, actor_id, action, ikey, answer, expires_at) SELECT @{[$in_sequence->()]}, IF(seq % 2, $id{crowd}, LEFT(UNHEX(SHA2(seq, 256)), 16)), seq, "
    . "'2026-01-01', $id{admin}, 'member.add', UNHEX(SHA2(seq, 256)), '{}', IF(seq < 20, '2026-01-02', '2036-01-01') FROM @{[sequence_sql(1, $EVENTS)]};"
    . "INSERT INTO events (id, at, action, expires_at) SELECT LEFT(UNHEX(SHA2(seq, 256)), 16), '2026-01-01', 'abandoned', IF(seq < 20, '2026-01-02', '2036-01-01') FROM @{[sequence_sql(1, $EVENTS)]}");
ask("UPDATE users SET external_id = CONCAT('external', name); UPDATE organizations SET seq = $EVENTS WHERE id = $id{crowd}");
ask('ANALYZE TABLE users, tokens, organizations, memberships, licenses, deployments, events');
$id{deployment} = "x'" . sql_value({database => 'explained'}, 'SELECT HEX(id) FROM deployments LIMIT 1 OFFSET 5') . "'";
$id{event} = "x'" . sql_value({database => 'explained'}, "SELECT HEX(id) FROM events WHERE organization_id = $id{crowd} LIMIT 1 OFFSET 5") . "'";
$id{hundredth} = "x'" . sql_value({database => 'explained'}, 'SELECT HEX(id) FROM events ORDER BY id LIMIT 1 OFFSET 100') . "'";
my $hash = "x'" . sha256_hex(data_token(7)) . "'";
my $key = 'UNHEX(SHA2(7, 256))';

# --- plans ----------------------------------------------------------------------------------------------------------------------

# They have one row, or as many as questions travel together.
my $small = qr/^(?:s|v|settings|schema_version|q|numbers|items?|<(?:derived|union)[\d,]+>|NULL)$/;

sub plan {
    my ($name, $text) = @_;
    my @faults;
    for my $row (ask("EXPLAIN FORMAT=TRADITIONAL $text")) {
        # MySQL's have the partitions between
        my ($table, $type, $extra) = map { $_ // 'NULL' } @$row[2, is_mariadb() ? 3 : 4, -1];
        # MySQL notes the table that is written as well
        next if $table =~ $small || $row->[1] eq 'INSERT';
        # there MySQL notes the rows that it will change, when it changes them in the order of an index
        $extra =~ s/Using temporary// if $row->[1] eq 'UPDATE' && !is_mariadb();
        push @faults, "$table is read from end to end ($type)" if $type =~ /^(?:ALL|index)$/;
        push @faults, "$table: $1" if $extra =~ /(Using filesort|Using temporary|Using join buffer)/;
    }
    ok(!@faults, "$name: the plan") or diag join("\n", @faults, $text, map { join ' | ', map { $_ // 'NULL' } @$_ } ask("EXPLAIN FORMAT=TRADITIONAL $text"));
}

# The parameters of each statement that is no CALL.
my %given = (
    (map { my ($by, $key) = @$_; ("LOOKUP$by" => [$key, $id{organization}], "LOOKUP${by}_CROWD" => [$key, $id{organization}, 1], "WHO$by" => [$key], "WHO${by}_CROWD" => [$key, 1]) }
        ['', $hash], ['_EMAIL', "'user7\@example.org'"], ['_EXTERNAL_ID', "'externalUser 7'"]),
    ORG_LIST => [$id{user}, $id{none}, 0, 'NULL', 'NULL', 101], ORG_LIST_ALL => [$id{user}, $id{none}, 0, 'NULL', 'NULL', 101],
    ORG_LIST_FIRST => [$id{user}, 101], MEMBER_LIST_FIRST => [$id{crowd}, 101],
    MEMBER_LIST => [$id{crowd}, "'1000-01-01'", "'1000-01-01'", $id{none}, ('NULL') x 4, 101], MEMBER_GET => [$id{user}, $id{organization}],
    ASSIGNMENT_DEPLOYMENTS => [$id{organization}, $id{none}, 101], USER_LIST => [$id{none}, 101], USER_FIND => ["'user7\@example.org'"],
    TOKEN_LIST => [$id{user}, $id{none}, 101], ORG_SHOW => [$id{crowd}], PLAN_SHOW => [], EVENT_LIST => [$id{crowd}, 0, 101],
    EVENT_LIST_DESC => [$id{crowd}, '9000000000000000000', 101], LICENSE_LIST => [$id{none}, 101], LICENSE_SHOW => [$id{license}], DEPLOYMENTS_OF => [$id{license}, $id{none}, 101],
);

sub filled {
    my ($statement) = @_;
    my @values = @{$given{$statement->{name}} // return};
    die "$statement->{name} has $statement->{params} parameters\n" if @values != $statement->{params};
    return $statement->{text} =~ s/\?/shift @values/ger;
}

my @statements = statements();
cmp_ok(scalar @statements, '>', 40, 'there are statements');
my @reads = grep { $_->{text} !~ /^CALL / } @statements;
is_deeply([map { $_->{name} } grep { !defined filled($_) } @reads], [], 'the parameters of each are known here');
plan($_->{name}, filled($_)) for @reads;

# Inside the procedures: a variable's value by the column it is compared with, else by its type.
my %by_column = (user_id => $id{user}, actor_id => $id{user}, organization_id => $id{organization}, reserved_for => $id{organization}, license_id => $id{license},
    created_by => $id{user}, email => "'user7\@example.org'", external_id => "'externalUser 7'", hash => $hash, ikey => $key);
my %by_name = (p_items => "'[{}]'", v_told => "'[{}]'", p_after => $id{none}, v_after => $id{none}, p_until => $id{hundredth}, v_last => $id{hundredth}, v_now => "'2026-06-01'", p_before => "'2026-06-01'");
my %by_type = (BOOLEAN => 1, INT => 100, BIGINT => 100, MEDIUMTEXT => "'x'", 'DATETIME(3)' => "'2026-06-01'", 'BINARY(16)' => $id{organization}, 'BINARY(32)' => $key);

sub substituted {
    my ($statement) = @_;
    my $types = $statement->{types};
    my ($table) = $statement->{text} =~ /\b(?:FROM|UPDATE)\s+(\w+)/;
    my $own = $id{$table =~ s/s(?:_v\d+)?$//r} // $id{organization};
    my $value = sub {
        my ($column, $variable) = @_;
        return $by_name{$variable} // (($column // '') eq 'id' ? $own : $by_column{$column // ''}) // $by_type{$types->{$variable} // ''} // "'x'";
    };
    return $statement->{text} =~ s/\b((?:\w+\.)?(\w+)\s*(?:<=>|<=|>=|<>|=|<|>)\s*)([pv]_\w+)/$1 . $value->($2, $3)/ger =~ s/\b([pv]_\w+)\b/$value->(undef, $1)/ger;
}

my @inside = procedure_statements();
cmp_ok(scalar @inside, '>', 100, 'there are statements inside the procedures');
plan("$_->{name}: " . substr($_->{text}, 0, 60), substituted($_)) for @inside;

# --- rows -----------------------------------------------------------------------------------------------------------------------

# How many rows and index entries it reads, the second time: the first one also loads the procedure. (Entries that the
# storage engine passes over by itself are counted apart.) And the first row of its answer, and all of it as text.
sub rows_read {
    my ($make) = @_;
    my ($read, $first, $text);
    for (1 .. 2) {
        my @rows = ask('FLUSH STATUS; ' . $make->() . "; SHOW SESSION STATUS LIKE 'Handler_%'");
        ($first) = @rows;
        $read = 0;
        $read += $_->[1] for grep { ($_->[0] // '') =~ /^Handler_(?:read_|icp_attempts)/ } @rows;
        $text = join ' ', map { map { $_ // '' } @$_ } @rows;
    }
    return ($read, $first, $text);
}

for my $statement (@reads) {
    my $text = filled($statement);
    my ($limit) = $text =~ /LIMIT (\d+)$/;
    my $most = ($limit // 1) * 8 + 12;
    my ($read) = rows_read(sub { $text });
    cmp_ok($read, '<=', $most, "$statement->{name} reads few rows");
    cmp_ok($read, '>', 0, '... and some') if $statement->{name} ne 'PLAN_SHOW';
}

# Members who all joined at one moment, as an import makes them: a batch begins where the last one ended.
{
    my ($statement) = grep { $_->{name} eq 'MEMBER_LIST' } @statements;
    my $moment = "'2026-02-02 02:02:02.002'";
    ask("INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT x'@{['77' x 16]}', LEFT(UNHEX(SHA2(seq, 256)), 16), 'member', $moment FROM @{[sequence_sql(1, 2000)]};"
        . "INSERT IGNORE INTO users (id, email, created_at) SELECT LEFT(UNHEX(SHA2(seq, 256)), 16), CONCAT('import', seq, '\@example.org'), $moment FROM @{[sequence_sql(1, 2000)]}");
    my @values = ("x'@{['77' x 16]}'", $moment, $moment, "x'" . 'c0' x 16 . "'", ('NULL') x 4, 101);
    my $text = $statement->{text} =~ s/\?/shift @values/ger;
    my ($read, undef, $answer) = rows_read(sub { $text });
    cmp_ok($read, '<=', 101 * 4, 'a batch from the midst of those who joined at one moment reads few rows');
    my $found = () = $answer =~ /import\d+\@/g;
    is($found, 101, '... and finds them');
}

my $new = "UNHEX(REPLACE(UUID(), '-', ''))";
my $other = 10;
my $next = sub { return "'user" . $other++ . "\@example.org'" };
my $member = $USERS + 5;
my $next_member = sub { return "x'" . data_id($member++, 1) . "'" };
my $free = "x'" . ('ab' x 16) . "'";
ask("INSERT INTO licenses (id, plan, created_at) VALUES ($free, 'pro', '2026-01-01')");
# [a CALL, what it reads at most]: what is done to the organization with the crowd
for my $case (
    [sub { "CALL organization_create_v1($new, $id{user}, 'r', $new, 'New', NULL, NULL, NULL, NULL)" }, 15],
    [sub { "CALL organization_create_v1($new, $id{user}, 'r', $new, 'New', NULL, 50, NULL, NULL)" }, 80],
    [sub { "CALL organization_create_v1($new, $id{user}, 'r', $new, 'New', NULL, NULL, UNHEX(SHA2(UUID(), 256)), UNHEX(SHA2('x', 256)))" }, 20],
    [sub { "CALL organization_update_v1($new, $id{admin}, 'r', 0, $id{crowd}, NULL, UUID(), 0, NULL, NULL)" }, 20],
    [sub { "CALL member_add_v1($new, $id{admin}, 'r', 0, $id{crowd}, @{[$next->()]}, 'member', NULL, NULL)" }, 30],
    [sub { "CALL member_update_v1($new, $id{admin}, 'r', 0, $id{crowd}, @{[$next_member->()]}, 'admin')" }, 40],
    [sub { "CALL member_remove_v1($new, $id{admin}, 'r', 0, $id{crowd}, @{[$next_member->()]})" }, 40],
    # an admin: whether there is another one is asked
    [sub { my $who = $next_member->(); "CALL member_update_v1($new, $id{admin}, 'r', 0, $id{crowd}, $who, 'admin'); CALL member_remove_v1($new, $id{admin}, 'r', 0, $id{crowd}, $who)" }, 60],
    [sub { "CALL license_assign_v1($new, $id{admin}, 'r', 0, $id{crowd}, NULL, $free)" }, 40],
    [sub { "CALL license_unassign_v1($new, $id{admin}, 'r', 0, $id{crowd}, NULL)" }, 40],
    [sub { "CALL event_settle_v1($new)" }, 10],
    [sub { "CALL event_expire_v1($new, 5)" }, 40],
    [sub { "CALL user_provision_v1($new, 'r', $new, CONCAT(UUID(), '\@example.org'))" }, 10],
    [sub { "CALL organization_add_admin_v1($new, $id{crowd}, @{[$next->()]})" }, 40],
    [sub { "CALL user_deactivate_v1($new, @{[$next->()]}, 1)" }, 60],
    [sub { "CALL token_revoke_all_v1($new, 'user12\@example.org')" }, 15],
    [sub { "CALL license_set_v1($new, $free, 'pro', 0, NULL, 0, NULL, 0, NULL, NULL, NULL)" }, 20],
    [sub { "CALL event_prune_v1($new, $id{none}, $id{hundredth}, '2025-01-01', 50)" }, 220],
) {
    my ($make, $most) = @$case;
    my ($name) = $make->() =~ /.*CALL (\w+)/;
    my ($read, $first) = rows_read($make);
    cmp_ok($read, '<=', $most, "$name reads few rows");
    is($first->[0] // 'done', $name eq 'event_settle_v1' ? 'abandoned' : 'done', '... and does what it should');
}

done_testing;
