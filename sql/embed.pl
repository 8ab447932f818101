#!/usr/bin/perl
# Prints C that holds the files named on the command line, byte for byte, for orgsctl (include/orgs_sql_files.h).

use strict;
use warnings;

print "/* Made by sql/embed.pl from sql/: do not edit. */\n\n#include <stddef.h>\n\n#include \"orgs_sql_files.h\"\n\n",
    "const orgs_sql_file_t orgs_sql_files[] = {\n";

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
