# Contract 3, rule 8, at httpd's own restarts: graceful ones fail no request; the module may come and go by them; where
# httpd stops, answers that were begun are whole or cut, writes are done or not, and nothing is left in the database.
use Orgs::Test;
use Orgs::Database;
use Orgs::Httpd;
use Orgs::Ledger;
use Time::HiRes qw(sleep time);

my $seed = $ENV{ORGS_TEST_SEED} || time;
diag "ORGS_TEST_SEED=$seed";
srand $seed;
my $db = Orgs::Database->new->start;
my $token = $db->token('ada');
my $number = 0;
my $writers = 4;
my $readers = 4;
my @members = many_members(500);

# All of them, or event and another one.
my @mpms = ('event', long_or(1, 0) ? qw(worker prefork) : (qw(worker prefork))[rand 2]);

# httpd's own log ids are the same for two requests now and then
my $module = <<"CONF";
@{[load_modules('unique_id')]}@{[database_lines('second')]}
<Location "/organizations">
    SetHandler orgs
</Location>
CONF

# Room for the processes of some restarts at once.
my $mpm = <<'CONF';
<IfModule !mpm_prefork_module>
    ServerLimit 12
    StartServers 2
    ThreadLimit 12
    ThreadsPerChild 12
    MinSpareThreads 12
    MaxSpareThreads 48
    MaxRequestWorkers 144
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 10
    MinSpareServers 4
    MaxSpareServers 20
    ServerLimit 100
    MaxRequestWorkers 100
</IfModule>
CONF

# Many who are in one organization, so that its list comes in some batches.
sub many_members {
    my ($n) = @_;
    my ($ada) = map { $_->[0] } $db->sql("SELECT LOWER(HEX(id)) FROM users WHERE email = 'ada\@example.com'");
    my ($org) = many_organizations(1, {id => $ada}, sql => {run => $db->{run}});
    my @ids = map { uuid() } 1 .. $n;
    while (my @some = splice @ids, 0, 500) {
        $db->sql('INSERT INTO users (id, email, name, created_at) VALUES '
            . join ',', map { "(X'" . tr/-//dr . "', '$_\@graceful.example', REPEAT('n', 100), UTC_TIMESTAMP(3))" } @some);
        $db->sql('INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT ' . id_in_sql($org)
            . ", id, 'member', UTC_TIMESTAMP(3) FROM users WHERE id IN (" . join(',', map { id_in_sql($_) } @some) . ')');
    }
    $db->sql("UPDATE organizations SET members = 1 + $n WHERE id = " . id_in_sql($org));
    return ($org, $n + 1);
}

# --- clients that are strict, and know HTTP ------------------------------------------------------------------------------

# As api(). On a connection that served before, the server may close it just then: what is idempotent, and not begun to
# be answered, is sent again once, on a new one. Anything else that ends without an answer has failed.
# Where httpd is stopped at once, it may have been begun, whatever the connection.
my ($again, $sudden) = (0, 0);
sub send_kept {
    my ($method, $path, %options) = @_;
    my $answer = api($method => $path, %options);
    if (!$answer->{status} && !$sudden && $answer->{kept} && !$answer->{begun} && !$answer->{cut}
        && ($method ne 'POST' || defined $options{headers}{'Idempotency-Key'})) {
        $again++;
        $answer = api($method => $path, %options);
    }
    return $answer;
}

# Each on a connection of its own.
sub send_new {
    my ($method, $path, %options) = @_;
    return api($method => $path, %options, headers => {%{$options{headers} || {}}, Connection => 'close'});
}

# Reads of all kinds until the writers have ended; what was wrong with answers.
sub reader {
    my ($number, $ledger, $httpd, $absent, $cut) = @_;
    my $send = $number % 2 ? \&send_kept : \&send_new;
    my ($count, @failed) = (0);
    my @reads = (
        ['/organizations?limit=1', sub { $_[0] =~ /^\[\{"id".*\}\]\z/ }],
        ["/organizations/$members[0]", sub { $_[0] =~ /^\{"id":"$members[0]".*\}\z/ }],
        ["/organizations/$members[0]/members", sub { $members[1] == (() = $_[0] =~ /"user_id":/g) && $_[0] =~ /\]\z/ }],
        ["/organizations/$members[0]/license", sub { $_[0] =~ /"seats_used":$members[1],.*\}\z/ }],
        ['/file', sub { $_[0] eq 'A file.' }],
    );
    until ($ledger->halted) {
        my ($path, $good) = @{$reads[++$count % @reads]};
        my $answer = $send->(GET => '', url => $httpd->url($path), token => $token, undecoded => 1);
        # where httpd stops, nobody may be there to answer, and then also cut what it had begun
        if (!$answer->{status} && (!$answer->{begun} && !$answer->{cut} ? $absent : $cut)) {
            sleep 0.01;
            next;
        }
        push @failed, "GET $path: $answer->{status} at " . time . ", begun $answer->{begun}, kept $answer->{kept}"
            . ($answer->{cut} ? ', cut' : '') if $answer->{status} != 200 || !$good->($answer->{body});
    }
    return {count => $count, failed => \@failed, again => $again};
}

sub writer {
    my ($number, $ledger) = @_;
    $ledger->{send} = $number % 2 ? \&send_kept : \&send_new;
    $ledger->{keys} = $number % 2 ? 1 : 0.5;
    return {count => 0, failed => [], left => $ledger->writer($number), again => $again};
}

# Writers and readers, and one who restarts.
sub storm {
    my ($httpd, $ledger, $restarts, %may) = @_;
    my $began = time;
    my @results = race($writers + $readers + 1, sub {
        my ($number) = @_;
        return writer($number - 1, $ledger) if $number && $number <= $writers;
        return reader($number, $ledger, $httpd, @may{qw(absent cut)}) if $number;
        srand $seed;
        my @wrong = $restarts->();
        $ledger->halt;
        return {failed => \@wrong, seconds => time - $began};
    });
    my ($all, $repeated) = (scalar $ledger->entries, 0);
    for my $result (@results[1 .. $#results]) {
        $all += $result->{count};
        $repeated += $result->{again};
    }
    return {all => $all, repeated => $repeated, seconds => $results[0]{seconds}, rate => $all / $results[0]{seconds},
        failed => [map { @{$_->{failed} || []} } @results], left => [grep { $_->{left} } @results]};
}

sub progress {
    my ($ledger, $writes) = @_;
    my $from = $ledger->done;
    return until_true(10, sub { $ledger->done - $from >= $writes });
}

sub started {
    my ($text, %options) = @_;
    my $httpd = Orgs::Httpd->start($mpm . $text, %options);
    open my $out, '>', "$httpd->{directory}/htdocs/file" or die "file: $!";
    print $out 'A file.';
    close $out;
    return $httpd;
}

sub ledger {
    my ($httpd) = @_;
    return Orgs::Ledger->new(name => 'graceful' . ++$number, run => $db->{run}, url => $httpd->url('/organizations'), writers => $writers, seed => $seed,
        # the connection that would be kept keeps a process of worker that is told to end
        send => \&send_new);
}

# How often httpd has begun.
sub beginnings { my ($httpd) = @_; return scalar(() = $httpd->log_text =~ /AH\d+: [^\n]* configured -- resuming normal operations/g) }

# A graceful restart, seen through.
sub graceful {
    my ($httpd) = @_;
    my $before = beginnings($httpd);
    $httpd->signal('USR1');
    return until_true(30, sub { beginnings($httpd) > $before });
}

# What httpd left in the database.
sub remains {
    my ($connections, $transactions);
    until_true(8, sub {
        ($connections, $transactions) = @{($db->sql("SELECT (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'orgs'), "
            . '(SELECT COUNT(*) FROM information_schema.innodb_trx)'))[0]};
        return !$connections && !$transactions;
    });
    return $connections || $transactions ? "left in the database: $connections connections, $transactions transactions" : ();
}

sub honest {
    my ($what, $ledger) = @_;
    my @lies = $ledger->judge;
    is(scalar @lies, 0, "$what: the answers are the truth") or diag join "\n", @lies > 20 ? (@lies[0 .. 19], '...') : @lies;
    return;
}

sub resident {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$in>) =~ /^VmRSS:\s+(\d+)/m;
    return $kb;
}

# --- graceful restarts --------------------------------------------------------------------------------------------------

for my $name (@mpms) {
    my $restarts = $name eq 'event' ? long_or(200, 3) : long_or(100, 1);
    my $what = "$name, $restarts graceful restarts";
    my $httpd = started($module, mpm => $name);
    my $ledger = ledger($httpd);
    my $resident = resident($httpd->{pid});
    my $result = storm($httpd, $ledger, sub {
        for my $n (1 .. $restarts) {
            progress($ledger, 10 + rand 60);
            graceful($httpd) or return "restart $n did not come";
        }
        progress($ledger, 50) or return 'there is no progress';
        return;
    });
    my @failed = (@{$result->{failed}}, map { Orgs::Ledger::words($_) . " at $_->{at}" } grep { !$_->{status} || $_->{status} >= 500 } $ledger->entries);
    is(scalar @failed, 0, "$what: no request failed") or diag join "\n", @failed > 20 ? (@failed[0 .. 19], '...') : @failed;
    is_deeply($result->{left}, [], "$what: nor is any write in doubt");
    honest($what, $ledger);
    diag sprintf '%s: %d requests in %.0f s, %.0f a second, %d sent again on a connection closed between requests; the parent\'s memory %d -> %d kB',
        $what, @$result{qw(all seconds rate repeated)}, $resident, resident($httpd->{pid});
    $httpd->stop;
    is_deeply([$httpd->complaints], [], "$what: httpd has nothing to complain of");
    is_deeply([remains()], [], "$what: it leaves nothing in the database");
}

# --- stops ----------------------------------------------------------------------------------------------------------------

for my $case (map { my $name = $_; map { [$name, $_] } qw(TERM WINCH) } @mpms) {
    my ($name, $signal) = @$case;
    my $stops = long_or(40, 3);
    my $what = "$name, $stops stops by $signal";
    my $httpd = started($module, mpm => $name);
    my $ledger = ledger($httpd);
    $httpd->stop;
    $sudden = $signal eq 'TERM';
    my $result = storm($httpd, $ledger, sub {
        my @wrong;
        for my $n (1 .. $stops) {
            $httpd->launch;
            progress($ledger, 10 + rand 60);
            my $began = time;
            my $status = $httpd->stop($signal);
            push @wrong, "stop $n: status $status" if $status;
            push @wrong, "stop $n took " . (time - $began) . ' seconds' if time - $began > 12;
            push @wrong, map { "stop $n: $_" } remains();
        }
        $httpd->launch;
        push @wrong, 'there is no progress' if !progress($ledger, 20);
        $ledger->halt;
        until_true(60, sub { $ledger->ended == $writers });
        $httpd->stop;
        return @wrong;
    }, absent => 1, cut => $signal eq 'TERM');
    is_deeply($result->{failed}, [], "$what: whole, or not answered" . ($signal eq 'TERM' ? ', or cut' : ''));
    is_deeply($result->{left}, [], "$what: whoever had an Idempotency-Key found out");
    my %kinds;
    $kinds{$_->{status}}++ for $ledger->entries;
    is_deeply([grep { /^5/ } sort keys %kinds], [], "$what: nobody is told of a failure");
    honest($what, $ledger);
    # the main thread of event closes the sockets of its threads, and may meet one that is just given back; prefork ends in
    # its signal handler, whatever it was doing: with any module
    my $crashes = $name ne 'worker' && $sudden ? () = $httpd->log_text =~ /exit signal Segmentation/g : 0;
    cmp_ok($crashes, '<=', 1 + $stops / 10, "$what: httpd itself fell $crashes times") if $crashes;
    # AH00045: a machine that has no time for a process to end within a second
    is_deeply([$httpd->complaints('AH00045', $crashes ? qw(AH00051 AH00052) : ())], [], "$what: httpd has nothing to complain of");
    diag sprintf '%s: %d requests, %d writes without an answer', $what, $result->{all}, $kinds{0} // 0;
}

# --- the module comes and goes ----------------------------------------------------------------------------------------------

for my $name (@mpms) {
    my $httpd = started('', mpm => $name, without => 'orgs');
    my $flag = "$httpd->{directory}/enough";
    my @wrong = map { @$_ } race(2, sub {
        my ($reader) = @_;
        my @failed;
        my $get = sub { return send_new(GET => '', url => $httpd->url($_[0]), token => $token, undecoded => 1) };
        while ($reader && !-e $flag) {
            my $answer = $get->('/file');
            push @failed, "/file: $answer->{status}" if $answer->{body} ne 'A file.';
        }
        return \@failed if $reader;
        for my $round (1 .. long_or(20, 1)) {
            $httpd->configure($mpm . $module, mpm => $name);
            graceful($httpd);
            push @failed, "round $round: the API does not come" if !until_true(10, sub { $get->('/organizations')->{status} == 200 });
            my $made = send_new(POST => '', url => $httpd->url('/organizations'), token => $token, json => {name => 'Come and gone'});
            push @failed, "round $round: a write is $made->{status}" if $made->{status} != 201;
            $httpd->configure($mpm, mpm => $name, without => 'orgs');
            graceful($httpd);
            push @failed, "round $round: the API does not go" if !until_true(10, sub { $get->('/organizations')->{status} == 404 });
        }
        open my $out, '>', $flag or die "$flag: $!";
        return \@failed;
    });
    is_deeply(\@wrong, [], "$name: the module comes by a graceful restart, and goes");
    is($httpd->stop, 0, "$name: httpd ends well");
    is_deeply([$httpd->complaints], [], "$name: and has nothing to complain of");
    is_deeply([remains()], [], "$name: nothing is left in the database");
}

$db->stop;
done_testing;
