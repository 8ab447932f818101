# Contract 2, 3 and 6: what strings give. Names, descriptions, emails, ids, and what orgsctl is given.
use Orgs::Test;
use Orgs::Story;
use Encode qw(encode_utf8);

my $ada = user('ada');
my $json = JSON::PP->new->utf8->allow_nonref;

# As it can be shown: what is not ASCII by its code, long ones shortened.
sub shown {
    my ($text) = @_;
    $text = $$text if ref $text;
    my $shown = join '', map { ord($_) > 0x7e || ord($_) < 0x20 ? sprintf '\x{%x}', ord : $_ } split //, $text;
    return length $shown > 60 ? substr($shown, 0, 40) . '... (' . length($text) . ')' : $shown;
}

# A JSON text: of a reference the bytes as they are.
sub literal { ref $_[0] ? ${$_[0]} : $json->encode($_[0]) }

# The bytes of a text in hexadecimal.
sub hex_of { defined $_[0] ? uc unpack 'H*', encode_utf8($_[0]) : undef }

my ($MALFORMED, $CONTROL, $EMPTY, $LONG) = map { \(my $x = $_) } 'malformed', 'control', 'empty', 'long';
my $strings = 0;

# --- names -------------------------------------------------------------------------------------------------------------

# [string (a reference: the bytes of the JSON text), what is stored, or why it is refused; undef: as it was given]
my @names = (
    # as they are
    ['a'],
    ['Acme'],
    ['acme'],
    ['ACME Ltd. & Co. <b>"x"</b>'],
    ["'; DROP TABLE organizations; --"],
    ['%s%n%d \\ \\\\ ` $HOME ${x} %{x}'],
    ["\x{e9}"],                                  # NFC
    ["e\x{301}"],                                # NFD, another string
    ["\x{c5}ngstr\x{f6}m"],
    ["\x{212b}ngstr\x{f6}m"],                    # the sign, which NFC would fold
    ["stra\x{df}e"],
    ["\x{ff21}\x{ff43}\x{ff4d}\x{ff45}"],        # full width
    ["\x{fb01}n"],                               # a ligature
    ["\x{130}\x{131}"],                          # dotted and dotless i
    ["\x{65e5}\x{672c}\x{8a9e}"],
    ["\x{5e9}\x{5dc}\x{5d5}\x{5dd}"],            # right to left by itself
    ["\x{645}\x{631}\x{62d}\x{628}\x{627}"],
    ["\x{1f600}"],
    ["\x{1f468}\x{200d}\x{1f469}\x{200d}\x{1f467}"],    # joined
    ["\x{1f1e9}\x{1f1ea}"],                      # a flag
    ["1\x{fe0f}\x{20e3}"],
    ["z\x{335}\x{321}\x{362}a\x{300}\x{301}\x{302}"],
    ["\x{10ffff}"],
    ["\x{ffff}"],
    ["\x{fffd}"],
    ["\x{e000}"],
    ["a\x{200b}b"],                              # of no width, and no white space
    ["\x{200b}"],
    ["a\x{ad}b"],
    ["\x{feff}a"],                               # in a string it is no byte-order mark
    ["a\x{2060}b"],
    ["a\x{a0}b"],                                # white space within stays
    ["a\x{3000}b"],
    ["a  b"],
    ["a\x{202f}b\x{2003}c"],
    ["null"],
    ["-1"],
    ["a\x{180e}b"],                              # was white space once
    # trimmed
    [' a', 'a'],
    ['a ', 'a'],
    ["  a  b  ", 'a  b'],
    ["\ta\n", 'a'],
    ["\r\n a \x0b\x0c", 'a'],
    ["\x{a0}a\x{a0}", 'a'],
    ["\x{3000}\x{65e5}\x{3000}", "\x{65e5}"],
    ["\x{85}a\x{85}", 'a'],
    ["\x{2028}a\x{2029}", 'a'],
    ["\x{1680}\x{2000}\x{2001}\x{2002}\x{2003}\x{2004}\x{2005}a\x{2006}\x{2007}\x{2008}\x{2009}\x{200a}\x{202f}\x{205f}", 'a'],
    ["\x{200b} a", "\x{200b} a"],
    [" \x{301}a", "\x{301}a"],
    # empty
    ['', $EMPTY],
    [' ', $EMPTY],
    ["\t\n\r ", $EMPTY],
    ["\x{a0}\x{3000}\x{2028}", $EMPTY],
    # controls
    ["a\nb", $CONTROL],
    ["a\tb", $CONTROL],
    ["a\rb", $CONTROL],
    ["a\x{1}b", $CONTROL],
    ["\x{1b}[31m", $CONTROL],
    ["a\x{1f}", $CONTROL],
    ["\x{8}a", $CONTROL],
    ["a\x{7f}", $CONTROL],
    ["a\x{80}b", $CONTROL],
    ["a\x{85}b", $CONTROL],
    ["a\x{9b}b", $CONTROL],
    ["a\x{9f}", $CONTROL],
    ["a\x{2028}b", $CONTROL],
    ["a\x{2029}b", $CONTROL],
    (map { ["a" . chr($_) . 'b', $CONTROL] } 0x61c, 0x200e, 0x200f, 0x202a .. 0x202e, 0x2066 .. 0x2069),
    ["\x{202e}a", $CONTROL],
    ["a\x{200e}", $CONTROL],
    # lengths, in code points after trimming
    ['x' x 200],
    ['x' x 201, $LONG],
    ["\x{e9}" x 200],
    ["\x{e9}" x 201, $LONG],
    ["\x{65e5}" x 200],
    ["\x{65e5}" x 201, $LONG],
    ["\x{1f600}" x 200],
    ["\x{1f600}" x 201, $LONG],
    ["e\x{301}" x 100],
    ["e\x{301}" x 100 . 'e', $LONG],
    [' ' x 100 . 'x' x 200 . "\x{3000}" x 100, 'x' x 200],
    ['x' x 199 . ' x', $LONG],
    ['x' x 5000, $LONG],
    [' ' x 5000 . 'x', 'x'],
    # escapes
    [\'"\u0041\u00e9"', "A\x{e9}"],
    [\'"\ud83d\ude00"', "\x{1f600}"],
    [\'"\uDBFF\uDFFF"', "\x{10ffff}"],
    [\'"\"\\\\\/"', '"\\/'],
    [\'"\u0020a\u3000"', 'a'],
    [\'"a\u0009b"', $CONTROL],
    [\'"a\u202eb"', $CONTROL],
    [\('"' . '\ud83d\ude00' x 200 . '"'), "\x{1f600}" x 200],
    [\('"' . '\ud83d\ude00' x 201 . '"'), $LONG],
    [\('"' . '\u00e9' x 201 . '"'), $LONG],
    # no JSON text
    [\'"a\u0000b"', $MALFORMED],
    [\'"\u0000"', $MALFORMED],
    [\'"\ud800"', $MALFORMED],
    [\'"\udc00"', $MALFORMED],
    [\'"\ude00\ud83d"', $MALFORMED],
    [\'"\ud83d\ud83d"', $MALFORMED],
    [\'"\ud83d x"', $MALFORMED],
    [\'"\u12"', $MALFORMED],
    [\'"\x41"', $MALFORMED],
    [\'"\a"', $MALFORMED],
    [\"\"a\nb\"", $MALFORMED],
    [\"\"a\tb\"", $MALFORMED],
    [\"\"a\0b\"", $MALFORMED],
    [\"\"\x1f\"", $MALFORMED],
    [\"\"\xff\"", $MALFORMED],
    [\"\"caf\xe9\"", $MALFORMED],                # Latin-1
    [\"\"\xc0\x80\"", $MALFORMED],               # overlong
    [\"\"\xe0\x80\xaf\"", $MALFORMED],
    [\"\"\xed\xa0\xbd\xed\xb8\x80\"", $MALFORMED],    # surrogates in UTF-8
    [\"\"\xf5\x80\x80\x80\"", $MALFORMED],
    [\"\"\xf4\x90\x80\x80\"", $MALFORMED],       # beyond U+10FFFF
    [\"\"\xe6\x97\"", $MALFORMED],               # cut
    [\"'a'", $MALFORMED],
    [\'"a', $MALFORMED],
);

# An answer to a string that is refused.
sub refused {
    my ($r, $why, $pointer, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    if ($why == $MALFORMED) {
        problem($r, 400, 'malformed_json', "$what is no JSON text") or return;
        unlike($r->{body}, qr/near|caf|\\u/, "$what: the input is not quoted");
        return;
    }
    problem($r, 422, 'invalid_input', "$what is refused: $$why") or return;
    is_deeply([map { $_->{pointer} // 'none' } @{$r->{json}{errors}}], [$pointer], "$what: errors") or diag($r->{body});
    my %detail = (control => qr/control/, empty => qr/empty|missing/, long => qr/long/);
    like($r->{json}{errors}[0]{detail}, $detail{$$why}, "$what: why");
    return;
}

for my $row (@names) {
    my ($string, $stored) = @$row;
    my $what = 'name "' . shown($string) . '"';
    $strings++;
    my $r = api(POST => '', token => $ada, body => '{"name":' . literal($string) . '}');
    if (ref $stored) {
        refused($r, $stored, '/name', $what);
        next;
    }
    $stored //= $string;
    answers($r, 201, $what) or next;
    is(hex_of($r->{json}{name}), hex_of($stored), "$what: what is answered");
    is(ask_value('SELECT HEX(name) FROM organizations WHERE id = ' . id_in_sql($r->{json}{id})), hex_of($stored), "$what: what is stored");
    is(api(GET => $r->{json}{id}, token => $ada)->{body}, $r->{body}, "$what: what is read");
}

# --- descriptions ----------------------------------------------------------------------------------------------------------

my $organization = organization($ada, name => 'Described', description => 'x');

# what is stored undef: as given; '': null
my @descriptions = (
    ["line 1\nline 2\r\n\tline 3"],
    ["a\tb"],
    ["\x{1f600}\n\x{e9}"],
    ["\n\n a \n\n", 'a'],
    ["\x{3000}a\x{3000}", 'a'],
    ['', ''],
    [' ', ''],
    ["\n\t\r", ''],
    ["\x{2028}", ''],
    ["a\x{b}b", $CONTROL],
    ["a\x{c}b", $CONTROL],
    ["a\x{1b}b", $CONTROL],
    ["a\x{7f}b", $CONTROL],
    ["a\x{85}b", $CONTROL],
    ["a\x{2028}b", $CONTROL],
    ["a\n\x{202e}b", $CONTROL],
    ["a\x{2069}\n", $CONTROL],
    ['x' x 4000],
    ['x' x 4001, $LONG],
    ["\x{1f600}" x 4000],
    ["\x{1f600}" x 4001, $LONG],
    ["\x{65e5}\n" x 2000, "\x{65e5}\n" x 1999 . "\x{65e5}"],
    ["\n" x 3000 . 'x' x 4000 . "\n" x 3000, 'x' x 4000],
    [\('"' . '\ud83d\ude00' x 4000 . '"'), "\x{1f600}" x 4000],
    [\'"\u0000"', $MALFORMED],
    [\'"\ud800"', $MALFORMED],
    [\"\"a\nb\"", $MALFORMED],
    [\"\"\xff\"", $MALFORMED],
);
for my $row (@descriptions) {
    my ($string, $stored) = @$row;
    my $what = 'description "' . shown($string) . '"';
    $strings++;
    my $r = api(PUT => $organization->{id}, token => $ada, body => '{"description":' . literal($string) . '}');
    if (ref $stored) {
        refused($r, $stored, '/description', $what);
        next;
    }
    $stored //= $string;
    $stored = undef if $stored eq '';
    answers($r, 200, $what) or next;
    is(hex_of($r->{json}{description}), hex_of($stored), "$what: what is answered");
    is(ask_value('SELECT HEX(description) FROM organizations WHERE id = ' . id_in_sql($organization->{id})), hex_of($stored), "$what: what is stored");
}
my $before = event_seq($organization);
answers(api(PUT => $organization->{id}, token => $ada, json => {name => "e\x{301}"}), 200, 'an accent');
answers(api(PUT => $organization->{id}, token => $ada, json => {name => "\x{e9}"}), 200, 'the same, composed');
answers(api(PUT => $organization->{id}, token => $ada, json => {name => "\x{c9}"}), 200, 'in upper case');
answers(api(PUT => $organization->{id}, token => $ada, json => {name => " \x{c9} "}), 200, 'and the same again, to be trimmed');
is(event_seq($organization), $before + 3, 'three of them are changes');

# --- emails ----------------------------------------------------------------------------------------------------------------

# Members, with emails as they are stored.
my %member;
for my $email ('bob@strings.example', "\x{e9}\@strings.example", "e\x{301}\@strings.example", "stra\x{df}e\@strings.example",
    "\x{ff42}ob\@strings.example", "o'brien+x\@strings.example", "\x{1f600}\@strings.example", "k\@strings.example",
    '"q"@strings.example', 'x@y', 'a' x 240 . '@strings.examp', "\x{e9}" x 120 . '@strings.examp') {
    $member{$email} = orgsctl('user', 'add', encode_utf8($email));
    enroll($organization, member => {id => $member{$email}});
}

# [string, the member it means; '' for a user who is not there; a reference: why it is refused]
my $BAD = \'bad';
my @emails = (
    (map { [$_, $_] } sort keys %member),
    ['BOB@STRINGS.EXAMPLE', 'bob@strings.example'],
    ['bOb@Strings.Example', 'bob@strings.example'],
    [' bob@strings.example', 'bob@strings.example'],
    ['bob@strings.example ', 'bob@strings.example'],
    ["\tbob\@strings.example\r\n", 'bob@strings.example'],
    ["\x{b}\x{c} bob\@strings.example \x{c}", 'bob@strings.example'],
    ["O'BRIEN+X\@strings.example", "o'brien+x\@strings.example"],
    ["STRA\x{df}E\@strings.example", "stra\x{df}e\@strings.example"],
    ["E\x{301}\@strings.example", "e\x{301}\@strings.example"],
    ['A' x 240 . '@STRINGS.EXAMP', 'a' x 240 . '@strings.examp'],
    # no folding beyond ASCII
    ["\x{c9}\@strings.example", ''],
    ['e@strings.example', ''],
    ["\x{1f600}\x{fe0f}\@strings.example", ''],
    ["\x{ff22}ob\@strings.example", ''],
    ["strasse\@strings.example", ''],
    ["\x{212a}\@strings.example", ''],              # the Kelvin sign
    ["bob\@str\x{131}ngs.example", ''],             # a dotless i
    ["bob\@str\x{130}ngs.example", ''],
    ['bob@strings.example.', ''],
    ['bob@strings', ''],
    ["b\x{43e}b\@strings.example", ''],             # a Cyrillic o
    ["bob\x{200b}\@strings.example", ''],
    ["bob\@strings.example\x{200d}", ''],
    ["\x{feff}bob\@strings.example", ''],
    ["bob\@strings.example\x{301}", ''],
    ['%@%', ''],
    ['_ob@strings.example', ''],
    ["'\@'", ''],
    ['a@b', ''],
    ["\x{65e5}\@\x{672c}", ''],
    ["a\@b\x{ff20}c", ''],                          # that one is no @
    ["\x{10ffff}\@\x{10ffff}", ''],
    # lengths, in bytes after trimming
    ['x' x 250 . '@abc', ''],
    ['x' x 251 . '@abc', $BAD],
    ["\x{e9}" x 125 . '@abc', ''],
    ["\x{e9}" x 125 . '@abcd', $BAD],
    ["\x{1f600}" x 62 . '@abcde', ''],
    ["\x{1f600}" x 62 . '@abcdef', $BAD],
    [' ' x 100 . 'a@b' . ' ' x 100, ''],
    ['a' x 254, $BAD],
    ['@b', $BAD],
    ['a@', $BAD],
    ['@', $BAD],
    ['', $BAD],
    ['   ', $BAD],
    ['ab', $BAD],
    ['abc', $BAD],
    ['@@@', $BAD],
    ['a@b@c', $BAD],
    ['@a@', $BAD],
    ["a\x{ff20}b", $BAD],
    # white space and controls
    ['bob @strings.example', $BAD],
    ['bob@ strings.example', $BAD],
    ['"bo b"@strings.example', $BAD],
    ["bob\@strings.example\x{a0}", $BAD],
    ["\x{3000}bob\@strings.example", $BAD],
    ["bob\x{2003}\@strings.example", $BAD],
    ["bob\@strings.example\x{2028}", $BAD],
    ["bob\@strings.example\x{85}", $BAD],
    ["bob\t\@strings.example", $BAD],
    ["bob\n\@strings.example", $BAD],
    ["bob\@strings.example\n bob", $BAD],
    ["bob\x{1}\@strings.example", $BAD],
    ["\x{1}bob\@strings.example", $BAD],
    ["bob\@strings.example\x{7f}", $BAD],
    ["bob\x{9b}\@strings.example", $BAD],
    ["bob\x{202e}\@strings.example", $BAD],
    ["bob\@strings.example\x{200e}", $BAD],
    # escapes
    [\'"b\u006fb@strings.example"', 'bob@strings.example'],
    [\'"\u00e9\u0040strings.example"', "\x{e9}\@strings.example"],
    [\'"\ud83d\ude00@strings.example"', "\x{1f600}\@strings.example"],
    [\'"bob@strings.example\u0000"', $MALFORMED],
    [\'"\ud800@strings.example"', $MALFORMED],
    [\"\"caf\xe9\@strings.example\"", $MALFORMED],
    [\"\"bob\@strings.example\n\"", $MALFORMED],
);
for my $row (@emails) {
    my ($string, $means) = @$row;
    my $what = 'email "' . shown($string) . '"';
    $strings++;
    my $r = api(POST => "$organization->{id}/members", token => $ada, body => '{"email":' . literal($string) . '}');
    if (ref $means && $means == $MALFORMED) {
        refused($r, $means, '/email', $what);
        next;
    }
    if (ref $means) {
        problem($r, 422, 'invalid_input', "$what is none");
        is_deeply([map { $_->{pointer} // 'none' } @{$r->{json}{errors} || []}], ['/email'], "$what: errors");
    }
    elsif ($means eq '') {
        problem($r, 404, 'user_not_found', "$what is nobody's");
    }
    else {
        problem($r, 409, 'already_member', "$what is a member's");
        is($r->{json}{member}{user_id}, $member{$means}, "$what: whose");
        is(hex_of($r->{json}{member}{email}), hex_of($means), "$what: as it is stored");
    }
    # the filter compares in the same way
    my $text = ref $string ? $json->decode($$string) : $string;
    my $query = join '', map { /[A-Za-z0-9]/ ? $_ : sprintf '%%%02X', ord($_) } split //, encode_utf8($text);
    my $list = api(GET => "$organization->{id}/members?email=$query", token => $ada);
    if (ref $means) {
        problem($list, 422, 'invalid_input', "$what is no filter");
        next;
    }
    answers($list, 200, "$what is a filter") or next;
    is_deeply([map { $_->{user_id} } @{$list->{json}}], [$means eq '' ? () : $member{$means}], "$what: whom it finds");
}
# what is no text at all in a query
for my $bytes ('bob%00@strings.example', '%00', 'bob@strings.example%00', 'bob@strings.example%0', '%', '%g0', 'caf%E9@strings.example', '%C0%80@x',
    '%ED%A0%80@x', '%F4%90%80%80@x', '%E6%97@x') {
    $strings++;
    problem(api(GET => "$organization->{id}/members?email=$bytes", token => $ada), 422, 'invalid_input', "?email=$bytes is no filter");
}

# --- ids -------------------------------------------------------------------------------------------------------------------

my $id = $organization->{id};
my $bob = $member{'bob@strings.example'};
my $license = license();
# [how an id is written, whether it is still the same]
my @ids = (
    [sub { $_[0] },                                  1, 'as it is'],
    [sub { uc $_[0] },                               1, 'upper case'],
    [sub { ucfirst lc $_[0] },                       1, 'mixed case'],
    [sub { join '', map { rand() < 0.5 ? uc : lc } split //, $_[0] }, 1, 'any case'],
    [sub { $_[0] =~ tr/-//dr },                      0, 'without dashes'],
    [sub { "{$_[0]}" =~ s/([{}])/sprintf '%%%X', ord $1/ger }, 0, 'in braces', sub { "{$_[0]}" }],
    [sub { "urn:uuid:$_[0]" },                       0, 'as a URN'],
    [sub { substr $_[0], 0, 35 },                    0, 'a character less'],
    [sub { $_[0] . '0' },                            0, 'a character more'],
    [sub { $_[0] . '-' },                            0, 'a dash more'],
    [sub { $_[0] =~ tr/-/_/r },                      0, 'underscores'],
    [sub { $_[0] =~ s/-/0/r },                       0, 'a dash that is none'],
    [sub { 'g' . substr $_[0], 1 },                  0, 'no hexadecimal'],
    [sub { 'G' . substr $_[0], 1 },                  0, 'no hexadecimal'],
    [sub { "$_[0]%20" },                             0, 'a space after it',       sub { "$_[0] " }],
    [sub { "%20$_[0]" },                             0, 'a space before it',      sub { " $_[0]" }],
    [sub { "$_[0]%09" },                             0, 'a tab after it',         sub { "$_[0]\t" }],
    [sub { "$_[0]%0A" },                             0, 'a line end after it',    sub { "$_[0]\n" }],
    [sub { "$_[0]%C2%A0" },                          0, 'a no-break space',       sub { "$_[0]\x{a0}" }],
    [sub { "$_[0]%E2%80%8B" },                       0, 'a space of no width',    sub { "$_[0]\x{200b}" }],
    [sub { '%EF%BC%90' . substr $_[0], 1 },          0, 'a digit of full width',  sub { "\x{ff10}" . substr $_[0], 1 }],
    [sub { $_[0] =~ s/-/%E2%80%90/r },               0, 'another hyphen',         sub { $_[0] =~ s/-/\x{2010}/r }],
    [sub { $_[0] =~ s/-/%EF%BC%8D/r },               0, 'a dash of full width',   sub { $_[0] =~ s/-/\x{ff0d}/r }],
    [sub { "$_[0]%E9" },                             0, 'Latin-1',                sub { undef }],
    [sub { sprintf '%%%02X%s', ord $_[0], substr $_[0], 1 }, 1, 'escaped in part', sub { undef }],
    [sub { join '', map { sprintf '%%%02x', ord($_) } split //, $_[0] }, 1, 'escaped all', sub { $_[0] }],
    [sub { '00000000-0000-0000-0000-000000000000' }, 0, 'nil'],
    [sub { 'ffffffff-ffff-ffff-ffff-ffffffffffff' }, 0, 'all ones'],
    [sub { '0' },                                    0, 'a number'],
    [sub { 'null' },                                 0, 'a word'],
    [sub { "$_[0],$_[0]" },                          0, 'two of them'],
    [sub { "'$_[0]'" },                              0, 'in quotes'],
    [sub { 'x' x 4000 },                             0, 'very long'],
);
for my $row (@ids) {
    my ($write, $same, $what, $in_body) = @$row;
    $strings++;
    my $r = api(GET => '/organizations/' . $write->($id), token => $ada);
    $same ? answers($r, 200, "an organization's id, $what") : problem($r, 404, 'organization_not_found', "no organization's id: $what");
    is($r->{json}{id}, $id, "an organization's id, $what: which") if $same;
    $r = api(GET => "/organizations/$id/members/" . $write->($bob), token => $ada);
    $same ? answers($r, 200, "a user's id, $what") : problem($r, 404, 'member_not_found', "no user's id: $what");
    is($r->{json}{user_id}, $bob, "a user's id, $what: whose") if $same;
    my $text = ($in_body // $write)->($license->{id}) // next;
    $r = api(PUT => "$id/license", token => $ada, json => {license_id => $text});
    $same ? answers($r, 200, "a license's id, $what") : problem($r, 404, 'license_not_found', "no license's id: $what");
    is($r->{json}{license}{id}, $license->{id}, "a license's id, $what: which") if $same;
}

# --- orgsctl ---------------------------------------------------------------------------------------------------------------

# [words with STRING, string as bytes, what is stored (hexadecimal of the query), or undef for refused]
my $lic = $license->{id};
my $of_user = "SELECT HEX(%s) FROM users WHERE email = 'named\@strings.example'";
orgsctl('user', 'add', 'named@strings.example');
my @tool = (
    (map { my ($name, $stored) = @$_; [[qw(user set named@strings.example), '--name=STRING'], $name, $stored, sprintf $of_user, 'name'] }
        ['Ada', 'Ada'], ["J\x{fc}rgen", "J\x{fc}rgen"], ["Ju\x{308}rgen", "Ju\x{308}rgen"], ["  x \x{3000}", 'x'], ["\x{1f600}" x 200, "\x{1f600}" x 200],
        ["\x{1f600}" x 201, undef], ["a\nb", undef], ["a\x{202e}b", undef], ["a\x{9b}b", undef], ["a\x{7f}", undef], ["a\tb", undef], ["'\"\\%", "'\"\\%"]),
    (map { my ($name, $stored) = @$_; [[qw(user set named@strings.example), '--external-id=STRING'], $name, $stored, sprintf $of_user, 'external_id'] }
        ['CN=Ada, O=x', 'CN=Ada, O=x'], ["\x{e9}", "\x{e9}"], ['x' x 255, 'x' x 255], ['x' x 256, undef], ["\x{e9}" x 127, "\x{e9}" x 127],
        ["\x{e9}" x 128, undef], ["a\x{1}b", undef]),
    (map { my ($name, $stored) = @$_; [['license', 'set', $lic, '--plan=STRING'], $name, $stored, 'SELECT HEX(plan) FROM licenses WHERE id = ' . id_in_sql($lic)] }
        ['pro', 'pro'], ["Pro \x{fc}", "Pro \x{fc}"], ["\x{65e5}" x 64, "\x{65e5}" x 64], ["\x{65e5}" x 65, undef], ['', undef], ['   ', undef], ["a\x{1b}b", undef]),
    (map { my ($email, $stored) = @$_; [['user', 'add', '--', 'STRING'], $email, $stored, defined $stored ? "SELECT HEX(email) FROM users WHERE HEX(email) = '" . hex_of($stored) . "'" : undef] }
        ['New@Strings.Example', 'new@strings.example'], [" new2\@strings.example\n", 'new2@strings.example'], ["\x{c9}\@strings.example", "\x{c9}\@strings.example"],
        ['new@strings.example', undef], ['no', undef], ['a@b@c', undef], ["a\x{a0}\@b", undef], ["-x\@strings.example", "-x\@strings.example"]),
);
for my $row (@tool) {
    my ($words, $string, $stored, $query) = @$row;
    $strings++;
    my $what = join(' ', @$words) =~ s/STRING/'"' . shown($string) . '"'/er;
    my $r = orgsctl({fails => 1}, map { s/STRING/encode_utf8($string)/er } @$words);
    if (!defined $stored) {
        is($r->[0], 1, "$what is refused") or diag(@$r);
        like($r->[2], qr/\Aorgsctl: [^\n]+\n\z/, "$what: in one line");
        unlike($r->[2], qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae/, "$what: without its controls");
        next;
    }
    is($r->[0], 0, "$what is taken") or diag(@$r);
    is(ask_value($query), hex_of($stored), "$what: what is stored");
}
for my $bytes ("caf\xe9", "\xc0\x80", "\xed\xa0\x80") {
    $strings++;
    my $r = orgsctl({fails => 1}, 'user', 'set', 'named@strings.example', "--name=$bytes");
    is($r->[0], 1, 'what is not UTF-8 is refused') or diag(@$r);
}

cmp_ok($strings, '>=', 150, "$strings strings");

done_testing;
