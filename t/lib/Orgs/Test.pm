# What every test needs: requests, users with tokens, the database, raw connections, races, and the watch on httpd's
# error log. `use Orgs::Test;` brings these and Test::More's, with strict and warnings; `done_testing` at the end looks
# at the log.
#
#   my $r = api(GET => '/organizations', token => user('ada'));   # ->{status} ->{headers} ->{json} ->{body}
#   answers($r, 200, what => ...)          # status and the media type that goes with it
#   problem($r, 404, 'not_found', 'what')  # status, problem+json, code, title, no-store
#   expect_log('ORGS0102');                # this test provokes it, so it must come, and is no failure
package Orgs::Test;

use strict;
use warnings;
use utf8;

use Apache::Test ();
use Apache::TestRequest ();
use Exporter ();
use File::Basename qw(basename);
use IO::Socket::INET ();
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(api answers problem user superuser organization organization_with new_token orgsctl sql sql_value sql_later
    move_to sql_json uuid raw raw_request parse_answers race until_true long_or expect_log watch_log log_lines json_text hostport
    test_name top ago port_of many_organizations raw_connection read_some read_all httpd_children drop_clients another_database status_counter is_mariadb account_locked not_here done_testing now_ms id_in_sql);

# What Apache::Test wrote down when it configured the server is all we need; finding it out again takes seconds.
{
    no warnings 'redefine';
    *Apache::Test::config = \&Apache::Test::basic_config;
}

my $top = $ENV{ORGS_TEST_TOP} or die "run this by t/run\n";
my $test_name = basename($0, '.t');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub import {
    my ($class) = @_;
    strict->import;
    warnings->import;
    utf8->import;
    binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
    my $into = caller;
    {
        no strict 'refs';
        for my $name (@Test::More::EXPORT) {
            next if $name !~ /^\w+$/ || $name eq 'done_testing' || $name eq 'plan';
            *{"${into}::$name"} = \&{"Test::More::$name"};
        }
        *{"${into}::TODO"} = \${"${into}::TODO"};
        *{"${into}::$_"} = \&{$_} for @EXPORT;
    }
}

sub top { $top }

sub test_name { $test_name }

sub json_text { $json->encode($_[0]) }

# The count for a short run, or for ORGS_TEST_LONG=1.
sub long_or {
    my ($long, $short) = @_;
    return $ENV{ORGS_TEST_LONG} ? $long : $short;
}

# Where api, sql, orgsctl and all that is made of them turn from now on, in this process, unless they are told otherwise:
# move_to(host => 'address:port', database => name, defaults => the option file for orgsctl); move_to() is back.
my %place;
my %users;

sub move_to {
    %place = @_;
    %users = ();
    return;
}

# --- requests -----------------------------------------------------------------------------------------------------

# A virtual host of t/conf/extra.conf.in, or the main server.
sub hostport {
    my ($vhost) = @_;
    local $Apache::TestRequest::Module = $vhost || 'default';
    return Apache::TestRequest::hostport();
}

sub port_of { (split /:/, hostport(@_))[1] }

# api(METHOD => PATH, token => user or text, json => data, body => bytes, type => media type, headers => {...},
#     vhost => name, url => ...). A path without a leading slash is below /organizations. Connections are kept, one for
# each host and process. Status 0: no answer came; then kept tells whether the connection had served before, begun
# whether any byte came. undecoded => 1: a long body needs no {json}.
sub api {
    my ($method, $path, %options) = @_;

    $path = $path eq '' || $path =~ /^\?/ ? "/organizations$path" : "/organizations/$path" if $path !~ m{^[/*]};
    my $host = !$options{vhost} && $place{host} || hostport($options{vhost});
    ($host, $path) = $options{url} =~ m{^http://([^/]+)(/.*)$} if $options{url};
    my %headers = (Host => $host);
    my $token = $options{token};
    $headers{Authorization} = 'Bearer ' . (ref $token ? $token->{token} : $token) if defined $token;
    my $content = exists $options{json} ? $json->encode($options{json}) : $options{body};
    if (defined $content) {
        utf8::encode($content) if utf8::is_utf8($content);
        $headers{'Content-Type'} = 'application/json';
    }
    $headers{'Content-Type'} = $options{type} if exists $options{type};
    $headers{'Content-Length'} = length($content // '') if defined $content || $method !~ /^(?:GET|HEAD|OPTIONS)$/;
    %headers = (%headers, %{$options{headers} || {}});
    my $request = "$method $path HTTP/1.1\r\n" . join('', map { "$_: $headers{$_}\r\n" } grep { defined $headers{$_} } sort keys %headers)
        . "\r\n" . ($content // '');
    utf8::encode($request) if utf8::is_utf8($request);
    my $answer = exchange($host, $method, $request);
    # long ones take JSON::PP seconds
    $answer->{json} = eval { $json->decode($answer->{body}) } if length $answer->{body} && length $answer->{body} < ($options{undecoded} ? 10_000 : 4_000_000);
    return $answer;
}

my (%connections, $connections_pid);

# Sends a request on the kept connection to a host, or a new one, and takes the answer off it.
sub exchange {
    my ($host, $method, $request) = @_;
    if (($connections_pid // 0) != $$) {
        %connections = ();
        $connections_pid = $$;
    }
    local $SIG{PIPE} = 'IGNORE';
    my $socket = delete $connections{$host};
    if ($socket) {
        # an idle server has nothing to say but goodbye
        my $bits = '';
        vec($bits, fileno $socket, 1) = 1;
        undef $socket if select $bits, undef, undef, 0;
    }
    my $answer = {method => $method, status => 0, headers => {}, body => '', kept => $socket ? 1 : 0, begun => 0};
    $socket ||= IO::Socket::INET->new(PeerAddr => $host, Timeout => 30);
    my $bytes = '';
    return $answer if !$socket;
    for (my $sent = 0; $sent < length $request;) {
        # who refuses a body may close before it is sent: the answer is there all the same
        my $n = syswrite $socket, $request, length($request) - $sent, $sent;
        last if !$n;
        $sent += $n;
    }
    until (exists $answer->{head}) {
        if ($bytes =~ s{\A(HTTP/1\.[01] (\d{3})[^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n}{}) {
            my ($line, $status, $head) = ($1, $2, $3);
            next if $status == 100;
            @$answer{qw(line status head headers)} = ($line, $status, $head, headers_of($head));
        }
        elsif (!sysread $socket, $bytes, 65536, length $bytes) {
            $answer->{begun} = length $bytes;
            return $answer;
        }
    }
    my $h = $answer->{headers};
    my $keep = ($h->{connection} // '') !~ /close/i && $answer->{line} =~ m{^HTTP/1\.1};
    if ($method eq 'HEAD' || $answer->{status} == 204 || $answer->{status} == 304) {
    }
    elsif (($h->{'transfer-encoding'} // '') eq 'chunked') {
        my $more = sub { sysread $socket, $bytes, 65536, length $bytes };
        while (1) {
            until ($bytes =~ /\n/) {
                return {%$answer, status => 0, cut => 1} if !$more->();
            }
            my $length = $bytes =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r\n// ? hex $1 : return {%$answer, status => 0, cut => 1};
            while (length $bytes < $length + 2) {
                return {%$answer, status => 0, cut => 1} if !$more->();
            }
            $answer->{body} .= substr $bytes, 0, $length;
            substr $bytes, 0, $length + 2, '';
            last if !$length;
        }
    }
    elsif (defined $h->{'content-length'}) {
        while (length $bytes < $h->{'content-length'}) {
            return {%$answer, status => 0, cut => 1} if !sysread $socket, $bytes, 65536, length $bytes;
        }
        $answer->{body} = substr $bytes, 0, $h->{'content-length'}, '';
    }
    else {
        1 while sysread $socket, $bytes, 65536, length $bytes;
        ($answer->{body}, $bytes, $keep) = ($bytes, '', 0);
    }
    $connections{$host} = $socket if $keep && $bytes eq '';
    return $answer;
}

# The fields of a head, by name in lower case; several of one name joined.
sub headers_of {
    my ($head) = @_;
    my %headers;
    for my $line (split /\r\n/, $head) {
        my ($name, $value) = $line =~ /^([^:]+):\s*(.*?)\s*$/ or next;
        $name = lc $name;
        $headers{$name} = exists $headers{$name} ? "$headers{$name}, $value" : $value;
    }
    return \%headers;
}

sub describe {
    my ($answer) = @_;
    my $body = $answer->{body} // '';
    return join "\n", "status: $answer->{status}",
        (map { "$_: $answer->{headers}{$_}" } sort keys %{$answer->{headers}}),
        'body: ' . (length $body > 1500 ? substr($body, 0, 1500) . " ... (" . length($body) . ' bytes)' : $body);
}

# Everything that is true of any answer of the given status; says what it saw if not.
sub answers {
    my ($answer, $status, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $what //= "status $status";
    my @wrong;
    push @wrong, "status $answer->{status} instead of $status" if $answer->{status} ne $status;
    my $h = $answer->{headers};
    if (!@wrong && $status =~ /^2/ && $status != 204) {
        push @wrong, 'media type' if ($h->{'content-type'} // '') ne 'application/json';
        push @wrong, 'Cache-Control' if ($h->{'cache-control'} // '') ne 'private, no-cache';
        push @wrong, 'no JSON' if !defined $answer->{json} && $answer->{method} ne 'HEAD' && length $answer->{body} < 4_000_000;
    }
    if (!@wrong) {
        push @wrong, 'Vary' if ($h->{vary} // '') !~ /\bAuthorization\b/;
        push @wrong, 'X-Content-Type-Options' if ($h->{'x-content-type-options'} // '') ne 'nosniff';
        push @wrong, 'X-Request-Id' if ($h->{'x-request-id'} // '') !~ /^[\x21-\x7e]{8,64}$/;
    }
    my $good = Test::More::ok(!@wrong, $what);
    Test::More::diag(join(', ', @wrong) . "\n" . describe($answer)) if !$good;
    return $good;
}

my %titles = (
    400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden', 404 => 'Not Found', 405 => 'Method Not Allowed',
    408 => 'Request Timeout', 409 => 'Conflict', 412 => 'Precondition Failed', 413 => 'Request Entity Too Large',
    415 => 'Unsupported Media Type', 422 => 'Unprocessable Entity', 429 => 'Too Many Requests',
    500 => 'Internal Server Error', 503 => 'Service Unavailable', 504 => 'Gateway Timeout',
);

# A problem of RFC 9457, whole: body, headers, and what its code asks for besides.
sub problem {
    my ($answer, $status, $code, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $what //= "$status $code";
    my ($h, $body) = ($answer->{headers}, $answer->{json});
    my @wrong;
    push @wrong, "status $answer->{status} instead of $status" if $answer->{status} ne $status;
    push @wrong, 'media type' if ($h->{'content-type'} // '') ne 'application/problem+json';
    push @wrong, 'Cache-Control' if ($h->{'cache-control'} // '') ne 'no-store';
    push @wrong, 'Vary' if ($h->{vary} // '') !~ /\bAuthorization\b/;
    push @wrong, 'X-Content-Type-Options' if ($h->{'x-content-type-options'} // '') ne 'nosniff';
    push @wrong, 'X-Request-Id' if ($h->{'x-request-id'} // '') !~ /^[\x21-\x7e]{8,64}$/;
    push @wrong, 'Retry-After' if $status == 503 && ($h->{'retry-after'} // '') !~ /^[1-9][0-9]*$/;
    push @wrong, 'Retry-After that may not be' if $status == 504 && exists $h->{'retry-after'};
    push @wrong, 'Allow' if $status == 405 && ($h->{allow} // '') eq '';
    push @wrong, 'WWW-Authenticate' if $status == 401 && ($h->{'www-authenticate'} // '') !~ /^Bearer realm="/;
    push @wrong, 'ETag that may not be' if exists $h->{etag};
    if ($answer->{method} eq 'HEAD') {
        push @wrong, 'body to HEAD' if length $answer->{body};
    }
    elsif (ref $body ne 'HASH') {
        push @wrong, 'no JSON object';
    }
    else {
        my %want = (type => 'about:blank', title => $titles{$status}, status => $status, code => $code);
        for my $name (sort keys %want) {
            push @wrong, "$name is not '$want{$name}'" if ($body->{$name} // '') ne $want{$name};
        }
        push @wrong, 'detail' if ($body->{detail} // '') !~ /\S/;
        push @wrong, 'order of members'
            if $answer->{body} !~ /^\{"type":"about:blank","title":"[^"]+","status":\d+,"detail":".*","code":"\w+"/s;
    }
    my $good = Test::More::ok(!@wrong, $what);
    Test::More::diag(join(', ', @wrong) . "\n" . describe($answer)) if !$good;
    return $good;
}

# --- users, tokens, organizations -----------------------------------------------------------------------------------

# orgsctl(ARGUMENT...): standard output; dies if it fails. orgsctl({...}, ...) with account => root.cnf's name, in => text,
# fails => 1: then [status, stdout, stderr].
sub orgsctl {
    my %options = ref $_[0] ? %{shift()} : ();
    my $run = $options{run} // "$top/run/main";
    my $defaults = $options{defaults} // (!$options{run} && !$options{account} && $place{defaults}) || "$run/" . ($options{account} // 'admin') . '.cnf';
    require File::Temp;
    my ($out, $err, $in) = map { File::Temp->new } 1 .. 3;
    print $in $options{in} // '';
    $in->flush;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<', $in->filename or die;
        open STDOUT, '>', $out->filename or die;
        open STDERR, '>', $err->filename or die;
        exec "$top/build/orgsctl", "--defaults-file=$defaults", @_ or die "orgsctl: $!";
    }
    waitpid $pid, 0;
    my $status = $? >> 8 || ($? & 127 ? 128 + ($? & 127) : 0);
    my ($stdout, $stderr) = map { local $/; open my $fh, '<', $_->filename or die; scalar <$fh> // '' } $out, $err;
    return [$status, $stdout, $stderr] if $options{fails};
    die "orgsctl @_: status $status, $stderr" if $status;
    chomp $stdout;
    return $stdout;
}

# A user of this test: {id, email, token}. The same name is the same user.
sub user {
    my ($name, @options) = @_;
    return $users{$name} ||= do {
        my $email = lc "$name\@$test_name.example";
        my $id = orgsctl('user', 'add', $email, "--name=\u$name", @options);
        {id => $id, email => $email, token => new_token($email)};
    };
}

sub superuser { user($_[0] // 'root', '--superuser') }

sub new_token {
    my ($user, @options) = @_;
    return orgsctl('token', 'issue', ref $user ? $user->{email} : $user, @options);
}

# A new organization of the user's, as the answer of 201 has it, with its tag in {etag}.
sub organization {
    my ($user, %fields) = @_;
    my $answer = api(POST => '', token => $user, json => {name => 'An organization', %fields});
    die "no organization: " . describe($answer) if $answer->{status} != 201;
    return {%{$answer->{json}}, etag => $answer->{headers}{etag}, location => $answer->{headers}{location}};
}

# The same with members, put there by SQL: organization_with($admin, member => $user, admin => $another).
sub organization_with {
    my ($user, @members) = @_;
    my $organization = organization($user);
    while (my ($role, $member) = splice @members, 0, 2) {
        sql(sprintf "INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (%s, %s, '%s', UTC_TIMESTAMP(3));"
            . "UPDATE organizations SET members = members + 1 WHERE id = %s",
            id_in_sql($organization->{id}), id_in_sql($member->{id}), $role, id_in_sql($organization->{id}));
    }
    return $organization;
}

# N organizations by SQL, of which the user is an admin (role => 'member': a member), with ids in the order made, a
# second ago. Gives the ids. description => N: that many characters each; every => N: each N-th is inactive.
my $many_clock = now_ms() - 86_400_000;

sub many_organizations {
    my ($n, $user, %options) = @_;
    my $role = $options{role} // 'admin';
    my $user_id = id_in_sql($user->{id});
    my $text = $options{description} ? "'" . 'd' x $options{description} . "'" : 'NULL';
    my (@ids, @organizations, @memberships);
    for my $number (1 .. $n) {
        my $id = uuid($many_clock++);
        my $active = $options{every} && $number % $options{every} == 0 ? 0 : 1;
        push @ids, $id;
        my $hex = id_in_sql($id);
        push @organizations, "($hex,'Organization $number',$text,$active,1,1,1,$user_id,UTC_TIMESTAMP(3),UTC_TIMESTAMP(3))";
        push @memberships, "($hex,$user_id,'$role',UTC_TIMESTAMP(3))";
    }
    while (my @rows = splice @organizations, 0, 500) {
        sql($options{sql} || {}, 'INSERT INTO organizations (id, name, description, active, members, seq, version, created_by, created_at, '
            . 'updated_at) VALUES ' . join ',', @rows);
    }
    while (my @rows = splice @memberships, 0, 500) {
        sql($options{sql} || {}, 'INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES ' . join ',', @rows);
    }
    return @ids;
}

# The processes that answer.
sub httpd_children {
    open my $fh, '<', "$top/t/logs/httpd.pid" or die "httpd.pid: $!";
    chomp(my $parent = <$fh>);
    my @children;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my $line = <$in> // next;
        push @children, $1 if $line =~ /^(\d+) \(.*\) \S $parent /;
    }
    return @children;
}

# --- the database ---------------------------------------------------------------------------------------------------

# sql(STATEMENTS): the rows, each an array of texts (undef: NULL). sql({account => 'orgs', run => ..., fails => 1}, ...):
# as another account; with fails, the error's number (0: none) instead.
sub sql {
    my %options = ref $_[0] ? %{shift()} : ();
    my ($statements) = @_;
    my @answer;
    for (1 .. 20) {
        @answer = sql_begin(\%options, $statements)->();
        # a MySQL cannot list processes or transactions while a statement of theirs has bytes that are no text; and what
        # it tells of transactions stays the same for who asks more often than each tenth of a second
        last if !$answer[1] || $answer[0] !~ /^ERROR 3854 /m || $statements !~ /\A\s*SELECT\b/i;
        sleep 0.15;
    }
    return rows_of(\%options, $statements, @answer);
}

# The same, asked on a client of its own name (as => NAME), without waiting: a function that waits, and gives the rows.
sub sql_later {
    my ($options, $statements) = @_;
    my $answer = sql_begin($options, $statements);
    return sub { rows_of($options, $statements, $answer->()) };
}

sub sql_begin {
    my ($options, $statements) = @_;
    my %options = %$options;
    my $run = $options{run} // "$top/run/main";
    my $cnf = "$run/root.cnf";
    my @more;
    if (($options{account} // 'root') ne 'root') {
        $cnf = "$run/$options{account}.cnf";
        @more = ("--socket=$run/db/socket", '--database=orgs', "--user=$options{user}") if $options{user};
    }
    my $database = $options{database} // (!$options{run} && $place{database});
    push @more, "--database=$database" if $database;
    my $text = $statements =~ s/[;\s]*\z//r;
    utf8::encode($text) if utf8::is_utf8($text);
    return ask_client($options{as} // '', [$cnf, @more], $text);
}

sub rows_of {
    my ($options, $statements, $answer, $failed) = @_;
    if ($options->{fails}) {
        return $failed ? ($answer =~ /^ERROR (\d+)/m ? $1 : -1) : 0;
    }
    die "sql: $answer\nin: " . substr($statements, 0, 300) if $failed;
    return map { [map { $_ eq 'NULL' ? undef : $_ } split /\t/, $_, -1] } split /\n/, $answer;
}

# The client is kept, one for each account, name and process, until an error ends it.
my (%clients, $clients_pid);

# The clients of a server that goes away.
sub drop_clients {
    for my $name (keys %clients) {
        my $client = delete $clients{$name};
        close $client->{in};
        close $client->{out};
        kill KILL => $client->{pid};
        waitpid $client->{pid}, 0;
    }
}

# Gives a function that waits for the answer, and gives it with whether it is an error.
sub ask_client {
    my ($as, $arguments, $text) = @_;
    if (($clients_pid // 0) != $$) {
        %clients = ();
        $clients_pid = $$;
    }
    my $name = join "\0", $as, @$arguments;
    my $client = $clients{$name} ||= do {
        require IPC::Open3;
        my $pid = IPC::Open3::open3(my $in, my $out, undef, $ENV{MYSQL}, "--defaults-file=$arguments->[0]",
            @$arguments[1 .. $#$arguments], qw(--default-character-set=utf8mb4 --batch --skip-column-names --raw
            --unbuffered --skip-reconnect --force));
        $in->autoflush(1);
        {pid => $pid, in => $in, out => $out};
    };
    local $SIG{PIPE} = 'IGNORE';
    my $end = sprintf 'end of answer %d-%06d', $$, int rand 1e6;
    print {$client->{in}} "$text;\nSELECT '$end';\n";
    return sub { hear_client($name, $client, $end) };
}

sub hear_client {
    my ($name, $client, $end) = @_;
    my ($answer, $failed) = ('', 0);
    while (defined(my $line = readline $client->{out})) {
        return ($answer, $failed) if $line eq "$end\n";
        $answer .= $line;
        if ($line =~ /^ERROR (\d+) \(/) {
            $failed = 1;
            # the server is gone, and the end will not come
            if ($1 >= 2000 && $1 < 2100) {
                kill KILL => $client->{pid};
                last;
            }
        }
    }
    delete $clients{$name};
    close $client->{in};
    waitpid $client->{pid}, 0;
    return ($answer, 1);
}

# A database of its own on the main server, with the schema: gives what orgsctl and sql want to know of it.
sub another_database {
    my ($name) = @_;
    sql("CREATE DATABASE IF NOT EXISTS $name; GRANT SELECT, EXECUTE ON $name.* TO orgs\@localhost;"
        . "GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON $name.* TO orgs_admin\@localhost");
    my $file = "$top/run/$name.cnf";
    open my $in, '<', "$top/run/main/root.cnf" or die "root.cnf: $!";
    my $cnf = do { local $/; <$in> };
    $cnf =~ s/^database=.*/database=$name/m;
    open my $out, '>', $file or die "$file: $!";
    print $out $cnf;
    close $out;
    orgsctl({defaults => $file}, 'schema');
    return {defaults => $file, database => $name};
}

sub sql_value {
    my @rows = sql(@_);
    return @rows ? $rows[0][0] : undef;
}

# Rows as objects: sql_json('id, seq', 'events WHERE ...').
sub sql_json {
    my ($columns, $rest) = @_;
    my $pairs = join ', ', map { my $c = $_; my ($n) = $c =~ /(\w+)\s*$/; $c =~ s/\s+AS\s+\w+\s*$//i; "'$n', $c" }
        split /,\s*(?![^()]*\))/, $columns;
    return map { $json->decode($_->[0]) } sql("SELECT JSON_OBJECT($pairs) FROM $rest");
}

# X'...' of a UUID.
sub id_in_sql {
    my ($id) = @_;
    $id =~ tr/-//d;
    return "X'$id'";
}

# Whether the main server is a MariaDB; else it is a MySQL.
my $mariadb;

sub is_mariadb { return $mariadb //= sql_value('SELECT VERSION()') =~ /MariaDB/ ? 1 : 0 }

# The end of a test that this server or client library has no ground for: said aloud, as prove says only that it was skipped.
sub not_here {
    my ($why) = @_;
    Test::More::diag(uc($test_name) . ".T IS NOT RUN HERE: $why");
    Test::More::plan(skip_all => $why);
}

# Whether nobody can log in with an account. account_locked('name', {run => ...})
sub account_locked {
    my ($name, $options) = @_;
    return sql_value($options // {}, is_mariadb() ? "SELECT JSON_VALUE(Priv, '\$.account_locked') = 1 FROM mysql.global_priv WHERE User = '$name'"
        : "SELECT account_locked = 'Y' FROM mysql.user WHERE User = '$name'");
}

# Any status variable of the server, as a number.
sub status_counter {
    my ($name) = @_;
    return (sql("SHOW GLOBAL STATUS LIKE '$name'"))[0][1];
}

# A UUID of version 7 that is nobody's.
sub uuid {
    my ($ms) = @_;
    $ms //= now_ms();
    my @random = map { int rand 65536 } 1 .. 5;
    return sprintf '%08x-%04x-7%03x-%04x-%04x%04x%04x', int($ms / 65536), $ms % 65536, $random[0] & 0xfff,
        ($random[1] & 0x3fff) | 0x8000, @random[2 .. 4];
}

sub now_ms { int(time * 1000) }

# --- raw connections ------------------------------------------------------------------------------------------------

sub raw {
    my ($vhost) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => hostport($vhost), Timeout => 30) or die "connect: $@";
    $socket->autoflush(1);
    return $socket;
}

# Sends bytes on a connection of their own and gives all that comes until the server closes it, parsed
# (parse_answers). With half => 1 we say that nothing more will come.
sub raw_request {
    my ($bytes, %options) = @_;
    my $socket = raw($options{vhost});
    local $SIG{PIPE} = 'IGNORE';
    utf8::encode($bytes) if utf8::is_utf8($bytes);
    for my $piece (ref $options{pieces} ? @{$options{pieces}} : $bytes) {
        last if !syswrite $socket, $piece;
    }
    shutdown $socket, 1 if $options{half};
    my $answer = read_all($socket, $options{timeout} // 60);
    return wantarray ? (parse_answers($answer), $answer) : (parse_answers($answer))[0];
}

# A connection with little room for what comes: a client that does not read stops the server.
sub raw_connection {
    my ($vhost, %options) = @_;
    require Socket;
    socket my $socket, Socket::PF_INET(), Socket::SOCK_STREAM(), 0 or die "socket: $!";
    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), pack 'i', $options{room} // 4096;
    my ($host, $port) = split /:/, hostport($vhost);
    connect $socket, Socket::pack_sockaddr_in($port, Socket::inet_aton($host)) or die "connect: $!";
    return $socket;
}

# Reads at least so many bytes, if they come.
sub read_some {
    my ($socket, $bytes) = @_;
    my $answer = '';
    while (length $answer < $bytes) {
        sysread $socket, my $piece, 4096 or last;
        $answer .= $piece;
    }
    return $answer;
}

sub read_all {
    my ($socket, $timeout) = @_;
    my $answer = '';
    my $deadline = time + $timeout;
    my $bits = '';
    vec($bits, fileno $socket, 1) = 1;
    while (time < $deadline) {
        my $ready = select(my $read = $bits, undef, undef, 0.5);
        next if !$ready;
        my $got = sysread $socket, my $bytes, 65536;
        last if !$got;
        $answer .= $bytes;
    }
    return $answer;
}

# The answers in a stream of bytes: {status, headers, body, json, whole}; whole is 0 where the body was cut.
sub parse_answers {
    my ($bytes, @methods) = @_;
    my @answers;
    while ($bytes =~ s{^HTTP/(1\.[01]) (\d{3}) ?([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n}{}) {
        my ($version, $status, $phrase, $head) = ($1, $2, $3, $4);
        next if $status == 100;
        my $method = shift @methods // 'GET';
        my %headers = %{headers_of($head)};
        my ($body, $whole) = ('', 1);
        if ($method eq 'HEAD' || $status == 204 || $status == 304) {
        }
        elsif (($headers{'transfer-encoding'} // '') eq 'chunked') {
            $whole = 0;
            while ($bytes =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n//) {
                my $length = hex $1;
                if ($length == 0) {
                    $whole = 1;
                    $bytes =~ s/^\r\n//;
                    last;
                }
                last if length $bytes < $length + 2;
                $body .= substr $bytes, 0, $length + 2, '';
                substr $body, -2, 2, '';
            }
        }
        elsif (defined $headers{'content-length'}) {
            $whole = length $bytes >= $headers{'content-length'};
            $body = substr $bytes, 0, $headers{'content-length'}, '';
        }
        else {
            ($body, $bytes) = ($bytes, '');
        }
        push @answers, {
            method  => $method, status => $status, phrase => $phrase, version => $version, headers => \%headers,
            body    => $body, whole => $whole, json => scalar(length $body < 1_000_000 ? eval { $json->decode($body) } : undef), rest => $bytes,
        };
    }
    return @answers;
}

# --- races ------------------------------------------------------------------------------------------------------------

# race(N, sub { my ($number) = @_; ... }): N processes that start together; what each returned (anything JSON can
# hold), in their order. A process that dies fails the race.
sub race {
    my ($n, $work) = @_;
    pipe my $gate_read, my $gate_write or die "pipe: $!";
    pipe my $ready_read, my $ready_write or die "pipe: $!";
    my (@pids, @pipes);
    for my $number (0 .. $n - 1) {
        pipe my $read, my $write or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $_ for $gate_write, $ready_read, $read, @pipes;
            Test::More->builder->no_ending(1);
            my $result = eval {
                syswrite $ready_write, '.';
                close $ready_write;
                sysread $gate_read, my $nothing, 1;
                $json->encode({result => $work->($number)});
            } // $json->encode({died => "$@"});
            print $write $result;
            close $write;
            require POSIX;
            POSIX::_exit(0);
        }
        close $write;
        push @pids, $pid;
        push @pipes, $read;
    }
    close $ready_write;
    my $ready = 0;
    while ($ready < $n) {
        my $got = sysread $ready_read, my $dots, $n or last;
        $ready += $got;
    }
    close $gate_write;
    my @results;
    for my $pipe (@pipes) {
        my $text = do { local $/; <$pipe> } // '';
        my $result = eval { $json->decode($text) } // {died => "no result: $text"};
        Test::More::fail("a racer died: $result->{died}") if exists $result->{died};
        push @results, $result->{result};
    }
    waitpid $_, 0 for @pids;
    return @results;
}

# until_true(SECONDS, sub {...}): waits for a condition; its value, or false when it never came.
sub until_true {
    my ($seconds, $condition) = @_;
    my $deadline = time + $seconds;
    my $value;
    while (!($value = $condition->())) {
        return $value if time > $deadline;
        sleep 0.02;
    }
    return $value;
}

sub ago { time - $_[0] }

# --- httpd's error log ------------------------------------------------------------------------------------------------

# where each began to be ours
my @logs = (["$top/t/logs/error_log", -s "$top/t/logs/error_log" // 0]);
my %expected;
my $main_pid = $$;

# Announces lines of level warn or worse with a tag (ORGSnnnn, AHnnnnn) or a text in them: at least one must come. expect_log(TAG, N):
# exactly N. expect_log(TAG, undef): any number, none too.
sub expect_log {
    my ($tag, @count) = @_;
    $expected{$tag} = @count ? {count => $count[0]} : {least => 1};
}

# Another httpd's log is judged likewise.
sub watch_log { push @logs, [$_[0], 0]; return }

# The lines since the test began (a pattern may select).
sub log_lines {
    my ($pattern) = @_;
    my @lines;
    for my $log (@logs) {
        open my $fh, '<', $log->[0] or next;
        seek $fh, $log->[1], 0;
        push @lines, <$fh>;
    }
    return defined $pattern ? grep { /$pattern/ } @lines : @lines;
}

sub log_verdict {
    my %seen;
    my @unannounced;
    for my $line (log_lines(qr/^\[[^\]]*\] \[[^\]:]*:(?:warn|error|crit|alert|emerg)\]/)) {
        my ($tag) = $line =~ /\b((?:ORGS|AH)\d+):/;
        $tag = (grep { index($line, $_) >= 0 } grep { !/^(?:ORGS|AH)\d+$/ } sort keys %expected)[0] // $tag
            if !defined $tag || !$expected{$tag};
        if (defined $tag && $expected{$tag}) {
            $seen{$tag}++;
        }
        else {
            push @unannounced, $line;
        }
    }
    my @wrong = map { "unannounced: $_" } @unannounced;
    for my $tag (sort keys %expected) {
        my ($count, $least) = @{$expected{$tag}}{qw(count least)};
        my $seen = $seen{$tag} // 0;
        push @wrong, "announced but not seen: $tag\n" if $least && !$seen;
        push @wrong, "$tag came $seen times instead of $count\n" if defined $count && $seen != $count;
    }
    return @wrong;
}

sub done_testing {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    # an announced line may still be on its way
    my @wrong;
    until_true(3, sub { @wrong = log_verdict(); !grep { /^announced/ } @wrong });
    Test::More::ok(!@wrong, 'httpd logged what was announced, and nothing else of warn or worse');
    Test::More::diag(@wrong > 20 ? (@wrong[0 .. 19], '... ' . @wrong . ' in all') : @wrong) if @wrong;
    Test::More::done_testing();
}

1;
