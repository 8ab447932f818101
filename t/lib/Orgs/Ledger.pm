# Writers that write down each answer, and the judge who compares what they were told with what the database has.
#
#   my $ledger = Orgs::Ledger->new(name => 'kills', run => $db->{run}, vhost => 'orgs_second', writers => 8);
#   race(9, sub { $_[0] ? $ledger->writer($_[0] - 1) : do { ...; $ledger->halt } });
#   my @lies = $ledger->judge;     # each a sentence
#   $ledger->counts;               # ['organization.create 201', 412], ...
#
# Writers create (with an Idempotency-Key and without), update (by If-Match and without), add, remove, raise, lower,
# assign, unassign and delete, each in organizations of its own and in some of all. They write until $ledger->halt, and
# then find out, by their Idempotency-Keys, what became of what they were not told.
#
# The database knows an answer's request by its id, which each event has; who got no answer at all knows what he asked
# for. Whatever is said in an event is looked for in the rows.
package Orgs::Ledger;

use strict;
use warnings;

use Digest::SHA qw(sha256);
use JSON::PP ();
use Orgs::Test ();
use Orgs::Story ();
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->canonical;
my $OWN = 4;         # of each writer, to begin with
my $SHARED = 2;
my $COLLEAGUES = 60;
my $LICENSES = 6;

# name: of this ledger in the run directory; run: of the database; vhost or url: where the API is; writers: how many;
# seed; send: in place of api(); keys: which part of the creates and adds has an Idempotency-Key (0.5). Makes users, licenses and the organizations that all share. The API must work.
sub new {
    my ($class, %options) = @_;
    my $self = bless {writers => 8, seed => time ^ $$, %options}, $class;
    $self->{directory} = Orgs::Test::top() . "/run/ledger-$self->{name}";
    mkdir $self->{directory} or die "$self->{directory}: $!";
    $self->make_users;
    $self->make_licenses;
    $self->make_organizations;
    return $self;
}

sub sql { my ($self, $text) = @_; return Orgs::Test::sql({run => $self->{run}}, $text) }

sub insert {
    my ($self, $table, @rows) = @_;
    while (my @some = splice @rows, 0, 500) {
        $self->sql("INSERT INTO $table VALUES " . join ',', @some);
    }
    return;
}

sub make_users {
    my ($self) = @_;
    my (@users, @tokens);
    my $user = sub {
        my ($name) = @_;
        my $made = {id => Orgs::Test::uuid(), email => "$name\@$self->{name}.example",
            token => Orgs::Story::token_text(sha256("$self->{name} $name " . rand))};
        my $id = Orgs::Test::id_in_sql($made->{id});
        push @users, "($id, '$made->{email}', UTC_TIMESTAMP(3))";
        push @tokens, sprintf "(%s, %s, UNHEX(SHA2('%s', 256)), UTC_TIMESTAMP(3))", Orgs::Test::id_in_sql(Orgs::Test::uuid()), $id, $made->{token};
        return $made;
    };
    for my $number (0 .. $self->{writers} - 1) {
        $self->{users}[$number] = $user->("writer$number");
        $self->{colleagues}[$number] = [map { $user->("colleague$number-$_") } 1 .. $COLLEAGUES];
    }
    $self->insert('users (id, email, created_at)', @users);
    $self->insert('tokens (id, user_id, hash, created_at)', @tokens);
    return;
}

sub make_licenses {
    my ($self) = @_;
    my @rows;
    my $license = sub {
        my $id = Orgs::Test::uuid();
        push @rows, sprintf "(%s, 'pro', %d, UTC_TIMESTAMP(3))", Orgs::Test::id_in_sql($id), 3 + int rand 4;
        return $id;
    };
    $self->{licenses}[$_] = [map { $license->() } 1 .. $LICENSES] for 0 .. $self->{writers} - 1;
    $self->{contended} = [map { $license->() } 1 .. 2];
    $self->insert('licenses (id, plan, seats, created_at)', @rows);
    return;
}

# Some organizations for each, and those of which all writers are admins.
sub make_organizations {
    my ($self) = @_;
    for my $number (reverse 0 .. $self->{writers} - 1) {
        $self->begin($number);
        $self->create for 1 .. $OWN;
        die "the API does not work: $self->{last}{status} $self->{last}{body}\n" if @{$self->{own}} < $OWN;
        $self->{begun}[$number] = {own => [splice @{$self->{own}}, $number ? 0 : $SHARED], counter => $self->{counter}};
    }
    for my $org (splice @{$self->{own}}, 0, $SHARED) {
        $self->add($org, $_, 'admin') for @{$self->{users}}[1 .. $self->{writers} - 1];
        push @{$self->{shared}}, $org->{id};
    }
    $self->end;
    return;
}

# --- what the processes tell each other -----------------------------------------------------------------------------

sub file { my ($self, $name) = @_; return "$self->{directory}/$name" }

# Writers end.
sub halt { my ($self) = @_; open my $fh, '>', $self->file('halt') or die "halt: $!" }

sub halted { my ($self) = @_; return -e $self->file('halt') }

# How many writers have ended.
sub ended { my ($self) = @_; my @ended = glob $self->file('ended-*'); return scalar @ended }

# How many writes have been answered 2xx so far.
sub done { my ($self) = @_; my $sum = 0; $sum += -s $_ for glob $self->file('done-*'); return $sum }

# --- a writer -------------------------------------------------------------------------------------------------------

sub begin {
    my ($self, $number) = @_;
    $self->{number} = $number;
    $self->{user} = $self->{users}[$number];
    my $begun = $self->{begun}[$number] || {own => [], counter => 0};
    @$self{qw(own counter)} = @$begun{qw(own counter)};
    $self->{pending} = [];
    $self->{of_shared} = [map { {id => $_, shared => 1, members => {}, spoilt => {}} } @{$self->{shared} || []}];
    for my $file (qw(answers done)) {
        open $self->{$file}, '>>', $self->file("$file-$number") or die "$file: $!";
        $self->{$file}->autoflush(1);
    }
    return;
}

sub end { my ($self) = @_; close delete $self->{$_} for qw(answers done) }

# Sends a request, and writes down what was asked and what was answered. The entry: action, org, target, mark (what the
# event must say), moves (whether 2xx must leave an event; undef: who knows), key.
sub ask {
    my ($self, $entry, $method, $path, $body, %headers) = @_;
    my $began = time;
    my $send = $self->{send} || \&Orgs::Test::api;
    my $answer = $send->($method => $path, token => $self->{user}, defined $body ? (json => $body) : (),
        headers => {%headers, defined $entry->{key} ? ('Idempotency-Key' => $entry->{key}) : ()},
        $self->{url} ? (url => $self->{url} . ($path eq '' ? '' : "/$path")) : (vhost => $self->{vhost}));
    my ($status, $h, $said) = ($answer->{status}, $answer->{headers}, $answer->{json});
    $said = {} if ref $said ne 'HASH';
    my ($version) = ($h->{etag} // '') =~ /^"(\d+)-/;
    my $done = $status =~ /^2/;
    $self->{last} = $answer;
    print {$self->{answers}} $json->encode({
        moves => 1, %$entry, status => $status, rid => $h->{'x-request-id'}, code => $said->{code}, took => time - $began, at => $began,
        ($h->{'idempotent-replayed'} ? (replayed => 1) : ()), (defined $version ? (version => $version) : ()),
        ($entry->{action} eq 'organization.create' && $done ? (org => $said->{id}) : ()),
        ($done && $entry->{action} eq 'member.add' && $said->{user_id} ne $entry->{target} ? (wrong => "added $said->{user_id}") : ()),
        ($done && $entry->{action} eq 'organization.create' && $said->{name} ne $entry->{mark} ? (wrong => "named $said->{name}") : ()),
        ($done && $entry->{action} eq 'organization.update' && ($said->{description} // '') ne $entry->{mark} ? (wrong => "described $said->{description}") : ()),
        ($done && $entry->{action} =~ /^member\.(?:add|update)/ && $said->{role} ne $entry->{mark} ? (wrong => "made $said->{role}") : ()),
    }) . "\n";
    print {$self->{done}} '.' if $done;
    # who is told to come back later does
    sleep 0.01 + rand 0.03 if $status == 503 || !$status;
    return $done ? $answer : undef;
}

# The last request ended in not knowing.
sub unknown { my ($self) = @_; return $self->{last}{status} == 504 || !$self->{last}{status} }

sub mark { my ($self) = @_; return join '-', $self->{name}, $self->{number}, ++$self->{counter} }

sub create {
    my ($self, %more) = @_;
    my $entry = {action => 'organization.create', mark => $self->mark, %more};
    my $answer = $self->ask($entry, POST => '', {name => $entry->{mark}});
    return $self->created($entry, $answer);
}

sub created {
    my ($self, $entry, $answer) = @_;
    if (!$answer) {
        push @{$self->{pending}}, $entry if defined $entry->{key};
        return;
    }
    my $org = {id => $answer->{json}{id}, tag => $answer->{headers}{etag}, members => {}, spoilt => {}, license => ''};
    push @{$self->{own}}, $org;
    return $org;
}

sub add {
    my ($self, $org, $user, $role, %more) = @_;
    my $entry = {action => 'member.add', org => $org->{id}, target => $user->{id}, mark => $role, email => $user->{email}, %more};
    my $answer = $self->ask($entry, POST => "$org->{id}/members", {email => $user->{email}, role => $role});
    return $self->added($entry, $org, $answer);
}

sub added {
    my ($self, $entry, $org, $answer) = @_;
    if ($answer) {
        $org->{members}{$entry->{target}} = $entry->{mark};
    }
    elsif ($self->unknown) {
        $org->{spoilt}{$entry->{target}} = 1;
    }
    if (!$answer && defined $entry->{key} && $self->{last}{status} =~ /^(?:0|503|504)$/) {
        push @{$self->{pending}}, {%$entry, of => $org};
    }
    return $answer;
}

# What was not answered is asked again with its key, until it is.
sub again {
    my ($self) = @_;
    my $entry = shift @{$self->{pending}} or return;
    my $org = $entry->{of};
    my %plain = map { $_ => $entry->{$_} } grep { $_ ne 'of' } keys %$entry;
    if (!$org) {
        return $self->created($entry, scalar $self->ask(\%plain, POST => '', {name => $entry->{mark}}));
    }
    return $self->added($entry, $org, scalar $self->ask(\%plain, POST => "$org->{id}/members",
        {email => $entry->{email}, role => $entry->{mark}}));
}

sub key { my ($self) = @_; return rand() < ($self->{keys} // 0.5) ? (key => 'key-' . $self->mark) : () }

# An organization of one's own, most often.
sub pick {
    my ($self) = @_;
    my @of = rand() < 0.3 ? @{$self->{of_shared}} : @{$self->{own}};
    return @of ? $of[rand @of] : undef;
}

# Somebody who is (or not) a member as far as we know, and about whom we know.
sub somebody {
    my ($self, $org, $member) = @_;
    my @some = grep { !$org->{spoilt}{$_->{id}} && !$member == !$org->{members}{$_->{id}} } @{$self->{colleagues}[$self->{number}]};
    return @some ? $some[rand @some] : undef;
}

my %acts = (
    create => [14, sub { my ($self) = @_; $self->create($self->key) }],
    update => [22, sub {
        my ($self) = @_;
        my $org = $self->pick or return;
        my $tag = $org->{shared} && rand() < 0.7 ? $self->tag_of($org) : $org->{tag};
        my $mark = $self->mark;
        my $answer = $self->ask({action => 'organization.update', org => $org->{id}, mark => $mark}, PUT => $org->{id}, {description => $mark},
            defined $tag && rand() < 0.8 ? ('If-Match' => $tag) : ());
        $org->{tag} = $answer ? $answer->{headers}{etag} : undef;
    }],
    add => [22, sub {
        my ($self) = @_;
        my $org = $self->pick or return;
        my $user = $self->somebody($org, 0) or return;
        $self->add($org, $user, rand() < 0.3 ? 'admin' : 'member', $self->key);
    }],
    role => [12, sub {
        my ($self) = @_;
        my $org = $self->pick or return;
        my $user = $self->somebody($org, 1) or return;
        my $role = rand() < 0.5 ? 'admin' : 'member';
        my $answer = $self->ask({action => 'member.update', org => $org->{id}, target => $user->{id}, mark => $role,
            moves => $org->{members}{$user->{id}} eq $role ? 0 : 1}, PUT => "$org->{id}/members/$user->{id}", {role => $role});
        $org->{members}{$user->{id}} = $role if $answer;
        $org->{spoilt}{$user->{id}} = 1 if $self->unknown;
    }],
    remove => [14, sub {
        my ($self) = @_;
        my $org = $self->pick or return;
        my $user = $self->somebody($org, 1) or return;
        my $answer = $self->ask({action => 'member.remove', org => $org->{id}, target => $user->{id}}, DELETE => "$org->{id}/members/$user->{id}");
        delete $org->{members}{$user->{id}} if $answer;
        $org->{spoilt}{$user->{id}} = 1 if $self->unknown;
    }],
    assign => [14, sub {
        my ($self) = @_;
        my $org = $self->{own}[rand @{$self->{own}}] or return;
        my @licenses = rand() < 0.2 ? @{$self->{contended}} : @{$self->{licenses}[$self->{number}]};
        my $license = $licenses[rand @licenses];
        my $answer = $self->ask({action => 'license.assign', org => $org->{id}, target => $license,
            moves => !defined $org->{license} ? undef : $org->{license} eq $license ? 0 : 1}, PUT => "$org->{id}/license", {license_id => $license});
        $org->{license} = $license if $answer;
        $org->{license} = undef if $self->unknown;
        # the organization's tag moved with it
        $org->{tag} = undef;
    }],
    unassign => [8, sub {
        my ($self) = @_;
        my $org = $self->{own}[rand @{$self->{own}}] or return;
        my $answer = $self->ask({action => 'license.unassign', org => $org->{id},
            moves => !defined $org->{license} ? undef : $org->{license} eq '' ? 0 : 1}, DELETE => "$org->{id}/license");
        $org->{license} = '' if $answer;
        $org->{license} = undef if $self->unknown;
        $org->{tag} = undef;
    }],
    delete => [8, sub {
        my ($self) = @_;
        my $own = $self->{own};
        my $n = int rand @$own;
        my $org = $own->[$n] or return;
        my $answer = $self->ask({action => 'organization.delete', org => $org->{id}}, DELETE => $org->{id});
        splice @$own, $n, 1 if $answer || $self->unknown;
    }],
);
my @acts = map { ($acts{$_}[1]) x $acts{$_}[0] } sort keys %acts;

sub tag_of {
    my ($self, $org) = @_;
    my $send = $self->{send} || \&Orgs::Test::api;
    my $answer = $send->(GET => $org->{id}, token => $self->{user}, $self->{url} ? (url => "$self->{url}/$org->{id}") : (vhost => $self->{vhost}));
    return $answer->{status} == 200 ? $answer->{headers}{etag} : undef;
}

# Writes until it is told to halt; then finds out what is to be found out.
sub writer {
    my ($self, $number) = @_;
    $self->begin($number);
    srand($self->{seed} + $number);
    until ($self->halted) {
        if (@{$self->{pending}} && rand() < 0.5) {
            $self->again;
        }
        elsif (@{$self->{own}} < 3) {
            $acts{create}[1]->($self);
        }
        elsif (@{$self->{own}} > 8) {
            $acts{delete}[1]->($self);
        }
        else {
            $acts[rand @acts]->($self);
        }
    }
    my $deadline = time + 30;
    $self->again while @{$self->{pending}} && time < $deadline;
    $self->end;
    open my $fh, '>', $self->file("ended-$number") or die "ended: $!";
    return scalar @{$self->{pending}};
}

# --- the judge --------------------------------------------------------------------------------------------------------

sub entries {
    my ($self) = @_;
    my @entries;
    for my $file (glob $self->file('answers-*')) {
        open my $in, '<', $file or die "$file: $!";
        push @entries, map { $json->decode($_) } <$in>;
    }
    return @entries;
}

# How often each kind of answer came: [text, times], in order.
sub counts {
    my ($self) = @_;
    my %times;
    for my $entry ($self->entries) {
        $times{"$entry->{action} " . ($entry->{status} || 'no answer') . ($entry->{replayed} ? ' replayed' : '') . ($entry->{code} ? " $entry->{code}" : '')}++;
    }
    return map { [$_, $times{$_}] } sort keys %times;
}

# The longest time that an answer took, in seconds.
sub longest {
    my ($self) = @_;
    my ($longest) = sort { $b <=> $a } map { $_->{took} } $self->entries;
    return $longest // 0;
}

my $uuid = sub { my ($hex) = @_; return defined $hex ? join '-', unpack 'A8 A4 A4 A4 A12', lc $hex : undef };

sub events {
    my ($self) = @_;
    my $actors = join ',', map { Orgs::Test::id_in_sql($_->{id}) } @{$self->{users}};
    return map {
        my ($id, $org, $seq, $action, $target, $rid, $changes) = @$_;
        {id => $uuid->($id), org => $uuid->($org), seq => $seq, action => $action, target => $uuid->($target), rid => $rid, changes => $json->decode($changes)}
    } $self->sql('SELECT HEX(id), HEX(organization_id), seq, action, HEX(target_id), request_id, changes FROM events '
        . "WHERE actor_id IN ($actors) ORDER BY organization_id, seq");
}

# What an event says in words of an entry.
my %field = ('organization.create' => 'name', 'organization.update' => 'description', 'member.add' => 'role', 'member.update' => 'role');

sub event_mark { my ($event) = @_; my $field = $field{$event->{action}}; return $field ? $event->{changes}{$field}[1] : undef }

# Whether an event is what an entry asked for.
sub fits {
    my ($entry, $event) = @_;
    return 0 if $entry->{action} ne $event->{action};
    return 0 if defined $entry->{org} && $entry->{org} ne $event->{org};
    return 0 if defined $entry->{target} && $entry->{target} ne ($event->{target} // '');
    return 0 if defined $entry->{mark} && $entry->{mark} ne (event_mark($event) // '');
    return 1;
}

sub words {
    my ($entry) = @_;
    return join ' ', map { $_ // '-' } @$entry{qw(action org target mark key status code rid)};
}

# All that is not as it was answered.
sub judge {
    my ($self) = @_;
    my @entries = $self->entries;
    my @events = $self->events;
    my @lies = ($self->judge_answers(\@entries, \@events), $self->judge_keys(\@entries, \@events), $self->judge_rows(\@entries, \@events));
    return map { $_ . $self->story($_, \@entries, \@events) } @lies;
}

# What was asked and recorded of the organization that a sentence is about, in order.
sub story {
    my ($self, $lie, $entries, $events) = @_;
    my ($org) = $lie =~ /([0-9a-f]{8}-[0-9a-f-]{27})/ or return '';
    my @asked = sort { $a->{at} <=> $b->{at} } grep { ($_->{org} // '') eq $org } @$entries;
    return join '', map { "\n    $_" } (map { sprintf '%.3f to %.3f: %s', $_->{at}, $_->{at} + $_->{took}, words($_) } @asked),
        map { "event $_->{seq} ($_->{id}): $_->{action} by request $_->{rid} " . $json->encode($_->{changes}) } grep { $_->{org} eq $org } @$events;
}

# 2xx: one event; 4xx and 503: none; 504: one or none; and each event is somebody's.
sub judge_answers {
    my ($self, $entries, $events) = @_;
    my (@lies, %by_rid, %asked, %unanswered);
    push @{$by_rid{$_->{rid}}}, $_ for @$events;
    for my $entry (@$entries) {
        if (!$entry->{status}) {
            push @{$unanswered{$entry->{action}}}, $entry;
            next;
        }
        push @lies, words($entry) . ": $entry->{wrong}" if $entry->{wrong};
        if (!defined $entry->{rid} || $asked{$entry->{rid}}++) {
            push @lies, words($entry) . ': no request id of its own';
            next;
        }
        my @its = @{$by_rid{$entry->{rid}} || []};
        my ($least, $most) = $entry->{status} == 504 ? (0, 1)
            : $entry->{status} !~ /^2/ || $entry->{replayed} ? (0, 0)
            : defined $entry->{moves} ? ($entry->{moves}, $entry->{moves}) : (0, 1);
        push @lies, words($entry) . ': written ' . @its . ' times' if @its < $least || @its > $most;
        push @lies, words($entry) . ": written is $_->{action} " . $json->encode($_) for grep { !fits($entry, $_) } @its;
        if (@its) {
            $_->{entry} = $entry for @its;
            $entry->{written} = 1;
        }
    }
    for my $event (grep { !$asked{$_->{rid}} } @$events) {
        my ($entry) = grep { !$_->{written} && fits($_, $event) } @{$unanswered{$event->{action}} || []};
        push @lies, 'nobody asked for ' . $json->encode($event) if !$entry;
        ($event->{entry}, $entry->{written}) = ($entry, 1) if $entry;
    }
    return @lies;
}

# One key: one write at most, and all successes say the same. Wants judge_answers before it.
sub judge_keys {
    my ($self, $entries) = @_;
    my (@lies, %of);
    push @{$of{$_->{key}}}, $_ for grep { defined $_->{key} } @$entries;
    for my $key (sort keys %of) {
        my @of = @{$of{$key}};
        my @written = grep { $_->{written} } @of;
        my @done = grep { $_->{status} =~ /^2/ } @of;
        my %orgs = map { $_->{org} => 1 } @done;
        push @lies, "$key: written " . @written . ' times' if @written > 1 || (@done && !@written);
        push @lies, "$key: " . keys(%orgs) . ' answers' if keys %orgs > 1;
        push @lies, "$key: replayed, but written by who was told so" if @written && grep { $_->{replayed} && $written[0]{status} =~ /^[1-4]|^503/ } @done;
    }
    return @lies;
}

# The rows are what the events say, all of it: who is in an organization, what it is called, its counters, its license.
sub judge_rows {
    my ($self, $entries, $events) = @_;
    my (@lies, %want);
    for my $event (@$events) {
        my $o = $want{$event->{org}} //= {seq => 0, version => 0, license_version => 1, members => {}, license => '', there => 1};
        my ($action, $changes) = @$event{qw(action changes)};
        $o->{seq}++;
        push @lies, "$event->{org}: event $event->{seq} stands where $o->{seq} should" if $event->{seq} != $o->{seq};
        $o->{version}++ if $action =~ /^organization|^license/;
        $o->{license_version}++ if $action =~ /^license/;
        $o->{$_} = $changes->{$_}[1] for grep { $action =~ /^organization/ } keys %$changes;
        $o->{members}{$event->{target}} = $changes->{role}[1] if $action =~ /^member/;
        delete $o->{members}{$event->{target}} if $action eq 'member.remove';
        $o->{license} = $action eq 'license.assign' ? $event->{target} : '' if $action =~ /^license/;
        $o->{there} = 0 if $action eq 'organization.delete';
        my $entry = $event->{entry};
        my $version = $action =~ /^license/ ? $o->{license_version} : $o->{version};
        push @lies, words($entry) . ": version $entry->{version}, not $version" if $entry && defined $entry->{version} && $entry->{version} != $version;
        # the creator's own membership has no event
        $o->{founder} = 1 if $action eq 'organization.create';
    }
    my %have = map { my ($id, @rest) = @$_; $uuid->($id) => \@rest } $self->sql('SELECT HEX(id), name, description, members, seq, version, license_version FROM organizations');
    my (%members, %license);
    $members{$uuid->($_->[0])}{$uuid->($_->[1])} = $_->[2] for $self->sql('SELECT HEX(organization_id), HEX(user_id), role FROM memberships');
    $license{$uuid->($_->[0])} .= $uuid->($_->[1]) for $self->sql('SELECT HEX(organization_id), HEX(id) FROM licenses WHERE organization_id IS NOT NULL');
    my %writer = map { $_->{id} => 1 } @{$self->{users}};
    for my $id (sort keys %want) {
        my $o = $want{$id};
        my $row = $have{$id};
        my $say = sub { push @lies, "$id: $_[0]" };
        if (!$o->{there}) {
            $say->('deleted, but there') if $row;
            $say->('deleted, but has members') if $members{$id};
            $say->('deleted, but has a license') if $license{$id};
            next;
        }
        if (!$row) {
            $say->('not there');
            next;
        }
        my ($name, $description, $count, $seq, $version, $license_version) = @$row;
        my %there = %{$members{$id} || {}};
        my ($founder) = grep { $writer{$_} && !$o->{members}{$_} } sort keys %there;
        $o->{members}{$founder} = 'admin' if defined $founder && $o->{founder};
        $say->("name $name, not $o->{name}") if $name ne $o->{name};
        $say->('description ' . ($description // 'null') . ', not ' . ($o->{description} // 'null')) if ($description // '') ne ($o->{description} // '');
        $say->("counts $count members, has " . keys %there) if $count != keys %there;
        $say->("at event $seq, the last is $o->{seq}") if $seq != $o->{seq};
        $say->("version $version, not $o->{version}") if $version != $o->{version};
        $say->("license version $license_version, not $o->{license_version}") if $license_version != $o->{license_version};
        $say->('license ' . ($license{$id} // 'none') . ", not $o->{license}") if ($license{$id} // '') ne $o->{license};
        $say->('members ' . $json->encode(\%there) . ', not ' . $json->encode($o->{members})) if $json->encode(\%there) ne $json->encode($o->{members});
    }
    # a row without an event
    my $writers = join ',', map { Orgs::Test::id_in_sql($_->{id}) } @{$self->{users}};
    push @lies, map { $uuid->($_->[0]) . ': there without an event' } grep { !$want{$uuid->($_->[0])} }
        $self->sql("SELECT HEX(id) FROM organizations WHERE created_by IN ($writers)");
    return @lies;
}

1;
