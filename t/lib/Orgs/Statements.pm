# Every statement there is, as text: those of include/orgs_sql.h, and those inside the procedures of sql/.
#
#   statements()             # {name, text, params} each, as the preprocessor gives them
#   procedure_statements()   # {name of the procedure, text, types => {variable => type}} each: what reads a table
package Orgs::Statements;
use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(statements procedure_statements);

my $top = $ENV{ORGS_TEST_TOP} // '.';

sub statements {
    my $source = "$top/run/statements-$$.c";
    open my $out, '>', $source or die "$source: $!";
    print $out "#include \"orgs_sql.h\"\n#define X(symbol, columns, params, text) STATEMENT #symbol (params) text;\nORGS_STATEMENTS(X)\n";
    close $out;
    my $text = `\${CC:-cc} -E -P -I'$top/include' '$source'`;
    die "the preprocessor failed\n" if $?;
    unlink $source;
    my @statements;
    while ($text =~ /STATEMENT "(\w+)" \(([\d *]+)\) ((?:"(?:[^"\\]|\\.)*"\s*)+);/g) {
        my ($name, $params, $strings) = ($1, eval $2, $3);
        push @statements, {name => $name, params => $params, text => join '', $strings =~ /"((?:[^"\\]|\\.)*)"/g};
    }
    return @statements;
}

# What stands before a statement: labels, blocks, conditions. A condition that asks a table is a statement, too.
sub unwrapped {
    my ($piece) = @_;
    my @found;
    while ($piece =~ s/\A\s*(?:(?:\w+\s*:\s*)?(?:BEGIN|LOOP|REPEAT|ELSE)\b|DECLARE\s+\w+\s+HANDLER\s+FOR\s+\w+|DECLARE\s+\w+\s+CURSOR\s+FOR|(?:ELSE)?IF\s+(.*?)\s+THEN\b|(?:\w+\s*:\s*)?WHILE\s+(.*?)\s+DO\b)//s) {
        my ($condition) = grep { defined } $1, $2;
        push @found, "SELECT $condition" if ($condition // '') =~ /\bSELECT\b/;
    }
    if ($piece =~ /\A\s*(?:SELECT|UPDATE|DELETE|INSERT)\b/) { push @found, $piece }
    elsif ($piece =~ /\A\s*(?:SET|RETURN|UNTIL)\b(.*\bSELECT\b.*)/s) { push @found, "SELECT $1" }
    return @found;
}

sub procedure_statements {
    my @statements;
    for my $file (sort glob "$top/sql/procedures_*.sql") {
        open my $in, '<', $file or die "$file: $!";
        my $all = do { local $/; <$in> } =~ s/--[^\n]*//gr;
        while ($all =~ /CREATE (?:PROCEDURE|FUNCTION) (\w+)\((.*?)\n?BEGIN\b(.*?)END\$\$/gs) {
            my ($name, $head, $body) = ($1, $2, $3);
            my %types = "$head\n$body" =~ /\b((?:p|v)_\w+)\s+((?:BIG|MEDIUM|SMALL|TINY)?INT|\w+(?:\(\d+\))?)/g;
            my %declared = $body =~ /DECLARE\s+(v_\w+)\s+(\w+(?:\(\d+\))?)/g;
            my %given = $head =~ /\b(?:IN|OUT)\s+(p_\w+)\s+(\w+(?:\(\d+\))?)/g;
            for my $piece (split /;/, $body) {
                for my $text (unwrapped($piece)) {
                    # without a table it asks nobody
                    next if $text !~ /\b(?:FROM|UPDATE|JOIN)\s+\w/;
                    $text =~ s/\bINTO\s+[pv]_\w+(?:\s*,\s*[pv]_\w+)*//g;
                    $text =~ s/\s+/ /g;
                    push @statements, {name => $name, text => $text =~ s/\A | \z//gr, types => {%types, %declared, %given}};
                }
            }
        }
    }
    return @statements;
}

1;
