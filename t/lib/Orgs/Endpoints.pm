# All endpoints, each once: what must be there before, the request, and what is then true.
#
#   my $world = world();                        # people, and lists of several batches
#   for my $endpoint (endpoints($world)) {
#       my $target = $endpoint->{before}->();   # {method, path, token, json, headers, ...}
#       my $answer = request($target, $host);       # by the server at http://$host, or the main one
#       say for wrong($endpoint, $target, $answer);
#   }
#
# wrong() compares the answer with the database: what is wrong with it, each a sentence. A write that was answered 2xx is
# there once, with its event, and answered as it can be read; after 4xx and 503 there is nothing; after 504 it is there
# whole or not at all. A read is what the main server says; a list may also have been cut so that it shows. What is made of
# an endpoint may be refused besides: refused => {409 => 'last_admin'}; unled => 1: its organization has no admin then; silent => 1: it changes nothing.
package Orgs::Endpoints;

use Orgs::Test;
use Orgs::Story;

use Exporter qw(import);

our @EXPORT = qw(world endpoints writes filled request wrong license_held_by LIST_LENGTH);

# three batches
use constant LIST_LENGTH => 210;

# --- what is there -------------------------------------------------------------------------------------------------------

sub rows_into { my ($table, @rows) = @_; sql("INSERT INTO $table VALUES " . join ',', @rows); return }

sub license_held_by {
    my ($organization) = @_;
    my $id = uuid();
    rows_into('licenses (id, plan, seats, organization_id, assigned_at, created_at)',
        sprintf "(%s, 'team', 1000, %s, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))", id_in_sql($id), $organization ? id_in_sql($organization->{id}) : 'NULL');
    return $id;
}

sub world {
    my %world = map { $_ => user($_) } qw(ada bob many);
    my $long = $world{long} = organization($world{ada}, name => 'Long lists');
    my $id = id_in_sql($long->{id});
    many_organizations(LIST_LENGTH, $world{many});
    enroll($long, member => $world{bob}, crowd(many => LIST_LENGTH - 2));
    my $license = license_held_by($long);
    rows_into('deployments (id, license_id, name, status, created_at, updated_at)',
        map { sprintf "(%s, %s, 'web-%d', 'active', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))", id_in_sql(uuid()), id_in_sql($license), $_ } 1 .. LIST_LENGTH);
    rows_into('events (id, organization_id, seq, at, action)',
        map { sprintf "(%s, %s, %d, UTC_TIMESTAMP(3), 'organization.update')", id_in_sql(uuid()), $id, $_ } 2 .. LIST_LENGTH);
    sql("UPDATE organizations SET seq = @{[LIST_LENGTH]} WHERE id = $id");
    return \%world;
}

# --- the table --------------------------------------------------------------------------------------------------------------

# Writes: [name, method, path, body, who is a member already, action of the event, SQL that is 1 where it was done, and
# where the answer can be read]. {org}: a new organization's id, {bob}: the user's, {license}: a new license, {held}:
# one that the organization has.
my @writes = (
    ['create an organization', 'POST', '', {name => '{name}', description => 'New'}, '', 'organization.create',
        "SELECT COUNT(*) FROM organizations WHERE name = '{name}'", '{made}'],
    ['update an organization', 'PUT', '{org}', {name => '{name}'}, '', 'organization.update',
        "SELECT name = '{name}' AND version = 2 FROM organizations WHERE id = {org_sql}", '{org}'],
    ['delete an organization', 'DELETE', '{org}', undef, 'bob', 'organization.delete',
        'SELECT COUNT(*) = 0 FROM organizations WHERE id = {org_sql}', undef],
    ['add a member', 'POST', '{org}/members', {email => '{email}', role => 'admin'}, '', 'member.add',
        'SELECT COUNT(*) FROM memberships WHERE organization_id = {org_sql} AND user_id = {bob_sql}', '{org}/members/{bob}'],
    ['remove a member', 'DELETE', '{org}/members/{bob}', undef, 'bob', 'member.remove',
        'SELECT COUNT(*) = 0 FROM memberships WHERE organization_id = {org_sql} AND user_id = {bob_sql}', undef],
    ['assign a license', 'PUT', '{org}/license', {license_id => '{license}'}, '', 'license.assign',
        'SELECT COUNT(*) FROM licenses WHERE organization_id = {org_sql} AND id = {license_sql}', '{org}/license'],
    ['unassign a license', 'DELETE', '{org}/license', undef, 'held', 'license.unassign',
        'SELECT COUNT(*) = 0 FROM licenses WHERE organization_id = {org_sql}', '{org}/license'],
    ['change a role', 'PUT', '{org}/members/{bob}', {role => 'admin'}, 'bob', 'member.update',
        "SELECT COUNT(*) FROM memberships WHERE organization_id = {org_sql} AND user_id = {bob_sql} AND role = 'admin'", '{org}/members/{bob}'],
);

# Reads: [name, path, who asks, whether it is a list].
my @reads = (
    ['list organizations', '', 'many', 1],
    ['read an organization', '{org}', 'ada', 0],
    ['list members', '{org}/members', 'ada', 1],
    ['read a license', '{org}/license', 'ada', 0],
    ['list deployments', '{org}/deployments', 'ada', 1],
    ['read a member', '{org}/members/{bob}', 'ada', 0],
    ['list events', '{org}/events', 'ada', 1],
);

sub filled {
    my ($value, $words) = @_;
    return {map { $_ => filled($value->{$_}, $words) } keys %$value} if ref $value;
    return $value if !defined $value;
    return $value =~ s/\{(\w+)\}/$words->{$1} \/\/ die "there is no $1"/ger;
}

sub write_endpoint {
    my ($world, $row) = @_;
    my ($name, $method, $path, $body, $with, $action, $done, $shown) = @$row;
    my $before = sub {
        my %words = (name => 'Grid ' . uuid(), bob => $world->{bob}{id}, email => $world->{bob}{email}, bob_sql => id_in_sql($world->{bob}{id}));
        my %target = (method => $method, token => $world->{ada}, words => \%words, events => 0);
        if ($path =~ /\{org\}/) {
            my $organization = $with eq 'bob' ? organization_with($world->{ada}, member => $world->{bob}) : organization($world->{ada});
            @words{qw(org org_sql)} = ($organization->{id}, id_in_sql($organization->{id}));
            if ($path =~ /license/) {
                $words{license} = license_held_by($with eq 'held' ? $organization : undef);
                $words{license_sql} = id_in_sql($words{license});
            }
            $target{headers} = {'If-Match' => $organization->{etag}} if $path eq '{org}' && $method =~ /^(?:PUT|DELETE)$/;
            $target{events} = 1;
        }
        @target{qw(path json)} = (filled($path, \%words), filled($body, \%words));
        return \%target;
    };
    # does the same question and the same CALL, and changes nothing that matters
    my $warm = sub {
        my %words = (name => 'Warm', bob => uuid(), email => $world->{bob}{email}, org => uuid(), license => uuid());
        return {method => $method, token => $world->{ada}, path => filled($path, \%words), json => filled($body, \%words)};
    };
    return {name => $name, write => 1, before => $before, warm => $warm, action => $action, done => $done, shown => $shown};
}

sub read_endpoint {
    my ($world, $row) = @_;
    my ($name, $path, $who, $list) = @$row;
    my $target = {method => 'GET', token => $world->{$who}, path => filled($path, {org => $world->{long}{id}, bob => $world->{bob}{id}})};
    return {name => $name, list => $list, before => sub { $target }, warm => sub { $target }};
}

# These need but the users ada and bob of the world.
sub writes { my ($world) = @_; return map { write_endpoint($world, $_) } @writes }

sub endpoints { my ($world) = @_; return ((map { read_endpoint($world, $_) } @reads), writes($world)) }

sub request {
    my ($target, $host) = @_;
    my ($method, $path) = @$target{qw(method path)};
    my $url = "/organizations" . ($path eq '' || $path =~ /^\?/ ? '' : '/') . $path;
    return api($method => $url, token => $target->{token}, defined $target->{json} ? (json => $target->{json}) : (),
        headers => $target->{headers} // {}, undecoded => 1, $host ? (url => "http://$host$url") : ());
}

# --- the truth -----------------------------------------------------------------------------------------------------------------

my %refusals = (503 => 'unavailable', 504 => 'outcome_unknown');

sub wrong {
    my ($endpoint, $target, $answer) = @_;
    my ($status, $code) = ($answer->{status}, ref $answer->{json} eq 'HASH' ? $answer->{json}{code} : undef);
    my @wrong;
    if ($status >= 400) {
        my %may = (%refusals, %{$endpoint->{refused} || {}});
        push @wrong, "$status $answer->{body}" if ($may{$status} // '') ne ($code // '')
            || $answer->{headers}{'content-type'} ne 'application/problem+json' || exists $answer->{headers}{'retry-after'} != ($status == 503);
    }
    return (@wrong, $endpoint->{write} ? write_wrong($endpoint, $target, $answer) : read_wrong($endpoint, $target, $answer));
}

my %read;

sub read_wrong {
    my ($endpoint, $target, $answer) = @_;
    my $real = $read{$endpoint->{name}} ||= request($target);
    my ($have, $want) = map { length $_->{body} } $answer, $real;
    return () if $answer->{status} == 503;
    return $have < $want && substr($real->{body}, 0, $have) eq $answer->{body} ? () : "cut, but after $have of $want bytes of something else"
        if $endpoint->{list} && $answer->{cut};
    return "answered $answer->{status}" if $answer->{status} != 200;
    return "another answer of $have bytes, not $want" if $answer->{body} ne $real->{body};
    return 'another entity tag' if ($answer->{headers}{etag} // '') ne ($real->{headers}{etag} // '');
    return ();
}

sub write_wrong {
    my ($endpoint, $target, $answer) = @_;
    my $words = $target->{words};
    my $status = $answer->{status};
    my ($state) = map { $_->[0] } sql(filled($endpoint->{done}, $words));
    return "it is there $state times" if $state > 1;
    if (!$words->{org_sql}) {
        my ($made) = map { $_->[0] } sql("SELECT HEX(id) FROM organizations WHERE name = '$words->{name}'");
        $target->{made} = $words->{made} = lc join '-', unpack 'A8 A4 A4 A4 A12', $made if $made;
        return $status =~ /^2/ ? "$status, and it is not there" : () if !$made;
        $words->{org_sql} = "X'$made'";
    }
    my @wrong;
    my $recorded = $endpoint->{silent} ? 0 : $state;
    my ($events) = sql("SELECT COUNT(*), SUM(action = '$endpoint->{action}' AND request_id <=> '$answer->{headers}{'x-request-id'}') "
        . "FROM events WHERE organization_id = $words->{org_sql}");
    push @wrong, "$status, and it is not done" if $status =~ /^2/ && !$state;
    push @wrong, "$status, but it is done" if $status !~ /^2/ && $status != 504 && $state && !$endpoint->{silent};
    push @wrong, "$events->[0] events, of them " . ($events->[1] // 0) . ' of this request, where it is ' . ($state ? 'done' : 'not done')
        if $events->[0] != $target->{events} + $recorded || ($events->[1] // 0) != $recorded;
    push @wrong, sound({admins => !$endpoint->{unled}}, $words->{org} // $words->{made});
    push @wrong, shown_wrong($endpoint, $target, $answer) if $status =~ /^2/ && !@wrong;
    return @wrong;
}

# Whether an answer is what can be read.
sub shown_wrong {
    my ($endpoint, $target, $answer) = @_;
    my $words = $target->{words};
    if (!defined $endpoint->{shown}) {
        my %gone = %{$answer->{json} || {}};
        my $good = $gone{deleted} && ($gone{user_id} ? $gone{organization_id} eq $words->{org} && $gone{user_id} eq $words->{bob} : $gone{id} eq $words->{org});
        return $good ? () : "another answer: $answer->{body}";
    }
    my $read = request({method => 'GET', token => $target->{token}, path => filled($endpoint->{shown}, $words)});
    return "another answer: $answer->{body} instead of $read->{body}" if $answer->{body} ne $read->{body};
    return 'another entity tag' if ($answer->{headers}{etag} // '') ne ($read->{headers}{etag} // '');
    return 'another Location: ' . $answer->{headers}{location}
        if $answer->{status} == 201 && $answer->{headers}{location} ne '/organizations/' . filled($endpoint->{shown}, $words);
    return ();
}

1;
