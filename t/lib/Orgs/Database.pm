# A database that a test may stop, kill, freeze and start again: the second one that t/run made, which the virtual host
# orgs_second asks. It has the users ada@example.com and bob@example.com.
#
#   my $db = Orgs::Database->new;   # not running
#   $db->start; $db->stop; $db->kill; $db->freeze; $db->thaw;
#   $db->sql(...); $db->token('ada'); $db->{run}
package Orgs::Database;

use strict;
use warnings;

use IO::Socket::UNIX ();
use Orgs::Test ();
use POSIX ();
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(sleep time);

my $running;

sub new {
    my ($class) = @_;
    return bless {run => Orgs::Test::top() . '/run/second', owner => $$}, $class;
}

# Whether it answers: a server's first word is its greeting.
sub answers {
    my ($self) = @_;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "$self->{run}/db/socket") or return 0;
    my $bits = '';
    vec($bits, fileno $socket, 1) = 1;
    return 0 if !select $bits, undef, undef, 1;
    return sysread($socket, my $greeting, 100) ? 1 : 0;
}

sub start {
    my ($self) = @_;
    die "it runs\n" if $self->{pid};
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{run}/db.log";
        open STDERR, '>&', \*STDOUT;
        exec 'mariadbd', "--defaults-file=$self->{run}/my.cnf" or POSIX::_exit(1);
    }
    $self->{pid} = $pid;
    $running = $self;
    my $deadline = time + 60;
    until ($self->answers) {
        die 'the second database does not start: ' . `tail -n 20 '$self->{run}/db.log'` if time > $deadline || waitpid $pid, POSIX::WNOHANG();
        sleep 0.02;
    }
    return $self;
}

sub signal {
    my ($self, $signal) = @_;
    kill $signal => $self->{pid} or die "kill: $!";
}

sub ended {
    my ($self) = @_;
    Orgs::Test::drop_clients();
    waitpid delete $self->{pid}, 0;
    $running = undef;
}

sub stop { my ($self) = @_; $self->signal('TERM'); $self->ended }

sub kill { my ($self) = @_; $self->signal('KILL'); $self->ended }

sub freeze { $_[0]->signal('STOP') }

sub thaw { $_[0]->signal('CONT') }

sub sql { my ($self, $statements) = @_; return Orgs::Test::sql({run => $self->{run}}, $statements) }

sub value { my ($self, $statement) = @_; return Orgs::Test::sql_value({run => $self->{run}}, $statement) }

# The token of ada or bob.
sub token {
    my ($self, $name) = @_;
    open my $in, '<', "$self->{run}/$name.token" or die "$name.token: $!";
    chomp(my $token = <$in>);
    return $token;
}

END {
    my $status = $?;
    if ($running && $running->{owner} == $$) {
        CORE::kill CONT => $running->{pid};
        CORE::kill KILL => $running->{pid};
        waitpid $running->{pid}, 0;
    }
    $? = $status;
}

1;
