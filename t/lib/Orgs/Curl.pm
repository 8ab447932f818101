# Requests by curl, for what Orgs::Test's own do not speak: TLS, HTTP/2.
#
#   my $r = curl(GET => 'https://127.0.0.1:8443/organizations', token => $ada, json => {...}, headers => {...},
#       with => ['--cert', 'file.pem']);    # as api's answer, and {version}; {failed}: what curl said where none came
package Orgs::Curl;

use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use JSON::PP ();
use Orgs::Test ();

our @EXPORT = qw(curl);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub curl {
    my ($method, $url, %options) = @_;
    my ($head, $out, $err, $in) = map { File::Temp->new } 1 .. 4;
    my %headers = %{$options{headers} || {}};
    my $body = exists $options{json} ? $json->encode($options{json}) : $options{body};
    $headers{Authorization} = 'Bearer ' . (ref $options{token} ? $options{token}{token} : $options{token}) if defined $options{token};
    $headers{'Content-Type'} //= 'application/json' if defined $body;
    print $in $body // '';
    $in->flush;
    my @arguments = ('-q', '-sS', '--noproxy', '*', '--max-time', 60, '-D', $head->filename, '-o', $out->filename, $method eq 'HEAD' ? '-I' : ('-X', $method),
        (map { ('-H', "$_: $headers{$_}") } sort keys %headers), defined $body ? ('--data-binary', '@' . $in->filename) : (), @{$options{with} || []}, $url);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>', $err->filename or die;
        exec 'curl', @arguments or die "curl: $!";
    }
    waitpid $pid, 0;
    my $status = $? >> 8;
    my ($fields, $content, $said) = map { local $/; open my $fh, '<:raw', $_->filename or die; scalar <$fh> // '' } $head, $out, $err;
    # of several, such as 100 and 101, the last
    my ($version, $code, $lines) = (split /(?<=\r\n\r\n)(?=HTTP)/, $fields)[-1] =~ m{\AHTTP/(\S+) (\d{3})[^\r\n]*\r\n(.*?)\r\n\z}s if $fields ne '';
    return {method => $method, status => $code // 0, version => $version, headers => Orgs::Test::headers_of($lines // ''), body => $content,
        json => scalar(eval { $json->decode($content) }), $status ? (failed => "$status: $said") : ()};
}

1;
