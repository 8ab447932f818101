# httpd under valgrind's memcheck, and what it says of each process.
#
#   my $valgrind = Orgs::Valgrind->new;
#   my $httpd = Orgs::Httpd->start($configuration, under => $valgrind->command);
#   $httpd->stop;
#   for my $process ($valgrind->processes) {   # {pid, errors, lost, text}; errors: undef if it was killed
#       ...
#   }
package Orgs::Valgrind;

use strict;
use warnings;

my $top = $ENV{ORGS_TEST_TOP} or die "run this by t/run\n";
my $number = 0;

sub new {
    my ($class) = @_;
    my $directory = "$top/run/valgrind-$$-" . ++$number;
    mkdir $directory or die "$directory: $!";
    return bless {directory => $directory}, $class;
}

# A leak is counted by its bytes, not as an error besides. glibc is not asked to free what is its own after exit(): it
# unloads the libraries then, which httpd's processes do not, and what these had kept for good would seem lost: 208 bytes
# of mysql_library_init in a process of event.
sub command {
    my ($self) = @_;
    return ['valgrind', '--tool=memcheck', '--trace-children=yes', '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=none',
        '--run-libc-freeres=no', '--num-callers=40', '--fair-sched=try', "--log-file=$self->{directory}/%p"];
}

sub processes {
    my ($self) = @_;
    return map {
        open my $in, '<', $_ or die "$_: $!";
        my $text = do { local $/; <$in> } // '';
        # a process that was killed, or fell, has no summary; one that has freed all names no leaks
        my ($errors) = $text =~ /^==\d+== ERROR SUMMARY: (\d+) errors/m;
        my ($lost) = $text =~ /^==\d+== +definitely lost: ([\d,]+) bytes/m;
        {pid => m{(\d+)$}, errors => $errors, lost => ($lost // 0) =~ tr/,//dr, text => $text};
    } sort glob "$self->{directory}/*";
}

1;
