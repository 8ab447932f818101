# The servers that are measured: each {name, what, port, pid (of its tree's root)}, running on an Orgs::Bench::Instance.
# A peer whose tools are not there is left out, and `skipped` says why.
package Orgs::Bench::Servers;
use strict;
use warnings;

use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);

our ($PROCESSES, $THREADS) = ($ENV{BENCH_PROCESSES} || 1, $ENV{BENCH_THREADS} || 128);
our ($GO_CONNECTIONS, $PHP_CHILDREN) = ($ENV{BENCH_GO_CONNECTIONS} || 16, $ENV{BENCH_PHP_CHILDREN} || 16);
# more of ours, with semicolons between: BENCH_DIRECTIVES='OrgsDBMax 4; OrgsDBKeep 4'
our $DIRECTIVES = $ENV{BENCH_DIRECTIVES} // '';
my %started;

sub mpm_lines {
    my ($threads) = @_;
    my $all = $PROCESSES * $threads;
    return <<"END";
ServerLimit $PROCESSES
StartServers $PROCESSES
ThreadLimit $threads
ThreadsPerChild $threads
MaxRequestWorkers $all
MinSpareThreads 1
MaxSpareThreads $all
MaxKeepAliveRequests 0
LogLevel warn
# as everybody's httpd has it; without these lines it looks for .htaccess in each directory
<Directory "/">
    AllowOverride None
</Directory>
END
}

# mod_orgs, a handler that answers a constant, and a file with and without a gate.
sub httpd {
    my ($instance, %options) = @_;
    my $constant = $instance->tool('constant.so');
    my $httpd = $instance->httpd(sub {
        my ($directory) = @_;
        open my $out, '>', "$directory/htdocs/file.txt" or die "file.txt: $!";
        print $out "a line of a file\n" x 60;
        return mpm_lines($options{threads} // $THREADS) . $instance->database_lines . <<"END" . join("\n", split /;\s*/, $DIRECTIVES) . "\n" }, mpm => $options{mpm} // 'event');
LoadModule bench_constant_module $constant
<Location "/organizations">
    SetHandler orgs
</Location>
AliasMatch "^/(?:gated|plain)/[^/]+/(.*)\$" "$directory/htdocs/\$1"
<LocationMatch "^/gated/(?<org>[^/]+)/">
    AuthType Orgs
    AuthName bench
    Require org-member %{env:MATCH_ORG}
</LocationMatch>
END
    return {name => 'mod_orgs', port => $httpd->{port}, pid => $httpd->{pid}, httpd => $httpd, log => $httpd->{log}};
}

sub launch {
    my ($instance, $name, $environment, @command) = @_;
    my $log = "$instance->{directory}/$name.log";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        @ENV{keys %$environment} = values %$environment;
        exec @command or POSIX::_exit(1);
    }
    $started{$pid} = $$;
    return ($pid, $log);
}

# Waits until it is true, or dies with what the log says.
sub wait_for {
    my ($what, $pid, $log, $true) = @_;
    my $deadline = time + 30;
    until ($true->()) {
        die "$what does not start: " . `tail -n 20 '$log'` if time > $deadline || waitpid $pid, POSIX::WNOHANG();
        sleep 0.02;
    }
}

sub go {
    my ($instance) = @_;
    my $peer = $instance->tool('peer');
    local @ENV{qw(GO111MODULE GOPATH GOCACHE GOFLAGS)} = ('off', '/usr/share/gocode', "$instance->{build}/bench/go", '');
    return (undef, 'go is not there') if !grep { -x "$_/go" } split /:/, $ENV{PATH};
    my $said = `go build -o '$peer' t/bench/peer.go t/bench/peer_writes.go 2>&1`;
    return (undef, "go build failed: $said") if $?;
    my $port = Orgs::Httpd::free_port();
    my ($user, $password) = $instance->account('admin');
    my ($pid, $log) = launch($instance, 'go', {BENCH_LISTEN => "127.0.0.1:$port", BENCH_CONNECTIONS => $GO_CONNECTIONS,
        BENCH_DSN => "$user:$password\@unix($instance->{socket})/orgs?charset=utf8mb4&tx_isolation=%27READ-COMMITTED%27"}, $peer);
    wait_for('the peer in Go', $pid, $log, sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
    return {name => 'Go', port => $port, pid => $pid, log => $log};
}

# BENCH_PREPARES=server: PDO prepares at the server instead of by itself, which costs a round trip more in each request.
sub native { return ($ENV{BENCH_PREPARES} // '') eq 'server' }

# php-fpm, installed or only unpacked.
sub fpm { my ($instance) = @_; return (grep { -x } map({ glob "$_/php-fpm*" } split /:/, $ENV{PATH}), glob "$instance->{build}/bench/php/usr/sbin/php-fpm*")[0] }

sub php {
    my ($instance) = @_;
    my $fpm = fpm($instance) or return (undef, 'php-fpm is not there');
    my $directory = "$instance->{directory}/php";
    mkdir $directory or die "$directory: $!";
    system('cp', 't/bench/peer.php', $directory) == 0 or die "peer.php cannot be copied\n";
    my ($user, $password) = $instance->account('admin');
    open my $out, '>', "$directory/fpm.conf" or die "fpm.conf: $!";
    print $out <<"END";
[global]
error_log = $directory/fpm.log
daemonize = no
[bench]
@{[$instance->{user} ? "user = $instance->{user}\nlisten.owner = $instance->{user}" : '']}
listen = $directory/socket
listen.mode = 0600
listen.backlog = 1024
pm = static
pm.max_children = $PHP_CHILDREN
env[BENCH_SOCKET] = $instance->{socket}
env[BENCH_USER] = $user
env[BENCH_PASSWORD] = $password
env[BENCH_EMULATE] = @{[native() ? 0 : 1]}
END
    close $out;
    my ($pid, $log) = launch($instance, 'php', {}, $fpm, '-n', '-y', "$directory/fpm.conf", $> == 0 ? '-R' : (),
        map { ('-d', $_) } 'zend_extension=opcache.so', 'extension=mysqlnd.so', 'extension=pdo.so', 'extension=pdo_mysql.so',
        'opcache.enable=1', 'opcache.validate_timestamps=0', 'expose_php=0', 'memory_limit=256M');
    wait_for('php-fpm', $pid, $log, sub { -S "$directory/socket" });
    my $httpd = $instance->httpd(mpm_lines($THREADS) . <<"END", without => 'orgs');
LoadModule proxy_module $instance->{modules}/mod_proxy.so
LoadModule proxy_fcgi_module $instance->{modules}/mod_proxy_fcgi.so
AliasMatch "^/organizations" "$directory/peer.php"
<Directory "$directory">
    SetHandler "proxy:unix:$directory/socket|fcgi://localhost/"
    CGIPassAuth On
</Directory>
END
    return {name => 'PHP', port => $httpd->{port}, pid => $httpd->{pid}, more => [$pid], httpd => $httpd, log => "$directory/fpm.log"};
}

# The processes of a server.
sub pids { my ($server) = @_; return ($server->{pid}, @{$server->{more} || []}) }

END {
    my $status = $?;
    for my $pid (grep { $started{$_} == $$ } keys %started) {
        kill TERM => $pid;
        waitpid $pid, 0;
    }
    $? = $status;
}

1;
