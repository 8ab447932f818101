# What is measured stands on this: a directory of its own, a private database with data, and what Orgs::Httpd needs to
# start servers there. All ends, and is removed, with the program.
#
#   my $instance = Orgs::Bench::Instance->new;         # the database, empty; chdir to the checkout
#   $instance->sql(STATEMENTS);                        # the rows, as the database's root
#   $instance->httpd($configuration, mpm => 'event', without => 'orgs');   # an Orgs::Httpd
#   $instance->tool('load')                            # a program of t/bench, built
#   @$instance{qw(directory socket database_pid user)}; $instance->account('admin')   # (name, password)
package Orgs::Bench::Instance;
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);

my $top = abs_path(dirname(abs_path(__FILE__)) . '/../../../..');
# of httpd: what any server has, and what the configurations here speak of
my @MODULES = qw(unixd authn_core authz_core authz_host authz_user alias mime reqtimeout);
my @all;
our %SETTINGS = (innodb_buffer_pool_size => 1 << 30, innodb_log_file_size => 256 << 20);

sub new {
    my ($class, %options) = @_;
    chdir $top or die "$top: $!";
    $ENV{PATH} = "$ENV{PATH}:/usr/sbin:/sbin:/usr/local/sbin";
    $ENV{LC_ALL} = 'C';
    umask 022;
    my $self = bless {directory => tempdir('mod_orgs-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1), owner => $$, build => abs_path($ENV{BUILD} || 'build')}, $class;
    push @all, $self;
    # so that the END blocks run
    $SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);
    chmod 0711, $self->{directory};
    make_path("$self->{directory}/run", "$self->{directory}/t/conf", "$self->{build}/bench");
    $self->{user} = (grep { defined getpwnam $_ } qw(www-data apache http daemon nobody))[0] if $> == 0;
    $self->start_database;
    $self->write_base;
    return $self;
}

sub private {
    my ($self, $what) = @_;
    local @ENV{qw(RUN_DIR DB_PORT CONF)} = ("$self->{directory}/run/main", 0, '');
    my $said = `conf/private.sh $what 2>&1`;
    return $? ? die "conf/private.sh $what: $said" : undef;
}

sub start_database {
    my ($self) = @_;
    $self->{started} = 1;
    $self->private('database');
    my $run = "$self->{directory}/run/main";
    $self->{socket} = abs_path("$run/db") . '/socket';
    open my $in, '<', "$run/env" or die "$run/env: $!";
    ($self->{database_pid}) = map { /^ORGS_DB_PID=(\d+)/ ? $1 : () } <$in>;
    # the demo's are too small for this, and nothing here is to wait for the disk but commits
    $self->sql(join '', map { "SET GLOBAL $_ = $SETTINGS{$_};" } sort keys %SETTINGS);
}

# (name, password) of orgs, admin or root.
sub account {
    my ($self, $name) = @_;
    open my $in, '<', "$self->{directory}/run/main/$name.cnf" or die "$name.cnf: $!";
    my ($password) = join('', <$in>) =~ /^password=(.*)$/m;
    return ($name eq 'admin' ? 'orgs_admin' : $name, $password);
}

sub sql {
    my ($self, $statements) = @_;
    my $file = "$self->{directory}/sql";
    open my $out, '>:raw', $file or die "$file: $!";
    print $out $statements;
    close $out;
    my @lines = `mariadb --defaults-file='$self->{directory}/run/main/root.cnf' --batch --skip-column-names <'$file' 2>'$file.error'`;
    die "sql: " . `cat '$file.error'` . substr($statements, 0, 300) . "\n" if $?;
    chomp @lines;
    return map { [split /\t/, $_, -1] } @lines;
}

sub value { my ($self, $statement) = @_; my ($row) = $self->sql($statement); return $row->[0] }

# A counter of the server's.
sub counter { my ($self, $name) = @_; return ($self->sql("SHOW GLOBAL STATUS LIKE '$name'"))[0][1] }

sub write_base {
    my ($self) = @_;
    my $apxs = $ENV{APXS} || (grep { my $name = $_; grep { -x "$_/$name" } split /:/, $ENV{PATH} } qw(apxs apxs2))[0] or die "apxs is missing\n";
    chomp(my ($modules, $sbin, $name) = map { scalar `$apxs -q $_` } qw(LIBEXECDIR SBINDIR PROGNAME));
    @$self{qw(modules httpd)} = ($modules, "$sbin/$name");
    @ENV{qw(ORGS_TEST_TOP ORGS_TEST_HTTPD)} = ($self->{directory}, $self->{httpd});
    open my $out, '>', "$self->{directory}/t/conf/base.conf" or die "base.conf: $!";
    for my $module ('mpm_event', @MODULES) {
        print $out "LoadModule ${module}_module $modules/mod_$module.so\n" if -e "$modules/mod_$module.so";
    }
    print $out "LoadModule orgs_module $self->{build}/mod_orgs.so\n";
    print $out "User $self->{user}\nGroup " . getgrgid((getpwnam $self->{user})[3]) . "\n" if $self->{user};
    close $out;
    # it looks at the environment when it is loaded
    require Orgs::Httpd;
}

sub httpd {
    my ($self, $text, %options) = @_;
    return Orgs::Httpd->start($text, %options);
}

sub database_lines {
    my ($self) = @_;
    return "OrgsDBParams \"socket=$self->{socket} dbname=orgs user=orgs\"\nOrgsDBDefaultsFile \"$self->{directory}/run/main/orgs.cnf\"\n";
}

sub tool { my ($self, $name) = @_; return "$self->{build}/bench/$name" }

sub stop {
    my ($self) = @_;
    $self->private('stop') if delete $self->{started};
    return;
}

# Compiled after File::Temp's, so it runs before that one removes the directory.
END {
    my $status = $?;
    for my $self (grep { $_->{owner} == $$ } @all) {
        eval { $self->stop; 1 } or warn $@;
    }
    $? = $status;
}

1;
