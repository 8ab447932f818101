# The way through everything, once.
use Orgs::Test;

my $ada = user('ada');
my $bob = user('bob');

my $created = api(POST => '/organizations', token => $ada, json => {name => 'Analytical Engines'});
answers($created, 201, 'an organization is created');
my $id = $created->{json}{id};
is($created->{headers}{location}, "/organizations/$id", 'Location');

answers(api(GET => '/organizations', token => $ada), 200, 'the list');
is_deeply(api(GET => "/organizations/$id", token => $ada)->{json}, $created->{json}, 'it reads as it was created');
problem(api(GET => "/organizations/$id", token => $bob), 404, 'organization_not_found', 'others do not see it');
problem(api(GET => "/organizations/$id"), 401, 'unauthorized', 'nor does nobody');

my $updated = api(PUT => "/organizations/$id", token => $ada, json => {description => 'Cards and gears'});
answers($updated, 200, 'it is updated');
is($updated->{json}{description}, 'Cards and gears', 'as it was said');
answers(api(DELETE => "/organizations/$id", token => $ada), 200, 'it is deleted');
problem(api(GET => "/organizations/$id", token => $ada), 404, 'organization_not_found', 'and gone');

# What it runs with is told when httpd starts, and when a process connects first.
my $tool = orgsctl('--version');
ok($tool =~ s/^orgsctl of //, 'orgsctl tells its version');
my $log = do { local $/; open my $in, '<', top() . '/t/logs/error_log' or die $!; <$in> };
like($log, qr/\[orgs:notice\] .*ORGS0004: \Q$tool\E$/m, 'httpd was started with the same client library');
my $server = sql_value('SELECT VERSION()');
like($log, qr/\[orgs:info\] .*ORGS0005: the database is (?:MySQL )?\Q$server\E$/m, 'and a process tells its database');

done_testing;
