# Contract 2, endpoint 16: the API describes itself, truly.
use Orgs::Test;
use JSON::PP ();

my $top = Orgs::Test::top();
my $ada = user('ada');
my $bob = user('bob');

# --- who gets it, and where -----------------------------------------------------------------------------------------------

my $answer = api(GET => 'openapi.json');
answers($answer, 200, 'anyone reads it');
my $api = $answer->{json};
is($api->{openapi}, '3.1.0', 'OpenAPI 3.1');
answers(api(GET => 'openapi.json', token => 'orgs_nonsense'), 200, 'whatever token comes with it');
answers(api(GET => 'openapi.json/'), 200, 'a slash at the end is tolerated');
answers(api(GET => 'openapi.json', vhost => 'orgs_second'), 200, 'without a database, too');
my $head = api(HEAD => 'openapi.json');
is($head->{status}, 200, 'HEAD');
is($head->{headers}{'content-length'}, length $answer->{body}, '... says how long it is');
sub allowed { join ' ', sort split /,\s*/, $_[0]{headers}{allow} // '' }
is(allowed(api(OPTIONS => 'openapi.json')), 'GET HEAD OPTIONS TRACE', 'OPTIONS');
for my $method (qw(PUT DELETE POST)) {
    my $r = api($method => 'openapi.json', token => $ada, json => {});
    problem($r, 405, 'method_not_allowed', "$method is not for it");
    is(allowed($r), 'GET HEAD OPTIONS TRACE', '... and says what is');
}
for my $case (['orgs_mounts', '/api/v1/organizations'], ['orgs_mounts', '/second', '/second/'], ['orgs_mounts', '/with%20space'], ['orgs_root', '', '/']) {
    my ($vhost, $mount, $root) = @$case;
    my $there = api(GET => "$mount/openapi.json", vhost => $vhost);
    answers($there, 200, "mounted at $mount");
    my %expected = map { (s{^/organizations(/?)}{$1 ? "$mount/" : $root // $mount}er => 1) } keys %{$api->{paths}};
    is_deeply([sort keys %{$there->{json}{paths}}], [sort keys %expected], '... its paths are true');
    my @left = $there->{body} =~ m{("/organizations[^"]*)}g;
    is_deeply(\@left, [], '... all of them');
}

# --- it holds what the code holds --------------------------------------------------------------------------------------------

sub read_file { my ($path) = @_; open my $in, '<', "$top/$path" or die "$path: $!"; local $/; return scalar <$in> }

{
    my %names = (org => 'org_id', user => 'user_id');
    my %routes = map { ($_ => 1) } map { my ($path, $method) = @$_; $path =~ s/\{(\w+)\}/{$names{$1}}/g; lc($method) . " /organizations$path" }
        map { [/"([^"]*)", M_(\w+)/] } read_file('src/mod_orgs_route.c') =~ /^    \{("[^"]*", M_\w+), mod_orgs_api/mg;
    my %described;
    for my $path (keys %{$api->{paths}}) { $described{"$_ $path"} = 1 for grep { $_ ne 'parameters' } keys %{$api->{paths}{$path}} }
    is_deeply([sort keys %described], [sort keys %routes], 'every endpoint is described, and nothing else');
    cmp_ok(scalar keys %routes, '==', 16, 'there are 16');

    my %codes = map { ($_->[0] => $_->[1]) } map { [/"(\w+)", (\d+)/] } read_file('include/orgs_error.h') =~ /^    X\(\w+, ("\w+", \d+)/mg;
    is_deeply([sort @{$api->{components}{schemas}{Problem}{properties}{code}{enum}}], [sort keys %codes], 'every code');
    my %at;
    for my $response (values %{$api->{components}{responses}}) {
        my $properties = $response->{content}{'application/problem+json'}{schema}{allOf}[1]{properties};
        $at{$_} = $properties->{status}{const} for @{$properties->{code}{enum}};
    }
    is_deeply(\%at, \%codes, '... with its status');
}

# --- references and answers ------------------------------------------------------------------------------------------------

sub resolved {
    my ($node) = @_;
    while (ref $node eq 'HASH' && $node->{'$ref'}) {
        my $target = $api;
        for my $step (split m{/}, $node->{'$ref'} =~ s{^#/}{}r) {
            $target = $target->{$step} // do { fail("$node->{'$ref'} leads nowhere"); return {} };
        }
        $node = $target;
    }
    return $node;
}
{
    my @all = ($api);
    my $count = 0;
    while (@all) {
        my $node = shift @all;
        $count++, resolved($node) if ref $node eq 'HASH' && $node->{'$ref'};
        push @all, ref $node eq 'HASH' ? values %$node : ref $node eq 'ARRAY' ? @$node : ();
    }
    cmp_ok($count, '>', 100, 'references lead somewhere');
}

sub type_of {
    my ($value) = @_;
    return 'null' if !defined $value;
    return lc(ref $value) =~ /hash/ ? 'object' : 'array' if ref $value eq 'HASH' || ref $value eq 'ARRAY';
    return 'boolean' if JSON::PP::is_bool($value);
    return JSON::PP->new->allow_nonref->encode($value) =~ /^"/ ? 'string' : 'integer';
}

sub same { JSON::PP->new->allow_nonref->canonical->encode($_[0]) eq JSON::PP->new->allow_nonref->canonical->encode($_[1]) }

# What is wrong with a value by a schema: of JSON Schema no more than the document uses.
sub faults {
    my ($value, $schema, $at) = @_;
    $schema = resolved($schema);
    my @faults;
    my $type = type_of($value);
    if (my $types = $schema->{type}) {
        push @faults, "$at is $type" if !grep { $_ eq $type } ref $types ? @$types : $types;
    }
    push @faults, "$at is not of its values" if $schema->{enum} && !grep { same($value, $_) } @{$schema->{enum}};
    push @faults, "$at is another constant" if exists $schema->{const} && !same($value, $schema->{const});
    push @faults, "$at '$value' does not match" if $schema->{pattern} && $type eq 'string' && $value !~ /$schema->{pattern}/;
    push @faults, map { faults($value, $_, $at) } @{$schema->{allOf} || []};
    if (my $any = $schema->{anyOf}) {
        push @faults, "$at is nothing of all" if !grep { !faults($value, $_, $at) } @$any;
    }
    if ($type eq 'object') {
        push @faults, map { "$at/$_ is missing" } grep { !exists $value->{$_} } @{$schema->{required} || []};
        my $properties = $schema->{properties} || {};
        push @faults, map { faults($value->{$_}, $properties->{$_}, "$at/$_") } grep { exists $value->{$_} } sort keys %$properties;
        # the document knows all there is today
        push @faults, map { "$at/$_ is not described" } grep { !$properties->{$_} } sort keys %$value if $schema->{required};
    }
    if ($type eq 'array' && $schema->{items}) {
        push @faults, map { faults($value->[$_], $schema->{items}, "$at/$_") } 0 .. $#$value;
    }
    return @faults;
}

sub described {
    my ($method, $path, $r) = @_;
    my $operation = $api->{paths}{"/organizations$path"}{lc $method} or return "$method $path is not described";
    my $told = $operation->{responses}{$r->{status}} or return "status $r->{status} is not described";
    my $response = resolved($told);
    return if !$response->{content};
    my ($type) = keys %{$response->{content}};
    return "media type $r->{headers}{'content-type'}" if $type ne $r->{headers}{'content-type'};
    my @faults = faults($r->{json}, $response->{content}{$type}{schema}, '');
    my $code = ref $r->{json} eq 'HASH' ? $r->{json}{code} : undef;
    push @faults, "code $code is not described here" if $type =~ /problem/ && $told->{description} !~ /\b$code\b/;
    push @faults, map { "header $_ is missing" } grep { !exists $r->{headers}{lc $_} } grep { /^(?:ETag|Location|X-Request-Id|Retry-After|WWW-Authenticate)$/ }
        keys %{$response->{headers} || {}};
    return @faults;
}

my $org = organization($ada, description => 'Described');
my $bare = organization($ada);
my $license = orgsctl(qw(license add --plan=team --seats=5 --expires-at=2099-01-01T00:00:00Z));
orgsctl(qw(deployment add), $license, qw(web --environment=production));
my $bob_id = $bob->{id};

# [method, described path, path, options of api(), status]
my @requests = (
    ['GET', '', '', {}, 200], ['GET', '', '?limit=1', {}, 200], ['GET', '', '?limit=0', {}, 422], ['GET', '', '?scope=all', {}, 403],
    ['GET', '', '', {token => undef}, 401],
    ['POST', '', '', {json => {name => 'Described'}}, 201], ['POST', '', '', {json => {}}, 422], ['POST', '', '', {body => '{'}, 400],
    ['POST', '', '', {json => {name => 'x'}, type => 'text/plain'}, 415], ['POST', '', '', {json => {name => 'x' x 70_000}}, 413],
    ['GET', '/{org_id}', $org->{id}, {}, 200], ['GET', '/{org_id}', 'nothing', {}, 404],
    ['PUT', '/{org_id}', $org->{id}, {json => {name => 'Described anew'}}, 200], ['PUT', '/{org_id}', $org->{id}, {json => {name => 1}}, 422],
    ['PUT', '/{org_id}', $org->{id}, {json => {}, headers => {'If-Match' => '"1-x"'}}, 412],
    ['POST', '/{org_id}/members', "$org->{id}/members", {json => {email => $bob->{email}}}, 201],
    ['POST', '/{org_id}/members', "$org->{id}/members", {json => {email => $bob->{email}}}, 409],
    ['POST', '/{org_id}/members', "$org->{id}/members", {json => {email => 'nobody@example.org'}}, 404],
    ['GET', '/{org_id}/members', "$org->{id}/members", {}, 200],
    ['GET', '/{org_id}/members/{user_id}', "$org->{id}/members/me", {}, 200],
    ['GET', '/{org_id}/members/{user_id}', "$org->{id}/members/nobody", {}, 404],
    ['PUT', '/{org_id}/members/{user_id}', "$org->{id}/members/$bob_id", {json => {role => 'admin'}}, 200],
    ['PUT', '/{org_id}/members/{user_id}', "$org->{id}/members/$bob_id", {json => {role => 'member'}}, 200],
    ['PUT', '/{org_id}/members/{user_id}', "$org->{id}/members/me", {json => {role => 'member'}}, 409],
    ['GET', '/{org_id}/license', "$org->{id}/license", {}, 200],
    ['PUT', '/{org_id}/license', "$org->{id}/license", {json => {license_id => $license}}, 200],
    ['PUT', '/{org_id}/license', "$bare->{id}/license", {json => {license_id => $license}}, 409],
    ['PUT', '/{org_id}/license', "$bare->{id}/license", {json => {license_id => 'none'}}, 404],
    ['GET', '/{org_id}/license', "$org->{id}/license", {}, 200],
    ['GET', '/{org_id}', $org->{id}, {}, 200],
    ['GET', '/{org_id}/deployments', "$org->{id}/deployments", {}, 200],
    ['DELETE', '/{org_id}/license', "$org->{id}/license", {}, 200],
    ['GET', '/{org_id}/events', "$org->{id}/events", {}, 200],
    ['GET', '/{org_id}/events', "$org->{id}/events", {token => $bob}, 403],
    ['DELETE', '/{org_id}/members/{user_id}', "$org->{id}/members/me", {}, 409],
    ['DELETE', '/{org_id}/members/{user_id}', "$org->{id}/members/$bob_id", {}, 200],
    ['DELETE', '/{org_id}', $bare->{id}, {}, 200], ['DELETE', '/{org_id}', $bare->{id}, {}, 404],
    ['POST', '', '', {vhost => 'orgs_rated', json => {name => 'The only one'}}, 201],
    ['POST', '', '', {vhost => 'orgs_rated', json => {name => 'Too much'}}, 429],
    ['PUT', '/{org_id}', $org->{id}, {vhost => 'orgs_rated', json => {}}, 429],
    ['DELETE', '/{org_id}', $org->{id}, {vhost => 'orgs_rated'}, 429],
    ['POST', '/{org_id}/members', "$org->{id}/members", {vhost => 'orgs_rated', json => {}}, 429],
    ['PUT', '/{org_id}/members/{user_id}', "$org->{id}/members/me", {vhost => 'orgs_rated', json => {}}, 429],
    ['DELETE', '/{org_id}/members/{user_id}', "$org->{id}/members/me", {vhost => 'orgs_rated'}, 429],
    ['PUT', '/{org_id}/license', "$org->{id}/license", {vhost => 'orgs_rated', json => {}}, 429],
    ['DELETE', '/{org_id}/license', "$org->{id}/license", {vhost => 'orgs_rated'}, 429],
    ['GET', '/openapi.json', 'openapi.json', {}, 200],
);
for my $request (@requests) {
    my ($method, $path, $real, $options, $status) = @$request;
    my $r = api($method => $real, token => $ada, %$options);
    my $what = "$method /organizations$path, $status";
    is($r->{status}, $status, $what) or diag $r->{body};
    is_deeply([described($method, $path, $r)], [], '... as described');
}
done_testing;
