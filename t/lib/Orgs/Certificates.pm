# Certificates of a test's own, in a directory: NAME.pem and NAME.key.
#
#   my $certificates = Orgs::Certificates->new($directory);
#   $certificates->own('ca');                                              # signed by itself
#   $certificates->own('self', 'IP:127.0.0.1');                            # ... with names
#   $certificates->issue('good', 'ca', 'IP:127.0.0.1,DNS:localhost', 0);   # by ca; the days that it is valid (2; 0: not any more)
package Orgs::Certificates;

use strict;
use warnings;

my @key = qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes);

sub openssl {
    my (@arguments) = @_;
    open my $out, '-|', 'openssl ' . join(' ', map { "'$_'" } @arguments) . ' 2>&1' or die "openssl: $!";
    my $said = do { local $/; <$out> } // '';
    close $out or die "openssl @arguments: $said";
    return $said;
}

sub new {
    my ($class, $directory) = @_;
    mkdir $directory or die "$directory: $!" if !-d $directory;
    return bless {directory => $directory}, $class;
}

sub own {
    my ($self, $name, $names) = @_;
    openssl('req', '-x509', @key, '-days', 2, '-subj', "/CN=$name", $names ? ('-addext', "subjectAltName=$names") : (),
        '-keyout', "$self->{directory}/$name.key", '-out', "$self->{directory}/$name.pem");
}

sub issue {
    my ($self, $name, $authority, $names, $days) = @_;
    my $here = $self->{directory};
    openssl('req', @key, '-subj', "/CN=$name", '-keyout', "$here/$name.key", '-out', "$here/$name.csr");
    open my $out, '>', "$here/$name.ext" or die "$name.ext: $!";
    print $out "subjectAltName=$names\n" if defined $names;
    close $out;
    openssl('x509', '-req', '-in', "$here/$name.csr", '-CA', "$here/$authority.pem", '-CAkey', "$here/$authority.key", '-CAcreateserial',
        '-days', $days // 2, '-extfile', "$here/$name.ext", '-out', "$here/$name.pem");
}

1;
