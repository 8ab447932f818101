# A primary and its replica, as an operator would have them: what was answered is with both (semi-synchronous).
#
#   my ($first, $second) = pair($port);       # Orgs::Database, running, at 127.0.0.1 and 127.0.0.2; the first one primary
#   switch_over($first, $second);             # in order: nothing is lost, the first one follows
#   promote($second) if applied($second);     # after the death of the other
package Orgs::Replication;

use Orgs::Test;
use Orgs::Database;

use Exporter qw(import);

our @EXPORT = qw(pair switch_over applied promote);

# What the two vendors call it.
my %words = is_mariadb() ? (
    options  => {binlog_format => 'ROW', log_slave_updates => 1, rpl_semi_sync_master_timeout => 10_000, rpl_semi_sync_slave_enabled => 1},
    follow   => "SET GLOBAL gtid_slave_pos = \@\@gtid_binlog_pos; CHANGE MASTER TO master_host = '%s', master_port = %d, master_user = 'replica', "
        . "master_password = 'replica', master_use_gtid = slave_pos, master_connect_retry = 1; START SLAVE",
    clients  => 'Rpl_semi_sync_master_clients',
    enabled  => 'rpl_semi_sync_master_enabled',
    position => 'SELECT @@gtid_binlog_pos',
    reached  => "SELECT MASTER_GTID_WAIT('%s', 20) = 0",
    leave    => 'STOP SLAVE; RESET SLAVE ALL',
    applied  => "SELECT COUNT(*) = SUM(state IS NULL OR state = '' OR state LIKE 'Slave has read all relay log%') FROM information_schema.processlist WHERE command = 'Slave_SQL'",
) : (
    options  => {gtid_mode => 'ON', enforce_gtid_consistency => 'ON', performance_schema => 1, rpl_semi_sync_source_timeout => 10_000, rpl_semi_sync_replica_enabled => 1,
        plugin_load_add => 'rpl_semi_sync_source=semisync_source.so;rpl_semi_sync_replica=semisync_replica.so'},
    follow   => "CHANGE REPLICATION SOURCE TO source_host = '%s', source_port = %d, source_user = 'replica', source_password = 'replica', "
        . 'source_auto_position = 1, source_connect_retry = 1, get_source_public_key = 1; START REPLICA',
    clients  => 'Rpl_semi_sync_source_clients',
    enabled  => 'rpl_semi_sync_source_enabled',
    position => "SELECT REPLACE(\@\@GLOBAL.gtid_executed, '\\n', '')",
    reached  => "SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', 20) = 0",
    leave    => 'STOP REPLICA; RESET REPLICA ALL',
    applied  => 'SELECT GTID_SUBSET(received_transaction_set, @@GLOBAL.gtid_executed) FROM performance_schema.replication_connection_status',
);
my $pairs = 0;

sub pair {
    my ($port) = @_;
    $pairs++;
    my @servers = map { Orgs::Database->new("hosts-$pairs-$_", port => $port, bind_address => "127.0.0.$_", server_id => $_, log_bin => 'bin', read_only => 1, %{$words{options}}) } 1, 2;
    $_->start for @servers;
    $servers[$_ - 1]{address} = "127.0.0.$_" for 1, 2;
    $servers[0]->sql("SET GLOBAL read_only = 0; CREATE USER replica\@'127.0.0.%' IDENTIFIED BY 'replica'; GRANT REPLICATION SLAVE ON *.* TO replica\@'127.0.0.%'");
    follow($servers[1], $servers[0]);
    acknowledged($servers[0]);
    return @servers;
}

sub follow {
    my ($replica, $primary) = @_;
    $replica->sql(sprintf $words{follow}, $primary->{address}, $primary->{port});
    until_true(20, sub { $primary->value("SHOW GLOBAL STATUS WHERE variable_name = '$words{clients}' AND value > 0") }) or die "no replica\n";
    return;
}

# What is not yet with the replica is not yet answered.
sub acknowledged { my ($server) = @_; $server->sql("SET GLOBAL $words{enabled} = 1"); return }

# Whether all that a replica has heard of is there.
sub applied { my ($server) = @_; return $server->value($words{applied}) }

sub promote { my ($server) = @_; $server->sql("$words{leave}; SET GLOBAL read_only = 0"); return }

sub switch_over {
    my ($from, $to) = @_;
    $from->sql("SET GLOBAL $words{enabled} = 0; SET GLOBAL read_only = 1");
    $to->value(sprintf $words{reached}, $from->value($words{position})) or die "the replica does not catch up\n";
    promote($to);
    follow($from, $to);
    acknowledged($to);
    return;
}

1;
