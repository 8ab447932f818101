# The configurations that the README recommends, word for word: what a test runs is what readers paste.
#
#   recipe('Static files', '/srv/tenants' => "$directory/tenants")   # the block below that heading, with places changed
#   recipe('Static files', 2)                                        # its second block
#   recipe_modules('WebDAV')                                         # what a2enmod enables for it, as it says
#
# A place that is not in the block is a mistake: the README has changed.
package Orgs::Recipe;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(recipe recipe_modules);

my $top = $ENV{ORGS_TEST_TOP} or die "run this by t/run\n";
my (%blocks, %modules);

sub blocks {
    open my $in, '<', "$top/README.md" or die "README.md: $!";
    my ($heading, $language, $prose) = ('', undef, '');
    while (my $line = <$in>) {
        if (defined $language) {
            if ($line =~ /^```$/) {
                undef $language;
            }
            elsif ($language eq 'apache') {
                $blocks{$heading}[-1] .= $line;
            }
        }
        elsif ($line =~ /^```(\w*)/) {
            $language = $1;
            if ($language eq 'apache') {
                push @{$blocks{$heading}}, '';
                push @{$modules{$heading}}, [$prose =~ /`a2enmod\s+([^`]+)`/ ? split ' ', $1 : ()];
                $prose = '';
            }
        }
        elsif ($line =~ /^#+ (.*)$/) {
            ($heading, $prose) = ($1, '');
        }
        else {
            $prose .= $line;
        }
    }
}

sub recipe_modules {
    my ($heading, $number) = @_;
    blocks() if !%blocks;
    return @{($modules{$heading} || [])->[($number // 1) - 1] || []};
}

sub recipe {
    my ($heading, @places) = @_;
    my $number = @places % 2 ? shift @places : 1;
    blocks() if !%blocks;
    my $text = ($blocks{$heading} || [])->[$number - 1] // die "the README has no block $number of apache below '$heading'\n";
    while (my ($from, $to) = splice @places, 0, 2) {
        $text =~ s/\Q$from\E/$to/g or die "'$from' is not in the README's '$heading'\n";
    }
    return $text;
}

1;
