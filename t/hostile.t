# Contract 3, rule 8: a database whose defaults are hostile, and one that is left alone in the middle of a write. The
# module's session is its own: what it writes and reads is right whatever the server's configuration and init_connect
# make of a session, its limits are below OrgsDBTimeout, and what cannot be had is a refused connection and one line in
# the log. orgsctl likewise.
use Orgs::Test;
use Orgs::Database;
use Orgs::Httpd;
use Time::HiRes qw(sleep time);

my $TIMEOUT = 2;
my $db = Orgs::Database->new('hostile', sql_mode => 'PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE',
    character_set_server => 'latin1', collation_server => 'latin1_german1_ci',
    default_time_zone => '+05:45', transaction_isolation => 'SERIALIZABLE', transaction_read_only => 1, autocommit => 0, completion_type => 'CHAIN',
    innodb_lock_wait_timeout => 100_000, lock_wait_timeout => 31_000_000, event_scheduler => 1, lower_case_table_names => 0,
    is_mariadb() ? (skip_character_set_client_handshake => undef, max_statement_time => 0, idle_transaction_timeout => 0, query_cache_type => 1, query_cache_size => '1M') : (max_execution_time => 0))->start;

# A MariaDB's variables by a MySQL's names, and those that only a MariaDB has, or that a MySQL keeps for its administrator.
sub vendors { return is_mariadb() ? $_[0] : $_[0] =~ s/\btx_/transaction_/gr =~ s/\b(?:check_constraint_checks|max_error_count|max_statement_time|idle_\w+) = [\d.]+,\s*//gr }

# ours, as root: init_connect is not for us
my $OURS = vendors(q{SET SESSION sql_mode = '', autocommit = 1, tx_read_only = 0, completion_type = 'NO_CHAIN', tx_isolation = 'READ-COMMITTED', time_zone = '+00:00', innodb_lock_wait_timeout = 20, lock_wait_timeout = 20, sql_safe_updates = 0});
$db->sql("$OURS; SET NAMES utf8mb4");

my $token = $db->token('ada');
my $httpd = Orgs::Httpd->start("OrgsDBTimeout $TIMEOUT\nOrgsDBMax 4\nLogLevel orgs:info\n" . database_lines('hostile')
    . "<Location \"/organizations\">\nSetHandler orgs\n</Location>\n");
watch_log($httpd->{log});

sub ask {
    my ($method, $path, %options) = @_;
    return api($method, '', token => $token, url => $httpd->url("/organizations$path"), %options);
}

# What an event is written by tells of its session, as only that can: a trigger runs in it.
my %wanted = (time_zone => '+00:00', autocommit => 1, completion_type => 'NO_CHAIN', foreign_key_checks => 1, unique_checks => 1,
    sql_select_limit => '18446744073709551615', sql_safe_updates => 0, sql_auto_is_null => 0, innodb_lock_wait_timeout => 1, lock_wait_timeout => 1, net_write_timeout => 2,
    is_mariadb() ? (tx_isolation => 'READ-COMMITTED', tx_read_only => 0, check_constraint_checks => 1, max_statement_time => '1.200000', idle_transaction_timeout => 1,
        idle_readonly_transaction_timeout => 1, idle_write_transaction_timeout => 1, wait_timeout => 28800, query_cache_type => 0)
    : (transaction_isolation => 'READ-COMMITTED', transaction_read_only => 0, max_execution_time => 1200, wait_timeout => 60));
my @spied = sort keys %wanted;
my @limits = grep { /^(?:innodb_lock_wait|lock_wait|idle_transaction)_timeout$|^max_statement_time$/ } @spied;
$db->sql('CREATE TABLE spy (session LONGTEXT CHARACTER SET utf8mb4) ENGINE=MyISAM;'
    . 'CREATE TRIGGER spies BEFORE INSERT ON events FOR EACH ROW INSERT INTO spy VALUES (CONCAT_WS(\'|\', '
    . join(', ', map { "CAST(\@\@session.$_ AS CHAR)" } @spied) . '))');

# The module's sessions end; the next request makes new ones.
sub end_sessions {
    $db->sql("KILL $_->[0]") for $db->sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'orgs'");
    until_true(5, sub { !$db->value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'orgs'") });
}

# --- whatever a session begins with, it is right ----------------------------------------------------------------------------

my $name = "Zo\x{eb} \x{2211}\x{1F3E2}e\x{301} 'q\"\\";
my @begins = (
    ['the configuration', ''],
    ['other characters', 'SET NAMES latin1 COLLATE latin1_german2_ci'],
    ['another time zone', "SET time_zone = '-11:00'"],
    ['a clock that stands still', 'SET timestamp = 86400'],
    ['an old view of everything', "SET tx_isolation = 'REPEATABLE-READ', tx_read_only = 0; START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT COUNT(*) FROM organizations"],
    ['the rest', q{SET sql_mode = 'NO_ZERO_DATE', autocommit = 0, completion_type = 'RELEASE', sql_select_limit = 1, sql_safe_updates = 1, sql_auto_is_null = 1,
        foreign_key_checks = 0, unique_checks = 0, check_constraint_checks = 0, max_error_count = 0, max_sort_length = 64, max_join_size = 1, max_statement_time = 0.02,
        idle_transaction_timeout = 0, idle_write_transaction_timeout = 86400, wait_timeout = 1, net_write_timeout = 1, net_read_timeout = 1, group_concat_max_len = 4}],
);
for my $case (@begins) {
    my ($what, $init) = ($case->[0], vendors($case->[1]));
    $db->sql(sprintf 'SET GLOBAL init_connect = %s', "'" . $init =~ s/'/''/gr . "'");
    end_sessions();
    $db->sql('TRUNCATE spy');
    my $before = now_ms();
    my $r = ask(POST => '', json => {name => $name, description => "$name\n"});
    answers($r, 201, "$what: an organization is created") or next;
    my $id = id_in_sql($r->{json}{id});
    my $utf8 = $name;
    utf8::encode($utf8);
    is($r->{json}{name}, $name, '... with its name');
    is($db->value("SELECT HEX(name) FROM organizations WHERE id = $id"), uc unpack('H*', $utf8), '... byte for byte');
    is($db->value("SELECT ABS(TIMESTAMPDIFF(SECOND, created_at, SYSDATE())) <= 5 FROM organizations WHERE id = $id"), 1, '... its time is now, in UTC')
        or diag $db->value("SELECT CONCAT(created_at, ' ', SYSDATE()) FROM organizations WHERE id = $id");
    my $said = Time::HiRes::time();
    my ($y, $m, $d, $h, $min, $s) = $r->{json}{created_at} =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/;
    require Time::Local;
    cmp_ok(abs(Time::Local::timegm($s, $min, $h, $d, $m - 1, $y) - $said), '<=', 5, '... and so it is told');
    answers(ask(POST => "/$r->{json}{id}/members", json => {email => 'bob@example.com'}), 201, '... a member is added');
    my $list = ask(GET => "/$r->{json}{id}/members");
    is(scalar @{$list->{json} || []}, 2, '... and a list is whole');
    answers(ask(PUT => "/$r->{json}{id}", json => {description => "\x{1F4A5}"}), 200, '... it is changed');
    $db->sql("UPDATE organizations SET name = 'renamed' WHERE id = $id");
    is(ask(GET => "/$r->{json}{id}")->{json}{name}, 'renamed', '... what others write is seen at once');
    my @sessions = $db->sql('SELECT DISTINCT session FROM spy');
    is(scalar @sessions, 1, '... all its sessions are alike');
    my %session;
    @session{@spied} = map { $_ eq 'ON' ? 1 : $_ eq 'OFF' ? 0 : $_ } split /\|/, $sessions[0][0] // '';
    is_deeply(\%session, \%wanted, '... and as they should be') or diag explain \%session;
    cmp_ok($session{$_} || 99, '<', $TIMEOUT, "... $_ is below OrgsDBTimeout") for @limits;
    is($db->value("SELECT COUNT(*) FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id WHERE p.USER = 'orgs'"),
        0, '... and no transaction stays open');
}

# orgsctl, with the last of these and without
for my $init (vendors($begins[-1][1]), '') {
    $db->sql(sprintf 'SET GLOBAL init_connect = %s', "'" . $init =~ s/'/''/gr . "'");
    my %there = (run => $db->{run});
    my $what = $init ? 'the same' : 'the configuration';
    my $email = 'zoe' . length($init) . '@example.com';
    my $id = orgsctl(\%there, 'user', 'add', $email, "--name=Zo\xc3\xab \xf0\x9f\x8f\xa2");
    is($db->value("SELECT HEX(name) FROM users WHERE id = " . id_in_sql($id)), '5A6FC3AB20F09F8FA2', "orgsctl, $what: a user's name, byte for byte");
    is(scalar(() = orgsctl(\%there, 'user', 'list') =~ /\@example\.com/g), 3 + !$init, '... and the list is whole');
}
{
    my $cnf = "$db->{run}/another.cnf";
    my $text = join '', $db->lines('root.cnf');
    $db->lines('another.cnf', $text =~ s/^database=.*/database=another/mr);
    $db->sql('CREATE DATABASE another');
    my $made = orgsctl({defaults => $cnf, fails => 1}, 'schema');
    is($made->[0], 0, 'a schema is made there') or diag $made->[2];
    is(orgsctl({defaults => $cnf, fails => 1}, 'schema', '--check')->[0], 0, '... and is as it should be');
}

# --- what cannot be made right is refused, with one line ------------------------------------------------------------------

# [what, SQL, SQL to undo it, what the log says]
my @refused = (
    ['an init_connect that fails', "SET GLOBAL init_connect = 'SELECT * FROM nowhere'", "SET GLOBAL init_connect = ''", qr/./],
    ['another database', "SET GLOBAL init_connect = 'USE information_schema'", "SET GLOBAL init_connect = ''", qr/init_connect leads to another database/],
    ['packets that are too small', 'SET GLOBAL max_allowed_packet = 65536', 'SET GLOBAL max_allowed_packet = 16777216', qr/max_allowed_packet is below 131072/],
);
for my $case (@refused) {
    my ($what, $do, $undo, $line) = @$case;
    expect_log('ORGS0102', undef);
    $db->sql($do);
    end_sessions();
    my $log = -s $httpd->{log};
    problem(ask(POST => '', json => {name => 'x'}), 503, 'unavailable', "$what: refused");
    ask(GET => '') for 1 .. 3;
    my @lines = split /^/, substr $httpd->log_text, $log;
    my @told = grep { /ORGS0102/ } @lines;
    my %told;
    $told{/\[pid (\d+)/ ? $1 : ''}++ for @told;
    ok(@told && !grep({ $_ > 1 } values %told), '... one line in the log, of each process') or diag @lines;
    like($told[0] // '', $line, '... says why');
    $db->sql($undo);
    ok(until_true(5, sub { ask(GET => '')->{status} == 200 }), '... and once that is over, all is well') or diag $httpd->log_text;
}

# --- sessions that are left alone -----------------------------------------------------------------------------------------------

my $organization = ask(POST => '', json => {name => 'Left alone'})->{json}{id};
my $org = id_in_sql($organization);
$db->sql('DROP TRIGGER spies; CREATE TABLE busy (yes INT) ENGINE=MyISAM;'
    . "\nDELIMITER \$\$\nCREATE TRIGGER spins BEFORE INSERT ON events FOR EACH ROW BEGIN WHILE NEW.action <> 'abandoned' AND EXISTS (SELECT * FROM busy) DO DO 0; END WHILE; END\$\$\nDELIMITER ;\nSELECT 1");

# A session of ours waits for a row that another one has locked until that lets go.
sub until_free {
    my $began = time;
    Orgs::Test::sql({run => $db->{run}, database => 'orgs'}, "$OURS; SELECT name FROM organizations WHERE id = $org FOR UPDATE; ROLLBACK");
    return time - $began;
}

my @frozen;
END { kill CONT => @frozen }

diag 'THIS SERVER HAS NO LIMIT FOR A PROCEDURE: a session that is left alone in the middle of one is not tested' if !is_mariadb();
my $root = $db->value("SELECT HEX(id) FROM users WHERE email = 'bob\@example.com'");
for my $case (
    is_mariadb() ? ['in the middle of a write', 'INSERT INTO busy VALUES (1)', 'DELETE FROM busy', 'trigger'] : (),
    ['waiting for a lock while it has another', "BEGIN; SELECT * FROM users WHERE id = X'$root' FOR UPDATE", 'ROLLBACK', 'lock'],
) {
    my ($what, $do, $undo, $kind) = @$case;
    expect_log('ORGS0012', undef);
    expect_log('ORGS0102', undef);
    $db->sql($do);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        Test::More->builder->no_ending(1);
        my $r = ask(POST => "/$organization/members", json => {email => 'bob@example.com'});
        open my $out, '>', top() . '/run/left' or die;
        print $out $r->{status};
        close $out;
        POSIX::_exit(0);
    }
    # within a procedure a session has its definer's name; ours prepares nothing
    my $executing = sub { $db->value("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Execute'") // 0 };
    my $session = until_true(5, sub { my $seen = $executing->(); sleep 0.1; return $seen && $seen == $executing->() ? $seen : 0 });
    @frozen = $httpd->children;
    kill STOP => @frozen;
    ok($session, "$what: it runs when its httpd is frozen");
    my $held = until_free();
    cmp_ok($held, '>', 0.1, '... it has the lock');
    cmp_ok($held, '<', 1.2 * $TIMEOUT + 0.5, sprintf '... and lets go, after %.2f s', $held);
    # what is told of transactions is a tenth of a second old, and older for who asks too often
    ok(until_true(2, sub { sleep 0.15; !$db->value("SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = $session") }),
        '... no transaction of it is left');
    $db->sql($undo);
    kill CONT => splice @frozen;
    waitpid $pid, 0;
    my $status = do { open my $in, '<', top() . '/run/left' or die; <$in> };
    my $there = $db->value("SELECT COUNT(*) FROM memberships WHERE organization_id = $org");
    ok($status == 201 ? $there == 2 : $status == 503 ? $there == 1 : $status == 504, "... thawed, it tells the truth: $status") or diag "members: $there";
    ok(until_true(5, sub { ask(GET => "/$organization")->{status} == 200 }), '... and all is well');
    $db->sql("DELETE FROM memberships WHERE organization_id = $org AND role = 'member'; UPDATE organizations SET members = 1 WHERE id = $org");
}

# --- the environment, and option files ----------------------------------------------------------------------------------------

# What the client libraries would obey: a port, a socket, a password, code to load, files of options; and what they would
# take from the file of OrgsDBDefaultsFile, if they read it.
{
    my $options = "init-command=SELECT * FROM nowhere\nplugin-dir=/nowhere\nlocal-infile=1\nreconnect=1\ndefault-character-set=latin1\n"
        . "default-auth=mysql_clear_password\nprotocol=tcp\nbind-address=127.0.0.9\nconnect-timeout=1\ncompress\nssl-verify-server-cert=0\nssl-cipher=NULL\nmulti-statements=1\n";
    $db->lines('.my.cnf', "[client]\nhost=db.example.com\nuser=nobody\npassword=wrong\n$options");
    $db->lines('hostile.cnf', $db->lines('orgs.cnf'), $options, "!include $db->{run}/.my.cnf\n[mod_orgs]\n$options");
    local %ENV = (%ENV, MYSQL_PWD => 'wrong', MYSQL_TCP_PORT => 1, MYSQL_UNIX_PORT => '/nowhere', MARIADB_UNIX_PORT => '/nowhere', MYSQL_HOME => $db->{run},
        MARIADB_HOME => $db->{run}, LIBMYSQL_PLUGINS => 'nothing;nowhere', MARIADB_PLUGIN_DIR => '/nowhere', LIBMYSQL_PLUGIN_DIR => '/nowhere',
        LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN => 1, MARIADB_TLS_DISABLE_PEER_VERIFICATION => 1, HOME => $db->{run});
    my $other = Orgs::Httpd->start("OrgsDBTimeout $TIMEOUT\n" . database_lines('hostile') =~ s{/orgs\.cnf}{/hostile.cnf}r
        . "<Location \"/organizations\">\nSetHandler orgs\n</Location>\n");
    my $r = api(POST => '', json => {name => $name}, token => $token, url => $other->url('/organizations'));
    answers($r, 201, 'neither a hostile environment nor option files full of other things are obeyed');
    is($r->{json}{name}, $name, '... a name is what it was');
    is(scalar(() = $other->complaints), 0, '... and nothing is said of it') or diag $other->complaints;
    is(orgsctl({run => $db->{run}, fails => 1}, 'user', 'list')->[0], 0, '... nor by orgsctl');
    $other->stop;

    # nor does it say where the database is, where nothing else does
    local @ENV{qw(MYSQL_UNIX_PORT MARIADB_UNIX_PORT MYSQL_TCP_PORT)} = ("$db->{run}/db/socket", "$db->{run}/db/socket", $db->{port});
    for my $where ('host=localhost ', 'host=127.0.0.1 ') {
        my $lost = Orgs::Httpd->start("OrgsDBTimeout $TIMEOUT\nOrgsDBDefaultsFile $db->{run}/orgs.cnf\nOrgsDBParams \"${where}dbname=orgs user=orgs\"\n"
            . "<Location \"/organizations\">\nSetHandler orgs\n</Location>\n");
        problem(api(GET => '', token => $token, url => $lost->url('/organizations')), 503, 'unavailable', "... nor where the database is ($where)");
        $lost->stop;
    }
}

is_deeply([grep { /exit signal/ } split /^/, $httpd->log_text], [], 'no process of httpd died');
$httpd->stop;
$db->stop;
done_testing;
