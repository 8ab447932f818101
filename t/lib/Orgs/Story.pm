# For the tests of members, licenses, deployments and events: tables of requests told as a story, requests let go at
# one instant, and what must be true of an organization whatever was done to it.
#
#   my %cast = (ada => user('ada'), acme => organization(...));
#   steps(\%cast,
#       # who,  request,                  body,                  status, code of the problem or members of the answer
#       [ada => 'POST {acme}/members',    {email => '{bob@}'},   201, {role => 'member'}],
#       [bob => 'DELETE {acme}/members/{ada}', undef,            403, 'admin_required'],
#   );
#
# {name} is the id of somebody or something of the cast, {NAME} the same in upper case, {name@} an email. Each write
# that is answered 2xx must leave one event and any other none; a last element of the row may say otherwise and check
# more: {events => 0, what => 'text', headers => {...}, check => sub { my ($answer) = @_; ... }}.
package Orgs::Story;

use Orgs::Test;

use Digest::SHA qw(sha256);
use Exporter ();
use IO::Select ();
use IPC::Open3 ();
use MIME::Base64 qw(encode_base64url);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(steps in_place volley waiting statuses ends_with races sound ask ask_value crowd enroll license deployment pages
    members_of keys_of event_seq token_text);

sub import {
    my ($class) = @_;
    my $into = caller;
    no strict 'refs';
    *{"${into}::$_"} = \&{$_} for @EXPORT;
}

# --- the database, on a connection that stays ----------------------------------------------------------------------

my $END = 'end of the answer';

sub session_new {
    my $pid = IPC::Open3::open3(my $in, my $out, undef, $ENV{MYSQL}, '--defaults-file=' . top() . '/run/main/root.cnf',
        '--default-character-set=utf8mb4', '--batch', '--skip-column-names', '--raw', '--unbuffered', '--force');
    $in->autoflush(1);
    return {in => $in, out => $out, pid => $pid, owner => $$};
}

sub session_ask {
    my ($session, $statements) = @_;
    utf8::encode($statements) if utf8::is_utf8($statements);
    print {$session->{in}} "$statements\n;SELECT '$END';\n";
    my @rows;
    while (defined(my $line = readline $session->{out})) {
        chomp $line;
        last if $line eq $END;
        next if $line =~ /^ERROR.*No query specified/;
        die "sql: $line\nin: " . substr($statements, 0, 300) . "\n" if $line =~ /^ERROR /;
        push @rows, [map { $_ eq 'NULL' ? undef : $_ } split /\t/, $line, -1];
    }
    return @rows;
}

# What sql() does, by a name that is no part of another word.
sub ask { return sql(@_) }

sub ask_value {
    my @rows = ask(@_);
    return @rows ? $rows[0][0] : undef;
}

# --- many people ---------------------------------------------------------------------------------------------------

sub token_text {
    my ($secret) = @_;
    my $text = 'orgs_' . encode_base64url($secret);
    return $text . substr encode_base64url(sha256($text)), 0, 6;
}

my %crowds;

# crowd(NAME, N): N users without a name, each {id, email, token}, put there by SQL.
sub crowd {
    my ($name, $n) = @_;
    my $test = test_name();
    my @new;
    my $have = $crowds{$name} ||= [];
    while (@$have < $n) {
        my $number = @$have;
        my $secret = join '', map { chr int rand 256 } 1 .. 32;
        my $user = {id => uuid(), email => "$name$number\@$test.example", token => token_text($secret)};
        push @$have, $user;
        push @new, $user;
    }
    while (my @some = splice @new, 0, 500) {
        ask('INSERT INTO users (id, email, created_at) VALUES '
            . join(',', map { sprintf "(%s, '%s', UTC_TIMESTAMP(3))", id_in_sql($_->{id}), $_->{email} } @some)
            . ';INSERT INTO tokens (id, user_id, hash, created_at) VALUES '
            . join(',', map { sprintf "(%s, %s, UNHEX(SHA2('%s', 256)), UTC_TIMESTAMP(3))", id_in_sql(uuid()),
                id_in_sql($_->{id}), $_->{token} } @some));
    }
    return @$have[0 .. $n - 1];
}

# enroll(ORGANIZATION, ROLE, USER...): members put there by SQL, as organization_with does.
sub enroll {
    my ($organization, $role, @users) = @_;
    my $id = id_in_sql(ref $organization ? $organization->{id} : $organization);
    ask('INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES '
        . join(',', map { sprintf "(%s, %s, '%s', UTC_TIMESTAMP(3))", $id, id_in_sql($_->{id}), $role } @users)
        . sprintf ';UPDATE organizations SET members = members + %d WHERE id = %s', scalar @users, $id) if @users;
    return $organization;
}

# license(OPTION...), with the options of `orgsctl license add` without their dashes: {id}.
sub license {
    my %options = (plan => 'pro', @_);
    return {id => orgsctl('license', 'add', map { "--$_=$options{$_}" } sort keys %options)};
}

sub deployment {
    my ($license, $name, @options) = @_;
    return {id => orgsctl('deployment', 'add', $license->{id}, $name, @options)};
}

# --- what must always be true --------------------------------------------------------------------------------------

# sound(ORGANIZATION...): what is wrong with these, each a sentence; nothing is good. One that is gone must be whole
# gone. {admins => 0} first allows that nobody active is admin.
sub sound {
    my %options = (admins => 1, ref $_[0] eq 'HASH' && !exists $_[0]{id} ? %{shift()} : ());
    my @wrong;
    for my $organization (@_) {
        my $text = ref $organization ? $organization->{id} : $organization;
        my $id = id_in_sql($text);
        my ($row) = ask(<<"SQL");
SELECT (SELECT members FROM organizations WHERE id = $id),
       (SELECT COUNT(*) FROM memberships WHERE organization_id = $id),
       (SELECT COUNT(*) FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.organization_id = $id AND m.role = 'admin' AND u.active),
       (SELECT seq FROM organizations WHERE id = $id),
       (SELECT COUNT(*) FROM events WHERE organization_id = $id),
       (SELECT MAX(seq) FROM events WHERE organization_id = $id),
       (SELECT MIN(seq) FROM events WHERE organization_id = $id),
       (SELECT COUNT(*) FROM licenses WHERE organization_id = $id)
SQL
        my ($members, $memberships, $admins, $seq, $events, $last, $first, $licenses) = @$row;
        push @wrong, "$text has $events events, numbered $first to $last" if $events && $first + $events - 1 != $last;
        if (!defined $members) {
            push @wrong, "$text is gone, but $memberships memberships are not" if $memberships;
            push @wrong, "$text is gone, but has a license" if $licenses;
            next;
        }
        push @wrong, "$text counts $members members and has $memberships" if $members != $memberships;
        push @wrong, "$text has no active admin" if !$admins && $options{admins};
        push @wrong, "$text is at event $seq, the last is $last" if $seq != $last;
        push @wrong, "$text has $licenses licenses" if $licenses > 1;
    }
    return @wrong;
}

# The number of events of an organization.
sub event_seq {
    my ($organization) = @_;
    my $id = id_in_sql(ref $organization ? $organization->{id} : $organization);
    return ask_value("SELECT COUNT(*) FROM events WHERE organization_id = $id");
}

# The user ids of an organization's members, in the order of the list, as the database has them.
sub members_of {
    my ($organization) = @_;
    my $id = id_in_sql(ref $organization ? $organization->{id} : $organization);
    return map { $_->[0] } ask("SELECT uuid_text_v1(user_id) FROM memberships WHERE organization_id = $id "
        . 'ORDER BY joined_at, user_id');
}

# The names of an object's members as they stand in a JSON text; an inner object's too.
sub keys_of {
    my ($text) = @_;
    my @names;
    while ($text =~ /"((?:[^"\\]|\\.)*)"(:?)/g) {
        push @names, $1 if $2;
    }
    return join ' ', @names;
}

# --- a table of requests -------------------------------------------------------------------------------------------

sub in_place {
    my ($cast, $value) = @_;
    return [map { in_place($cast, $_) } @$value] if ref $value eq 'ARRAY';
    return {map { $_ => in_place($cast, $value->{$_}) } keys %$value} if ref $value eq 'HASH';
    return $value if ref $value || !defined $value;
    my $text = $value;    # a number that is looked at may become a string
    return $value if $text !~ /\{/;
    my $known = sub {
        my ($name) = @_;
        return $cast->{$name} // die "there is no $name in the cast\n";
    };
    $text =~ s/\{([a-z][a-z0-9_]*)\@\}/$known->($1)->{email}/ge;
    $text =~ s/\{([a-z][a-z0-9_]*)\}/$known->($1)->{id}/ge;
    $text =~ s/\{([A-Z][A-Z0-9_]*)\}/uc $known->(lc $1)->{id}/ge;
    return $text;
}

# Whether the members of $want are in $have with those values; a pattern matches, others are equal.
sub differences {
    my ($have, $want) = @_;
    my @wrong;
    for my $name (sort keys %$want) {
        my ($is, $should) = ($have->{$name}, $want->{$name});
        if (!exists $have->{$name}) {
            push @wrong, "$name is missing";
        }
        elsif (ref $should eq 'Regexp') {
            push @wrong, "$name is " . json_text($is) if !defined $is || $is !~ $should;
        }
        elsif (ref $should eq 'HASH' && ref $is eq 'HASH') {
            push @wrong, map { "$name.$_" } differences($is, $should);
        }
        elsif (json_text($is) ne json_text($should)) {
            push @wrong, "$name is " . json_text($is) . ', not ' . json_text($should);
        }
    }
    return @wrong;
}

sub steps {
    my ($cast, @rows) = @_;
    my $number = 0;
    for my $row (@rows) {
        local $Test::Builder::Level = $Test::Builder::Level + 1;
        my ($who, $request, $body, $status, $expected, $more) = @$row;
        $more //= {};
        my ($method, $path) = split ' ', $request, 2;
        my $write = $method !~ /^(?:GET|HEAD|OPTIONS)$/;
        my $what = $more->{what} ? "$more->{what}: " : '';
        my $shown = defined $body ? ' ' . (ref $body ? json_text($body) : $body) : '';
        $what .= "$who: $request" . (length $shown > 80 ? substr($shown, 0, 80) . '...' : $shown) . " is $status"
            . (defined $expected && !ref $expected ? " $expected" : '');
        my $url = in_place($cast, $path);
        my ($organization) = $url =~ m{^([0-9a-fA-F-]{36})(?:/|$)};
        my $before = $organization ? event_seq($organization) : undef;
        my $answer = api($method => $url,
            $who eq 'nobody' ? () : (token => $cast->{$who} // die "$who is not in the cast\n"),
            !defined $body ? () : ref $body ? (json => in_place($cast, $body)) : (body => in_place($cast, $body)),
            headers => in_place($cast, $more->{headers} // {}), exists $more->{type} ? (type => $more->{type}) : ());
        if (defined $expected && !ref $expected) {
            problem($answer, $status, $expected, $what);
        }
        elsif ($status == 304 || $status == 204) {
            is($answer->{status}, $status, $what) or diag($answer->{body});
        }
        else {
            answers($answer, $status, $what);
        }
        my $members = ref $expected eq 'HASH' ? $expected : $more->{members};
        if ($members && ref $answer->{json} eq 'HASH') {
            my @wrong = differences($answer->{json}, in_place($cast, $members));
            ok(!@wrong, "$what: what it says") or diag(join("\n", @wrong), "\n", $answer->{body});
        }
        if ($organization) {
            my $want = $more->{events} // ($write && $answer->{status} =~ /^2/ ? 1 : 0);
            my $events = event_seq($organization) - $before;
            is($events, $want, "$what: events") if $events != $want || ($write && $want);
        }
        $more->{check}->($answer, $what) if $more->{check};
    }
    return;
}

# --- pages ---------------------------------------------------------------------------------------------------------

# pages(PATH, token => ..., between => sub {...}): the items of each page, following Link. The path has its limit.
sub pages {
    my ($path, %options) = @_;
    my $between = delete $options{between};
    my @pages;
    my $next = $path;
    while (defined $next) {
        my $answer = api(GET => $next, %options);
        die "page: $answer->{line} $answer->{body}" if $answer->{status} != 200;
        push @pages, $answer->{json};
        my $link = $answer->{headers}{link};
        last if !defined $link;
        ($next) = $link =~ m{^<(/[^>]*)>; rel="next"$} or die "Link: $link";
        die 'pages without end' if @pages > 100_000;
        $between->($answer) if $between;
    }
    return @pages;
}

# --- at one instant ------------------------------------------------------------------------------------------------

# How many transactions wait for a row's lock.
sub waiting { (ask("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"))[0][1] }

my $gate;
my $turn = 0;

# volley([REQUEST...], gate => 'early' or 'late', at => [ORGANIZATION...], also => [[orgsctl's words]...]): sends all at
# one instant and gives the answers in their order, then [status, stdout, stderr] of each orgsctl. A request is {method,
# path, token, json, headers}. All are on connections of their own and known to their callers' threads before the last
# bytes go out together. With a gate, a transaction stands in the way until everybody (as many as the pool lets through)
# waits. Early: it holds the organizations' rows, and what was decided before the row was locked shows. Late: it holds
# the place of their next event, so that the first writer waits with all that it has locked, and what the others do
# without waiting for it shows; before => sub {...} is called before it is opened. Who waits there first is said by
# first => 'requests' or 'tools', else it is in turn.
sub volley {
    my ($requests, %options) = @_;
    my @also = @{$options{also} || []};
    my @shots;
    for my $request (@$requests) {
        my $path = $request->{path} =~ m{^/} ? $request->{path} : "/organizations/$request->{path}";
        $path =~ s{/$}{};
        my $body = exists $request->{json} ? json_text($request->{json}) : $request->{body} // '';
        my %headers = (Host => hostport(), Connection => 'close', %{$request->{headers} || {}});
        my $token = $request->{token};
        $headers{Authorization} = 'Bearer ' . (ref $token ? $token->{token} : $token) if defined $token;
        if ($request->{method} !~ /^(?:GET|HEAD|DELETE)$/) {
            $headers{'Content-Type'} = 'application/json';
            $headers{'Content-Length'} = length $body;
        }
        my $head = "$request->{method} $path HTTP/1.1\r\n" . join '', map { "$_: $headers{$_}\r\n" } sort keys %headers;
        my $socket = raw();
        my ($now, $later) = length $body ? ("${head}Expect: 100-continue\r\n\r\n", $body) : ($head, "\r\n");
        syswrite $socket, $now;
        push @shots, {socket => $socket, later => $later, expects => length $body ? 1 : 0, got => '',
            method => $request->{method}};
    }
    # those with a body have been asked for it when their caller is known
    my $select = IO::Select->new(map { $_->{socket} } grep { $_->{expects} } @shots);
    my %shot_of = map { fileno($_->{socket}) => $_ } @shots;
    while ($select->count) {
        my @ready = $select->can_read(1) or last;
        for my $socket (@ready) {
            my $shot = $shot_of{fileno $socket};
            sysread $socket, my $bytes, 65536 or $select->remove($socket), next;
            $shot->{got} .= $bytes;
            if ($shot->{got} =~ s{^HTTP/1\.1 100 [^\r]*\r\n\r\n}{} || $shot->{got} =~ m{^HTTP/1\.1 [2-5]}) {
                $select->remove($socket);
            }
        }
    }
    my @tools = map { tool_start(@$_) } @also;
    gate_close($options{gate}, @{$options{at}}) if $options{gate};
    syswrite $_->{go}, '.' for @tools;
    if (@tools && $options{gate}) {
        # with either gate now the requests come first, now they
        my $now = ('requests', 'tools')[int($turn++ / 2) % 2];
        until_true(0.5, sub { waiting() >= 1 }) if ($options{first} // $now) eq 'tools';
    }
    elsif (@tools) {
        sleep rand 0.05;
    }
    for my $shot (sort { $a->{order} <=> $b->{order} } map { $_->{order} = rand; $_ } @shots) {
        syswrite $shot->{socket}, $shot->{later};
    }
    if ($options{gate}) {
        my $want = $options{waiting} // (@shots > 7 ? 7 : @shots) + @tools;
        until_true(0.5, sub { waiting() >= $want });
        $options{before}->() if $options{before};
        session_ask($gate, 'ROLLBACK');
    }
    $select = IO::Select->new(map { $_->{socket} } @shots);
    my $deadline = time + 60;
    while ($select->count && time < $deadline) {
        for my $socket ($select->can_read(1)) {
            my $shot = $shot_of{fileno $socket};
            $select->remove($socket) if !sysread $socket, $shot->{got}, 65536, length $shot->{got};
        }
    }
    my @answers = map { (parse_answers($_->{got}, $_->{method}))[0] // {status => 0, body => $_->{got}, headers => {}} }
        @shots;
    return (@answers, map { tool_end($_) } @tools);
}

sub gate_close {
    my ($kind, @organizations) = @_;
    $gate = session_new() if !$gate || $gate->{owner} != $$;
    session_ask($gate, 'START TRANSACTION');
    for my $id (map { id_in_sql($_) } sort map { ref $_ ? $_->{id} : $_ } @organizations) {
        if ($kind eq 'early') {
            session_ask($gate, "SELECT id FROM organizations WHERE id = $id FOR UPDATE");
            next;
        }
        # asked first: in one statement it would lock the organization's row
        my $seq = ask_value("SELECT seq + 1 FROM organizations WHERE id = $id");
        session_ask($gate, 'INSERT INTO events (id, organization_id, seq, at, action) '
            . "VALUES (RANDOM_BYTES(16), $id, $seq, UTC_TIMESTAMP(3), 'gate')");
    }
    return;
}

sub tool_start {
    my @words = @_;
    pipe my $go_read, my $go or die "pipe: $!";
    pipe my $read, my $write or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $_ for $go, $read;
        Test::More->builder->no_ending(1);
        sysread $go_read, my $nothing, 1;
        my $result = eval { json_text(orgsctl({fails => 1}, @words)) } // json_text([255, '', "$@"]);
        print $write $result;
        close $write;
        require POSIX;
        POSIX::_exit(0);
    }
    close $_ for $go_read, $write;
    return {pid => $pid, go => $go, read => $read};
}

sub tool_end {
    my ($tool) = @_;
    my $text = do { local $/; readline $tool->{read} } // '';
    waitpid $tool->{pid}, 0;
    return eval { JSON::PP->new->utf8->decode($text) } // [255, '', "no result: $text"];
}

# ends_with([ANSWER...], STATUSES): what is wrong where they are none of these, each as statuses() writes them; and
# whatever is 5xx or no answer.
sub ends_with {
    my ($answers, @good) = @_;
    my $seen = statuses(@$answers);
    my @wrong = (grep { $seen eq $_ } @good) ? () : "answered $seen, not " . join(' or ', @good);
    for my $answer (grep { ref $_ eq 'HASH' && ($_->{status} >= 500 || !$_->{status}) } @$answers) {
        push @wrong, "answered $answer->{status} $answer->{body}";
    }
    return @wrong;
}

# races([NAME, rounds, rounds of a long run, sub { my ($round, $gate) = @_; ...; return what is wrong }]...): each round
# comes without a gate, with an early one and with a late one. Ends at a race's first round that fails.
sub races {
    for my $race (@_) {
        my ($name, $short, $long, $run) = @$race;
        my @gates = ('', 'early', 'late');
        my $rounds = long_or($long, $short);
        my @wrong;
        for my $round (0 .. $rounds * @gates - 1) {
            my $gate = $gates[$round % @gates];
            @wrong = $run->(int $round / @gates, $gate) or next;
            unshift @wrong, 'round ' . ($round + 1) . ' of ' . $rounds * @gates . ', ' . ($gate ? "the gate $gate" : 'no gate') . ':';
            last;
        }
        local $Test::Builder::Level = $Test::Builder::Level + 1;
        Test::More::ok(!@wrong, "$name: $rounds times " . @gates . ' rounds') or Test::More::diag(join "\n", @wrong);
    }
    return;
}

# How many answers of each status and code: "201: 5, 409 seat_limit_reached: 59".
sub statuses {
    my %count;
    for my $answer (@_) {
        my $name = ref $answer eq 'ARRAY' ? "exit $answer->[0]"
            : $answer->{status} . (ref $answer->{json} eq 'HASH' && $answer->{json}{code} ? " $answer->{json}{code}" : '');
        $count{$name}++;
    }
    return join ', ', map { "$_: $count{$_}" } sort keys %count;
}

1;
