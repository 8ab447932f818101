# Contract 1 and 8: a wrong configuration fails `httpd -t` with a sentence that says what is wrong.
use Orgs::Test;
use Orgs::Httpd;

my $file = top() . '/run/config.cnf';
my $mounted = "<Location \"/organizations\">\nSetHandler orgs\n</Location>\n";
my $database = "OrgsDBParams \"socket=/nowhere/socket dbname=orgs user=orgs\"\n";

sub option_file {
    my ($text) = @_;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out;
    return "OrgsDBDefaultsFile $file\n";
}

# --- wrong directives -----------------------------------------------------------------------------------------------------

# [directive, what the sentence says]
# the threads of a process, if they are fewer
my $most = ($ENV{ORGS_TEST_MPM} // 'event') eq 'prefork' ? 1 : 8;
my @directives = (
    ['OrgsDBParams',                           qr/OrgsDBParams takes one argument/],
    ['OrgsDBParams ""',                        qr/OrgsDBParams takes one argument/],
    ['OrgsDBParams "host"',                    qr/OrgsDBParams: 'host' is not of the form key=value/],
    ['OrgsDBParams "host=db1 colour=red"',     qr/OrgsDBParams: there is no parameter colour=/],
    ['OrgsDBParams "host="',                   qr/OrgsDBParams: host= has no value/],
    ['OrgsDBParams "host=\'db1"',              qr/OrgsDBParams: the quote after host= is not closed/],
    ['OrgsDBParams "host=db1 port=0"',         qr/OrgsDBParams: port=0 is not a port number from 1 to 65535/],
    ['OrgsDBParams "host=db1 port=65536"',     qr/port=65536 is not/],
    ['OrgsDBParams "host=db1 port=3306x"',     qr/port=3306x is not/],
    ['OrgsDBParams "host=db1 port=-1"',        qr/port=-1 is not/],
    ['OrgsDBParams "host=db1 ssl_mode=maybe"', qr/OrgsDBParams: ssl_mode=maybe is none of disabled, required, verify-identity/],
    ['OrgsDBParams "host=db1 password=secret"', qr/OrgsDBParams: password= is not taken here.*OrgsDBDefaultsFile/],
    ['OrgsDBDefaultsFile /nowhere/orgs.cnf',   qr{OrgsDBDefaultsFile: the option file /nowhere/orgs.cnf cannot be read}],
    ['OrgsDBDefaultsFile ' . top(),            qr/OrgsDBDefaultsFile: .*cannot be read/],
    (map { my ($name, $low, $high, @bad) = @$_;
        (map { ["$name $_", qr/\Q$name $_\E: this must be a whole number from $low to $high/] } @bad, '-1', 'x', '1.5', '1x', '99999999999999999999'),
        [$name, qr/\Q$name\E takes one argument/] }
        ['OrgsDBMin', 0, 10000, 10001], ['OrgsDBKeep', 0, 10000, 10001], ['OrgsDBMax', 1, 10000, 0, 10001],
        ['OrgsDBExptime', 1, 86400, 0], ['OrgsDBTimeout', 2, 60, 0, 1, 61], ['OrgsMaxBody', 1, 16777216, 0, 16777217]),
    ['OrgsMayCreate nobody',                   qr/OrgsMayCreate nobody: this must be any or superuser/],
    ['OrgsMayCreate',                          qr/OrgsMayCreate takes one argument/],
    ['OrgsMaxOrganizations -1',                qr/OrgsMaxOrganizations -1: this must be a whole number from 0 to \d+, or unlimited/],
    ['OrgsMaxOrganizations many',              qr/OrgsMaxOrganizations many: this must be/],
    ['OrgsMaxOrganizations 1.5',               qr/OrgsMaxOrganizations 1.5: this must be/],
    ["OrgsDBMax 8\nOrgsDBMin 3\nOrgsDBKeep 2", qr/OrgsDBMin 3 is more than OrgsDBKeep 2/],
    ["OrgsDBKeep 9\nOrgsDBMax 8",              qr/OrgsDBKeep 9 is more than OrgsDBMax 8/],
    ["OrgsDBMin 20",                           qr/OrgsDBMin 20 is more than OrgsDBMax $most/],
    ['OrgsRemoteUser',                         qr/OrgsRemoteUser takes one argument/],
    ['OrgsRemoteUser name',                    qr/OrgsRemoteUser name: this must be off, email or external-id/],
    ['OrgsRemoteSuperuser maybe',              qr/OrgsRemoteSuperuser must be On or Off/],
    ['OrgsRemoteProvision maybe',              qr/OrgsRemoteProvision must be On or Off/],
    ["OrgsRemoteUser external-id\nOrgsRemoteProvision On", qr/OrgsRemoteProvision On makes users of OrgsRemoteUser email only/],
    ["OrgsRemoteProvision On\nOrgsRemoteUser external-id", qr/OrgsRemoteProvision On makes users of OrgsRemoteUser email only/],
    ["OrgsRemoteUser Email\nOrgsRemoteProvision on\nOrgsRemoteSuperuser ON", undef],
    (map { ["OrgsRateLimit $_", qr{OrgsRateLimit \Q$_\E: this must be writes/seconds, such as 100/60, of 1 to 1000000 and 1 to 86400, or off}] }
        qw(100 100/ /60 0/60 100/0 -1/60 1.5/60 100/60/60 1000001/60 100/86401 on)),
    ['OrgsRateLimit',                          qr/OrgsRateLimit takes one argument/],
    ['OrgsRateLimit 100 60',                   qr/OrgsRateLimit takes one argument/],
    ["OrgsRateLimit 100/60\nOrgsRateLimit 1000000/86400\nOrgsRateLimit OFF", undef],
    ['OrgsTrustedOrigin',                      qr/OrgsTrustedOrigin (?:takes|requires at least) one argument/],
    (map { ["OrgsTrustedOrigin https://good.example $_", qr/OrgsTrustedOrigin \Q$_\E: this must be an origin, such as/] }
        qw(app.example https:// ftp://app.example https://app.example/ https://u@app.example https://app.example?x *)),
    ["OrgsTrustedOrigin https://app.example http://app.example:8080\nOrgsTrustedOrigin HTTPS://APP.example:443 http://[::1]:80", undef],
    ['OrgsNothing x',                          qr/Invalid command 'OrgsNothing'/],
);
for my $case (@directives) {
    my ($directive, $sentence) = @$case;
    my ($ok, $said) = configtest($directive);
    my $shown = $directive =~ s/\n/; /gr;
    if (!defined $sentence) {
        ok($ok, "accepted: $shown") or diag $said;
        next;
    }
    ok(!$ok, "refused: $shown");
    like($said, $sentence, '... with a sentence');
    unlike($said, qr/secret/, '... without the password');
}

# --- option files ----------------------------------------------------------------------------------------------------------------

# [content, sentence or undef if it is fine]
for my $case (
    ["[client]\nhost=db1\ndatabase=orgs\npassword=x\n",                       undef],
    ["[mod_orgs]\nhost = db1\ndatabase = orgs\nssl-mode=required\n",          undef],
    ["[mysqld]\nport=nonsense\n[client]\nhost=db1\ndatabase=orgs\n",          undef],      # another's group
    ["# a comment\n; another\n\n[client]\r\nhost=db1\r\ndatabase=orgs\r\n",   undef],
    ["[client]\nhost=db1\ndatabase=orgs\nreconnect\nlocal-infile=1\nplugin-dir=/tmp\n", undef],  # unknown keys are not read
    ["[client]\nhost=db1\ndatabase=orgs",                                     undef],      # no line feed at the end
    ["[client]\nport=x\n",                        qr/OrgsDBDefaultsFile: \Q$file\E, line 2: port=x is not a port number/],
    ["[client]\n\nssl-mode=perhaps\n",            qr/line 3: ssl_mode=perhaps is none of/],
    ["[client]\nhost=" . 'x' x 5000 . "\n",       qr/line 2: the line is too long/],
) {
    my ($content, $sentence) = @$case;
    my ($ok, $said) = configtest(option_file($content) . $mounted);
    my $shown = substr $content =~ s/\r?\n/; /gr, 0, 60;
    defined $sentence ? like($said, $sentence, "option file refused: $shown") : ok($ok, "option file accepted: $shown") || diag $said;
}

# --- where SetHandler orgs stands -------------------------------------------------------------------------------------------------

# [configuration, the sentence, or undef if it is fine]
my $plain = qr/SetHandler orgs stands only in a plain <Location "\/path">/;
for my $case (
    ['SetHandler orgs',                                                                    $plain],
    ["<Directory \"/\">\nSetHandler orgs\n</Directory>",                                   $plain],
    ["<DirectoryMatch \"/x\">\nSetHandler orgs\n</DirectoryMatch>",                        $plain],
    ["<Files \"x\">\nSetHandler orgs\n</Files>",                                           $plain],
    ["<FilesMatch \"x\">\nSetHandler orgs\n</FilesMatch>",                                 $plain],
    ["<LocationMatch \"^/x\">\nSetHandler orgs\n</LocationMatch>",                         $plain],
    ["<Location ~ \"^/x\">\nSetHandler orgs\n</Location>",                                 $plain],
    ["<Location \"/x*\">\nSetHandler orgs\n</Location>",                                   $plain],
    ["<Location \"/x[12]\">\nSetHandler orgs\n</Location>",                                $plain],
    ["<Location \"/?\">\nSetHandler orgs\n</Location>",                                    $plain],
    ["<If \"true\">\nSetHandler orgs\n</If>",                                              $plain],
    ["<Location \"/x\">\n<If \"true\">\nSetHandler orgs\n</If>\n</Location>",              $plain],
    ["<Location \"/x\">\n<Limit GET>\nSetHandler orgs\n</Limit>\n</Location>",             $plain],
    ["<Proxy \"*\">\nSetHandler orgs\n</Proxy>",                                           $plain],
    ["<VirtualHost *:80>\nSetHandler orgs\n</VirtualHost>",                                $plain],
    ["<Location \"/x\">\nSetHandler orgs\n</Location>",                                    undef],
    ["<Location /x>\nSetHandler orgs\n</Location>",                                        undef],
    ["<Location \"/\">\nSetHandler orgs\n</Location>",                                     undef],
    ["<Location \"/x\">\nSetHandler ORGS\n</Location>",                                    undef],
    ["<Location \"/x\">\n<IfModule orgs_module>\nSetHandler orgs\n</IfModule>\n</Location>", undef],
    ["<VirtualHost *:80>\n<Location \"/x\">\nSetHandler orgs\n</Location>\n</VirtualHost>", undef],
    ["<Location \"/x\">\nSetHandler orgs\n</Location>\n<Location \"/x\">\nSetHandler none\n</Location>", undef],
    ['SetHandler server-status',                                                           undef],
    ["<Directory \"/\">\nSetHandler \"proxy:unix:/x|fcgi://localhost/\"\n</Directory>",    undef],
    ["<FilesMatch \"\\.x\$\">\nSetHandler None\n</FilesMatch>",                            undef],
) {
    my ($configuration, $sentence) = @$case;
    my ($ok, $said) = configtest($database . $configuration);
    my $shown = $configuration =~ s/\n/ /gr;
    if (defined $sentence) {
        ok(!$ok, "refused: $shown");
        like($said, $sentence, '... with a sentence');
    }
    else {
        ok($ok, "accepted: $shown") or diag $said;
    }
}

# --- what a mount needs ---------------------------------------------------------------------------------------------------------------

for my $case (
    [$mounted,                                                      qr/SetHandler orgs needs a database: OrgsDBParams or OrgsDBDefaultsFile must name a host or a socket/],
    ["OrgsDBParams \"dbname=orgs\"\n$mounted",                      qr/must name a host or a socket/],
    ["OrgsDBParams \"host=db1\"\n$mounted",                         qr/needs the database's name/],
    ["<VirtualHost *:80>\nServerName inner\n$mounted</VirtualHost>", qr/needs a database.*inner/s],
    ["<VirtualHost *:80>\n$database</VirtualHost>\n$mounted",       qr/needs a database/],
    ["$database<VirtualHost *:80>\n$mounted</VirtualHost>",         undef],
    [option_file("[client]\ndatabase=orgs\n") . "OrgsDBParams \"host=db1\"\n$mounted", undef],
    ["<VirtualHost *:80>\n$database$mounted</VirtualHost>",         undef],
    ["OrgsDBParams \"host=db1,db2 port=3306 dbname=orgs user=orgs ssl_ca=/x ssl_cert=/y ssl_key=/z ssl_mode=verify-identity\"\n$mounted", undef],
    ["${database}OrgsDBMin 1\nOrgsDBKeep 2\nOrgsDBMax 3\nOrgsDBExptime 10\nOrgsDBTimeout 2\nOrgsMaxBody 1000\nOrgsMayCreate superuser\n"
        . "OrgsMaxOrganizations 0\n$mounted",                       undef],
    ["${database}OrgsMayCreate ANY\nOrgsMaxOrganizations Unlimited\n$mounted", undef],
    ["${database}<Location \"/organizations\">\nSetHandler orgs\nOrgsMaxBody 1\n</Location>", undef],
    ["OrgsDBMax 8\nOrgsDBMin 5\nOrgsDBKeep 5\n<VirtualHost *:80>\nOrgsDBMax 4\n</VirtualHost>", qr/OrgsDBMin 5 is more than OrgsDBMax 4/],
    ['',                                                            undef],
) {
    my ($configuration, $sentence) = @$case;
    my ($ok, $said) = configtest($configuration);
    my $shown = $configuration =~ s/\n/ /gr;
    if (defined $sentence) {
        ok(!$ok, "refused: $shown");
        like($said, $sentence, '... with a sentence');
    }
    else {
        ok($ok, "accepted: $shown") or diag $said;
    }
}

# --- gates ----------------------------------------------------------------------------------------------------------------------------

my $gate = sub { "<Location \"/x\">\nAuthType Orgs\n$_[0]\n</Location>\n" };
my $alias = sub { "<AuthzProviderAlias $_[0]>\n</AuthzProviderAlias>\n" . $gate->('Require it') };
for my $case (
    (map { [$gate->("Require $_"), qr/Require \Q$_\E: an expression that gives the organization's id is missing, such as %\{env:MATCH_ORG_ID\}/] }
        qw(org-member org-admin org-plan org-license)),
    [$gate->('Require org-member ""'),                        qr/Require org-member: an expression .* is missing/],
    [$gate->('Require org-member %{nonsense:x}'),             qr/Require org-member %\{nonsense:x\}: the expression cannot be read: .*nonsense/],
    [$gate->('Require org-member "%{env:X"'),                 qr/Require org-member %\{env:X: the expression cannot be read/],
    [$gate->('Require org-member %{env:X} %{env:Y}'),         qr/Require org-member %\{env:X\} %\{env:Y\}: there is more than one expression/],
    [$gate->('Require org-plan %{env:X}'),                    qr/Require org-plan %\{env:X\}: the plan's name is missing/],
    [$gate->('Require org-license %{env:X} team'),            qr/Require org-license .*: there is more than one expression/],
    [$gate->('Require org-owner %{env:X}'),                   qr/Unknown Authz provider: org-owner/],
    [$gate->('Require not org-member %{env:X}'),              qr/negative Require directive has no effect/],
    [$alias->('org-member it'),                               qr/Require org-member: an expression .* is missing/],
    [$alias->('org-plan it "%{env:X}"'),                      qr/Require org-plan %\{env:X\}: the plan's name is missing/],
    [$gate->('Require org-member %{env:X}'),                  undef],
    [$gate->('Require org-member 01890a5d-ac96-774b-bcce-b302099a8057'), undef],
    [$gate->('Require org-member "%{HTTP:X-Org}"'),           undef],
    [$gate->('Require org-plan %{env:X} gold "old gold"'),    undef],
    [$gate->("<RequireAll>\nRequire valid-user\nRequire not org-admin %{env:X}\n<RequireNone>\nRequire org-license %{env:X}\n</RequireNone>\n</RequireAll>"), undef],
    [$alias->('org-plan it "%{env:X} team gold"'),            undef],
    ["<Directory \"/\">\nRequire org-member %{env:X}\n</Directory>\n<FilesMatch \"x\">\nAuthMerging And\nRequire org-admin %{env:X}\n</FilesMatch>\n", undef],
) {
    my ($configuration, $sentence) = @$case;
    my ($ok, $said) = configtest($database . $configuration);
    my $shown = $configuration =~ s/\n/ /gr;
    if (defined $sentence) {
        ok(!$ok, "refused: $shown");
        like($said, $sentence, '... with a sentence');
    }
    else {
        ok($ok, "accepted: $shown") or diag $said;
    }
}
for my $needs ($gate->('Require org-plan %{env:X} team'), "<VirtualHost *:80>\n" . $gate->('Require org-plan %{env:X} team') . "</VirtualHost>\n") {
    my ($ok, $said) = configtest($needs);
    ok(!$ok, 'a gate without a database is refused');
    like($said, qr/Require org-plan needs a database: OrgsDBParams or OrgsDBDefaultsFile must name a host or a socket/, '... with a sentence');
}

# --- where directives stand -------------------------------------------------------------------------------------------------------------

my $conf = do { local $/; open my $in, '<', top() . '/src/mod_orgs_config.c' or die $!; <$in> };
my %value = (OrgsDBParams => '"host=x"', OrgsDBDefaultsFile => $file, OrgsMayCreate => 'any', OrgsMaxBody => 1000, OrgsDBTimeout => 5, OrgsDBMin => 1, OrgsDBKeep => 1);
for my $name (sort { $a cmp $b } $conf =~ /AP_INIT_\w+\("(OrgsDB\w+|OrgsMayCreate|OrgsMaxOrganizations)"/g) {
    my $directive = "$name " . ($value{$name} // 3);
    my ($ok, $said) = configtest("<Location \"/x\">\n$directive\n</Location>");
    ok(!$ok, "$name is refused in a <Location>");
    like($said, qr/\Q$name\E (?:cannot occur within|not allowed)/, '... with a sentence');
    ($ok, $said) = configtest("<VirtualHost *:80>\n$directive\n</VirtualHost>");
    ok($ok, "$name is fine in a virtual host") or diag $said;
}

for my $where ('<Location "/x">', '<Directory "/x">', '<VirtualHost *:80>', '<IfModule orgs_module>') {
    my $all = join "\n", 'OrgsRemoteUser email', 'OrgsRemoteSuperuser On', 'OrgsRemoteProvision On', 'OrgsTrustedOrigin https://app.example', 'OrgsMaxBody 1000', 'OrgsRateLimit 100/60';
    my ($ok, $said) = configtest("$where\n$all\n" . $where =~ s/<(\w+).*/<\/$1>/r);
    ok($ok, "what is for each directory is fine in $where") or diag $said;
}

# --- .htaccess ----------------------------------------------------------------------------------------------------------------------------

for my $case (['handler', 'SetHandler orgs stands only in a plain'], ['directive', 'OrgsMaxBody not allowed here']) {
    my ($name, $sentence) = @$case;
    my $r = api(GET => "/htaccess/$name/");
    is($r->{status}, 500, "an .htaccess with a $name is 500");
    unlike($r->{body}, qr/plain/, '... and the client is not told why');
    expect_log($sentence);
}

# --- a server that starts without its database -----------------------------------------------------------------------------------------------

{
    my $httpd = Orgs::Httpd->start("OrgsDBParams \"socket=/nowhere/socket dbname=orgs user=orgs\"\nOrgsDBMin 1\nLogLevel info\n$mounted");
    my $r = api(GET => '', url => $httpd->url('/organizations'), token => user('ada'));
    problem($r, 503, 'unavailable', 'a server with a database that is not there starts, and says so');
    $httpd->stop;
    my $log = do { local $/; open my $in, '<', $httpd->{log} or die $!; <$in> };
    my $lines = () = $log =~ /ORGS0102/g;
    is($lines, 1, 'once in the log');
}

# --- a server that has the module, and nothing for it to do ------------------------------------------------------------------

for my $case (['', 1, 'nothing of the module\'s'], [$database, 2, 'a database']) {
    my ($text, $want, $what) = @$case;
    my $httpd = Orgs::Httpd->start("$text<Location \"/gated\">\nAuthType Orgs\nRequire valid-user\n</Location>\n", mpm => 'prefork');
    is(api(GET => '', url => $httpd->url('/none'))->{status}, 404, "a server with $what: it answers");
    is(api(GET => '', url => $httpd->url('/gated'))->{status}, 401, '... and does not let in');
    is(api(GET => '', url => $httpd->url('/gated'), token => user('ada'))->{status}, $text eq '' ? 500 : 503, '... whom it cannot ask about');
    # one that tried to connect may still be ending
    my @threads;
    until_true(5, sub { @threads = map { scalar(my @tasks = glob "/proc/$_/task/*") } $httpd->children; !grep { $_ != $want } @threads });
    is_deeply([grep { $_ != $want } @threads], [], "... with $want threads in a process of prefork");
    is($httpd->stop, 0, '... and ends well');
    is_deeply([$httpd->complaints(qw(ORGS0011 ORGS0102))], [], '... with nothing to complain of');
}

done_testing;
