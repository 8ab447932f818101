# What is asked: the paths that are measured, with the data they are about.
#
#   my $paths = Orgs::Bench::Paths->new($instance, members => 10_000, large => 100_000);   # fills the database
#   for my $path ($paths->all) { ... }   # {name, what, servers, each}
#   my $file = $paths->requests($path, $server, $requests);  # for t/bench/load
#   $paths->check($path, $server);       # one request: its body is what it should be, or dies
#   $paths->settled($path, $answered);   # after a window: the database holds what was answered, or dies
package Orgs::Bench::Paths;
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use IO::Socket::INET ();
use JSON::PP ();
use Orgs::Data qw(data_sql data_crowd_sql data_hot_sql data_token data_user data_organization data_id);

my $USERS = 10_000;
my $EACH = 10;
my $CROWD = $USERS;              # the organization with members, and the first of its users
my $LARGE = $USERS + 1;
my $HOT = 2 * $USERS;            # the first of those that members are added to, one for each window
my $json = JSON::PP->new->utf8;

my @PATHS = (
    {name => 'read',    what => 'read one organization',           status => 200, servers => [qw(mod_orgs L1 Go PHP)]},
    {name => 'list',    what => 'list ten',                        status => 200, servers => [qw(mod_orgs L1 Go PHP)]},
    {name => 'members', what => 'list 10,000 members',             status => 200, servers => [qw(mod_orgs L1 Go PHP)]},
    {name => 'create',  what => 'create an organization',          status => 201, servers => [qw(mod_orgs L1 Go PHP)]},
    {name => 'add',     what => 'add a member to one organization', status => 201, servers => [qw(mod_orgs L1 Go PHP)], each => 1},
    {name => 'file',    what => 'a file behind Require org-member', status => 200, servers => [qw(mod_orgs plain)]},
);

sub new {
    my ($class, $instance, %options) = @_;
    my $self = bless {instance => $instance, members => $options{members}, large => $options{large}, hot => $HOT, sizes => {}, bodies => {}}, $class;
    # the crowd's users follow the others, the large one's follow those
    $self->{first} = $USERS + $self->{members} - 1;
    $instance->sql(data_sql($USERS, $EACH));
    $instance->sql(data_crowd_sql($CROWD, $USERS, $self->{members}));
    $instance->sql(data_crowd_sql($LARGE, $self->{first}, $self->{large}));
    $instance->sql('ANALYZE TABLE ' . join ', ', qw(users tokens organizations memberships licenses events));
    return $self;
}

sub all { return @PATHS }

sub file { my ($self, $name) = @_; return "$self->{instance}{directory}/$name.requests" }

sub line { return join("\t", @_) . "\n" }

# The lines of a path, by its name: so many, where each is taken once.
my %lines = (
    read => sub {
        return map { my $o = $_; my $u = ($o + $USERS - $o % $EACH) % $USERS; line('GET', '/organizations/' . data_organization($o), data_token($u), 200, '{"id":"' . data_organization($o) . '"', '') } 0 .. $USERS - 1;
    },
    list => sub { return map { line('GET', '/organizations', data_token($_), 200, "\"name\":\"Organization $_\"", '') } 1 .. $USERS - 1 },
    members => sub {
        my ($self) = @_;
        return line('GET', '/organizations/' . data_organization($CROWD) . '/members', data_token(0), 200, 'user' . ($self->{first} - 1) . '@example.org"', '');
    },
    create => sub { return map { line('POST', '/organizations', data_token($USERS + $_), 201, "\"name\":\"Bench $_\"", "{\"name\":\"Bench $_\",\"description\":\"Made while it is measured\"}") } 0 .. 4999 },
    add => sub {
        my ($self, $count) = @_;
        my ($hot, $token) = ($self->hot, data_token($USERS));
        my $last = $self->{first} + ($count < $self->{large} - 1 ? $count : $self->{large} - 1) - 1;
        return map { line('POST', "/organizations/$hot/members", $token, 201, "\"email\":\"user$_\@example.org\"", "{\"email\":\"user$_\@example.org\"}") } $self->{first} .. $last;
    },
    file => sub { return map { my $o = $_; my $u = ($o + $USERS - $o % $EACH) % $USERS; line('GET', '/gated/' . data_organization($o) . '/file.txt', data_token($u), 200, 'a line of a file', '') } 0 .. $USERS - 1 },
);

# A new organization to add to.
sub hot {
    my ($self) = @_;
    my $number = $self->{hot}++;
    $self->{instance}->sql(data_hot_sql($number, $USERS));
    return $self->{hot_id} = data_organization($number);
}

sub requests {
    my ($self, $path, $server, $count) = @_;
    my $kind = $server->{name} =~ /^(?:L1|plain)$/ ? $1 // $& : '';
    my $file = $self->file("$path->{name}$kind");
    $self->remember($path);
    return $file if -e $file && !$path->{each};
    my @lines = $kind eq 'L1' ? $self->constant_line($path) : $lines{$path->{name}}->($self, $count);
    @lines = map { s{/gated/}{/plain/}r } @lines if $kind eq 'plain';
    open my $out, '>', $file or die "$file: $!";
    print $out @lines;
    close $out;
    return $file;
}

sub constant_line {
    my ($self, $path) = @_;
    my $size = $self->{sizes}{$path->{name}} or die "the size of $path->{name} is not known yet\n";
    return line($path->{status} == 201 ? 'POST' : 'GET', "/constant/$size", data_token(1), $path->{status}, 'xxx', $path->{status} == 201 ? '{"name":"Bench"}' : '');
}

# --- looking at bodies ------------------------------------------------------------------------------------------------

# One request's answer: (status, body).
sub ask {
    my ($server, $line) = @_;
    chomp $line;
    my ($method, $path, $token, undef, undef, $body) = split /\t/, $line, -1;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->{port}, Timeout => 30) or die "$server->{name}: $@\n";
    my $more = $body ne '' ? "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n" : '';
    print $socket "$method $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer $token\r\n$more\r\n$body";
    local $/;
    my ($head, $text) = split /\r\n\r\n/, <$socket> // '', 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)} or die "$server->{name} does not answer $method $path\n";
    if ($head =~ /^transfer-encoding: chunked/im) {
        my $whole = '';
        while ($text =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r\n//) {
            my $size = hex $1 or last;
            $whole .= substr $text, 0, $size, '';
            substr $text, 0, 2, '';
        }
        $text = $whole;
    }
    return ($status, $text);
}

# How the answer differs from what the database holds; undef: it does not.
sub fault {
    my ($self, $path, $line, $body) = @_;
    my $is = eval { $json->decode($body) };
    my $name = $path->{name};
    if ($name eq 'file') { return $body eq "a line of a file\n" x 60 ? undef : 'another file' }
    return 'no JSON' if !ref $is;
    if ($name eq 'members') {
        my %emails = map { $_->{email} => 1 } @$is;
        return @$is == $self->{members} && keys %emails == @$is ? undef : 'another number of members: ' . @$is;
    }
    if ($name eq 'list') {
        my @good = grep { $_->{role} =~ /^(?:admin|member)$/ && $_->{name} =~ /^Organization \d+$/ } @$is;
        return @$is == $EACH && @good == $EACH ? undef : 'no list of ten';
    }
    if ($name eq 'add') { return $is->{organization_id} eq $self->{hot_id} && $is->{role} eq 'member' ? undef : 'no new member' }
    my ($wanted) = (split /\t/, $line)[4] =~ /"([^"]*)"\z/;
    return "no $wanted" if ($name eq 'read' ? $is->{id} : $is->{name}) ne $wanted;
    return join(',', sort keys %$is) eq 'active,created_at,description,id,license_id,name,role,updated_at' ? undef : 'other members: ' . join ',', sort keys %$is;
}

# What was answered to the same question before must be the same from everybody, byte for byte, where nothing was made.
sub check {
    my ($self, $path, $server) = @_;
    return if $server->{name} eq 'L1';
    my @lines = $lines{$path->{name}}->($self, 1);
    my $line = $lines[@lines * 0.7];
    $line =~ s{/gated/}{/plain/} if $server->{name} eq 'plain';
    my ($status, $body) = ask($server, $line);
    my $fault = $status != $path->{status} ? "status $status" : $self->fault($path, $line, $body);
    my $digest = sha256_hex($body // '');
    if ($path->{status} == 200) {
        $self->{bodies}{$path->{name}} //= $digest;
        $fault //= 'another body than the first that was asked' if $digest ne $self->{bodies}{$path->{name}};
    }
    die "$server->{name}, $path->{what}: $fault\n" . substr($body // '', 0, 500) . "\n" if defined $fault;
    $self->{sizes}{$path->{name}} //= length $body;
    return;
}

# What the tables hold before a window.
sub remember {
    my ($self, $path) = @_;
    $self->{before} = $self->{instance}->value('SELECT COUNT(*) FROM organizations') if $path->{name} eq 'create';
    return;
}

sub settled {
    my ($self, $path, $answered) = @_;
    my $made;
    if ($path->{name} eq 'create') {
        $made = $self->{instance}->value('SELECT COUNT(*) FROM organizations') - $self->{before};
    }
    elsif ($path->{name} eq 'add') {
        my $id = "x'" . $self->{hot_id} =~ tr/-//dr . "'";
        my ($row) = $self->{instance}->sql("SELECT members - 1, (SELECT COUNT(*) - 1 FROM memberships WHERE organization_id = $id), seq, (SELECT COUNT(*) FROM events WHERE organization_id = $id) "
            . "FROM organizations WHERE id = $id");
        die "$path->{what}: the tables do not agree: @$row\n" if grep { $_ != $row->[0] } @$row;
        $made = $row->[0];
    }
    die "$path->{what}: $answered were answered, and the database has $made\n" if defined $made && $made != $answered;
    return;
}

# The lines for t/bench/statements: token's hash, organization, user, email.
sub statement_lines {
    my ($self, $path, $count) = @_;
    my $file = $self->file("$path->{name}-statements");
    my $line = sub { my ($user, $organization, $other) = @_; return join(' ', sha256_hex(data_token($user)), data_id($organization), data_id($user, 1), "user$other\@example.org") . "\n" };
    my $o = $path->{name} eq 'add' ? $self->hot : '';
    open my $out, '>', $file or die "$file: $!";
    if ($path->{name} eq 'add') { print $out map { $line->($USERS, $self->{hot} - 1, $_) } $self->{first} .. $self->{first} + $count - 1 }
    elsif ($path->{name} eq 'members') { print $out $line->(0, $CROWD, 0) }
    elsif ($path->{name} eq 'create') { print $out map { $line->($USERS + $_, 0, 0) } 0 .. 4999 }
    else { print $out map { $line->($_, $_, $_) } 1 .. $USERS - 1 }
    close $out;
    $self->remember($path);
    return $file;
}

1;
