# An OpenID provider of a test's own (OpenID Connect Core 1.0, the authorization code flow), whose people log in by
# saying who they are; and a browser that does what it is told.
#
#   my $provider = Orgs::OpenId->start(bob => {sub => '1', email => '...', email_verified => JSON::PP::true()}, ...);
#   $provider->{issuer}; $provider->{client}; $provider->{secret};
#   my ($cookies, $r) = $provider->login('bob', sub { my ($path, %headers) = @_; ... }, '/page');
#       # the sub asks httpd; its cookies after that, and the last answer
#   bob => {..., forged => 1}: an id token signed by another key
package Orgs::OpenId;

use strict;
use warnings;

use Digest::SHA ();
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Orgs::Certificates ();
use Orgs::Test ();
use Orgs::Web ();

my $json = JSON::PP->new->utf8->canonical;

sub start {
    my ($class, %people) = @_;
    my $keys = File::Temp->newdir(DIR => Orgs::Test::top() . '/run');
    Orgs::Certificates::openssl('genrsa', '-out', "$keys/$_.key", 2048) for qw(right wrong);
    my ($modulus) = Orgs::Certificates::openssl('rsa', '-in', "$keys/right.key", '-noout', '-modulus') =~ /Modulus=([0-9A-F]+)/ or die "no modulus\n";
    my $self = bless {client => 'orgs', secret => 'the client\'s secret', keys => $keys, key => encode_base64url(pack 'H*', $modulus), people => \%people, codes => {}}, $class;
    $self->{web} = Orgs::Web->start(sub { my ($request) = @_; return $self->answer($request) });
    $self->{issuer} = $self->{web}->url('');
    return $self;
}

sub told { my ($status, $data) = @_; return [$status, ['Content-Type' => 'application/json', 'Cache-Control' => 'no-store'], $json->encode($data)] }

sub parameters {
    my ($text) = @_;
    return map { my ($name, $value) = split /=/, $_, 2; $value =~ tr/+/ /; $name => $value =~ s/%([0-9a-fA-F]{2})/chr hex $1/ger } split /&/, $text;
}

# Its side, in the process of its server.
sub answer {
    my ($self, $request) = @_;
    my $path = $request->{path};
    # its own address is in the request, since it began before it was known
    my $issuer = "http://$request->{headers}{host}";
    return told(200, {issuer => $issuer, authorization_endpoint => "$issuer/authorize", token_endpoint => "$issuer/token", jwks_uri => "$issuer/keys",
        response_types_supported => ['code'], subject_types_supported => ['public'], id_token_signing_alg_values_supported => ['RS256'],
        token_endpoint_auth_methods_supported => ['client_secret_basic']}) if $path eq '/.well-known/openid-configuration';
    return told(200, {keys => [{kty => 'RSA', use => 'sig', alg => 'RS256', kid => '1', n => $self->{key}, e => 'AQAB'}]}) if $path eq '/keys';
    if ($path eq '/authorize') {
        my %asked = parameters($request->{query});
        my $code = encode_base64url(Digest::SHA::sha256(join "\0", time, rand));
        $self->{codes}{$code} = {who => $asked{login}, nonce => $asked{nonce}, client => $asked{client_id}, redirect => $asked{redirect_uri}};
        return [302, [Location => "$asked{redirect_uri}?code=$code&state=$asked{state}"], ''];
    }
    if ($path eq '/token') {
        my %asked = parameters($request->{body});
        my $code = delete $self->{codes}{$asked{code} // ''};
        my ($who) = ($request->{headers}{authorization} // '') =~ /^Basic (.*)$/;
        # either part is form-encoded (RFC 6749, 2.3.1)
        my $secret = {parameters('x=' . ((split /:/, MIME::Base64::decode_base64($who // ''), 2)[1] // ''))}->{x};
        return told(400, {error => 'invalid_grant'}) if !$code || $code->{redirect} ne $asked{redirect_uri} || $secret ne $self->{secret};
        return told(200, {access_token => 'of-no-use', token_type => 'Bearer', expires_in => 300, id_token => $self->id_token($issuer, $code)});
    }
    return told(404, {});
}

sub id_token {
    my ($self, $issuer, $code) = @_;
    my %claims = %{$self->{people}{$code->{who}}};
    my $key = delete $claims{forged} ? 'wrong' : 'right';
    my $signed = join '.', map { encode_base64url($json->encode($_)) } {alg => 'RS256', typ => 'JWT', kid => '1'},
        {%claims, iss => $issuer, aud => $code->{client}, nonce => $code->{nonce}, iat => time, exp => time + 300};
    my $file = File::Temp->new;
    print $file $signed;
    $file->flush;
    open my $out, '-|', 'openssl', 'dgst', '-sha256', '-sign', "$self->{keys}/$key.key", '-binary', $file->filename or die "openssl: $!";
    binmode $out;
    local $/;
    return "$signed." . encode_base64url(scalar <$out>);
}

# The browser's side.
sub login {
    my ($self, $who, $ask, $page) = @_;
    my (%cookies, $r);
    my $get = sub {
        $r = $ask->($_[0], Accept => 'text/html', Cookie => join '; ', map { "$_=$cookies{$_}" } sort keys %cookies);
        $cookies{$1} = $2 while ($r->{headers}{'set-cookie'} // '') =~ /(?:^|, )(mod_auth_openidc_[^=]+)=([^;]*)/g;
        return $r->{headers}{location} // '';
    };
    my $there = $get->($page);
    return (\%cookies, $r) if index($there, "$self->{issuer}/authorize?") != 0;
    my $back = Orgs::Test::api(GET => '', url => "$there&login=$who")->{headers}{location};
    $there = $get->($back =~ s{^http://[^/]+}{}r);
    $get->($there =~ s{^http://[^/]+}{}r) if $there ne '';
    return (\%cookies, $r);
}

1;
