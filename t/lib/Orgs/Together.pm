# Requests that make their writes together: the ways through the procedures of several writes.
#
#   my $guests = guests(40);                            # users by SQL, where move_to() was
#   my @more = crowd_ways($world, \@gaps);              # for Orgs::Ways; by the virtual host `crowd`
#   my ($redone, $settled) = crowd_runs($way, $seen, $ends, \@wrong, ...);   # which CALLs were made, and what is wrong with that
#   my ($number, @wrong) = crowd_direct($world, \%session, $way, $gap, $done);  # one that is killed, and another on its connection
#   my $call = create_together($user, {event, id, name}, ...);  # a CALL of one's own; add_together($user, $organization, {event, email}, ...)
#
# A first request is held where its write is committed, and its place in front of the database is still taken. Meanwhile
# the others come, and wait; when they do, the first goes on, and one of the others makes the writes of them all.
package Orgs::Together;

use Orgs::Test;
use Orgs::Endpoints;
use Orgs::Inside;
use Orgs::Story;

use Exporter qw(import);
use JSON::PP ();
use List::Util qw(first max sum0 uniq);
use Time::HiRes qw(time);

our @EXPORT = qw(guests crowd_ways crowd_runs crowd_direct crowd_kept create_together add_together);

# --- who there is ------------------------------------------------------------------------------------------------------------

sub guests {
    my ($n) = @_;
    my @guests = map { my $id = uuid(); {id => $id, email => "guest-$id\@example.com", id_sql => id_in_sql($id)} } 1 .. $n;
    sql('INSERT INTO users (id, email, name, created_at) VALUES ' . join ',', map { "($_->{id_sql}, '$_->{email}', 'A guest', UTC_TIMESTAMP(3))" } @guests);
    return \@guests;
}

# --- CALLs of one's own --------------------------------------------------------------------------------------------------------

sub bare { return uc $_[0] =~ s/-//gr }

sub json_in_sql { return "CONVERT(X'" . unpack('H*', json_text($_[0])) . "' USING utf8mb4)" }

# The CALL that makes organizations of these {event, id, name}.
sub create_together {
    my ($actor, @items) = @_;
    return "CALL organization_create_together_v1(X'" . join('', map { bare($_->{id}) } @items) . "', X'" . bare($actor->{id}) x @items . "', "
        . json_in_sql([map { +{event => bare($_->{event}), request => unpack('H*', 'test'), name => $_->{name}, description => 'New'} } @items]) . ')';
}

# The CALL that makes members of these {event, email}.
sub add_together {
    my ($actor, $organization, @items) = @_;
    return 'CALL member_add_together_v1(' . id_in_sql($organization) . ', ' . json_in_sql([map { +{event => bare($_->{event}), actor => bare($actor->{id}),
        superuser => 0, request => unpack('H*', 'test'), email => unpack('H*', $_->{email})} } @items]) . ')';
}

# --- several requests ------------------------------------------------------------------------------------------------------------

# Sends one, and does not wait.
sub begin {
    my ($target, $host) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $host, Timeout => 30) or die "connect: $@";
    my $body = json_text($target->{json});
    utf8::encode($body) if utf8::is_utf8($body);
    my $path = $target->{path} eq '' ? '' : "/$target->{path}";
    syswrite $socket, "POST /organizations$path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\nAuthorization: Bearer $target->{token}{token}\r\n"
        . "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    return {socket => $socket, began => time};
}

sub answer_of {
    my ($begun) = @_;
    my ($answer) = parse_answers(read_all($begun->{socket}, 30));
    return {status => 0, headers => {}, body => '', %{$answer || {}}, took => time - $begun->{began}};
}

# Whether so many wait, and none but the one that is held is at the database: as seen twice, for who finds nobody is
# counted for a moment as well.
sub they_wait {
    my ($host, $n) = @_;
    my $database = sql_value('SELECT DATABASE()');
    my $looks = 0;
    return until_true(5, sub {
        while (1) {
            my $figures = first { $_->{database} =~ /^\Q$database\E\@/ } @{api(GET => '/orgs-status', url => "http://$host/orgs-status?format=json")->{json}{databases}};
            $looks = $figures->{waiting} == $n && $figures->{connections_in_use} == 1 ? $looks + 1 : 0;
            return $looks > 1 if $looks != 1;
        }
    });
}

# The first, then the others; answers by all of them: statuses in order, each one's {took} and all.
sub send_crowd {
    my ($target, $host) = @_;
    my ($first, @others) = @{$target->{requests}};
    my @begun = begin($first, $host);
    sql('CALL inside_wait(1)');
    push @begun, begin($_, $host) for @others;
    they_wait($host, scalar @others) or die 'they do not wait';
    crowd_is_here();
    my @answers = map { answer_of($_) } @begun;
    return {status => join(' ', sort map { $_->{status} } @answers), answers => \@answers, body => join("\n", map { $_->{body} } @answers),
        took => max(map { $_->{took} } @answers), headers => {}};
}

# Each answer against the database. (Of two that were about the same only one has done it.)
sub crowd_wrong {
    my ($way, $target, $answer) = @_;
    my (@wrong, @done);
    my @requests = @{$target->{requests}};
    my @endpoints = map {
        my $status = $answer->{answers}[$_]{status};
        +{%$way, refused => {500 => 'internal_error', %{$way->{refused} || {}}}, $requests[$_]{twin} && $status !~ /^2/ ? (done => 'SELECT 0') : ()};
    } 0 .. $#requests;
    for my $n (0 .. $#requests) {
        my ($state) = map { $_->[0] } sql(filled($endpoints[$n]{done}, $requests[$n]{words}));
        $done[$n] = $state ? 1 : 0;
    }
    for my $n (0 .. $#requests) {
        $requests[$n]{events} = 1 + sum0(@done) - $done[$n] if $requests[$n]{words}{org};
        push @wrong, map { "request $n: $_" } wrong($endpoints[$n], $requests[$n], {%{$answer->{answers}[$n]}});
    }
    return @wrong;
}

# --- the ways --------------------------------------------------------------------------------------------------------------------

# [name, endpoint, statuses, what is different: code (some are refused), before, meanwhile, after (SQL), from (who sends
# which request, if not ada), stranger (which of them adds nobody), twins (which two add the same one)]
my @crowds = (
    ['create organizations together', 'create an organization', '201 201 201 201', {}],
    ['create organizations together, one nobody any more', 'create an organization', '201 201 201 401', {from => {2 => 'bob'}, code => '401 unauthorized',
        meanwhile => 'UPDATE users SET active = FALSE WHERE id = {bob_sql}', after => 'UPDATE users SET active = TRUE WHERE id = {bob_sql}'}],
    ['add members together', 'add a member', '201 201 201 201', {}],
    ['add members together, without a seat', 'add a member', '201 201 201 409', {code => '409 seat_limit_reached',
        before => "INSERT INTO licenses (id, plan, seats, organization_id, assigned_at, created_at) VALUES ({license_sql}, 'team', 4, {org_sql}, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))"}],
    ['add members together, one unknown', 'add a member', '201 201 201 404', {code => '404 user_not_found', stranger => 2}],
    ['add members together, one twice', 'add a member', '201 201 201 409', {code => '409 already_member', twins => [2, 3]}],
    ['add members together, asleep', 'add a member', '201 409 409 409', {code => '409 organization_inactive', meanwhile => 'UPDATE organizations SET active = FALSE WHERE id = {org_sql}'}],
    ['add members together, no admin any more', 'add a member', '201 403 403 403', {code => '403 admin_required', unled => 1,
        meanwhile => "UPDATE memberships SET role = 'member' WHERE organization_id = {org_sql} AND user_id = {ada_sql}"}],
);

sub crowd_target {
    my ($world, $endpoint, $options) = @_;
    my %words = (ada_sql => id_in_sql($world->{ada}{id}), bob_sql => id_in_sql($world->{bob}{id}), license_sql => id_in_sql(uuid()));
    my @requests = $endpoint->{before}->();
    if (!$requests[0]{words}{org}) {
        push @requests, $endpoint->{before}->() for 1 .. 3;
        $requests[$_]{token} = $world->{$options->{from}{$_}} for keys %{$options->{from} || {}};
    }
    else {
        my $target = $requests[0];
        $words{$_} = $target->{words}{$_} for qw(org org_sql);
        my @guests = @{guests(4)};
        my ($one, $other) = @{$options->{twins} || []};
        $guests[$one] = $guests[$other] if $other;
        $guests[$options->{stranger}] = {id => uuid(), id_sql => id_in_sql(uuid()), email => 'nobody@example.com'} if $options->{stranger};
        @requests = map {
            my $guest = $guests[$_];
            +{%$target, json => {email => $guest->{email}, role => 'member'}, twin => $other && ($_ == $one || $_ == $other),
                words => {%{$target->{words}}, bob => $guest->{id}, email => $guest->{email}, bob_sql => $guest->{id_sql}}};
        } 0 .. 3;
    }
    sql(filled($options->{before}, \%words)) if $options->{before};
    return {requests => \@requests, words => \%words};
}

sub crowd_ways {
    my ($world, $gaps) = @_;
    my %endpoint = map { $_->{name} => $_ } writes($world);
    return map {
        my ($name, $of, $normal, $options) = @$_;
        my $endpoint = $endpoint{$of};
        my $alone = $of =~ /^create/ ? 'organization_create_v1' : 'member_add_v1';
        my ($held) = map { $_->{number} } grep { $_->{procedure} eq $alone && $_->{text} =~ /^SELECT v_code/ } @$gaps;
        my ($status, $code) = split / /, $options->{code} // '';
        my %way = (%$endpoint, name => $name, normal => $normal, crowd => 1, host => 'crowd', alone => $alone, procedure => $alone =~ s/_v1/_together_v1/r,
            $status ? (refused => {$status => $code}) : (), map { $_ => $options->{$_} } grep { $options->{$_} } qw(after unled));
        +{%way, before => sub { crowd_target($world, $endpoint, $options) }, send => \&send_crowd, check => sub { crowd_wrong(\%way, @_) },
            meanwhile => {gap => $held, sql => join '; ', 'CALL inside_wait_crowd()', $options->{meanwhile} // ()}};
    } @crowds;
}

# --- what was run ------------------------------------------------------------------------------------------------------------------

# Whether anything was run again, and whether anything was settled. strict: it is known how the CALL of all ended; done:
# it was committed.
sub crowd_runs {
    my ($way, $seen, $ends, $wrong, %how) = @_;
    my (%settled, %asked, @alone, @together);
    for my $call (@{$seen->{calls}}) {
        my @events = $call->{event} // map { uc $_->{event} } @{JSON::PP->new->decode($call->{arguments})};
        if ($call->{name} eq 'event_settle_v1') {
            $settled{$events[0]}++;
            next;
        }
        push @{$call->{name} eq $way->{procedure} ? \@together : \@alone}, \@events;
        push @$wrong, 'one event for several of them' if @events != uniq @events;
        push @$wrong, 'run again under an event that is settled' if grep { $settled{$_} } @events;
        $asked{$call->{name}}{$_}++ for @events;
    }
    push @$wrong, 'run twice under one event' if grep { $_ > 1 } map { values %$_ } values %asked;
    push @$wrong, @together . ' CALLs for all' if @together != 1;
    my @crowd = map { @$_ } @together;
    push @$wrong, @crowd . ' travelled together' if @crowd != 3;
    my $open = grep { !$settled{$_} } @crowd;
    if ($how{strict}) {
        push @$wrong, 'settled, where it was known' if %settled && $ends =~ /^(?:again|never)/;
        push @$wrong, "$open of them were not asked about" if $open && $ends =~ /^(?:lost|always)$/;
        # those that go alone all at once may lose against each other
        push @$wrong, @alone . ' were made alone' if $how{done} ? @alone != 1 : @alone < 4 && $ends !~ /if it waits/;
    }
    return (@alone > 1 ? 1 : 0, %settled ? 1 : 0);
}

# A CALL for three is killed in a gap, and on its connection follows one for three others: nothing of the killed one may
# be committed by that. What was wrong, and what the kill ended in.
sub crowd_direct {
    my ($world, $session, $way, $gap, $done) = @_;
    my $creates = $way->{alone} =~ /create/;
    my $organization = $creates ? undef : organization($world->{ada})->{id};
    my @guests = $creates ? () : @{guests(6)};
    my @all = map { +{event => uuid(), $creates ? (id => uuid(), name => "Direct $_") : (email => $guests[$_]{email}, id => $guests[$_]{id})} } 0 .. 5;
    my ($killed, $next) = ([@all[0 .. 2]], [@all[3 .. 5]]);
    my $call = sub { $creates ? create_together($world->{ada}, @_) : add_together($world->{ada}, $organization, @_) };
    my $there = sub {
        my ($items) = @_;
        my ($ids, $events) = map { my $key = $_; join ',', map { id_in_sql($_->{$key}) } @$items } qw(id event);
        my $of = $creates ? 'organization_id' : 'organization_id = ' . id_in_sql($organization) . ' AND user_id';
        my ($row) = sql("SELECT (SELECT COUNT(*) FROM memberships WHERE $of IN ($ids)), (SELECT COUNT(*) FROM events WHERE id IN ($events) AND action <> 'abandoned')"
            . ($creates ? ", (SELECT COUNT(*) FROM organizations WHERE id IN ($ids))" : ''));
        return uniq(@$row) == 1 ? $row->[0] : "in parts: @$row";
    };
    my @wrong;
    arm(@{$way->{first} || []}, {gap => $gap->{number}, fault => 'held'});
    my $rival = rival('CALL inside_wait(1)', 'CALL inside_kill(TRUE)');
    my $number = sql({%$session, fails => 1}, $call->(@$killed));
    push @wrong, 'it did not come to that' if seen()->{left};
    disarm();
    $rival->();
    arm();
    my ($row) = grep { @$_ >= 3 } sql($session, $call->(@$next));
    push @wrong, 'the next one said ' . ($row ? $row->[2] // 'NULL' : 'nothing') if !$row || @{JSON::PP->new->decode($row->[2] // '[]')} != 3;
    my @there = map { $there->($_) } $killed, $next;
    push @wrong, "of the killed one there is $there[0], of the next one $there[1]" if $there[0] ne ($done ? 3 : 0) || $there[1] ne '3';
    my @lost = grep { my $item = $_; my ($settled) = grep { @$_ >= 3 } sql($session, 'CALL event_settle_v1(' . id_in_sql($item->{event}) . ')'); ($settled->[0] // '') eq 'abandoned' } @$killed;
    push @wrong, @lost . ' were not done, say their events' if @lost != ($done ? 0 : 3);
    push @wrong, sound($creates ? map { $_->{id} } @$next, $done ? @$killed : () : $organization);
    return ($number, @wrong);
}

# Whether the connection on which they went is still there.
sub crowd_kept {
    my ($way, $seen) = @_;
    my $call = first { $_->{name} eq $way->{procedure} } @{$seen->{calls}};
    return $call ? sql_value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = $call->{connection}") : 0;
}

1;
