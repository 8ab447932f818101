# What a packet of MySQL's protocol is: one conversation, followed packet by packet as it passes a proxy. A packet is
# given whole, with its header; longer ones than 16 MB, compression and TLS are not understood.
#
#   my $talk = Orgs::Proxy::Packets->new;
#   $talk->client($packet)   {side, kind, text, answers, event}
#   $talk->server($packet)   {side, kind, text, last}
#   $talk->thread            the server's number of this connection, once it has greeted
#   Orgs::Proxy::Packets::error_packet($sequence, $number)
#
# kind: of a client login, auth, or a command (query, prepare, execute, close, ping, ...); of a server greeting, auth,
# ok, error, prepared, param, column, eof, count (of columns), row, infile. text: what the statement is about, in few
# words (summary()), also of its answer's packets. answers: the server will say something to it; last: and this was the
# end of it. event: the id, in hex, that a prepared CALL has as its first parameter.
package Orgs::Proxy::Packets;

use strict;
use warnings;

my %commands = (
    0x01 => 'quit', 0x02 => 'init_db', 0x03 => 'query', 0x0e => 'ping', 0x16 => 'prepare', 0x17 => 'execute',
    0x18 => 'long_data', 0x19 => 'close', 0x1a => 'reset_statement', 0x1b => 'set_option', 0x1c => 'fetch', 0x1f => 'reset_connection',
);
my %silent = map { $_ => 1 } qw(quit long_data close);

use constant {
    CLIENT_MYSQL => 1, CLIENT_SSL => 1 << 11, CLIENT_DEPRECATE_EOF => 1 << 24, CLIENT_QUERY_ATTRIBUTES => 1 << 27, MARIADB_CACHE_METADATA => 1 << 4,
    MORE_RESULTS => 8,
};

# number => [SQLSTATE, what the server says, whether it then hangs up]
my %errors = (
    1020 => ['HY000', 'Record has changed since last read in table \'organizations\''],
    1040 => ['08004', 'Too many connections', 1],
    1045 => ['28000', 'Access denied for user', 1],
    1047 => ['08S01', 'WSREP has not yet prepared node for application use'],
    1053 => ['08S01', 'Server shutdown in progress', 1],
    1129 => ['HY000', 'Host is blocked because of many connection errors', 1],
    1180 => ['HY000', 'Got error 6 "No such device or address" during COMMIT'],
    1205 => ['HY000', 'Lock wait timeout exceeded; try restarting transaction'],
    1062 => ['23000', 'Duplicate entry'],
    1305 => ['42000', 'PROCEDURE does not exist'],
    1213 => ['40001', 'Deadlock found when trying to get lock; try restarting transaction'],
    1243 => ['HY000', 'Unknown prepared statement handler (1) given to EXECUTE'],
    1290 => ['HY000', 'The MariaDB server is running with the --read-only option so it cannot execute this statement'],
    1317 => ['70100', 'Query execution was interrupted'],
    1461 => ['42000', 'Can\'t create more than max_prepared_stmt_count statements (current value: 16382)'],
    1792 => ['25006', 'Cannot execute statement in a READ ONLY transaction'],
    1836 => ['HY000', 'Running in read-only mode'],
    1927 => ['70100', 'Connection was killed', 1],
    1969 => ['70100', 'Query execution was interrupted (max_statement_time exceeded)'],
    4031 => ['HY000', 'The client was disconnected by the server because of inactivity', 1],
);

sub new {
    my ($class) = @_;
    return bless {phase => 'greeting', statements => {}, columns => 0, rights => 0}, $class;
}

sub thread { $_[0]{thread} }

# Whether an error of this number is the server's last word.
sub is_fatal { my ($number) = @_; return $errors{$number}[2] ? 1 : 0 }

# One without a state where nothing is known of the client yet, as servers write it in place of a greeting.
sub error_packet {
    my ($sequence, $number) = @_;
    my ($state, $text) = @{$errors{$number} // die "error $number is not known here\n"};
    my $payload = pack('Cv', 0xff, $number) . ($sequence ? "#$state" : '') . $text;
    return packet($sequence, $payload);
}

sub packet {
    my ($sequence, $payload) = @_;
    my $length = length $payload;
    return pack('vCC', $length & 0xffff, $length >> 16, $sequence & 0xff) . $payload;
}

# "CALL name", "SELECT FROM table", or its first two words.
sub summary {
    my ($text) = @_;
    return "CALL $1" if $text =~ /^\s*CALL\s+(\w+)/i;
    return "SELECT FROM $1" if $text =~ /^\s*SELECT\b.*?\bFROM\s+(\w+)/is;
    return join ' ', grep { defined } (split ' ', $text)[0, 1];
}

# A number of the protocol's length-encoded kind at the text's beginning, which it leaves.
sub number_of {
    my ($bytes) = @_;
    my $first = ord substr $$bytes, 0, 1, '';
    return $first if $first < 0xfb;
    return unpack 'v', substr $$bytes, 0, 2, '' if $first == 0xfc;
    return unpack 'V', substr($$bytes, 0, 3, '') . "\0" if $first == 0xfd;
    return unpack 'Q<', substr $$bytes, 0, 8, '';
}

# --- the client --------------------------------------------------------------------------------------------------------

sub client {
    my ($self, $packet) = @_;
    my $sequence = ord substr $packet, 3, 1;
    my $payload = substr $packet, 4;
    my %seen = (side => 'client', text => '', sequence => $sequence, length => length $payload, answers => 1);
    if ($self->{phase} ne 'command') {
        $seen{kind} = $self->{greeted} ? 'auth' : 'login';
        if (!$self->{greeted}++) {
            my $rights = $self->{rights} = unpack 'V', $payload;
            die "TLS is not understood here\n" if $rights & CLIENT_SSL;
            $self->{extended} = $rights & CLIENT_MYSQL ? 0 : unpack 'V', substr $payload, 28, 4;
        }
        return \%seen;
    }
    return {%seen, kind => 'more', answers => 0} if $sequence;
    my $kind = $commands{ord $payload} // sprintf 'command %d', ord $payload;
    # an Oracle's client says before a query that it has no attributes: none, one set of them
    my $attributes = $self->{rights} & CLIENT_QUERY_ATTRIBUTES;
    my $statement = $kind eq 'prepare' || $kind eq 'query' ? {text => summary(substr $payload, $attributes && $kind eq 'query' ? 3 : 1)}
        : $kind =~ /^(?:execute|close|fetch|long_data|reset_statement)$/ ? $self->{statements}{unpack 'V', substr $payload, 1, 4} : undef;
    $seen{kind} = $kind;
    $seen{text} = $statement->{text} if $statement;
    $seen{event} = event_of($payload, $statement->{params}, $attributes) if $kind eq 'execute' && $statement && $statement->{text} =~ /^CALL/;
    if ($silent{$kind}) {
        $seen{answers} = 0;
        delete $self->{statements}{unpack 'V', substr $payload, 1, 4} if $kind eq 'close';
    }
    else {
        $self->{command} = {%seen, step => 'first'};
    }
    return \%seen;
}

# Where there may be attributes, the parameters' number comes before them, and each has a name, of no length.
sub event_of {
    my ($payload, $params, $attributes) = @_;
    my $at = $attributes ? 11 : 10;
    return undef if ord(substr $payload, $at, 1) & 1;    # null
    $at += int(($params + 7) / 8);
    $at += ord(substr $payload, $at, 1) ? 1 + ($attributes ? 3 : 2) * $params : 1;
    return substr($payload, $at, 1) eq "\x10" ? unpack 'H*', substr $payload, $at + 1, 16 : undef;
}

# --- the server --------------------------------------------------------------------------------------------------------

sub server {
    my ($self, $packet) = @_;
    my $payload = substr $packet, 4;
    my %seen = (side => 'server', text => '', sequence => ord(substr $packet, 3, 1), length => length $payload, last => 0);
    my $first = ord $payload;
    if ($self->{phase} eq 'greeting') {
        $self->{phase} = 'login';
        return {%seen, kind => 'error', last => 1} if $first == 0xff;
        my ($version) = $payload =~ /\A.([^\0]*)\0/s;
        $self->{thread} = unpack 'V', substr $payload, 2 + length $version, 4;
        return {%seen, kind => 'greeting', last => 1};
    }
    if ($self->{phase} eq 'login') {
        my $kind = $first == 0 ? 'ok' : $first == 0xff ? 'error' : 'auth';
        $self->{phase} = 'command' if $kind eq 'ok';
        return {%seen, kind => $kind, text => 'login', last => 1};
    }
    my $command = $self->{command} // {kind => '', text => '', step => 'first'};
    $seen{text} = "$command->{kind} $command->{text}";
    my ($kind, $last) = $first == 0xff ? ('error', 1) : $self->answer($command, $payload);
    return {%seen, kind => $kind, last => $last};
}

# The next packet of a command's answer: its kind, and whether it was the last one.
sub answer {
    my ($self, $command, $payload) = @_;
    my $step = $command->{step};
    my $first = ord $payload;
    my $eofs = !($self->{rights} & CLIENT_DEPRECATE_EOF);
    if ($step eq 'first') {
        if ($command->{kind} eq 'prepare') {
            my ($id, $columns, $params) = unpack 'x V v v', $payload;
            $self->{statements}{$id} = {text => $command->{text}, params => $params};
            $command->{todo} = [map { my ($kind, $n) = @$_; $n ? (($kind) x $n, $eofs ? 'eof' : ()) : () } [param => $params], [column => $columns]];
            $command->{step} = 'listed';
            return ('prepared', !@{$command->{todo}});
        }
        return ('infile', 0) if $first == 0xfb;
        return ('ok', !more_of($payload)) if $first == 0;
        my $count = number_of(\$payload);
        my $described = $self->{extended} & MARIADB_CACHE_METADATA && length $payload ? ord $payload : 1;
        $command->{todo} = [$described ? ('column') x $count : (), $eofs ? 'eof' : ()];
        $command->{step} = @{$command->{todo}} ? 'listed' : 'rows';
        return ('count', 0);
    }
    if ($step eq 'listed') {
        my $kind = shift @{$command->{todo}};
        my $done = !@{$command->{todo}};
        $command->{step} = 'rows' if $done;
        return ($kind, $done && $command->{kind} eq 'prepare');
    }
    return ('row', 0) if $first != 0xfe || length $payload >= ($eofs ? 9 : 0xffffff);
    $command->{step} = 'first';
    return ('eof', $eofs ? !((unpack 'x v v', $payload)[1] & MORE_RESULTS) : !more_of($payload));
}

# Whether an OK packet says that another result follows.
sub more_of {
    my ($payload) = @_;
    substr $payload, 0, 1, '';
    number_of(\$payload) for 1 .. 2;
    return unpack('v', $payload) & MORE_RESULTS;
}

1;
