# The house's own rules: layers by prefix, includes that go down, one exported symbol, unique log tags, directives that
# are documented, codes that are provoked, configuration that is made and merged whole.
use Orgs::Test;

my $top = top();

sub text_of {
    my ($file) = @_;
    open my $in, '<:encoding(UTF-8)', "$top/$file" or die "$file: $!";
    local $/;
    return scalar <$in>;
}

sub files { return map { substr $_, length($top) + 1 } map { glob "$top/$_" } @_ }

my @sources = files('mod_orgs.c', 'src/*.c', 'include/*.h');
my %text = map { $_ => text_of($_) } @sources;
my %includes = map { my $file = $_; $file => [$text{$file} =~ /^\s*#\s*include\s+[<"]([^>"]+)[>"]/mg] } @sources;
cmp_ok(scalar @sources, '>', 40, 'there are sources');

# --- layers --------------------------------------------------------------------------------------------------------------

my $httpd = qr{^(?:httpd|ap_[a-z_]+|http_[a-z_]+|util_[a-z_0-9]+|mod_[a-z_]+|mpm_common|scoreboard|provider|os|unixd|heartbeat)\.h$};
for my $file (grep { m{(?:^|/)orgs} } @sources) {
    is_deeply([grep { $_ =~ $httpd } @{$includes{$file}}], [], "$file knows nothing of httpd");
}
is_deeply([grep { !m{(?:^|/)(?:mod_orgs|orgs)[a-z_]*\.[ch]$} } @sources], [], 'every file\'s prefix is its layer');

# Layers from above; whoever includes looks down, or beside.
my @layers = (
    qr/^mod_orgs|^orgsctl/,
    qr/^orgs_store_|^orgs_lookup|^orgs_json|^orgs_operator|^orgs$/,
    qr/^orgs_call$/,
    qr/^orgs_db$/,
    qr/^orgs_pool$/,
    qr/^orgs_/,
);
sub layer_of { my ($name) = @_; for my $n (0 .. $#layers) { return $n if $name =~ $layers[$n] } return -1 }
sub name_of { return $_[0] =~ s{.*/}{}r =~ s/\.[ch]$//r }

my (%edges, @up);
my %ours = map { name_of($_) => 1 } @sources;
for my $file (@sources) {
    my $from = name_of($file);
    # what all of a program share is a header; its main file is above all
    my $node = $file =~ m{(?:^|/)(?:mod_orgs|orgsctl)\.c$} ? "$from.c" : $from;
    for my $include (@{$includes{$file}}) {
        my $to = name_of($include);
        next if !$ours{$to} || $to eq $from;
        $edges{$node}{$to} = 1;
        push @up, "$from includes $to" if layer_of($to) < layer_of($from);
    }
}
is_deeply(\@up, [], 'includes go down only');
my (%state, @cycles);
sub visit {
    my ($node, @path) = @_;
    return if ($state{$node} // '') eq 'done';
    if (($state{$node} // '') eq 'open') {
        push @cycles, join ' -> ', @path, $node;
        return;
    }
    $state{$node} = 'open';
    visit($_, @path, $node) for sort keys %{$edges{$node} || {}};
    $state{$node} = 'done';
}
visit($_) for sort keys %edges;
is_deeply(\@cycles, [], 'no two files need each other');

# --- the module's symbols ----------------------------------------------------------------------------------------------------

# (a sanitizer marks it with a symbol of its own)
my @exported = map { (split)[-1] } grep { !/ [wvW] | __odr_asan\./ } split /\n/, `nm -D --defined-only '$top/build/mod_orgs.so'`;
is_deeply(\@exported, ['orgs_module'], 'the module exports itself alone');

# --- log tags ------------------------------------------------------------------------------------------------------------------

my %tags;
for my $file (grep { /\.c$/ } @sources) {
    push @{$tags{$1}}, $file while $text{$file} =~ /ORGS_LOGNO\((\d*)\)/g;
}
cmp_ok(scalar keys %tags, '>', 5, 'there are log tags');
is_deeply([grep { !/^\d{4}$/ } keys %tags], [], 'of four digits');
is_deeply([map { "$_: @{$tags{$_}}" } grep { @{$tags{$_}} > 1 } sort keys %tags], [], 'each at one place');
my @untagged;
for my $file (grep { /\.c$/ } @sources) {
    while ($text{$file} =~ /\b(ap_log_[a-z]*error|orgs_log)\((.*?)\);/gs) {
        push @untagged, "$file: " . substr "$1($2" =~ s/\s+/ /gr, 0, 80
            if index($2, 'ORGS_LOGNO(') < 0 && $2 !~ /APLOG_TRACE|levels\[level\]/;
    }
}
is_deeply([grep { !m{^src/orgs_log\.c} } @untagged], [], 'and no line is without');

# --- directives --------------------------------------------------------------------------------------------------------------------

my %directives = map { $_ => 1 } map { $text{$_} =~ /AP_INIT_\w+\("(Orgs\w+)"/g } files('src/mod_orgs_*.c');
my %documented = map { $_ => 1 } text_of('README.md') =~ /\b(Orgs[A-Z]\w+)/g;
my %sample = map { $_ => 1 } text_of('conf/orgs.conf') =~ /\b(Orgs[A-Z]\w+)/g;
is_deeply([grep { !$documented{$_} } sort keys %directives], [], 'each directive is in the README');
is_deeply([grep { !$directives{$_} } sort keys %documented], [], 'and the README names none that is not');
is_deeply([grep { !$directives{$_} } sort keys %sample], [], 'nor does conf/orgs.conf');
my $config_test = text_of('t/config.t');
is_deeply([grep { $config_test !~ /\b$_\b/ } sort keys %directives], [], 'each one\'s mistakes are in t/config.t');

# --- codes --------------------------------------------------------------------------------------------------------------------------

my @codes = $text{'include/orgs_error.h'} =~ /^\s*X\((\w+), "(\w+)", (\d+),/mg;
my $code_users = join "\n", map { $text{$_} } grep { !/orgs_error/ } @sources;
my $rules = join "\n", map { text_of($_) } files('sql/*.sql');
my $tests = join "\n", map { text_of($_) } grep { $_ ne 't/house.t' } files('t/*.t');
cmp_ok(scalar @codes, '>', 60, 'there are codes');
while (my ($symbol, $code, $status) = splice @codes, 0, 3) {
    # one that nobody raises yet needs no test
    next if $code_users !~ /\bORGS_E_$symbol\b/ && $rules !~ /'$code'/;
    like($tests, qr/['"]$code['"]/, "$code is provoked by a test");
}

# --- configuration ------------------------------------------------------------------------------------------------------------------

for my $kind (qw(server dir)) {
    my ($struct) = $text{'include/mod_orgs_config.h'} =~ /struct mod_orgs_${kind}_t \{\n(.*?)\n\};/s;
    # what follows from the settings stands after an empty line
    my ($settings) = split /\n\s*\n/, $struct;
    my @fields = map { /^\s*(.*?)\b(\w+);/ ? [$1, $2] : () } split /\n/, $settings;
    cmp_ok(scalar @fields, '>=', 2, "$kind: there are fields");
    my %function = map { $_ => $text{'src/mod_orgs_config.c'} =~ /^void \*mod_orgs_config_${_}_$kind\(.*?\n\{\n(.*?)^\}/ms ? $1 : '' } qw(create merge);
    for my $field (@fields) {
        my ($type, $name) = @$field;
        like($function{create}, qr/\bconf->$name\b/, "$kind: create says that $name is not set") if $type !~ /\*/;
        like($function{merge}, qr/\bconf->$name = /, "$kind: merge has $name");
    }
}

# --- everything has its place ----------------------------------------------------------------------------------------------------------

my %allowed = map { $_ => 1 } qw(. .. .git .ci .LICENSE .clang-format .editorconfig .gitignore Makefile README.md mod_orgs.c
    include src conf sql t build), qw(home run);     # the last two are the tests'
opendir my $dir, $top or die $!;
is_deeply([grep { !$allowed{$_} } sort readdir $dir], [], 'the top level has what belongs there');
is_deeply([grep { -e "$top/$_" ? () : $_ } qw(README.md Makefile mod_orgs.c)], [], 'and all of it');

# Every test is strict by Orgs::Test and ends with a look at the log.
for my $file (files('t/*.t')) {
    my $text = text_of($file);
    like($text, qr/^use Orgs::(?:Test|Story);/m, "$file uses what tests use");
    like($text, qr/^\s*done_testing;/m, '... to its end');
}

done_testing;
