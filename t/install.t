# The README's way into a stock Apache of Debian's, and away again: make install, a2enmod orgs, apache2ctl configtest,
# reload; in a copy of the configuration that Debian ships.
use Orgs::Test;
use Orgs::Certificates;
use Orgs::Httpd;
use Orgs::Recipe;
use File::Copy qw(copy);
use File::Path qw(make_path);

my $top = top();
my $stock = "$top/build/stock";
if (!-e "$stock/etc/apache2/apache2.conf") {
    diag 'DEBIAN\'S APACHE IS NOT UNPACKED HERE (`conf/packages.sh test` does it): that the module installs there is not tested';
    Test::More::plan(skip_all => 'no copy of the package apache2');
}
delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS BUILD PORT RUN_DIR CONF DESTDIR PREFIX)};

# sh(COMMAND): its status and what it said
sub sh {
    my ($command) = @_;
    my $said = `exec 2>&1; $command`;
    return ($? >> 8, $said);
}

sub works {
    my ($command, $what, $pattern) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $said) = sh($command);
    is($status, 0, $what) or diag $said;
    like($said, $pattern, '... and says so') if $pattern;
    return $said;
}

sub text_of { my ($file) = @_; local $/; open my $in, '<', $file or die "$file: $!"; return scalar <$in> }

sub write_text { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!"; print $out $text; close $out or die "$file: $!" }

sub mode { return sprintf '%04o', (stat $_[0])[2] & 07777 }

# --- into a package's directory ------------------------------------------------------------------------------------------

my ($libexec, $sysconf) = map { chomp(my $value = `\${APXS:-\$(command -v apxs || command -v apxs2)} -q $_`); $value } qw(LIBEXECDIR SYSCONFDIR);
{
    my $root = "$top/run/package";
    make_path("$root$sysconf/mods-available");
    works("make -s -o all -C '$top' install DESTDIR='$root'", 'make install, with DESTDIR');
    for my $case (["$libexec/mod_orgs.so", '0644', "$top/build/mod_orgs.so"], ['/usr/local/bin/orgsctl', '0755', "$top/build/orgsctl"],
        ["$sysconf/mods-available/orgs.conf", '0644', "$top/conf/orgs.conf"]) {
        my ($file, $mode, $from) = @$case;
        is(-e "$root$file" ? mode("$root$file") : 'none', $mode, "... $file");
        is(-s "$root$file", -s $from, '... whole');
    }
    is(text_of("$root$sysconf/mods-available/orgs.load"), "LoadModule orgs_module $libexec/mod_orgs.so\n", '... and what loads the module from where it will be');
    works("make -s -o all -C '$top' uninstall DESTDIR='$root'", 'make uninstall');
    chomp(my @left = `find '$root' -type f`);
    is_deeply(\@left, [], '... leaves nothing');
}

# --- a copy of Debian's configuration --------------------------------------------------------------------------------------

my $here = "$top/run/stock";
my ($etc, $port) = ("$here/etc/apache2", Orgs::Httpd::free_port());
make_path($here);
works("cp -a '$stock/.' '$here'", 'a copy');
my $user = getpwuid $<;
open my $envvars, '>>', "$etc/envvars" or die "envvars: $!";
print $envvars "export APACHE_RUN_USER=$user APACHE_RUN_GROUP=@{[scalar getgrgid $(]} APACHE_PID_FILE=$here/run/apache2.pid APACHE_RUN_DIR=$here/run\n",
    "export APACHE_LOCK_DIR=$here/lock APACHE_LOG_DIR=$here/log\n";
close $envvars;
make_path("$here/$_") for qw(run lock log state);
for my $file ("$etc/apache2.conf", "$etc/ports.conf", "$etc/sites-available/000-default.conf", "$etc/mods-available/ssl.conf") {
    write_text($file, text_of($file) =~ s/^Listen 80$/Listen 127.0.0.1:$port/mr =~ s/\*:80>/*:$port>/r =~ s{([ :])/(var/www|usr/share/apache2)}{$1$here/$2}gr);
}
local @ENV{qw(APACHE_CONFDIR APACHE_STATE_DIRECTORY APACHE_HTTPD APACHE_STARTED_BY_SYSTEMD)} = ($etc, "$here/state", $ENV{ORGS_TEST_HTTPD}, 1);
my $sbin = "$here/usr/sbin";
my $ctl = "sh '$sbin/apache2ctl'";

# Newer ones stay, for systemd.
sub starts {
    my ($what) = @_;
    return works("$ctl start", $what) if text_of("$sbin/apache2ctl") !~ /-DFOREGROUND/;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    system("$ctl start >'$here/start.out' 2>&1 </dev/null &");
    ok(until_true(30, sub { -s "$here/run/apache2.pid" }), $what) or diag text_of("$here/start.out");
}

# as the package does it
works("'$sbin/a2enmod' -q mpm_event authz_host auth_basic access_compat authn_file authz_user alias dir autoindex env mime negotiation setenvif filter deflate status reqtimeout", 'its modules');
works("'$sbin/a2enconf' -q charset localized-error-pages other-vhosts-access-log security serve-cgi-bin", 'its configuration');
works("'$sbin/a2ensite' -q 000-default", 'its site');

END {
    my $status = $?;
    if ($here && open my $in, '<', "$here/run/apache2.pid") {
        chomp(my $pid = <$in> // '');
        kill TERM => $pid if $pid =~ /^\d+$/;
    }
    $? = $status;
}

sub get {
    my ($token) = @_;
    return api(GET => '', url => "http://127.0.0.1:$port/organizations", $token ? (token => $token) : ());
}

sub comes_to {
    my ($status, $token, $what) = @_;
    my $r;
    ok(until_true(20, sub { $r = get($token); $r->{status} == $status }), $what) or diag Orgs::Test::describe($r), -e "$here/log/error.log" ? text_of("$here/log/error.log") : '';
    return $r;
}

works("$ctl configtest", 'apache2ctl configtest, as it ships', qr/Syntax OK/);
starts('apache2ctl start');
comes_to(404, undef, 'it runs, and knows nothing of organizations');

# --- there -----------------------------------------------------------------------------------------------------------------

my $make = "make -s -o all -C '$top' LIBEXECDIR='$here/modules' SYSCONFDIR='$etc' PREFIX='$here/usr/local'";
works("$make install", 'make install');
works("'$here/usr/local/bin/orgsctl' --help", 'orgsctl is there', qr/token issue/);
ok(!-e "$etc/mods-enabled/orgs.load", 'and nothing is enabled by that');
works("'$sbin/a2enmod' orgs", 'a2enmod orgs', qr/Enabling module orgs/);
works("$ctl configtest", 'apache2ctl configtest, with the module and nothing else', qr/Syntax OK/);
works("$ctl graceful", 'reload');
comes_to(404, undef, 'still nothing is served');

# the lines of orgs.conf, made ours
my $ada = user('ada');
my $organization = organization($ada);
my $conf = "$etc/mods-available/orgs.conf";
my $ours = text_of($conf) =~ s/^(\s*)#(OrgsDBParams|OrgsDBDefaultsFile|<Location|    SetHandler|<\/Location>)/$1$2/mgr
    =~ s{"host=127\.0\.0\.1 dbname=orgs user=orgs"}{"socket=$top/run/main/db/socket dbname=orgs user=orgs"}r =~ s{/etc/apache2/orgs\.cnf}{$etc/orgs.cnf}r;
copy("$top/run/main/orgs.cnf", "$etc/orgs.cnf") or die "orgs.cnf: $!";
chmod 0600, "$etc/orgs.cnf";
write_text($conf, $ours =~ s/#OrgsDBTimeout 5/OrgsDBTimeout 1/r);
{
    my ($status, $said) = sh("$ctl configtest");
    isnt($status, 0, 'a mistake fails apache2ctl configtest');
    like($said, qr/OrgsDBTimeout 1: this must be a whole number from 2 to 60/, '... with a sentence') or diag $said;
    ($status) = sh("$ctl graceful");
    isnt($status, 0, '... and reload does nothing');
    is(get()->{status}, 404, '... what runs goes on');
}
write_text($conf, $ours);
works("$ctl configtest", 'apache2ctl configtest, with a database and a mount', qr/Syntax OK/);
works("$ctl graceful", 'reload');
my $r = comes_to(200, $ada, 'the API is served');
answers($r, 200, '... as everywhere');
is($r->{json}[0]{id}, $organization->{id}, '... from the database');
problem(get(), 401, 'unauthorized', '... to those who have a token');
works("$ctl -M", 'apache2ctl -M', qr/^ orgs_module \(shared\)$/m);

like(works("$make install", 'make install again'), qr/orgs\.conf is there already and stays as it is/, '... leaves the configuration alone');
is(text_of($conf), $ours, '... which is ours');
# what a process has loaded it keeps (the client library's threads need it), so a new version wants a new process
my $loaded = sub {
    chomp(my $pid = text_of("$here/run/apache2.pid"));
    my ($map) = grep { /mod_orgs\.so/ } split /^/, text_of("/proc/$pid/maps");
    return !defined $map ? 'none' : $map =~ /\(deleted\)/ ? 'old' : 'new';
};
works("$ctl restart", 'apache2ctl restart');
comes_to(200, $ada, '... goes on');
is($loaded->(), 'old', '... with what it had');
works("$ctl stop", 'stop');
ok(until_true(20, sub { !-e "$here/run/apache2.pid" }), '... and it ends');
starts('start');
comes_to(200, $ada, '... serves again');
is($loaded->(), 'new', '... with the new one');

# --- the README's recipes, and what a2enmod has to enable for each -----------------------------------------------------------

{
    Orgs::Certificates->new("$here/tls")->own('all', 'DNS:orgs.example.com');
    write_text("$here/secret", 'a long secret');
    my $openid = '/etc/apache2/mods-available/auth_openidc.load';
    copy($openid, "$etc/mods-available") if -e $openid;
    my %shipped = map { $_ => 1 } map { m{([^/]+)$} } glob "$etc/mods-enabled/*";
    for my $case (
        # heading, blocks, and what has to be there
        ['Static files', [1]],
        ['A proxied application', [1]],
        ['A proxied application', [2]],
        ['WebDAV', [1]],
        ['git', [1]],
        ['Names and passwords', [1]],
        -e $openid ? (['OpenID Connect', [1, 2], '/etc/apache2/session.secret' => "$here/secret"], ['OpenID Connect', [1, 3], '/etc/apache2/session.secret' => "$here/secret"]) : (),
        ['Client certificates', [1], '/etc/apache2/tls/orgs.pem' => "$here/tls/all.pem", '/etc/apache2/tls/orgs.key' => "$here/tls/all.key", '/etc/apache2/tls/clients-ca.pem' => "$here/tls/all.pem"],
        ['Pages of another origin (CORS)', [1]],
        ['OPTIONS under Require', [1]],
        ['A login form', [1], '/etc/apache2/session.secret' => "$here/secret"],
    ) {
        my ($heading, $blocks, @places) = @$case;
        my @modules = map { recipe_modules($heading, $_) } @$blocks;
        works("'$sbin/a2enmod' -q @modules", "a2enmod @modules") if @modules;
        # the places are in the first
        write_text("$etc/conf-enabled/recipe.conf", join '', map { recipe($heading, $_, $_ == 1 ? @places : ()) } @$blocks);
        works("$ctl configtest", "apache2ctl configtest: $heading @$blocks", qr/Syntax OK/);
        unlink "$etc/conf-enabled/recipe.conf", grep { !$shipped{s{.*/}{}r} } glob "$etc/mods-enabled/*";
    }
}

# --- and away -----------------------------------------------------------------------------------------------------------------

{
    my ($status, $said) = sh("$make uninstall");
    isnt($status, 0, 'make uninstall, while it is enabled, is refused');
    like($said, qr/First: a2dismod orgs/, '... and says what comes first');
    ok(-e "$here/modules/mod_orgs.so", '... and nothing is gone');
}
works("'$sbin/a2dismod' orgs", 'a2dismod orgs', qr/Module orgs disabled/);
works("$ctl configtest", 'apache2ctl configtest, without', qr/Syntax OK/);
works("$ctl graceful", 'reload');
comes_to(404, $ada, 'nothing is served any more');
like(works("$make uninstall", 'make uninstall'), qr/orgs\.conf is yours and stays/, '... keeps what is ours');
chomp(my @left = `find '$here' -name '*orgs*' ! -path '*/mods-available/orgs.conf' ! -name orgs.cnf ! -path '$here/state/*'`);
is_deeply(\@left, [], '... and nothing else');
works("$ctl restart", 'restart');
comes_to(404, $ada, 'it runs as before');
my $log = text_of("$here/log/error.log");
is_deeply([grep { /exit signal|Segmentation|:(?:crit|alert|emerg)\]|\[orgs:(?:warn|error)/ } split /^/, $log], [], 'its log has no complaint') or diag $log;
works("$ctl stop", 'stop');
ok(until_true(20, sub { !-e "$here/run/apache2.pid" }), '... and it ends');
done_testing;
