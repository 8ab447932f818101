# Contract 3 and 6: what may be in a body and in a query.
use Orgs::Test;

my $ada = user('ada');
my $id = organization($ada)->{id};

# The members of `errors` as "where" => number of times.
sub faults {
    my ($r) = @_;
    my %where;
    for my $error (@{$r->{json}{errors} || []}) {
        my @keys = sort keys %$error;
        $where{'not an error: ' . join ',', @keys}++ if @keys != 2 || !defined $error->{detail} || $error->{detail} !~ /\S/;
        $where{exists $error->{pointer} ? $error->{pointer} : "?$error->{parameter}"}++;
    }
    return \%where;
}

sub invalid {
    my ($r, $where, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    problem($r, 422, 'invalid_input', $what);
    is_deeply(faults($r), {map { $_ => 1 } @$where}, "... at @$where") or diag $r->{body};
}

# --- media type ----------------------------------------------------------------------------------------------------------

# [Content-Type or undef, is it accepted]
for my $case (
    ['application/json',                             1],
    ['APPLICATION/JSON',                             1],
    ['application/json; charset=utf-8',              1],
    ['application/json;charset=UTF-8',               1],
    ['application/json ; charset="utf-8"',           1],
    ['application/json; CHARSET="UTF-8"',            1],
    ['application/json; profile="x;y"; charset=utf-8', 1],
    ['application/json;',                            1],
    [undef,                                          0],
    ['',                                             0],
    ['text/plain',                                   0],
    ['text/json',                                    0],
    ['application/jsonx',                            0],
    ['application/json-patch+json',                  0],
    ['application/problem+json',                     0],
    ['application/x-www-form-urlencoded',            0],
    ['multipart/form-data; boundary=x',              0],
    ['application/json, text/plain',                 0],
    ['application/json text/plain',                  0],
    ['text/plain; application/json',                 0],
    ['application/json; charset=iso-8859-1',         0],
    ['application/json; charset=utf-16',             0],
    ['application/json; charset=utf8',               0],
    ['application/json; charset=',                   0],
    ['application/json; charset="utf-8',             0],
    ['application/ json',                            0],
    ['*/*',                                          0],
) {
    my ($type, $good) = @$case;
    my $header = defined $type ? "Content-Type: $type\r\n" : '';
    my ($r) = raw_request("PUT /organizations/$id HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\n"
        . "${header}Content-Length: 2\r\nConnection: close\r\n\r\n{}");
    my $what = 'Content-Type ' . ($type // 'missing');
    $good ? answers($r, 200, $what) : problem($r, 415, 'unsupported_media_type', $what);
}
for my $encoding (qw(gzip deflate br identity compress), 'gzip, gzip', '') {
    problem(api(PUT => $id, token => $ada, body => '{}', headers => {'Content-Encoding' => $encoding}), 415,
        'unsupported_media_type', "Content-Encoding '$encoding'");
}

# --- size ----------------------------------------------------------------------------------------------------------------

sub padded { my ($size) = @_; '{' . ' ' x ($size - 2) . '}' }

sub chunked {
    my ($body, $size) = @_;
    my $chunks = '';
    $chunks .= sprintf "%x\r\n%s\r\n", length $_, $_ for $body =~ /(.{1,$size})/gs;
    return "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nContent-Type: application/json\r\n"
        . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunks}0\r\n\r\n";
}

# [virtual host, mount, its limit]
for my $case ([undef, '/organizations', 65536], ['orgs_small', '/organizations', 100], ['orgs_small', '/wide', 1000]) {
    my ($vhost, $mount, $limit) = @$case;
    my $path = "$mount/$id";
    my %put = (token => $ada, vhost => $vhost);
    answers(api(PUT => $path, %put, body => padded($limit)), 200, "$mount: $limit bytes");
    problem(api(PUT => $path, %put, body => padded($limit + 1)), 413, 'body_too_large', '... and one more');
    my ($r) = raw_request(sprintf(chunked(padded($limit), 37), $path), vhost => $vhost);
    answers($r, 200, "$mount: $limit bytes in chunks");
    ($r) = raw_request(sprintf(chunked(padded($limit + 1), 1000), $path), vhost => $vhost);
    problem($r, 413, 'body_too_large', '... and one more');
    # told before a byte of it is sent
    ($r) = raw_request("PUT $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . ($limit + 1) . "\r\nExpect: 100-continue\r\n\r\n", vhost => $vhost);
    problem($r, 413, 'body_too_large', '... announced only');
    is($r->{headers}{connection}, 'close', '... and the connection is closed');
}
{
    my ($r) = raw_request("PUT /organizations/$id HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\n"
        . "Content-Type: application/json\r\nContent-Length: 99999999999999999999\r\nConnection: close\r\n\r\n{}");
    ok($r->{status} == 400 || $r->{status} == 413, 'a length that is no number') or diag explain $r;
}

# --- JSON -----------------------------------------------------------------------------------------------------------------

sub nested { my ($depth) = @_; '{"x":' . '[' x ($depth - 1) . ']' x ($depth - 1) . '}' }

# [body as bytes, what]
my @malformed = (
    ['',                                     'empty'],
    [' ',                                    'white space'],
    ["\n\n",                                 'lines'],
    ['{',                                    'cut'],
    ['{"name":"x"',                          'cut'],
    ['{"name":"x"}}',                        'too much'],
    ['{"name":"x"} x',                       'something after it'],
    ['{"name":"x"}{"name":"y"}',             'two'],
    ["{\"name\":\"x\"}\0",                   'a NUL after it'],
    ['{name:"x"}',                           'a name without quotes'],
    ["{'name':'x'}",                         'single quotes'],
    ['{"name":"x",}',                        'a comma too many'],
    ['{"name" "x"}',                         'no colon'],
    ['{"name":x}',                           'a word'],
    ['{"name":TRUE}',                        'True'],
    ['{"name":"x" /* */}',                   'a comment'],
    ['{"x":01}',                             'a leading zero'],
    ['{"x":+1}',                             'a plus'],
    ['{"x":.5}',                             'a point first'],
    ['{"x":1.}',                             'a point last'],
    ['{"x":0x10}',                           'hexadecimal'],
    ['{"x":NaN}',                            'NaN'],
    ['{"x":Infinity}',                       'Infinity'],
    ['{"x":1e999}',                          'a number out of range'],
    ['{"x":-1e999}',                         'a number out of range'],
    ['{"x":99999999999999999999}',           'an integer out of range'],
    ['{"x":-99999999999999999999}',          'an integer out of range'],
    ['{"name":"x","name":"y"}',              'a duplicate'],
    ['{"name":"x","n\u0061me":"y"}',         'a duplicate by an escape'],
    ['{"x":{"a":1,"a":1}}',                  'a duplicate further down'],
    ["\xef\xbb\xbf{\"name\":\"x\"}",         'a byte-order mark'],
    ["{\"name\":\"a\tb\"}",                  'a raw tab in a string'],
    ["{\"name\":\"a\nb\"}",                  'a raw line feed in a string'],
    ["{\"name\":\"a\0b\"}",                  'a raw NUL in a string'],
    ['{"name":"a\u0000b"}',                  'U+0000'],
    ['{"x":"\u0000"}',                       'U+0000 in an unknown member'],
    ['{"a\u0000b":1}',                       'U+0000 in a name'],
    ['{"name":"\ud800"}',                    'a lone high surrogate'],
    ['{"name":"\udc00"}',                    'a lone low surrogate'],
    ['{"name":"\ud800x"}',                   'a high surrogate before a letter'],
    ['{"name":"\ud800\ud800"}',              'two high ones'],
    ['{"name":"\udc00\ud800"}',              'two in the wrong order'],
    ['{"x":"\ud800"}',                       'a lone one in an unknown member'],
    ['{"name":"\u12"}',                      'a short escape'],
    ['{"name":"\x41"}',                      'an escape that is none'],
    ['{"name":"x',                           'an open string'],
    ["{\"name\":\"\xff\"}",                  'not UTF-8: FF'],
    ["{\"name\":\"\xc3\"}",                  'not UTF-8: cut'],
    ["{\"name\":\"\xc0\xaf\"}",              'not UTF-8: overlong'],
    ["{\"name\":\"\xe0\x80\xaf\"}",          'not UTF-8: overlong'],
    ["{\"name\":\"\xf0\x80\x80\xaf\"}",      'not UTF-8: overlong'],
    ["{\"name\":\"\xed\xa0\x80\"}",          'not UTF-8: a surrogate'],
    ["{\"name\":\"\xf4\x90\x80\x80\"}",      'not UTF-8: beyond U+10FFFF'],
    ["{\"\xff\":1}",                         'not UTF-8: in a name'],
    ["\xff\xfe{\0}\0",                       'UTF-16'],
    [nested(33),                             'nested 33 deep'],
    [nested(2000),                           'nested 2000 deep'],
    ['[' x 60000,                            'very deep'],
    ['{"x":' x 10000,                        'very deep'],
    ['[' x 33 . ']' x 33,                    'arrays 33 deep'],
);
for my $case (@malformed) {
    my ($body, $what) = @$case;
    my $secret = 'x-' . int rand 1e9;
    my $shown = length $body > 40 ? substr($body, 0, 40) . '...' : $body;
    $shown =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
    my $r = api(PUT => $id, token => $ada, body => $body);
    problem($r, 400, 'malformed_json', "$what: $shown");
}
{
    my $r = api(PUT => $id, token => $ada, body => "{\n  \"name\": \"x\",\n  \"secret-word\" 5\n}");
    problem($r, 400, 'malformed_json', 'the place');
    like($r->{json}{detail}, qr/line 3\b.*column \d/i, 'line and column are told');
    unlike($r->{body}, qr/secret-word/, 'the input is not');
    $r = api(PUT => $id, token => $ada, body => '{"secret-word":1,"secret-word":2}');
    unlike($r->{body}, qr/secret-word/, 'nor with a duplicate');
}

# accepted
for my $case (
    [nested(32),                             'nested 32 deep'],
    ['{"x":"' . '[' x 100 . '\"' . '{' x 100 . '"}', 'brackets in a string are no depth'],
    ["\r\n\t {} \r\n",                       'white space around'],
    ['{"x":-0,"y":1E5,"z":[true,false,null,{}]}', 'all kinds'],
    ['{"x":9223372036854775807}',            'the largest integer'],
    ['{"":1,"\ud83d\ude00":2}',              'odd names'],
    ['{"x":"\/\b\f\n\r\t\\\\\""}',           'all escapes'],
) {
    answers(api(PUT => $id, token => $ada, body => $case->[0]), 200, "accepted: $case->[1]");
}

# valid JSON that is no object
for my $body ('[]', '[{"name":"x"}]', '"x"', '1', '-1.5', 'null', 'true', ' false ', '[' x 32 . ']' x 32) {
    my $shown = length $body > 20 ? substr($body, 0, 20) . '...' : $body;
    invalid(api(PUT => $id, token => $ada, body => $body), [''], "no object: $shown");
    invalid(api(POST => '', token => $ada, body => $body), [''], "no object, POST: $shown");
}

# --- content -------------------------------------------------------------------------------------------------------------------

my $fish = "\x{1F41F}";
# [method, body, where it is wrong]
my @contents = (
    [POST => '{}',                                           '/name'],
    [POST => '{"name":null}',                                '/name'],
    [POST => '{"name":""}',                                  '/name'],
    [POST => '{"name":" \t\n"}',                             '/name'],
    [POST => '{"name":"\u00a0\u2003\u3000"}',                '/name'],
    [POST => '{"Name":"x"}',                                 '/name'],
    [POST => '{"description":"x"}',                          '/name'],
    (map { [POST => "{\"name\":$_}", '/name'], [PUT => "{\"name\":$_}", '/name'] } '1', '1.5', 'true', 'false', '[]', '["x"]', '{}'),
    (map { [POST => "{\"name\":\"x\",\"description\":$_}", '/description'],
           [PUT => "{\"description\":$_}", '/description'] } '1', 'true', '[]', '{}'),
    (map { [PUT => "{\"active\":$_}", '/active'] } '1', '0', '"true"', '""', '[]', '{}', '"false"'),
    [PUT  => '{"name":""}',                                  '/name'],
    [PUT  => '{"name":"  "}',                                '/name'],
    [PUT  => '{"name":1,"description":2,"active":3}',        '/name', '/description', '/active'],
    [POST => '{"name":1,"description":2,"active":3}',        '/name', '/description'],
    [POST => '{"description":2}',                            '/name', '/description'],
    [PUT  => '{"name":"","description":"\u0001","active":"x"}', '/name', '/description', '/active'],
);
for my $case (@contents) {
    my ($method, $body, @where) = @$case;
    invalid(api($method => $method eq 'PUT' ? $id : '', token => $ada, body => $body), \@where, "$method $body");
}

# Strings around their limits, in code points: [field, text, is it accepted, what]
my @texts = (
    [name => 'x',                                1, '1'],
    [name => 'x' x 200,                          1, '200'],
    [name => 'x' x 201,                          0, '201'],
    [name => "\x{e9}" x 200,                     1, '200 of two bytes'],
    [name => "\x{e9}" x 201,                     0, '201 of two bytes'],
    [name => $fish x 200,                        1, '200 of four bytes'],
    [name => $fish x 201,                        0, '201 of four bytes'],
    [name => "e\x{301}" x 100,                   1, '200 code points, 100 letters'],
    [name => "e\x{301}" x 100 . 'x',             0, '201 code points, 101 letters'],
    [name => ' ' x 50 . 'x' x 200 . ' ' x 50,    1, '200 and white space around'],
    [name => "\x{3000}\x{2003}" . 'x' x 200 . "\x{2028}\x{85}\n", 1, '200 and Unicode white space around'],
    [name => 'x' x 199 . ' x',                   0, '201 with a space'],
    [description => 'x' x 4000,                  1, '4,000'],
    [description => 'x' x 4001,                  0, '4,001'],
    [description => $fish x 4000,                1, '4,000 of four bytes'],
    [description => $fish x 4001,                0, '4,001 of four bytes'],
    [description => "\n" x 60 . "x\r\n\ty" . ' ' x 60, 1, 'lines and tabs'],
    (map { my $c = chr;
        ([name => "a${c}b", 0, sprintf 'U+%04X', $_],
         [description => "a${c}b", ($_ == 9 || $_ == 10 || $_ == 13) ? 1 : 0, sprintf 'U+%04X', $_]) }
        1 .. 0x1f, 0x7f .. 0x9f, 0x2028, 0x2029, 0x202a .. 0x202e, 0x2066 .. 0x2069, 0x200e, 0x200f, 0x61c),
    (map { my $c = chr; [name => "a${c}b", 1, sprintf 'U+%04X', $_] }
        0xa0, 0xad, 0x200b, 0x200d, 0x2060, 0xfeff, 0xe000, 0xfffd, 0xffff, 0x10ffff, 0x2027, 0x2030, 0x2065, 0x206a),
);
for my $case (@texts) {
    my ($field, $text, $good, $what) = @$case;
    my %body = (name => 'x', $field => $text);
    for my $method (qw(POST PUT)) {
        my $r = api($method => $method eq 'PUT' ? $id : '', token => $ada, json => \%body);
        if ($good) {
            $r->{status} =~ /^20[01]$/ ? pass("$method $field: $what") : answers($r, '20x', "$method $field: $what");
            my $trimmed = $text =~ s/^\s+|\s+$//gr;
            is($r->{json}{$field}, $trimmed, '... and there it is');
        }
        else {
            invalid($r, ["/$field"], "$method $field: $what");
        }
    }
}

# Every character of Unicode's White_Space is trimmed, nothing else is.
for my $code (0x09 .. 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2000 .. 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000) {
    my $white = chr $code;
    my $r = api(PUT => $id, token => $ada, json => {name => "$white${white}x y$white", description => "$white"});
    is_deeply([@{$r->{json}}{qw(name description)}], ['x y', undef], sprintf 'U+%04X is trimmed', $code) or diag $r->{body};
}
for my $code (0x200b, 0x180e, 0xfeff, 0x2060) {
    my $name = chr($code) . 'x' . chr $code;
    is(api(PUT => $id, token => $ada, json => {name => $name})->{json}{name}, $name, sprintf 'U+%04X is kept', $code);
}

# --- query -------------------------------------------------------------------------------------------------------------------------

my $root = superuser('root');
# [query, parameters that are wrong]
my @queries = (
    ['?active_only=',                ],
    ['?active_only',                 ],
    (map { ["?active_only=$_"] } qw(true false TRUE False 1 0 yes no YES No on off ON oFf)),
    ['?active_only=%74rue',          ],
    ['?%61ctive_only=true',          ],
    ['?active_only=2',               'active_only'],
    ['?active_only=t',               'active_only'],
    ['?active_only=truee',           'active_only'],
    ['?active_only=%20true',         'active_only'],
    ['?active_only=+',               'active_only'],
    ['?active_only=null',            'active_only'],
    ['?active_only=%00',             'active_only'],
    ['?active_only=%ff',             'active_only'],
    ['?active_only=%',               'active_only'],
    ['?active_only=%zz',             'active_only'],
    ['?active_only=true&active_only=true', 'active_only'],
    ['?active_only=&active_only=',   'active_only'],
    ['?role=admin',                  ],
    ['?role=member',                 ],
    ['?role=',                       'role'],
    ['?role=Admin',                  'role'],
    ['?role=owner',                  'role'],
    ['?role=admin&role=member',      'role'],
    ['?scope=',                      'scope'],
    ['?scope=mine',                  'scope'],
    ['?scope=ALL',                   'scope'],
    ['?scope=all&scope=all',         'scope'],
    ['?limit=1',                     ],
    ['?limit=1000',                  ],
    ['?limit=999',                   ],
    ['?limit=1001',                  'limit'],
    ['?limit=0',                     'limit'],
    ['?limit=-1',                    'limit'],
    ['?limit=+1',                    'limit'],
    ['?limit=%2B1',                  'limit'],
    ['?limit=01',                    'limit'],
    ['?limit=1.0',                   'limit'],
    ['?limit=1e2',                   'limit'],
    ['?limit=0x1',                   'limit'],
    ['?limit=',                      'limit'],
    ['?limit',                       'limit'],
    ['?limit=x',                     'limit'],
    ['?limit=%201',                  'limit'],
    ['?limit=4294967297',            'limit'],
    ['?limit=18446744073709551617',  'limit'],
    ['?limit=%D9%A1',                'limit'],          # an Arabic digit
    ['?limit=1&limit=1',             'limit'],
    ['?cursor=x',                    'cursor'],
    ['?cursor=',                     'cursor'],
    ['?limit=1&cursor=',             'cursor'],
    ['?limit=1&cursor=x',            'cursor'],
    ['?limit=1&cursor=' . 'A' x 40,  'cursor'],
    ['?limit=1&cursor=' . 'A' x 4000, 'cursor'],
    ['?limit=0&cursor=x',            'limit', 'cursor'],
    ['?active_only=2&role=x&scope=x&limit=x', qw(active_only role scope limit)],
    ['?limit=x&limit=y&role=x',      'limit', 'role'],
    ['?',                            ],
    ['?&&&',                         ],
    ['?=x&=',                        ],
    ['?unknown=%zz&%zz=1&%ff=%ff',   ],
    ['?LIMIT=x',                     ],
    ['?limit[]=x',                   ],
    ['?x=1;limit=x',                 ],
    ['?email=x&order=x',             ],                 # other lists' parameters are unknown here
    ['?' . join('&', map { "p$_=$_" } 1 .. 500), ],
);
for my $case (@queries) {
    my ($query, @wrong) = @$case;
    my $shown = length $query > 60 ? substr($query, 0, 60) . '...' : $query;
    my $path = "/organizations$query";
    my ($r) = raw_request("GET $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $ada->{token}\r\nConnection: close\r\n\r\n");
    if (@wrong) {
        problem($r, 422, 'invalid_input', "GET $shown");
        my $faults = faults($r);
        is_deeply([sort keys %$faults], [sort map { "?$_" } @wrong], '... at ' . join ', ', @wrong) or diag $r->{body};
    }
    else {
        answers($r, 200, "GET $shown");
    }
}
problem(api(GET => '?scope=all', token => $ada), 403, 'superuser_required', 'scope=all is for superusers');
answers(api(GET => '?scope=all&limit=1', token => $root), 200, 'a superuser may');
answers(api(GET => "$id?limit=x&active_only=2", token => $ada), 200, 'a parameter of another endpoint is unknown');
answers(api(PUT => "$id?limit=x", token => $ada, body => '{}'), 200, 'nor has PUT any');

done_testing;
