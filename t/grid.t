# Contract 3, rule 8: whatever is lost between httpd and the database, an answer is the truth. Every endpoint, every
# packet of what it says to the database and hears from it, every fault: the packets are recorded first, and each is then
# hit. Of packets that follow each other and are alike (rows, descriptions of columns), the first, the middle and the
# last are.
#
# ORGS_TEST_SEED repeats a sample; ORGS_TEST_LONG=1 runs all; ORGS_TEST_POINTS=PATTERN those whose name matches.
use Orgs::Test;
use Orgs::Endpoints;
use Orgs::Httpd;
use Orgs::Points;
use Orgs::Proxy;
use List::Util qw(first);
use Time::HiRes qw(time sleep);

my $TIMEOUT = 2;
my $WORKERS = 10;
my $SAMPLE = 200;

# --- the faults --------------------------------------------------------------------------------------------------------------

# Errors that say that nothing was written, or that the question never ran; those that leave it open; and those in place
# of a greeting.
my @refusing = (1213, 1205, 1020, 1290, 1792, 1836, 1461, 1040, 1047, 1243, 1927, 4031);
my @unclear = (1047, 1927, 4031, 1317, 1969, 1180, 1053);
my @unwelcoming = (1040, 1129, 1045);

# [name, the rule of the proxy, whether it costs time, the packets]: of any, a client's, its statements (they are
# answered), the server's, the server's in an answer, and what comes before the first statement.
my @faults = (
    ['cut before', {how => 'before'}, 0, 'any'],
    ['cut after', {how => 'after'}, 0, 'any'],
    ['cut while it runs', {how => 'answer'}, 0, 'statement'],
    ['cut when it ran', {how => 'ran'}, 0, 'statement'],
    ['cut, arrives late', {how => 'late'}, 0, 'statement'],
    ['lost', {how => 'hole'}, 1, 'any'],
    ['the answer lost', {how => 'deaf'}, 1, 'statement'],
    ['delayed', {how => 'delay'}, 0, 'any'],
    ['delayed beyond the deadline', {how => 'delay', seconds => $TIMEOUT + 0.2}, 1, 'statement'],
    ['in pieces', {how => 'pieces'}, 0, 'any'],
    ['drips', {how => 'drip'}, 1, 'any'],
    (map { ["error $_", {how => 'error', error => $_}, 0, 'statement'] } @refusing),
    (map { ["ran, error $_", {how => 'instead', error => $_}, 0, 'statement'] } @unclear),
    (map { ["error $_ in the answer", {how => 'error', error => $_}, 0, 'answer'] } 1317, 1927),
    (map { ["error $_ at the door", {how => 'error', error => $_}, 0, 'door'] } @unwelcoming),
);
# What nobody can find the outcome of: the statement arrives, or not, and then the database is gone.
my @dark = map { [$_->[0], {how => $_->[1]}, 1, 'statement'] } ['all is lost after it', 'all'], ['all is lost', 'none'], ['the server is gone after it', 'gone'];

sub applies {
    my ($where, $packet) = @_;
    my $door = $packet->{kind} =~ /^(?:login|auth|greeting)$/;
    return 1 if $where eq 'any';
    return $packet->{side} eq 'client' && !$door && $packet->{answers} if $where eq 'statement';
    return $packet->{side} eq 'server' && !$door && $packet->{text} ne 'login' if $where eq 'answer';
    return $packet->{kind} =~ /^(?:login|greeting)$/;
}

# --- httpd, and a proxy for each of its virtual hosts, over TCP or a socket -------------------------------------------------------

my @hosts = map { {port => Orgs::Httpd::free_port(), $_ % 2 ? (proxy => Orgs::Httpd::free_port()) : (path => top() . "/run/grid$_.socket")} } 0 .. $WORKERS - 1;
my $httpd = Orgs::Httpd->start(join '', qq(LogLevel info\nOrgsDBDefaultsFile "@{[top()]}/run/main/orgs.cnf"\nOrgsDBTimeout $TIMEOUT\nOrgsDBKeep 1\n),
    map { sprintf <<'HOST', $_->{port}, $_->{port}, $_->{proxy} ? "host=127.0.0.1 port=$_->{proxy}" : "socket=$_->{path}" } @hosts);
Listen 127.0.0.1:%d
<VirtualHost 127.0.0.1:%d>
    OrgsDBParams "%s dbname=orgs user=orgs"
    <Location "/organizations">
        SetHandler orgs
    </Location>
</VirtualHost>
HOST
watch_log($httpd->{log});
expect_log($_, undef) for qw(ORGS0012 ORGS0021 ORGS0102);

# How many descriptors its processes hold.
sub descriptors {
    my @children;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        push @children, $1 if (readline($in) // '') =~ /^(\d+) \(.*\) \S $httpd->{pid} /;
    }
    # of each, where there may be more of them at the end than at the beginning
    return int(map({ glob "/proc/$_/fd/*" } @children) / (($ENV{ORGS_TEST_MPM} // 'event') eq 'prefork' ? @children : 1));
}

my $world = world();
my @endpoints = endpoints($world);
my %endpoint = map { $_->{name} => $_ } @endpoints;

sub open_host {
    my ($n) = @_;
    my $host = $hosts[$n];
    return {url => "127.0.0.1:$host->{port}", proxy => Orgs::Proxy->new($host->{proxy} ? (port => $host->{proxy}) : (path => $host->{path})), turn => 0};
}

# --- what an endpoint and the database say to each other -----------------------------------------------------------------------------

my $plain = {method => 'GET', path => $world->{long}{id}, token => $world->{ada}};

sub works { my ($here, $seconds) = @_; return until_true($seconds // 4, sub { request($plain, $here->{url})->{status} == 200 }) }

# How a conversation is prepared. warm: all is open and prepared. fresh: connected, but the endpoint's own statement is
# not prepared. cold: not connected.
my %prepare = (
    warm  => sub { my ($here, $endpoint) = @_; request($endpoint->{warm}->(), $here->{url}) },
    fresh => sub { my ($here) = @_; $here->{proxy}->drop; works($here) },
    cold  => sub { my ($here) = @_; $here->{proxy}->drop },
);

sub own_statement { my ($packet) = @_; return $packet->{side} eq 'client' && $packet->{kind} eq 'execute' && $packet->{text} !~ m{^SELECT FROM (?:settings|numbers)$} }

# The statements that are hit before a conversation becomes interesting: a CALL that ran or was lost has to be settled, one
# that lost against another has to be run again.
my %first = (
    'settle what ran'  => {how => 'ran'},
    'settle what was lost' => {how => 'before'},
    'run again' => {how => 'error', error => 1213},
);

# What befalls a whole conversation: [name, what is done to the proxy, the status].
my @weather = (
    ['no database', sub { $_[0]->refuse }, '503'],
    ['a slow line', sub { $_[0]->delay(0.02) }, '2..'],
);

# [endpoint, preparation, what is hit first]
my @conversations = (
    (map { [$_, 'warm'] } @endpoints),
    (map { [$_, 'fresh'] } @endpoints),
    (map { [$endpoint{$_}, 'cold'] } 'read an organization', 'create an organization'),
    (map { my $first = $_; map { [$endpoint{$_}, 'warm', $first] } 'create an organization', 'remove a member' } sort keys %first),
);

# The packets of a conversation, each with its number among those of its kind.
sub record {
    my ($here, $endpoint, $prepare, $first) = @_;
    works($here);
    $prepare{$prepare}->($here, $endpoint);
    my $rule = first_rule($endpoint, $first);
    $here->{proxy}->arm($rule ? $rule : ());
    my $target = $endpoint->{before}->();
    my $answer = request($target, $here->{url});
    my @log = $here->{proxy}->log;
    $here->{proxy}->pass;
    # what is cleared now and then, when the answer is on its way, is no part of it
    my $cleared = first { $log[$_]{text} =~ /event_expire/ } 0 .. $#log;
    splice @log, $cleared if defined $cleared;
    my @wrong = wrong($endpoint, $target, $answer);
    push @wrong, "answered $answer->{status}" if $answer->{status} !~ /^2/;
    is_deeply(\@wrong, [], "$endpoint->{name}, $prepare" . ($first ? ", $first" : '')) or diag explain \@log;
    if ($rule) {
        shift @log while !$log[0]{how};
        shift @log;
    }
    my (%number, $connecting);
    for my $packet (@log) {
        $packet->{n} = ++$number{join "\0", @$packet{qw(side kind text)}};
        $connecting = $packet->{kind} eq 'greeting' ? 1 : $packet->{kind} eq 'prepare' ? 0 : $connecting;
        $packet->{connecting} = $connecting ? 1 : 0;
    }
    # those of the question who asks are the same everywhere
    if ($prepare eq 'fresh') {
        my $own = first { $log[$_]{kind} eq 'prepare' } 0 .. $#log;
        @log = defined $own ? @log[$own .. $#log] : ();
    }
    return thinned(@log);
}

# Of several alike in a row the first, the middle one and the last.
sub thinned {
    my @thin;
    while (@_) {
        my @alike = shift;
        push @alike, shift while @_ && !grep { $_[0]{$_} ne $alike[0]{$_} } qw(side kind text);
        push @thin, @alike > 3 ? @alike[0, @alike / 2, -1] : @alike;
    }
    return @thin;
}

# The endpoint's CALL, which is what is hit first.
my %call_of;

sub first_rule {
    my ($endpoint, $first) = @_;
    return $first ? {side => 'client', kind => 'execute', text => $call_of{$endpoint->{name}}, %{$first{$first}}} : undef;
}

my (@points, %recorded, $descriptors);
{
    my $here = open_host(0);
    for my $conversation (@conversations) {
        my ($endpoint, $prepare, $first) = @$conversation;
        my @packets = record($here, @$conversation);
        $call_of{$endpoint->{name}} //= (first { own_statement($_) } @packets)->{text} if $endpoint->{write};
        $recorded{$prepare . ($first ? ", $first" : '')} += @packets;
        for my $packet (@packets) {
            for my $fault (@faults, own_statement($packet) && $prepare eq 'warm' && !$first ? @dark : ()) {
                my ($name, $rule, $slow, $where) = @$fault;
                next if !applies($where, $packet);
                push @points, {
                    name => "$endpoint->{name}, $prepare" . ($first ? ", $first" : '') . ": $packet->{side}, $packet->{kind} $packet->{text} $packet->{n}: $name",
                    endpoint => $endpoint->{name}, prepare => $prepare, first => $first, packet => $packet, slow => $slow, fault => $name,
                    dark => scalar(grep { $_ == $fault } @dark), rule => {%$rule, map { $_ => $packet->{$_} } qw(side kind text n)},
                };
            }
        }
    }
    $here->{proxy}->end;
    $descriptors = descriptors();
    for my $endpoint (@endpoints) {
        push @points, map { {name => "$endpoint->{name}, warm: $_->[0]", endpoint => $endpoint->{name}, prepare => 'warm', fault => $_->[0], weather => $_, packet => {side => '', kind => ''}} } @weather;
    }
}

# --- one point -----------------------------------------------------------------------------------------------------------------------

# The statuses that may be: with the database there and nothing lost in silence, a request succeeds.
sub allowed {
    my ($point) = @_;
    return $point->{weather}[2] if $point->{weather};
    return '2..|503|504' if $point->{dark};
    # a connection that is cut while it is made is made once more
    return '2..|503' if $point->{slow} || $point->{packet}{connecting} && !$point->{first} && $point->{fault} !~ /^cut/;
    return '2..';
}

# Sends a point's request into its fault: {target, answer, took, log, fired}.
sub hit {
    my ($here, $point) = @_;
    my ($proxy, $endpoint) = ($here->{proxy}, $endpoint{$point->{endpoint}});
    works($here);
    $prepare{$point->{prepare}}->($here, $endpoint);
    my $target = $endpoint->{before}->();
    $proxy->arm(grep { defined } first_rule($endpoint, $point->{first}), $point->{rule});
    $point->{weather}[1]->($proxy) if $point->{weather};
    my $began = time;
    my $answer = request($target, $here->{url});
    my %hit = (target => $target, answer => $answer, took => time - $began, log => [$proxy->log('client')], fired => scalar @{$proxy->seen->{fired}});
    $proxy->pass;
    return \%hit;
}

sub run_point {
    my ($here, $point) = @_;
    my ($proxy, $endpoint) = ($here->{proxy}, $endpoint{$point->{endpoint}});
    my $hit = hit($here, $point);
    my $answer = $hit->{answer};
    my (@wrong, @late);
    push @late, 'it did not come to that' if $hit->{fired} != grep { $_ } @$point{qw(first rule)};
    # what is on its way arrives, and is answered
    until_true(5, sub { !$proxy->seen->{pending} }) or push @wrong, 'the server does not answer what arrived';
    push @wrong, 'a connection that is kept is in a transaction' if !until_true(0.5, sub {
        my %open = map { $_ => 1 } @{$proxy->seen->{open}};
        return !grep { $open{$_} } in_transaction();
    });
    push @late, still_working($here, $point);
    my %met = map { ($_->{connection} // 0) => 1 } @{$hit->{log}};
    push @wrong, 'a transaction is left' if !until_true(4, sub { !grep { $met{$_} } in_transaction() });
    # only now, when nothing is on its way any more
    push @wrong, wrong($endpoint, $hit->{target}, $answer);
    my $allowed = allowed($point);
    push @late, "answered $answer->{status} $answer->{body}" if $answer->{status} !~ /^(?:$allowed)$/ && !($answer->{cut} && $point->{slow});
    push @late, "answered after $hit->{took} seconds" if $hit->{took} > $TIMEOUT + 0.5;
    my %seen = (name => $point->{name}, class => class_of($point), slow => $point->{slow}, took => $hit->{took}, status => $answer->{cut} ? 'cut' : $answer->{status});
    @seen{qw(redone settled)} = runs($point, $hit, \@wrong);
    return {%seen, wrong => \@wrong, late => \@late};
}

sub class_of {
    my ($point) = @_;
    return join ', ', grep { $_ } @$point{qw(prepare first)}, $point->{weather} ? 'throughout' : '', $point->{dark} ? 'all lost' : '',
        $point->{packet}{connecting} ? 'connecting' : '', $point->{slow} ? 'in silence' : '';
}

# Whether a CALL that was refused was run again, whole and as another event, and one that ran was only settled. Gives
# whether the first was seen, and whether anything was settled.
sub runs {
    my ($point, $hit, $wrong) = @_;
    my $call = $call_of{$point->{endpoint}} // '';
    my @calls = map { $_->{event} } grep { own_statement($_) && $_->{text} eq $call } @{$hit->{log}};
    my $settled = grep { own_statement($_) && $_->{text} =~ /settle/ } @{$hit->{log}};
    my $one = $point->{prepare} eq 'warm' && !$point->{first} && own_statement($point->{packet}) && $point->{packet}{text} eq $call;
    my %events = map { $_ => 1 } @calls;
    push @$wrong, "a CALL that ran was run @{[scalar @calls]} times, settled $settled times"
        if $one && $point->{fault} =~ /^ran, error/ && (@calls != 1 || !$settled);
    my $refused = $one && $point->{fault} =~ /^error/;
    push @$wrong, 'the CALL was not run again under another event' if $refused && (@calls != 2 || keys %events != 2);
    return ($refused ? 1 : 0, $settled ? 1 : 0);
}

# The next requests: at once, unless it was not even possible to connect.
sub still_working {
    my ($here, $point) = @_;
    return 'no request works any more' if ($point->{dark} || $point->{weather} || $point->{packet}{connecting}) && !works($here);
    $here->{own} //= organization($world->{ada}, name => 'Worker');
    my %statuses;
    for my $n (1 .. long_or(20, 4)) {
        $here->{turn}++;
        my $next = $n % 4 ? $plain : {method => 'PUT', path => $here->{own}{id}, token => $world->{ada}, json => {name => "Worker $here->{turn}"}};
        $statuses{request($next, $here->{url})->{status}}++;
    }
    return map { "the next requests: $statuses{$_} times $_" } grep { $_ != 200 } keys %statuses;
}

# --- all of them, or some ------------------------------------------------------------------------------------------------------------------

cmp_ok(scalar @points, '>', 500, scalar(@points) . ' points');
diag 'packets hit: ', join '; ', map { "$_ $recorded{$_}" } sort keys %recorded;
@points = chosen($SAMPLE, sub {
    my ($point) = @_;
    return ($point->{endpoint}, $point->{fault}, join ' ', map { $_ // '' } @$point{qw(prepare first)}, @{$point->{packet}}{qw(side kind)});
}, @points);
run_points($WORKERS, \@points, open => \&open_host, run => \&run_point, close => sub { $_[0]{proxy}->end });

# --- what a client reads then, to the letter -------------------------------------------------------------------------------------------------

{
    my $proxy = Orgs::Proxy->new;
    my %here = (vhost => 'orgs_faulty', token => $world->{ada});
    my $write = sub { return api(POST => '', %here, json => {name => 'Lost'}) };
    my $call = {side => 'client', kind => 'execute', text => 'CALL organization_create_v1'};
    answers($write->(), 201, 'a write through the proxy');
    $proxy->arm({%$call, how => 'all'});
    problem($write->(), 504, 'outcome_unknown', 'a write whose outcome cannot be found out');
    $proxy->pass;
    ok(until_true(4, sub { $write->()->{status} == 201 }), '... and on it goes');
    $proxy->refuse;
    problem($write->(), 503, 'unavailable', 'a write without a database');
    problem(api(GET => '', %here), 503, 'unavailable', 'a list without a database');
    $proxy->end;
}

# the proxies are gone, and with them all that was open
my $left;
ok(until_true(20, sub { ($left = descriptors()) <= $descriptors + 2 * $WORKERS }), "no descriptors are left ($descriptors before, $left after)");
is_deeply([log_lines(qr/exit signal/)], [], 'no process died');
$httpd->stop;
done_testing;
