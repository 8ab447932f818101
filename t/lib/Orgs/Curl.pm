# Requests by curl and nghttp, for what Orgs::Test's own do not speak: TLS, HTTP/2.
#
#   my $r = curl(GET => 'https://127.0.0.1:8443/organizations', token => $ada, json => {...}, headers => {...},
#       with => ['--cert', 'file.pem']);    # as api's answer, and {version}; {failed}: what curl said where none came
#       # undecoded => 1: a long body needs no {json}
#   $r = nghttp(POST => $url, ...);         # by HTTP/2; {reset}: with which error the server ended the stream, if so
#
# A server may answer before a request's body is whole, and then tell the client to send no more of it (RST_STREAM,
# NO_ERROR; RFC 9113, 8.1). curl 7.88 throws the answer away then; nghttp does not.
package Orgs::Curl;

use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use JSON::PP ();
use Orgs::Test ();

our @EXPORT = qw(curl nghttp);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# The headers, and a file with the body or undef.
sub prepared {
    my (%options) = @_;
    my %headers = %{$options{headers} || {}};
    my $body = exists $options{json} ? $json->encode($options{json}) : $options{body};
    $headers{Authorization} = 'Bearer ' . (ref $options{token} ? $options{token}{token} : $options{token}) if defined $options{token};
    return (\%headers, undef) if !defined $body;
    $headers{'Content-Type'} //= 'application/json';
    my $file = File::Temp->new;
    print $file $body;
    $file->flush;
    return (\%headers, $file);
}

sub curl {
    my ($method, $url, %options) = @_;
    my ($head, $out, $err) = map { File::Temp->new } 1 .. 3;
    my ($headers, $in) = prepared(%options);
    my @arguments = ('-q', '-sS', '--noproxy', '*', '--max-time', 60, '-D', $head->filename, '-o', $out->filename, $method eq 'HEAD' ? '-I' : ('-X', $method),
        (map { ('-H', "$_: $headers->{$_}") } sort keys %$headers), $in ? ('--data-binary', '@' . $in->filename) : (), @{$options{with} || []}, $url);
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
        json => $options{undecoded} ? undef : scalar(eval { $json->decode($content) }), $status ? (failed => "$status: $said") : ()};
}

sub nghttp {
    my ($method, $url, %options) = @_;
    my ($headers, $in) = prepared(%options);
    my $host = delete $headers->{Host};
    my @arguments = ('nghttp', '-v', '-t', '60', '-H', ":method: $method", $host ? ('-H', ":authority: $host") : (), (map { ('-H', lc($_) . ": $headers->{$_}") } sort keys %$headers),
        $in ? ('-d', $in->filename) : (), $url);
    my $said = File::Temp->new;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $said->filename or die;
        open STDERR, '>&', \*STDOUT or die;
        exec @arguments or die "nghttp: $!";
    }
    waitpid $pid, 0;
    my $text = do { local $/; open my $fh, '<:raw', $said->filename or die; scalar <$fh> // '' };
    my ($reset) = $text =~ /recv RST_STREAM frame <[^>]*>\n\s*\(error_code=(\w+)/;
    my $head = join '', map { "$_\r\n" } $text =~ /recv \(stream_id=\d+\) ([^:\n][^\n]*)/g;
    my ($status) = $text =~ /recv \(stream_id=\d+\) :status: (\d{3})/;
    # what is left when all that is told of frames is gone
    my ($body) = $text =~ s/\[ *\d+\.\d{3}\] (?:recv|send|Connected|The negotiated)[^\n]*\n(?: {10}[^\n]*\n)*//gr =~ /\A(?:[^\n]*(?:WARNING|protocol)[^\n]*\n)*(.*)\z/s;
    return {method => $method, status => $status // 0, version => '2', headers => Orgs::Test::headers_of($head), body => $body, reset => $reset,
        json => $options{undecoded} ? undef : scalar(eval { $json->decode($body) }), defined $status ? () : (failed => $text)};
}

1;
