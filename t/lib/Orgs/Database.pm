# A database that a test may stop, kill, freeze and start again: the second one that t/run made, which the virtual host
# orgs_second asks, or a copy of it by another name, with options of its own for the server. It has the users
# ada@example.com and bob@example.com.
#
#   my $db = Orgs::Database->new;   # not running
#   my $copy = Orgs::Database->new('replica', port => 3307, bind_address => '127.0.0.2', skip_log_bin => undef);
#   $db->start; $db->stop; $db->kill; $db->freeze; $db->thaw;
#   $db->launch;                      # starts it without waiting until it answers
#   $db->sql(...); $db->token('ada'); $db->{run}; $copy->{port}
package Orgs::Database;

use strict;
use warnings;

use IO::Socket::UNIX ();
use Orgs::Test ();
use POSIX ();
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(sleep time);

my %running;

sub new {
    my ($class, $name, %options) = @_;
    my $self = bless {run => Orgs::Test::top() . '/run/' . ($name // 'second'), owner => $$}, $class;
    $self->copy(\%options) if defined $name;
    ($self->{port}) = reverse map { /^port=(\d+)/ ? $1 : () } $self->lines('my.cnf');
    return $self;
}

sub lines {
    my ($self, $file, @new) = @_;
    if (@new) {
        open my $out, '>', "$self->{run}/$file" or die "$file: $!";
        print $out @new;
        close $out;
    }
    open my $in, '<', "$self->{run}/$file" or die "$file: $!";
    return <$in>;
}

# The second one is not running now: it runs only where a test started it.
sub copy {
    my ($self, $options) = @_;
    my $second = Orgs::Test::top() . '/run/second';
    die "a copy of a running database\n" if grep { $_->{run} eq $second } values %running;
    system('cp', '-a', $second, $self->{run}) == 0 or die "$self->{run} cannot be made\n";
    # by this a MySQL tells it from the one it was copied from
    unlink "$self->{run}/db/data/auto.cnf";
    for my $file (qw(my.cnf root.cnf admin.cnf)) {
        my @lines = map { s/\Q$second\E/$self->{run}/gr } $self->lines($file);
        # of an option that stands there twice the later one counts
        push @lines, map { defined $options->{$_} ? "$_=$options->{$_}\n" : "$_\n" } sort keys %$options if $file eq 'my.cnf';
        $self->lines($file, @lines);
    }
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

sub launch {
    my ($self) = @_;
    die "it runs\n" if $self->{pid};
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{run}/db.log";
        open STDERR, '>&', \*STDOUT;
        exec $ENV{MYSQLD}, "--defaults-file=$self->{run}/my.cnf" or POSIX::_exit(1);
    }
    $self->{pid} = $pid;
    $running{$pid} = $self;
    return $self;
}

sub start {
    my ($self) = @_;
    my $pid = $self->launch->{pid};
    my $deadline = time + 60;
    until ($self->answers) {
        die "the database in $self->{run} does not start: " . `tail -n 20 '$self->{run}/db.log'` if time > $deadline || waitpid $pid, POSIX::WNOHANG();
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
    my $pid = delete $self->{pid};
    delete $running{$pid};
    waitpid $pid, 0;
}

sub stop { my ($self) = @_; $self->signal('TERM'); $self->ended }

sub kill { my ($self) = @_; $self->signal('KILL'); $self->ended }

# A thread may go on, and answer, for a moment after the signal was sent.
sub freeze {
    my ($self) = @_;
    $self->signal('STOP');
    Orgs::Test::until_true(10, sub {
        for my $stat (glob "/proc/$self->{pid}/task/*/stat") {
            open my $in, '<', $stat or next;
            return 0 if (readline($in) // '') !~ /^\d+ \(.*\) T/;
        }
        return 1;
    }) or die "the database does not stand still\n";
}

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
    for my $self (grep { $_->{owner} == $$ } values %running) {
        CORE::kill CONT => $self->{pid};
        CORE::kill KILL => $self->{pid};
        waitpid $self->{pid}, 0;
    }
    $? = $status;
}

1;
