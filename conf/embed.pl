#!/usr/bin/perl
# embed.pl NAME FILE...: prints C that holds the files, byte for byte, as the array NAME (include/orgs_files.h).

use strict;
use warnings;

my $array = shift;
print "/* Made by conf/embed.pl: do not edit. */\n\n#include <stddef.h>\n\n#include \"orgs_files.h\"\n\n",
    "const orgs_file_t ${array}[] = {\n";

for my $path (@ARGV) {
    open my $file, '<:raw', $path or die "$path: $!\n";
    my $text = do { local $/; <$file> } // '';
    die "$path: a NUL byte, which a C string cannot hold\n" if $text =~ /\0/;

    # '?' is escaped for the sake of trigraphs; octal escapes have three digits, so that no digit after one joins it.
    $text =~ s/([\\"?])/\\$1/g;
    $text =~ s/([^\x20-\x7e\n])/sprintf '\\%03o', ord $1/ge;
    $text =~ s/\n/\\n"\n     "/g;

    my ($name) = $path =~ m{([^/]+)\z};
    print qq(    {"$name",\n     "$text"},\n);
}

print "    {NULL, NULL}\n};\n";
