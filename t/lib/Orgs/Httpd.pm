# A configuration of one's own, for httpd to judge, or to run.
#
#   my ($ok, $said) = configtest('OrgsDBMax 0');
#   my $httpd = Orgs::Httpd->start($configuration); $httpd->{port}; $httpd->stop;
#   Orgs::Httpd->start(sub { my ($directory, $port) = @_; ... }): where htdocs is below, and the port, are known there
#   $httpd->complaints('AH01631')  # lines of its log of level warn or worse, or of a crash, without any of these tags or texts
#   load_modules('cgid', 'dav')   # the lines that load what t/run's configuration does not
#   database_lines('second')      # the directives for one of t/run's databases (default: main)
#   Orgs::Httpd->start($configuration, mpm => 'prefork', without => 'orgs');   # another MPM, without a module
#   Orgs::Httpd->start($configuration, under => ['valgrind', ...]);   # run by a command, which may make it slow
#   $httpd->configure($configuration, ...);   # for the next restart
#   $httpd->signal('USR1'); $httpd->stop('WINCH'); $httpd->launch; $httpd->children; $httpd->log_text;
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
my %given;

# None twice: one that nobody listens at yet may come again.
sub free_port {
    while (1) {
        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, ReuseAddr => 1) or die "no port: $@";
        my $port = $socket->sockport;
        return $port if !$given{$port}++;
    }
}

# The modules of all tests, with another MPM, or without one of them.
sub base {
    my (%options) = @_;
    open my $in, '<', "$top/t/conf/base.conf" or die "base.conf: $!";
    my $text = do { local $/; <$in> };
    $text =~ s/mpm_\w+?(_module|\.so)/mpm_$options{mpm}$1/g if $options{mpm};
    $text =~ s/^LoadModule $options{without}_module .*\n//m if $options{without};
    return $text;
}

# Writes a configuration file; gives its directory, file and port.
sub written {
    my ($text, %options) = @_;
    my $directory = $options{directory} // "$top/run/httpd-$$-" . ++$number;
    my $port = $options{port} // free_port();
    my $base = base(%options);
    if (!$options{directory}) {
        mkdir $directory or die "$directory: $!";
        mkdir "$directory/htdocs";
    }
    $text = $text->($directory, $port) if ref $text;
    open my $out, '>', "$directory/httpd.conf" or die "httpd.conf: $!";
    print $out <<"END";
ServerRoot "$directory"
DefaultRuntimeDir "$directory"
PidFile "$directory/httpd.pid"
ErrorLog "$directory/error_log"
ServerName 127.0.0.1
Listen 127.0.0.1:$port
${base}TypesConfig /dev/null
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
    my ($class, $text, %options) = @_;
    my ($directory, undef, $port) = written($text, %options);
    my $self = bless {port => $port, directory => $directory, log => "$directory/error_log", owner => $$,
        under => $options{under} // []}, $class;
    return $self->launch;
}

# Starts it, also again after stop.
sub launch {
    my ($self) = @_;
    my ($directory, $port) = @$self{qw(directory port)};
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$directory/out";
        open STDERR, '>&', \*STDOUT;
        exec @{$self->{under}}, $ENV{ORGS_TEST_HTTPD}, '-DFOREGROUND', '-f', "$directory/httpd.conf" or POSIX::_exit(1);
    }
    $self->{pid} = $pid;
    $running{$pid} = $self;
    my $deadline = time + (@{$self->{under}} ? 300 : 30);
    # it listens before it knows whether all is well, and writes its id when it does
    until (-s "$directory/httpd.pid" && IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)) {
        die "httpd does not start: " . `cat '$directory/out' '$directory/error_log' 2>/dev/null` if time > $deadline || waitpid $pid, POSIX::WNOHANG();
        sleep 0.02;
    }
    return $self;
}

sub configure {
    my ($self, $text, %options) = @_;
    written($text, %options, directory => $self->{directory}, port => $self->{port});
    return;
}

sub signal { my ($self, $signal) = @_; kill $signal => $self->{pid} or die "kill: $!"; return }

# Its processes that answer, and that were told to end but did not yet.
sub children {
    my ($self) = @_;
    my @children;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my $line = <$in> // next;
        push @children, $1 if $line =~ /^(\d+) \(.*\) [^Z] $self->{pid} /;
    }
    return @children;
}

sub log_text {
    my ($self) = @_;
    open my $in, '<', $self->{log} or return '';
    local $/;
    return scalar <$in> // '';
}

# Lines of its log of level warn or worse, and those that tell of a crash, without any of these tags or texts.
sub complaints {
    my ($self, @announced) = @_;
    return grep {
        my $line = $_;
        $line =~ /^\[[^\]]*\] \[[^\]:]*:(?:warn|error|crit|alert|emerg)\]|Segmentation|Abort|core dump|Bus error|Illegal/
            && !grep { index($line, $_) >= 0 } @announced;
    } split /^/, $self->log_text;
}

sub url { "http://127.0.0.1:$_[0]{port}$_[1]" }

# Ends it in order, or at once; gives its status.
sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid};
    kill $signal // 'TERM' => $pid;
    waitpid $pid, 0;
    return $?;
}

END {
    my $status = $?;
    for my $self (values %running) {
        $self->stop if $self->{owner} == $$;
    }
    $? = $status;
}

1;
