# Plots as SVG, with nothing but text.
#
#   bars('title', {title => ..., groups => [{name => ..., bars => [[name, value, label, whether it is a limit], ...]}, ...]}, ...): a limit's
#       bar ends where it leaves the picture
#   lines('title', {title => ..., x => 'what', y => 'what', lines => [{name => ..., points => [[x, y], ...]}]}, ...)   # both axes logarithmic
package Orgs::Bench::Plot;
use strict;
use warnings;

my %COLOUR = (mod_orgs => '#c0392b', L1 => '#b0b0b0', plain => '#b0b0b0', Go => '#2e86c1', PHP => '#7d6fb2');
my @COLOURS = ('#c0392b', '#2e86c1', '#7d6fb2', '#27ae60', '#b9770e');

sub escaped { my ($text) = @_; my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;'); return $text =~ s/([&<>])/$entity{$1}/gr }

sub words {
    my ($x, $y, $text, %options) = @_;
    return sprintf "<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", $x, $y, join('', map { " $_=\"$options{$_}\"" } sort keys %options), escaped($text);
}

sub page {
    my ($width, $height, $title, $content) = @_;
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"$width\" height=\"$height\" viewBox=\"0 0 $width $height\" font-family=\"sans-serif\" font-size=\"12\">\n"
        . "<rect width=\"$width\" height=\"$height\" fill=\"white\"/>\n" . words(20, 28, $title, 'font-size' => 18) . $content . "</svg>\n";
}

sub bars {
    my ($title, @panels) = @_;
    my ($content, $y, $width) = ('', 50, 860);
    for my $panel (@panels) {
        my @bars = map { @{$_->{bars}} } @{$panel->{groups}};
        my @shown = grep { !$_->[3] } @bars;
        my ($most) = sort { $b <=> $a } 1e-9, map { $_->[1] } @shown ? @shown : @bars;
        $content .= words(20, $y + 12, $panel->{title}, 'font-weight' => 'bold');
        $y += 22;
        for my $group (@{$panel->{groups}}) {
            $content .= words(20, $y + 12, $group->{name}, fill => '#555');
            for my $bar (@{$group->{bars}}) {
                my ($name, $value, $label) = @$bar;
                my $length = 400 * $value / $most;
                ($length, $label) = (430, "\x{2192} $label") if $length > 430;
                $content .= words(200, $y + 12, $name, 'text-anchor' => 'end') . sprintf("<rect x=\"208\" y=\"%d\" width=\"%.1f\" height=\"14\" fill=\"%s\"/>\n", $y + 1, $length, $COLOUR{$name} // '#888')
                    . words(214 + $length, $y + 12, $label, fill => '#333');
                $y += 18;
            }
            $y += 6;
        }
        $y += 12;
    }
    return page($width, $y, $title, $content);
}

sub logarithm { return log($_[0]) / log 10 }

# The axes' ends: whole powers of ten.
sub range {
    my @sorted = sort { $a <=> $b } grep { $_ > 0 } @_;
    return (0, 1) if !@sorted;
    my ($low, $high) = (POSIX::floor(logarithm($sorted[0])), POSIX::ceil(logarithm($sorted[-1])));
    return ($low, $high > $low ? $high : $low + 1);
}

sub short { my ($n) = @_; return $n >= 1e6 ? $n / 1e6 . 'M' : $n >= 1e3 ? $n / 1e3 . 'k' : "$n" }

sub lines {
    my ($title, @panels) = @_;
    require POSIX;
    my ($content, $top, $width, $height) = ('', 50, 860, 260);
    for my $panel (@panels) {
        my @points = map { @{$_->{points}} } @{$panel->{lines}};
        my ($x0, $x1) = range(map { $_->[0] } @points);
        my ($y0, $y1) = range(map { $_->[1] } @points);
        my $at = sub { my ($x, $y) = @_; return (70 + 520 * (logarithm($x) - $x0) / ($x1 - $x0), $top + 30 + ($height - 80) * (1 - (logarithm($y) - $y0) / ($y1 - $y0))) };
        $content .= words(20, $top + 12, "$panel->{title}: $panel->{y} against $panel->{x}", 'font-weight' => 'bold');
        for my $power ($x0 .. $x1) {
            my ($x, $y) = $at->(10**$power, 10**$y0);
            $content .= sprintf("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", $x, $x, $top + 30, $y) . words($x, $y + 16, short(10**$power), 'text-anchor' => 'middle');
        }
        for my $power ($y0 .. $y1) {
            my ($x, $y) = $at->(10**$x0, 10**$power);
            $content .= sprintf("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", $x, $x + 520, $y, $y) . words($x - 6, $y + 4, short(10**$power), 'text-anchor' => 'end');
        }
        my $n = 0;
        for my $line (@{$panel->{lines}}) {
            my $colour = $COLOURS[$n++ % @COLOURS];
            my @places = map { [$at->(@$_)] } grep { $_->[1] > 0 } @{$line->{points}};
            $content .= sprintf "<polyline fill=\"none\" stroke=\"$colour\" stroke-width=\"2\" points=\"%s\"/>\n", join ' ', map { sprintf '%.1f,%.1f', @$_ } @places;
            $content .= sprintf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"$colour\"/>\n", @$_ for @places;
            $content .= sprintf("<rect x=\"610\" y=\"%d\" width=\"12\" height=\"12\" fill=\"$colour\"/>\n", $top + 20 + 20 * $n) . words(630, $top + 31 + 20 * $n, $line->{name});
        }
        $top += $height;
    }
    return page($width, $top, $title, $content);
}

1;
