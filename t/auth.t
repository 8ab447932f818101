# Contract 4: the caller, by bearer token.
use Orgs::Test;
use Digest::SHA qw(sha256);
use MIME::Base64 qw(encode_base64url);

my $ada = user('ada');
my $organization = organization($ada);
my $path = "/organizations/$organization->{id}";

# A token as they are made, of any 32 bytes; its checksum right or wrong.
sub token_of {
    my ($secret, $wrong) = @_;
    my $text = 'orgs_' . encode_base64url($secret);
    my $check = substr encode_base64url(sha256($text)), 0, 6;
    substr($check, 0, 1) =~ tr/A-Za-z0-9_-/B-Za-z0-9_\-A/ if $wrong;
    return "$text$check";
}

like($ada->{token}, qr/^orgs_[A-Za-z0-9_-]{49}$/, 'a token: prefix, 43 characters, 6 more');
is(token_of(MIME::Base64::decode_base64url(substr $ada->{token}, 5, 43)), $ada->{token}, 'its checksum is the contract\'s');
is(sql_value("SELECT COUNT(*) FROM tokens WHERE hash = UNHEX(SHA2('$ada->{token}', 256))"), 1,
    'the database has its SHA-256');

# --- who is let in -----------------------------------------------------------------------------------------------------

# [the header's value, what]
for my $case (
    ["Bearer $ada->{token}",   'Bearer'],
    ["bearer $ada->{token}",   'bearer'],
    ["BEARER $ada->{token}",   'BEARER'],
    ["bEaReR   $ada->{token}", 'more spaces'],
) {
    answers(api(GET => $path, headers => {Authorization => $case->[0]}), 200, "let in: $case->[1]");
}
answers(api(GET => "$path?access_token=orgs_wrong", token => $ada), 200, 'a token in the query is not looked at');

# --- who is not ----------------------------------------------------------------------------------------------------------

my $eve = user('eve');
my $gone = user('gone');
orgsctl('user', 'deactivate', $gone->{email});
my $revoked = new_token($ada);
orgsctl({in => $revoked}, 'token', 'revoke', '-');
my $expired = new_token($ada, '--expires-in=1');
my $expiring = new_token($ada, '--expires-in=3600');
answers(api(GET => $path, token => $expiring), 200, 'a token with time left');
until_true(10, sub { api(GET => $path, token => $expired)->{status} == 401 });
my $no_user = token_of("\x5a" x 32);
my $other_check = token_of(MIME::Base64::decode_base64url(substr $ada->{token}, 5, 43), 1);
# the same 32 bytes, written with a last character whose spare bits are not zero
my $loose = do {
    my $secret = substr $ada->{token}, 5, 43;
    my $alphabet = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';
    my $last = index $alphabet, substr $secret, -1;
    substr($secret, -1) = substr $alphabet, $last ^ 1, 1;
    my $text = "orgs_$secret";
    $text . substr encode_base64url(sha256($text)), 0, 6;
};

# [Authorization or undef, was a token sent, what]
my @refused = (
    [undef,                             0, 'no header'],
    ["Basic YWRhOng=",                  0, 'another scheme'],
    ["Digest username=\"ada\"",         0, 'Digest'],
    ["Token $ada->{token}",             0, 'a scheme of our name\'s length'],
    ["Bearers $ada->{token}",           0, 'a longer scheme'],
    [$ada->{token},                     0, 'no scheme'],
    ['Bearer x',                        1, 'malformed'],
    ["Bearer $ada->{token}x",           1, 'one character more'],
    ['Bearer ' . substr($ada->{token}, 0, -1), 1, 'one character less'],
    ["Bearer $ada->{token},",           1, 'a comma after it'],
    ["Bearer $ada->{token} x",          1, 'something after it'],
    ['Bearer ' . uc $ada->{token},      1, 'in upper case'],
    ['Bearer ORGS_' . substr($ada->{token}, 5), 1, 'another prefix'],
    ["Bearer $other_check",             1, 'a wrong checksum'],
    ["Bearer $loose",                   1, 'not canonical base64url'],
    ['Bearer ' . 'x' x 6000,            1, 'very long'],
    ["Bearer orgs_' OR 1=1 -- ",        1, 'SQL'],
    ["Bearer $no_user",                 1, 'well formed, unknown'],
    ["Bearer $revoked",                 1, 'revoked'],
    ["Bearer $expired",                 1, 'expired'],
    ["Bearer $gone->{token}",           1, 'of a deactivated user'],
);
my $one_body;
for my $case (@refused) {
    my ($header, $sent, $what) = @$case;
    my $r = api(GET => $path, defined $header ? (headers => {Authorization => $header}) : ());
    problem($r, 401, 'unauthorized', "401: $what");
    $one_body //= $r->{body};
    is($r->{body}, $one_body, "$what: the same body, byte for byte");
    is($r->{headers}{'www-authenticate'}, $sent ? 'Bearer realm="orgs", error="invalid_token"' : 'Bearer realm="orgs"',
        "$what: the challenge");
}
{
    my ($r) = raw_request("GET $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\n"
        . "Authorization: Bearer $ada->{token}\r\nConnection: close\r\n\r\n");
    problem($r, 401, 'unauthorized', 'two tokens are none');
    my ($s) = raw_request("GET $path HTTP/1.1\r\nHost: x\r\nAuthorization: \r\nConnection: close\r\n\r\n");
    problem($s, 401, 'unauthorized', 'an empty header');
    is($s->{headers}{'www-authenticate'}, 'Bearer realm="orgs"', 'an empty header is no token');
    my ($t) = raw_request("GET $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\t$ada->{token}\r\nConnection: close\r\n\r\n");
    problem($t, 401, 'unauthorized', 'a tab is no space');
}
my $in_query = new_token($ada);    # httpd's own access log has queries
problem(api(GET => "$path?access_token=$in_query"), 401, 'unauthorized', 'a token in the query alone');
problem(api(POST => '/organizations', type => 'application/json', body => '{"access_token":"x"}'), 401, 'unauthorized',
    'nor is one in the body');
for my $method (qw(GET POST PUT DELETE)) {
    my $there = $method eq 'POST' ? '/organizations' : $path;
    problem(api($method => $there, $method =~ /^P/ ? (json => {name => 'x'}) : ()), 401, 'unauthorized', "$method without");
}
my $realm = api(GET => '/organizations', vhost => 'orgs_realm');
problem($realm, 401, 'unauthorized', 'with an AuthName');
is($realm->{headers}{'www-authenticate'}, 'Bearer realm="Tom\'s \"house\""', 'the realm is AuthName, quoted');

# --- a malformed token asks nothing ----------------------------------------------------------------------------------------

{
    my @malformed = ("x", "$ada->{token}x", $other_check, $loose, 'orgs_' . 'a' x 49);
    my $count = sub { status_counter('Com_stmt_execute') };
    my $before = $count->();
    api(GET => $path, token => $_) for @malformed, @malformed;
    is($count->() - $before, 0, 'a malformed token costs no query');
    $before = $count->();
    api(GET => $path, token => $no_user) for 1 .. 3;
    is($count->() - $before, 3, 'a well formed one costs one (so the counter counts)');
    $before = $count->();
    answers(api(GET => $path, token => $ada), 200, 'an organization is read');
    is($count->() - $before, 1, 'authentication and endpoint 3 are one question');
}

# --- revocation is immediate -----------------------------------------------------------------------------------------------

for my $round (1 .. 5) {
    my $token = new_token($ada, "--label=round $round");
    answers(api(GET => $path, token => $token), 200, "round $round: valid");
    orgsctl({in => $token}, 'token', 'revoke', '-');
    problem(api(GET => $path, token => $token), 401, 'unauthorized', "round $round: revoked, at once");
    answers(api(GET => $path, token => $ada), 200, "round $round: another one of the same user stays");
}
orgsctl('user', 'activate', $gone->{email});
answers(api(GET => '/organizations', token => $gone), 200, 'activated: let in again, at once');
orgsctl('user', 'deactivate', $gone->{email});
problem(api(POST => '/organizations', token => $gone, json => {name => 'x'}), 401, 'unauthorized', 'deactivated: no writes');
orgsctl('token', 'revoke', '--all', $eve->{email});
problem(api(GET => '/organizations', token => $eve), 401, 'unauthorized', 'all of a user revoked');

# --- superusers ---------------------------------------------------------------------------------------------------------------

my $root = user('root');
problem(api(GET => $path, token => $root), 404, 'organization_not_found', 'no superuser yet');
orgsctl('user', 'superuser', $root->{email}, 'on');
answers(api(GET => $path, token => $root), 200, 'a superuser at once');
orgsctl('user', 'superuser', $root->{email}, 'off');
problem(api(GET => $path, token => $root), 404, 'organization_not_found', 'and no longer, at once');

# --- nothing writes a token down ----------------------------------------------------------------------------------------------

my @secrets = map { ref $_ ? $_->{token} : $_ } $ada, $eve, $gone, $root, $revoked, $expired, $expiring, $no_user;
my $logs = join '', map { local $/; open my $fh, '<', $_ or die "$_: $!"; <$fh> } glob top() . '/t/logs/*_log';
ok(length $logs > 1000, 'there are logs');
is(scalar(grep { index($_, substr $in_query, 5, 43) >= 0 } log_lines()), 0, 'the error log has none of a query');
is(scalar(grep { index($logs, substr $_, 5, 43) >= 0 } @secrets), 0, 'no log has a token');
is(sql_value("SELECT COUNT(*) FROM events WHERE CONCAT_WS(' ', changes, answer, request_id) RLIKE 'orgs_[-_A-Za-z0-9]{49}'"), 0,
    'nor has an event');

done_testing;
