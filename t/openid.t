# The README's recipe of OpenID Connect, as it stands there: the API for whoever logged in at a provider, by an address
# that the provider has verified, or by the provider's own id. Nobody gets another's account by claiming the address.
use Orgs::Test;
use Orgs::Httpd;
use Orgs::OpenId;
use Orgs::Recipe;
use JSON::PP ();

my $modules = load_modules('auth_openidc');
if ($modules eq '') {
    diag 'mod_auth_openidc IS NOT INSTALLED HERE: its recipe is not tested';
    Test::More::plan(skip_all => 'no mod_auth_openidc');
}

my ($ada, $bob) = (user('ada'), user('bob'));
my $org = organization_with($ada, member => $bob)->{id};
my ($true, $false) = (JSON::PP::true(), JSON::PP::false());

my $provider = Orgs::OpenId->start(
    bob        => {sub => '248289761001', email => $bob->{email}, email_verified => $true},
    # whoever claims to be ada, who is an admin
    unverified => {sub => 'mallory', email => $ada->{email}, email_verified => $false},
    unsaid     => {sub => 'mallory', email => $ada->{email}},
    forged     => {sub => 'mallory', email => $ada->{email}, email_verified => $true, forged => 1},
    lookalike  => {sub => $ada->{email}, email => 'mallory@openid.example', email_verified => $true},
    subject    => {sub => '248289761001@id', email => $ada->{email}, email_verified => $false},
    nobody     => {sub => 'nobody', email => 'nobody@openid.example', email_verified => $true},
    nameless   => {sub => 'nameless', email_verified => $true},
    newcomer   => {sub => 'new', email => 'newcomer@openid.example', email_verified => $true},
    guest      => {sub => 'guest', email => 'guest@openid.example', email_verified => $true},
    pretender  => {sub => 'pretender', email => 'pretender@openid.example', email_verified => $false},
);
orgsctl('user', 'set', $bob->{email}, "--external-id=248289761001\@$provider->{issuer}");

my $secret = top() . '/run/openid-secret';
{
    open my $out, '>', $secret or die "$secret: $!";
    print $out 'a long secret';
}
my $common = recipe('OpenID Connect', 1, 'https://id.example.com' => $provider->{issuer}, 'secret of the client' => $provider->{secret}, '/etc/apache2/session.secret' => $secret);
my $by_email = recipe('OpenID Connect', 2);
my %host = (
    email    => $common . $by_email,
    id       => $common . recipe('OpenID Connect', 3),
    # what the README warns of, or this test would prove nothing
    careless => $common . $by_email =~ s/Require claim.*/Require valid-user/r,
    made     => $common . $by_email =~ s/(OrgsRemoteUser email)/$1\nOrgsRemoteProvision On/r . <<"END",
<Location "/gate">
    AuthzSendForbiddenOnFailure On
    OrgsRemoteUser email
    OrgsRemoteProvision On
    <RequireAll>
        Require claim email_verified:true
        Require org-member $org
    </RequireAll>
</Location>
END
);
my $httpd = Orgs::Httpd->start(sub {
    my ($directory) = @_;
    return $modules . database_lines() . "LogLevel info orgs:debug\n<Directory \"$directory/htdocs\">\nRequire all granted\n</Directory>\n"
        . join '', map { "<VirtualHost *:*>\nServerName $_.example\n$host{$_}</VirtualHost>\n" } sort keys %host;
});
{
    open my $out, '>', "$httpd->{directory}/htdocs/page.html" or die "page: $!";
    print $out 'a page';
}

# get(HOST, PATH, ...)
sub get {
    my ($host, $path, %options) = @_;
    my ($method, $headers) = (delete $options{method} // 'GET', delete $options{headers});
    return api($method => '', url => $httpd->url($path), %options, headers => {Host => "$host.example:$httpd->{port}", %{$headers || {}}});
}

# What a person's browser sends from then on; and the answer that ended the login.
sub login {
    my ($host, $who) = @_;
    my ($cookies, $r) = $provider->login($who, sub { my ($path, %headers) = @_; return get($host, $path, headers => \%headers) }, '/page.html');
    return (join('; ', map { "$_=$cookies->{$_}" } sort keys %$cookies), $r);
}

# --- a login -----------------------------------------------------------------------------------------------------------------

{
    my $r = get(email => '/page.html', headers => {Accept => 'text/html'});
    is($r->{status}, 302, 'a page leads to the provider');
    like($r->{headers}{location}, qr{^\Q$provider->{issuer}\E/authorize\?}, '... there');
    $r = get(email => '/organizations', headers => {Accept => 'text/html'});
    is("$r->{status} $r->{json}{code}", '401 unauthorized', 'the API does not: who is not logged in is told');
    is($r->{headers}{location}, undef, '... and led nowhere');
    (my $cookie, $r) = login(email => 'bob');
    is("$r->{status} $r->{body}", '200 a page', 'whoever logs in gets the page') or diag Orgs::Test::describe($r);
    $r = get(email => "/organizations/$org/members/me", headers => {Cookie => $cookie});
    answers($r, 200, 'and the API');
    is($r->{json}{user_id}, $bob->{id}, '... as who he is');
    like($r->{headers}{vary}, qr/\bCookie\b/, '... caches are told');
    my $write = sub { get(email => '/organizations', method => 'POST', json => {name => 'x'}, headers => {Cookie => $cookie, @_}) };
    answers($write->('Sec-Fetch-Site' => 'same-origin'), 201, 'a write from its own pages');
    problem($write->('Sec-Fetch-Site' => 'cross-site'), 403, 'cross_site', 'a write from another site');
    problem($write->(Origin => 'https://evil.example'), 403, 'cross_site', '... by an older browser');
    is(get(email => '/organizations', headers => {Cookie => $cookie =~ s/(session=.{8})(.)/$1 . ($2 eq 'a' ? 'b' : 'a')/er})->{status}, 401, 'a session that was changed is none');
    is(get(email => '/organizations', token => $bob)->{status}, 401, 'nor is a token one');
    # what mod_auth_openidc itself would tell an application
    is(get(email => '/organizations', headers => {'OIDC_CLAIM_email' => $ada->{email}, 'OIDC-CLAIM-email-verified' => '1', 'X-Remote-User' => $ada->{email}})->{status}, 401, 'nor are headers');
    answers(get(email => "/organizations/$org/members/me", headers => {Cookie => $cookie, 'OIDC_CLAIM_email' => $ada->{email}}), 200, 'which change nothing');
}

# --- who gets whose account ------------------------------------------------------------------------------------------------------

for my $case (
    # host, who, status, code, whose account
    [email    => bob        => 200, undef, $bob],
    [email    => unverified => 403, 'forbidden'],
    [email    => unsaid     => 403, 'forbidden'],
    [email    => subject    => 403, 'forbidden'],
    [email    => forged     => 401, 'unauthorized'],
    [email    => lookalike  => 403, 'user_unknown'],
    [email    => nobody     => 403, 'user_unknown'],
    [email    => nameless   => 401, 'unauthorized'],
    [id       => bob        => 200, undef, $bob],
    [id       => unverified => 403, 'user_unknown'],
    [id       => unsaid     => 403, 'user_unknown'],
    [id       => subject    => 403, 'user_unknown'],
    [id       => forged     => 401, 'unauthorized'],
    [id       => lookalike  => 403, 'user_unknown'],
    [id       => nameless   => 403, 'user_unknown'],
    [careless => bob        => 200, undef, $bob],
    [careless => unverified => 200, undef, $ada],
    [made     => newcomer   => 200, undef],
    [made     => pretender  => 403, 'forbidden'],
) {
    my ($host, $who, $status, $code, $user) = @$case;
    my ($cookie) = login($host => $who);
    my $r = get($host => $user ? "/organizations/$org/members/me" : '/organizations', headers => {Cookie => $cookie});
    my $good = is($r->{status} . ' ' . ($r->{json} && ref $r->{json} eq 'HASH' && $r->{json}{code} || '-'), "$status " . ($code // '-'), "$host, $who: $status");
    $good = is($r->{json}{user_id}, $user->{id}, '... as ' . $user->{email}) && $good if $user;
    diag Orgs::Test::describe($r) if !$good;
}

# Who is made a user: whoever is let in, or gets to a gate; not who is refused before that.
for my $case ([newcomer => 1], [pretender => 0], [guest => 0]) {
    my ($who, $made) = @$case;
    is(sql_value("SELECT COUNT(*) FROM users WHERE email = '$who\@openid.example'"), $made, "$who: " . ($made ? 'a user' : 'no user'));
}
for my $case ([pretender => 403, 0], [guest => 403, 1]) {
    my ($who, $status, $made) = @$case;
    my ($cookie) = login(made => $who);
    is(get(made => '/gate', headers => {Cookie => $cookie})->{status}, $status, "a gate, $who: $status");
    is(sql_value("SELECT COUNT(*) FROM users WHERE email = '$who\@openid.example'"), $made, '... ' . ($made ? 'a user from then on' : 'no user'));
}

is_deeply([$httpd->complaints('[auth_openidc:', 'AH01631')], [], 'the log has what was to be');
done_testing;
