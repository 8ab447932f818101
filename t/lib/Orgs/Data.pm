# A database's worth of users, tokens and organizations, as SQL: the same every time, so that whoever asks knows what it
# holds. Users, organizations and their tokens have numbers from 0 on.
package Orgs::Data;
use strict;
use warnings;
use Digest::SHA qw(sha256 sha256_hex);
use Exporter 'import';
use MIME::Base64 qw(encode_base64url);

our @EXPORT_OK = qw(data_token data_user data_organization data_id data_sql data_crowd_sql data_hot_sql data_bulk_sql data_members_sql data_memberships_sql sequence_sql);

my $BORN = '2026-01-01 00:00:00.000';
my $ROWS = 500;      # of one INSERT

sub id_hex { my ($kind, $number) = @_; return sprintf '019b7fa10000700080%02x%012x', $kind, $number }
sub text_of { my ($hex) = @_; return join '-', unpack 'A8 A4 A4 A4 A12', $hex }

sub data_user { return text_of(id_hex(1, $_[0])) }
sub data_organization { return text_of(id_hex(2, $_[0])) }

# The same in hexadecimal: of an organization, or (1) of a user.
sub data_id { my ($number, $kind) = @_; return id_hex($kind // 2, $number) }

# The token of a user.
sub data_token {
    my ($user) = @_;
    my $shown = 'orgs_' . encode_base64url(sha256("token of $user"));
    return $shown . substr encode_base64url(sha256($shown)), 0, 6;
}

sub inserts {
    my ($table, $columns, $first, $last, $row) = @_;
    my $sql = '';
    for (my $n = $first; $n <= $last; $n += $ROWS) {
        my $to = $n + $ROWS - 1 < $last ? $n + $ROWS - 1 : $last;
        $sql .= "INSERT INTO $table ($columns) VALUES\n" . join(",\n", map { $row->($_) } $n .. $to) . ";\n";
    }
    return $sql;
}

sub users_sql {
    my ($first, $last) = @_;
    return inserts('users', 'id, email, name, created_at', $first, $last, sub { sprintf "(x'%s', 'user%d\@example.org', 'User %d', '%s')", id_hex(1, $_[0]), $_[0], $_[0], $BORN })
        . inserts('tokens', 'id, user_id, hash, created_at', $first, $last, sub { sprintf "(x'%s', x'%s', x'%s', '%s')", id_hex(3, $_[0]), id_hex(1, $_[0]), sha256_hex(data_token($_[0])), $BORN });
}

sub memberships_sql {
    my ($pairs) = @_;
    return inserts('memberships', 'organization_id, user_id, role, joined_at', 0, $#$pairs, sub {
        my ($organization, $user, $role, $joined) = @{$pairs->[$_[0]]};
        return sprintf "(x'%s', x'%s', '%s', '%s')", id_hex(2, $organization), id_hex(1, $user), $role, $joined // $BORN;
    });
}

sub organizations_sql {
    my ($first, $last, $members) = @_;
    return inserts('organizations', 'id, name, description, members, seq, version, created_by, created_at, updated_at', $first, $last, sub {
        sprintf "(x'%s', 'Organization %d', 'The organization of number %d, made for measurements', %d, 0, 1, x'%s', '%s', '%s')", id_hex(2, $_[0]), $_[0], $_[0], $members, id_hex(1, $_[0]), $BORN, $BORN;
    });
}

# users of them, and as many organizations; user u is the admin of organization u and a member of the next each - 1. Every
# second organization has a license.
sub data_sql {
    my ($users, $each) = @_;
    my $last = $users - 1;
    return "START TRANSACTION;\n" . users_sql(0, $last) . organizations_sql(0, $last, $each)
        . memberships_sql([map { my $user = $_; map { [($user + $_) % $users, $user, $_ ? 'member' : 'admin'] } 0 .. $each - 1 } 0 .. $last])
        . inserts('licenses', 'id, plan, seats, organization_id, assigned_at, created_at', 0, int($last / 2), sub { sprintf "(x'%s', 'pro', 1000000, x'%s', '%s', '%s')", id_hex(4, $_[0]), id_hex(2, 2 * $_[0]), $BORN, $BORN })
        . "COMMIT;\n";
}

# The moment so many milliseconds after all was born, on the same day.
sub later {
    my ($ms) = @_;
    return sprintf '%s %02d:%02d:%06.3f', substr($BORN, 0, 10), $ms / 3_600_000, $ms / 60_000 % 60, $ms % 60_000 / 1000;
}

# One organization more, with that many members, who are new users but for user 0, its admin; three joined at a time.
sub data_crowd_sql {
    my ($organization, $first, $members) = @_;
    my $last = $first + $members - 2;
    return "START TRANSACTION;\n" . users_sql($first, $last) . organizations_sql($organization, $organization, $members)
        . memberships_sql([[$organization, 0, 'admin'], map { [$organization, $_, 'member', later(1 + ($_ - $first) / 3)] } $first .. $last]) . "COMMIT;\n";
}

# One organization more, whose only member is its admin: a user that is there.
sub data_hot_sql {
    my ($organization, $admin) = @_;
    return "START TRANSACTION;\n" . organizations_sql($organization, $organization, 1) . memberships_sql([[$organization, $admin, 'admin']]) . "COMMIT;\n";
}

# --- the same made by the server itself, for very many ------------------------------------------------------------------

# A table of numbers, seq, as any server makes it: from the schema's own, as the digits of larger ones.
sub sequence_sql {
    my ($first, $last) = @_;
    my ($value, $most, @tables) = ("$first", $last - $first);
    for (my $unit = 1; $unit == 1 || $unit <= $most; $unit *= 16) {
        push @tables, 'd' . @tables;
        $value .= " + $unit * $tables[-1].number";
    }
    my $leading = int($most / 16 ** $#tables);
    return "(SELECT $value AS seq FROM " . join(' JOIN ', map { "numbers $_" } @tables) . " WHERE $tables[-1].number <= $leading AND $value <= $last) AS sequence";
}

sub id_sql { my ($kind, $number) = @_; return sprintf "UNHEX(CONCAT('019b7fa10000700080%02x', LPAD(HEX(%s), 12, '0')))", $kind, $number }
sub base64url_sql { my ($text) = @_; return "REPLACE(REPLACE(TRIM(TRAILING '=' FROM TO_BASE64(UNHEX(SHA2($text, 256)))), '+', '-'), '/', '_')" }

# Users with tokens, and as many organizations, each with the user of its number as its only member.
sub data_bulk_sql {
    my ($first, $last) = @_;
    my ($user, $organization) = (id_sql(1, 'seq'), id_sql(2, 'seq'));
    return "INSERT INTO users (id, email, name, created_at) SELECT $user, CONCAT('user', seq, '\@example.org'), CONCAT('User ', seq), '$BORN' FROM @{[sequence_sql($first, $last)]};\n"
        . "INSERT INTO tokens (id, user_id, hash, created_at) SELECT @{[id_sql(3, 'seq')]}, $user, UNHEX(SHA2(CONCAT(shown, LEFT(@{[base64url_sql('shown')]}, 6)), 256)), '$BORN' "
        . "FROM (SELECT seq, CONCAT('orgs_', @{[base64url_sql(q{CONCAT('token of ', seq)})]}) AS shown FROM @{[sequence_sql($first, $last)]}) t;\n"
        . "INSERT INTO organizations (id, name, description, members, seq, version, created_by, created_at, updated_at) SELECT $organization, CONCAT('Organization ', seq), "
        . "CONCAT('The organization of number ', seq, ', made for measurements'), 1, 0, 1, $user, '$BORN', '$BORN' FROM @{[sequence_sql($first, $last)]};\n"
        . "INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT $organization, $user, 'admin', '$BORN' FROM @{[sequence_sql($first, $last)]};\n";
}

# Makes users from first on members of an organization that stands, so many.
sub data_members_sql {
    my ($organization, $first, $count) = @_;
    my $last = $first + $count - 1;
    return "INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT @{[id_sql(2, $organization)]}, @{[id_sql(1, 'seq')]}, 'member', "
        . "'$BORN' + INTERVAL 1000 * (1 + (seq - $first) DIV 3) MICROSECOND FROM @{[sequence_sql($first, $last)]};\n"
        . "UPDATE organizations SET members = members + $count WHERE id = @{[id_sql(2, $organization)]};\n";
}

# Makes a user a member of organizations from first on, so many.
sub data_memberships_sql {
    my ($user, $first, $count) = @_;
    my $last = $first + $count - 1;
    return "INSERT INTO memberships (organization_id, user_id, role, joined_at) SELECT @{[id_sql(2, 'seq')]}, @{[id_sql(1, $user)]}, 'member', '$BORN' FROM @{[sequence_sql($first, $last)]};\n"
        . "UPDATE organizations SET members = members + 1 WHERE id >= @{[id_sql(2, $first)]} AND id <= @{[id_sql(2, $last)]};\n";
}

1;
