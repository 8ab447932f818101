# A configuration of one's own, for httpd to judge, or to run.
#
#   my ($ok, $said) = configtest('OrgsDBMax 0');
#   my $httpd = Orgs::Httpd->start($configuration); $httpd->{port}; $httpd->stop;
#   Orgs::Httpd->start(sub { my ($directory, $port) = @_; ... }): where htdocs is below, and the port, are known there
#   $httpd->complaints('AH01631')  # lines of its log of level warn or worse without any of these tags or texts
#   load_modules('cgid', 'dav')   # the lines that load what t/run's configuration does not
#   database_lines('second')      # the directives for one of t/run's databases (default: main)
package Orgs::Httpd;

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(configtest load_modules database_lines);

my $top = $ENV{ORGS_TEST_TOP} or die "run this by t/run\n";
my $number = 0;
my %running;

sub free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, ReuseAddr => 1) or die "no port: $@";
    return $socket->sockport;
}

# Writes a configuration file; gives its directory, file and port.
sub written {
    my ($text) = @_;
    my $directory = "$top/run/httpd-$$-" . ++$number;
    mkdir $directory or die "$directory: $!";
    mkdir "$directory/htdocs";
    my $port = free_port();
    $text = $text->($directory, $port) if ref $text;
    open my $out, '>', "$directory/httpd.conf" or die "httpd.conf: $!";
    print $out <<"END";
ServerRoot "$directory"
DefaultRuntimeDir "$directory"
PidFile "$directory/httpd.pid"
ErrorLog "$directory/error_log"
ServerName 127.0.0.1
Listen 127.0.0.1:$port
Include "$top/t/conf/base.conf"
TypesConfig /dev/null
StartServers 1
<IfModule !mpm_prefork_module>
    ServerLimit 1
    ThreadsPerChild 25
    MinSpareThreads 1
    MaxSpareThreads 25
    MaxRequestWorkers 25
</IfModule>
DocumentRoot "$directory/htdocs"
$text
END
    close $out;
    return ($directory, "$directory/httpd.conf", $port);
}

# Whether `httpd -t` accepts it, and what it says.
sub configtest {
    my ($text) = @_;
    my (undef, $file) = written($text);
    my $said = `'$ENV{ORGS_TEST_HTTPD}' -t -f '$file' 2>&1`;
    return ($? == 0, $said);
}

# Modules lie where the others are; one that is compiled in needs no line.
sub load_modules {
    open my $in, '<', "$top/t/conf/base.conf" or die "base.conf: $!";
    my ($directory) = map { m{^LoadModule \S+ (.*)/mod_[^/]+\.so$} && $1 !~ m{^\Q$top\E/} ? $1 : () } <$in>;
    return join '', map { -e "$directory/mod_$_.so" ? "LoadModule ${_}_module $directory/mod_$_.so\n" : () } @_;
}

sub database_lines {
    my ($name) = @_;
    my $run = "$top/run/" . ($name // 'main');
    return "OrgsDBParams \"socket=$run/db/socket dbname=orgs user=orgs\"\nOrgsDBDefaultsFile \"$run/orgs.cnf\"\n";
}

sub start {
    my ($class, $text) = @_;
    my ($directory, $file, $port) = written($text);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$directory/out";
        open STDERR, '>&', \*STDOUT;
        exec $ENV{ORGS_TEST_HTTPD}, '-DFOREGROUND', '-f', $file or POSIX::_exit(1);
    }
    my $self = bless {pid => $pid, port => $port, directory => $directory, log => "$directory/error_log", owner => $$}, $class;
    $running{$pid} = $self;
    my $deadline = time + 30;
    # it listens before it knows whether all is well, and writes its id when it does
    until (-s "$directory/httpd.pid" && IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)) {
        die "httpd does not start: " . `cat '$directory/out' '$directory/error_log' 2>/dev/null` if time > $deadline || waitpid $pid, POSIX::WNOHANG();
        sleep 0.02;
    }
    return $self;
}

sub url { "http://127.0.0.1:$_[0]{port}$_[1]" }

sub complaints {
    my ($self, @announced) = @_;
    open my $in, '<', $self->{log} or return ();
    return grep { my $line = $_; $line =~ /^\[[^\]]*\] \[[^\]:]*:(?:warn|error|crit|alert|emerg)\]/ && !grep { index($line, $_) >= 0 } @announced } <$in>;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid};
    kill TERM => $pid;
    waitpid $pid, 0;
}

END {
    my $status = $?;
    for my $self (values %running) {
        $self->stop if $self->{owner} == $$;
    }
    $? = $status;
}

1;
