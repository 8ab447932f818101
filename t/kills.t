# Contract 3, rule 8: under writers of all kinds the database is killed and started again, again and again; frozen and
# thawed; httpd's children are killed. What was answered 2xx is there, once; what was refused is not; the rest is either.
use Orgs::Test;
use Orgs::Database;
use Orgs::Httpd;
use Orgs::Ledger;
use Time::HiRes qw(sleep time);

my $writers = 8;
my $seed = $ENV{ORGS_TEST_SEED} || time;
diag "ORGS_TEST_SEED=$seed";
srand $seed;
my $db = Orgs::Database->new;

# Waits until so many more writes were answered 2xx.
sub progress {
    my ($ledger, $writes) = @_;
    my $from = $ledger->done;
    until_true(10, sub { $ledger->done - $from >= $writes });
    return;
}

# Writers, and one who does the harm until it is enough; then what they were told is compared with what is there.
sub storm {
    my ($what, $ledger, $harm) = @_;
    my @left = race($writers + 1, sub {
        my ($number) = @_;
        return $ledger->writer($number - 1) if $number;
        srand $seed;
        $harm->($ledger);
        $ledger->halt;
        until_true(60, sub { $ledger->ended == $writers });
        return 0;
    });
    return @left;
}

sub quiet {
    my ($what) = @_;
    my $open;
    until_true(6, sub { !($open = $db->value('SELECT COUNT(*) FROM information_schema.innodb_trx')) });
    is($open, 0, "$what: no transaction is left");
    return;
}

# Whether the database keeps its own rules after all that: what it says of its tables, and what each index has.
sub soundness {
    my ($ledger) = @_;
    return map { join ' ', map { $_ // 'NULL' } @$_ } $ledger->sql(join ';', 'CHECK TABLE events, organizations, memberships, licenses EXTENDED',
        map { "SELECT 'events by $_', COUNT(*), COUNT(DISTINCT id), COUNT(DISTINCT organization_id, seq) FROM events FORCE INDEX ($_) WHERE organization_id IS NOT NULL" }
            qw(PRIMARY events_seq events_ikey));
}

sub verdict {
    my ($what, $ledger, @left) = @_;
    is_deeply(\@left, [(0) x ($writers + 1)], "$what: whoever had an Idempotency-Key found out");
    my @lies = $ledger->judge;
    if (!is(scalar @lies, 0, "$what: the answers are the truth")) {
        diag join "\n", @lies > 20 ? (@lies[0 .. 19], '...') : @lies;
        my @sound = eval { soundness($ledger) };
        diag join "\n", @sound, $@ || ();
    }
    my @counts = $ledger->counts;
    my ($all, $done, %kinds) = (0, 0);
    for (@counts) {
        my ($name, $n) = @$_;
        my ($status) = $name =~ /^\S+ (\d+|no answer)/;
        $kinds{$status} += $n;
        $all += $n;
        $done += $n if $status =~ /^2/;
        like($status, qr/^(?:200|201|403|404|409|412|503|504|no answer)$/, "$what: $name") if $status !~ /^(?:200|201|403|404|409|412|503|504)$/;
    }
    cmp_ok($done, '>', 100, "$what: enough was written");
    diag sprintf '%s: %d writes: %s; the slowest answer took %.1f s', $what, $all, join(', ', map { "$_: $kinds{$_}" } sort keys %kinds), $ledger->longest;
    diag map { sprintf "    %7d %s\n", $_->[1], $_->[0] } @counts if $ENV{ORGS_TEST_LONG} || $ENV{ORGS_TEST_COUNTS};
    return;
}

# --- the database is killed ---------------------------------------------------------------------------------------------

{
    my $kills = long_or(300, 5);
    $db->start;
    my $ledger = Orgs::Ledger->new(name => 'killed', run => $db->{run}, vhost => 'orgs_second', writers => $writers, seed => $seed);
    $db->stop;
    my @left = storm('killed', $ledger, sub {
        for my $kill (1 .. $kills) {
            # now and then it is killed before it answers, or stopped in order
            if ($kill % 10 == 4) {
                $db->launch;
                sleep rand 0.25;
                $db->kill;
            }
            $db->start;
            progress($ledger, rand() < 0.2 ? 0 : 1 + rand 150);
            if ($kill % 8 == 3) {
                $db->stop;
                $db->start;
                progress($ledger, rand 150);
            }
            $db->kill;
        }
        $db->start;
        progress($ledger, 20);
        $ledger->halt;
        until_true(60, sub { $ledger->ended == $writers });
        $db->stop;
    });
    $db->start;
    quiet('killed');
    verdict("killed $kills times", $ledger, @left);
    expect_log('ORGS0102');
    expect_log('ORGS0012', undef);
}

# --- the database is frozen -----------------------------------------------------------------------------------------------

{
    my $freezes = long_or(60, 3);
    my $ledger = Orgs::Ledger->new(name => 'frozen', run => $db->{run}, vhost => 'orgs_second', writers => $writers, seed => $seed);
    my @left = storm('frozen', $ledger, sub {
        for my $freeze (1 .. $freezes) {
            progress($ledger, rand 150);
            $db->freeze;
            # shorter than the time that a request has, and longer
            sleep $freeze % 2 ? 2.2 + rand 1 : rand 1.5;
            $db->thaw;
        }
        progress($ledger, 20);
    });
    quiet('frozen');
    verdict("frozen $freezes times", $ledger, @left);
    cmp_ok($ledger->longest, '<', 6, 'frozen: all were told by the deadline (2 seconds, on a noisy machine)');
    expect_log('ORGS0012');
}

# --- httpd's children are killed ------------------------------------------------------------------------------------------

{
    my $kills = long_or(100, 5);
    my $connections = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'orgs'";
    my $others = $db->value($connections);
    my $httpd = Orgs::Httpd->start(<<"CONF");
@{[database_lines('second')]}
OrgsDBMax 4
<Location "/organizations">
    SetHandler orgs
</Location>
<IfModule !mpm_prefork_module>
    ServerLimit 4
    StartServers 3
    ThreadLimit 8
    ThreadsPerChild 8
    MaxRequestWorkers 32
    MinSpareThreads 8
    MaxSpareThreads 32
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 12
    MinSpareServers 4
    MaxSpareServers 12
    ServerLimit 24
    MaxRequestWorkers 24
</IfModule>
CONF
    my $ledger = Orgs::Ledger->new(name => 'orphans', run => $db->{run}, url => $httpd->url('/organizations'), writers => $writers, seed => $seed);
    my %first = map { $_ => 1 } $httpd->children;
    my @left = storm('children', $ledger, sub {
        for my $kill (1 .. $kills) {
            progress($ledger, rand 150);
            my @children;
            until_true(5, sub { @children = $httpd->children });
            # one or some, and at last those that were there at first
            kill KILL => $_ for $kill == $kills ? grep { $first{$_} } @children : @children[map { rand @children } 0 .. rand 2];
        }
        progress($ledger, 100);
    });
    quiet('children');
    verdict("children of httpd killed $kills times", $ledger, @left);
    my @children;
    ok(until_true(10, sub { @children = $httpd->children }), 'children: there are new ones');
    is_deeply([grep { $first{$_} } @children], [], 'children: and none of the first');
    # httpd has a word for it itself, event and worker each their own
    is_deeply([$httpd->complaints('AH10392', 'AH10393')], [], 'children: httpd has nothing to complain of');
    $httpd->stop;
    # besides those that the other httpd kept
    my $left;
    ok(until_true(5, sub { ($left = $db->value($connections)) <= $others }),
        'children: their connections are gone') or diag "$left are left, and there were $others before";
}

$db->stop;
done_testing;
